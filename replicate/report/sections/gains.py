"""Gains over AvgPool, and whether they are more than chance."""

from collections.abc import Callable, Iterator
from functools import partial

import pandas as pd

from replicate.paper.tables import Published
from replicate.report.document import Entry, Figure, Section, Text, entry
from replicate.report.figures import forest
from replicate.report.tables import Row, grids, interval, signed
from replicate.results.contrasts import BASELINE
from replicate.results.read import Results, by_cell


def section(results: Results) -> Section:
    found = results.gains[results.gains["n"] > 1]
    if found.empty and not forest.own_gains(results):
        none = Text("No gain has two paired seeds yet: an interval needs two.")
        return Section("Gains over AvgPool", (none,))
    key = (
        "Mean difference to AvgPool over the seeds that both have, with its 95 % interval (pairs), "
        "in percentage points, by a spread that the gains of a data set share. p values are corrected by "
        "Holm's method over the table."
    )
    tables = grids(results, "Gains, Table {}", content(found))
    return Section("Gains over AvgPool", (Text(key), *tables, *figures(results)))


def figures(results: Results) -> Iterator[Figure]:
    if len(results.gains):
        caption = (
            "Gains over AvgPool, paired by seed. Thick: the 95 % interval of the mean, which tells gain from "
            "loss; thin: that for one more pair, which the published gain, of one run each, is held against. "
            "All panels share an axis; an arrow head marks an interval that goes on beyond it."
        )
        draw = partial(forest.forest, results)
        yield Figure("gains", caption, draw, beside_paper=True)
    if forest.own_gains(results):
        caption = (
            "Gains of the cells that are in neither table over the AvgPool cell with the same data and "
            "training. Thick: the 95 % interval of the mean; thin: that for one more pair."
        )
        yield Figure("gains-own", caption, partial(forest.own, results))


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
