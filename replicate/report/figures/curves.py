"""Learning curves where they differ, in the last third: what the last epoch's number hides."""

from collections.abc import Iterable

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
from replicate.results.contrasts import BASELINE
from replicate.results.read import Results

FEW = 10
"""Up to so many epochs each has a dot: of one epoch there is no line."""


@styled
def curves(results: Results) -> Figure:
    """Test accuracy in the last third of the epochs, a panel per data set and table: mean and range of
    the finished seeds."""
    histories, cells = _histories(results), results.printed
    places = cells[cells["cell"].isin(list(histories))]
    require(places, "no run of the tables' cells has an epoch yet")
    figure, axes = grid(places, list(results.paper.tables[0].rows), 1.2, sharex=True)
    for (row, table), panel in axes.items():
        across = places[places["row"] == row]
        here = across[across["table"] == table].set_index("column")["cell"]
        for method in methods(here.index.to_series()):
            _draw(panel, histories[here[method]], LOOKS[method].colour)
        _finish(panel, [histories[cell] for cell in here])
        limit(panel, _shown(histories[cell] for cell in across["cell"]))
    looks = {method: LOOKS[method].colour for method in methods(places["column"])}
    _explain(figure, looks, [histories[cell] for cell in places["cell"]])
    return figure


@styled
def own(results: Results) -> Figure:
    """The same of each cell that is in neither table, with the AvgPool cell beside it."""
    histories = _histories(results)
    beside = results.beside
    shown = histories.keys() - set(beside.values())  # those are beside others
    names = [cell for cell in results.own.index if cell in shown]
    require(names, "no run of a cell outside the tables has an epoch yet")
    figure, axes = small_multiples(names, 1.35)
    for name, panel in axes.items():
        over = [histories[beside[name]]] if beside.get(name) in histories else []
        for one in over:
            _draw(panel, one, LOOKS[BASELINE].colour)
        _draw(panel, histories[name], OWN)
        _finish(panel, [histories[name]])
        limit(panel, _shown([*over, histories[name]]))
    looks = {"the cell": OWN, f"the {BASELINE} cell beside it": LOOKS[BASELINE].colour}
    _explain(figure, looks, [histories[name] for name in names])
    return figure


def _histories(results: Results) -> dict[str, pd.DataFrame]:
    """By cell, its epochs with the status of their run, and the number that its last one has or would have
    had."""
    asked = {name: spec.training.epochs for name, spec in results.campaign.specs.items()}
    runs = results.runs.set_index(["cell", "run_id"])["status"]  # cells of one spec share run ids
    return {
        cell: own.assign(status=own["run_id"].map(runs.loc[cell]), asked=asked.get(cell, 0))
        for cell, own in results.epochs_of.items()
    }


def late(history: pd.DataFrame) -> pd.DataFrame:
    """The last third of the epochs that were asked for."""
    return history[_is_late(history)]


def _is_late(epochs: pd.DataFrame) -> pd.Series:
    return epochs["epoch"] > epochs["asked"] * 2 // 3


def _shown(histories: Iterable[pd.DataFrame]) -> pd.Series:
    shown: pd.Series = pd.concat([late(one)["accuracy"] for one in histories])
    return shown


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


def _finish(panel: Axes, histories: Iterable[pd.DataFrame]) -> None:
    panel.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    panel.locator_params(axis="y", nbins=5)
    if not panel.lines:
        absent(panel)
    early = sum(map(_diverged_early, histories))
    if early:
        text = f"{early} diverged earlier"
        panel.text(0.97, 0.06, text, transform=panel.transAxes, ha="right")


def _diverged_early(history: pd.DataFrame) -> int:
    """Runs of which no epoch is shown."""
    lost = history[history["status"] == "diverged"].groupby("run_id")[["epoch", "asked"]].max()
    return int((~_is_late(lost)).sum())


def _explain(figure: Figure, looks: dict[str, str], histories: Iterable[pd.DataFrame]) -> None:
    """The legend, and what the axes are."""
    lines = [Line2D([], [], color=colour, label=name) for name, colour in looks.items()]
    if any((late(one)["status"] == "diverged").any() for one in histories):
        lines.append(
            Line2D([], [], color=INK, linestyle=":", marker="x", label="a run that diverged")
        )
    below(figure, lines, "Epoch")
    figure.supylabel("Test accuracy (%)")
