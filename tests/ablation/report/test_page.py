"""The page of a study: in a browser, from a disk, without a network."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import pytest
from browser import opened_browser, show
from made_up_study import write_study
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from lightning_prune.ablation.report.report_command import report_study

PICTURES = ["metric_over_density", "differences", "cost", "shared_work", "learning_rate", "search", "density_per_layer"]
# Names that would break a page that does not escape them; `silo` searches, `switch` fails with its second seed.
NASTY = "<b>one</b></script> \"cycle\" & 'more'"
ARMS = {"lr_rewind": "rrr", NASTY: "ooo", "switch": "orr", "silo": "sss"}
TITLE = "</script><i id='broken'>digits</i>"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = write_study(tmp_path_factory.mktemp("study") / "out", ARMS, name=TITLE, failed=("switch", 1, 3))
    return report_study(study)


@pytest.fixture(scope="module")
def browser() -> Iterator[WebDriver]:
    with opened_browser() as opened:
        yield opened


@pytest.fixture
def shown(browser: WebDriver, page: Path) -> WebDriver:
    assert show(browser, page) == []
    return browser


def marks(browser: WebDriver, picture: str) -> list[str]:
    """The paths and texts of the marks of a picture, without its axes and legends."""
    script = """return [...document.querySelectorAll(`[data-picture="${arguments[0]}"] .role-mark`)]
        .flatMap((mark) => [...mark.children]).map((item) => item.outerHTML)"""
    return browser.execute_script(script, picture)


def ticks(browser: WebDriver, picture: str) -> str:
    script = """return [...document.querySelectorAll(`[data-picture="${arguments[0]}"] .role-axis-label text`)]
        .map((item) => item.textContent).join(" ")"""
    return browser.execute_script(script, picture)


def choose(browser: WebDriver, section: str, signal: str, value: str) -> None:
    Select(browser.find_element(By.CSS_SELECTOR, f"#{section} select[data-signal={signal}]")).select_by_visible_text(
        value
    )
    settle(browser)


def settle(browser: WebDriver) -> None:
    """Let the pictures draw what they were told."""
    browser.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 100))")


def column(browser: WebDriver, header: str, shown_only: bool = False) -> list[str]:
    script = """const table = document.getElementById("rows");
        const index = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent === arguments[0]);
        return [...table.tBodies[0].rows].filter((row) => !arguments[1] || row.offsetParent !== null)
            .map((row) => row.cells[index].textContent)"""
    return browser.execute_script(script, header, shown_only)


class Addresses(HTMLParser):
    """Collects whatever a browser would fetch; what a click follows is no such thing."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.style = ""
        self.inside = ""

    def handle_starttag(self, tag, attrs):
        self.inside = tag
        wanted = {"src", "srcset", "data", "action", "poster"} | ({"href"} if tag != "a" else set())
        self.found += [value for name, value in attrs if name in wanted and not value.startswith("data:")]

    def handle_data(self, data):
        self.style += data if self.inside == "style" else ""


def test_nothing_is_fetched(page):
    text = page.read_text()
    addresses = Addresses()
    addresses.feed(text)
    assert addresses.found == []
    assert "url(" not in addresses.style
    assert "@import" not in addresses.style
    assert "default-src 'none'" in text  # the browser is told so too
    assert len(text) < 5_000_000


def test_the_browser_fetches_nothing(shown):
    assert shown.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)") == []


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_files_too(page, name):
    picture = matplotlib.image.imread(page.parent / f"{name}.png")
    assert picture.shape[1] > 1000
    assert picture.shape[0] > 250
    assert 0.01 < (picture[..., :3].mean(-1) < 0.9).mean() < 0.9
    drawing = (page.parent / f"{name}.svg").read_text()
    assert drawing.startswith("<svg")
    assert drawing.count("<path") > 15


@pytest.mark.parametrize("width", [1100, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_picture_is_drawn_at_every_width(browser, page, width, scheme):
    assert show(browser, page, width, scheme) == []
    for name in PICTURES:
        assert len(marks(browser, name)) > 8, name
        drawn = browser.find_element(By.CSS_SELECTOR, f"[data-picture={name}] svg").size
        assert 0.7 * width - 60 < drawn["width"] <= width, name
        assert drawn["height"] > 80, name
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_names_are_shown_as_they_are(shown):
    assert shown.find_element(By.TAG_NAME, "h1").text == TITLE
    assert shown.find_elements(By.ID, "broken") == []
    assert NASTY in shown.find_element(By.CSS_SELECTOR, "nav.arms").text
    assert "the loss is <nan> at step 1408" in shown.find_element(By.CSS_SELECTOR, ".notes").text
    for details in shown.find_elements(By.CSS_SELECTOR, "#arms summary"):
        details.click()
    made = shown.find_element(By.ID, "arms").text
    assert "cycles <ooo>" in made
    assert "lightning-prune ablate --config" in made
    assert "arms/1.yaml --seed_everything SEED" in made


def test_the_table_sorts_by_number_and_by_text(shown):
    headers = {cell.text.split(" \n")[0]: cell for cell in shown.find_elements(By.CSS_SELECTOR, "#rows th")}
    headers["val last"].click()
    rising = column(shown, "val last")
    known = [float(value.split()[0]) for value in rising if value]
    assert known == sorted(known)
    assert known[0] < known[-1]
    assert rising[-1] == ""  # of the failed cycle, wherever the others go
    headers["val last"].click()
    falling = column(shown, "val last")
    assert [value for value in falling if value] == [value for value in rising if value][::-1]
    assert falling[-1] == ""
    headers["arm"].click()
    assert column(shown, "arm") == sorted(column(shown, "arm"), key=str.casefold)
    headers["seconds"].click()
    seconds = [float(value) for value in column(shown, "seconds") if value]
    assert (seconds[0], seconds[-1]) == (9, 27)  # as text, 18 comes before 9
    assert seconds == sorted(seconds)


def test_the_table_is_a_click_away(shown, page):
    address = shown.find_element(By.CSS_SELECTOR, "#table a").get_attribute("href")
    assert address == (page.parents[1] / "table.csv").as_uri()


def test_the_table_is_filtered_by_words(shown):
    field = shown.find_element(By.CSS_SELECTOR, "input[type=search]")
    field.send_keys("SILO 3-")
    assert column(shown, "arm", shown_only=True) == []
    field.clear()
    field.send_keys("Silo")
    assert set(column(shown, "arm", shown_only=True)) == {"silo"}
    assert shown.find_element(By.CSS_SELECTOR, "[data-count]").text == "12 of 48 rows"


def test_an_arm_is_hidden_in_all_pictures(shown):
    names = ["metric_over_density", "differences", "cost", "learning_rate"]
    before = {name: marks(shown, name) for name in names}
    button = shown.find_element(By.CSS_SELECTOR, "nav.arms button[data-arm=silo]")
    button.click()
    settle(shown)
    for name in names:
        assert 0 < len(marks(shown, name)) < len(before[name]), name
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    settle(shown)
    for name in names:
        assert len(marks(shown, name)) == len(before[name]), name


def test_menus_change_their_pictures(shown):
    before = marks(shown, "differences")
    choose(shown, "differences", "reference", "silo")
    assert marks(shown, "differences") != before
    before = marks(shown, "density_per_layer")
    choose(shown, "density_per_layer", "arm", "silo")
    assert [
        mark.replace("silo", "lr_rewind") for mark in marks(shown, "density_per_layer")
    ] == before  # all prune alike
    before = marks(shown, "cost")
    choose(shown, "cost", "unit", "seconds")
    assert marks(shown, "cost") != before
    before = marks(shown, "shared_work")
    choose(shown, "shared_work", "seed", "1")
    assert any("failed" in mark for mark in marks(shown, "shared_work"))
    assert not any("failed" in mark for mark in before)


def test_a_measure_is_chosen_once_for_all_pictures(shown):
    assert "%" in ticks(shown, "metric_over_density").replace("100%", "", 1)
    choose(shown, "metric_over_density", "measure", "validation loss, last epoch")
    for section in ("differences", "cost"):
        menu = shown.find_element(By.CSS_SELECTOR, f"#{section} select[data-signal=measure]")
        assert menu.get_property("value") == "validation loss, last epoch"
    assert "%" not in ticks(shown, "cost")
