"""Gains over AvgPool, paired by seed, beside the published ones."""

import itertools
from collections.abc import Iterator
from typing import Any

import pandas as pd

from replicate.paper import tables as paper
from replicate.paper.tables import Published
from replicate.results import statistics
from replicate.results.read import Results
from replicate.results.statistics import BySeed

BASELINE = "AvgPool"


def gains(results: Results) -> pd.DataFrame:
    """One row per gain that two paired seeds or more tell of.

    Columns: cell, table, row, column, n, gain, low, high, p (Holm's, over the table), verdict, published.
    """
    tables = itertools.groupby(results.paper.cells(), lambda cell: cell.table)
    rows = [row for _, cells in tables for row in _of_table(list(cells), results)]
    found = pd.DataFrame(rows)
    return found[found["n"] >= 2].reset_index(drop=True)


def _of_table(cells: list[Published], results: Results) -> Iterator[dict[str, Any]]:
    bases = {cell.row: cell for cell in cells if cell.column == BASELINE}
    pairs = [(cell, bases[cell.row]) for cell in cells if cell.column != BASELINE]
    values = [(_values(cell, results), _values(base, results)) for cell, base in pairs]
    names = [(paper.cell_name(cell), paper.cell_name(base)) for cell, base in pairs]
    found = statistics.changes(values, [results.request.pairs(*both) for both in names])
    for (cell, base), (gain, p, verdict) in zip(pairs, found, strict=True):
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
            "verdict": verdict,
            "published": cell.accuracy - base.accuracy,
        }


def _values(cell: Published, results: Results) -> BySeed:
    return results.accuracies.get(paper.cell_name(cell), {})
