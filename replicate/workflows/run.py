"""Carries out a campaign on this machine: prepare data, train in a pool, aggregate, report."""

import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from replicate import machine
from replicate.dispatch.context import WorkerContext
from replicate.dispatch.pool import Pool, Size, presence
from replicate.dispatch.snapshot import take_snapshot
from replicate.errors import UserError
from replicate.plan import forecast
from replicate.plan.campaign import Campaign
from replicate.plan.forecast import Speeds
from replicate.plan.runs import Run
from replicate.plan.state import look
from replicate.records import run_folder
from replicate.results import predictions
from replicate.text import console, duration, many, say
from replicate.workflows.conclude import INTERRUPTED, OUT_OF_TIME, conclude, exit_code
from replicate.workflows.follow import show_while
from replicate.workflows.prepare import TrainingOptions, prepare, refuse_lacking
from replicate.workflows.preview import scope

IMAGES_WORTH_CALIBRATION = 10_000_000
"""Of the runs left: hours of a processor, of which the calibration takes a minute or two."""
CALIBRATION_SECONDS = 300
"""Less time than this until a deadline is not spent on it."""
DAMAGED_RECORD = f" or its {run_folder.POOLS} is damaged: set aside; the run will be repeated"
DAMAGED_CHECKPOINT = ": this checkpoint was damaged, the run began anew"


@dataclass(frozen=True)
class Options(TrainingOptions):
    """How to use this machine."""

    workers: int | None
    threads: int | None
    until: float | None = None
    """When training must stop, in seconds since 1970; None where it need not."""


def run_campaign(campaign: Campaign, options: Options) -> int:
    """Train what is missing, and report; returns the exit code: 1 if any run has no accuracy, 3 if time was
    up before all had ended.

    Raises:
        UserError: data or results that cannot be used; nothing has been trained then.
    """
    try:
        return _carry_out(campaign, options)
    except KeyboardInterrupt:  # before training, after it, or for the second time
        say(
            f"interrupted: {campaign.look().summary()}; workers end after their epoch at the latest, "
            "CSV files and report are as they were; the same command resumes and writes them"
        )
        return INTERRUPTED


def _carry_out(campaign: Campaign, options: Options) -> int:
    refuse_lacking(campaign, options.retry_failed)
    context = prepare(campaign, options)
    left = look(_in_order(campaign, options), campaign.runs_folder, thorough=True).left()
    _say_where(campaign, left, run_folder.RECORD, DAMAGED_RECORD)
    size = pool_size(options, len(left))
    speeds = _forecast(campaign, left, size, options)
    context = replace(context, threads=size.threads, until=options.until, speeds=speeds)
    interrupted = bool(left) and not _train(campaign, left, context, size)
    _say_where(campaign, left, f"{run_folder.CHECKPOINT}.corrupt", DAMAGED_CHECKPOINT)
    return _end(campaign, interrupted, options.until is not None)


def _in_order(campaign: Campaign, options: Options) -> list[Run]:
    """Seed by seed; with a deadline cell by cell, since a cell's verdict needs several seeds."""
    if options.until is None:
        return campaign.runs
    places = {cell.name: place for place, cell in enumerate(campaign.cells)}
    return sorted(campaign.runs, key=lambda run: places[run.cell])


def _say_where(campaign: Campaign, runs: Sequence[Run], file: str, what: str) -> None:
    """Name every file of this name that the runs' folders hold."""
    for run in runs:
        path = campaign.runs_folder / run.folder_name / file
        if path.exists():
            say(f"{path}{what}")


def _forecast(campaign: Campaign, left: Sequence[Run], size: Size, options: Options) -> Speeds:
    """Keep what is predicted of every run before it begins, where that costs little: on a GPU a
    whole run takes as long as a calibration, and the first one that ends says more."""
    speeds: Speeds = forecast.recorded(campaign.whole.look().done, campaign.runs_folder)
    images = sum(run.spec.images_to_train for run in left)
    hurried = options.until is not None and options.until - time.time() < CALIBRATION_SECONDS
    if not (speeds or size.cards or hurried) and images >= IMAGES_WORTH_CALIBRATION:
        speeds = _measured(left, size)
    if left and speeds:
        text = forecast.cost(left, speeds, size.workers)
        if options.until is not None:
            text += f"; {_fitting(campaign, left, speeds, size, options.until)}"
        say(text)
    predictions.remember(campaign.results, left, speeds)
    return speeds


def _measured(left: Sequence[Run], size: Size) -> Speeds:
    """The speeds of this machine; none where they cannot be measured: an estimate stops no campaign."""
    from replicate.dispatch.calibration import calibrate

    try:
        with console(sys.stderr).status("measuring this machine's speed"):
            return calibrate([run.spec for run in left], size.workers, size.threads)
    except UserError as error:
        say(f"{error}: no time is predicted")
        return {}


def _fitting(
    campaign: Campaign, left: Sequence[Run], speeds: Speeds, size: Size, until: float
) -> str:
    """What can end before the deadline."""
    each = [forecast.seconds_left(one, speeds) for one in look(left, campaign.runs_folder).runs]
    count = forecast.fitting(each, size.workers, until - time.time())
    end = f"{datetime.fromtimestamp(until):%H:%M:%S}"
    text = f"{count} of {many(len(left), 'run')} fit until {end}"
    return text if count else f"{text}: the shortest takes {duration(min(each))}"


def _train(campaign: Campaign, left: Sequence[Run], context: WorkerContext, size: Size) -> bool:
    """Run the pool to its end; False if the user interrupted it."""
    # A script's `&` has SIGINT ignored, by workers too.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    with presence(campaign.results.resolve() / "logs") as own:
        waited_for = replace(context, dispatcher=own)
        pool = Pool(left, waited_for, size, logs=own, code=take_snapshot(campaign))
        try:
            pool.start()
            show_while(iter(pool.supervise, False), campaign)
        except KeyboardInterrupt:
            say(
                "interrupted: workers end, then CSV files and report are written; "
                "press Ctrl-C again to skip them"
            )
            return False
        finally:
            pool.stop()
    return True


def _end(campaign: Campaign, interrupted: bool, timed: bool) -> int:
    """Say what became of the runs, conclude, and say what to do next; returns the exit code."""
    state = campaign.look()
    for line in state.details():
        say(line)
    say(f"campaign {campaign.name}: {state.summary()}{scope(campaign)}")
    late = timed and bool(state.left())
    if interrupted or late:
        say(f"{'interrupted' if interrupted else 'time is up'}: the same command resumes from here")
    print(f"report: {conclude(campaign)}")
    if interrupted:
        return INTERRUPTED
    return OUT_OF_TIME if late else exit_code(state)


def pool_size(options: Options, runs: int) -> Size:
    """Workers, and threads of each, for that many runs on this machine."""
    from replicate.training import engine

    cards = machine.cards(engine.gpus())
    return Size(*machine.share(runs, len(cards), options.workers, options.threads), cards)
