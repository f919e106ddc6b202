"""The committed campaigns: their CSV files come from their records, their reports from the CSV files, and
what the README and docs/findings.md say of them from the reports.

After a change of the CSV files or the report that is meant: `replicate aggregate short-cpu`,
`replicate report short-cpu`, and read the difference.
"""

import gzip
import re
import shutil
from pathlib import Path

import pytest

from replicate.files import checksums as sums
from replicate.plan.campaign import open_campaign
from replicate.records import record, run_folder
from replicate.report.render import render
from replicate.results.aggregate import aggregate
from replicate.workflows.audit import audit
from replicate.workflows.compare import compare
from replicate.workflows.power import power
from tests.report.reading import markdown

ROOT = Path(__file__).parents[2]
CAMPAIGN, FLOAT32, PAPER = "short-cpu", "short-float32", "paper-cpu"
RUNS = {CAMPAIGN: 126, FLOAT32: 6, PAPER: 10}
FIGURES = {CAMPAIGN: 10, FLOAT32: 5, PAPER: 6}
"""As many at least."""
SECTIONS = {"README.md": "## Results so far", "docs/findings.md": "# Findings"}
"""Where the campaign is spoken of, up to the next heading of the same level."""


@pytest.fixture(scope="module", params=RUNS)
def campaign(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def made(campaign: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CSV files and report in a project that has the committed records and nothing else."""
    root = tmp_path_factory.mktemp("committed")
    (root / "experiments").symlink_to(ROOT / "experiments")
    committed, results = (one / "results" / campaign for one in (ROOT, root))
    for folder in committed.glob("runs/*"):
        (results / "runs" / folder.name).mkdir(parents=True)
        for path in (folder / run_folder.RECORD, folder / run_folder.POOLS):
            if path.exists():
                shutil.copy(path, results / "runs" / folder.name)
    # Nothing was predicted of the float32 runs: no run like them was known.
    for name in ("campaign.json", *(["forecast.csv"] if campaign != FLOAT32 else [])):
        shutil.copy(committed / name, results)
    assert aggregate(open_campaign(root, campaign)) == []
    render(root, campaign)
    return root


def test_the_runs_are_there(campaign: str) -> None:
    results = ROOT / "results" / campaign
    done = [folder for folder in results.glob("runs/*") if record.read_status(folder) == "done"]
    assert len(done) == RUNS[campaign]
    assert len((results / "runs.csv").read_text().splitlines()) == RUNS[campaign] + 1


@pytest.mark.parametrize(
    "name",
    [
        *("runs.csv", "cells.csv", "gains.csv", "overall.csv", "claims.csv", "provenance.csv"),
        *("epochs.csv.gz", "pools.csv.gz", "maps.csv.gz"),
    ],
)
def test_the_records_give_the_same_csv_files(made: Path, campaign: str, name: str) -> None:
    """Compressed files by their content: processors compress differently."""
    old, new = (root / "results" / campaign / name for root in (ROOT, made))
    if name.endswith(".gz"):
        assert gzip.decompress(new.read_bytes()) == gzip.decompress(old.read_bytes())
    else:
        assert new.read_bytes() == old.read_bytes()


def test_the_report_is_the_same_byte_for_byte(made: Path, campaign: str) -> None:
    old, new = (root / "reports" / campaign / "report.md" for root in (ROOT, made))
    assert new.read_bytes() == old.read_bytes()


def test_the_figures_are_all_there(made: Path, campaign: str) -> None:
    """By name, since their bytes differ between versions of matplotlib; their data are the CSV files."""
    named = set(re.findall(r"\]\((figures/[^)]+)\)", _report(campaign)))
    assert len(named) >= FIGURES[campaign]
    for root in (ROOT, made):
        assert [name for name in named if not (root / "reports" / campaign / name).exists()] == []


def test_a_changed_report_is_seen(made: Path, campaign: str, tmp_path: Path) -> None:
    """The comparison above can fail: another note, and the report is another."""
    copy = tmp_path / "copy"
    shutil.copytree(made, copy, symlinks=True)
    request = copy / "results" / campaign / "campaign.json"
    request.write_text(re.sub('"note": ".*"', '"note": "another"', request.read_text()))
    request.with_name(sums.FILE).unlink()  # else it would be refused
    assert markdown(copy, campaign) != _report(campaign)


@pytest.mark.parametrize("page", SECTIONS)
def test_what_is_said_of_the_campaign_is_in_its_report(page: str, tmp_path: Path) -> None:
    """Rows of tables word for word; every number there, or in what other commands print."""
    text, reports = _section(page), f"{_report(CAMPAIGN)}\n{_report(PAPER)}"
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows
    assert [row for row in rows if row not in reports.splitlines()] == []
    settings = {"training.precision": "bfloat16"}
    planned = power(_alone(tmp_path), protocol="paper", price=0.05, settings=settings)
    others = (audit(ROOT), planned, compare(ROOT, FLOAT32, CAMPAIGN))
    sources = "\n".join((reports, *others))
    assert _numbers(text) - _numbers(sources) == set()


def _report(campaign: str) -> str:
    return (ROOT / "reports" / campaign / "report.md").read_text()


def _alone(root: Path) -> Path:
    """A project of the committed campaigns: the plan is by the speeds of all that a checkout has."""
    (root / "results").mkdir()
    for name in ("experiments", *(f"results/{campaign}" for campaign in RUNS)):
        (root / name).symlink_to(ROOT / name)
    return root


def _section(page: str) -> str:
    level = SECTIONS[page].partition(" ")[0]
    _, found, rest = (ROOT / page).read_text().partition(f"{SECTIONS[page]}\n")
    assert found
    return re.split(rf"^{level} ", rest, flags=re.MULTILINE)[0]


def _numbers(text: str) -> set[str]:
    return set(re.findall(r"(?<!\w)\d+(?:[.,]\d+)*", text))
