"""SHA256SUMS: the checksums of a campaign's files, in the format of `sha256sum --check`.

While a file is replaced its old and its new checksum are both there, so that a crash in between
makes no sound file look damaged.
"""

import hashlib
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from replicate.errors import UserError
from replicate.files import atomic

FILE = "SHA256SUMS"
TEXT = (".csv", ".json")
"""Files in which a checkout or a transfer may change the line ends, and nothing else."""
_log = logging.getLogger(__name__)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """As `atomic.replacing`, and noted; for who alone writes the files of this folder."""
    with atomic.replacing(path) as file:
        yield file
        file.flush()
        new = file_sha256(Path(file.name))
        _note(path, [*noted(path.parent).get(path.name, ()), new])
    _note(path, [new])


def write_bytes(path: Path, content: bytes) -> None:
    with replacing(path) as file:
        file.write(content)


def remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    if path.name in noted(path.parent):
        _note(path, [])


def damaged(path: Path) -> bool:
    """Whether a file is not as it was written; False where nothing is noted of it."""
    known = noted(path.parent).get(path.name)
    if known is None or not path.is_file() or file_sha256(path) in known:
        return False
    if path.suffix not in TEXT:
        return True
    lines = path.read_bytes().replace(b"\r\n", b"\n")
    return hashlib.sha256(lines).hexdigest() not in known


def check(path: Path) -> None:
    """Raises UserError for a damaged file that can be made again."""
    if damaged(path):
        raise UserError(f"{path} is not as it was written: {again(path)}")


def again(path: Path) -> str:
    """How to have a file of a campaign's results again."""
    return f"make it again with `replicate aggregate {path.parent.name}`"


def set_aside_damaged(folder: Path) -> None:
    """Take damaged files out of the way, and say so."""
    for name in noted(folder):
        if damaged(folder / name):
            set_aside(folder / name)


def set_aside(path: Path) -> None:
    aside = path.with_name(f"{path.name}.corrupt")
    path.replace(aside)
    _log.warning("%s is damaged: set aside as %s", path, aside.name)


def _note(path: Path, digests: Iterable[str]) -> None:
    every = noted(path.parent) | {path.name: list(dict.fromkeys(digests))}
    lines = (f"{digest}  {name}\n" for name in sorted(every) for digest in every[name])
    atomic.write_text(path.with_name(FILE), "".join(lines))


def noted(folder: Path) -> dict[str, list[str]]:
    """The checksums of each file by its name."""
    found: dict[str, list[str]] = {}
    try:
        lines = atomic.read(folder / FILE).decode(errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    for line in lines:
        digest, _, name = line.partition("  ")
        found.setdefault(name, []).append(digest)
    return found


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
