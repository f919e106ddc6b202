"""Runs: what a campaign consists of, and what of it is still to do. Nothing here writes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from replicate.specs.resolve import Cell
from replicate.specs.spec import Dataset, Generated, Spec

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


def seeds_of(runs: Iterable[Run]) -> str:
    """Of one cell: for example `seed 3`, `seeds 0-4`, `seeds 0, 2`."""
    numbers = sorted(run.seed for run in runs)
    first, last = numbers[0], numbers[-1]
    if first == last:
        return f"seed {first}"
    whole = len(numbers) == last - first + 1
    return f"seeds {first}-{last}" if whole else f"seeds {', '.join(map(str, numbers))}"
