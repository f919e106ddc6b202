"""One try at one run, whose folder its worker holds: it trains, says how far it is, and leaves a record."""

import errno
import hashlib
import io
import json
import math
import os
import time
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs, to_builtins

from replicate.dispatch.context import WorkerContext
from replicate.dispatch.precision import lacking
from replicate.errors import UserError
from replicate.files import atomic
from replicate.plan import forecast
from replicate.plan.runs import Run
from replicate.records import run_folder
from replicate.records.epoch import Epoch
from replicate.records.origin import Origin
from replicate.records.record import Answers, Provenance, Record, write_record
from replicate.records.run_folder import is_claimed, read_attempts
from replicate.text import say
from replicate.training.outcome import Outcome, Stopped

if TYPE_CHECKING:
    from replicate.data import ImageData

SECONDS_BETWEEN_REPORTS = 1.0
BEGINS = " begins"


class TimeUp(Stopped):
    """There is no time left for another epoch."""


class Lacking(Stopped):
    """This machine cannot compute in the run's precision; in that of the next it may."""


class Abandoned(Stopped):
    """The dispatcher is gone, and a worker of this machine must not outlive it."""


@dataclass
class Attempt:
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
        except Lacking:
            self._take_back_beginning()
            raise
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

    def _take_back_beginning(self) -> None:
        """A run that this machine cannot train has not begun on it."""
        if before := read_attempts(self.folder)[:-1]:
            run_folder.write_attempts(self.folder, before)
        else:
            (self.folder / run_folder.ATTEMPTS).unlink()

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


def begins(run: Run) -> str:
    """The line of a worker's log behind which a run's own ones are."""
    return f"{run}{BEGINS}"


def _trouble(error: BaseException | None) -> BaseException | None:
    """What in the chain of an error is the machine's doing, not the run's; None where nothing is.

    After an error of a GPU, its process can do no more: another one finds out whether the run is to blame.
    """
    import torch

    while error and not isinstance(error, OSError | torch.AcceleratorError):
        error = error.__cause__ or error.__context__
    return error


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
