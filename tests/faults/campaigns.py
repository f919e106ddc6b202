"""Campaigns whose runs take a fifth of a second, and what must be the same however they were disturbed."""

from collections.abc import Callable
from pathlib import Path

from replicate.data import prepare
from replicate.dispatch.context import WorkerContext
from replicate.dispatch.worker import work
from replicate.plan.campaign import Campaign
from replicate.records.origin import Origin

CELLS = ("table1/cifar10/avgpool", "table2/cifar10/flexpool-reg-dropout")
SETTINGS = {
    "generated.train_images": "20",
    "generated.test_images": "20",
    "dataset.size": "8",
    "dataset.fit": "average",
    "training.batch_size": "10",
    "training.precision": "float32",
}
DETERMINISTIC = ("runs.csv", "cells.csv", "pools.csv.gz", "maps.csv.gz")
"""Files of a campaign's results that hold neither times nor places."""
OPTIONS = [
    *("--protocol", "smoke", "--campaign", "smoke"),
    *("--workers", "1", "--threads", "1", "--checkpoint-seconds", "0"),
    *(f"--set={key}={value}" for key, value in SETTINGS.items()),
]


def training(campaign: Campaign, cache: Path) -> Callable[[], None]:
    """A worker's context over all of a campaign."""
    entries = {run.images: prepare(run.spec, None, cache) for run in campaign.runs}
    context = WorkerContext(campaign.runs_folder, entries, Origin(), 1, 0.0, "w")
    return lambda: work(campaign.runs, context)


def outcome(results: Path) -> dict[str, bytes]:
    """The deterministic files of a campaign."""
    return {name: (results / name).read_bytes() for name in DETERMINISTIC}


def litter(folder: Path) -> list[str]:
    """Unfinished files, which nobody will ever read."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*.tmp")]
