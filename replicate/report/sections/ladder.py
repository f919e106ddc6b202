"""Where an effect comes from: pools of which each nests the one before, and one that cannot differ."""

import pandas as pd

from replicate.report.document import Entry, Section, Table, Text, entry
from replicate.report.tables import interval, mixed, ours, signed
from replicate.results.read import Results, records
from replicate.text import many

TITLE = "Position, channels or parameters"
BASE = "table1/fashion-mnist/avgpool"
RUNGS = {
    BASE: "AvgPool",
    "extensions/ladder/placebo": "Placebo: frozen FlexPool",
    "extensions/ladder/shared": "One map for all channels",
    "table1/fashion-mnist/flexpool": "FlexPool: one a channel",
    "extensions/ladder/flatten": "No pool: dense layer",
}
TEXT = (
    "Each rung can do what the one above it can, and more: one map for all channels weighs positions, "
    "FlexPool those of each channel, a dense layer those of each channel for each class. The placebo is "
    "FlexPool that learns nothing: what it seems to gain is chance. Gains are paired by seed, with the plain "
    "95 % t interval (pairs)."
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
    columns = ("Rung", "Accuracy (%)", "Gain (points)", "Parameters", "FLOPs")
    table = Table("The ladder, Fashion-MNIST", columns, rows)
    return Section(TITLE, (Text(f"{TEXT}{_false_alarms(results)}"), table))


def _false_alarms(results: Results) -> str:
    """How often what cannot differ from average pooling seems to."""
    specs = results.campaign.specs
    pairs = [pair for pair in results.beside.items() if specs[pair[0]].model.constraint == "frozen"]
    found = [results.contrasts.difference(pair) for pair in pairs]
    intervals = [one.plain.interval() for one in found if one.n > 1]
    if not intervals:
        return ""
    alarms = sum(not low <= 0 <= high for low, high in intervals)
    of = f"{alarms} of {many(len(intervals), 'placebo')}"
    return f" False alarms: the interval of {of} leaves out 0; 1 of 20 does so by chance."


def _gain(results: Results, cell: str) -> Entry:
    """Over AvgPool, where two pairs tell of it."""
    if cell == BASE:
        return entry("baseline")
    found = results.contrasts.difference((cell, BASE))
    if found.n < 2:
        return entry("fewer than 2 pairs")
    spread = f"{interval(*found.plain.interval())} ({found.n})"
    made = mixed(results.contrasts.mixed((cell, BASE)))
    return entry(signed(found.mean, 2), spread, made, sort=found.mean)


def _counted(results: Results, cell: str, what: str) -> Entry:
    value = results.runs.loc[results.runs["cell"] == cell, what].max()
    return entry("unknown") if pd.isna(value) else entry(f"{value:,}", sort=float(value))
