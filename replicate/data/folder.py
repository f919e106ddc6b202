"""Class folders of PNG or JPEG files, as many mirrors ship their data sets.

    <data set>/train/<class>/*.png   and   <data set>/test/<class>/*.png
    <data set>/<class>/*.png         where a spec's split_seed draws the test images

Sorted class names give the labels, so that both splits and every machine agree on them: 2 before 10,
where all are numbers.
"""

import hashlib
import os
from collections.abc import Iterable
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from replicate.data import files
from replicate.data.arrays import SPLITS
from replicate.data.source import Contents, Source
from replicate.errors import UserError
from replicate.specs.spec import Dataset

Classes = dict[str, list[Path]]
"""The image files of each class."""


def find(root: Path, dataset: Dataset) -> Source:
    """The images below `root`; UserError where a split or class is missing, empty or foreign."""
    if dataset.split_seed is None:
        _check_splits(root)
        listing = {split: _classes(root / split) for split in SPLITS}
        _check_number(root / "train", listing["train"], dataset)
    else:
        listing = _drawn(root, dataset, dataset.split_seed)
    _check_same_classes(root, listing)
    paths = [p for split in listing.values() for images in split.values() for p in images]
    signature = files.signature(root, paths)
    if in_order(listing["train"]) != sorted(listing["train"]):
        signature += " by number"  # earlier entries have other labels
    return Source("folder", str(root), signature, partial(_read, dataset, listing))


def in_order(names: Iterable[str]) -> list[str]:
    """Names of classes in the order of their labels."""
    found = sorted(names)
    return sorted(found, key=int) if all(name.isdecimal() for name in found) else found


def layout(dataset: Dataset) -> str:
    """Where the images of a folder are expected."""
    if dataset.split_seed is None:
        return "train/<class>/*.png and test/<class>/*.png"
    return "<class>/*.png"


def _check_splits(root: Path) -> None:
    present = [path.name for path in files.visible(root)]
    for split in SPLITS:
        if split not in present:
            raise UserError(
                f"{root / split} is missing: class folders go into {root}/train/<class>"
                f" and {root}/test/<class>, or into {root}/<class> with a dataset.split_seed"
            )


def _drawn(root: Path, dataset: Dataset, seed: int) -> dict[str, Classes]:
    """A folder without splits, split.

    Each class gives its share of the test images. Which ones, a hash of seed and file name decides:
    the same on every machine, and a new file moves few others.
    """
    if {path.name for path in files.visible(root)} >= set(SPLITS):
        raise UserError(f"{root} is split into train and test: set dataset.split_seed to null")
    classes = _classes(root)
    _check_number(root, classes, dataset)
    total, wanted = sum(map(len, classes.values())), dataset.train_images + dataset.test_images
    if total != wanted:
        raise UserError(
            f"{root} has {total} images, {dataset.name} has {dataset.train_images} to train and"
            f" {dataset.test_images} to test: set dataset.train_images and dataset.test_images"
        )
    listing: dict[str, Classes] = {split: {} for split in SPLITS}
    for name, count in _shares(classes, dataset.test_images).items():
        ranked = sorted(classes[name], key=lambda path: _rank(seed, path))
        listing["test"][name] = sorted(ranked[:count])
        listing["train"][name] = sorted(ranked[count:])
    return listing


def _shares(classes: Classes, wanted: int) -> dict[str, int]:
    """How many of `wanted` images each class gives: its share, the largest remainders rounded up."""
    total = sum(map(len, classes.values()))
    exact = {name: Fraction(len(paths) * wanted, total) for name, paths in classes.items()}
    whole = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (whole[name] - exact[name], name))
    for name in by_remainder[: wanted - sum(whole.values())]:
        whole[name] += 1
    return whole


def _rank(seed: int, path: Path) -> bytes:
    return hashlib.sha256(os.fsencode(f"{seed} {path.parent.name}/{path.name}")).digest()


def _classes(folder: Path) -> Classes:
    return {path.name: files.images_in(path) for path in files.visible(folder)}


def _check_number(folder: Path, classes: Classes, dataset: Dataset) -> None:
    if len(classes) != dataset.classes:
        raise UserError(
            f"{folder} has {len(classes)} class folders, {dataset.name} has {dataset.classes}"
            " classes: add or remove folders, or set dataset.classes"
        )


def _check_same_classes(root: Path, listing: dict[str, Classes]) -> None:
    train, test = (set(listing[split]) for split in SPLITS)
    if train != test:
        odd = sorted(train ^ test)[0]
        where, other = ("train", "test") if odd in train else ("test", "train")
        raise UserError(f"class {odd!r} is in {root / where} but not in {root / other}: add it")


def _read(dataset: Dataset, listing: dict[str, Classes], split: str) -> Contents:
    classes = in_order(listing[split])
    labels = np.repeat(np.arange(len(classes)), [len(listing[split][name]) for name in classes])
    paths = [path for name in classes for path in listing[split][name]]
    return Contents(labels, files.decoded(paths, dataset), tuple(classes))
