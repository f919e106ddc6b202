"""What is at hand, data set by data set; writes nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from replicate.data import cache
from replicate.data.arrays import Kind
from replicate.data.find import download_folder, find
from replicate.errors import UserError
from replicate.specs.spec import Dataset

State = Literal["agrees", "differs", "not pinned", "not read yet"]


@dataclass(frozen=True)
class Row:
    """One line of `replicate data list`."""

    dataset: str
    source: Kind | None
    """None where the files are missing or wrong."""
    place: str
    """The folder found, or what is wrong or will happen, in one line."""
    images: tuple[int, int]
    """Training and test images of the full data set."""
    state: State = "not read yet"
    """Of the images found, against the pinned fingerprint."""
    entry: Path | None = None
    """The cache entry, once it is there."""


def describe(datasets: Iterable[Dataset], data_dir: Path | None, cache_dir: Path) -> list[Row]:
    """A row for each data set; what is wrong with one stands in its row."""
    return [_row(dataset, data_dir, cache_dir) for dataset in datasets]


def _row(dataset: Dataset, data_dir: Path | None, cache_dir: Path) -> Row:
    images = (dataset.train_images, dataset.test_images)
    try:
        source = find(dataset, None, data_dir)
        if source is None:
            return _without_source(dataset, data_dir, cache_dir)
    except UserError as error:
        return Row(dataset.name, None, str(error), images)
    entry = cache.entry_path(dataset, source, cache_dir)
    if not (entry / "entry.json").exists():
        return Row(dataset.name, source.kind, source.place, images)
    try:
        state = _state(dataset, entry)
    except cache.UNREADABLE:
        place = f"cache entry {entry} is damaged: run `replicate data prepare`"
        return Row(dataset.name, source.kind, place, images)
    return Row(dataset.name, source.kind, source.place, images, state, entry)


def _without_source(dataset: Dataset, data_dir: Path | None, cache_dir: Path) -> Row:
    """The row of a data set that is in the cache alone, or nowhere yet."""
    images = (dataset.train_images, dataset.test_images)
    if entry := cache.kept(dataset, cache_dir):
        return Row(dataset.name, None, f"needs no files: {entry}", images, "agrees", entry)
    place = f"not in {download_folder(dataset, data_dir)}: will be downloaded"
    return Row(dataset.name, None, place, images)


def _state(dataset: Dataset, entry: Path) -> State:
    if dataset.fingerprint is None:
        return "not pinned"
    return "agrees" if cache.read_meta(entry)["fingerprint"] == dataset.fingerprint else "differs"
