"""Small specs and small data folders in every layout, and the places of the real ones."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from replicate.specs.spec import Dataset, Spec
from tests import making

ROOT = Path(__file__).parents[2]
CLASSES = ("cat", "dog", "owl")


@pytest.fixture
def paper_spec() -> Callable[..., Spec]:
    """The resolved spec of a data set's first cell, with other values in its dataset section."""

    def make(cell: str, generated: Any = None, **dataset: Any) -> Spec:
        return making.spec(f"table1/{cell}/avgpool", generated=generated, **dataset)

    return make


@pytest.fixture
def spec(paper_spec: Callable[..., Spec]) -> Spec:
    """Three classes of 8x8 RGB images: four training images and two test images each."""
    return paper_spec(
        "cifar10", name="pets", official=None, classes=3, stored_size=8, size=8,
        train_images=12, test_images=6, fingerprint=None,
    )  # fmt: skip


@pytest.fixture
def dataset(spec: Spec) -> Dataset:
    return spec.dataset


@pytest.fixture
def pixels() -> np.ndarray:
    """The images of `data_dir`: 18 x 8 x 8 x 3."""
    return np.random.default_rng(0).integers(0, 256, (18, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def data_dir(tmp_path: Path, pixels: np.ndarray) -> Path:
    """Holds class folders of `spec`: image i is of class i % 3, the last six are for the test."""
    root = tmp_path / "data"
    for i, image in enumerate(pixels):
        path = root / "pets" / ("train" if i < 12 else "test") / CLASSES[i % 3] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return root


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def real_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared, so that each real data set is decoded once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = os.environ.get("FLEXPOOL_TEST_DATA")
    if not folder:
        pytest.skip("FLEXPOOL_TEST_DATA does not name the folder of the real data sets")
    return Path(folder)
