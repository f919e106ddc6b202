"""Gains over AvgPool, paired by seed, beside the published ones."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd

from replicate import paper
from replicate.report.document import Entry, entry
from replicate.report.read import Results, records
from replicate.report.tables import Row, signed
from replicate.results import statistics
from replicate.results.aggregate import accuracies
from replicate.spec import Published

BASELINE = "AvgPool"


def gains(results: Results) -> pd.DataFrame:
    """One row per gain that two paired seeds or more tell of.

    Columns: cell, table, row, column, n, gain, low, high, p (Holm's, over the table), verdict, published.
    """
    by_seed = accuracies(results.cells, results.runs)
    tables = itertools.groupby(results.paper.cells(), lambda cell: cell.table)
    rows = [
        row for _, own in tables for row in _of_table(list(own), by_seed, results.request.seeds)
    ]
    found = pd.DataFrame(rows)
    return found[found["n"] >= 2].reset_index(drop=True)


def _of_table(
    cells: list[Published], by_seed: Mapping[str, Mapping[int, float]], seeds: int
) -> Iterator[dict[str, Any]]:

    def values(cell: Published) -> Mapping[int, float]:
        return by_seed.get(paper.cell_name(cell), {})

    bases = {cell.row: cell for cell in cells if cell.column == BASELINE}
    pairs = [(cell, bases[cell.row]) for cell in cells if cell.column != BASELINE]
    measured = [statistics.paired_gain(values(cell), values(base)) for cell, base in pairs]
    corrected = statistics.holm([gain.p for gain in measured])
    for (cell, base), gain, p in zip(pairs, measured, corrected, strict=True):
        yield {
            "cell": paper.cell_name(cell),
            "table": cell.table,
            "row": cell.row,
            "column": cell.column,
            "n": gain.n,
            "gain": gain.mean,
            "low": gain.low,
            "high": gain.high,
            "p": p,
            "verdict": statistics.gain_verdict(gain, p, seeds),
            "published": cell.accuracy - base.accuracy,
        }


def shown(found: pd.DataFrame, judged: bool) -> Callable[[Row, Published], Entry]:
    """The gain with its interval; p and verdict only where numbers may be judged."""
    by_cell = {gain["cell"]: gain for gain in records(found)}

    def content(cell: Row, published: Published) -> Entry:
        if published.column == BASELINE:
            return entry("baseline")
        if cell["cell"] not in by_cell:
            return entry("fewer than 2 pairs")
        own = by_cell[cell["cell"]]
        interval = f"{signed(own['low'], 2)} to {signed(own['high'], 2)} ({own['n']})"
        verdict = f"p = {own['p']:.2g}, {own['verdict']}" if judged else ""
        return entry(
            signed(own["gain"], 2),
            interval,
            f"published {signed(own['published'], 2)}",
            verdict,
            sort=own["gain"],
            tone=own["verdict"].split()[0] if judged else "",
        )

    return content
