"""Official archives: downloaded, checked, unpacked beside their place, renamed into it.

No archive is opened before its checksum agreed, so none can hold anything to be afraid of.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import Request, urlopen

from filelock import FileLock

from replicate.errors import UserError
from replicate.text import say

SILENCE_SECONDS = 60.0
SECONDS_BETWEEN_LINES = 30.0
_BLOCK = 2**20  # bytes
_TEMPORARY = ".download-"


@dataclass(frozen=True)
class Archive:
    """A file that unpacks to one folder."""

    url: str
    filename: str
    md5: str
    folder: str


def unpack(archive: Archive, data_dir: Path) -> None:
    """Make `data_dir/archive.folder`, from the archive in `data_dir` or else from the network."""
    with workspace(data_dir) as temporary:
        if (data_dir / archive.folder).exists():  # another process was faster
            return
        packed = data_dir / archive.filename
        if packed.exists():
            check(packed, archive.md5)
        else:
            packed = temporary / archive.filename
            download(archive.url, packed, archive.md5, data_dir)
        if packed.suffix == ".zip":
            shutil.unpack_archive(packed, temporary)
        else:
            shutil.unpack_archive(packed, temporary, filter="data")
        (temporary / archive.folder).rename(data_dir / archive.folder)


@contextmanager
def workspace(data_dir: Path) -> Iterator[Path]:
    """A temporary folder inside `data_dir`, for one process at a time; what a killed one left is removed."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(data_dir / ".download.lock"):
            for left in data_dir.glob(f"{_TEMPORARY}*"):
                shutil.rmtree(left)
            with TemporaryDirectory(prefix=_TEMPORARY, dir=data_dir) as folder:
                yield Path(folder)
    except OSError as error:
        raise UserError(
            f"{data_dir} cannot take the download ({error.strerror}): choose another --data-dir"
        ) from None


def download(url: str, path: Path, md5: str, data_dir: Path) -> None:
    """Fetch one file, from `data_dir` if someone put it there, and check it."""
    given = data_dir / path.name
    if given.exists():
        check(given, md5)
        shutil.copyfile(given, path)
        return
    try:
        _receive(url, path)
        check(path, md5)
    except (OSError, HTTPException, UserError) as error:
        raise UserError(
            f"download of {url} failed ({error}): put {path.name} into {data_dir} by hand, or class folders"
            " such as cifar10/train/<class>/*.png (--data-dir), or try again"
        ) from None


def _receive(url: str, path: Path) -> None:
    """Write what a server sends, with a line now and then; a server that falls silent is given up."""
    say(f"downloading {url}")
    told = time.monotonic()
    request = Request(url, headers={"User-Agent": "replicate"})
    with urlopen(request, timeout=SILENCE_SECONDS) as response, path.open("xb") as file:
        size = f" of {response.length / 1e6:.0f}" if response.length else ""
        while block := response.read(_BLOCK):
            file.write(block)
            if time.monotonic() - told > SECONDS_BETWEEN_LINES:
                told = time.monotonic()
                say(f"  {file.tell() / 1e6:.0f}{size} MB")


def check(path: Path, md5: str) -> None:
    """Refuse a file that is not, byte for byte, the official one."""
    from torchvision.datasets.utils import calculate_md5

    try:
        actual = calculate_md5(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): make it readable, or remove it and run again"
        ) from None
    if actual != md5:
        raise UserError(
            f"{path} is truncated or not the official file (MD5 {actual}, expected {md5}):"
            " remove it and run again, or put class folders into --data-dir"
        )
