"""Lists the data sets: where each was found, and whether it is the one expected."""

from pathlib import Path

from replicate.data import describe
from replicate.specs import catalogue
from replicate.text import as_json, table

HEADINGS = ("data set", "training", "test", "source", "fingerprint", "place")
KEYS = ("dataset", "train_images", "test_images", "source", "state", "place")


def datasets(root: Path, data_dir: Path, cache_dir: Path, json: bool = False) -> str:
    """A row for each, as text or as JSON."""
    specs = catalogue.one_spec_for_each_dataset(root, [])
    found = describe([spec.dataset for spec in specs.values()], data_dir, cache_dir)
    rows = [(one.dataset, *one.images, one.source or "none", one.state, one.place) for one in found]
    if json:
        return as_json(dict(zip(KEYS, map(_plain, row), strict=True)) for row in rows)
    return table(HEADINGS, rows)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
