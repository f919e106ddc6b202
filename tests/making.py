"""Makes what tests need: projects, specs, epochs, records, campaigns, photos."""

import functools
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from replicate.files import checksums
from replicate.plan.campaign import (
    Campaign,
    Request,
    open_campaign,
    resolve_campaign,
    save_campaign,
)
from replicate.plan.runs import Run
from replicate.records import record, run_folder
from replicate.records.epoch import Epoch
from replicate.records.record import Provenance, Record
from replicate.results.aggregate import aggregate
from replicate.specs import resolve
from replicate.specs.spec import Spec

ROOT = Path(__file__).parents[1]
SECTIONS = ("dataset", "model", "loss", "augmentation", "training")
"""Of a spec, in the order in which a changed value is looked for."""


def project(folder: Path) -> Path:
    """A project in a folder that is not there yet: the shipped experiments/, and nothing yet done."""
    shutil.copytree(ROOT / "experiments", folder / "experiments")
    return folder


@functools.cache
def _shipped(cell: str, protocol: str) -> Spec:
    (found,) = resolve.load(ROOT, [cell], protocol)
    return found.spec


def spec(cell: str = "table1/cifar10/flexpool", protocol: str = "paper", **changes: Any) -> Spec:
    """A shipped cell's, but for the values of any section that keywords name; with `sac`, of three heads."""
    values = _shipped(cell, protocol).model_dump()
    if changes.get("sac"):
        changes = {"head_weights": [0.1, 0.2, 0.7], **changes}
    for key, value in changes.items():
        section = next((values[name] for name in SECTIONS if key in values[name]), values)
        section[key] = value
    return Spec.model_validate(values)


def epoch(number: int = 1, accuracy: float = 50.0, **changes: Any) -> Epoch:
    values = {
        **{"epoch": number, "learning_rate": 0.1, "loss": 1.0, "head_losses": (1.0,)},
        **{"penalty": 0.0, "train_accuracy": 50.0, "accuracy": accuracy},
        **{"seconds": 1.0, "images_per_second": 1000.0, **changes},
    }
    return Epoch(**values)


def _rising(accuracy: float) -> list[Epoch]:
    """Two epochs, the last of which has this accuracy, one point above the first."""
    return [
        epoch(
            *(number, accuracy - 2 + number),
            **{"learning_rate": 0.1 / number, "loss": 1.5 / number, "penalty": 0.5 / number},
            **{"head_losses": (1.0 / number,), "train_accuracy": accuracy - 3 + number},
            seconds=30.0,
        )
        for number in (1, 2)
    ]


class Records:
    """Campaigns in a project whose runs are made up, not trained."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def begin(
        self,
        cells: list[str],
        protocol: str = "paper",
        seeds: int = 2,
        name: str = "made",
        settings: dict[str, str] | None = None,
        note: str = "",
    ) -> Campaign:
        request = Request(
            **{"name": name, "protocol": protocol, "settings": settings or {}},
            **{"cells": cells, "seeds": seeds, "note": note},
        )
        save_campaign(resolve_campaign(self.root, request))
        return open_campaign(self.root, name)

    def leave(
        self,
        campaign: Campaign,
        cell: str,
        seed: int,
        accuracy: float | None = 90.0,
        *,
        pools: list[Any] | None = None,
        provenance: dict[str, Any] | None = None,
        **changes: Any,
    ) -> Path:
        """Write a run's record, of a failed one without an accuracy; returns the run's folder."""
        (run,) = (run for run in campaign.runs if (run.cell, run.seed) == (cell, seed))
        folder = campaign.runs_folder / run.folder_name
        folder.mkdir(parents=True, exist_ok=True)
        origin = Provenance(
            **{
                **{"commit": "0" * 40, "dirty": False, "python": "3.11.7", "torch": "2.11.0"},
                **{"torchvision": "0.26.0", "numpy": "2.4.0", "device": "cpu", "threads": 1},
                **{"precision": "float32", "started": "2026-01-01T00:00:00+00:00"},
                **{"seconds": 60.0, "attempts": 1, **(provenance or {})},
            }
        )
        facts = {
            **{"cell": cell, "seed": seed, "id": run.id, "spec": run.spec.model_dump(mode="json")},
            **{"status": "failed" if accuracy is None else "done"},
            **{"epochs": [] if accuracy is None else _rising(accuracy)},
            **{"source": "official", "fingerprint": "f" * 64, "trace": None},
            **{"error": "out of memory" if accuracy is None else None, "provenance": origin},
        }
        record.write_record(folder, Record(**{**facts, **changes}))
        if pools:
            np.savez_compressed(folder / run_folder.POOLS, *pools)
        return folder

    def fill(
        self,
        cells: Mapping[str, Sequence[float]],
        protocol: str = "paper",
        provenance: dict[str, Any] | None = None,
        **begin: Any,
    ) -> Campaign:
        """A campaign whose cells have these accuracies, a seed each, with its CSV files."""
        campaign = self.begin(list(cells), protocol, max(map(len, cells.values())), **begin)
        for cell, values in cells.items():
            for seed, value in enumerate(values):
                self.leave(campaign, cell, seed, value, provenance=provenance)
        aggregate(campaign)
        return campaign


def reach(campaign: Campaign, run: Run, epoch: float, **numbers: Any) -> Path:
    """A run that has begun, and is so far; returns its folder."""
    folder = campaign.runs_folder / run.folder_name
    folder.mkdir(parents=True, exist_ok=True)
    progress = {"epoch": epoch, "accuracy": 50.0, "images_per_second": 1000.0, **numbers}
    begun = {"started": "2026-01-01T00:00:00+00:00", "worker": "worker-0", "pid": 1}
    (folder / run_folder.ATTEMPTS).write_text(json.dumps(begun) + "\n")
    (folder / run_folder.PROGRESS).write_text(json.dumps(progress))
    return folder


def predict(campaign: Campaign, seconds: Mapping[Run, float]) -> None:
    """Write what these runs were expected to take."""
    rows = (f"{run.cell},{run.seed},{run.id},{one}\n" for run, one in seconds.items())
    (campaign.results / "forecast.csv").write_text("cell,seed,run_id,predicted\n" + "".join(rows))


def unsealed(root: Path, campaign: str) -> Path:
    """A campaign's folder of CSV files that may be changed: nothing says what they were."""
    folder = root / "results" / campaign
    (folder / checksums.FILE).unlink()
    return folder


def photos(root: Path, classes: Iterable[str], count: int = 4, size: int = 8) -> Path:
    """Class folders of noise, PNG and JPEG in turn: root/<class>/<number>.png; returns `root`."""
    random = np.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True)
        for number in range(count):
            image = Image.fromarray(random.integers(0, 256, (size, size, 3), dtype=np.uint8))
            image.save(root / name / f"{number}.{'jpg' if number % 2 else 'png'}")
    return root
