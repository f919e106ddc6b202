"""Broken class folders: each gives one line that names the file and the way out."""

import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from replicate.data import checks, files, load, prepare
from replicate.data.coarse import names
from replicate.data.find import find
from replicate.errors import UserError
from replicate.specs.spec import Pretraining


def cut_image(root: Path) -> None:
    path = root / "train/owl/2.png"
    path.write_bytes(path.read_bytes()[:100])


def corrupt_image(root: Path) -> None:
    (root / "train/owl/2.png").write_bytes(b"GIF89a, renamed to png")


def other_size(root: Path) -> None:
    Image.new("RGB", (9, 8)).save(root / "test/dog/13.png")


def transparent(root: Path) -> None:
    Image.new("RGBA", (8, 8)).save(root / "test/dog/13.png")


def bomb(root: Path) -> None:
    """A PNG header that promises 30000x30000 pixels: refused before anything is decoded."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    data = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    (root / "train/cat/0.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + data)


def extra_class(root: Path) -> None:
    shutil.copytree(root / "train/cat", root / "train/fox")


def renamed_class(root: Path) -> None:
    (root / "test/cat").rename(root / "test/kitten")


def empty_class(root: Path) -> None:
    shutil.rmtree(root / "train/dog")
    (root / "train/dog").mkdir()


def fewer_images(root: Path) -> None:
    (root / "train/dog/4.png").unlink()


def even_loss(root: Path) -> None:
    for name in ("cat/12", "dog/13", "owl/14"):
        (root / f"test/{name}.png").unlink()


def is_file(root: Path) -> None:
    shutil.rmtree(root)
    root.write_text("not a folder")


def nested(root: Path) -> None:
    (root / "train/cat/more.png").mkdir()


def dangling_link(root: Path) -> None:
    (root / "train/cat/0.png").unlink()
    (root / "train/cat/0.png").symlink_to("gone.png")


BROKEN: list[tuple[Callable[[Path], object], str]] = [
    (lambda r: shutil.rmtree(r / "test"), r"pets/test is missing: class folders go into .*<class>"),
    (lambda r: shutil.rmtree(r / "train"), r"pets/train is missing: class folders go into"),
    (empty_class, r"train/dog holds no images: add this class's PNG or JPEG files"),
    (extra_class, r"pets/train has 4 class folders, pets has 3 classes: add or remove"),
    (renamed_class, r"class 'cat' is in .*pets/train but not in .*pets/test: add it"),
    (fewer_images, r"pets: train has 11 images, pets has 12; class dog has 3, not 4 \(1 such"),
    (even_loss, r"pets: test has 3 images, pets has 6: get the full data set, or set dataset.test"),
    (cut_image, r"train/owl/2.png is no readable PNG or JPEG \(.*\): copy it again"),
    (corrupt_image, r"train/owl/2.png is no readable PNG or JPEG \(.*\): copy it again"),
    (other_size, r"test/dog/13.png has 9x8 pixels, pets has 8x8: replace it"),
    (transparent, r"test/dog/13.png has colour mode RGBA, pets reads RGB and L: convert it"),
    (bomb, r"train/cat/0.png is no readable PNG or JPEG \(.*decompression bomb"),
    (lambda r: (r / "train/cat/notes.txt").touch(), r"notes.txt is no PNG or JPEG file: move it"),
    (lambda r: (r / "train/labels.csv").touch(), r"labels.csv is a file where a folder is exp"),
    (nested, r"train/cat/more.png is no PNG or JPEG file: move it"),
    (is_file, r"data/pets is a file where a folder is expected"),
    (dangling_link, r"train/cat/0.png cannot be read \(No such file.*: put the whole data set"),
]


@pytest.mark.parametrize(("break_it", "message"), BROKEN)
def test_broken_folder_gives_one_line(
    spec, data_dir: Path, cache_dir: Path, break_it: Callable[[Path], object], message: str
) -> None:
    break_it(data_dir / "pets")
    with pytest.raises(UserError, match=message) as caught:
        prepare(spec, data_dir, cache_dir)
    assert "\n" not in str(caught.value)
    assert str(data_dir) in str(caught.value)


def test_unreadable_image(spec, data_dir: Path, cache_dir: Path, monkeypatch) -> None:
    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Image, "open", refuse)  # root may read everything, so no chmod here
    with pytest.raises(UserError, match=r"train/cat/0.png cannot be read: permission denied"):
        prepare(spec, data_dir, cache_dir)


def test_unreadable_folder(spec, data_dir: Path, cache_dir: Path, monkeypatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(UserError, match=r"data/pets cannot be read: Permission denied"):
        prepare(spec, data_dir, cache_dir)


def test_every_cut_and_many_flips_give_an_image_or_one_line(
    dataset, data_dir: Path, pixels: np.ndarray
) -> None:
    path = data_dir / "pets/train/cat/0.png"
    whole = path.read_bytes()
    broken = [whole[:n] for n in range(0, len(whole), 3)]
    for i in range(len(whole)):
        broken.append(whole[:i] + bytes([whole[i] ^ 0x55]) + whole[i + 1 :])
    refused = []
    for content in broken:
        path.write_bytes(content)
        try:
            assert files.decode(path, dataset).shape == (8, 8, 3)
        except UserError as error:
            refused.append(str(error))
    assert len(refused) > len(broken) / 2
    assert [line for line in refused if "\n" in line or str(path) not in line] == []


def test_hidden_files_are_ignored(spec, data_dir: Path, cache_dir: Path) -> None:
    entry = prepare(spec, data_dir, cache_dir)
    for name in (".DS_Store", "train/.DS_Store", "train/cat/Thumbs.db", "test/dog/desktop.ini"):
        (data_dir / "pets" / name).write_bytes(b"foreign")
    assert prepare(spec, data_dir, cache_dir) == entry


def test_grey_images_become_rgb_and_jpegs_are_read(spec, data_dir: Path, cache_dir: Path) -> None:
    (data_dir / "pets/test/owl/17.png").unlink()
    Image.new("L", (8, 8), 77).save(data_dir / "pets/test/owl/17.JPEG", quality=95)
    last = load(prepare(spec, data_dir, cache_dir)).test.images[-1]
    assert last.shape == (8, 8, 3)
    np.testing.assert_array_equal(last, 77)


def test_grey_data_set_refuses_colour(dataset, data_dir: Path) -> None:
    grey = dataset.model_copy(update={"channels": 1})
    with pytest.raises(UserError, match="colour mode RGB, pets reads L: convert it"):
        files.decode(data_dir / "pets/train/cat/0.png", grey)


def test_pinned_fingerprint(spec, data_dir: Path, cache_dir: Path) -> None:
    found = load(prepare(spec, data_dir, cache_dir)).fingerprint

    def pinned(fingerprint: str):
        dataset = spec.dataset.model_copy(update={"fingerprint": fingerprint})
        return spec.model_copy(update={"dataset": dataset})

    prepare(pinned(found), data_dir, cache_dir)
    with pytest.raises(UserError, match=f"fingerprint {found}, expected {'0' * 64}.*set dataset"):
        prepare(pinned("0" * 64), data_dir, cache_dir)


def _renamed(root: Path, names: dict[str, str]) -> None:
    for split in ("train", "test"):
        for old, new in names.items():
            (root / split / old).rename(root / split / new)


def test_numbers_sort_as_numbers(spec, data_dir: Path, cache_dir: Path) -> None:
    """CIFAR-100 as 0 to 99, for instance: the numbers are the official labels."""
    wanted = load(prepare(spec, data_dir, cache_dir))
    _renamed(data_dir / "pets", {"cat": "1", "dog": "2", "owl": "10"})
    found = load(prepare(spec, data_dir, cache_dir))
    assert found.fingerprint == wanted.fingerprint
    earlier = files.signature(data_dir / "pets", sorted((data_dir / "pets").glob("*/*/*.png")))
    assert find(spec.dataset, None, data_dir).signature != earlier, "its entries have other labels"


def test_pinned_images_whose_classes_are_in_another_order(
    spec, data_dir: Path, cache_dir: Path, monkeypatch
) -> None:
    """Renamed as the message says, they are right."""
    data = load(prepare(spec, data_dir, cache_dir))
    fingerprint = data.fingerprint
    monkeypatch.setattr(checks, "UNLABELLED", (checks.unlabelled(data),))
    pinned = spec.model_copy(
        update={"dataset": spec.dataset.model_copy(update={"fingerprint": fingerprint})}
    )
    _renamed(data_dir / "pets", {"cat": "z cat"})
    with pytest.raises(UserError, match=r"pets, only its classes are in another order: .* 0 to 2"):
        prepare(pinned, data_dir, cache_dir)
    _renamed(data_dir / "pets", {"z cat": "0", "dog": "1", "owl": "2"})
    assert load(prepare(pinned, data_dir, cache_dir)).fingerprint == fingerprint


def test_coarse_classes_are_never_guessed(paper_spec, tmp_path: Path, cache_dir: Path) -> None:
    hundred = paper_spec(
        "cifar100", train_images=100, test_images=100, fingerprint=None, stored_size=32
    ).model_copy(update={"pretraining": Pretraining(classes="coarse", epochs=1)})
    for split in ("train", "test"):
        for label, name in enumerate(sorted(names())):
            folder = tmp_path / "cifar100" / split / name
            folder.mkdir(parents=True)
            Image.new("RGB", (32, 32), (label, 0, 0)).save(folder / "0.png")
    assert load(prepare(hundred, tmp_path, cache_dir)).train.labels.tolist() == list(range(100))
    _renamed(tmp_path / "cifar100", {"apple": "zapple"})
    with pytest.raises(UserError, match=r"name the class folders as CIFAR-100 names them \(apple"):
        prepare(hundred, tmp_path, cache_dir)


def test_names_in_another_encoding(spec, data_dir: Path, cache_dir: Path) -> None:
    _renamed(data_dir / "pets", {"owl": os.fsdecode(b"caf\xe9")})
    assert len(load(prepare(spec, data_dir, cache_dir)).train.labels) == 12


@pytest.mark.parametrize("left", ["__MACOSX", "@eaDir", ".AppleDouble"])
def test_what_other_systems_leave_is_no_class(spec, data_dir: Path, cache_dir: Path, left) -> None:
    (data_dir / "pets" / "train" / left).mkdir()
    assert len(load(prepare(spec, data_dir, cache_dir)).train.labels) == 12
