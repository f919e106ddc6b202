"""Class folders of PNG or JPEG files, as many mirrors ship their data sets.

    <data set>/train/<class>/*.png   and   <data set>/test/<class>/*.png

Sorted class names give the labels, so that both splits and every machine agree on them.
"""

from functools import partial
from pathlib import Path

import numpy as np

from replicate.data import files
from replicate.data.arrays import SPLITS
from replicate.data.source import Contents, Source
from replicate.errors import UserError
from replicate.spec import Dataset


def find(root: Path, dataset: Dataset) -> Source:
    """The images below `root`; UserError where a split or class is missing, empty or foreign."""
    _check_splits(root)
    listing = {split: _classes(root / split) for split in SPLITS}
    _check_classes(root, dataset, listing)
    paths = [p for split in listing.values() for images in split.values() for p in images]
    return Source(
        "folder", str(root), files.signature(root, paths), partial(_read, dataset, listing)
    )


def _check_splits(root: Path) -> None:
    present = [path.name for path in files.visible(root)]
    for split in SPLITS:
        if split not in present:
            raise UserError(
                f"{root / split} is missing: class folders go into {root}/train/<class>"
                f" and {root}/test/<class>"
            )


def _classes(folder: Path) -> dict[str, list[Path]]:
    """The image files of each class of one split."""
    return {path.name: files.images_in(path) for path in files.visible(folder)}


def _check_classes(root: Path, dataset: Dataset, listing: dict[str, dict[str, list[Path]]]) -> None:
    train, test = (set(listing[split]) for split in SPLITS)
    if len(train) != dataset.classes:
        raise UserError(
            f"{root / 'train'} has {len(train)} class folders, {dataset.name} has {dataset.classes}"
            " classes: add or remove folders"
        )
    if train != test:
        odd = sorted(train ^ test)[0]
        where, other = ("train", "test") if odd in train else ("test", "train")
        raise UserError(f"class {odd!r} is in {root / where} but not in {root / other}: add it")


def _read(dataset: Dataset, listing: dict[str, dict[str, list[Path]]], split: str) -> Contents:
    classes = sorted(listing[split])
    labels = np.repeat(np.arange(len(classes)), [len(listing[split][name]) for name in classes])
    paths = [path for name in classes for path in listing[split][name]]
    return Contents(labels, files.decoded(paths, dataset), tuple(classes))
