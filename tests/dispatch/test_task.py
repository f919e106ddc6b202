"""What a task does when SLURM asks it to leave, and what keeps it from running the wrong code."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.context import ForkProcess
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

import replicate
from replicate.dispatch import snapshot
from replicate.dispatch.attempt import record_failure
from replicate.dispatch.context import WorkerContext
from replicate.dispatch.slurm import queue, task
from replicate.dispatch.slurm.task import Task
from replicate.plan.campaign import Campaign
from replicate.plan.runs import Run
from replicate.records import record, run_folder
from replicate.records.origin import Origin
from replicate.records.run_folder import claimed
from tests.making import Records

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
CELL = "table1/cifar10/avgpool"
PACKAGE = Path(replicate.__file__).parent


@pytest.fixture
def campaign(records: Records) -> Campaign:
    return records.begin([CELL], seeds=2)


@pytest.fixture
def one(campaign: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    """A task whose work is to do nothing."""
    monkeypatch.setattr(task, "_job", lambda: "5_0")
    monkeypatch.setattr(task, "work", lambda runs, context: None)
    context = WorkerContext(campaign.runs_folder, {}, Origin(), 1, 0.0)
    return Task(campaign.runs, context, PACKAGE.parent, 10, tmp_path)


@pytest.fixture
def requeued(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []

    def requeue(name: str) -> bool:
        names.append(name)
        return len(names) > 1  # SLURM is away the first time

    monkeypatch.setattr(queue, "requeue_job", requeue)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return names


def test_asked_to_leave_it_is_queued_again(one: Task, requeued: list[str]) -> None:
    with pytest.raises(SystemExit, match="queued again"):
        one.checkpoint()
    assert requeued == ["5_0", "5_0"]


def _leave(
    one: Task, after: float, monkeypatch: pytest.MonkeyPatch, save: Path | None = None
) -> str:
    """Begin, save or not, and be asked to leave after so many seconds; returns the last words."""
    with monkeypatch.context() as patch:
        patch.setattr(WorkerContext, "left", lambda *_: [])
        one()
        if save:
            save.write_text("saved")
            os.utime(save, (time.time() + after,) * 2)
        later = time.monotonic() + after
        patch.setattr(time, "monotonic", lambda: later)
        with pytest.raises(SystemExit) as leave:
            one.checkpoint()
    return str(leave.value)


@pytest.mark.parametrize(("after", "given_up"), [(500, True), (100, False)])
def test_a_limit_too_short_for_any_checkpoint_is_given_up(
    one: Task,
    requeued: list[str],
    monkeypatch: pytest.MonkeyPatch,
    after: float,
    given_up: bool,
) -> None:
    requeued.append("SLURM is back")
    words = [_leave(one, after, monkeypatch) for _ in range(task.MAX_IDLE)]
    assert ["too short for one checkpoint" in word for word in words] == [False, False, given_up]


def test_a_checkpoint_is_progress(
    one: Task, requeued: list[str], campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = campaign.runs_folder / campaign.runs[0].folder_name
    folder.mkdir(parents=True)
    requeued.append("SLURM is back")
    for number in range(task.MAX_IDLE):
        words = _leave(one, 500 + number, monkeypatch, folder / run_folder.CHECKPOINT)
        assert "queued again" in words


def _dies_at_the_first(code: int) -> Callable[[Sequence[Run], WorkerContext], None]:
    """Work that begins every run that is to do, and dies in the first run by a signal, or exits by a code."""

    def work(runs: Sequence[Run], context: WorkerContext) -> None:
        for run in context.left(runs):
            folder = context.runs_folder / run.folder_name
            folder.mkdir(parents=True, exist_ok=True)
            begun = {"started": "2026-01-01T00:00:00+00:00", "worker": context.worker}
            with (folder / run_folder.ATTEMPTS).open("a") as file:
                file.write(json.dumps(begun) + "\n")
            if run.seed == 0 and code < 0:
                os.kill(os.getpid(), -code)
            if run.seed == 0:
                sys.exit(code)
            record_failure(run, context, "its turn came", None)

    return work


def test_a_run_that_crashes_its_process_is_given_up_and_the_next_begins(
    one: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(task, "work", _dies_at_the_first(-signal.SIGTRAP))
    (one.logs / "5_0_0_log.err").write_text("SIGTRAP")
    one()
    first, second = (
        record.read_record(one.context.runs_folder / run.folder_name) for run in one.runs
    )
    assert first is not None
    assert first.error is not None
    assert first.error.startswith("its worker died 2 times: SIGTRAP; see ")
    assert first.provenance.attempts == 2
    assert second is not None
    assert second.error == "its turn came"


@pytest.mark.parametrize(("code", "left"), [(-signal.SIGKILL, "out of memory"), (3, "3")])
def test_what_is_not_the_runs_fault_ends_the_task(
    one: Task, monkeypatch: pytest.MonkeyPatch, code: int, left: str
) -> None:
    monkeypatch.setattr(task, "work", _dies_at_the_first(code))
    with pytest.raises(SystemExit, match=left):
        one()
    assert one.context.left(one.runs) == one.runs


def test_asked_to_leave_it_ends_the_training(
    one: Task, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def work(runs: Sequence[Run], context: WorkerContext) -> None:
        (tmp_path / "pid").write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGUSR2)  # SLURM's signal reaches all processes
        os.kill(os.getppid(), signal.SIGUSR2)
        time.sleep(20)  # not for ever, if it is left behind

    def leave(*signal_and_frame: object) -> None:
        sys.exit("leaving")

    monkeypatch.setattr(task, "work", work)
    before = signal.signal(signal.SIGUSR2, leave)
    try:
        with pytest.raises(SystemExit, match="leaving"):
            one()
    finally:
        signal.signal(signal.SIGUSR2, before)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_asked_to_leave_while_it_forks_it_ends_the_training(
    one: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a signal to another thread, such as a library's: no mask of the main thread's keeps that back."""
    children: list[ForkProcess] = []
    forking, told = threading.Event(), threading.Event()

    def ask() -> None:
        forking.wait()
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR2)
        told.set()

    def start(self: ForkProcess) -> None:
        BaseProcess.start(self)
        children.append(self)
        forking.set()
        told.wait()

    monkeypatch.setattr(task, "work", lambda runs, context: time.sleep(20))
    monkeypatch.setattr(ForkProcess, "start", start)
    before = signal.signal(signal.SIGUSR2, lambda *_: sys.exit("leaving"))
    other = threading.Thread(target=ask)
    other.start()
    try:
        with pytest.raises(SystemExit, match="leaving"):
            one()
    finally:
        signal.signal(signal.SIGUSR2, before)
        other.join()
    assert [child.exitcode for child in children] == [-signal.SIGKILL]


@pytest.fixture
def held(one: Task) -> Iterator[None]:
    """Another claims the first run; the second has ended."""
    first, second = one.runs
    for run in one.runs:
        (one.context.runs_folder / run.folder_name).mkdir(parents=True)
    (one.context.runs_folder / second.folder_name / run_folder.ATTEMPTS).write_text(
        '{"started": ""}\n'
    )
    record_failure(second, one.context, "", None)
    with claimed(one.context.runs_folder / first.folder_name):
        yield


@pytest.mark.usefixtures("held")
def test_runs_that_another_process_holds_are_waited_for(
    one: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    def end_soon(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            monkeypatch.setattr(WorkerContext, "left", lambda *_: [])

    monkeypatch.setattr(time, "sleep", end_soon)
    one()
    assert len(waited) == 2


@pytest.mark.usefixtures("held")
def test_but_not_for_ever(one: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(SystemExit, match="is held by another process"):
        one()


def test_other_code_than_was_submitted_is_refused(tmp_path: Path) -> None:
    task.insist_on(PACKAGE.parent)
    with pytest.raises(SystemExit, match="not what was submitted"):
        task.insist_on(tmp_path)


def test_the_copy_is_a_project_with_the_same_results(campaign: Campaign) -> None:
    copy = snapshot.take_snapshot(campaign)
    assert copy == snapshot.snapshot_folder(campaign)
    assert snapshot.take_snapshot(campaign) == copy, "the same content is copied once"
    assert (copy / "replicate" / "cli.py").read_text() == (PACKAGE / "cli.py").read_text()
    assert not (copy / "results").exists(), "no link that leads a copying user in a circle"
    assert snapshot.make_project(copy, campaign) == snapshot.make_project(copy, campaign) == copy
    assert (copy / "results" / "made" / "campaign.json").exists()
    assert not list(copy.rglob("__pycache__"))


def test_an_edited_spec_makes_another_copy(campaign: Campaign) -> None:
    before = snapshot.take_snapshot(campaign)
    spec = campaign.root / "experiments" / f"{CELL}.yaml"
    text = spec.read_text()
    spec.write_text(text + "# edited\n")
    assert snapshot.take_snapshot(campaign) != before
    assert (before / "experiments" / f"{CELL}.yaml").read_text() == text
