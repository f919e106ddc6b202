"""A results folder from a stranger: text in it that a report would render, run or follow."""

import csv
import gzip
import io
import re
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webdriver import WebDriver

from replicate.records import record
from replicate.report.render import escape_tex, render
from tests import making
from tests.making import Records

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
CELLS = ["table1/cifar10/avgpool", "table1/cifar10/flexpool"]
FIRE = "document.title=`fired`"
EVIL = (
    f"</td></span><script>{FIRE}</script><img src=x onerror={FIRE}><svg onload={FIRE}>"
    f"</script></style></title><iframe srcdoc='<script>parent.{FIRE}</script>'></iframe>"
    f'"\' onmouseover={FIRE} autofocus onfocus={FIRE} <a href="javascript:void({FIRE})">x</a>'
    f' [x](javascript:{FIRE}) ![x](x"onerror="{FIRE}) | {{{{ 7*7 }}}} {{% raw %}} `` ```\n'
    f"<script>{FIRE}</script>\n"
    "\\input{/etc/passwd}\\immediate\\write18{id} $\\bad$ %x &amp; &#60;b&#62; =1+1"
)


def test_markup_that_fires_when_nothing_is_escaped() -> None:
    """The text is live in each language: see also the browser below."""
    html = MarkdownIt("gfm-like", {"linkify": False}).render(EVIL)
    assert "<script>" in html


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a campaign in which every text that a stranger can choose is markup."""
    root = making.project(tmp_path_factory.mktemp("stranger"))
    records = Records(root)
    text = EVIL[:60].replace("'", "") + "\n```\n<script>1</script>"
    title = {"dataset.title": f"'{text}'"}  # as YAML
    campaign = records.begin(CELLS, settings=title, note=EVIL.replace("\n", " "))
    origin = dict.fromkeys(("commit", "device", "python", "torch", "precision"), EVIL)
    records.leave(campaign, CELLS[0], 0, provenance=origin, source=EVIL, fingerprint=EVIL)
    records.leave(campaign, CELLS[0], 1, source="official")
    folder = records.leave(campaign, CELLS[1], 0, None, error=EVIL, trace=EVIL)
    assert record.read_record(folder)
    from replicate.results.aggregate import aggregate

    assert aggregate(campaign) == []
    with warnings.catch_warnings(action="ignore"):  # of letters that the font lacks
        return render(root, "made")


def test_markdown_shows_it_as_text(made: Path) -> None:
    """As GitHub reads it: no element, link or picture but those of the report itself."""
    text = made.read_text()
    html = MarkdownIt("gfm-like", {"linkify": False}).render(text)
    assert not re.search(r"<(script|svg|iframe|a href=\"(?!figures/))", html)
    assert set(re.findall(r'<img src="([^"]*)"', html)) <= {
        f"figures/{path.name}" for path in (made.parent / "figures").iterdir()
    }
    assert "7*7" in html
    shown = html.count("&lt;script&gt;")
    assert shown >= 4, "it is there, as text"


def test_a_code_block_cannot_be_closed_from_within(made: Path) -> None:
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(made.read_text())
    fences = [token.content for token in tokens if token.type == "fence"]
    assert any("\nreplicate report made\n" in one for one in fences), (
        "the campaign's commands are whole"
    )
    assert any("\n```\n<script>" in one for one in fences)


def test_every_row_of_a_table_keeps_its_columns(made: Path) -> None:
    lines = made.read_text().splitlines()
    heads = [number for number, line in enumerate(lines) if line.startswith("| --- |")]
    for number in heads:
        width = lines[number].count("|")
        for line in lines[number + 1 :]:
            if not line.startswith("|"):
                break
            assert len(re.findall(r"(?<!\\)\|", line)) == width, line


def test_fields_of_csv_files_stay_in_their_columns(made: Path) -> None:
    folder = made.parents[2] / "results/made"
    for path in folder.glob("*.csv*"):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        rows = list(csv.reader(io.StringIO(content.decode())))
        assert len({len(row) for row in rows}) == 1, path
    with (folder / "runs.csv").open(newline="") as file:
        (row,) = (row for row in csv.DictReader(file) if row["status"] == "failed")
    assert row["error"].split() == EVIL.split()


@pytest.mark.latex
@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex with booktabs")
def test_latex_shows_it_as_text(made: Path, tmp_path: Path) -> None:
    """A document may write files without any option of pdflatex."""
    payload = r"\newwrite\f\immediate\openout\f=fired \immediate\write\f{x}\immediate\closeout\f"
    tables = made.with_name("tables.tex").read_text()
    for text, fires in ((escape_tex(payload) + escape_tex(EVIL), False), (payload, True)):
        body = "\\input{tables}" if not fires else ""
        head = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}"
        page = f"{head}{text}{body}\\end{{document}}"
        (tmp_path / "main.tex").write_text(page)
        (tmp_path / "tables.tex").write_text(tables)
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
        assert bool(list(tmp_path.glob("fired*"))) == fires


# in a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for option in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
    ):
        options.add_argument(option)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    driver = webdriver.Chrome(options, Service(str(DRIVER)))
    yield driver
    driver.quit()


needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="chromium or chromedriver is not installed: apt-get install chromium chromium-driver",
)


def title(browser: WebDriver, page: Path) -> str:
    """After every element was opened, touched and every link followed that is no address."""
    browser.get(page.as_uri())
    browser.execute_script(
        "document.querySelectorAll('details').forEach(part => part.open = true);"
        "document.querySelectorAll('*').forEach(one => one.dispatchEvent(new Event('mouseover')));"
        "document.querySelectorAll('button, a[href^=javascript]').forEach("
        "one => one.dispatchEvent(new MouseEvent('click', { bubbles: true })));"
    )
    browser.execute_async_script("setTimeout(arguments[0], 300)")
    return browser.title


@pytest.mark.browser
@needs_chromium
def test_no_script_of_a_stranger_runs(made: Path, browser: WebDriver) -> None:
    assert title(browser, made.with_name("report.html")) == "FlexPooling replicated: campaign made"
    scripts = browser.execute_script("return document.scripts.length")
    assert scripts == 1, "the report's own"
    assert not browser.execute_script(
        "return document.querySelectorAll('iframe, svg, a[href^=javascript]').length"
    )


@pytest.mark.browser
@needs_chromium
def test_the_same_text_fires_where_nothing_is_escaped(
    made: Path, browser: WebDriver, tmp_path: Path
) -> None:
    page = tmp_path / "naive.html"
    page.write_text(f"<title>naive</title><table><tr><td><span>{EVIL}</span></td></tr></table>")
    assert title(browser, page) == "fired"


@pytest.mark.browser
@needs_chromium
def test_figures_hold_no_script(made: Path, browser: WebDriver) -> None:
    """An SVG file that is opened by itself would run it."""
    for path in (made.parent / "figures").glob("*.svg"):
        browser.get(path.as_uri())
        assert browser.execute_script("return document.getElementsByTagName('script').length") == 0
        assert browser.title != "fired"
    assert len(list((made.parent / "figures").glob("*.svg"))) >= 3
