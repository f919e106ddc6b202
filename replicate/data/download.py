"""Official archives: downloaded, checked, unpacked beside their place, renamed into it."""

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from lzma import LZMAError
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

from replicate.errors import UserError

MAX_UNPACKED = 2 * 1024**3
"""Bytes an archive may grow to: several times what the largest of them does."""

UNREADABLE = (
    *(zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, LZMAError),
    *(EOFError, ValueError, RuntimeError),  # the last: encrypted, or packed in an unknown way
)
"""What opening a damaged archive can end in; not a full disk."""


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
        extract = extract_zip if packed.suffix == ".zip" else extract_tar
        extract(packed, temporary)
        (temporary / archive.folder).rename(data_dir / archive.folder)


@contextmanager
def workspace(data_dir: Path) -> Iterator[Path]:
    """A temporary folder inside `data_dir`, for one process at a time."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(data_dir / ".download.lock"), TemporaryDirectory(dir=data_dir) as folder:
            yield Path(folder)
    except OSError as error:
        raise UserError(
            f"{data_dir} cannot take the download ({error.strerror}): choose another --data-dir"
        ) from None


def download(url: str, path: Path, md5: str, data_dir: Path) -> None:
    """Fetch one file and check it."""
    from torchvision.datasets.utils import download_url

    try:
        download_url(url, path.parent, path.name, md5)
    except (OSError, RuntimeError, HTTPException) as error:
        raise UserError(
            f"download of {url} failed ({error}): put {path.name}, or the class folders,"
            f" into {data_dir} by hand (--data-dir), or try again"
        ) from None


def check(path: Path, md5: str) -> None:
    """Refuse a file that is not, byte for byte, the official one."""
    from torchvision.datasets.utils import calculate_md5

    try:
        found = calculate_md5(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}):"
            f" remove {path.parent} and run again to download it"
        ) from None
    if found != md5:
        raise UserError(
            f"{path} is truncated or not the official file (MD5 {found}, expected {md5}):"
            " remove it and run again to download it, or put class folders into --data-dir"
        )


def extract_zip(path: Path, target: Path) -> None:
    """Unpack a zip file whose members stay inside `target` and within MAX_UNPACKED bytes."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive.infolist(), target)
            archive.extractall(target)
    except UNREADABLE as error:
        raise UserError(f"{path} is no whole zip file ({error}): remove it and run again") from None


def extract_tar(path: Path, target: Path) -> None:
    """As `extract_zip`, of a tar file, compressed or not; links and devices are refused."""
    try:
        with tarfile.open(path) as archive:
            total = 0
            for member in archive:  # one after the other: a bomb is not unpacked to its end
                total += member.size
                _check_size(path, total)
                if not (member.isfile() or member.isdir()):
                    raise UserError(f"{path} holds {member.name!r}, no file: get it elsewhere")
                archive.extract(member, target, filter="data")
    except UNREADABLE as error:
        raise UserError(f"{path} is no sound tar file ({error}): remove it and run again") from None


def _check_members(path: Path, members: list[zipfile.ZipInfo], target: Path) -> None:
    root = target.resolve()
    for member in members:
        if not (root / member.filename).resolve().is_relative_to(root):
            raise UserError(
                f"{path} holds {member.filename!r}, outside its folder: get it elsewhere"
            )
    _check_size(path, sum(member.file_size for member in members))


def _check_size(path: Path, total: int) -> None:
    if total > MAX_UNPACKED:
        raise UserError(
            f"{path} unpacks to {total} bytes, at most {MAX_UNPACKED}: get it elsewhere"
        )
