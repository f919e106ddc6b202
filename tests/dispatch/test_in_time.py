"""`replicate run --deadline`: done in time, and nothing begun that cannot end."""

import io
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from replicate.dispatch import context as contexts
from replicate.dispatch import pool, worker
from replicate.dispatch.attempt import Attempt, TimeUp
from replicate.dispatch.context import WorkerContext
from replicate.dispatch.pool import Pool, Size
from replicate.dispatch.worker import fitting, work
from replicate.plan import forecast
from replicate.plan.campaign import Campaign
from replicate.plan.forecast import Speeds
from replicate.plan.runs import Run
from replicate.records import record, run_folder
from replicate.records.origin import Origin
from replicate.records.run_folder import read_attempts
from replicate.report import render
from replicate.training import checkpoint, engine
from replicate.training.outcome import Outcome
from replicate.workflows import run as local
from tests import making
from tests.dispatch.processes import ROOT, progress, wait_for
from tests.faults.campaigns import OPTIONS
from tests.faults.children import Death
from tests.making import Records

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
CELL, OTHER = "table1/cifar10/avgpool", "table1/cifar10/flexpool-reg-dropout"


@pytest.fixture
def campaign(records: Records) -> Campaign:
    return records.begin([CELL, OTHER], seeds=3)


@pytest.fixture
def context(campaign: Campaign) -> Callable[..., WorkerContext]:
    """A worker's, with so many seconds left until the deadline."""

    def make(seconds: float | None, speeds: Speeds | None = None) -> WorkerContext:
        until = None if seconds is None else time.time() + seconds
        campaign.runs_folder.mkdir(parents=True, exist_ok=True)
        return WorkerContext(
            worker="",
            runs_folder=campaign.runs_folder,
            entries={},
            code=Origin(),
            threads=1,
            checkpoint_seconds=0,
            dispatcher=None,
            until=until,
            speeds=speeds or {},
        )

    return make


def _each(run: Run, seconds: float) -> Speeds:
    """Speeds at which a run takes so long."""
    return {forecast.kind(run.spec): forecast.work(run.spec) / seconds}


def test_without_a_deadline_every_run_may_begin(
    campaign: Campaign, context: Callable[..., WorkerContext]
) -> None:
    runs = campaign.runs
    making.reach(campaign, runs[0], 1, seconds=1e6)
    assert fitting(runs, runs, context(None, _each(runs[0], 1e9))) == runs


def test_what_cannot_be_told_may_begin_while_there_is_time(
    campaign: Campaign, context: Callable[..., WorkerContext]
) -> None:
    first, second, *_ = campaign.runs
    assert fitting([first], campaign.runs, context(5))
    assert not fitting([first], campaign.runs, context(-1))
    making.reach(campaign, first, 1, seconds=100)
    for run in (first, second):  # another run's epoch tells what its own may take
        assert fitting([run], campaign.runs, context(110))
        assert not fitting([run], campaign.runs, context(104))


def test_what_cannot_end_does_not_begin(
    campaign: Campaign, context: Callable[..., WorkerContext]
) -> None:
    run = campaign.runs[0]
    assert fitting([run], campaign.runs, context(110, _each(run, 100)))
    assert not fitting([run], campaign.runs, context(104, _each(run, 100))), "with a margin"
    making.reach(campaign, run, run.spec.training.epochs // 2, seconds=1)
    assert fitting([run], campaign.runs, context(60, _each(run, 100))), "half of it is behind"
    assert not fitting([run], campaign.runs, context(50, _each(run, 100)))
    making.reach(campaign, run, run.spec.training.epochs - 1, seconds=80)
    assert not fitting([run], campaign.runs, context(70, _each(run, 100))), (
        "slower than was thought"
    )


@pytest.mark.parametrize("thought", [10, 1000])
def test_a_recorded_speed_counts_more_than_the_dispatchers(
    campaign: Campaign, records: Records, context: Callable[..., WorkerContext], thought: float
) -> None:
    done, other, run, *_ = campaign.runs
    speeds = {**_each(done, thought), **_each(other, 30)}
    records.leave(campaign, done.cell, done.seed, provenance={"seconds": 100.0})
    assert (done.cell, done.seed + 1) == (run.cell, run.seed)
    assert fitting([run], campaign.runs, context(110, speeds))
    assert not fitting([run], campaign.runs, context(90, speeds))
    assert fitting([other], campaign.runs, context(40, speeds)), (
        "of another kind nothing is recorded"
    )
    assert not fitting([other], campaign.runs, context(20, speeds))


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the runs that a worker of this process begins; their epochs take 60 s, it thinks."""
    names: list[str] = []

    def train(attempt: Attempt) -> tuple[Outcome, Any]:
        names.append(str(attempt.run))
        for number in range(1, attempt.run.spec.training.epochs + 1):
            attempt._after_epoch(making.epoch(number, seconds=60))
        raise ValueError("it came to its end")

    monkeypatch.setattr(Attempt, "_train", train)
    monkeypatch.setattr(engine, "start", lambda threads: None)
    return names


def test_a_worker_takes_a_shorter_run_after_one_that_cannot_end(
    campaign: Campaign, context: Callable[..., WorkerContext], begun: list[str]
) -> None:
    first, second, third, *_ = campaign.runs
    assert (first.cell, second.cell, third.cell) == (CELL, OTHER, CELL)
    work(campaign.runs, context(1000, {**_each(first, 5000), **_each(second, 500)}))
    assert begun == [f"{OTHER} seed {seed}" for seed in range(3)]


def test_a_worker_stops_between_two_epochs_and_begins_nothing_more(
    campaign: Campaign, context: Callable[..., WorkerContext], begun: list[str]
) -> None:
    work(campaign.runs, context(50))
    assert begun == [f"{CELL} seed 0"]
    folder = campaign.runs_folder / campaign.runs[0].folder_name
    assert progress(campaign.runs_folder) == {folder.name: 1}
    assert record.read_status(folder) is None, "it has not failed"
    work(campaign.runs, context(10))
    assert begun == [f"{CELL} seed 0"], "there is no time for another epoch"


def test_however_many_runs_have_ended_a_worker_looks_at_them_all_once(
    campaign: Campaign, records: Records, context: Callable[..., WorkerContext], begun: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for run in campaign.runs:
        records.leave(campaign, run.cell, run.seed)
    look = mock.Mock(side_effect=worker.look)
    for module in worker, contexts:
        monkeypatch.setattr(module, "look", look)
    work(campaign.runs, context(1e9))
    looked = [len(call.args[0]) for call in look.call_args_list]
    assert looked == [6, *([1] * 6)], "and at each in its turn"
    assert begun == []


def test_a_worker_does_not_stop_after_the_last_epoch(
    campaign: Campaign, context: Callable[..., WorkerContext]
) -> None:
    run = campaign.runs[0]
    attempt = Attempt(run, campaign.runs_folder, context(50))
    attempt._after_epoch(making.epoch(run.spec.training.epochs, seconds=60))
    with pytest.raises(TimeUp):
        attempt._after_epoch(making.epoch(run.spec.training.epochs - 1, seconds=60))
    replace(attempt, context=context(100))._after_epoch(making.epoch(1, seconds=60))


def _runs(campaign: Campaign) -> list[Run]:
    return campaign.look(thorough=True).left()


@pytest.fixture
def start(
    campaign: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Pool]]:
    """A pool whose workers do this; like those of `run`, they end by SIGINT wherever the tests run."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    pools: list[Pool] = []

    def make(does: Callable[[Sequence[Run], WorkerContext], None], context: WorkerContext) -> Pool:
        monkeypatch.setattr(pool, "work", does)
        size = Size(workers=1, threads=1, cards=())
        pools.append(Pool(campaign.runs, context, size, logs=tmp_path / "logs", code=ROOT))
        pools[-1].start()
        return pools[-1]

    yield make
    for one in pools:
        one.stop()
    signal.signal(signal.SIGINT, usual)


def _workers(tmp_path: Path) -> int:
    return len(list((tmp_path / "logs").glob("worker-*")))


def test_a_worker_that_ended_because_nothing_fits_is_not_started_again(
    campaign: Campaign,
    context: Callable[..., WorkerContext],
    start: Callable[..., Pool],
    tmp_path: Path,
) -> None:
    def stops_before_the_second_epoch(runs: Sequence[Run], context: WorkerContext) -> None:

        numbers = {"epoch": 1, "seconds": 1e6, "accuracy": 50.0, "images_per_second": 1.0}
        folder = context.runs_folder / runs[0].folder_name
        folder.mkdir()
        (folder / "attempts.jsonl").touch()
        (folder / "progress.json").write_text(json.dumps(numbers))

    one = start(stops_before_the_second_epoch, context(1000))
    assert one.supervise(), "as long as the worker is there"
    wait_for(lambda: not one.supervise() or _workers(tmp_path) > 1)
    assert _workers(tmp_path) == 1
    assert not one.supervise()
    assert len(_runs(campaign)) == 6


def test_no_worker_is_started_where_nothing_fits(
    campaign: Campaign,
    context: Callable[..., WorkerContext],
    start: Callable[..., Pool],
    tmp_path: Path,
) -> None:
    speeds = {**_each(campaign.runs[0], 2000), **_each(campaign.runs[1], 3000)}
    one = start(lambda runs, context: None, context(1000, speeds))
    assert not one.supervise()
    assert _workers(tmp_path) == 0


def test_a_worker_whose_epoch_takes_longer_than_the_time_is_not_waited_for(
    context: Callable[..., WorkerContext],
    start: Callable[..., Pool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def trains_for_hours(runs: Sequence[Run], context: WorkerContext) -> None:
        import time

        time.sleep(10_000)

    monkeypatch.setattr(pool, "OVERTIME_SECONDS", 1)
    hours = context(4)
    one = start(trains_for_hours, hours)
    assert one.supervise()
    wait_for(lambda: not one.supervise())
    assert time.time() >= hours.until + 1  # type: ignore[operator]
    one.stop()
    assert not one.supervise()


def test_with_a_deadline_all_seeds_of_a_cell_come_before_the_next(campaign: Campaign) -> None:
    def order(until: float | None) -> list[str]:
        options = local.Options(0, False, Path(), Path(), None, None, until)
        return [str(run) for run in local._in_order(campaign, options)]

    assert order(None) == [f"{cell} seed {seed}" for seed in range(3) for cell in (CELL, OTHER)]
    assert order(1.0) == [f"{cell} seed {seed}" for cell in (CELL, OTHER) for seed in range(3)]


Forked = Callable[..., Death]


@pytest.fixture
def ahead() -> Iterator[None]:
    """A test by the clock comes before what else the machine computes, where its user may ask for that."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    yield
    os.setpriority(os.PRIO_PROCESS, 0, usual)


@pytest.mark.slow
@pytest.mark.usefixtures("ahead")
def test_a_command_is_done_in_time_and_the_same_one_goes_on(
    project: Path, forked: Forked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "_drawn", lambda figure: b"<svg/>")  # a quarter of 12 s is short
    begun = time.monotonic()
    tiny = ["run", CELL, *OPTIONS]
    one = forked(*tiny, "--set=training.epochs=1", "--campaign", "one", "--deadline", "1h")
    usual = time.monotonic() - begun
    assert one.code == 0, one.said
    assert "time is up" not in one.said

    runs = project / "results" / "smoke" / "runs"
    arguments = [*tiny, "--set=training.epochs=20000", "--checkpoint-seconds", "1000"]
    reached: list[int] = []
    for _ in range(2):
        seconds = max(12, 4 * usual)  # of which a quarter is the report's
        end = datetime.now() + timedelta(seconds=seconds)
        late = forked(*arguments, "--deadline", end.isoformat())
        assert datetime.now() < end
        assert late.code == 3, late.said
        assert "time is up: the same command resumes from here" in late.said
        assert "campaign smoke: 0 of 1 done, 1 interrupted" in late.said
        assert (project / "reports" / "smoke" / "report.md").is_file()
        assert (project / "results" / "smoke" / "runs.csv").read_text().count("\n") == 1
        reached += progress(runs).values()
    assert 1 <= reached[0] < reached[1] < 20000
    (folder,) = runs.iterdir()
    assert len(read_attempts(folder)) == 2
    payload = checkpoint._intact((folder / run_folder.CHECKPOINT).read_bytes())
    assert payload is not None
    made = torch.load(io.BytesIO(payload), weights_only=True)["attempts"]
    assert [one["epochs"] for one in made] == [reached[0], reached[1] - reached[0]]


def test_a_command_starts_nothing_where_it_is_known_that_nothing_fits(
    project: Path, forked: Forked, records: Records
) -> None:
    campaign = records.begin([CELL], "smoke", seeds=3)
    records.leave(campaign, CELL, 0, provenance={"seconds": 4000.0})
    end = forked("run", "--campaign", "made", "--deadline", "14m")
    assert end.code == 3, end.said
    assert "; 0 of 2 runs fit until " in end.said
    assert ": the shortest takes 1 h 6 min\n" in end.said
    assert "campaign made: 1 of 3 done\n" in end.said
    assert "time is up: the same command resumes from here" in end.said
    assert (project / "reports" / "made" / "report.md").is_file()
    assert not list((project / "results" / "made").glob("logs/*/worker-*"))
    assert len(list(campaign.runs_folder.iterdir())) == 1, "no run was begun"
