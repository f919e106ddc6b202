"""A run's folder: the names of its files, who holds it, who began it, how far it is.

It holds record.json when the run has ended, and until then progress.json, batches.json, checkpoint.pt and
attempts.jsonl.
"""

import errno
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from replicate.files import atomic

RECORD = "record.json"
PROGRESS = "progress.json"
BATCHES = "batches.json"
CHECKPOINT = "checkpoint.pt"
ATTEMPTS = "attempts.jsonl"
POOLS = "pools.npz"
LOCK = "lock"
_SHOWN = ("epoch", "accuracy", "images_per_second")
"""Of progress.json."""
_SHOWN_WITHIN = ("epoch", "share", "images_per_second")
"""Of batches.json."""


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Hold a folder; False if another live process does."""
    lock = FileLock(folder / LOCK)
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
        file = os.open(folder / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        with claimed(folder) as mine:  # by the lock's existence, as filelock does it on such a disk
            return not mine
    finally:
        os.close(file)
    return False


def read_attempts(folder: Path) -> list[dict[str, Any]]:
    """Every time a worker began this run: when, and which. A torn or damaged line is left out."""
    try:
        lines = atomic.read(folder / ATTEMPTS).splitlines()
    except FileNotFoundError:
        return []
    return [begun for line in lines if (begun := _begun(line))]


def write_attempts(folder: Path, attempts: Iterable[dict[str, Any]]) -> None:
    """All of them anew: appended to, the file could be torn."""
    text = "".join(f"{json.dumps(one)}\n" for one in attempts)
    atomic.write_text(folder / ATTEMPTS, text)


def last_worker(folder: Path) -> str | None:
    """Who began this run last."""
    begun = read_attempts(folder)
    worker = begun[-1].get("worker") if begun else None
    return worker if isinstance(worker, str) else None


def _begun(line: bytes) -> dict[str, Any] | None:
    try:
        begun = json.loads(line)
    except (ValueError, RecursionError):
        return None
    known = isinstance(begun, dict) and isinstance(begun.get("started"), str)
    return begun if known else None


def drop_training(folder: Path) -> None:
    """What a run that has ended needs no more."""
    for name in (CHECKPOINT, PROGRESS, BATCHES):
        (folder / name).unlink(missing_ok=True)


def set_aside(folder: Path, why: str) -> None:
    """Keep a record that no longer counts under another name, so that the run can be done again."""
    path = folder / RECORD
    if path.exists():
        number = len(list(folder.glob(f"record-{why}-*.json"))) + 1
        path.replace(folder / f"record-{why}-{number}.json")


def read_progress(folder: Path) -> dict[str, Any] | None:
    """The latest epoch of a run under way, as far as it can be read."""
    return _read(folder / PROGRESS, _SHOWN)


def read_batches(folder: Path) -> dict[str, Any] | None:
    """How far the epoch of a run under way is, as far as it can be read."""
    return _read(folder / BATCHES, _SHOWN_WITHIN)


def _read(path: Path, shown: Sequence[str]) -> dict[str, Any] | None:
    try:
        found = json.loads(atomic.read(path))
    except (OSError, ValueError, RecursionError):
        return None
    values = [found.get(key) for key in shown] if isinstance(found, dict) else [None]
    sound = all(isinstance(one, int | float) and abs(one) < 10**9 for one in values)
    return found if sound else None
