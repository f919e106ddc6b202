"""What FlexPool learned: how far its channels' weights sum from 1 (Eq. 2), and where it looks."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, SymLogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator

from replicate.report.figures.style import (
    FAINT,
    LOOKS,
    PAGE,
    absent,
    below,
    grid,
    methods,
    panels,
    require,
    small_multiples,
    styled,
)
from replicate.results.read import Results, outside, placed

SMALLEST = 1e-6
"""Distances from 1 below this are drawn here: a sum of exactly 1 has no place on a logarithmic axis."""
# Without colour where a weight is average pooling's: so it has the page's, light or dark.
MORE_OR_LESS = LinearSegmentedColormap.from_list(
    "more or less",
    [
        (0, (0.1, 0.42, 0.85, 1)),
        (0.5, (0.1, 0.42, 0.85, 0)),
        (0.5, (0.9, 0.35, 0.05, 0)),
        (1, (0.9, 0.35, 0.05, 1)),
    ],
)
SCALE = SymLogNorm(linthresh=0.1, linscale=0.4, vmin=-100, vmax=100, clip=True)
"""Of every map: differences to average pooling's weight, in its units, linear up to a tenth."""
TICKS = {-100: "−100", -10: "−10", -1: "−1", 0: "0", 1: "+1", 10: "+10", 100: "+100"}


@styled
def sums(results: Results) -> Figure:
    """Distance of every channel's weight sum from 1, by stage and method: a panel per data set and table."""
    found = results.sums
    found = found.assign(distance=(found["sum"] - 1).abs().clip(lower=SMALLEST))
    require(found, "no run with FlexPool has finished yet")
    rows = list(results.paper.tables[0].rows)
    figure, axes = grid(found.assign(row=found["set"]), rows, 1.25)
    for (row, table), panel in axes.items():
        _box_panel(panel, found[(found["table"] == table) & (found["set"] == row)])
    handles = [
        Patch(facecolor=LOOKS[method].colour, label=method) for method in methods(found["method"])
    ]
    figure.supylabel("Distance of a channel's sum from 1")
    below(figure, handles)
    return figure


def _box_panel(panel: Axes, found: pd.DataFrame) -> None:
    if found.empty:
        panel.set_xticks([])
        absent(panel)
        return
    order, stages = methods(found["method"]), sorted(found["stage"].unique())
    for offset, method in enumerate(order):
        own = found[found["method"] == method]
        boxes = panel.boxplot(
            [own.loc[own["stage"] == stage, "distance"] for stage in stages],
            # the methods of a stage about its tick
            positions=np.arange(len(stages)) + 0.26 * (offset - (len(order) - 1) / 2),
            widths=0.2, whis=(5, 95), showfliers=False, patch_artist=True, medianprops={"color": PAGE},
        )  # fmt: skip
        for line in [*boxes["boxes"], *boxes["whiskers"], *boxes["caps"]]:
            line.set_color(LOOKS[method].colour)
    panel.set_yscale("log")
    low, high = panel.get_ylim()
    if high < 100 * low:  # a tick a decade would leave one, from which nothing can be read
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.set_xticks(range(len(stages)), [f"stage {stages[0]}", *map(str, stages[1:])])
    panel.set_xlim(-0.6, len(stages) - 0.4)
    panel.yaxis.set_major_formatter("{x:g}")  # the usual one writes formulas: not in this style
    panel.minorticks_off()
    panel.tick_params(axis="x", length=0)


@styled
def maps(results: Results, table: int, stage: int = 3) -> Figure:
    """Mean weight at every position beside average pooling's, on one scale for all maps: methods by
    data sets, each with the agreement of its seeds and its share of negative weights."""
    found = placed(results.maps, results.cells)
    found = found[(found["table"] == table) & (found["stage"] == stage)]
    require(found, f"no FlexPool after stage {stage} in Table {table} has been trained yet")
    order, present = methods(found["method"]), set(found["set"])
    sets = [row for row in results.paper.tables[0].rows if row in present]
    figure, axes = panels(len(order), len(sets), 1.5, 1.1)
    for method, line in zip(order, axes, strict=True):
        line[0].set_ylabel(LOOKS[method].short, fontweight="bold")
        for name, panel in zip(sets, line, strict=True):
            own = found[(found["method"] == method) & (found["set"] == name)]
            _map_panel(panel, own, results)
    for name, panel in zip(sets, axes[0], strict=True):
        panel.set_title(name)
    _scale(figure, list(axes.flat))
    return figure


@styled
def own_maps(results: Results) -> Figure:
    """The last map of each cell that is in neither table."""
    found = outside(results.maps, results.cells)
    found = found[found["stage"] == 3]
    require(found, "no FlexPool outside the tables has been trained yet")
    figure, axes = small_multiples(list(dict.fromkeys(found["cell"])), 1.75)
    for name, panel in axes.items():
        _map_panel(panel, found[found["cell"] == name], results)
    _scale(figure, list(axes.values()))
    return figure


def _map_panel(panel: Axes, found: pd.DataFrame, results: Results) -> None:
    panel.set(xticks=[], yticks=[])
    panel.grid(visible=False)
    if found.empty:
        absent(panel)
        return
    weights = found.pivot_table(index="row", columns="column", values="weight").to_numpy()
    name = panel.get_ylabel()  # heatmap takes the axes' labels and frame away
    seaborn.heatmap(
        weights * weights.size - 1, cmap=MORE_OR_LESS, norm=SCALE, square=True, cbar=False,
        xticklabels=False, yticklabels=False, rasterized=True, ax=panel,
    )  # fmt: skip
    panel.set(xlabel="\n".join(_said(found, results)), ylabel=name)
    panel.spines[:].set(visible=True, color=FAINT)


def _said(found: pd.DataFrame, results: Results) -> list[str]:
    own = results.pools_of.get(found["cell"].iloc[0], results.pools[:0])
    own = own[own["head"] == found["head"].iloc[0]]
    negative, agree = own["negative"].mean(), agreement(found, own["run_id"].nunique())
    return [
        *([f"agreement {agree:.2f}".replace("-", "−")] if np.isfinite(agree) else []),
        *([f"{100 * negative:.0f} % negative"] if np.isfinite(negative) else []),
    ]


def agreement(found: pd.DataFrame, n: int) -> float:
    """Intraclass correlation of the maps of n seeds: 1 where all are the same, 0 where they have no more
    in common than chance gives them (Shrout and Fleiss 1979, ICC(1,1)).

    Args:
        found: rows of maps.csv.gz, of one cell and head.
    """
    between = n * found["weight"].var()
    within = (found["between_seeds"] ** 2).mean()
    whole = between + (n - 1) * within
    return float((between - within) / whole) if whole else float("nan")  # a map of one weight


def _scale(figure: Figure, axes: Sequence[Axes]) -> None:
    colours = ScalarMappable(SCALE, MORE_OR_LESS)
    bar = figure.colorbar(colours, ax=axes, location="bottom", aspect=45, pad=0.02)
    bar.set_ticks(list(TICKS), labels=list(TICKS.values()), minor=False)
    bar.minorticks_off()
    bar.set_label("Weight − average pooling's, in units of the latter")
    bar.outline.set(edgecolor=FAINT, linewidth=0.7)
    if bar.solids is not None:  # to mypy; without this there are seams between the colours
        bar.solids.set(edgecolor="face", rasterized=True)
