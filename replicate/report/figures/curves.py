"""Learning curves: what the last epoch's number hides."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from replicate.report.figures.style import COLOURS, INK, absent, panels, require, styled, title
from replicate.results.read import Results

FEW = 10
"""Up to so many epochs each has a dot: of one epoch there is no line."""


@styled
def curves(results: Results) -> Figure:
    """Test accuracy per epoch, a panel per data set and table: mean and range of the finished seeds."""
    status = results.runs[["cell", "run_id", "status"]]
    places = results.cells[["cell", "table", "row", "column"]].reset_index(drop=True)
    placed = places[places["table"].notna()]
    history = results.epochs.merge(status, on=["cell", "run_id"]).merge(placed, on="cell")
    require(history, "no run of the tables' cells has an epoch yet")
    tables = sorted(history["table"].unique())
    present = set(history["row"].unique())
    rows = [row for row in dict.fromkeys(places["row"]) if row in present]
    figure, axes = panels(len(tables), len(rows), 2.4, 2.1, sharex=True, sharey="col")
    for table, line in zip(tables, axes, strict=True):
        line[0].set_ylabel(f"Table {table:g}\nTest accuracy (%)")
        for row, panel in zip(rows, line, strict=True):
            _panel(panel, history[(history["table"] == table) & (history["row"] == row)])
    for row, top, bottom in zip(rows, axes[0], axes[-1], strict=True):
        top.set_title(row)
        bottom.set_xlabel("Epoch")
        bottom.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    title(figure, "Test accuracy per epoch", results.caveat)
    figure.legend(
        handles=_legend(history), loc="outside lower center", ncols=5 if len(rows) > 3 else 2
    )
    return figure


def _panel(panel: Axes, history: pd.DataFrame) -> None:
    for column, colour in COLOURS.items():
        own = history[history["column"] == column]
        done = own[own["status"] == "done"].groupby("epoch")["accuracy"].agg(["mean", "min", "max"])
        if len(done):
            panel.fill_between(
                done.index, done["min"], done["max"], color=colour, alpha=0.2, linewidth=0
            )
            dots = "o" if len(done) <= FEW else ""
            panel.plot(
                done.index, done["mean"], marker=dots, markersize=4, color=colour, linewidth=1.3
            )
        for _, run in own[own["status"] == "diverged"].groupby("run_id"):
            panel.plot(run["epoch"], run["accuracy"], ":", color=colour, linewidth=1.2)
            panel.plot(
                run["epoch"].iloc[-1], run["accuracy"].iloc[-1], "x", color=colour, markersize=5
            )
    if not panel.lines:
        absent(panel)


def _legend(history: pd.DataFrame) -> list[Line2D]:
    present = set(history["column"].unique())
    columns = [column for column in COLOURS if column in present]
    lines = [Line2D([], [], color=COLOURS[column], label=column) for column in columns]
    if (history["status"] == "diverged").any():
        lines.append(
            Line2D([], [], color=INK, linestyle=":", marker="x", label="a run that diverged")
        )
    return lines
