"""The paper's Figures 2 and 4 redrawn, and the trend across the columns.

Published numbers are hollow everywhere, replicated ones filled; the colour names the method.
"""

from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from replicate.errors import UserError
from replicate.paper.claims import read_figures
from replicate.paper.tables import Table
from replicate.report.figures.forest import published
from replicate.report.figures.style import (
    FAINT,
    INK,
    LOOKS,
    PAGE,
    below,
    grid,
    limit,
    panels,
    reach,
    require,
    styled,
)
from replicate.results.read import Results


@styled
def bars(results: Results, table: int) -> Figure:
    """Figure 2 (of Table 1) or 4 (of Table 2): published as printed and as drawn, and replicated."""
    printed = {one.table: one for one in results.paper.tables}
    if table not in printed:
        raise UserError(f"table {table}: choose from {', '.join(map(str, printed))}")
    drawn = next(one for one in read_figures(results.campaign.root) if one.table == table)
    figure, ((panel,),) = panels(1, 1, 1.9)
    for place, row in enumerate(drawn.rows):
        ours = in_columns(printed[table], row, results.cells)
        x = place + 0.21 * (np.arange(len(ours)) - 1.5)  # the methods about the data set's tick
        _printed(panel, x, ours["published"], np.array(drawn.rows[row], float))
        _replicated(panel, x, ours)
    panel.set_xticks(range(len(drawn.rows)), drawn.rows)
    panel.tick_params(axis="x", length=0)
    panel.set_ylim(0, 100)
    panel.set_ylabel("Test accuracy (%)")
    below(figure, _legend_of_bars(bool(results.caveat)))
    return figure


def in_columns(table: Table, row: str, cells: pd.DataFrame) -> pd.DataFrame:
    """One row of a table: per column, in the paper's order, the published number, the mean, and the
    interval that verdicts use, low and high; NaN where there is nothing."""
    found = cells[(cells["table"] == table.table) & (cells["row"] == row)].set_index("column")
    ends = {"predicted_low": "low", "predicted_high": "high"}
    ours = found[["mean", *ends]].rename(columns=ends).astype(float).reindex(table.columns)
    numbers = {str(name): values for name, values in table.rows.items()}[row]
    return ours.assign(published=[float(value) for value in numbers])


def _printed(panel: Axes, x: np.ndarray, printed: pd.Series, drawn: np.ndarray) -> None:
    colours = [LOOKS[column].colour for column in printed.index]
    panel.bar(x - 0.045, printed, 0.08, color="none", edgecolor=colours, linewidth=1)
    panel.hlines(drawn, x - 0.1, x + 0.01, color=INK, linewidth=1)


def _replicated(panel: Axes, x: np.ndarray, ours: pd.DataFrame) -> None:
    colours = [LOOKS[column].colour for column in ours.index]
    panel.bar(x + 0.045, ours["mean"], 0.08, color=colours)
    look: dict[str, Any] = {"fmt": "none", "ecolor": INK, "elinewidth": 1}
    panel.errorbar(x + 0.045, ours["mean"], _arms(ours), **look)
    missing = x[ours["mean"].isna()]
    panel.plot(missing + 0.045, np.full(len(missing), 3), "x", color=INK, markersize=4)


def _arms(ours: pd.DataFrame) -> np.ndarray:
    """Lengths of the error bars below and above the mean."""
    return np.array([ours["mean"] - ours["low"], ours["high"] - ours["mean"]])


def _legend_of_bars(caveat: bool) -> list[Any]:
    return [
        *(Patch(facecolor=look.colour, label=title) for title, look in LOOKS.items()),
        Patch(facecolor="none", edgecolor=INK, label=published(caveat)),
        Line2D([], [], color=INK, linewidth=1, label="as the paper draws it"),
        Patch(facecolor=INK, label="mean, 95 % for one more run"),
        Line2D([], [], color=INK, marker="x", linestyle="", label="no finished run"),
    ]


@styled
def trend(results: Results) -> Figure:
    """Accuracy across the columns, every seed a dot: a row of panels per data set, which share their
    y axis, and a column per table, so that the two classifiers compare."""
    cells = results.printed
    require(cells, "the campaign has no cell of Tables 1 and 2")
    tables: dict[int, Table] = {table.table: table for table in results.paper.tables}
    figure, axes = grid(cells, list(results.paper.tables[0].rows), 1.25, sharex=True)
    seen, ends = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    drawn = {place: in_columns(tables[place[1]], place[0], cells) for place in axes}
    for (row, number), panel in axes.items():
        ours = drawn[row, number]
        own = cells[(cells["table"] == number) & (cells["row"] == row)]
        seeds = results.done.merge(own[["cell", "column"]].reset_index(drop=True), on="cell")
        _trend_panel(panel, ours, seeds)
        seen[row] += [*ours["mean"], *ours["published"], *seeds["accuracy"]]
        ends[row] += [*ours["low"], *ours["high"]]
        limit(panel, reach(seen[row], ends[row]))  # at the last of its panels, of the whole row
    for place, panel in axes.items():
        _point_beyond(panel, drawn[place])
    figure.supylabel("Test accuracy (%)")
    below(figure, _legend_of_trend(bool(results.caveat)))
    return figure


def _trend_panel(panel: Axes, ours: pd.DataFrame, seeds: pd.DataFrame) -> None:
    x = np.arange(len(ours))
    # about each tick, beside each other: the published number, the mean, the seeds
    panel.plot(x - 0.14, ours["published"], "--", color=FAINT, linewidth=0.9)
    panel.plot(x + 0.06, ours["mean"], color=FAINT, linewidth=0.9)
    for place, (column, arm) in enumerate(zip(ours.index, _arms(ours).T, strict=True)):
        look: dict[str, Any] = {"color": LOOKS[column].colour}
        values = seeds.loc[seeds["column"] == column, "accuracy"]
        hollow: dict[str, Any] = {"markersize": 4.5, "markerfacecolor": PAGE}
        panel.plot(place - 0.14, ours["published"].iloc[place], "D", **look, **hollow)
        mean = ours["mean"].iloc[place]
        panel.errorbar(place + 0.06, mean, arm[:, None], fmt="_", markersize=7, **look)
        panel.plot(np.full(len(values), place + 0.26), values, "o", markersize=2.6, **look)
    panel.set_xlim(-0.5, len(ours) - 0.4)
    panel.set_xticks(x, [LOOKS[column].short for column in ours.index])


def _point_beyond(panel: Axes, ours: pd.DataFrame) -> None:
    """Arrow heads where the axis ends before an interval does, unless no accuracy lies beyond."""
    bottom, top = panel.get_ylim()
    for place, (column, one) in enumerate(ours.iterrows()):
        look: dict[str, Any] = {"color": LOOKS[str(column)].colour, "markersize": 4}
        if one["low"] < bottom > 0:
            panel.plot(place + 0.06, bottom, "v", clip_on=False, **look)
        if one["high"] > top < 100:
            panel.plot(place + 0.06, top, "^", clip_on=False, **look)


def _legend_of_trend(caveat: bool) -> list[Line2D]:
    hollow: dict[str, Any] = {"marker": "D", "markersize": 4.5, "markerfacecolor": PAGE}
    return [
        Line2D([], [], color=FAINT, linestyle="--", label=published(caveat), **hollow),
        Line2D([], [], color=FAINT, marker="o", markersize=2.6, linestyle="", label="a seed"),
        Line2D([], [], color=FAINT, marker="_", label="mean"),
        Line2D(
            [], [], color=FAINT, marker="|", linestyle="", markersize=9,
            label="95 % interval for one more run",
        ),
    ]  # fmt: skip
