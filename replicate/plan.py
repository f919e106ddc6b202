"""Runs: what a campaign consists of, and what of it is still to do. Nothing here writes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from replicate.catalogue import Cell
from replicate.results import record
from replicate.spec import Dataset, Generated, Spec

State = Literal["done", "diverged", "failed", "started", "new"]
Images = tuple[Dataset, Generated | None]
"""What a run's images are: runs with equal values share a cache entry."""


@dataclass(frozen=True)
class Run:
    """One resolved spec with one seed: the unit that is trained, resumed and retried."""

    cell: str
    spec: Spec
    seed: int

    @cached_property
    def id(self) -> str:
        return self.spec.run_id(self.seed)

    @property
    def images(self) -> Images:
        return self.spec.dataset, self.spec.generated

    @cached_property
    def folder_name(self) -> str:
        return f"{self.cell.replace('/', '-')}-s{self.seed}-{self.id}"

    def __str__(self) -> str:
        return f"{self.cell} seed {self.seed}"


def runs(cells: Sequence[Cell], seeds: int) -> list[Run]:
    """All runs of a campaign: seeds 0 to `seeds` - 1 of every cell, seed by seed, so that a campaign
    cut short has as many cells as possible."""
    return [Run(cell.name, cell.spec, seed) for seed in range(seeds) for cell in cells]


def state(run: Run, runs_folder: Path) -> State:
    """Where a run stands, by its own folder alone."""
    folder = runs_folder / run.folder_name
    found = record.status(folder)
    if found is not None:
        return found
    return "started" if (folder / record.ATTEMPTS).exists() else "new"


def to_do(runs: Iterable[Run], runs_folder: Path, retry_failed: bool = False) -> list[Run]:
    """The runs without a result; failed ones only on request."""
    open_states = {"new", "started", "failed"} if retry_failed else {"new", "started"}
    return [run for run in runs if state(run, runs_folder) in open_states]
