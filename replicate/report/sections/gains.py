"""Gains over AvgPool, and whether they are more than chance."""

from collections.abc import Callable
from functools import partial

import pandas as pd

from replicate.paper.tables import Published
from replicate.report.document import Entry, Figure, Section, Text, entry
from replicate.report.figures.accuracies import forest
from replicate.report.tables import Row, grids, interval, signed
from replicate.results.gains import BASELINE, gains
from replicate.results.read import Results, by_cell


def section(results: Results) -> Section:
    found = gains(results)
    if found.empty:
        none = Text("No gain has two paired seeds yet: an interval needs two.")
        return Section("Gains over AvgPool", (none,))
    key = (
        "Mean difference to AvgPool over the seeds that both have, with its 95 % t interval (pairs), "
        "in percentage points."
    )
    if not results.caveat:
        key += " p values are corrected by Holm's method over the table."
    caption = "Gains over AvgPool. Means with 95 % t intervals; hollow: the published gains, of one run each."
    figure = Figure("gains", caption, partial(forest, results))
    tables = grids(results, "Gains, Table {}", content(found, not results.caveat))
    return Section("Gains over AvgPool", (Text(key), *tables, figure))


def content(found: pd.DataFrame, judged: bool) -> Callable[[Row, Published], Entry]:
    """The gain with its interval; p and verdict only where numbers may be judged."""
    gain_of = by_cell(found)

    def of(cell: Row, published: Published) -> Entry:
        if published.column == BASELINE:
            return entry("baseline")
        if cell["cell"] not in gain_of:
            return entry("fewer than 2 pairs")
        own = gain_of[cell["cell"]]
        verdict = f"p = {own['p']:.2g}, {own['verdict']}" if judged else ""
        return entry(
            signed(own["gain"], 2),
            f"{interval(own['low'], own['high'])} ({own['n']})",
            f"published {signed(own['published'], 2)}",
            verdict,
            sort=own["gain"],
            tone=own["verdict"].split()[0] if judged else "",
        )

    return of
