"""Holds two campaigns against each other: what differs in accuracy, in gains and in origin."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from statistics import fmean
from textwrap import fill
from typing import Any

from replicate.report.tables import interval, signed
from replicate.results import statistics
from replicate.results.contrasts import BASELINE
from replicate.results.differences import difference as paired
from replicate.results.origins import ORIGINS
from replicate.results.read import Results, read_results
from replicate.results.statistics import BySeed
from replicate.text import as_json, columns, table

Origins = dict[str, list[str]]
ORIGIN_KEYS = ("kind", "what", "here", "there")
HEADINGS = ("here", "there", "change", "95 % interval", "pairs")
LEGEND = (
    "All of it over the seeds that both have. Changes in points, there minus here; the last accuracy is the "
    "mean of all cells that both have, over the seeds that each of them has. An interval without zero is "
    "more than chance for that line alone."
)


@dataclass(frozen=True)
class Difference:
    """Between two campaigns."""

    kind: str
    """`cell`, `gain` or `all`."""
    cell: str
    here: float
    """Percent or points, over the seeds that both have, or its own where they share none; nan where nothing
    is known, as below."""
    there: float
    difference: float
    """Points, over the seeds that both have."""
    low: float
    high: float
    pairs: int


def compare(root: Path, here: str, there: str, json: bool = False) -> str:
    """Two campaigns as text, or as JSON; raises UserError where one has no results."""
    a, b = read_results(root, here), read_results(root, there)
    found = list(differences(a, b))
    cells = [one.cell for one in found if one.kind == "cell"]
    mine, theirs = _origins(a, cells), _origins(b, cells)
    made = [(what, mine[what], theirs[what]) for what in mine if mine[what] != theirs[what]]
    if json:
        rows = (dict(zip(ORIGIN_KEYS, ("origin", *row), strict=True)) for row in made)
        return as_json([*map(asdict, found), *rows])
    accuracies = [_row(one) for one in found if one.kind != "gain"]
    gains = [_row(one) for one in found if one.kind == "gain"]
    origin = [(what, *map(", ".join, values)) for what, *values in made]
    parts = [
        f"here: {here}; there: {there}",
        table(("accuracy", *HEADINGS), accuracies)
        if accuracies
        else "No cell has a finished run in both.",
        table((f"gain over {BASELINE}", *HEADINGS), gains) if gains else "",
        fill(LEGEND, columns()),
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
    both = here.keys() & there.keys()
    seen = (
        [value for seed, value in one.items() if seed in both or not both] for one in (here, there)
    )
    a, b = (float(statistics.summary(values).mean) for values in seen)
    return Difference(kind, cell, a, b, found.mean, *found.plain.interval(), found.n)


def _gains(accuracies: Mapping[str, BySeed], cell: str, base: str) -> BySeed:
    own, other = accuracies[cell], accuracies[base]
    return {seed: own[seed] - other[seed] for seed in own if seed in other}


def _means(accuracies: Mapping[str, BySeed], cells: list[str]) -> BySeed:
    """Over cells, of the seeds that all of them have."""
    seeds = set.intersection(*(set(accuracies[cell]) for cell in cells))
    return {seed: fmean(accuracies[cell][seed] for cell in cells) for seed in sorted(seeds)}


def _origins(results: Results, cells: list[str]) -> Origins:
    """How the finished runs of these cells were made, without cells of all: every value, by what it is one
    of."""
    request, made = results.request, results.contrasts.made
    made = made[made["cell"].isin(cells)] if cells else made
    asked = {"protocol": [request.protocol], "settings": [str(request.settings)]}
    titles = {**ORIGINS, "threads": "threads"}
    return asked | {title: sorted({*map(str, made[name])}) for name, title in titles.items()}


def _row(one: Difference) -> tuple[Any, ...]:
    between = interval(one.low, one.high) if isfinite(one.low) else "needs 2 pairs"
    change = signed(one.difference, 2) if isfinite(one.difference) else ""
    number = "{:+.2f}" if one.kind == "gain" else "{:.2f}"
    here, there = (
        number.format(value).replace("-", "−") if isfinite(value) else ""
        for value in (one.here, one.there)
    )
    return (one.cell, here, there, change, between, one.pairs)
