"""What FlexPool learned: how far its channels' weights sum from 1 (Eq. 2), and where it looks."""

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from replicate.report.figures.style import COLOURS, SHORT, absent, panels, require, styled, title
from replicate.results.read import Results, placed

SMALLEST = 1e-6
"""Distances from 1 below this are drawn here: a sum of exactly 1 has no place on a logarithmic axis."""

SCALE = "white: as average pooling; red: more; blue: less"


@styled
def sums(results: Results) -> Figure:
    """Distance of every channel's weight sum from 1, by stage and method: a panel per data set and table."""
    found = placed(results.pools, results.cells)
    require(found, "no run with FlexPool has finished yet")
    found["distance"] = (found["sum"] - 1).abs().clip(lower=SMALLEST)
    tables, sets = sorted(found["table"].unique()), _present(results.cells, found)
    figure, axes = panels(len(tables), len(sets), 2.4, 2.2, sharey=True)
    for table, line in zip(tables, axes, strict=True):
        line[0].set_ylabel(f"Table {table:g}\n|channel sum − 1|")
        for name, panel in zip(sets, line, strict=True):
            _box_panel(panel, found[(found["table"] == table) & (found["set"] == name)])
    for name, panel in zip(sets, axes[0], strict=True):
        panel.set_title(name)
    title(
        figure,
        "Do a channel's weights sum to 1? Distance from 1 of every channel and seed",
        results.caveat,
    )
    methods = _methods(found)
    handles = [Patch(facecolor=COLOURS[method], label=method) for method in methods]
    figure.legend(handles=handles, loc="outside lower center", ncols=3 if len(sets) > 2 else 2)
    return figure


def _present(cells: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    present = set(found["set"].unique())
    return [row for row in dict.fromkeys(cells["row"]) if row in present]


def _methods(found: pd.DataFrame) -> list[str]:
    present = set(found["method"].unique())
    return [method for method in COLOURS if method in present]


def _box_panel(panel: Axes, found: pd.DataFrame) -> None:
    if found.empty:
        panel.set_xticks([])
        absent(panel)
        return
    methods = _methods(found)
    stages = sorted(found["stage"].unique())
    for offset, method in enumerate(methods):
        own = found[found["method"] == method]
        boxes = panel.boxplot(
            [own[own["stage"] == stage]["distance"] for stage in stages],
            positions=np.arange(len(stages)) + 0.26 * (offset - (len(methods) - 1) / 2),
            widths=0.2, whis=(5, 95), showfliers=False, patch_artist=True, medianprops={"color": "white"},
        )  # fmt: skip
        for line in [*boxes["boxes"], *boxes["whiskers"], *boxes["caps"]]:
            line.set_color(COLOURS[method])
    panel.set_yscale("log")
    # The usual one writes formulas: not in this style.
    panel.yaxis.set_major_formatter(lambda value, _: np.format_float_positional(value, trim="-"))
    panel.set_xticks(range(len(stages)), [f"stage {stage}" for stage in stages])
    panel.set_xlim(-0.6, len(stages) - 0.4)
    panel.tick_params(axis="x", length=0)


@styled
def maps(results: Results, table: int, stage: int = 3) -> Figure:
    """Mean weight at every position, in units of average pooling's 1/(H·W): methods by data sets."""
    found = placed(results.maps, results.cells)
    found = found[(found["table"] == table) & (found["stage"] == stage)]
    require(found, f"no FlexPool after stage {stage} in Table {table} has been trained yet")
    methods = _methods(found)
    sets = _present(results.cells, found)
    figure, axes = panels(len(methods), len(sets), 1.7, 1.75)
    for method, line in zip(methods, axes, strict=True):
        line[0].set_ylabel(SHORT[method])
        for name, panel in zip(sets, line, strict=True):
            _map_panel(panel, found[(found["method"] == method) & (found["set"] == name)])
    for name, panel in zip(sets, axes[0], strict=True):
        panel.set_title(name)
    title(figure, f"Where FlexPool looks: Table {table}, stage {stage}\n{SCALE}", results.caveat)
    return figure


def _map_panel(panel: Axes, found: pd.DataFrame) -> None:
    if found.empty:
        panel.set(xticks=[], yticks=[])
        panel.grid(visible=False)
        absent(panel)
        return
    grid = found.pivot_table(index="row", columns="column", values="weight").to_numpy()
    relative = grid * grid.size
    label = panel.get_ylabel()  # heatmap takes the axes' labels away
    reach = max(float(np.abs(relative - 1).max()), 1e-6)
    seaborn.heatmap(
        relative, cmap="RdBu_r", vmin=1 - reach, vmax=1 + reach, square=True, cbar=False,
        xticklabels=False, yticklabels=False, rasterized=True, ax=panel,
    )  # fmt: skip
    panel.set_ylabel(label)
    panel.set_xlabel(f"1 ± {reach:.2g}", fontsize=8)
