"""Carries out a campaign on this machine: prepare data, train in a pool, aggregate, report."""

import signal
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from rich.console import Console

from replicate import atomic, forecast, machine, plan, sums
from replicate import campaign as campaigns
from replicate.campaign import Campaign
from replicate.dispatch import display, provenance, snapshot, status
from replicate.dispatch.pool import Pool, Size, presence
from replicate.dispatch.worker import Shift, claimed
from replicate.errors import UserError
from replicate.forecast import Speeds
from replicate.plan import Images, Run
from replicate.results import aggregate, record
from replicate.wording import duration, many

IMAGES_WORTH_CALIBRATION = 10_000_000
"""Of the runs left: hours of a processor, of which the calibration takes a minute or two."""
CALIBRATION_SECONDS = 300
"""Less time than this until a deadline is not spent on it."""
FAILURES = 1
INTERRUPTED = 130
OUT_OF_TIME = 3


@dataclass(frozen=True)
class Options:
    """How to use this machine; none of it changes what a run is."""

    workers: int | None
    threads: int | None
    checkpoint_seconds: float
    retry_failed: bool
    data_dir: Path
    cache_dir: Path
    until: float | None = None
    """When training must stop, in seconds since 1970; None where it need not."""


def run(campaign: Campaign, options: Options) -> int:
    """Train what is missing, and report; returns the exit code: 1 if any run has no accuracy, 3 if time was
    up before all had ended.

    Raises:
        UserError: data or results that cannot be used; nothing has been trained then.
    """
    console = Console(stderr=True)
    check_results(campaign)
    entries = prepare(campaign, options.data_dir, options.cache_dir, console)
    campaigns.save(campaign)
    if options.retry_failed:
        reopen_failed(campaign)
    left = plan.to_do(_in_order(campaign, options), campaign.runs_folder)
    _say_what_is_damaged(campaign, left, console)
    size = pool_size(options, len(left))
    speeds = _forecast(campaign, left, size, options, console)
    shift = _shift(campaign, entries, size, options, speeds)
    interrupted = bool(left) and not _train(campaign, left, shift, size, console)
    _say_what_began_anew(campaign, left, console)
    return _conclude(campaign, interrupted, options, console)


def _in_order(campaign: Campaign, options: Options) -> list[Run]:
    """Seed by seed; with a deadline cell by cell, since a cell's verdict needs several seeds."""
    if options.until is None:
        return campaign.runs
    places = {cell.name: place for place, cell in enumerate(campaign.cells)}
    return sorted(campaign.runs, key=lambda run: places[run.cell])


def check_results(campaign: Campaign) -> None:
    """Find out now, not after hours, that results cannot be written."""
    try:
        atomic.make_folder(campaign.runs_folder)
        probe = campaign.results / f".probe.{uuid.uuid4().hex}.tmp"
        probe.touch()
        probe.unlink()
        with atomic.alone(campaign.results):
            sums.set_aside_damaged(campaign.results)
    except OSError as error:
        raise UserError(f"{campaign.results}: cannot be written: {error.strerror}") from None
    aggregate.refuse_to_forget(campaign)


def prepare(
    campaign: Campaign, data_dir: Path, cache_dir: Path, console: Console
) -> dict[Images, Path]:
    """The images of all runs still to do, as cache entries."""
    from replicate.data import prepare

    left = plan.to_do(campaign.runs, campaign.runs_folder, retry_failed=True)
    entries = {}
    for images, spec in {run.images: run.spec for run in left}.items():
        with console.status(f"preparing {spec.dataset.name}"):
            entries[images] = prepare(spec, data_dir, cache_dir).resolve()
    return entries


def reopen_failed(campaign: Campaign) -> None:
    """Set the records of failed runs aside, so that they are still to do."""
    for one in campaign.runs:
        folder = campaign.runs_folder / one.folder_name
        if plan.state(one, campaign.runs_folder) == "failed":
            with claimed(folder) as mine:
                if mine:
                    record.set_aside(folder, "failed")


def _say_what_is_damaged(campaign: Campaign, left: Sequence[Run], console: Console) -> None:
    for run in left:
        path = campaign.runs_folder / run.folder_name / record.RECORD
        if path.exists():
            text = f"{path} or its {record.POOLS} is damaged: set aside, the run is done again"
            console.print(text, markup=False, highlight=False, soft_wrap=True)


def _say_what_began_anew(campaign: Campaign, left: Sequence[Run], console: Console) -> None:
    for run in left:
        path = campaign.runs_folder / run.folder_name / f"{record.CHECKPOINT}.corrupt"
        if path.exists():
            text = f"{path}: this checkpoint was damaged, the run began anew"
            console.print(text, markup=False, highlight=False, soft_wrap=True)


def _forecast(
    campaign: Campaign, left: Sequence[Run], size: Size, options: Options, console: Console
) -> Speeds:
    """Keep what is predicted of every run before it begins, where that costs little: on a GPU a
    whole run takes as long as a calibration, and the first one that ends says more."""
    seen = status.look(campaign.runs, campaign.runs_folder)
    speeds = forecast.recorded(status.done(seen), campaign.runs_folder)
    images = sum(run.spec.images_to_train for run in left)
    hurried = options.until is not None and options.until - time.time() < CALIBRATION_SECONDS
    if not (speeds or size.cards or hurried) and images >= IMAGES_WORTH_CALIBRATION:
        from replicate.training.calibration import calibrate

        with console.status("measuring this machine's speed"):
            speeds = calibrate([run.spec for run in left], size.workers, size.threads)
    if left and speeds:
        text = forecast.cost(left, speeds, size.workers)
        if options.until is not None:
            text += f"; {_fitting(campaign, left, speeds, size, options.until)}"
        console.print(text, highlight=False, soft_wrap=True)
    forecast.remember(campaign.results, left, speeds)
    return speeds


def _fitting(
    campaign: Campaign, left: Sequence[Run], speeds: Speeds, size: Size, until: float
) -> str:
    """What can end before the deadline."""
    each = [forecast.left(run, speeds, campaign.runs_folder) for run in left]
    count = forecast.fitting(each, size.workers, until - time.time())
    end = f"{datetime.fromtimestamp(until):%H:%M:%S}"
    text = f"{count} of {many(len(left), 'run')} fit until {end}"
    return text if count else f"{text}: the shortest takes {duration(min(each))}"


def _shift(
    campaign: Campaign,
    entries: dict[Images, Path],
    size: Size,
    options: Options,
    speeds: Speeds,
) -> Shift:
    return Shift(
        worker="",
        runs_folder=campaign.runs_folder.resolve(),
        entries=entries,
        code=provenance.code(campaign.root),
        threads=size.threads,
        checkpoint_seconds=options.checkpoint_seconds,
        dispatcher=None,
        until=options.until,
        speeds=speeds,
    )


def _train(
    campaign: Campaign,
    left: Sequence[Run],
    shift: Shift,
    size: Size,
    console: Console,
) -> bool:
    """Run the pool to its end; False if the user interrupted it."""
    with presence(campaign.results.resolve() / "logs") as own:
        waited_for = replace(shift, dispatcher=own)
        pool = Pool(left, waited_for, size, logs=own, code=snapshot.take(campaign))
        for one in (
            signal.SIGTERM,
            signal.SIGINT,
        ):  # a script's `&` has the latter ignored, by workers too
            signal.signal(one, signal.default_int_handler)
        try:
            pool.start()
            display.follow(
                console, lambda: status.look(campaign.runs, campaign.runs_folder), pool.tick
            )
        except KeyboardInterrupt:
            return False
        finally:
            pool.stop()
    return True


def pool_size(options: Options, runs: int) -> Size:
    """Workers, and threads of each, for that many runs on this machine."""
    from replicate.training import engine

    cards = machine.cards(engine.gpus())
    return Size(*machine.share(runs, len(cards), options.workers, options.threads), cards)


def _conclude(campaign: Campaign, interrupted: bool, options: Options, console: Console) -> int:
    """Write CSV files and report from whatever is there, and say what to do next."""
    from replicate.report.render import render

    for line in aggregate.aggregate(campaigns.grown(campaign)):
        console.print(f"left out: {line}", markup=False, highlight=False, soft_wrap=True)
    seen = status.look(campaign.runs, campaign.runs_folder)
    for line in status.details(seen, campaign.runs_folder):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"campaign {campaign.request.name}: {status.summary(seen)}", highlight=False)
    late = options.until is not None and bool(status.left(seen))
    if interrupted or late:
        why = "interrupted" if interrupted else "time is up"
        console.print(f"{why}: the same command goes on from here", highlight=False)
    print(f"report: {render(campaign.root, campaign.request.name)}")
    if interrupted or late:
        return INTERRUPTED if interrupted else OUT_OF_TIME
    return 0 if all(one.doing == "done" for one in seen) else FAILURES
