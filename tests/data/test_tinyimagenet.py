import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from replicate.data import load, prepare
from replicate.errors import UserError
from replicate.specs.spec import Spec

WNIDS = ("n02", "n01")
SAMPLE = {"train_images": 4000, "test_images": 1000, "fingerprint": None}


@pytest.fixture
def tiny(paper_spec) -> Spec:
    return paper_spec(
        "tiny-imagenet", classes=2, stored_size=64, train_images=4, test_images=2, fingerprint=None
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes of two training images and one validation image, of one grey level each."""
    folder = tmp_path / "data" / "tiny-imagenet-200"
    for i, wnid in enumerate(WNIDS):
        images = folder / "train" / wnid / "images"
        images.mkdir(parents=True)
        (folder / "train" / wnid / f"{wnid}_boxes.txt").write_text("not an image")
        for j in range(2):
            level = 100 * i + 10 * j
            Image.new("RGB", (64, 64), (level,) * 3).save(images / f"{wnid}_{j}.JPEG")
    (folder / "val" / "images").mkdir(parents=True)
    for i in range(2):
        Image.new("L", (64, 64), 200 + i).save(folder / "val" / "images" / f"val_{i}.JPEG")
    annotations = "val_0.JPEG\tn02\t0\t0\t63\t63\nval_1.JPEG\tn01\t0\t0\t63\t63\n"
    (folder / "val" / "val_annotations.txt").write_text(annotations)
    (folder / "wnids.txt").write_text("\n".join(WNIDS))
    return folder


def test_official_layout(tiny, root: Path, cache_dir) -> None:
    data = load(prepare(tiny, root.parent, cache_dir))
    assert data.source == "official"
    assert data.train.images.shape == (4, 32, 32, 3)
    assert data.train.images[:, 0, 0, 0].tolist() == [100, 110, 0, 10]  # n01 before n02
    assert data.train.labels.tolist() == [0, 0, 1, 1]
    assert data.test.images[:, 5, 7].tolist() == [[200] * 3, [201] * 3]
    assert data.test.labels.tolist() == [1, 0]


def unannotated(root: Path) -> None:
    path = root / "val" / "val_annotations.txt"
    path.write_text(path.read_text().splitlines()[0])


def foreign_class(root: Path) -> None:
    path = root / "val" / "val_annotations.txt"
    path.write_text(path.read_text().replace("n01", "n09"))


BROKEN: list[tuple[Callable[[Path], object], str]] = [
    (unannotated, r"val_1.JPEG has no class in .*val_annotations.txt: unpack"),
    (foreign_class, r"val_1.JPEG has no class in .*val_annotations.txt: unpack"),
    (lambda r: (r / "val/val_annotations.txt").unlink(), r"val_annotations.txt cannot be read"),
    (lambda r: (r / "val/val_annotations.txt").write_text("a b"), r"line 1 is no annotation, got"),
    (lambda r: (r / "val/val_annotations.txt").write_bytes(b"\xff"), r"annotations.txt cannot be"),
    (lambda r: (r / "val").rename(r / "validation"), r"val_annotations.txt cannot be read"),
    (
        lambda r: (r / "train/n03").mkdir(),
        r"train has 3 class folders, tiny-imagenet has 2 classes",
    ),
    (
        lambda r: (r / "train/n01/images/n01_0.JPEG").unlink(),
        r"train has 3 images, tiny-imagenet ha",
    ),
]


@pytest.mark.parametrize(("break_it", "message"), BROKEN)
def test_broken_layout_gives_one_line(tiny, root: Path, cache_dir, break_it, message: str) -> None:
    break_it(root)
    with pytest.raises(UserError, match=message) as caught:
        prepare(tiny, root.parent, cache_dir)
    assert "\n" not in str(caught.value)


def packed(root: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(root.rglob("*")):
            archive.write(path, path.relative_to(root.parent))
    return target


def test_archive_is_unpacked(tiny, root: Path, tmp_path, cache_dir, monkeypatch) -> None:
    from torchvision.datasets.utils import calculate_md5

    from replicate.data import tinyimagenet

    other = tmp_path / "other"
    other.mkdir()
    path = packed(root, other / "tiny-imagenet-200.zip")
    with pytest.raises(UserError, match=r"tiny-imagenet-200.zip is truncated or not the official"):
        prepare(tiny, other, cache_dir)
    known = tinyimagenet.ARCHIVE.__class__(
        **{**vars(tinyimagenet.ARCHIVE), "md5": calculate_md5(path)}
    )
    monkeypatch.setattr(tinyimagenet, "ARCHIVE", known)
    first = load(prepare(tiny, other, cache_dir))
    assert first.fingerprint == load(prepare(tiny, root.parent, cache_dir)).fingerprint


@pytest.mark.realdata
def test_real_sample_is_refused_as_the_full_set(paper_spec, real_data: Path, cache_dir) -> None:
    with pytest.raises(UserError, match="train has 4000 images, tiny-imagenet has 100000: get the"):
        prepare(paper_spec("tiny-imagenet"), real_data, cache_dir)


@pytest.mark.realdata
def test_real_sample(paper_spec, real_data: Path, cache_dir) -> None:
    data = load(prepare(paper_spec("tiny-imagenet", **SAMPLE), real_data, cache_dir))
    assert data.train.images.shape == (4000, 32, 32, 3)
    assert np.bincount(data.train.labels).tolist() == [20] * 200
    assert np.bincount(data.test.labels).tolist() == [5] * 200
    # wnid, file and label by another way than the package's
    folder = real_data / "tiny-imagenet-200" / "val"
    file, wnid = sorted(folder.joinpath("val_annotations.txt").read_text().splitlines())[0].split()[
        :2
    ]
    wnids = sorted(real_data.joinpath("tiny-imagenet-200", "wnids.txt").read_text().split())
    assert data.test.labels[0] == wnids.index(wnid)
    stored = np.asarray(Image.open(folder / "images" / file).convert("RGB"), dtype=float)
    average = stored.reshape(32, 2, 32, 2, 3).mean((1, 3))
    np.testing.assert_array_equal(data.test.images[0], np.floor(average + 0.5))


@pytest.mark.parametrize("place", [".", "tiny-imagenet", "tiny-imagenet/tiny-imagenet-200"])
def test_the_official_folder_is_found_by_itself_and_renamed(
    tiny, root: Path, tmp_path: Path, cache_dir, place: str
) -> None:
    target = tmp_path / "elsewhere" / place
    target.parent.mkdir(parents=True, exist_ok=True)
    root.rename(target)
    assert load(prepare(tiny, tmp_path / "elsewhere", cache_dir)).source == "official"
