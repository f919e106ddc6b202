"""Tiny ImageNet in its official layout, which torchvision lacks.

    tiny-imagenet-200/train/<wnid>/images/*.JPEG
    tiny-imagenet-200/val/images/*.JPEG with val/val_annotations.txt

The sorted WordNet ids give the labels. The validation images are the test split, since the labels
of the official test images are not public (A09).
"""

from functools import partial
from pathlib import Path

import numpy as np

from replicate.data import files
from replicate.data.download import Archive, unpack
from replicate.data.source import Contents, Source
from replicate.errors import UserError
from replicate.specs.spec import Dataset

ARCHIVE = Archive(
    url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    filename="tiny-imagenet-200.zip",
    md5="90528d7ca1a48142e341f4ef8d21d0de",
    folder="tiny-imagenet-200",
)
Labelled = list[tuple[Path, int]]


def find(dataset: Dataset, data_dir: Path) -> Source | None:
    """The unpacked files, in their folder in `data_dir` or right there; None where there are none."""
    root = data_dir / ARCHIVE.folder
    if not root.exists():
        root = data_dir
    if root == data_dir and not (root / "val" / "val_annotations.txt").exists():
        return None
    train, classes = _train(root / "train", dataset)
    listing = {"train": train, "test": _validation(root / "val", classes)}
    paths = [path for labelled in listing.values() for path, _ in labelled]
    paths.append(root / "val" / "val_annotations.txt")
    return Source(
        "official", str(root), files.signature(root, paths), partial(_read, dataset, listing)
    )


def fetch(dataset: Dataset, data_dir: Path) -> None:
    unpack(ARCHIVE, data_dir)


def _train(folder: Path, dataset: Dataset) -> tuple[Labelled, dict[str, int]]:
    """The training images with their labels, and the label of each WordNet id."""
    wnids = [path.name for path in files.visible(folder)]
    if len(wnids) != dataset.classes:
        raise UserError(
            f"{folder} has {len(wnids)} class folders, {dataset.name} has {dataset.classes}"
            f" classes: unpack {ARCHIVE.filename} again"
        )
    classes = {wnid: label for label, wnid in enumerate(wnids)}
    labelled = [
        (path, label)
        for wnid, label in classes.items()
        for path in files.images_in(folder / wnid / "images")
    ]
    return labelled, classes


def _validation(folder: Path, classes: dict[str, int]) -> Labelled:
    """The validation images with their labels."""
    annotations = folder / "val_annotations.txt"
    try:
        lines = annotations.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise UserError(
            f"{annotations} cannot be read: it labels the validation images;"
            f" unpack {ARCHIVE.filename} again"
        ) from None
    named = dict(_annotation(annotations, number, line) for number, line in enumerate(lines, 1))
    labelled = []
    for path in files.images_in(folder / "images"):
        if named.get(path.name) not in classes:
            raise UserError(
                f"{path} has no class in {annotations}: unpack {ARCHIVE.filename} again"
            )
        labelled.append((path, classes[named[path.name]]))
    return labelled


def _annotation(file: Path, number: int, line: str) -> tuple[str, str]:
    """Image name and WordNet id; the bounding box that follows them is not used."""
    fields = line.split("\t")
    if len(fields) < 2:
        raise UserError(
            f"{file} line {number} is no annotation, got {line[:60]!r}:"
            f" unpack {ARCHIVE.filename} again"
        )
    return fields[0], fields[1]


def _read(dataset: Dataset, listing: dict[str, Labelled], split: str) -> Contents:
    labels = np.array([label for _, label in listing[split]], dtype=np.int64)
    return Contents(labels, files.decoded([path for path, _ in listing[split]], dataset))
