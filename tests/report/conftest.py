"""Campaigns made of synthetic CSV files, with the real specs beside them."""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from replicate.paper.tables import read_tables
from replicate.plan.campaign import open_campaign
from replicate.results import read
from replicate.results.csv_files import COLUMNS, read_csv
from replicate.results.judgement import judged
from replicate.results.read import Results
from replicate.specs import resolve

ROOT = Path(__file__).parents[2]
CELLS = read_tables(ROOT).cell_names()
SIDES = {1: 32, 2: 16, 3: 8}

Rows = dict[str, list[dict[str, Any]]]
Fate = tuple[str, str]
"""Status and error of a run; status "missing" leaves it out."""
DONE = ("done", "")
JUDGED = ("cells.csv", "gains.csv", "overall.csv", "claims.csv")
"""Made of the others."""


def aged(frames: dict[str, pd.DataFrame], cell: str) -> None:
    """Make the runs of a cell those of an earlier spec."""
    for name, frame in frames.items():
        if "run_id" in frame and name != "forecast.csv":
            own = frame["cell"] == cell
            frame.loc[own, "run_id"] = "0" * 8 + frame.loc[own, "run_id"].str[-4:]
    runs = frames["runs.csv"]
    runs.loc[runs["cell"] == cell, "stale"] = True


class Maker:
    """Writes results/<name>/ below `root`, and can be asked to change what its verdicts are made from."""

    cells = CELLS

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "experiments").symlink_to(ROOT / "experiments")

    def __call__(
        self,
        name: str = "paper",
        protocol: str = "paper",
        cells: Iterable[str] = CELLS,
        seeds: int = 5,
        fates: dict[tuple[str, int], Fate] | None = None,
        settings: dict[str, str] | None = None,
        note: str = "",
        edit: Callable[[dict[str, pd.DataFrame]], None] = lambda frames: None,
    ) -> Path:
        cells, settings = list(cells), settings or {}
        request = {
            "name": name,
            "protocol": protocol,
            "settings": settings,
            "cells": cells,
            "seeds": seeds,
            "note": note,
        }
        resolved = resolve.load(self.root, cells, protocol, settings)
        frames = _frames(resolved, seeds, fates or {})
        edit(frames)
        folder = self.root / "results" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "campaign.json").write_text(json.dumps(request))
        for file, frame in frames.items():
            frame.to_csv(folder / file, index=False)
        opened = open_campaign(self.root, name)
        read = [read_csv(opened, file) for file in ("runs.csv", "provenance.csv")]
        for file, frame in judged(opened, *read, answers={}).items():
            frame.to_csv(folder / file, index=False)
        return self.root


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


@pytest.fixture(scope="session")
def maker() -> type[Maker]:
    return Maker


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Campaigns `paper` and `short` of these protocols: all 32 cells with three seeds each."""
    make = Maker(tmp_path_factory.mktemp("whole"))
    make("short", "short", seeds=3)
    return make(seeds=3)


@pytest.fixture(scope="session")
def full(whole: Path) -> Results:
    """The first of them."""
    return read.read_results(whole, "paper")


def _frames(
    cells: list[resolve.Cell], seeds: int, fates: dict[tuple[str, int], Fate]
) -> dict[str, pd.DataFrame]:
    rows: Rows = {name: [] for name in COLUMNS if name not in JUDGED}
    for index, cell in enumerate(cells):
        for seed in range(seeds):
            rng = np.random.default_rng([index, seed])
            _add_run(rows, cell, seed, fates.get((cell.name, seed), DONE), rng)
    frames = {
        name: pd.DataFrame(found, columns=list(COLUMNS[name])) for name, found in rows.items()
    }
    places = ["cell", "head", "row", "column"]
    found = frames["maps.csv.gz"].groupby(places, sort=False)["weight"]
    maps = found.agg(weight="mean", between_seeds="std").reset_index()
    return {**frames, "maps.csv.gz": maps[list(COLUMNS["maps.csv.gz"])]}


def _add_run(
    rows: Rows, cell: resolve.Cell, seed: int, fate: Fate, rng: np.random.Generator
) -> None:
    status, error = fate
    if status == "missing":
        return
    spec = cell.spec
    key = {"cell": cell.name, "seed": seed, "run_id": spec.run_id(seed)}
    epochs = spec.training.epochs
    end = float(spec.published.value) if spec.published else 60.0
    end = (10.0 + 20 * rng.random() if spec.generated else end + 0.3) + rng.normal(0, 0.25)
    steps = np.arange(1, epochs + 1) / epochs
    curve = end * (1 - np.exp(-5 * steps)) / (1 - np.exp(-5)) + rng.normal(0, 1, epochs) * (
        1 - steps
    )
    curve = curve.clip(0, 100)
    ended = {"done": epochs, "diverged": max(epochs // 3, 1), "failed": 0}[status]
    done = status == "done"
    run = {
        **key, "table": spec.published.table if spec.published else None, "dataset": spec.dataset.name,
        "method": spec.method.name, "protocol": spec.protocol.name, "status": status, "stale": False,
        "accuracy": curve[-1] if done else None, "best_accuracy": curve.max() if done else None,
        "best_epoch": int(curve.argmax()) + 1 if done else None, "epochs": ended,
        "train_loss": 0.1 if done else None, "penalty": 0.0 if done else None,
        "source": "generated" if spec.generated else "official",
        "fingerprint": hashlib.sha256(spec.dataset.name.encode()).hexdigest(),
        "precision": "float32", "error": error,
    }  # fmt: skip
    rows["runs.csv"].append(run)
    rows["provenance.csv"].append(
        {
            **key, "started": f"2026-01-0{seed + 1}T00:00:00+00:00", "seconds": 600 + 60 * seed,
            "images_per_second": 12345.6, "attempts": 1, "device": "NVIDIA H200", "threads": 4,
            "commit": "0123456789abcdef", "dirty": False, "python": "3.11.7", "torch": "2.11.0",
            "torchvision": "0.26.0", "numpy": "2.4.0",
        }
    )  # fmt: skip
    rows["forecast.csv"].append({**key, "predicted": 500.0})
    rows["epochs.csv.gz"] += [
        {
            **key, "epoch": epoch + 1, "learning_rate": 0.1, "loss": 1.0, "head_losses": "1.0",
            "penalty": 0.0, "train_accuracy": curve[epoch],
            "accuracy": curve[epoch], "images_per_second": 12345.6,
        }
        for epoch in range(ended)
    ]  # fmt: skip
    if done and spec.model.pool == "flex":
        _add_pools(rows, key, cell, rng)


def _add_pools(
    rows: Rows, key: dict[str, Any], cell: resolve.Cell, rng: np.random.Generator
) -> None:
    spread = 0.01 if cell.spec.loss.penalty_weight else 3.0
    for head, stage in enumerate([1, 2, 3] if cell.spec.model.sac else [3], start=1):
        side = SIDES[stage] * cell.spec.dataset.size // 32
        channels = 8 * 2**stage
        sums = rng.normal(1, spread, channels)
        rows["pools.csv.gz"] += [
            {**key, "head": head, "channel": c, "sum": s, "negative": 0.25}
            for c, s in enumerate(sums)
        ]
        y, x = np.mgrid[:side, :side] - (side - 1) / 2
        weights = np.exp(-(x**2 + y**2) / side**2 * 4) * (1 + 0.1 * rng.random((side, side)))
        weights /= weights.sum()
        rows["maps.csv.gz"] += [
            {**key, "head": head, "row": r, "column": c, "weight": weights[r, c]}
            for r, c in np.ndindex(side, side)
        ]
