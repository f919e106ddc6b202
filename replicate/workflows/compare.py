"""Holds two campaigns against each other: what differs in accuracy, in gains and in origin."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from replicate.report.tables import interval, signed
from replicate.results import statistics
from replicate.results.contrasts import BASELINE
from replicate.results.differences import difference as paired
from replicate.results.origins import ORIGINS
from replicate.results.read import Results, read_results
from replicate.results.statistics import BySeed
from replicate.text import as_json, folded, table

HEADINGS = ("here", "there", "change", "95 % interval", "pairs")
LEGEND = (
    "Changes in points, there minus here, paired by seed; the last accuracy is the mean of all cells that "
    "both have, over the seeds that all of them have. An interval without zero is more than chance for that "
    "line alone."
)


@dataclass(frozen=True)
class Difference:
    """Between two campaigns."""

    kind: str
    """`cell`, `gain` or `all`."""
    cell: str
    here: float
    """Percent or points, over all finished seeds; nan where nothing is known, as below."""
    there: float
    difference: float
    """Points, over the seeds that both have."""
    low: float
    high: float
    pairs: int


@dataclass(frozen=True)
class Origin:
    """What the finished runs of two campaigns do not have in common."""

    kind: str
    """`origin`."""
    what: str
    here: list[str]
    there: list[str]


def compare(root: Path, here: str, there: str, json: bool = False) -> str:
    """Two campaigns as text, or as JSON; raises UserError where one has no results."""
    a, b = read_results(root, here), read_results(root, there)
    found, made = list(differences(a, b)), list(_origins(a, b))
    if json:
        return as_json([*map(asdict, found), *map(asdict, made)])
    cells = [_row(one) for one in found if one.kind != "gain"]
    gains = [_row(one) for one in found if one.kind == "gain"]
    origin = [(one.what, ", ".join(one.here), ", ".join(one.there)) for one in made]
    parts = [
        f"here: {here}; there: {there}",
        table(("accuracy", *HEADINGS), cells) if cells else "No cell has a finished run in both.",
        table((f"gain over {BASELINE}", *HEADINGS), gains) if gains else "",
        folded(LEGEND),
        table(("what differs", "here", "there"), origin) if origin else "Both were made alike.",
    ]
    return "\n\n".join(filter(None, parts))


def differences(here: Results, there: Results) -> Iterator[Difference]:
    """Of each cell that both have, of each gain, and of all cells together."""
    a, b = here.contrasts.accuracies, there.contrasts.accuracies
    shared = [cell for cell in a if cell in b]
    for cell in shared:
        yield _difference("cell", cell, a[cell], b[cell])
    for cell, base in filter(set(shared).issuperset, here.contrasts.gains):
        yield _difference("gain", cell, _gains(a, cell, base), _gains(b, cell, base))
    if len(shared) > 1:
        yield _difference(
            "all", f"mean of {len(shared)} cells", _means(a, shared), _means(b, shared)
        )


def _difference(kind: str, cell: str, here: BySeed, there: BySeed) -> Difference:
    found = paired(there, here, scale=1.0, least=0.0)
    a, b = (float(statistics.summary(list(one.values())).mean) for one in (here, there))
    return Difference(kind, cell, a, b, found.mean, *found.plain.interval(), found.n)


def _gains(accuracies: Mapping[str, BySeed], cell: str, base: str) -> BySeed:
    own, other = accuracies[cell], accuracies[base]
    return {seed: own[seed] - other[seed] for seed in own if seed in other}


def _means(accuracies: Mapping[str, BySeed], cells: list[str]) -> BySeed:
    """Over cells, of the seeds that all of them have."""
    seeds = set.intersection(*(set(accuracies[cell]) for cell in cells))
    return {seed: fmean(accuracies[cell][seed] for cell in cells) for seed in sorted(seeds)}


def _origins(here: Results, there: Results) -> Iterator[Origin]:
    for field in ("protocol", "settings"):
        yield from _unlike(field, *([str(getattr(one.request, field))] for one in (here, there)))
    for name, title in {**ORIGINS, "threads": "threads"}.items():
        yield from _unlike(title, *(_values(one.contrasts.made, name) for one in (here, there)))


def _values(made: pd.DataFrame, name: str) -> list[str]:
    return sorted({str(value) for value in made[name]})


def _unlike(what: str, here: list[str], there: list[str]) -> Iterator[Origin]:
    if here != there:
        yield Origin("origin", what, here, there)


def _row(one: Difference) -> tuple[Any, ...]:
    between = interval(one.low, one.high) if isfinite(one.low) else "needs 2 pairs"
    change = signed(one.difference, 2) if isfinite(one.difference) else ""
    return (one.cell, *map(_number, (one.here, one.there)), change, between, one.pairs)


def _number(value: float) -> str:
    return f"{value:.2f}" if isfinite(value) else ""
