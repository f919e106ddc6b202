"""CIFAR-10 and CIFAR-100 as published, in the folders where torchvision puts them.

torchvision supplies addresses, checksums and download. The batches are pickles: they are opened
only after their checksum agreed, and by an unpickler that knows nothing but arrays.
"""

import codecs
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from replicate.data import files
from replicate.data.arrays import Images, Labels
from replicate.data.download import Archive, check, unpack
from replicate.data.source import Contents, Source
from replicate.errors import UserError
from replicate.spec import Dataset

_reconstruct = np.empty(0).__reduce__()[0]
_KNOWN = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,  # before numpy 2
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): codecs.encode,  # how Python 3 writes bytes in Python 2's protocol
}


def find(dataset: Dataset, data_dir: Path) -> Source | None:
    """The unpacked batches in `data_dir`; None where their folder is missing."""
    root = data_dir / _archive(dataset).folder
    if not root.exists():
        return None
    batches = _batches(dataset)
    paths = [root / name for split in batches.values() for name, _ in split]
    return Source(
        "official", str(root), files.signature(root, paths), partial(_read, root, batches)
    )


def fetch(dataset: Dataset, data_dir: Path) -> None:
    unpack(_archive(dataset), data_dir)


def read_batch(path: Path) -> tuple[Images, Labels]:
    """Images (N, 32, 32, 3) and labels (N,) of one batch in the published format.

    Raises UserError for a pickle that holds anything but arrays and plain containers.
    """
    try:
        with path.open("rb") as file:
            batch = _ArrayUnpickler(file, encoding="latin1").load()
        labels = batch["labels"] if "labels" in batch else batch["fine_labels"]
        images = np.asarray(batch["data"], np.uint8).reshape(len(labels), 3, 32, 32)
        return images.transpose(0, 2, 3, 1), np.array(labels, np.int64)
    except Exception as error:  # a foreign pickle can fail in any way
        raise UserError(
            f"{path} is no CIFAR batch ({error}): remove {path.parent} and run again to download it"
        ) from None


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _KNOWN[module, name]


def _archive(dataset: Dataset) -> Archive:
    published = _published(dataset)
    return Archive(published.url, published.filename, published.tgz_md5, published.base_folder)


def _batches(dataset: Dataset) -> dict[str, list[tuple[str, str]]]:
    """File name and MD5 of each batch of each split."""
    published = _published(dataset)
    return {"train": published.train_list, "test": published.test_list}


def _published(dataset: Dataset) -> Any:
    from torchvision import datasets

    return getattr(datasets, str(dataset.official))


def _read(root: Path, batches: dict[str, list[tuple[str, str]]], split: str) -> Contents:
    for name, md5 in batches[split]:
        check(root / name, md5)
    read = [read_batch(root / name) for name, _ in batches[split]]
    return Contents(np.concatenate([labels for _, labels in read]), (images for images, _ in read))
