"""The pages of studies and runs are read in light and dark mode, on a narrow screen, on paper, and from the keyboard."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import opened_browser, show
from made_up_study import write_study
from selenium.webdriver.chrome.webdriver import WebDriver
from synthetic import write_run

from lightning_prune.ablation.report.report_command import report_study
from lightning_prune.ablation.report.runs_report import report_runs
from lightning_prune.lab.report import vega

NARROW = 420
LONG = "cyclic restart, momentum kept retrain=10ep"
ARMS = {"lr_rewind": "rrr", LONG: "ooo", "switch": "orr", "silo": "sss"}
# The contrast of every text with the nearest background, as WCAG 2.1 counts it. Texts in pictures are compared with the
# mark below them: a cell of the map, a box of the tree, or else the page.
CONTRASTS = """
const parse = (color) => { const [r, g, b, a = 1] = color.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
const over = ([r, g, b, a], [s, t, u]) => [a * r + (1 - a) * s, a * g + (1 - a) * t, a * b + (1 - a) * u, 1];
const light = (color) => {
  const [r, g, b] = color.slice(0, 3).map((c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => { const [low, high] = [light(a), light(b)].sort((x, y) => x - y); return (high + 0.05) / (low + 0.05); };
const ground = (element) => {
  const stack = [];
  for (let at = element; at; at = at.parentElement) stack.unshift(parse(getComputedStyle(at).backgroundColor));
  return stack.reduce((below, color) => over(color, below), [255, 255, 255, 1]);
};
const opacity = (element) => { let all = 1; for (let at = element; at; at = at.parentElement) all *= +getComputedStyle(at).opacity; return all; };
for (const details of document.querySelectorAll("main details:not(.picture details)")) details.open = true;
const found = [];
for (const element of document.querySelectorAll("body *")) {
  if (element.closest("svg") || element.closest("script") || !element.checkVisibility()) continue;
  if (![...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) continue;
  const below = ground(element), ink = parse(getComputedStyle(element).color);
  ink[3] *= opacity(element);
  found.push([contrast(over(ink, below), below), element.tagName + ": " + element.textContent.trim().slice(0, 40)]);
}
for (const text of document.querySelectorAll(".picture svg text")) {
  if (!text.textContent.trim() || +getComputedStyle(text).opacity === 0) continue;
  const box = text.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
  let below = ground(text.closest(".picture"));
  for (const mark of text.closest("svg").querySelectorAll(".mark-rect path")) {
    const place = mark.getBoundingClientRect();
    if (x < place.left || x > place.right || y < place.top || y > place.bottom) continue;
    const style = getComputedStyle(mark), fill = style.fill === "none" ? null : parse(style.fill);
    if (fill) below = over([...fill.slice(0, 3), fill[3] * style.fillOpacity * style.opacity], below);
  }
  const style = getComputedStyle(text), ink = parse(style.fill);
  ink[3] *= style.fillOpacity * style.opacity;
  found.push([contrast(over(ink, below), below), text.closest(".picture").dataset.picture + ": " + text.textContent.slice(0, 40)]);
}
return found;
"""
# What stands out of the page, or of its picture, on the right or below. A table that scrolls is not cut.
CUT = """
const found = [];
const width = document.documentElement.clientWidth;
for (const element of document.querySelectorAll("body *")) {
  if (element.closest("svg") || element.closest(".scroll") || !element.checkVisibility()) continue;
  const box = element.getBoundingClientRect();
  if (box.width && (box.right > width + 1 || box.left < -1)) found.push(element.tagName + ": " + element.textContent.trim().slice(0, 40));
  const style = getComputedStyle(element);
  if (style.textOverflow === "ellipsis" && element.scrollWidth > element.clientWidth + 1) found.push("… " + element.textContent.trim().slice(0, 40));
}
for (const svg of document.querySelectorAll(".picture svg")) {
  const frame = svg.getBoundingClientRect();
  for (const text of svg.querySelectorAll("text")) {
    const box = text.getBoundingClientRect();
    if (!text.textContent.trim() || +getComputedStyle(text).opacity === 0) continue;
    const out = box.right > frame.right + 2 || box.left < frame.left - 2 || box.bottom > frame.bottom + 2 || box.top < frame.top - 2;
    if (out || text.textContent.includes("…")) found.push(svg.closest(".picture").dataset.picture + ": " + text.textContent.slice(0, 40));
  }
}
return found;
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[WebDriver]:
    with opened_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:  # The files beside the page are slow to draw, and not looked at here.
        patch.setattr(vega, "svg_of", lambda spec: "")
        patch.setattr(vega, "png_of", lambda svg: b"")
        return write_pages(folder)


def write_pages(folder: Path) -> dict[str, Path]:
    study = write_study(folder / "study", ARMS, failed=("switch", 1, 3))
    runs = [write_run(folder / name / "version_0", cycles=14) for name in ("lr_rewind", LONG.replace("=", " "))]
    return {
        "study": report_study(study),
        "run": report_runs(runs[:1]) / "index.html",
        "runs": report_runs(runs, out=folder / "runs") / "index.html",
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["study", "run", "runs"])
def test_every_text_has_a_contrast_of_at_least_4_5(browser, pages, kind, scheme):
    assert show(browser, pages[kind], scheme=scheme) == []
    browser.execute_script("document.querySelector('nav.arms button:last-child')?.click()")
    found = browser.execute_script(CONTRASTS)
    assert len(found) > 150
    assert not [(round(contrast, 2), text) for contrast, text in found if contrast < 4.5]


@pytest.mark.parametrize("kind", ["study", "run", "runs"])
def test_nothing_is_cut_on_a_narrow_screen(browser, pages, kind):
    assert show(browser, pages[kind], NARROW) == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= NARROW
    assert browser.execute_script(CUT) == []


@pytest.mark.parametrize("kind", ["study", "run", "runs"])
def test_the_contents_lead_to_every_section(browser, pages, kind):
    show(browser, pages[kind])
    script = """return [[...document.querySelectorAll("nav.contents a")].map((link) => link.getAttribute("href").slice(1)),
                        [...document.querySelectorAll("main section")].map((section) => section.id)]"""
    links, sections = browser.execute_script(script)
    assert links == sections
    assert "learning_curves" in sections
    assert ("pareto" in sections) == (kind != "run")


@pytest.mark.parametrize("kind", ["study", "runs"])
def test_a_print_shows_everything_and_no_controls(browser, pages, kind):
    show(browser, pages[kind], width=720)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    script = """return {
        controls: [...document.querySelectorAll("nav, select, input, .vega-embed summary, .vega-actions")].filter((one) => one.checkVisibility()).length,
        folded: [...document.querySelectorAll("main details:not(.picture details)")].filter((one) => !one.open).length,
        hidden: [...document.querySelectorAll(".scroll")].filter((one) => one.scrollHeight > one.clientHeight + 2 && getComputedStyle(one).overflowY !== "visible").length,
    }"""
    assert browser.execute_script(script) == {"controls": 0, "folded": 0, "hidden": 0}
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert browser.execute_script("return document.querySelectorAll('#arms details[open]').length") == 0
