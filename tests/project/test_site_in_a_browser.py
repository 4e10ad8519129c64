"""The built site in a browser, opened from the disk: it looks right at two widths, and the search finds without network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from browser import opened_browser
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from site_markup import raw_markup

import lightning_prune

pytestmark = pytest.mark.slow
ROOT = Path(lightning_prune.__file__).parents[1]
PAGES = (
    "index.html",
    "start/choosing.html",
    "start/concepts.html",
    "recipes/prune.html",
    "variants.html",
    "reference/compatibility.html",
    "gallery/index.html",
    "gallery/01_your_own_module.html",
    "reference/api/policies.html",
    "reference/api/criteria.html",
    "configs/digits.html",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    words = ["-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def browser():
    with opened_browser() as opened:
        yield opened


def show(browser, page, width, scheme):
    """Open a page and return what the console complained about."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get_log("browser")
    browser.get(page.as_uri())
    return [entry["message"] for entry in browser.get_log("browser")]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("width", [1280, 420])
def test_a_page_fits_and_loads_all_that_it_needs(site, browser, page, width):
    for scheme in ("light", "dark"):
        assert show(browser, site / page, width, scheme) == []
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        bright = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (bright == "rgb(255, 255, 255)") == (scheme == "light")
        broken = "return [...document.images].filter(one => one.complete && !one.naturalWidth).map(one => one.src)"
        assert browser.execute_script(broken) == []


def test_no_page_shows_the_source_of_its_markup(site):
    """Tables and code in ``<details>`` are rendered, and nothing waits for a script that is not there."""
    found = {page: lines for page in site.rglob("*.html") if (lines := raw_markup(page.read_text()))}
    assert found == {}


def test_formulas_are_drawn(site, browser):
    show(browser, site / "reference" / "api" / "criteria.html", 1280, "light")
    sizes = "return [...document.querySelectorAll('math')].map(one => one.getBoundingClientRect().width)"
    found = browser.execute_script(sizes)
    assert len(found) > 20
    assert all(width > 0 for width in found)


FOUND = [
    ("LinearRestart", "reference/api/policies.html"),
    ("lrrewind", "reference/api/policies.html"),
    ("onecycleretrain", "reference/api/policies.html"),
    ("iterativepruning", "reference/api/pruning.html"),
    ("IterativePruning", "reference/api/pruning.html"),
    ("oneshot", "reference/api/schedules.html"),
    ("structures_of", "structures.html"),
    ("rewind", "recipes/retrain.html"),
    ("rewinding", "start/glossary.html"),
    ("one-cycle", "gallery/03_schedules.html"),
    ("shrink", "structures.html"),
    ("restart", "reference/api/policies.html"),
    ("schedule", "reference/api/schedules.html"),
    ("2:4", "recipes/small.html"),
    ("torch.export", "deployment/deployment.html"),
    ("glossary", "start/glossary.html"),
]


@pytest.mark.parametrize(("words", "place"), FOUND)
def test_the_search_finds_without_a_network_and_without_a_server(site, browser, words, place):
    show(browser, site / "index.html", 1280, "light")
    browser.execute_script("document.querySelector('label[for=__search]').click()")
    field = browser.find_element(By.CSS_SELECTOR, "input.md-search__input")
    WebDriverWait(browser, 30).until(lambda _: field.is_displayed())
    field.send_keys(words, Keys.SPACE)
    links = WebDriverWait(browser, 30).until(
        lambda it: it.execute_script(
            "return [...document.querySelectorAll('.md-search-result__link')].map(a => a.href)"
        )
    )
    assert any(place in link for link in links)


def test_nothing_is_loaded_from_elsewhere(site, browser):
    for page in PAGES[:3]:
        show(browser, site / page, 1280, "light")
        loaded = browser.execute_script("return performance.getEntriesByType('resource').map(one => one.name)")
        assert not [address for address in loaded if address.startswith("http")]
