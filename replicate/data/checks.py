"""Are these the images that the spec speaks of? Counts first, then each class, then every pixel."""

from collections.abc import Mapping

import numpy as np

from replicate.data.arrays import SPLITS, Fingerprint, ImageData
from replicate.data.coarse import names
from replicate.data.source import Contents
from replicate.errors import UserError
from replicate.specs.spec import Dataset


def check_counts(
    dataset: Dataset, place: str, expected: Mapping[str, int], contents: Mapping[str, Contents]
) -> None:
    """Refuse a split with too few, too many or unknown labels, before anything is decoded."""
    for split, wanted in expected.items():
        labels = contents[split].labels
        if len(labels) and not 0 <= labels.min() <= labels.max() < dataset.classes:
            raise UserError(
                f"{place}: {split} has labels from {labels.min()} to {labels.max()},"
                f" {dataset.name} has {dataset.classes} classes: get the files of {dataset.name}"
            )
        if len(labels) != wanted:
            uneven = _uneven(contents[split], wanted, dataset.classes)
            raise UserError(
                f"{place}: {split} has {len(labels)} images, {dataset.name} has {wanted}{uneven}:"
                f" get the full data set, or set dataset.{split}_images"
            )


UNLABELLED = (
    "bd3c56bf8b3e1bdf9e8f6ee3a972b748c32e3f8b564f8dbae169ed59f43fcf22",  # CIFAR-10
    "4b6301de2a309ae2f0904198d893072c54ca6d2733f9b1ee6df97d7a6bd82304",  # CIFAR-100
    "d8e94b86efcc1fec8b1ea21b3cc6d2383dd26af6a8782815d82b8dbf561e3d31",  # Fashion-MNIST
)
"""Fingerprints of the pinned images, all of them with label 0."""


def check_order(dataset: Dataset, place: str, data: ImageData) -> None:
    """Refuse the pinned images with labels in another order, and say so."""
    if unlabelled(data) in UNLABELLED:
        raise UserError(
            f"{place}: the images are those of {dataset.name}, only its classes are in another order: "
            f"name the class folders 0 to {dataset.classes - 1}, by the official labels"
        )


def unlabelled(data: ImageData) -> str:
    """The fingerprint of images that are stored as they are, without regard to their labels."""
    found = Fingerprint()
    for name, split in zip(SPLITS, (data.train, data.test), strict=True):
        found.add(name, split.images, np.zeros_like(split.labels))
    return found.hexdigest()


def check_fine_classes(place: str, content: Contents) -> None:
    """Refuse images whose coarse classes would be guessed: those of a folder that nothing is pinned for."""
    if sorted(names()) != list(content.names):
        raise UserError(
            f"{place}: pretraining needs to know which class is which: name the class folders as CIFAR-100"
            f" names them ({', '.join(sorted(names())[:3])}, ...), or keep dataset.fingerprint"
        )


def check_fingerprint(dataset: Dataset, place: str, fingerprint: str) -> None:
    """Refuse images that differ from the pinned ones although all counts agree."""
    if dataset.fingerprint not in (None, fingerprint):
        raise UserError(
            f"{place}: images or labels differ from those of {dataset.name}, with all counts right"
            f" (fingerprint {fingerprint}, expected {dataset.fingerprint}): get the original files,"
            " or set dataset.fingerprint to null"
        )


def _uneven(contents: Contents, wanted: int, classes: int) -> str:
    """The first class that has not its share, where some have and some have not."""
    counts = np.bincount(contents.labels, minlength=classes)
    odd = np.flatnonzero(counts != wanted / classes)
    if len(odd) in (0, classes):
        return ""
    name = contents.names[odd[0]] if contents.names else odd[0]
    return f"; class {name} has {counts[odd[0]]}, not {wanted // classes} ({len(odd)} such classes)"
