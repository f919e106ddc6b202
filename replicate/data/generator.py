"""Generated images: the data set's shape and classes, learnable, the same on every machine.

A class is a colour and two slanted waves. Each image shifts the waves anywhere, changes their
contrast and adds noise, so that one pixel says little and the whole image everything. Only sums,
products and integers are used: nothing that a processor or library could round in its own way.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from replicate.data.arrays import Images, Labels
from replicate.data.source import Contents, Source
from replicate.specs.spec import Dataset, Generated

RECIPE = 1
"""To be raised with every change of the images."""
_WAVES = 2
_COLOUR, _WAVE, _NOISE = 20, 30, 40  # amplitudes in grey levels
_BLOCK = 250
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Classes:
    """What the classes look like: colour (K, C), cycles (K, W, 2), tint of each wave (K, W, C)."""

    colour: Floats
    cycles: NDArray[np.int64]
    tint: Floats


def find(dataset: Dataset, generated: Generated) -> Source:
    """Images from nothing but the data set's name, the split and their number."""
    counts = {"train": generated.train_images, "test": generated.test_images}
    return Source(
        "generated", "generated", f"recipe {RECIPE} {counts}", partial(_read, dataset, counts)
    )


def _read(dataset: Dataset, counts: dict[str, int], split: str) -> Contents:
    labels = np.arange(counts[split]) % dataset.classes
    return Contents(labels, _images(dataset, split, labels))


def _images(dataset: Dataset, split: str, labels: Labels) -> Iterator[Images]:
    classes = _draw_classes(dataset)
    rng = _rng(dataset.name, split)
    for i in range(0, len(labels), _BLOCK):
        yield _draw_images(
            classes, labels[i : i + _BLOCK], dataset.stored_size or dataset.size, rng
        )


def _rng(*names: str) -> np.random.Generator:
    seed = hashlib.sha256(" ".join(names).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(seed)))


def _draw_classes(dataset: Dataset) -> _Classes:
    rng = _rng(dataset.name, "classes")
    k, c = dataset.classes, dataset.channels
    return _Classes(
        colour=rng.uniform(-1, 1, (k, c)),
        cycles=rng.integers([1, -4], 5, (k, _WAVES, 2)),
        tint=rng.uniform(-1, 1, (k, _WAVES, c)),
    )


def _draw_images(classes: _Classes, labels: Labels, size: int, rng: np.random.Generator) -> Images:
    """Images (N, size, size, C) of the given classes."""
    n = len(labels)
    steps = np.arange(size) / size
    shift = rng.uniform(0, 1, (n, 2))
    x = (steps + shift[:, :1])[:, None, :]
    y = (steps + shift[:, 1:])[:, :, None]
    contrast = rng.uniform(0.6, 1.4, (n, 1, 1, 1))
    noise = rng.integers(-_NOISE, _NOISE + 1, (n, size, size, classes.colour.shape[1]))
    image = 128 + _COLOUR * classes.colour[labels][:, None, None] + noise
    for wave in range(_WAVES):
        across, down = classes.cycles[labels, wave, :, None, None].swapaxes(0, 1)
        height = _triangle(across * x + down * y)[..., None]
        image += _WAVE * contrast * height * classes.tint[labels, wave][:, None, None]
    return np.clip(np.floor(image), 0, 255).astype(np.uint8)


def _triangle(turns: Floats) -> Floats:
    """A wave between -1 and 1 with one period a turn."""
    return 4 * np.abs(turns - np.floor(turns + 0.5)) - 1
