"""Gains over AvgPool, and whether they are more than chance."""

from collections.abc import Callable
from functools import partial

import pandas as pd

from replicate.paper.tables import Published
from replicate.report.document import Entry, Figure, Section, Text, entry
from replicate.report.figures.accuracies import forest
from replicate.report.tables import Row, grids, interval, signed
from replicate.results.contrasts import BASELINE
from replicate.results.read import Results, by_cell


def section(results: Results) -> Section:
    found = results.gains[results.gains["n"] > 1]
    if found.empty:
        none = Text("No gain has two paired seeds yet: an interval needs two.")
        return Section("Gains over AvgPool", (none,))
    key = (
        "Mean difference to AvgPool over the seeds that both have, with its 95 % interval (pairs), "
        "in percentage points, by a spread that the gains of a data set share. p values are corrected by "
        "Holm's method over the table."
    )
    caption = "Gains over AvgPool. Means with 95 % intervals; hollow: the published gains, of one run each."
    figure = Figure("gains", caption, partial(forest, results))
    tables = grids(results, "Gains, Table {}", content(found))
    return Section("Gains over AvgPool", (Text(key), *tables, figure))


def content(found: pd.DataFrame) -> Callable[[Row, Published], Entry]:
    """The gain with its interval, the published one and what ours says of it, p value and word."""
    gain_of = by_cell(found)

    def of(cell: Row, published: Published) -> Entry:
        if published.column == BASELINE:
            return entry("baseline")
        if cell["cell"] not in gain_of:
            return entry("fewer than 2 pairs")
        own = gain_of[cell["cell"]]
        beside = "" if own["against"] == "not comparable" else f", ours {own['against']}"
        return entry(
            signed(own["gain"], 2),
            f"{interval(own['low'], own['high'])} ({own['n']})",
            f"published {signed(own['published'], 2)}{beside}",
            f"mixed {own['mixed']}" if own["mixed"] else "",
            f"p = {own['holm']:.2g}, {own['verdict']}",
            sort=own["gain"],
            tone=own["verdict"].split()[0],
        )

    return of
