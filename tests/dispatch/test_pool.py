"""The pool's own decisions, with workers that do nothing but die."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from replicate import catalogue, plan
from replicate.dispatch import pool
from replicate.dispatch.deaths import DEATHS_ALLOWED
from replicate.dispatch.pool import Pool, Size, presence
from replicate.dispatch.provenance import Code
from replicate.dispatch.worker import Shift, attempts, claimed, is_claimed
from replicate.errors import UserError
from replicate.plan import Run
from replicate.results import record
from tests.dispatch.processes import wait_for


@pytest.fixture
def runs(project: Path) -> list[Run]:
    names = catalogue.select(catalogue.cell_names(project), ["table1/cifar10"])
    return plan.runs(catalogue.load(project, names, "smoke"), seeds=1)


@pytest.fixture
def shift(tmp_path: Path) -> Shift:
    (tmp_path / "runs").mkdir()
    return Shift(
        worker="",
        runs_folder=tmp_path / "runs",
        entries={},
        code=Code(None, None),
        threads=1,
        checkpoint_seconds=0,
        dispatcher=None,
    )


def test_a_run_that_kills_its_workers_is_given_up(
    runs: list[Run], shift: Shift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies_at_the_second_run(runs: Sequence[Run], shift: Shift) -> None:
        import json
        import sys

        from replicate.results import record

        for run in runs:
            folder = shift.runs_folder / run.folder_name
            folder.mkdir(exist_ok=True)
            if (folder / record.RECORD).exists():
                continue
            with (folder / record.ATTEMPTS).open("a") as file:
                begun = {"started": "2026-01-01T00:00:00+00:00", "worker": shift.worker}
                file.write(json.dumps(begun) + "\n")
            if "flexpool-s0" in folder.name:
                print("last words", file=sys.stderr, flush=True)
                os._exit(9)
            (folder / record.ATTEMPTS).unlink()

    monkeypatch.setattr(pool, "work", dies_at_the_second_run)
    one = Pool(runs[:2], shift, Size(workers=1, threads=1, gpus=0), logs=tmp_path / "logs")
    one.start()
    ticks = 0

    def over() -> bool:
        nonlocal ticks
        ticks += 1
        return not one.tick() or len(attempts(folder)) > DEATHS_ALLOWED + 1

    folder = shift.runs_folder / runs[1].folder_name
    wait_for(lambda: record.status(folder) == "failed" or over())
    one.stop()
    found = record.read(folder)
    assert found is not None
    assert found.provenance.attempts == DEATHS_ALLOWED
    assert found.error is not None
    assert found.error.startswith(f"its worker died {DEATHS_ALLOWED} times: last words; see ")
    assert found.trace is not None
    assert "last words" in found.trace


def test_workers_that_die_at_once_are_not_replaced_without_end(
    runs: list[Run], shift: Shift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(runs: Sequence[Run], shift: Shift) -> None:
        raise ImportError("no such library")

    monkeypatch.setattr(pool, "work", dies)
    one = Pool(runs, shift, Size(workers=1, threads=1, gpus=0), logs=tmp_path / "logs")
    one.start()
    with pytest.raises(UserError, match=r"workers die before they begin a run: .*no such library"):
        wait_for(lambda: not one.tick())


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds `tmp_path`."""
    code = (
        "import pathlib, sys, time\n"
        "from replicate.dispatch.worker import claimed\n"
        "with claimed(pathlib.Path(sys.argv[1])) as mine:\n"
        "    print(mine, flush=True)\n"
        "    time.sleep(600)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        yield process
        process.kill()


def test_a_claim_keeps_others_out(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    assert is_claimed(tmp_path)
    with claimed(tmp_path) as mine:
        assert not mine


def test_a_claim_ends_with_its_process(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert not is_claimed(tmp_path)
    with claimed(tmp_path) as mine:
        assert mine


def test_looking_creates_nothing(tmp_path: Path) -> None:
    assert not is_claimed(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_presence_ends_with_its_block(tmp_path: Path) -> None:
    with presence(tmp_path) as own:
        assert is_claimed(own)
    assert not is_claimed(own)
