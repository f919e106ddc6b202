"""The HTML file as a reader opens it, in headless Chromium."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webdriver import WebDriver

from replicate.report.render import render

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
CELLS = [
    f"table{table}/{dataset}/avgpool"
    for table in (1, 2)
    for dataset in ("cifar10", "fashion-mnist", "cifar100", "tiny-imagenet")
]

COMMITTED = Path(__file__).parents[2] / "reports/short-cpu/report.html"
SEEN = """
const answer = document.querySelector(".answer");
const inside = part => part.getBoundingClientRect().bottom <= innerHeight;
const count = selector => [...answer.querySelectorAll(selector)].filter(inside).length;
return {
  table: count("tbody tr"), forest: count("figure img"), bottom: answer.getBoundingClientRect().bottom,
  words: [...answer.querySelectorAll("dt")].filter(inside).map(word => word.innerText),
};
"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER),
        reason="chromium or chromedriver is not installed: apt-get install chromium chromium-driver",
    ),
]


@pytest.fixture(scope="module")
def page(maker, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a report with a failed run and a table of eight rows."""
    make = maker(tmp_path_factory.mktemp("page"))
    error = "broke <script>console.error(1)</script> <img src=nowhere.png>"
    fates = {(cell, 1): ("failed", error) for cell in CELLS}
    fates[CELLS[0], 0] = ("failed", error)
    return render(make(cells=CELLS, seeds=2, fates=fates), "paper").with_suffix(".html").as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(str(DRIVER)))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser: WebDriver, page: str) -> WebDriver:
    """The report, loaded anew."""
    browser.get(page)
    return browser


def column(browser: WebDriver, index: int) -> list[str]:
    """The first line of every entry in a column of Table 1."""
    script = "return [...arguments[0].tBodies[0].rows].map(r => r.cells[arguments[1]].innerText)"
    table = browser.find_element("xpath", "//table[caption[contains(., 'Table 1:')]]")
    return [text.splitlines()[0] for text in browser.execute_script(script, table, index)]


def click(browser: WebDriver, title: str) -> None:
    browser.find_element(
        "xpath", f"//table[caption[contains(., 'Table 1:')]]//button[.='{title}']"
    ).click()


def test_nothing_is_wrong_on_the_console(opened: WebDriver) -> None:
    assert opened.get_log("browser") == []
    opened.execute_script("console.error('seen')")
    assert "seen" in opened.get_log("browser")[0]["message"], "the test above cannot fail"


def test_all_figures_are_shown(opened: WebDriver) -> None:
    opened.execute_script("document.querySelectorAll('details').forEach(part => part.open = true)")
    widths = opened.execute_script("return [...document.images].map(image => image.naturalWidth)")
    assert len(widths) == 4  # the trend, the learning curves, Figures 2 and 4
    assert min(widths) > 300


def test_a_header_sorts_its_column_up_and_down(opened: WebDriver) -> None:
    printed = ["CIFAR10", "Fashion-MNIST", "CIFAR100", "ImageNet"]
    assert column(opened, 0) == printed
    click(opened, "Data set")
    assert column(opened, 0) == ["CIFAR10", "CIFAR100", "Fashion-MNIST", "ImageNet"]
    click(opened, "AvgPool")
    assert column(opened, 0) == ["ImageNet", "CIFAR100", "Fashion-MNIST", "CIFAR10"]
    assert column(opened, 1)[-1] == "failed", "what has no number comes last"
    click(opened, "AvgPool")
    assert column(opened, 0) == ["CIFAR10", "Fashion-MNIST", "CIFAR100", "ImageNet"]
    sorts = "return [...document.querySelectorAll('th[aria-sort]')].map(h => h.ariaSort)"
    assert opened.execute_script(sorts) == ["descending"]


@contextmanager
def screen(browser: WebDriver, width: int, height: int) -> Iterator[None]:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    yield
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_no_wider_than_the_screen(opened: WebDriver, width: int) -> None:
    with screen(opened, width, 844):
        opened.execute_script(
            "document.querySelectorAll('details').forEach(part => part.open = true)"
        )
        inner, needed = opened.execute_script(
            "return [innerWidth, document.documentElement.scrollWidth]"
        )
    assert inner == width
    assert needed <= width


@pytest.fixture(scope="module")
def whole(maker, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a report on all 32 cells, all seeds of which finished."""
    make = maker(tmp_path_factory.mktemp("whole"))
    return render(make(seeds=3), "paper").with_suffix(".html").as_uri()


@pytest.mark.parametrize("page", ["whole", "committed"])
def test_the_first_screen_is_the_answer(
    browser: WebDriver, request: pytest.FixtureRequest, page: str
) -> None:
    browser.get(COMMITTED.as_uri() if page == "committed" else request.getfixturevalue(page))
    with screen(browser, 1280, 900):
        seen = browser.execute_script(SEEN)
    assert seen["table"] == 4, "each method, and auxiliary classifiers"
    assert seen["words"] == [
        *("Scope", "Gains", "Cells", "Claims", "What went wrong", "Not to be concluded"),
        *("Deviations", "Rules", "Authors", "The paper"),
    ]
    assert seen["forest"] == 1
    assert seen["bottom"] <= 900


@pytest.mark.parametrize(("width", "most"), [(1280, 9000), (390, 12500)])
def test_the_committed_report_is_short(browser: WebDriver, width: int, most: int) -> None:
    browser.get(COMMITTED.as_uri())
    with screen(browser, width, 844):
        height = browser.execute_script("return document.documentElement.scrollHeight")
    assert 4000 < height <= most


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_the_reader_chooses_light_or_dark(opened: WebDriver, scheme: str, dark: bool) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    colours = opened.execute_script(
        "const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]"
    )
    page, ink = (sum(map(int, colour[4:-1].split(", "))) for colour in colours)
    assert (page < ink) is dark
