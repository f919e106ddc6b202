"""The archive of a campaign: the same bytes each time, and enough to compute every number again."""

import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replicate.errors import UserError
from replicate.plan.campaign import Campaign
from replicate.workflows import export

ROOT = Path(__file__).parents[1]
CELL, AVERAGE = "table1/cifar10/flexpool", "table1/cifar10/avgpool"
Replicate = Callable[..., tuple[int, str, str]]


@pytest.fixture
def campaign(records: Any) -> Campaign:
    for name in export.ENVIRONMENT:
        (records.root / name).write_bytes((ROOT / name).read_bytes())
    made = records.begin([AVERAGE, CELL], settings={"training.precision": "float32"})
    for seed in range(2):
        records.leave(made, AVERAGE, seed, 91.5 + seed / 10)
        records.leave(made, CELL, seed, 91.8 + seed / 5, pools=[np.full((2, 2, 2), 0.3)])
    return made


@pytest.mark.slow
def test_every_number_comes_back_from_the_archive_alone(
    campaign: Campaign, replicate: Replicate, tmp_path: Path
) -> None:
    code, out, _ = replicate("export", "made", "--output", str(tmp_path / "made.tar.gz"))
    assert (code, out) == (0, f"{tmp_path / 'made.tar.gz'}\n")
    with tarfile.open(tmp_path / "made.tar.gz") as archive:
        archive.extractall(tmp_path / "elsewhere", filter="data")
    folder = tmp_path / "elsewhere/made"
    results = folder / "results/made"
    before = {path.name: path.read_bytes() for path in results.glob("*.csv*")}
    assert len(before) == 9
    assert len(json.loads((folder / "reports/made/claims.json").read_text())) == 25
    report = (folder / "reports/made/report.md").read_bytes()
    for path in [*results.glob("*.csv*"), folder / "reports/made/report.md"]:
        path.unlink()
    readme = (folder / "README.md").read_text()
    for command in ("aggregate made", "report made"):
        assert f"\npython -m replicate {command}\n" in readme
        arguments = [sys.executable, "-m", "replicate", *command.split()]
        subprocess.run(
            arguments, cwd=folder, check=True, capture_output=True, env={"HOME": str(tmp_path)}
        )
    assert {path.name: path.read_bytes() for path in results.glob("*.csv*")} == before
    assert (folder / "reports/made/report.md").read_bytes() == report


@pytest.fixture
def unreported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that costs nothing."""

    def render(root: Path, name: str) -> None:
        (root / "reports" / name / "figures").mkdir(parents=True, exist_ok=True)
        (root / "reports" / name / "report.md").write_text("a report")

    monkeypatch.setattr("replicate.report.render.render", render)


@pytest.mark.usefixtures("unreported")
def test_the_same_content_gives_the_same_bytes(campaign: Campaign, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.tar.gz", "b.tar.gz")]
    for path in paths:
        export.export(campaign.root, "made", path)
        next(campaign.runs_folder.glob("*-s0-*/record.json")).touch()
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].read_bytes()[4:8] == bytes(4), "gzip's own time stamp"
    with tarfile.open(paths[0]) as archive:
        assert {(entry.mtime, entry.uid, entry.uname) for entry in archive} == {(0, 0, "")}


@pytest.mark.usefixtures("unreported")
def test_what_is_inside_and_what_is_not(campaign: Campaign, tmp_path: Path) -> None:
    folder = next(campaign.runs_folder.glob("*-s0-*"))
    (folder / "checkpoint.pt").write_bytes(b"large")
    (folder / "log").write_text("long")
    export.export(campaign.root, "made", tmp_path / "a.tar.gz")
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        names = archive.getnames()
        readme = archive.extractfile("made/README.md").read().decode()  # type: ignore[union-attr]
    assert names == sorted(names)
    inside = {name.removeprefix("made/") for name in names}
    assert inside >= {
        *("README.md", "requirements.lock", "environment.yml", "results/made/campaign.json"),
        *("results/made/cells.csv", "results/made/epochs.csv.gz", "reports/made/report.md"),
        *("experiments/protocols/paper.yaml", "experiments/paper/claims.yaml"),
        *("replicate/cli.py", "replicate/report/templates/report.md.jinja"),
    }
    assert sum(name.endswith("/record.json") for name in inside) == 4
    assert not any(name.endswith(("checkpoint.pt", "/log", ".pyc")) for name in inside)
    options = "--protocol paper --seeds 2 --campaign made-again --set training.precision=float32"
    assert f"\npython -m replicate run {AVERAGE} {CELL} {options}\n" in readme
    assert f"{'0' * 40}." in readme


@pytest.mark.usefixtures("unreported")
def test_every_file_is_described(campaign: Campaign, tmp_path: Path) -> None:
    """As an RO-Crate, which `rocrate-validator` (roc-validator 0.13.0) found valid."""
    export.export(campaign.root, "made", tmp_path / "a.tar.gz")
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        sizes = {one.name.removeprefix("made/"): str(one.size) for one in archive}
        graph = json.load(archive.extractfile("made/ro-crate-metadata.json"))["@graph"]  # type: ignore[arg-type]
    files = {one["@id"]: one["contentSize"] for one in graph if one["@type"] == "File"}
    assert files == {name: size for name, size in sizes.items() if "ro-crate" not in name}
    root = next(one for one in graph if one["@id"] == "./")
    assert {part["@id"] for part in root["hasPart"]} == files.keys()
    assert root["datePublished"] == "2026-01-01"


@pytest.mark.usefixtures("unreported")
def test_without_all_that_is_needed_nothing_is_written(campaign: Campaign, tmp_path: Path) -> None:
    (campaign.root / "requirements.lock").unlink()
    with pytest.raises(UserError, match=r"requirements\.lock: not there"):
        export.export(campaign.root, "made", tmp_path / "a.tar.gz")
    with pytest.raises(UserError, match="no campaign 'absent'"):
        export.export(campaign.root, "absent", tmp_path / "a.tar.gz")
    assert not (tmp_path / "a.tar.gz").exists()


@pytest.mark.usefixtures("unreported")
def test_corrupt_records_are_named(campaign: Campaign, replicate: Replicate) -> None:
    file = next(campaign.runs_folder.glob("*-s0-*/record.json"))
    file.write_text("broken")
    code, out, err = replicate("export", "made")
    assert (code, out) == (0, "made.tar.gz\n")
    assert err.startswith("left out: ")
    assert "record.json" in err


@pytest.mark.usefixtures("unreported")
def test_only_an_earlier_archive_of_the_campaign_is_replaced(
    campaign: Campaign, replicate: Replicate
) -> None:
    others = {"README.md": b"# Mine", "empty": b"", "other.tar.gz": b""}
    with tarfile.open(campaign.root / "other.tar.gz", "w:gz") as archive:
        archive.add(campaign.root / "requirements.lock", "other/README.md")
    others["other.tar.gz"] = (campaign.root / "other.tar.gz").read_bytes()
    for name, content in others.items():
        (campaign.root / name).write_bytes(content)
        code, out, err = replicate("export", "made", "--output", name)
        assert (code, out) == (2, "")
        assert f"{name}: exists, and is no archive of campaign made: name another --output" in err
        assert (campaign.root / name).read_bytes() == content
    for _ in range(2):
        assert replicate("export", "made", "--output", "made.tgz")[:2] == (0, "made.tgz\n")
