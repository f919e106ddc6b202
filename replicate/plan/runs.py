"""Runs: what a campaign consists of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from replicate.specs.resolve import Cell
from replicate.specs.spec import Dataset, Generated, Spec
from replicate.text import series

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


def runs(cells: Sequence[Cell], wanted: Mapping[str, Sequence[int]]) -> list[Run]:
    """All runs of cells with their seeds, seed by seed, so that a campaign cut short has as many cells as
    possible."""
    seeds = sorted({seed for cell in cells for seed in wanted.get(cell.name, ())})
    return [
        Run(cell.name, cell.spec, seed)
        for seed in seeds
        for cell in cells
        if seed in wanted.get(cell.name, ())
    ]


def seeds_of(runs: Iterable[Run]) -> str:
    """Of one cell: for example `seed 3`, `seeds 0-4`, `seeds 0, 2`."""
    seeds = [run.seed for run in runs]
    return f"seed{'s' if len(seeds) > 1 else ''} {series(seeds)}"
