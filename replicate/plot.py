"""The report's figures, for notebooks: `replicate.plot.trend(replicate.results("short"))`.

Each function takes what `replicate.results` returns and gives a matplotlib figure that shows itself
in a notebook and has `savefig`.
"""

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec

import pandas as pd
from matplotlib.figure import Figure

from replicate.errors import UserError
from replicate.report import curves as _curves
from replicate.report import figures, problems, weights
from replicate.report.gains import gains as _gains
from replicate.report.read import Results
from replicate.report.style import picture

P = ParamSpec("P")
Draw = Callable[Concatenate[Results, P], Figure]


def _shown(draw: Draw[P]) -> Draw[P]:
    """Let a notebook show the figure, with or without pyplot."""

    @functools.wraps(draw)
    def wrapped(results: Results, /, *args: P.args, **kwargs: P.kwargs) -> Figure:
        figure = draw(results, *args, **kwargs)
        figure._repr_png_ = lambda: picture(figure, "png")  # type: ignore[attr-defined]
        return figure

    return wrapped


@_shown
def bars(results: Results, table: int) -> Figure:
    """Figure 2 (of Table 1) or 4 (of Table 2), published beside replicated."""
    tables = {one.table: one for one in results.paper.tables}
    if table not in tables:
        raise UserError(f"table {table}: choose from {', '.join(map(str, tables))}")
    return figures.bars(tables[table], results.cells, problems.mark(results))


@_shown
def trend(results: Results) -> Figure:
    """Accuracy across the columns of both tables."""
    return figures.trend(results.paper.tables, results.cells, problems.mark(results))


@_shown
def gains(results: Results) -> Figure:
    """Gains over AvgPool with intervals; raises UserError while no gain has two paired seeds."""
    found = _some(_gains(results), "no gain has two paired seeds yet")
    return figures.forest(found, problems.mark(results))


@_shown
def curves(results: Results) -> Figure:
    """Test accuracy per epoch; raises UserError while no run of the tables' cells has one."""
    epochs = results.epochs[results.epochs["cell"].isin(results.paper.cell_names())]
    _some(epochs, "no run of the tables' cells has an epoch yet")
    return _curves.curves(epochs, results.runs, results.cells, problems.mark(results))


@_shown
def sums(results: Results) -> Figure:
    """Distance of every channel's weight sum from 1 (Eq. 2); raises UserError without FlexPool."""
    _some(weights.placed(results.pools, results.cells), "no run with FlexPool has finished yet")
    return weights.sums(results.pools, results.cells, problems.mark(results))


@_shown
def maps(results: Results, table: int, stage: int = 3) -> Figure:
    """FlexPool's mean weight at each position, after a stage; raises UserError without any."""
    found = weights.placed(results.maps, results.cells)
    there = found[(found["table"] == table) & (found["stage"] == stage)]
    _some(there, f"no FlexPool after stage {stage} in Table {table} has been trained yet")
    return weights.maps(results.maps, results.cells, table, stage, problems.mark(results))


def _some(frame: pd.DataFrame, otherwise: str) -> pd.DataFrame:
    if frame.empty:
        raise UserError(otherwise)
    return frame
