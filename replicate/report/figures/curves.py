"""Learning curves where they differ, in the last third: what the last epoch's number hides."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from replicate.report.figures.style import (
    INK,
    LOOKS,
    OWN,
    absent,
    below,
    grid,
    limit,
    methods,
    require,
    small_multiples,
    styled,
)
from replicate.results.beside import baselines
from replicate.results.contrasts import BASELINE
from replicate.results.read import Results

FEW = 10
"""Up to so many epochs each has a dot: of one epoch there is no line."""


@styled
def curves(results: Results) -> Figure:
    """Test accuracy in the last third of the epochs, a panel per data set and table: mean and range of
    the finished seeds."""
    places = results.cells[["cell", "table", "row", "column"]].reset_index(drop=True)
    history = _history(results).merge(places[places["table"].notna()], on="cell")
    require(history, "no run of the tables' cells has an epoch yet")
    figure, axes = grid(history, list(results.paper.tables[0].rows), 1.2, sharex=True)
    for (row, table), panel in axes.items():
        own = history[(history["table"] == table) & (history["row"] == row)]
        for method in methods(own["column"]):
            _draw(panel, own[own["column"] == method], LOOKS[method].colour)
        _finish(panel, own)
        limit(panel, late(history[history["row"] == row])["accuracy"])
    looks = {method: LOOKS[method].colour for method in methods(history["column"])}
    below(figure, _legend(looks, history), "Epoch")
    figure.supylabel("Test accuracy (%)", fontsize="medium")
    return figure


@styled
def own(results: Results) -> Figure:
    """The same of each cell that is in neither table, with the AvgPool cell beside it."""
    history = _history(results)
    outside = results.cells.index[results.cells["table"].isna()]
    beside = baselines(results.campaign.specs)
    shown = set(history["cell"]) - set(beside.values())  # those are beside others
    names = [cell for cell in outside if cell in shown]
    require(pd.DataFrame(names), "no run of a cell outside the tables has an epoch yet")
    figure, axes = small_multiples(names, 1.35)
    for name, panel in axes.items():
        over = history[history["cell"] == beside.get(name)]
        mine = history[history["cell"] == name]
        _draw(panel, over, LOOKS[BASELINE].colour)
        _draw(panel, mine, OWN)
        _finish(panel, mine)
        limit(panel, late(pd.concat([over, mine]))["accuracy"])
    looks = {"the cell": OWN, f"the {BASELINE} cell beside it": LOOKS[BASELINE].colour}
    below(figure, _legend(looks, history[history["cell"].isin(names)]), "Epoch")
    figure.supylabel("Test accuracy (%)", fontsize="medium")
    return figure


def _history(results: Results) -> pd.DataFrame:
    """Epochs with the status of their run, and the number that its last one has or would have had."""
    epochs = {name: spec.training.epochs for name, spec in results.campaign.specs.items()}
    status = results.runs[["cell", "run_id", "status"]]
    history = results.epochs.merge(status, on=["cell", "run_id"])
    return history.assign(asked=history["cell"].map(epochs).fillna(0))


def late(history: pd.DataFrame) -> pd.DataFrame:
    """The last third of the epochs that were asked for."""
    return history[history["epoch"] > history["asked"] * 2 // 3]


def _draw(panel: Axes, history: pd.DataFrame, colour: str) -> None:
    shown = late(history)
    done = shown[shown["status"] == "done"].groupby("epoch")["accuracy"].agg(["mean", "min", "max"])
    if len(done):
        panel.fill_between(
            done.index, done["min"], done["max"], color=colour, alpha=0.2, linewidth=0
        )
        dots = "o" if len(done) <= FEW else ""
        panel.plot(done.index, done["mean"], marker=dots, markersize=3, color=colour, linewidth=1.3)
    for _, run in shown[shown["status"] == "diverged"].groupby("run_id"):
        panel.plot(run["epoch"], run["accuracy"], ":", color=colour, linewidth=1.2)
        last = run.iloc[-1]
        panel.plot(last["epoch"], last["accuracy"], "x", color=colour, markersize=5)


def _finish(panel: Axes, history: pd.DataFrame) -> None:
    panel.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    panel.locator_params(axis="y", nbins=5)
    if not panel.lines:
        absent(panel)
    lost = history[history["status"] == "diverged"].groupby("run_id")[["epoch", "asked"]].max()
    early = int(np.sum(lost["epoch"] <= lost["asked"] * 2 // 3))
    if early:
        text = f"{early} diverged earlier"
        panel.text(0.97, 0.06, text, transform=panel.transAxes, ha="right")


def _legend(looks: dict[str, str], history: pd.DataFrame) -> list[Line2D]:
    lines = [Line2D([], [], color=colour, label=name) for name, colour in looks.items()]
    if (late(history)["status"] == "diverged").any():
        lines.append(
            Line2D([], [], color=INK, linestyle=":", marker="x", label="a run that diverged")
        )
    return lines
