"""What every source ends as: uint8 arrays, their statistics and their fingerprint."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from replicate.specs.spec import Dataset

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Kind = Literal["official", "folder", "generated"]
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Split:
    """One split as the network sees it: images (N, H, W, C) uint8, labels (N,) int64, read-only."""

    images: Images
    labels: Labels


@dataclass(frozen=True)
class ImageData:
    """A data set, ready to train on."""

    train: Split
    test: Split
    source: Kind
    fingerprint: str
    """SHA-256 of the images as stored (before `fit`) and their labels, in any order."""
    mean: tuple[float, ...]
    """Per channel, of the training images scaled to [0, 1] (A07)."""
    std: tuple[float, ...]
    """Population standard deviation, like `mean`."""
    test_checksum: str = ""
    """SHA-256 of the file of test images, so of their order too; empty for images in memory alone."""


class Fingerprint:
    """SHA-256 over the sorted digests of all images, so that the order of files does not matter."""

    def __init__(self) -> None:
        self._digests: list[bytes] = []

    def add(self, split: str, images: Images, labels: Labels) -> None:
        """Count in images (N, H, W, C) as stored, with their labels (N,)."""
        shape = "x".join(map(str, images.shape[1:]))
        for image, label in zip(images, labels, strict=True):
            digest = hashlib.sha256(f"{split} {label} {shape}\n".encode())
            digest.update(image.tobytes())
            self._digests.append(digest.digest())

    def hexdigest(self) -> str:
        return hashlib.sha256(b"".join(sorted(self._digests))).hexdigest()


def moments(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and population standard deviation per channel of images (N, H, W, C) scaled to [0, 1].

    Taken from each channel's histogram: exact, and without a float copy of the images.
    """
    values = np.arange(256) / 255
    means, deviations = [], []
    for channel in range(images.shape[-1]):
        counts = sum(_histogram(block[..., channel]) for block in _blocks(images))
        mean = float(np.average(values, weights=counts))
        means.append(mean)
        deviations.append(float(np.sqrt(np.average((values - mean) ** 2, weights=counts))))
    return tuple(means), tuple(deviations)


def fit(images: Images, dataset: Dataset) -> Images:
    """Images as stored (N, H, W, C) brought to (N, S, S, C) at `dataset.size` (A08, A09)."""
    stored = images.shape[1]
    match dataset.fit:
        case "average":
            return _average(images, stored // dataset.size)
        case "resize":
            return np.stack([_resize(image, dataset.size) for image in images])
        case "pad":
            return _pad(images, dataset.size - stored)
        case "none":
            return images


def _average(images: Images, factor: int) -> Images:
    """Mean of factor × factor blocks, halves rounded up."""
    n, height, width, channels = images.shape
    blocks = images.reshape(n, height // factor, factor, width // factor, factor, channels)
    sums = blocks.sum(axis=(2, 4), dtype=np.uint32)
    means: Images = ((sums + factor**2 // 2) // factor**2).astype(np.uint8)
    return means


def _resize(image: Images, size: int) -> Images:
    """Bilinear, antialiased as Pillow does when it shrinks."""
    from PIL import Image

    grey = image.shape[-1] == 1
    small = Image.fromarray(image[..., 0] if grey else image).resize(
        (size, size), Image.Resampling.BILINEAR
    )
    return np.asarray(small).reshape(size, size, -1)


def _pad(images: Images, extra: int) -> Images:
    """Zeros on all sides; an odd pixel goes to the right and the bottom."""
    sides = (extra // 2, extra - extra // 2)
    return np.pad(images, ((0, 0), sides, sides, (0, 0)))


def _blocks(images: Images, length: int = 10_000) -> list[Images]:
    return [images[i : i + length] for i in range(0, len(images), length)]


def _histogram(values: Images) -> NDArray[np.int64]:
    return np.bincount(values.ravel(), minlength=256)
