"""CIFAR-10, CIFAR-100 and Fashion-MNIST as published, in the folders where torchvision puts them.

torchvision supplies addresses, checksums and download. Its readers are not used: they want folders
that are unpacked and complete to the last file, and do not name the file that is damaged.
"""

import gzip
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicate.data import files
from replicate.data.arrays import Images, Labels
from replicate.data.download import Archive, check, download, unpack, workspace
from replicate.data.source import Contents, Source
from replicate.errors import UserError
from replicate.specs.spec import Dataset

FASHION_MNIST = Path("FashionMNIST") / "raw"
_PREFIXES = {"train": "train", "test": "t10k"}
Listing = dict[str, list[tuple[Path, str]]]
"""The files of each split, with the MD5 of each; Fashion-MNIST's images come before its labels."""


def find(dataset: Dataset, data_dir: Path) -> Source | None:
    """The files in their folder in `data_dir`, or all of them above it; None without either."""
    official, fashion = _published(dataset), dataset.official == "FashionMNIST"
    usual = data_dir / (FASHION_MNIST if fashion else official.base_folder)
    listed = _idx_files if fashion else _batches
    places = [place for place in (usual, *usual.parents) if place.is_relative_to(data_dir)]
    whole = (place for place in places if not _missing(listed(official, place)))
    root = next(whole, usual)
    if not root.exists():
        return None
    listing = listed(official, root)
    if missing := _missing(listing):
        raise UserError(
            f"{missing[0]} is missing: put it there, or remove {root} and run again to download all of it"
        )
    read = _read_fashion_mnist if fashion else _read_cifar
    signature = files.signature(root, _paths(listing))
    return Source("official", str(root), signature, partial(read, listing))


def fetch(dataset: Dataset, data_dir: Path) -> None:
    """Download the files, all or none."""
    official = _published(dataset)
    if dataset.official == "FashionMNIST":
        _fetch_fashion_mnist(official, data_dir)
    else:
        facts = (official.url, official.filename, official.tgz_md5, official.base_folder)
        unpack(Archive(*facts), data_dir)


def _published(dataset: Dataset) -> Any:
    """What torchvision knows of a data set: a class."""
    from torchvision import datasets

    return getattr(datasets, str(dataset.official))


def _paths(listing: Listing) -> list[Path]:
    return [path for split in listing.values() for path, _ in split]


def _missing(listing: Listing) -> list[Path]:
    return [path for path in _paths(listing) if not path.is_file()]


def _batches(official: Any, root: Path) -> Listing:
    listed = {"train": official.train_list, "test": official.test_list}
    return {split: [(root / name, md5) for name, md5 in pairs] for split, pairs in listed.items()}


def _read_cifar(listing: Listing, split: str) -> Contents:
    for path, md5 in listing[split]:
        check(path, md5)
    batches = [_read_batch(path) for path, _ in listing[split]]
    return Contents(
        np.concatenate([labels for _, labels in batches]), (images for images, _ in batches)
    )


def _read_batch(path: Path) -> tuple[Images, Labels]:
    """Images (N, 32, 32, 3) and labels (N,) of one batch.

    A pickle can run code, so this is for files whose checksum agreed, and for no others.
    """
    with path.open("rb") as file:
        batch = pickle.load(file, encoding="latin1")
    labels = batch["labels"] if "labels" in batch else batch["fine_labels"]
    images = batch["data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return images, np.array(labels, np.int64)


def _idx_files(official: Any, root: Path) -> Listing:
    """Each file as published, or else unpacked by hand."""

    def present(path: Path) -> Path:
        unpacked = path.with_suffix("")
        return unpacked if unpacked.exists() and not path.exists() else path

    return {
        split: [(present(root / n), md5) for n, md5 in official.resources if n.startswith(prefix)]
        for split, prefix in _PREFIXES.items()
    }


def _fetch_fashion_mnist(official: Any, data_dir: Path) -> None:
    with workspace(data_dir) as temporary:
        target = data_dir / FASHION_MNIST
        if target.exists():  # another process was faster
            return
        (temporary / "raw").mkdir()
        for name, md5 in official.resources:
            download(official.mirrors[0] + name, temporary / "raw" / name, md5, data_dir)
        target.parent.mkdir(exist_ok=True)
        (temporary / "raw").rename(target)


def _read_fashion_mnist(listing: Listing, split: str) -> Contents:
    for path, md5 in listing[split]:
        if path.suffix == ".gz":  # of the unpacked files no MD5 is published
            check(path, md5)
    images, labels = (read_idx(path) for path, _ in listing[split])
    if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
        root = listing[split][0][0].parent
        raise UserError(
            f"{root}: {split} has images of shape {images.shape} with labels of shape {labels.shape},"
            " not as many labels as images of 28x28 pixels: remove it and run again to download it"
        )
    return Contents(labels.astype(np.int64), iter([images[..., None]]))


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
    except (OSError, IndexError, ValueError) as error:
        raise UserError(f"{path} is no whole IDX file ({error}): remove it and run again") from None
