"""Files that were made to run code, to climb out of their folder or to fill the memory.

Every payload is live: where it could run, the test also reads it the naive way and sees it fire.
"""

import contextlib
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from replicate.data import cache, files, official
from replicate.data.download import Archive, unpack
from replicate.errors import UserError
from replicate.files import yaml_lines as strictyaml
from replicate.records import run_folder
from replicate.records.record import CorruptRecord
from replicate.results import rows
from replicate.specs.spec import Dataset

ROOT = Path(__file__).parents[2]
DONE = SimpleNamespace(status="done", pools=None)
MEMORY = 2 * 1024**3
"""Bytes that a process with a bomb may have: it is refused with far less."""


@pytest.fixture
def fired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a payload makes when it runs, and a folder to be in meanwhile."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "fired"


# archives


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def tar(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], mode: Any = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def climbing(target: Path) -> dict[str, list[tuple[tarfile.TarInfo, bytes]]]:
    """Archives that write `target` when they are unpacked beside it without care."""
    linked = [(member("in", tarfile.SYMTYPE, ".."), b""), (member(f"in/{target.name}"), b"x")]
    absolute = [
        (member("in", tarfile.SYMTYPE, str(target.parent)), b""),
        (member(f"in/{target.name}"), b"x"),
    ]
    return {
        "dots": [(member(f"../{target.name}"), b"x")],
        "absolute": [(member(str(target)), b"x")],
        "symbolic link": linked,
        "absolute link": absolute,
        "hard link": [
            (member("in", tarfile.LNKTYPE, f"../{target.name}"), b""),
            (member("in"), b"x"),
        ],
    }


def refuse(packed: Path) -> None:
    """As an official archive, which it is not, it is refused unopened."""
    before = {path for path in packed.parent.rglob("*") if path.suffix != ".lock"}
    archive = Archive("http://127.0.0.1:9/", packed.name, "0" * 32, "images")
    with pytest.raises(UserError, match=r"truncated or not the official file \(MD5") as caught:
        unpack(archive, packed.parent)
    assert "\n" not in str(caught.value)
    assert before == {path for path in packed.parent.rglob("*") if path.suffix != ".lock"}


@pytest.mark.parametrize("kind", ["dots", "absolute", "symbolic link", "absolute link"])
def test_a_tar_file_that_climbs_out(fired: Path, kind: str) -> None:
    packed = tar(fired.with_name("a.tar.gz"), climbing(fired)[kind])
    refuse(packed)
    assert not fired.exists()
    place = fired.with_name("in-here")
    place.mkdir()
    with tarfile.open(packed) as archive:
        archive.extractall(place, filter="fully_trusted")
    assert fired.exists(), "so the payload is live"


@pytest.mark.parametrize("name", ["../fired", "/{}", "./.././fired"])
def test_a_zip_file_that_climbs_out(fired: Path, name: str) -> None:
    packed = fired.with_name("a.zip")
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name.format(fired), "x")
    refuse(packed)
    assert not fired.exists()
    with zipfile.ZipFile(packed) as archive:
        Path(archive.namelist()[0]).write_bytes(archive.read(archive.namelist()[0]))
    assert fired.exists(), "so the name leads there"


def test_archives_that_explode(tmp_path: Path) -> None:
    """A megabyte of zeros is a kilobyte: not a byte of it is unpacked."""
    packed = tar(tmp_path / "a.tar.gz", [(member(f"{i}"), bytes(400_000)) for i in range(4)])
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(10**6 + 1))
    for file in (packed, tmp_path / "a.zip"):
        assert file.stat().st_size < 10_000
        refuse(file)


# pickles


class Gadget:
    """What a pickle can be made of."""

    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


def touching(path: Path) -> dict[str, bytes]:
    """Pickles that make a file when they are loaded."""
    system = Gadget(os.system, (f"touch '{path}'",))
    return {
        "os.system": pickle.dumps(system, 2),
        "numpy": pickle.dumps(Gadget(np.savetxt, (str(path), [1.0])), 2),
        "state": pickle.dumps(Gadget(np.ndarray, ((1,),), system), 2),
    }


@pytest.mark.parametrize("kind", ["os.system", "numpy"])
def test_a_batch_that_runs_code(fired: Path, kind: str) -> None:
    batch = Path("batch")
    batch.write_bytes(touching(fired)[kind])
    with pytest.raises(UserError, match=r"batch is truncated or not the official file \(MD5"):
        official._read_cifar({"train": [(batch, "0" * 32)]}, "train")
    assert not fired.exists()
    with contextlib.suppress(TypeError):  # once it has fired, nothing fits together
        pickle.loads(batch.read_bytes())
    assert fired.exists(), "so the payload is live"


@pytest.mark.parametrize("kind", touching(Path("x")))
def test_weights_that_run_code(fired: Path, kind: str) -> None:
    """pools.npz, and an array of objects in the cache of images."""
    pickled = touching(fired)[kind]
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|O", "fortran_order": False, "shape": (1,)}
    )
    Path("array.npy").write_bytes(header.getvalue() + pickled)
    with zipfile.ZipFile(run_folder.POOLS, "w") as archive:
        archive.write("array.npy", "arr_0.npy")
    with pytest.raises(CorruptRecord, match="no whole file of weights"):
        rows._weights(Path(), DONE)
    Path(run_folder.POOLS).write_bytes(pickled)
    with pytest.raises(CorruptRecord, match="no whole file of weights"):
        rows._weights(Path(), DONE)
    Path("train-images.npy").write_bytes(Path("array.npy").read_bytes())
    files = {
        f"{split}-{what}.npy": {"shape": [1]}
        for split in ("train", "test")
        for what in ("images", "labels")
    }
    Path("entry.json").write_text(json.dumps({"files": files}))
    with pytest.raises(UserError, match="is missing or damaged"):
        cache.load(Path())
    assert not fired.exists()
    with contextlib.suppress(TypeError, AttributeError, ValueError):
        np.load("array.npy", allow_pickle=True)
    assert fired.exists(), "so the payload is live"


# bombs


def png(width: int, height: int, data: bytes = b"", note: bytes = b"") -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    text = chunk(b"zTXt", b"note\0\0" + zlib.compress(note))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + text
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )


def idx(*shape: int) -> bytes:
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)


def huge_array() -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6)}
    )
    return file.getvalue()


def zeros(size: int) -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros((1, 1, size), np.uint8))
    return file.getvalue()


def zipped(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


READ = f"""
import json, resource, sys
from pathlib import Path
from types import SimpleNamespace
from replicate.errors import UserError
from replicate.records.record import CorruptRecord
from replicate.data import files, official
from replicate.results import rows
from replicate.specs.spec import Dataset
photos = Dataset(name="p", title="p", official=None, classes=2, channels=3, stored_size=None, size=8,
    fit="resize", split_seed=1, train_images=2, test_images=2, fingerprint=None)
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
readers = {{
    "idx": official.read_idx,
    "x.png": lambda path: files.decode(path, photos),
    "pools.npz": lambda path: rows._weights(path.parent, SimpleNamespace(status="done", pools=None)),
}}
for path in map(Path, sys.argv[1:]):
    try:
        readers[path.name](path)
    except (UserError, CorruptRecord) as error:
        print(json.dumps(str(error)))
    else:
        print("null")
"""
"""Says how each file is refused, on a line of its own."""
BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "50,000 x 50,000 pixels": ("x.png", lambda: png(50_000, 50_000, zlib.compress(bytes(10**6)))),
    "a line of pixels": ("x.png", lambda: png(2**31 - 1, 1)),
    "a compressed note": ("x.png", lambda: png(8, 8, note=bytes(20 * 1024**2))),
    "an idx file of a shape": ("idx", lambda: idx(2**32 - 1, 2**32 - 1, 28)),
    "an idx file of 255 dimensions": ("idx", lambda: b"\0\0\x08\xff" + bytes(4 * 255)),
    "weights of a shape": ("pools.npz", lambda: zipped("arr_0.npy", huge_array())),
    "weights of zeros": ("pools.npz", lambda: zipped("arr_0.npy", zeros(300 * 1024**2))),
}


def test_a_bomb(tmp_path: Path) -> None:
    """Each is read by a process with little memory, in seconds."""
    paths = [tmp_path / str(number) / name for number, (name, _) in enumerate(BOMBS.values())]
    for path, (_, content) in zip(paths, BOMBS.values(), strict=True):
        path.parent.mkdir()
        path.write_bytes(content())
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", READ, *paths],
        env={**os.environ, "PYTHONPATH": str(ROOT), **one_thread},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    refusals = dict(zip(BOMBS, map(json.loads, done.stdout.splitlines()), strict=True))
    for kind, refusal in refusals.items():
        assert refusal, kind
        assert "\n" not in refusal, kind


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'
PHOTOS = Dataset(
    name="photos", title="photos", official=None, classes=2, channels=3, stored_size=None, size=8,
    fit="resize", split_seed=1, train_images=2, test_images=2, fingerprint=None,
)  # fmt: skip


def image(mode: str, kind: str) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (8, 8)).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        *(SVG, b"", b"text", b"%PDF-1.4", b"%!PS-Adobe", b"\x89PNG\r\n\x1a\n", b"GIF89a"),
        *(image(mode, "PNG") for mode in ("RGBA", "P", "1", "I;16", "LA")),
        *(image("CMYK", "JPEG"), image("RGB", "GIF"), image("RGB", "BMP"), image("RGB", "TIFF")),
        *(image("RGB", "PNG")[:40], image("RGB", "JPEG")[:300]),
    ],
    ids=lambda content: ascii(content[:12]),
)
def test_what_is_called_an_image(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(
        UserError, match=r"x\.png (is no readable PNG or JPEG|has colour mode)"
    ) as caught:
        files.decode(path, PHOTOS)
    assert "\n" not in str(caught.value)


def test_fashion_mnist_of_another_shape(tmp_path: Path) -> None:
    """Of the unpacked files no checksum is published, so they are read as they are."""
    resources = [("train-images-idx3-ubyte.gz", ""), ("train-labels-idx1-ubyte.gz", "")]
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for shape, labels in (
        ((6, 28), (6,)),
        ((6, 8, 8), (6,)),
        ((6, 28, 28), (6, 1)),
        ((6, 28, 28), (5,)),
    ):
        for name, _ in resources:
            own = shape if "images" in name else labels
            (folder / name).with_suffix("").write_bytes(idx(*own) + bytes(int(np.prod(own))))
        listing = official._idx_files(SimpleNamespace(resources=resources), folder)
        with pytest.raises(UserError, match="not as many labels as images of 28x28 pixels"):
            official._read_fashion_mnist(listing, "train")


# YAML


def test_yaml_that_runs_code(fired: Path) -> None:
    texts = [
        f"a: !!python/object/apply:os.system ['touch {fired}']",
        f"a: !!python/object/new:subprocess.check_call [['touch', '{fired}']]",
        f"? !!python/object/apply:os.system ['touch {fired}']\n: 1",
        f"!!python/object/apply:subprocess.check_call\nargs: [['touch', '{fired}']]",
    ]
    for text in texts:
        with pytest.raises(UserError, match=r"is not used here|must be text"):
            strictyaml.parse(text, Path("x.yaml"))
        assert not fired.exists()
        yaml.load(text, Loader=yaml.UnsafeLoader)
        assert fired.exists(), "so the payload is live"
        fired.unlink()


def test_yaml_that_grows_without_end() -> None:
    laughs = "a0: &a0 [ha, ha]\n" + "".join(
        f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}]\n" for i in range(1, 30)
    )
    for text in (
        laughs,
        "a: &a [*a]",
        "a: &a {b: 1}\nc: {<<: *a}",
        "a: {<<: {b: 1}}",
        "a: 1\na: 2",
    ):
        with pytest.raises(UserError):
            strictyaml.parse(text, Path("x.yaml"))
