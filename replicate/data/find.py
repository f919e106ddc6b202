"""Finds where images come from: the first of generated, class folders, official files, download."""

from pathlib import Path

from replicate.data import folder, generator, official, tinyimagenet
from replicate.data.source import Source
from replicate.errors import UserError
from replicate.specs.spec import Dataset, Generated


def find(dataset: Dataset, generated: Generated | None, data_dir: Path | None) -> Source | None:
    """The source at hand; None where there is none.

    Raises UserError for a folder that is there but wrong.
    """
    if generated:
        return generator.find(dataset, generated)
    if data_dir is None:
        return None
    if data_dir.exists() and not data_dir.is_dir():
        raise UserError(f"{data_dir} is a file: --data-dir takes a folder that holds data sets")
    own = data_dir / dataset.name
    if own.exists():
        return _official(dataset, own) or folder.find(own, dataset)
    if source := _official(dataset, data_dir):
        return source
    if (data_dir / "train").exists():
        raise UserError(
            f"{data_dir} holds train itself: name it {dataset.name} and give the folder above"
            " it as --data-dir"
        )
    return None


def _official(dataset: Dataset, place: Path) -> Source | None:
    if dataset.official == "TinyImageNet":
        return tinyimagenet.find(dataset, place)
    return official.find(dataset, place) if dataset.official else None


def obtain(dataset: Dataset, data_dir: Path | None) -> Source:
    """The official files, unpacked or downloaded: for where `find` finds nothing."""
    target = download_folder(dataset, data_dir)
    fetch = tinyimagenet.fetch if dataset.official == "TinyImageNet" else official.fetch
    fetch(dataset, target)
    source = find(dataset, None, target)
    if source is None:
        raise UserError(f"{target} does not hold {dataset.name}, even after the download")
    return source


def download_folder(dataset: Dataset, data_dir: Path | None) -> Path:
    """Where the official files may go; UserError where there is no folder, or no such files."""
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
