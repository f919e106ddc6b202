"""What a piece of the benchmark hands back, and how it is printed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from tabulate import tabulate


@dataclass(frozen=True)
class Options:
    """What the command line asks of every piece."""

    quick: bool
    rounds: int
    data: str | None
    """A prepared cache entry with real images; None for generated ones."""

    def size(self, full: int, quick: int) -> int:
        return quick if self.quick else full


@dataclass(frozen=True)
class Found:
    """What was measured of a target."""

    value: str
    met: bool


@dataclass(frozen=True)
class Section:
    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[object, ...]]
    notes: list[str] = field(default_factory=list)
    found: dict[str, Found] = field(default_factory=dict)
    """By the name of the target."""

    def markdown(self) -> str:
        table = tabulate(self.rows, self.columns, tablefmt="github", disable_numparse=True)
        return "\n\n".join([f"## {self.title}", table, *self.notes])


def ratio(of: Sequence[float], to: Sequence[float]) -> float:
    """Median of the ratios of what was measured in the same round."""
    return median(a / b for a, b in zip(of, to, strict=True))


def spread(values: Sequence[float]) -> str:
    return f"{min(values):.4g} to {max(values):.4g}"
