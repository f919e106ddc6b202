"""Image files: which there are, whether they changed, their pixels."""

import hashlib
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from replicate.data.arrays import Images
from replicate.errors import UserError, has_controls
from replicate.specs.spec import Dataset

SUFFIXES = (".png", ".jpg", ".jpeg")
# Grey JPEGs are part of Tiny ImageNet; anything else would lose something on its way.
_READABLE = {1: {"L": "L"}, 3: {"RGB": "RGB", "L": "RGB"}}
_BLOCK = 1000


def visible(folder: Path) -> list[Path]:
    """What is in a folder, sorted by name, but for what file managers leave behind."""
    try:
        paths = sorted(folder.iterdir())
    except NotADirectoryError:
        raise UserError(f"{folder} is a file where a folder is expected") from None
    except FileNotFoundError:
        raise UserError(f"{folder} is missing") from None
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}") from None
    for path in paths:
        if has_controls(path.name):
            raise UserError(f"{folder} holds {path.name!r}: rename it, without control characters")
    ignored = ("thumbs.db", "desktop.ini", "__macosx", "@eadir")
    return [p for p in paths if not p.name.startswith(".") and p.name.lower() not in ignored]


def images_in(folder: Path) -> list[Path]:
    """The image files of one class, sorted by name.

    Raises UserError for a folder without any, and for anything else in it.
    """
    paths = visible(folder)
    for path in paths:
        if path.suffix.lower() not in SUFFIXES or path.is_dir():
            raise UserError(f"{path} is no PNG or JPEG file: move it out of the class folders")
    if not paths:
        raise UserError(f"{folder} holds no images: add this class's PNG or JPEG files")
    return paths


def signature(root: Path, paths: Sequence[Path]) -> str:
    """SHA-256 of the files' names below `root`, sizes and times of change."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        try:
            status = path.stat()
        except OSError as error:
            raise UserError(
                f"{path} cannot be read ({error.strerror}): put the whole data set there again"
            ) from None
        name = os.fsencode(path.relative_to(root))  # in any encoding
        digest.update(name + f"\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def decoded(paths: Sequence[Path], dataset: Dataset) -> Iterator[Images]:
    """Blocks (B, H, W, C) of the images, in order; of one image each where their sizes differ.

    One thread: opening costs more than decoding, and threads only fight for Python's lock.
    """
    length = _BLOCK if dataset.stored_size else 1
    for i in range(0, len(paths), length):
        yield np.stack([decode(path, dataset) for path in paths[i : i + length]])


def decode(path: Path, dataset: Dataset) -> Images:
    """One image (H, W, C) uint8; UserError for a file that is not what the data set promises."""
    from PIL import Image

    size, channels = dataset.stored_size, dataset.channels
    try:
        # the size is in the header: an image of another one is refused before it is decoded
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(path, formats=("PNG", "JPEG")) as image,
        ):
            width, height = image.size
            if size and (width, height) != (size, size):
                raise UserError(
                    f"{path} has {width}x{height} pixels, {dataset.name} has {size}x{size}:"
                    " replace it, or set dataset.stored_size"
                )
            mode = _READABLE[channels].get(image.mode)
            if mode is None:
                raise UserError(
                    f"{path} has colour mode {image.mode}, {dataset.name} reads"
                    f" {' and '.join(_READABLE[channels])}: convert it"
                )
            return np.asarray(image.convert(mode)).reshape(height, width, channels)
    except PermissionError:
        raise UserError(f"{path} cannot be read: permission denied; try chmod +r") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = str(error).replace(str(path), "").strip().replace("\n", " ")
        raise UserError(f"{path} is no readable PNG or JPEG ({reason}): copy it again") from None
