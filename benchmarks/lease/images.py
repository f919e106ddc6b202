"""Cache entries as small lossless pictures, and back, byte for byte.

python -m benchmarks.lease.images pack CACHE PARTS DATASET...   into PARTS/1, PARTS/2, ...
python -m benchmarks.lease.images unpack PICTURES CACHE         every data set that is whole
"""

import json
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from replicate.data import verify

COLUMNS = 100
PICTURE = 10_000  # images
Image.MAX_IMAGE_PIXELS = None


def pack(cache: Path, parts: Path, *names: str) -> None:
    """The first data set into part 1, every other one into two parts of its own."""
    number = 1
    for name in names:
        (entry,) = (path.parent for path in cache.glob(f"{name}-*/entry.json"))
        files = list(_pictures(entry))
        halves = [files] if number == 1 else [files[::2], files[1::2]]
        for half in halves:
            folder = parts / str(number) / name
            folder.mkdir(parents=True)
            for path in (entry / "entry.json", *entry.glob("*-labels.npy")):
                shutil.copy(path, folder)
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda one, to=folder: _save(to, *one), half))
            number += 1


def _pictures(entry: Path) -> Iterator[tuple[str, np.ndarray]]:
    for split in ("train", "test"):
        images = np.load(entry / f"{split}-images.npy", mmap_mode="r")
        for start in range(0, len(images), PICTURE):
            yield f"{split}-{start:06d}.webp", images[start : start + PICTURE]


def _save(folder: Path, name: str, images: np.ndarray) -> None:
    """A mosaic of rows of 100 images."""
    count, side, _, channels = images.shape
    rows = images.reshape(count // COLUMNS, COLUMNS, side, side, channels).swapaxes(1, 2)
    mosaic = np.ascontiguousarray(rows).reshape(-1, COLUMNS * side, channels)
    Image.fromarray(mosaic[..., 0] if channels == 1 else mosaic).save(
        folder / name, lossless=True, method=4
    )


def unpack(pictures: Path, cache: Path) -> None:
    """Entries that are not in the cache yet and of which every picture has come."""
    for folder in sorted(path.parent for path in pictures.glob("*/entry.json")):
        meta = json.loads((folder / "entry.json").read_text())
        images = sum(
            meta["files"][f"{split}-images.npy"]["shape"][0] for split in ("train", "test")
        )
        entry = cache / f"{folder.name}-folder-{_fit(meta)}-lent"
        if not entry.exists() and len(list(folder.glob("*.webp"))) * PICTURE == images:
            _unpack(folder, meta, entry)
            print(f"{folder.name}: sound", flush=True)


def _fit(meta: dict) -> str:
    """The images travel as they are stored here: of a fit that changes nothing."""
    return f"none{meta['files']['train-images.npy']['shape'][1]}"


def _unpack(folder: Path, meta: dict, entry: Path) -> None:
    temporary = entry.with_name(f".{entry.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for split in ("train", "test"):
        _, side, _, channels = meta["files"][f"{split}-images.npy"]["shape"]
        with ThreadPoolExecutor() as pool:  # the decoder lets go of Python's lock
            files = sorted(folder.glob(f"{split}-*.webp"))
            tiles = list(pool.map(lambda path: _tiles(path, side, channels), files))  # noqa: B023
        np.save(temporary / f"{split}-images.npy", np.concatenate(tiles))
        shutil.copy(folder / f"{split}-labels.npy", temporary)
    shutil.copy(folder / "entry.json", temporary)
    verify(temporary)
    temporary.rename(entry)


def _tiles(path: Path, side: int, channels: int) -> np.ndarray:
    mosaic = np.asarray(Image.open(path).convert("L" if channels == 1 else "RGB"))
    rows = mosaic.reshape(-1, side, COLUMNS, side, channels).swapaxes(1, 2)
    return np.ascontiguousarray(rows).reshape(-1, side, side, channels)


if __name__ == "__main__":
    verb, *paths = sys.argv[1:]
    if verb == "pack":
        pack(Path(paths[0]), Path(paths[1]), *paths[2:])
    else:
        unpack(*map(Path, paths))
