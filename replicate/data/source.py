"""Where images come from: the first of generated, class folders, official files, download."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from replicate.data.arrays import Images, Kind, Labels
from replicate.errors import UserError
from replicate.spec import Dataset, Generated


@dataclass(frozen=True)
class Contents:
    """One split of a source: all labels at once, the images as blocks (B, H, W, C)."""

    labels: Labels
    blocks: Iterator[Images]
    names: tuple[str, ...] = ()
    """Of the classes in the order of their labels, where the source names them."""


@dataclass(frozen=True)
class Source:
    """Images that were found but not read yet."""

    kind: Kind
    place: str
    """Folder or origin, for people."""
    signature: str
    """Changes whenever the source's files do."""
    read: Callable[[str], Contents]
    """From a split's name; raises UserError for what cannot be read."""


class Origin(Protocol):
    """A module that knows how one data set is published."""

    def find(self, dataset: Dataset, data_dir: Path) -> Source | None: ...
    def fetch(self, dataset: Dataset, data_dir: Path) -> None: ...


def find(dataset: Dataset, generated: Generated | None, data_dir: Path | None) -> Source | None:
    """The source at hand; None where there is none.

    Raises UserError for a folder that is there but wrong.
    """
    from replicate.data import folder, generator

    if generated:
        return generator.find(dataset, generated)
    if data_dir is None:
        return None
    if data_dir.exists() and not data_dir.is_dir():
        raise UserError(f"{data_dir} is a file: --data-dir takes a folder that holds data sets")
    if (data_dir / dataset.name).exists():
        return folder.find(data_dir / dataset.name, dataset)
    if (data_dir / "train").exists():
        raise UserError(
            f"{data_dir} holds train itself: name it {dataset.name} and give the folder above"
            " it as --data-dir"
        )
    return _origin(dataset).find(dataset, data_dir) if dataset.official else None


def obtain(dataset: Dataset, data_dir: Path | None) -> Source:
    """The official files, unpacked or downloaded: for where `find` finds nothing."""
    target = download_folder(dataset, data_dir)
    _origin(dataset).fetch(dataset, target)
    source = find(dataset, None, target)
    if source is None:
        raise UserError(f"{target} does not hold {dataset.name}, even after the download")
    return source


def download_folder(dataset: Dataset, data_dir: Path | None) -> Path:
    """Where the official files may go; UserError where there is no folder, or no such files."""
    from replicate.data import folder

    if data_dir is None:
        raise UserError(
            f"{dataset.name} needs real images: give --data-dir a folder that holds class folders"
            " or the official files, or an empty one to download them into"
        )
    if dataset.official is None:
        raise UserError(
            f"{data_dir / dataset.name} is missing: put {dataset.name} there as"
            f" {folder.layout(dataset)}"
        )
    return data_dir


def _origin(dataset: Dataset) -> Origin:
    from replicate.data import cifar, fashionmnist, tinyimagenet

    origins: dict[str | None, Origin] = {
        "CIFAR10": cifar,
        "CIFAR100": cifar,
        "FashionMNIST": fashionmnist,
        "TinyImageNet": tinyimagenet,
    }
    return origins[dataset.official]
