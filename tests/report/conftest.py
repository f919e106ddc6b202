"""Campaigns of made-up records, aggregated as any other."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replicate.paper.tables import read_tables
from replicate.plan.campaign import Campaign, open_campaign
from replicate.plan.runs import Run
from replicate.records.epoch import Epoch
from replicate.results import read
from replicate.results.aggregate import aggregate
from replicate.results.read import Results
from tests import making
from tests.making import ROOT, Records

CELLS = read_tables(ROOT).cell_names()
SIDES = {1: 32, 2: 16, 3: 8}

Fate = tuple[str, str]
"""Status and error of a run; status "missing" leaves it out."""
DONE = ("done", "")
Edit = Callable[[str, int], dict[str, Any]]
"""What a record of a cell and a seed has in place of what is made up."""


def age(campaign: Campaign, cell: str) -> None:
    """Make the runs of a cell those of an earlier spec."""
    path = campaign.root / "experiments" / f"{cell}.yaml"
    path.write_text(path.read_text() + "training:\n  batch_size: 999\n")


class Maker:
    """Writes results/<name>/ below `root`, and can be asked to change what is aggregated."""

    cells = CELLS

    def __init__(self, root: Path) -> None:
        self.records = Records(making.project(root))

    def __call__(
        self,
        name: str = "paper",
        protocol: str = "paper",
        cells: Iterable[str] = CELLS,
        seeds: int = 5,
        fates: dict[tuple[str, int], Fate] | None = None,
        edit: Edit = lambda cell, seed: {},
        alter: Callable[[Campaign], object] = lambda campaign: None,
        **begin: Any,
    ) -> Path:
        """`alter` may change anything on the disk before the records are read."""
        campaign = self.records.begin(list(cells), protocol, seeds, name, **begin)
        for run in campaign.runs:
            status, error = (fates or {}).get((run.cell, run.seed), DONE)
            if status != "missing":
                rng = np.random.default_rng([[*campaign.specs].index(run.cell), run.seed])
                self._leave(
                    campaign, run, _facts(run, status, error, rng), edit(run.cell, run.seed)
                )
        making.predict(campaign, dict.fromkeys(campaign.runs, 500.0))
        alter(campaign)
        aggregate(open_campaign(campaign.root, name))
        return campaign.root

    def _leave(
        self, campaign: Campaign, run: Run, facts: dict[str, Any], other: dict[str, Any]
    ) -> None:
        origin = facts["provenance"] | other.get("provenance", {})
        changed = facts | other | {"provenance": origin}
        self.records.leave(campaign, run.cell, run.seed, **changed)


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


def _facts(run: Run, status: str, error: str, rng: np.random.Generator) -> dict[str, Any]:
    """What a record holds: accuracies that near the published one, and pools that centre."""
    spec = run.spec
    epochs = spec.training.epochs
    end = float(spec.published.value) if spec.published else 60.0
    end = (10.0 + 20 * rng.random() if spec.generated else end + 0.3) + rng.normal(0, 0.25)
    steps = np.arange(1, epochs + 1) / epochs
    noise = rng.normal(0, 1, epochs) * (1 - steps)
    curve = end * (1 - np.exp(-5 * steps)) / (1 - np.exp(-5)) + noise
    ended = {"done": epochs, "diverged": max(epochs // 3, 1), "failed": 0}[status]
    flexible = status == "done" and spec.model.pool == "flex"
    return {
        "status": status,
        "error": error or None,
        "epochs": _epochs(curve.clip(0, 100)[:ended]),
        "source": "generated" if spec.generated else "official",
        "pools": _pools(run, rng) if flexible else None,
        "provenance": {
            **{"started": f"2026-01-0{run.seed + 1}T00:00:00+00:00", "device": "NVIDIA H200"},
            **{"seconds": 600.0 + 60 * run.seed, "threads": 4, "commit": "0123456789abcdef"},
        },
    }


def _epochs(accuracies: np.ndarray) -> list[Epoch]:
    return [
        making.epoch(number, float(value), train_accuracy=float(value), images_per_second=12345.6)
        for number, value in enumerate(accuracies, start=1)
    ]


def _pools(run: Run, rng: np.random.Generator) -> list[np.ndarray]:
    """Weights of each head's pool, channels x side x side: one map, of another sum in each channel."""
    spread = 0.01 if run.spec.loss.penalty_weight else 3.0
    pools = []
    for stage in [1, 2, 3] if run.spec.model.sac else [3]:
        side = SIDES[stage] * run.spec.dataset.size // 32
        sums = rng.normal(1, spread, 8 * 2**stage)
        y, x = np.mgrid[:side, :side] - (side - 1) / 2
        weights = np.exp(-(x**2 + y**2) / side**2 * 4) * (1 + 0.1 * rng.random((side, side)))
        pools.append((sums[:, None, None] * weights / weights.sum()).astype(np.float32))
    return pools
