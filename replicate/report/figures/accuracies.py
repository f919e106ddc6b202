"""The paper's Figures 2 and 4 redrawn, the trend across the columns, and the gains over AvgPool.

Published numbers are hollow everywhere, replicated ones filled; the colour names the method.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from replicate.errors import UserError
from replicate.paper.tables import Row, Table
from replicate.report.figures.style import (
    COLOURS,
    FAINT,
    INK,
    SHORT,
    limit,
    panels,
    require,
    styled,
    title,
)
from replicate.results.read import Results, records

GROUPS: tuple[Row, ...] = ("Fashion-MNIST", "CIFAR10", "CIFAR100", "ImageNet")
"""Order of the groups in the paper's Figures 2 and 4; its tables have another."""


@styled
def bars(results: Results, table: int) -> Figure:
    """Figure 2 (of Table 1) or 4 (of Table 2): a panel per data set, published beside replicated."""
    printed = {one.table: one for one in results.paper.tables}
    if table not in printed:
        raise UserError(f"table {table}: choose from {', '.join(map(str, printed))}")
    figure, axes = panels(1, len(GROUPS), 2.4, 2.9)
    for panel, group in zip(axes[0], GROUPS, strict=True):
        ours = in_columns(printed[table], group, results.cells)
        _bar_panel(panel, printed[table], group, ours)
    axes[0, 0].set_ylabel("Test accuracy (%)")
    heading = f"Figure {2 * table} redrawn from Table {table}: {printed[table].title}"
    title(figure, heading, results.caveat)
    hollow = Patch(facecolor="white", edgecolor=INK, hatch="////", label="published (one run)")
    filled = Patch(facecolor=INK, label="replicated (mean, 95 % interval for one more run)")
    none = Line2D([], [], color=INK, marker="x", linestyle="", label="no finished run")
    figure.legend(handles=[hollow, filled, none], loc="outside lower center", ncols=3)
    return figure


def in_columns(table: Table, row: str, cells: pd.DataFrame) -> pd.DataFrame:
    """One row of a table: the mean and the interval that verdicts use, low and high, per column in the
    paper's order, NaN where there is nothing."""
    found = cells[(cells["table"] == table.table) & (cells["row"] == row)].set_index("column")
    ends = {"predicted_low": "low", "predicted_high": "high"}
    return found[["mean", *ends]].rename(columns=ends).astype(float).reindex(table.columns)


def _bar_panel(panel: Axes, table: Table, group: Row, ours: pd.DataFrame) -> None:
    published = [float(value) for value in table.rows[group]]
    x = np.arange(len(published))
    colours = [COLOURS[column] for column in table.columns]
    panel.bar(x - 0.2, published, 0.36, color="white", edgecolor=colours, hatch="////")
    panel.bar(x + 0.2, ours["mean"], 0.36, color=colours)
    panel.errorbar(
        x + 0.2, ours["mean"], _arms(ours), fmt="none", ecolor=INK, elinewidth=1, capsize=2.5
    )
    limit(panel, [*published, *ours.to_numpy().ravel()])
    for place in x[ours["mean"].isna()]:
        panel.plot(
            place + 0.2, 0.03, "x", color=INK, markersize=5, transform=panel.get_xaxis_transform()
        )
    panel.set_title(group)
    panel.set_xticks(x, [SHORT[column] for column in table.columns])
    panel.tick_params(axis="x", length=0)


def _arms(ours: pd.DataFrame) -> np.ndarray:
    """Lengths of the error bars below and above the mean."""
    return np.array([ours["mean"] - ours["low"], ours["high"] - ours["mean"]])


@styled
def trend(results: Results) -> Figure:
    """Accuracy across the columns: a row of panels per table, a panel per data set.

    The panels of one data set share their y axis, so that the two classifiers compare.
    """
    tables = results.paper.tables
    rows = list(tables[0].rows)
    figure, axes = panels(len(tables), len(rows), 2.4, 2.3, sharey="col", sharex=True)
    shown: dict[str, list[float]] = {row: [] for row in rows}
    for table, line in zip(tables, axes, strict=True):
        line[0].set_ylabel(f"Table {table.table}\nTest accuracy (%)")
        for row, panel in zip(rows, line, strict=True):
            ours = in_columns(table, row, results.cells)
            published = [float(value) for value in table.rows[row]]
            _trend_panel(panel, table, published, ours)
            shown[row] += [*published, *ours.to_numpy().ravel()]
    for row, panel in zip(rows, axes[0], strict=True):
        panel.set_title(row)
        limit(panel, shown[row])
    title(figure, "Accuracy across the columns of Tables 1 and 2", results.caveat)
    look: dict[str, Any] = {"color": FAINT, "linestyle": "--", "markerfacecolor": "white"}
    hollow = Line2D([], [], marker="D", label="published", **look)
    filled = Line2D(
        [], [], color=INK, marker="o", label="replicated (mean, 95 % interval for one more run)"
    )
    figure.legend(handles=[hollow, filled], loc="outside lower center", ncols=2)
    return figure


def _trend_panel(panel: Axes, table: Table, published: list[float], ours: pd.DataFrame) -> None:
    x = np.arange(len(published))
    colours = [COLOURS[column] for column in table.columns]
    panel.plot(x - 0.1, published, "--", color=FAINT, linewidth=1)
    panel.plot(x + 0.1, ours["mean"], color=INK, linewidth=1)
    arms = _arms(ours)
    for index, colour in enumerate(colours):
        look: dict[str, Any] = {"color": colour, "markersize": 5}
        panel.plot(x[index] - 0.1, published[index], "D", markerfacecolor="white", **look)
        mean = ours["mean"].iloc[index]
        panel.errorbar(x[index] + 0.1, mean, arms[:, [index]], fmt="o", capsize=2.5, **look)
    panel.set_xlim(-0.5, len(published) - 0.5)
    panel.set_xticks(x, [SHORT[column] for column in table.columns])


@styled
def forest(results: Results) -> Figure:
    """Gains over AvgPool with their intervals, a panel per table."""
    found = results.gains[results.gains["n"] > 1]
    require(found, "no gain has two paired seeds yet")
    numbers = sorted(found["table"].unique())
    tallest = max((found["table"] == number).sum() for number in numbers)
    figure, axes = panels(1, len(numbers), 4.8, 0.26 * tallest + 0.8, sharex=True)
    for panel, number in zip(axes[0], numbers, strict=True):
        _forest_panel(panel, found[found["table"] == number])
        panel.set_title(f"Table {number:g}")
        panel.set_xlabel("Gain over AvgPool (percentage points)")
    title(figure, "Gain over AvgPool, paired by seed", results.caveat)
    filled = Line2D([], [], color=INK, marker="o", label="replicated (mean, 95 % interval)")
    hollow = Line2D(
        [], [], color=INK, marker="D", markerfacecolor="white", linestyle="", label="published"
    )
    figure.legend(handles=[filled, hollow], loc="outside lower center", ncols=2)
    return figure


def _forest_panel(panel: Axes, found: pd.DataFrame) -> None:
    rows = list(dict.fromkeys(found["row"]))
    y = np.arange(len(found)) + 0.6 * found["row"].map(rows.index).to_numpy()
    panel.axvline(0, color=INK, linewidth=0.8)
    for place, gain in zip(y, records(found), strict=True):
        colour = COLOURS[gain["column"]]
        panel.hlines(place, gain["low"], gain["high"], color=colour, linewidth=2)
        panel.plot(gain["gain"], place, "o", color=colour, markersize=6)
        panel.plot(
            gain["published"], place + 0.3, "D", color=colour, markerfacecolor="white", markersize=4
        )
    labels = [
        f"{gain['row']}  {SHORT[gain['column']]}".replace("\n", " ") for gain in records(found)
    ]
    panel.set_yticks(y, labels)
    panel.tick_params(axis="y", length=0)
    panel.set_ylim(y.max() + 0.8, y.min() - 0.6)
    panel.grid(axis="x")
    panel.grid(visible=False, axis="y")
