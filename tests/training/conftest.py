"""Small specs and small separable images: three classes, each a bright quarter of its own."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from replicate.data import ImageData, Split
from replicate.specs.spec import Spec
from tests import making

ROOT = Path(__file__).parents[2]
SIDE = 8


def _images(count: int, seed: int) -> Split:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, count)
    images = random.integers(0, 100, (count, SIDE, SIDE, 3), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 120
    return Split(images, labels)


@pytest.fixture(scope="session")
def data() -> ImageData:
    """110 training and 70 test images: the last batch of 50 has 10."""
    train = _images(110, seed=1)
    train.images.setflags(write=False)
    return ImageData(train, _images(70, seed=2), "generated", "f" * 64, (0.3,) * 3, (0.2,) * 3)


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., Spec]:
    """Three epochs on `data` in batches of 50; keywords change values of any section."""
    small = {
        "classes": 3,
        "stored_size": SIDE,
        "size": SIDE,
        "train_images": 110,
        "test_images": 70,
    }
    short = {"flip": False, "epochs": 3, "batch_size": 50, "learning_rate": 0.01}
    return functools.partial(making.spec, **small, **short)
