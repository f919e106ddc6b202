"""A worker process: takes runs one after the other, and turns each into a record.

Runs are claimed by a file lock in their folder, which the system frees when a process dies. So
any number of workers, of any number of commands, may go through the same list.
"""

import errno
import hashlib
import io
import json
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from msgspec import structs, to_builtins

from replicate.dispatch.code import code_digest, library_versions
from replicate.dispatch.precision import lacking
from replicate.errors import UserError
from replicate.files import atomic
from replicate.plan import forecast
from replicate.plan.forecast import Speeds
from replicate.plan.runs import Images, Run
from replicate.plan.state import RunState, look
from replicate.records import run_folder
from replicate.records.epoch import Epoch
from replicate.records.origin import Origin
from replicate.records.record import Answers, Provenance, Record, write_record
from replicate.records.run_folder import claimed, is_claimed, read_attempts
from replicate.text import say
from replicate.training.outcome import Outcome, Stopped

if TYPE_CHECKING:
    from replicate.data import ImageData

SECONDS_BETWEEN_REPORTS = 1.0
BEGINS = " begins"


@dataclass(frozen=True)
class WorkerContext:
    """What a worker needs to know besides its runs."""

    runs_folder: Path
    entries: dict[Images, Path]
    """Where the prepared images of each spec are."""
    code: Origin
    """As far as `read_code` knows it."""
    threads: int
    checkpoint_seconds: float
    worker: str = ""
    """Its name."""
    dispatcher: Path | None = None
    """A folder claimed as long as someone waits for this worker; None where nobody does."""
    until: float | None = None
    """When training must stop, in seconds since 1970; None where it need not."""
    speeds: Speeds = field(default_factory=dict)
    """Known when the worker was started: only a run that can still end is begun."""

    @property
    def origin(self) -> Origin:
        """What can be told of it before a run has begun: the code is that of this very process."""
        own = {"code": code_digest(), "threads": self.threads, **library_versions()}
        return structs.replace(self.code, **own)

    def left(self, runs: Iterable[Run]) -> list[Run]:
        """Those without a result: no damaged record may pass for one, so all of each is read."""
        return look(runs, self.runs_folder, thorough=True).left()


class TimeUp(Stopped):
    """There is no time left for another epoch."""


class Lacking(Stopped):
    """This machine cannot compute in the run's precision; in that of the next it may."""


class Abandoned(Stopped):
    """The dispatcher is gone, and a worker of this machine must not outlive it."""


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
        _Attempt(run, folder, context).carry_out()
    return True


def begins(run: Run) -> str:
    """The line of a worker's log behind which a run's own ones are."""
    return f"{run}{BEGINS}"


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


def record_failure(run: Run, context: WorkerContext, error: str, trace: str | None) -> None:
    """Leave a record that says why a run has no result."""
    origin = structs.replace(context.origin, device="unknown", precision="unknown")
    _write(
        run, context.runs_folder / run.folder_name, origin, [],
        status="failed", source=None, fingerprint=None, error=error, trace=trace,
    )  # fmt: skip


def _write(run: Run, folder: Path, origin: Origin, epochs: list[Epoch], **how: Any) -> None:
    """Leave a run's record, which says `how` it ended."""
    ended = Record(
        cell=run.cell,
        seed=run.seed,
        id=run.id,
        spec=run.spec.model_dump(mode="json"),
        epochs=epochs,
        provenance=_provenance(origin, folder, sum((epoch.seconds for epoch in epochs), 0.0)),
        **how,
    )
    write_record(folder, ended)


def _provenance(origin: Origin, folder: Path, seconds: float) -> Provenance:
    begun, facts = read_attempts(folder), structs.asdict(origin)
    del facts["captured"]  # an attempt's alone: it changes no number
    return Provenance(**facts, started=begun[0]["started"], seconds=seconds, attempts=len(begun))


def _trouble(error: BaseException | None) -> BaseException | None:
    """What in the chain of an error is the machine's doing, not the run's; None where nothing is.

    After an error of a GPU, its process can do no more: another one finds out whether the run is to blame.
    """
    import torch

    while error and not isinstance(error, OSError | torch.AcceleratorError):
        error = error.__cause__ or error.__context__
    return error


@dataclass
class _Attempt:
    """One worker's try at one run, whose folder it holds."""

    run: Run
    folder: Path
    context: WorkerContext
    reported: float = -math.inf
    """When progress was written last, on the monotonic clock."""
    shown: float = -math.inf
    """When batches were."""
    first: tuple[int | None, float, float] = (None, 0.0, 0.0)
    """Of the steps of the epoch under way: the epoch, the share behind it, and when."""

    def carry_out(self) -> None:
        say(begins(self.run))
        atomic.sweep(self.folder)
        (self.folder / run_folder.BATCHES).unlink(missing_ok=True)
        self._note_beginning()
        run_folder.set_aside(self.folder, "corrupt")  # an open run has no sound record
        try:
            outcome, data = self._train()
        except Stopped:
            raise
        except Exception as error:
            if trouble := _trouble(error):
                raise trouble from None
            traceback.print_exc()
            line = f"{type(error).__name__}: {error}".splitlines()[0]
            line = str(error) if isinstance(error, UserError) else line
            record_failure(self.run, self.context, line, traceback.format_exc())
        else:
            self._record(outcome, data)

    def _note_beginning(self) -> None:
        begun = {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "worker": self.context.worker,
            "pid": os.getpid(),
            "origin": to_builtins(self.context.origin),
        }
        run_folder.write_attempts(self.folder, [*read_attempts(self.folder), begun])

    def _train(self) -> tuple[Outcome, "ImageData"]:
        from replicate.data import load
        from replicate.training.loop import train

        try:
            data = load(self.context.entries[self.run.images])
        except UserError as error:  # an entry that was sound when the command began
            raise OSError(errno.EIO, str(error)) from None
        self._refuse_lacking(data)
        outcome = train(
            self.run.spec,
            self.run.seed,
            data,
            checkpoint=self.folder / run_folder.CHECKPOINT,
            on_epoch=self._after_epoch,
            on_step=self._after_step,
            checkpoint_seconds=self.context.checkpoint_seconds,
            origin=self.context.origin,
        )
        return outcome, data

    def _refuse_lacking(self, data: "ImageData") -> None:
        """A run keeps the precision that it began in, and another machine may go on with it."""
        from replicate.training.checkpoint import load

        precision: str = self.run.spec.training.precision
        checkpoint = self.folder / run_folder.CHECKPOINT
        if precision == "auto" and (state := load(checkpoint, self.run.id, data.fingerprint)):
            precision = state["precision"]
        if lack := lacking([precision]).get(precision):
            raise Lacking(lack)

    def _after_step(self, epoch: int, share: float) -> None:
        """Say how far the epoch is, once a second. Not flushed to the disk: it is for those who look now."""
        now = time.monotonic()
        begun, behind, since = self.first
        if epoch != begun:
            self.first = epoch, share, now
        elif now >= max(since, self.shown) + SECONDS_BETWEEN_REPORTS:
            self.shown = now
            speed = (share - behind) * self.run.spec.train_images / (now - since)
            batches = {"epoch": epoch, "share": share, "images_per_second": speed}
            (self.folder / run_folder.BATCHES).write_text(json.dumps(batches), encoding="ascii")

    def _after_epoch(self, epoch: Epoch) -> None:
        """Say how far the run is, and stop where nobody waits for it. Seldom: a write is flushed to
        the disk, which takes a tenth of a GPU's epoch."""
        say(
            f"{self.run}: epoch {epoch.epoch} of {self.run.spec.training.epochs}, {epoch.accuracy:.2f} %,"
            f" loss {epoch.loss:.4g}, {epoch.images_per_second:.0f} images/s"
        )
        last = epoch.epoch == self.run.spec.training.epochs
        next_one = time.time() + forecast.MARGIN * epoch.seconds
        late = self.context.until is not None and next_one > self.context.until
        if not (last or late) and time.monotonic() < self.reported + SECONDS_BETWEEN_REPORTS:
            return
        self.reported = time.monotonic()
        progress = {"epochs": self.run.spec.training.epochs, **structs.asdict(epoch)}
        atomic.write_text(self.folder / run_folder.PROGRESS, json.dumps(progress))
        if self.context.dispatcher and not is_claimed(self.context.dispatcher):
            raise Abandoned(f"nobody waits for {self.context.worker} any more")
        if late and not last:
            raise TimeUp

    def _record(self, outcome: Outcome, data: "ImageData") -> None:
        last = self.run.spec.first_epoch + len(outcome.epochs) - 1
        diverged = outcome.status == "diverged"
        _write(
            self.run,
            self.folder,
            outcome.origin,
            outcome.epochs,
            status=outcome.status,
            pools=_write_pools(self.folder, outcome),
            source=data.source,
            fingerprint=data.fingerprint,
            error=f"the loss was not finite after epoch {last}" if diverged else None,
            trace=None,
            parameters=outcome.parameters,
            flops=outcome.flops,
            attempts=outcome.attempts,
            oddities=outcome.oddities,
            answers=_answers(outcome, data),
        )
        run_folder.drop_training(self.folder)


def _answers(outcome: Outcome, data: "ImageData") -> Answers | None:
    import numpy as np

    if outcome.right is None:
        return None
    return Answers(data.test_checksum, np.packbits(outcome.right).tobytes())


def _write_pools(folder: Path, outcome: Outcome) -> str | None:
    """Keep what FlexPool learned, a (C, H, W) array for each head; returns the file's SHA-256."""
    import numpy as np

    if not outcome.pools:
        return None
    buffer = io.BytesIO()
    np.savez(buffer, *outcome.pools)  # noise: compressing would save a tenth
    atomic.write_bytes(folder / run_folder.POOLS, buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()
