"""Where an effect comes from: pools of which each nests the one before, and one that cannot differ."""

import pandas as pd

from replicate.report.document import Entry, Section, Table, Text, entry
from replicate.report.tables import interval, ours, signed
from replicate.results.read import Results, records

TITLE = "Position, channels or parameters"
BASE = "table1/fashion-mnist/avgpool"
RUNGS = {
    BASE: "AvgPool",
    "extensions/ladder/placebo": "Placebo: FlexPool frozen at the average",
    "extensions/ladder/shared": "One map for all channels",
    "table1/fashion-mnist/flexpool": "FlexPool: a map for each channel",
    "extensions/ladder/flatten": "No pool: a dense layer over the whole map",
}
TEXT = (
    "Each rung can do what the one above it can, and more: with one map for all channels only the position "
    "counts, with FlexPool position and channel, with a dense layer position, channel and class. All start "
    "from the same network. The placebo computes the average as FlexPool does and learns nothing of its own: "
    "what it seems to gain is chance. Gains over AvgPool are paired by seed, with the plain 95 % t interval "
    "(pairs)."
)


def section(results: Results) -> Section:
    found = results.cells[results.cells.index.isin(list(RUNGS)) & (results.cells["n"] > 0)]
    if found.empty or not found.index.str.startswith("extensions/").any():
        return Section(TITLE, ())
    rungs = {row["cell"]: row for row in records(found)}
    rows = tuple(
        (
            entry(title),
            entry(ours(rungs[cell], 2), sort=rungs[cell]["mean"]),
            _gain(results, cell),
            *(_counted(results, cell, what) for what in ("parameters", "flops")),
        )
        for cell, title in RUNGS.items()
        if cell in rungs
    )
    columns = ("Rung", "Accuracy (%)", "Gain over AvgPool (points)", "Parameters", "FLOPs")
    return Section(TITLE, (Text(TEXT), Table("The ladder, Fashion-MNIST", columns, rows)))


def _gain(results: Results, cell: str) -> Entry:
    """Over AvgPool, where two pairs tell of it."""
    if cell == BASE:
        return entry("baseline")
    found = results.contrasts.difference((cell, BASE))
    if found.n < 2:
        return entry("fewer than 2 pairs")
    text = f"{interval(*found.plain.interval())} ({found.n})"
    return entry(signed(found.mean, 2), text, sort=found.mean)


def _counted(results: Results, cell: str, what: str) -> Entry:
    value = results.runs.loc[results.runs["cell"] == cell, what].max()
    return entry("unknown") if pd.isna(value) else entry(f"{value:,}", sort=float(value))
