"""The images that the benchmarks train on: a prepared cache entry's, or generated ones."""

from pathlib import Path

import numpy as np

from replicate.data import ImageData, Split

SIDE, CHANNELS, CLASSES = 32, 3, 10


def images(entry: str | None, count: int) -> ImageData:
    """The first `count` training images, 1000 test images at most."""
    if entry is None:
        return ImageData(
            _random(count, 0), _random(min(count, 1000), 1), "generated", "",
            (0.5,) * CHANNELS, (0.29,) * CHANNELS,
        )  # fmt: skip
    from replicate.data import load

    found = load(Path(entry))
    if found.train.images.shape[1:] != (SIDE, SIDE, CHANNELS):
        raise SystemExit(f"{entry}: expected images of {SIDE}x{SIDE}x{CHANNELS}, as CIFAR-10's")
    train, test = (
        Split(split.images[:number], split.labels[:number])
        for split, number in ((found.train, count), (found.test, min(count, 1000)))
    )
    return ImageData(train, test, found.source, found.fingerprint, found.mean, found.std)


def said(entry: str | None) -> str:
    return (
        f"Images: {Path(entry).name if entry else 'generated (noise)'}, {SIDE}x{SIDE}x{CHANNELS}."
    )


def _random(count: int, seed: int) -> Split:
    random = np.random.default_rng(seed)
    shape = (count, SIDE, SIDE, CHANNELS)
    return Split(random.integers(0, 256, shape, dtype=np.uint8), random.integers(0, CLASSES, count))
