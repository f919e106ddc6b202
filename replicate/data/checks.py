"""Are these the images that the spec speaks of? Counts first, then each class, then every pixel."""

from collections.abc import Mapping

import numpy as np

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
