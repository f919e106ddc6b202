"""A worker process: takes runs one after the other, and turns each into a record.

Runs are claimed by a file lock in their folder, which the system frees when a process dies. So
any number of workers, of any number of commands, may go through the same list.
"""

import errno
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NoReturn

from replicate.dispatch.attempt import Attempt, Lacking, TimeUp
from replicate.dispatch.context import WorkerContext
from replicate.files import atomic
from replicate.plan import forecast
from replicate.plan.forecast import Speeds
from replicate.plan.runs import Run
from replicate.plan.state import RunState, look
from replicate.records.run_folder import claimed


def work(runs: Sequence[Run], context: WorkerContext) -> None:
    """Train every run that is still to do and that nobody else holds.

    A failing run is recorded and the next one begins. What is not the run's fault (the disk is
    full, the dispatcher is gone, time is up) ends the worker; the run goes on later from its
    checkpoint. One in a precision that this machine lacks does so when all others have had their turn.
    """
    signal.signal(signal.SIGINT, _interrupt)
    try:
        _work(runs, context)
    except KeyboardInterrupt:
        sys.exit("interrupted")


def _interrupt(*_: object) -> NoReturn:
    """Ctrl-C reaches a worker twice, from the terminal and from who ends the workers: the second
    must not break into the letting go of its claim."""
    signal.signal(signal.SIGINT, lambda *_: None)  # of SIG_IGN, Python says that it raced a signal
    raise KeyboardInterrupt


def _work(runs: Sequence[Run], context: WorkerContext) -> None:
    from replicate.training import engine

    engine.start(context.threads)
    card = os.environ.get("CUDA_VISIBLE_DEVICES")
    # A pool names only GPUs that it has seen, and a processor must not stand in for one that is gone.
    if context.dispatcher and card and not engine.gpus():
        raise OSError(errno.ENODEV, f"GPU {card} is gone: nvidia-smi may say why")
    if lacks := list(_take_each(runs, context)):
        raise OSError(errno.ENODEV, lacks[0])


def _take_each(runs: Sequence[Run], context: WorkerContext) -> Iterator[str]:
    """What this machine lacks for those that it cannot train."""
    ahead = fitting(runs, runs, context)
    with suppress(TimeUp):
        while ahead:
            try:
                if _take(ahead.pop(0), context):  # so time has gone by, and a speed may be known
                    ahead = fitting(ahead, runs, context)
            except Lacking as lack:
                yield str(lack)


def _take(run: Run, context: WorkerContext) -> bool:
    """Train a run; False if it has ended or somebody else holds it."""
    folder = context.runs_folder / run.folder_name
    atomic.make_folder(folder)
    with claimed(folder) as mine:
        if not (mine and context.left([run])):
            return False
        Attempt(run, folder, context).carry_out()
    return True


def fitting(runs: Iterable[Run], every: Iterable[Run], context: WorkerContext) -> list[Run]:
    """Which of some runs can end before the deadline, if there is one, as far as `every` run's speed tells;
    what cannot be told may begin, as long as there is time for an epoch."""
    if context.until is None:
        return list(runs)
    known = look(every, context.runs_folder)  # a record that tells a speed is read whole anyway
    speeds = {**context.speeds, **forecast.recorded(known.done, context.runs_folder)}
    epoch = max(map(forecast.latest_epoch, known.runs), default=0.0)  # as long as any run's
    most = (context.until - time.time()) / forecast.MARGIN
    wanted = {run.id for run in runs}
    asked = [one for one in known.runs if one.run.id in wanted]
    return [one.run for one in asked if _needed(one, speeds, epoch) <= most]


def _needed(one: RunState, speeds: Speeds, epoch: float) -> float:
    """Seconds until a run ends; where no speed is known, those of an `epoch`."""
    predicted = forecast.seconds_left(one, speeds) if speeds else epoch
    return max(predicted, forecast.latest_epoch(one))
