"""Official archives: downloaded, checked, unpacked beside their place, renamed into it.

No archive is opened before its checksum agreed, so none can hold anything to be afraid of.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

from replicate.errors import UserError


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
        actual = calculate_md5(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}):"
            f" remove {path.parent} and run again to download it"
        ) from None
    if actual != md5:
        raise UserError(
            f"{path} is truncated or not the official file (MD5 {actual}, expected {md5}):"
            " remove it and run again to download it, or put class folders into --data-dir"
        )
