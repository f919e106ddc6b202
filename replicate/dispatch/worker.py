"""A worker process: takes runs one after the other, and turns each into a record.

Runs are claimed by a file lock in their folder, which the system frees when a process dies. So
any number of workers, of any number of commands, may go through the same list.
"""

import errno
import fcntl
import hashlib
import io
import json
import math
import os
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from msgspec import structs, to_builtins

from replicate import atomic, forecast, plan
from replicate.dispatch import provenance
from replicate.dispatch.provenance import Code
from replicate.errors import UserError
from replicate.forecast import Speeds
from replicate.plan import Images, Run, to_do
from replicate.results import record
from replicate.results.record import Answers, Provenance, Record
from replicate.training.outcome import Epoch, Origin, Outcome, Stopped

if TYPE_CHECKING:
    from replicate.data import ImageData

SECONDS_BETWEEN_WORDS = 1.0


@dataclass(frozen=True)
class Shift:
    """What a worker needs to know besides its runs."""

    worker: str
    runs_folder: Path
    entries: dict[Images, Path]
    """Where the prepared images of each spec are."""
    code: Code
    threads: int
    checkpoint_seconds: float
    dispatcher: Path | None
    """A folder claimed as long as someone waits for this worker; None where nobody does."""
    until: float | None = None
    """When training must stop, in seconds since 1970; None where it need not."""
    speeds: Speeds = field(default_factory=dict)
    """Known when the worker was started: only a run that can still end is begun."""

    @property
    def origin(self) -> Origin:
        """What can be told of it before a run has begun: the code is that of this very process."""
        facts: dict[str, Any] = {**asdict(self.code), **provenance.versions()}
        return Origin(code=provenance.digest(), threads=self.threads, **facts)


class TimeUp(Stopped):
    """There is no time left for another epoch."""


class Abandoned(Stopped):
    """The dispatcher is gone, and a worker of this machine must not outlive it."""


def work(runs: Sequence[Run], shift: Shift) -> None:
    """Train every run that is still to do and that nobody else holds.

    A failing run is recorded and the next one begins. What is not the run's fault (the disk is
    full, the dispatcher is gone, time is up) ends the worker; the run goes on later from its
    checkpoint.
    """
    from replicate.training import engine

    engine.start(shift.threads)
    for run in runs:
        if not fits(run, runs, shift):
            continue
        folder = shift.runs_folder / run.folder_name
        atomic.make_folder(folder)
        with claimed(folder) as mine:
            if mine and to_do([run], shift.runs_folder):
                try:
                    _Attempt(run, folder, shift).carry_out()
                except TimeUp:
                    return


def fits(run: Run, runs: Sequence[Run], shift: Shift) -> bool:
    """Whether a run can end before the deadline, if there is one; what cannot be told may begin, as long
    as there is time for an epoch."""
    if shift.until is None:
        return True
    span = shift.until - time.time()
    if forecast.MARGIN * forecast.latest_epoch(run, shift.runs_folder) > span:
        return False
    ended = [one for one in runs if plan.state(one, shift.runs_folder) == "done"]
    speeds = {**shift.speeds, **forecast.recorded(ended, shift.runs_folder)}
    if not speeds:
        epochs = (forecast.latest_epoch(one, shift.runs_folder) for one in runs)
        return forecast.MARGIN * max(epochs, default=0) <= span
    return forecast.MARGIN * forecast.left(run, speeds, shift.runs_folder) <= span


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Hold a folder; False if another live process does."""
    lock = FileLock(folder / record.LOCK)
    try:
        lock.acquire(timeout=0.5)  # not 0: who only looks holds it for a moment, too
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def is_claimed(folder: Path) -> bool:
    """Whether a live process holds the folder. Writes nothing: the disk may be read-only."""
    try:
        file = os.open(folder / record.LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        return _is_claimed_without_flock(folder)
    finally:
        os.close(file)
    return False


def _is_claimed_without_flock(folder: Path) -> bool:
    """As filelock does it on a disk that has no locks: by the file's existence."""
    lock = FileLock(folder / record.LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
    return False


def attempts(folder: Path) -> list[dict[str, Any]]:
    """Every time a worker began this run: when, and which. A torn or damaged line is left out."""
    try:
        lines = atomic.read(folder / record.ATTEMPTS).splitlines()
    except FileNotFoundError:
        return []
    return [begun for line in lines if (begun := _begun(line))]


def _begun(line: bytes) -> dict[str, Any] | None:
    try:
        begun = json.loads(line)
    except (ValueError, RecursionError):
        return None
    known = isinstance(begun, dict) and isinstance(begun.get("started"), str)
    return begun if known else None


def record_failure(run: Run, shift: Shift, error: str, trace: str | None) -> None:
    """Leave a record that says why a run has no result."""
    folder = shift.runs_folder / run.folder_name
    origin = structs.replace(shift.origin, device="unknown", precision="unknown")
    failed = Record(
        cell=run.cell,
        seed=run.seed,
        id=run.id,
        status="failed",
        spec=run.spec.model_dump(mode="json"),
        source=None,
        fingerprint=None,
        epochs=[],
        error=error,
        trace=trace,
        provenance=_provenance(origin, folder, seconds=0.0),
    )
    record.write(folder, failed)


@dataclass
class _Attempt:
    """One worker's try at one run, whose folder it holds."""

    run: Run
    folder: Path
    shift: Shift
    said: float = -math.inf
    """When progress was written last, on the monotonic clock."""

    def carry_out(self) -> None:
        atomic.sweep(self.folder)
        self._note_beginning()
        record.set_aside(self.folder, "corrupt")  # an open run has no sound record
        try:
            outcome, data = self._train()
        except (Stopped, OSError):
            raise
        except Exception as error:
            line = f"{type(error).__name__}: {error}".splitlines()[0]
            line = str(error) if isinstance(error, UserError) else line
            record_failure(self.run, self.shift, line, traceback.format_exc())
        else:
            self._record(outcome, data)

    def _note_beginning(self) -> None:
        begun = {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "worker": self.shift.worker,
            "pid": os.getpid(),
            "origin": to_builtins(self.shift.origin),
        }
        every = [*attempts(self.folder), begun]
        text = "".join(f"{json.dumps(one)}\n" for one in every)
        atomic.write_text(self.folder / record.ATTEMPTS, text)  # appended to, it could be torn

    def _train(self) -> tuple[Outcome, "ImageData"]:
        from replicate.data import load
        from replicate.training import train

        data = load(self.shift.entries[self.run.images])
        outcome = train(
            self.run.spec,
            self.run.seed,
            data,
            checkpoint=self.folder / record.CHECKPOINT,
            on_epoch=self._after_epoch,
            checkpoint_seconds=self.shift.checkpoint_seconds,
            origin=self.shift.origin,
        )
        return outcome, data

    def _after_epoch(self, epoch: Epoch) -> None:
        """Say how far the run is, and stop where nobody waits for it. Seldom: a write is flushed to
        the disk, which takes a tenth of a GPU's epoch."""
        last = epoch.epoch == self.run.spec.training.epochs
        next_one = time.time() + forecast.MARGIN * epoch.seconds
        late = self.shift.until is not None and next_one > self.shift.until
        if not (last or late) and time.monotonic() < self.said + SECONDS_BETWEEN_WORDS:
            return
        self.said = time.monotonic()
        progress = {"epochs": self.run.spec.training.epochs, **structs.asdict(epoch)}
        atomic.write_text(self.folder / record.PROGRESS, json.dumps(progress))
        if self.shift.dispatcher and not is_claimed(self.shift.dispatcher):
            raise Abandoned(f"nobody waits for {self.shift.worker} any more")
        if late and not last:
            raise TimeUp

    def _record(self, outcome: Outcome, data: "ImageData") -> None:
        last = self.run.spec.first_epoch + len(outcome.epochs) - 1
        diverged = outcome.status == "diverged"
        ended = Record(
            cell=self.run.cell,
            seed=self.run.seed,
            id=self.run.id,
            status=outcome.status,
            pools=_write_pools(self.folder, outcome),
            spec=self.run.spec.model_dump(mode="json"),
            source=data.source,
            fingerprint=data.fingerprint,
            epochs=outcome.epochs,
            error=f"the loss was not finite after epoch {last}" if diverged else None,
            trace=None,
            parameters=outcome.parameters,
            flops=outcome.flops,
            provenance=_provenance(
                outcome.origin, self.folder, sum(epoch.seconds for epoch in outcome.epochs)
            ),
            attempts=outcome.attempts,
            oddities=outcome.oddities,
            answers=_answers(outcome, data),
        )
        record.write(self.folder, ended)
        for name in (record.CHECKPOINT, record.PROGRESS):
            (self.folder / name).unlink(missing_ok=True)


def _provenance(origin: Origin, folder: Path, seconds: float) -> Provenance:
    begun = attempts(folder)
    facts = {name: getattr(origin, name) for name in Origin.__struct_fields__ if name != "captured"}
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
    with atomic.replacing(folder / record.POOLS) as file:
        file.write(buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()
