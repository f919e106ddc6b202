"""The files of a report: structure, escaping, and the same bytes each time."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from markdown_it import MarkdownIt

from replicate.errors import UserError
from replicate.plan.campaign import Campaign
from replicate.report.render import (
    as_html,
    as_markdown,
    as_tex,
    escape_markdown,
    escape_tex,
    render,
)
from replicate.report.sections.overview import document
from replicate.results.read import read_results
from tests.report.conftest import age

EVIL = "CUDA error <script>alert(1)</script> | pipe `tick` *b* _i_ [l](x) $x$ ~~s~~\nsecond & line"
FAILED, DIVERGED, MISSING = (
    "table1/cifar10/flexpool",
    "table2/cifar100/flexpool",
    "table2/tiny-imagenet/",
)


def _tables(markdown: str) -> list[list[list[str]]]:
    """Every table as GitHub sees it: rows of the text of their cells."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(markdown)
    tables: list[list[list[str]]] = []
    for index, token in enumerate(tokens):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type in ("td_open", "th_open"):
            tables[-1][-1].append(_plain(tokens[index + 1]))
    return tables


def _table(report: Path, caption: str) -> list[list[str]]:
    """The table whose caption begins so."""
    _, _, rest = report.read_text().partition(f"**{caption}")
    return _tables(rest)[0]


def _plain(inline) -> str:
    return "".join(
        child.content for child in inline.children if child.type in ("text", "html_inline")
    )


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, maker) -> Path:
    """A report of a campaign in which everything went wrong that can."""
    make = maker(tmp_path_factory.mktemp("mixed"))
    fates = {(FAILED, seed): ("failed", EVIL) for seed in range(3)}
    fates |= {
        (DIVERGED, 1): ("diverged", "loss is nan in epoch 3"),
        (DIVERGED, 2): ("failed", EVIL),
    }
    fates |= {
        (name, seed): ("missing", "") for name in make.cells if MISSING in name for seed in range(3)
    }

    others = {
        ("table1/cifar10/avgpool", 2): {"provenance": {"torch": "2.12.0"}},
        ("table2/cifar10/avgpool", 0): {"fingerprint": "0" * 64},
    }

    def edit(cell: str, seed: int) -> dict[str, Any]:
        return others.get((cell, seed), {})

    def alter(campaign: Campaign) -> None:
        age(campaign, "table1/cifar100/avgpool")

    root = make("mixed", seeds=3, fates=fates, edit=edit, alter=alter)
    return render(root, "mixed")


def test_everything_that_went_wrong_comes_behind_the_answer(mixed: Path) -> None:
    text = mixed.read_text()
    assert text.startswith("# FlexPooling replicated: campaign mixed\n\n## The answer\n")
    counts = "Of 96 runs: 79 finished, 1 diverged, 4 failed, 12 not begun."
    stale = "The spec of 1 cell changed after the runs."
    assert f"- **What went wrong:** {counts} {stale}" in text
    _, wrong = text.split("## What went wrong")
    assert counts in wrong
    ended, incomplete, stale, differing = _tables(wrong)[:4]
    flat = (
        "CUDA error <script>alert(1)</script> | pipe `tick` *b* _i_ [l](x) $x$ ~~s~~ second & line"
    )
    assert ended[1:] == [
        ["failed", flat, "4", f"{FAILED} seeds 0–2; {DIVERGED} seed 2"],
        ["diverged", "loss is nan in epoch 3", "1", f"{DIVERGED} seed 1"],
    ]
    assert incomplete[1:3] == [
        [FAILED, "0", "3", "3", "0", "none", "none"],
        [DIVERGED, "1", "3", "1", "1", "none", "none"],
    ]
    assert [row[5:] for row in incomplete[3:]] == [["none", "seeds 0–2"]] * 4
    assert stale[1:] == [["table1/cifar100/avgpool"]]
    assert sorted(row[:2] for row in differing[1:]) == [
        ["cifar10", "images (fingerprint)"],
        ["table1/cifar10/avgpool", "PyTorch"],
        ["table2/cifar10/avgpool", "images (fingerprint)"],
    ]
    assert f"{'0' * 12} (1); {'f' * 12} (2)" in [row[2] for row in differing[1:]]


def test_markup_in_an_error_stays_text(mixed: Path) -> None:
    assert "<script" not in mixed.read_text()
    page = mixed.with_name("report.html").read_text()
    assert page.count("<script>") == 1  # the sorting of the tables
    assert "&lt;script&gt;alert(1)&lt;/script&gt; | pipe" in page


def test_both_tables_hold_32_cells(mixed: Path) -> None:
    first, second = (_table(mixed, f"Table {number}: ") for number in (1, 2))
    entries = [text for table in (first, second) for row in table[1:] for text in row[1:]]
    assert len(entries) == 32
    assert all(re.search(r"published \d\d\.\d\d", text) for text in entries)
    assert first[1][2] == "failed<br>published 91.91<br>3 failed"
    assert first[1][1].endswith("<br>mixed torch<br>" + first[1][1].rpartition("<br>")[2])
    assert second[3][2].startswith("64.")
    assert second[3][2].endswith("<br>1 failed, 1 diverged<br>unstable")
    assert [text.partition("<br>")[0] for text in second[4][1:]] == ["not run"] * 4


def test_every_cell_has_its_command(mixed: Path) -> None:
    commands = re.findall(r"\| replicate run (table\S+) (.*) \|$", mixed.read_text(), re.MULTILINE)
    assert len(commands) == len({cell for cell, _ in commands}) == 32
    assert {options for _, options in commands} == {"--protocol paper --seeds 3 --campaign mixed"}


def test_figures_are_there_and_linked(mixed: Path) -> None:
    names = re.findall(r"!\[[^\]]+\]\((figures/[\w-]+\.svg)\)", mixed.read_text())
    assert [Path(name).stem for name in names] == [
        "gains", "trend", "curves", "figure2", "figure4", "sums", "maps-table1-stage3",
        "maps-table2-stage3", "maps-table2-stage2", "maps-table2-stage1",
    ]  # fmt: skip
    for name in names:
        assert (mixed.parent / name).stat().st_size > 10_000
        assert (mixed.parent / name).read_text().rstrip().endswith("</svg>")
    assert mixed.with_name("report.html").read_text().count("data:image/svg+xml;base64,") == len(
        names
    )


def test_nothing_of_this_machine_is_in_a_report(mixed: Path) -> None:
    for path in (mixed, mixed.with_name("report.html"), mixed.with_name("tables.tex")):
        assert str(mixed.parents[2]) not in path.read_text()


class Texts(NamedTuple):
    markdown: str
    html: str
    tex: str


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory, maker) -> Texts:
    """Without drawing."""
    make = maker(tmp_path_factory.mktemp("smoke"))
    root = make("smoke", "smoke", seeds=1, settings={"training.batch_size": "50"})
    report = document(read_results(root, "smoke"))
    pictures = {f"{figure.name}.svg": b"<svg/>" for figure in report.figures}
    return Texts(
        *(
            text.decode()
            for text in (as_markdown(report), as_html(report, pictures), as_tex(report))
        )
    )


SHORT = "Not comparable with the paper"
WHY = "protocol smoke (generated images, 2 epochs); setting training.batch_size=50"


def test_smoke_says_why_once_and_marks_what_stands_beside_the_paper(smoke: Texts) -> None:
    text = smoke.markdown.replace("\\", "")
    lines = text.splitlines()
    assert lines[2] == f"> **{SHORT}: {WHY}.**"
    assert text.count(WHY) == 1
    marked = [line for line in lines if f"<br>**{SHORT}.**" in line]
    names = [re.findall(r"\(figures/(.*)\.svg\)", line)[0] for line in marked]
    assert names == ["gains", "trend", "figure2", "figure4"]
    assert smoke.html.count(f"{SHORT}: {WHY}.") == 1
    assert smoke.html.count(f"{SHORT}.") == len(marked)
    assert smoke.tex.count("Not comparable") == smoke.tex.count(r"\begin{table*}")


def test_smoke_has_no_verdict(smoke: Texts) -> None:
    rows = [row for table in _tables(smoke.markdown) for row in table]
    words = {line for row in rows for entry in row for line in entry.split("<br>")}
    assert not words & {"consistent", "higher", "lower", "inconclusive", "gain", "loss"}
    assert "Of the paper's: 32 not comparable." in smoke.markdown


def test_settings_are_in_the_commands(smoke: Texts) -> None:
    command = "--campaign smoke --set training.batch\\_size=50"
    assert smoke.markdown.count(f"{command} |") == 32
    assert smoke.markdown.count("--campaign smoke --set training.batch_size=50\n") == 1


def test_a_comparable_report_has_no_mark(mixed: Path) -> None:
    for name in ("report.md", "report.html", "tables.tex"):
        assert "Not comparable" not in mixed.with_name(name).read_text()


def test_the_same_bytes_again_and_elsewhere(make, tmp_path: Path) -> None:
    cells = ["table1/cifar10/avgpool", "table1/cifar10/flexpool"]
    root = make("partial", cells=cells, seeds=2)
    inputs = _bytes(root / "results")
    figures = root / "reports" / "partial" / "figures"
    figures.mkdir(parents=True)
    (figures / "of-an-earlier-report.svg").touch()
    (figures / "notes.txt").touch()
    first = _bytes(render(root, "partial").parent)
    assert first.pop("figures/notes.txt") == b"", "only figures are cleared away"
    assert {name for name in first if name.startswith("figures")} == {
        f"figures/{name}.svg"
        for name in ("figure2", "trend", "gains", "curves", "sums", "maps-table1-stage3")
    }
    assert _bytes(root / "results") == inputs
    assert {path.name for path in (root / "reports").iterdir()} == {"partial", "writing.lock"}
    elsewhere = tmp_path / "elsewhere"
    for folder in ("results", "experiments"):
        shutil.copytree(root / folder, elsewhere / folder)
    assert _bytes(render(elsewhere, "partial").parent) == first


def _bytes(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_nothing_has_run_yet(make) -> None:
    cells = ["table1/cifar10/avgpool", "table1/cifar10/flexpool"]
    fates = {(cell, 0): ("missing", "") for cell in cells}
    root = make("none", cells=cells, seeds=1, fates=fates)
    text = as_markdown(document(read_results(root, "none"))).decode()
    assert "Of 2 runs: 0 finished, 2 not begun. 30 of the paper's 32" in text
    assert "No mean gain yet: an interval needs two seeds of both cells of a pair." in text
    assert "No run has finished." in text
    assert "curves.svg" not in text


def test_a_campaign_that_is_not_there(make) -> None:
    with pytest.raises(UserError, match="no campaign 'absent'"):
        render(make(cells=["table1/cifar10/avgpool"], seeds=1), "absent")


def test_escape_markdown() -> None:
    assert escape_markdown("a|b <i> `c` *d*\n _e_ $f$") == r"a\|b &lt;i&gt; \`c\` \*d\* \_e\_ \$f\$"


def test_escape_tex() -> None:
    assert (
        escape_tex("50 % of a_b & {c} \\d ± −1")
        == r"50 \% of a\_b \& \{c\} \textbackslash{}d $\pm$ $-$1"
    )


def test_tex_rows_have_as_many_columns_as_the_head(mixed: Path) -> None:
    text = mixed.with_name("tables.tex").read_text()
    rows = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert len(rows) > 2 + 2 * 4
    assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {4, 5}, "the overall answer has 4"
    assert text.count("{") == text.count("}")
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 5


@pytest.mark.latex
@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex with booktabs")
def test_tex_compiles(mixed: Path, tmp_path: Path) -> None:
    source = (
        r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{tables}\end{document}"
    )
    (tmp_path / "main.tex").write_text(source)
    shutil.copy(mixed.with_name("tables.tex"), tmp_path)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_the_claim_sheets_can_be_read_by_a_program(mixed: Path) -> None:
    sheets = json.loads(mixed.with_name("claims.json").read_text())
    assert [sheet["id"] for sheet in sheets] == [f"C{number:02}" for number in range(1, 26)]
    one = sheets[1]
    assert one["says"] == "FlexPool beats average pooling on every data set"
    assert one["printed"]["outcome"] == "holds"
    assert one["command"].startswith(
        "replicate run 'table1/*/avgpool' 'table1/*/flexpool' --protocol paper"
    )
    assert one["runs"] == 40
    assert one["hours"] > 0
    differences = one["replicated"]["differences"]
    assert {row["over"].rpartition("/")[2] for row in differences} == {"avgpool"}
    assert all(row["low"] < row["gain"] < row["high"] for row in differences)
