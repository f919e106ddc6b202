"""The data sets: which are at hand, fetched and decoded, or hashed again."""

from collections.abc import Sequence
from pathlib import Path

from replicate import data
from replicate.paper.tables import DATASETS
from replicate.specs import catalogue
from replicate.text import keyed, table

HEADINGS = ("data set", "training", "test", "source", "fingerprint", "place")
KEYS = ("dataset", "train_images", "test_images", "source", "state", "place")


def datasets(root: Path, data_dir: Path, cache_dir: Path, json: bool = False) -> str:
    """A row for each, as text or as JSON."""
    specs = catalogue.one_spec_for_each_dataset(root, [])
    found = data.describe([spec.dataset for spec in specs.values()], data_dir, cache_dir)
    rows = [(one.dataset, *one.images, one.source or "none", one.state, one.place) for one in found]
    return keyed(KEYS, rows) if json else table(HEADINGS, rows)


def prepare(root: Path, names: Sequence[str], data_dir: Path, cache_dir: Path) -> None:
    """Print of each, by default of the paper's, where its cache entry is, as soon as it is there."""
    wanted = names or [*DATASETS.values()]
    for name, spec in catalogue.one_spec_for_each_dataset(root, wanted).items():
        print(f"{name}: {data.prepare(spec, data_dir, cache_dir)}", flush=True)


def verify(cache_dir: Path) -> None:
    """Print of each cache entry that it is sound; raises UserError for one that is not."""
    for entry in data.entries(cache_dir):
        data.verify(entry)
        print(f"{entry.name}: sound")
