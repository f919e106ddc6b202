"""Real records, committed with the CSV files and the report made of them: both come out the same.

Eight runs on the real Fashion-MNIST, one epoch each. After a change that is meant, make them again
and read the difference:

    python -c 'from tests.report.test_golden import regenerate; regenerate()'
"""

import filecmp
import gzip
import shutil
from pathlib import Path

import pytest

from replicate import campaign, sums
from replicate.report.render import render
from replicate.results.aggregate import aggregate

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
CAMPAIGN = "fashion"
RUNS = 8


def make(root: Path) -> Path:
    """CSV files and report in a project at `root` that has the golden records and nothing else."""
    (root / "experiments").symlink_to(ROOT / "experiments")
    shutil.copytree(GOLDEN / "results" / CAMPAIGN / "runs", root / "results" / CAMPAIGN / "runs")
    shutil.copy(GOLDEN / "results" / CAMPAIGN / "campaign.json", root / "results" / CAMPAIGN)
    aggregate(campaign.opened(root, CAMPAIGN))
    render(root, CAMPAIGN)
    return root


def regenerate() -> None:
    """Replace the golden CSV files and report by those of today's code."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        made = make(Path(folder))
        for path in made.glob(f"results/{CAMPAIGN}/*.csv*"):
            shutil.copy(path, GOLDEN / "results" / CAMPAIGN)
        shutil.copy(made / "reports" / CAMPAIGN / "report.md", GOLDEN / "report.md")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("golden"))


def test_the_golden_runs_are_there() -> None:
    assert len(list(GOLDEN.glob(f"results/{CAMPAIGN}/runs/*/record.json"))) == RUNS
    assert len((GOLDEN / "results" / CAMPAIGN / "runs.csv").read_text().splitlines()) == RUNS + 1


@pytest.mark.parametrize(
    "name",
    ["runs.csv", "cells.csv", "provenance.csv", "epochs.csv.gz", "pools.csv.gz", "maps.csv.gz"],
)
def test_the_records_give_the_same_csv_files(made: Path, name: str) -> None:
    """Compressed files by their content: zlib's versions compress differently."""
    old, new = (root / "results" / CAMPAIGN / name for root in (GOLDEN, made))
    if name.endswith(".gz"):
        assert gzip.decompress(new.read_bytes()) == gzip.decompress(old.read_bytes())
    else:
        assert new.read_bytes() == old.read_bytes()


def test_the_report_is_the_same_byte_for_byte(made: Path) -> None:
    assert (made / "reports" / CAMPAIGN / "report.md").read_bytes() == (
        GOLDEN / "report.md"
    ).read_bytes()


def test_the_figures_are_all_there(made: Path) -> None:
    """By name, since their bytes differ between versions of matplotlib; their data are the CSV files."""
    named = {
        line.partition("](figures/")[2].partition(")")[0]
        for line in (GOLDEN / "report.md").read_text().splitlines()
        if line.startswith("![")
    }
    assert len(named) >= 5
    assert named <= {path.name for path in (made / "reports" / CAMPAIGN / "figures").iterdir()}


def test_a_changed_number_is_seen(made: Path, tmp_path: Path) -> None:
    """The comparison above can fail: one accuracy in runs.csv, and the report is another."""
    copy = tmp_path / "copy"
    shutil.copytree(made, copy, symlinks=True)
    cells = copy / "results" / CAMPAIGN / "cells.csv"
    text = cells.read_text()
    assert "77.68" in text
    cells.write_text(text.replace("77.68", "77.69"))
    cells.with_name(sums.FILE).unlink()  # else it would be refused
    render(copy, CAMPAIGN)
    report = Path("reports") / CAMPAIGN / "report.md"
    assert not filecmp.cmp(copy / report, made / report, shallow=False)
