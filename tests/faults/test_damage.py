"""Damaged files are noticed by their checksums, set aside or made again, and it is said so."""

import gzip
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from replicate.data import cache
from replicate.errors import UserError
from replicate.files import checksums as sums
from replicate.plan.campaign import Campaign, read_request
from replicate.records import record, run_folder
from replicate.records.run_folder import read_attempts
from replicate.report import render
from replicate.results import aggregate
from replicate.results.read import read_results
from tests import making
from tests.faults.campaigns import CELLS, OPTIONS, outcome, training
from tests.faults.children import Death, child, command
from tests.making import Records

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
Damage = Callable[[bytes], bytes]
RUN = ["run", *CELLS, *OPTIONS]


def flip(content: bytes, at: int, bit: int = 0) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


DAMAGES: dict[str, Damage] = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "bit": lambda content: flip(content, len(content) // 2),
}


@pytest.fixture(autouse=True)
def _no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "render", lambda root, campaign: root / "report.md")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a finished campaign."""
    project = making.project(tmp_path_factory.mktemp("finished"))
    before, render.render = render.render, lambda root, campaign: root / "report.md"
    end = child(command(project, *RUN), project)
    render.render = before
    assert end.code == 0, end.said
    return project


@pytest.fixture
def copy(finished: Path, project: Path) -> Path:
    for name in ("results", ".cache"):
        shutil.copytree(finished / name, project / name)
    return project


def again(project: Path) -> Death:
    end = child(command(project, *RUN), project)
    assert end.code == 0, end.said
    return end


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", [run_folder.RECORD, run_folder.POOLS])
def test_a_run_is_done_again(finished: Path, copy: Path, name: str, damage: str) -> None:
    path = next((copy / "results" / "smoke" / "runs").glob(f"*/{name}"))
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    said = again(copy).said
    assert (
        f"{path.parent.relative_to(copy) / run_folder.RECORD} or its pools.npz is damaged" in said
    )
    assert (path.parent / "record-corrupt-1.json").exists()
    assert len(read_attempts(path.parent)) == 2
    assert outcome(copy / "results" / "smoke") == outcome(finished / "results" / "smoke")


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["runs.csv", "cells.csv", "epochs.csv.gz", "maps.csv.gz"])
def test_a_csv_file_is_made_again(finished: Path, copy: Path, name: str, damage: str) -> None:
    path = copy / "results" / "smoke" / name
    damaged = DAMAGES[damage](path.read_bytes())
    path.write_bytes(damaged)
    with pytest.raises(UserError, match=f"{name} is not as it was written: make it again with"):
        read_results(copy, "smoke")
    end = child(command(copy, "aggregate", "smoke"), copy)
    assert end.code == 0, end.said
    assert f"{name} is damaged: set aside as {name}.corrupt" in end.said
    assert path.with_name(f"{name}.corrupt").read_bytes() == damaged
    assert outcome(copy / "results" / "smoke") == outcome(finished / "results" / "smoke")
    assert read_results(copy, "smoke").runs["status"].tolist() == ["done"] * 2


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_csv_file_without_a_noted_checksum(finished: Path, copy: Path, damage: str) -> None:
    """As of campaigns begun before there were any: what cannot be read is set aside."""
    results = copy / "results" / "smoke"
    (results / sums.FILE).unlink()
    content = (results / "runs.csv").read_bytes()
    (results / "runs.csv").write_bytes(DAMAGES[damage](content)[:100])  # no whole row is left
    assert child(command(copy, "aggregate", "smoke"), copy).code == 0
    assert outcome(results) == outcome(finished / "results" / "smoke")


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_request(finished: Path, copy: Path, damage: str) -> None:
    """What was asked for cannot be guessed: one line, and the same command once the file is away."""
    path = copy / "results" / "smoke" / "campaign.json"
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    for arguments in (RUN, ["status"], ["aggregate", "smoke"]):
        end = child(command(copy, *arguments), copy)
        assert end.code == 2
        (line,) = end.said.splitlines()
        assert "campaign.json: cannot be read (not as it was written, says SHA256SUMS)" in line
        assert "restore it, or delete it and run again" in line
    path.unlink()
    again(copy)
    assert outcome(copy / "results" / "smoke") == outcome(finished / "results" / "smoke")
    assert path.read_bytes() == (finished / "results" / "smoke" / "campaign.json").read_bytes()


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["entry.json", "train-images.npy", "test-labels.npy"])
def test_a_cache_entry_is_built_again(finished: Path, copy: Path, name: str, damage: str) -> None:
    (path,) = (copy / ".cache" / "data").glob(f"*/{name}")
    whole = path.read_bytes()
    path.write_bytes(DAMAGES[damage](whole))
    shutil.rmtree(copy / "results")
    again(copy)
    assert path.read_bytes() == whole
    assert outcome(copy / "results" / "smoke") == outcome(finished / "results" / "smoke")


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", [run_folder.CHECKPOINT, run_folder.PROGRESS, run_folder.ATTEMPTS])
def test_a_run_under_way(
    begin: Callable[..., Campaign], tmp_path: Path, name: str, damage: str
) -> None:
    campaign = begin(cells=CELLS[1:])
    (run,) = campaign.runs
    action = training(campaign, tmp_path / "cache")
    at = 60  # in the second epoch
    assert child(action, campaign.root, at).killed
    folder = campaign.runs_folder / run.folder_name
    path = folder / name
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    seen = child(command(campaign.root, "status"), campaign.root)
    assert seen.code == 0, seen.said
    assert "interrupted" in seen.said
    end = child(
        command(campaign.root, "run", CELLS[1], *OPTIONS, "--campaign", "tiny"), campaign.root
    )
    assert end.code == 0, end.said
    assert record.read_status(folder) == "done"
    if name == run_folder.CHECKPOINT:
        assert "checkpoint.pt.corrupt: this checkpoint was damaged, the run began anew" in end.said
        assert (folder / "checkpoint.pt.corrupt").exists()


def test_a_forecast_is_made_anew(copy: Path) -> None:
    path = copy / "results" / "smoke" / "forecast.csv"
    for content in ("cell,seed,run_id,predicted\ntable1/cif", "", "x\n"):
        path.write_text(content)
        again(copy)


def test_no_flipped_bit_of_a_file_goes_unnoticed(copy: Path) -> None:
    """One bit of every byte in turn, or of a thousand bytes of a long file."""
    results = copy / "results" / "smoke"
    folder = next(path.parent for path in results.glob(f"runs/*/{run_folder.POOLS}"))
    (entry,) = (copy / ".cache" / "data").glob("*/entry.json")
    watched: dict[Path, Callable[[], bool]] = {
        folder / run_folder.RECORD: lambda: record.read_status(folder) is None,
        folder / run_folder.POOLS: lambda: record.read_status(folder) is None,
        entry: lambda: cache.damage(entry.parent) is not None,
    }
    names = ("campaign.json", "runs.csv", "cells.csv", "provenance.csv", "epochs.csv.gz")
    for path in (results / name for name in names):
        watched[path] = lambda path=path: sums.damaged(path)  # type: ignore[misc]
    draw = random.Random(0)
    for path, noticed in watched.items():
        whole = path.read_bytes()
        assert not noticed(), path
        for at in draw.sample(range(len(whole)), min(len(whole), 1000)):
            path.write_bytes(flip(whole, at, draw.randrange(8)))
            assert noticed(), f"{path.name}, byte {at}"
        path.write_bytes(whole)


def test_pools_whose_record_noted_no_checksum(records: Records) -> None:
    """As of runs made before there were any: the archive's own checksums are left."""
    import numpy as np

    campaign = records.begin(["table1/cifar10/flexpool"], seeds=2)
    for seed in (0, 1):
        folder = records.leave(
            campaign, "table1/cifar10/flexpool", seed, pools=[np.ones((2, 3, 3))]
        )
    pools = folder / run_folder.POOLS
    pools.write_bytes(flip(pools.read_bytes(), 90))
    (line,) = aggregate.aggregate(campaign)
    assert line.startswith(f"{pools}: no whole file of weights (")
    with gzip.open(campaign.results / "pools.csv.gz", "rt") as file:
        assert {row.split(",")[1] for row in file.readlines()[1:]} == {"0"}


def test_a_lost_sum_of_the_request_is_no_dead_end(copy: Path) -> None:
    """SHA256SUMS itself may be damaged: what can be made again is, and the request names the way out."""
    results = copy / "results" / "smoke"
    (results / sums.FILE).write_text("".join(f"{'0' * 64}  {name}\n" for name in ("runs.csv",)))
    again(copy)
    assert not sums.damaged(results / "runs.csv")
    assert read_request(copy, "smoke") is not None
