"""Files that are whole or absent: written beside their place, flushed to disk, renamed."""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from filelock import FileLock

_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to fill that becomes `path` at the end; on any error the old file stays as it was."""
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    flush(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    with replacing(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def make_folder(path: Path) -> None:
    """Make a folder and those above it, so that a power cut does not take it with what is in it."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        flush(path.parent)


def sweep(folder: Path) -> None:
    """Remove what processes left that died in `replacing`; only for who alone may write there."""
    for path in folder.iterdir():
        if _UNFINISHED.fullmatch(path.name):
            path.unlink(missing_ok=True)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process at a time among all that write the files of a folder; it removes what others left.

    On a disk that cannot be written to there is nobody to wait for.
    """
    lock = FileLock(folder / "writing.lock")
    try:
        lock.acquire()
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES):
            raise
        yield
        return
    try:
        sweep(folder)
        yield
    finally:
        lock.release()


def read(path: Path) -> bytes:
    """All of a regular file: a pipe or device, maybe behind a link, could keep its reader for ever."""
    require_regular(path)
    return path.read_bytes()


def require_regular(path: Path) -> None:
    """Raises OSError for anything else, FileNotFoundError where there is nothing."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def flush(path: Path) -> None:
    """Have a file, or the names in a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
