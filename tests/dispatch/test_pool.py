"""The pool's own decisions, with workers that do nothing but die."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from replicate.dispatch import pool
from replicate.dispatch.context import WorkerContext
from replicate.dispatch.crashes import MAX_CRASHES
from replicate.dispatch.pool import Pool, Size, presence
from replicate.errors import UserError
from replicate.plan import runs as plan
from replicate.plan.runs import Run
from replicate.records import record, run_folder
from replicate.records.origin import Origin
from replicate.records.run_folder import claimed, is_claimed, read_attempts
from replicate.specs import catalogue, resolve
from replicate.training import engine
from replicate.workflows import run as local
from tests.dispatch.processes import wait_for

ROOT = Path(__file__).parents[2]


@pytest.fixture
def runs(project: Path) -> list[Run]:
    names = catalogue.select(catalogue.cell_names(project), ["table1/cifar10"])
    return plan.runs(resolve.load(project, names, "smoke"), {name: [0] for name in names})


@pytest.fixture
def context(tmp_path: Path) -> WorkerContext:
    (tmp_path / "runs").mkdir()
    return WorkerContext(
        worker="",
        runs_folder=tmp_path / "runs",
        entries={},
        code=Origin(),
        threads=1,
        checkpoint_seconds=0,
        dispatcher=None,
    )


@pytest.mark.processes
def test_a_run_that_kills_its_workers_is_given_up(
    runs: list[Run], context: WorkerContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies_at_the_second_run(runs: Sequence[Run], context: WorkerContext) -> None:
        import json
        import sys

        for run in runs:
            folder = context.runs_folder / run.folder_name
            folder.mkdir(exist_ok=True)
            if (folder / run_folder.RECORD).exists():
                continue
            with (folder / run_folder.ATTEMPTS).open("a") as file:
                begun = {"started": "2026-01-01T00:00:00+00:00", "worker": context.worker}
                file.write(json.dumps(begun) + "\n")
            if "flexpool-s0" in folder.name:
                print("last words", file=sys.stderr, flush=True)
                os._exit(9)
            (folder / run_folder.ATTEMPTS).unlink()

    monkeypatch.setattr(pool, "work", dies_at_the_second_run)
    one = Pool(
        runs[:2], context, Size(workers=1, threads=1, cards=()), logs=tmp_path / "logs", code=ROOT
    )
    one.start()
    ticks = 0

    def over() -> bool:
        nonlocal ticks
        ticks += 1
        return not one.supervise() or len(read_attempts(folder)) > MAX_CRASHES + 1

    folder = context.runs_folder / runs[1].folder_name
    wait_for(lambda: record.read_status(folder) == "failed" or over())
    one.stop()
    found = record.read_record(folder)
    assert found is not None
    assert found.provenance.attempts == MAX_CRASHES
    assert found.error is not None
    assert found.error.startswith(f"its worker died {MAX_CRASHES} times: last words; see ")
    assert found.trace is not None
    assert "last words" in found.trace


@pytest.mark.processes
def test_workers_that_die_at_once_are_not_replaced_without_end(
    runs: list[Run], context: WorkerContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(runs: Sequence[Run], context: WorkerContext) -> None:
        raise ImportError("no such library")

    monkeypatch.setattr(pool, "work", dies)
    one = Pool(
        runs, context, Size(workers=1, threads=1, cards=()), logs=tmp_path / "logs", code=ROOT
    )
    one.start()
    with pytest.raises(UserError, match=r"workers die before they begin a run: .*no such library"):
        wait_for(lambda: not one.supervise())


@pytest.mark.processes
def test_what_one_worker_dies_of_interrupts_no_other(
    runs: list[Run], context: WorkerContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a run in a precision that this machine lacks, beside runs that it can train."""

    def lacks(runs: Sequence[Run], context: WorkerContext) -> None:
        import time

        deaths, begun = context.runs_folder / "deaths", time.monotonic()
        if context.worker.startswith("worker-1"):
            while not (deaths.exists() and len(deaths.read_text()) > 1):
                assert time.monotonic() < begun + 60
                time.sleep(0.05)
            time.sleep(1)
            (context.runs_folder / "finished").touch()
        with deaths.open("a") as file:
            file.write("x")
        raise OSError(19, "this machine's cpu lacks it")

    monkeypatch.setattr(pool, "work", lacks)
    two = Pool(
        runs, context, Size(workers=2, threads=1, cards=()), logs=tmp_path / "logs", code=ROOT
    )
    two.start()
    with pytest.raises(UserError, match="workers die of what this machine lacks: OSError"):
        wait_for(lambda: not two.supervise())
    assert (context.runs_folder / "finished").exists()


@pytest.mark.processes
@pytest.mark.parametrize(
    ("given", "seen", "expected"),
    [
        (None, 2, ["0", "1", "0"]),
        ("MIG-c7384736,MIG-a28ad590", 1, ["MIG-c7384736", "MIG-a28ad590"]),
        ("", 0, [""]),
    ],
)
def test_a_worker_sees_one_of_the_cards_that_were_given(
    given: str | None,
    seen: int,
    expected: list[str],
    runs: list[Run],
    context: WorkerContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def looks(runs: Sequence[Run], context: WorkerContext) -> None:
        path = context.runs_folder / context.worker
        path.write_text(os.environ["CUDA_VISIBLE_DEVICES"])
        path.rename(path.with_name(context.worker.rpartition("-")[0]))

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    monkeypatch.setattr(engine, "gpus", lambda: seen)
    monkeypatch.setattr(pool, "work", looks)
    options = local.Options(0, False, tmp_path, tmp_path, len(expected), 1)
    one = Pool(
        runs, context, local.pool_size(options, len(runs)), logs=tmp_path / "logs", code=ROOT
    )
    one.start()
    left = [context.runs_folder / f"worker-{slot}" for slot in range(len(expected))]
    wait_for(lambda: all(path.exists() for path in left))
    one.stop()
    assert [path.read_text() for path in left] == expected


@pytest.mark.parametrize(("given", "workers"), [("2,3", 2), ("MIG-1,MIG-2,MIG-3", 3)])
def test_one_worker_a_card(given: str, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    monkeypatch.setattr(engine, "gpus", lambda: 1 if "MIG" in given else 2)
    options = local.Options(0, False, Path(), Path(), None, None)
    assert local.pool_size(options, 10).workers == workers


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds `tmp_path`."""
    code = (
        "import pathlib, sys, time\n"
        "from replicate.records.run_folder import claimed\n"
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
