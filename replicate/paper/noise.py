"""The noise floor: how far apart two trainings of one network must be expected to lie, before any run."""

from math import sqrt


def sd_ref(accuracy: float, images: int) -> float:
    """The standard deviation over seeds, in points, that calibrated networks show on a test set.

    100 · √(e / 2N) for an error rate e on N images (Jordan 2023, arXiv 2304.01910). It plans, scales
    margins and flags; it decides no verdict.
    """
    return 100 * sqrt((1 - accuracy / 100) / (2 * images))


def granularity(images: int) -> float:
    """The standard deviation, in points, that rounding to whole images has alone."""
    return 100 / images / sqrt(12)
