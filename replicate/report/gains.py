"""Gains over AvgPool, paired by seed, beside the published ones."""

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from replicate import paper
from replicate.report.document import Entry, entry
from replicate.report.read import Results
from replicate.report.tables import signed
from replicate.results import statistics
from replicate.spec import Published

BASELINE = "AvgPool"


def gains(results: Results) -> pd.DataFrame:
    """One row per gain that two paired seeds or more tell of.

    Columns: cell, table, row, column, n, gain, low, high, p (Holm's, over the table), verdict, published.
    """
    found = pd.DataFrame(
        [gain for table in results.paper.tables for gain in _of_table(results, table)]
    )
    return found[found["n"] >= 2].reset_index(drop=True)


def _of_table(results: Results, table: paper.Table) -> Iterator[dict[str, Any]]:
    places = [(row, column) for row in table.rows for column in table.columns if column != BASELINE]
    found = [_paired(results, table, row, column) for row, column in places]
    corrected = statistics.holm([gain.p for gain in found])
    for (row, column), gain, p in zip(places, found, corrected, strict=True):
        printed = float(_printed(table, row, column).value) - float(
            _printed(table, row, BASELINE).value
        )
        yield {
            "cell": paper.cell_name(_printed(table, row, column)),
            "table": table.table,
            "row": row,
            "column": column,
            "n": gain.n,
            "gain": gain.mean,
            "low": gain.low,
            "high": gain.high,
            "p": p,
            "verdict": statistics.gain_verdict(gain, p, results.request.seeds),
            "published": printed,
        }


def _paired(results: Results, table: paper.Table, row: str, column: str) -> statistics.Gain:
    method, baseline = (
        _by_seed(results, paper.cell_name(_printed(table, row, name)))
        for name in (column, BASELINE)
    )
    return statistics.paired_gain(method, baseline)


def _by_seed(results: Results, cell: str) -> dict[int, float]:
    own = results.done[results.done["cell"] == cell]
    return dict(zip(own["seed"].astype(int), own["accuracy"].astype(float), strict=True))


def _printed(table: paper.Table, row: str, column: str) -> Published:
    value = table.rows[row][table.columns.index(column)]
    return Published(table=table.table, row=row, column=column, value=value)  # type: ignore[arg-type]


def shown(found: pd.DataFrame, judged: bool) -> Callable[[pd.Series, Published], Entry]:
    """The gain with its interval; p and verdict only where numbers may be judged."""
    by_cell = found.set_index("cell")

    def content(cell: pd.Series, published: Published) -> Entry:
        if published.column == BASELINE:
            return entry("baseline")
        if cell["cell"] not in by_cell.index:
            return entry("fewer than 2 pairs")
        own = by_cell.loc[cell["cell"]]
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
