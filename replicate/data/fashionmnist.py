"""Fashion-MNIST as published (IDX files), in the folder where torchvision puts it."""

import gzip
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.data import files
from replicate.data.download import check, download, workspace
from replicate.data.source import Contents, Source
from replicate.errors import UserError
from replicate.spec import Dataset

FOLDER = Path("FashionMNIST") / "raw"
_PREFIX = {"train": "train", "test": "t10k"}


def find(dataset: Dataset, data_dir: Path) -> Source | None:
    """The four files in `data_dir`; None where their folder is missing."""
    root = data_dir / FOLDER
    if not root.exists():
        return None
    paths = [_present(root / name) for name, _ in _published().resources]
    return Source("official", str(root), files.signature(root, paths), partial(_read, root))


def fetch(dataset: Dataset, data_dir: Path) -> None:
    """Download the four files, all or none."""
    published = _published()
    with workspace(data_dir) as temporary:
        if (data_dir / FOLDER).exists():  # another process was faster
            return
        for name, md5 in published.resources:
            download(published.mirrors[0] + name, temporary / "raw" / name, md5, data_dir)
        (data_dir / FOLDER).parent.mkdir(exist_ok=True)
        (temporary / "raw").rename(data_dir / FOLDER)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array in an IDX file of bytes, gzipped or not; UserError for a broken one."""
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        # two zeros, the type (8: bytes), the number of dimensions, their lengths
        if content[:3] != b"\0\0\x08":
            raise ValueError(f"it starts with {content[:4].hex(' ')!r}")
        dimensions = content[3]
        shape = np.frombuffer(content, ">u4", dimensions, offset=4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    except (OSError, EOFError, IndexError, ValueError, zlib.error) as error:
        raise UserError(
            f"{path} is no whole IDX file ({error}):"
            f" remove {path.parent} and run again to download it"
        ) from None


def _published() -> Any:
    from torchvision.datasets import FashionMNIST

    return FashionMNIST


def _present(path: Path) -> Path:
    """The file as published, or else unpacked by hand."""
    unpacked = path.with_suffix("")
    return unpacked if unpacked.exists() and not path.exists() else path


def _read(root: Path, split: str) -> Contents:
    arrays = []
    for name, md5 in _published().resources:
        if name.startswith(_PREFIX[split]):
            path = _present(root / name)
            if path.suffix == ".gz":  # of the unpacked files no MD5 is published
                check(path, md5)
            arrays.append(read_idx(path))
    images, labels = arrays
    if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
        raise UserError(
            f"{root}: {split} has images of shape {images.shape} with labels of shape {labels.shape},"
            " not as many labels as images of 28x28 pixels: remove it and run again to download it"
        )
    return Contents(labels.astype(np.int64), iter([images[..., None]]))
