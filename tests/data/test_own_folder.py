"""A class folder of one's own: photos of any size, with or without a split."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from replicate.data import files, load, prepare
from replicate.errors import UserError
from replicate.specs.spec import Dataset, Spec

MATERIALS = ("cardboard", "glass", "metal", "paper", "plastic", "trash")
COUNTS = dict(zip(MATERIALS, (12, 11, 10, 9, 8, 10), strict=True))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """60 photos of six materials, PNG and JPEG, no two sizes alike: waste/<class>/*."""
    random = np.random.default_rng(0)
    number = 0
    for name, count in COUNTS.items():
        folder = tmp_path / "photos" / "waste" / name
        folder.mkdir(parents=True)
        for i in range(count):
            shape = (20 + number % 7, 30 + number, 3)
            image = Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8))
            image.save(folder / f"{name}{i}.{'png' if i % 2 else 'jpg'}")
            number += 1
    return tmp_path / "photos"


@pytest.fixture
def waste(paper_spec: Callable[..., Spec]) -> Callable[..., Spec]:
    def make(**changes: Any) -> Spec:
        own = {"name": "waste", "title": "Waste", "official": None, "classes": 6}
        own |= {"stored_size": None, "size": 16, "fit": "resize", "split_seed": 0}
        own |= {"train_images": 48, "test_images": 12, "fingerprint": None}
        return paper_spec("cifar10", **{**own, **changes})

    return make


def test_every_class_gives_its_share_of_the_test_images(
    waste: Callable[..., Spec], photos: Path, cache_dir: Path
) -> None:
    data = load(prepare(waste(), photos, cache_dir))
    assert data.train.images.shape == (48, 16, 16, 3)
    assert data.test.images.shape == (12, 16, 16, 3)
    # a fifth of 12, 11, 10, 9, 8, 10 is 2.4, 2.2, 2, 1.8, 1.6, 2: the last rounds up 1.8 and 1.6
    assert np.bincount(data.test.labels).tolist() == [2, 2, 2, 2, 2, 2]
    assert np.bincount(data.train.labels).tolist() == [10, 9, 8, 7, 6, 8]


def test_which_ones_is_decided_by_seed_and_file_name(
    waste: Callable[..., Spec], photos: Path, cache_dir: Path
) -> None:
    spec = waste()
    data = load(prepare(spec, photos, cache_dir))

    def rank(path: Path) -> str:
        return hashlib.sha256(f"0 glass/{path.name}".encode()).hexdigest()

    first_two = sorted(sorted((photos / "waste/glass").iterdir(), key=rank)[:2])
    own = data.test.images[data.test.labels == 1]
    for path, image in zip(first_two, own, strict=True):
        with Image.open(path) as photo:
            small = photo.convert("RGB").resize((16, 16), Image.Resampling.BILINEAR)
        assert np.array_equal(np.asarray(small), image)


def test_the_fingerprint_covers_the_split(
    waste: Callable[..., Spec], photos: Path, cache_dir: Path
) -> None:
    first = load(prepare(waste(), photos, cache_dir))
    again = load(prepare(waste(), photos, cache_dir / "other"))
    other = load(prepare(waste(split_seed=1), photos, cache_dir))
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != other.fingerprint
    assert waste().run_id(0) != waste(split_seed=1).run_id(0)
    pinned = waste(split_seed=1, fingerprint=first.fingerprint)
    with pytest.raises(UserError, match="images or labels differ from those of waste"):
        prepare(pinned, photos, cache_dir)


def test_photos_that_are_split_already(
    waste: Callable[..., Spec], photos: Path, cache_dir: Path
) -> None:
    root = photos / "waste"
    for name in MATERIALS:
        for split, keep in (("test", slice(0, 2)), ("train", slice(2, None))):
            shutil.copytree(root / name, root / split / name)
            kept = sorted((root / name).iterdir())[keep]
            for path in sorted((root / split / name).iterdir()):
                if path.name not in {one.name for one in kept}:
                    path.unlink()
        shutil.rmtree(root / name)
    data = load(prepare(waste(split_seed=None), photos, cache_dir))
    assert (len(data.train.labels), len(data.test.labels)) == (48, 12)
    with pytest.raises(
        UserError, match=r"split into train and test: set dataset.split_seed to nul"
    ):
        prepare(waste(), photos, cache_dir)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"split_seed": None},
            r"waste/train is missing: .* or into .*/waste/<class> with a datase",
        ),
        ({"classes": 5}, r"waste has 6 class folders, waste has 5 classes: .* set dataset.classes"),
        ({"train_images": 50}, r"waste has 60 images, waste has 50 to train and 12 to test: set"),
        ({"name": "rubbish"}, r"rubbish is missing: put rubbish there as <class>/\*.png"),
        (
            {"stored_size": 16},
            r"has \d+x\d+ pixels, waste has 16x16: replace it, or set dataset.st",
        ),
    ],
)
def test_a_wrong_folder_gives_one_line(
    waste: Callable[..., Spec], photos: Path, cache_dir: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        prepare(waste(**changes), photos, cache_dir)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fit": "pad"}, "stored_size null needs fit: resize and official: null"),
        ({"official": "CIFAR10", "split_seed": None}, "stored_size null needs fit: resize"),
        (
            {"official": "CIFAR10", "stored_size": 32},
            "split_seed must be null: CIFAR10 comes split",
        ),
    ],
)
def test_what_a_folder_cannot_be(
    waste: Callable[..., Spec], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        waste(**changes)


def test_photos_of_one_size_are_decoded_in_blocks(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_BLOCK", 2)
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path in paths:
        Image.new("RGB", (8, 8)).save(path)
    assert [block.shape for block in files.decoded(paths, dataset)] == [(2, 8, 8, 3), (1, 8, 8, 3)]
    any_size = dataset.model_copy(update={"stored_size": None, "fit": "resize"})
    assert [len(block) for block in files.decoded(paths, any_size)] == [1, 1, 1]
