"""Gains over AvgPool: every seed a dot, two intervals, and what the paper prints."""

import textwrap
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon
from matplotlib.ticker import ScalarFormatter

from replicate.report.figures.style import (
    ALARM,
    FAINT,
    INK,
    LOOKS,
    OWN,
    PAGE,
    below,
    label,
    methods,
    panels,
    reach,
    require,
    styled,
)
from replicate.results.contrasts import BASELINE, CellPair, Contrasts
from replicate.results.overall import widest
from replicate.results.read import Results, by_cell, records
from replicate.results.statistics import predicted

OUTSIDE = ("smaller", "larger")
"""Words for a published gain that lies outside the interval for one more pair."""
LINE = 0.23
"""Inches that a line takes."""
WIDE = 25.0
"""Points: one cell that comes to grief would leave all others in a heap at 0 on an even axis."""
TICKS = (-30, -5, 0, 5, 30)
"""On a wide axis."""
EVEN = 2.0
"""Points from 0 that a wide axis shows evenly; beyond, it is logarithmic."""


class Gain(NamedTuple):
    """A line of the plot, in points; nan for what is not known."""

    values: np.ndarray
    """Of each pair of seeds (n,)."""
    mean: float
    ends: tuple[float, float]
    """Of the interval of the mean, which decides between gain and loss."""
    more: tuple[float, float] = (np.nan, np.nan)
    """Of the interval for one more pair, which the published gain is held against."""
    published: float = np.nan
    outside: bool = False


@styled
def forest(results: Results) -> Figure:
    """A panel per method, a line per table and data set, the mean over all of them last."""
    require(results.gains, "no gain has a pair of seeds yet")
    columns = methods(results.gains["column"])
    places, headings = _lines(results.gains)
    lines = {column: list(_gains(results, column)) for column in columns}
    means = {column: _overall(results.overall, column) for column in columns}
    if any(means.values()):
        headings[max(places.values()) + 1.5] = "Mean of the rows"
    names = headings | {y: row for (_, row), y in places.items()}
    figure, axes = panels(1, len(columns), LINE * max(names), 1.9, sharex=True, sharey=True)
    shown = [gain for own in lines.values() for _, gain in own]
    ends = _limits([*shown, *filter(None, means.values())])
    for panel, column in zip(axes[0], columns, strict=True):
        _begin(panel, *ends, textwrap.fill(column, 15))
        for place, gain in lines[column]:
            _draw(panel, places[place], gain, LOOKS[column].colour)
        if mean := means[column]:
            _draw_mean(panel, max(headings), mean, LOOKS[column].colour)
    _name(axes[0, 0], names, headings)
    legend = _legend(shown, bool(results.caveat), any(means.values()))
    below(figure, legend, f"Gain over AvgPool ({_unit(axes[0, 0])})")
    return figure


def _lines(gains: pd.DataFrame) -> tuple[dict[tuple[int, str], float], dict[float, str]]:
    """Where each table's data sets stand, and each table's heading."""
    places: dict[tuple[int, str], float] = {}
    headings: dict[float, str] = {}
    y = 0.0
    for table, own in gains.groupby("table"):
        headings[y] = f"Table {table}"
        for row in dict.fromkeys(own["row"]):
            y += 1
            places[int(str(table)), row] = y
        y += 1.2
    return places, headings


def _gains(results: Results, column: str) -> Iterator[tuple[tuple[int, str], Gain]]:
    found = by_cell(results.gains[results.gains["column"] == column])
    for pair in results.contrasts.gains:
        if row := found.get(pair[0]):
            values = results.contrasts.difference(pair).values
            more = row["next_low"], row["next_high"]
            yield (row["table"], row["row"]), _gain(row)._replace(values=values, more=more)


def _overall(overall: pd.DataFrame, column: str) -> Gain | None:
    """The mean over all pairs at hand."""
    found = widest(overall)
    rows = records(found[found["question"] == f"{column} over {BASELINE}"])
    return _gain(rows[0]) if rows else None


def _gain(row: dict[str, Any]) -> Gain:
    """Of a row of gains.csv or overall.csv."""
    ends, outside = (row["low"], row["high"]), row["against"] in OUTSIDE
    return Gain(np.array([]), row["gain"], ends, published=row["published"], outside=outside)


@styled
def own(results: Results) -> Figure:
    """A line per cell that is in neither table and has an AvgPool cell beside it."""
    found = own_gains(results)
    require(found, "no cell outside the tables has a pair of seeds with AvgPool yet")
    figure, axes = panels(1, 1, LINE * len(found), 1.1)
    panel = axes[0, 0]
    _begin(panel, *_limits(found.values()), "")
    for y, gain in enumerate(found.values()):
        _draw(panel, y, gain, OWN)
    _name(panel, {float(y): label(cell) for y, cell in enumerate(found)})
    legend = _legend(list(found.values()), caveat=False, mean=False)
    below(figure, legend, f"Gain over the AvgPool cell beside it ({_unit(panel)})")
    return figure


def own_gains(results: Results) -> dict[str, Gain]:
    """Of each cell outside the tables over the AvgPool cell beside it, where a seed has both."""
    contrasts, own = results.contrasts, results.own.index
    pairs = [
        pair for pair in results.beside.items() if pair[0] in own and contrasts.difference(pair).n
    ]
    return {pair[0]: _own_gain(contrasts, pair) for pair in pairs}


def _own_gain(contrasts: Contrasts, pair: CellPair) -> Gain:
    found, spread = contrasts.difference(pair), contrasts.spread(pair)
    more = predicted(found.mean, spread.sd, spread.df, found.n)
    return Gain(found.values, found.mean, contrasts.estimate(pair).interval(), more)


def _limits(gains: Iterable[Gain]) -> tuple[float, float]:
    """Of the axis: from 0 to all that was seen and printed, and to the intervals."""
    own = list(gains)
    seen = [0.0, *(x for one in own for x in (*one.values, one.mean, one.published))]
    low, high = reach(seen, [x for one in own for x in (*one.ends, *one.more)])
    pad = 0.04 * (high - low)
    return low - pad, high + pad


def _begin(panel: Axes, left: float, right: float, title: str) -> None:
    panel.set_title(title)
    if right - left > WIDE:
        panel.set_xscale("asinh", linear_width=EVEN)
        panel.set_xticks([x for x in TICKS if left <= x <= right])
        panel.xaxis.set_major_formatter(ScalarFormatter())
        panel.minorticks_off()
    else:
        panel.locator_params(axis="x", nbins=4)
    panel.set_xlim(left, right)
    panel.grid(axis="x")
    panel.grid(visible=False, axis="y")
    panel.spines["left"].set_visible(False)
    panel.axvline(0, color=INK, linewidth=0.8, zorder=1)


def _unit(panel: Axes) -> str:
    even = panel.get_xscale() == "linear"
    return "points of accuracy" if even else f"points of accuracy, logarithmic beyond {EVEN:.0f}"


def _draw(panel: Axes, y: float, gain: Gain, colour: str) -> None:
    _span(panel, y, gain.more, colour, 1)
    _span(panel, y, gain.ends, colour, 4)
    panel.plot(gain.mean, y, "|", color=INK, markersize=7, markeredgewidth=1.4)
    below_it = np.full(len(gain.values), y + 0.3)
    panel.plot(gain.values, below_it, "o", color=colour, markersize=2.6, markeredgewidth=0)
    _diamond(panel, y, gain)


def _span(panel: Axes, y: float, ends: tuple[float, float], colour: str, width: float) -> None:
    """An interval; arrow heads where the axis ends before it does."""
    if not np.isfinite(ends).all():
        return
    left, right = panel.get_xlim()
    low, high = np.clip(ends, left, right)
    panel.hlines(y, low, high, color=colour, linewidth=width)
    for cut, place, head in ((ends[0] < left, left, "<"), (ends[1] > right, right, ">")):
        if cut:
            panel.plot(place, y, head, color=colour, markersize=4, clip_on=False)


def _diamond(panel: Axes, y: float, gain: Gain) -> None:
    edge = ALARM if gain.outside else INK
    look: dict[str, Any] = {"markerfacecolor": PAGE, "markeredgecolor": edge}
    look |= {"markersize": 5, "markeredgewidth": 1.1, "clip_on": False}  # whole at the axis's end
    panel.plot(gain.published, y, "D", **look, zorder=4)


def _draw_mean(panel: Axes, y: float, gain: Gain, colour: str) -> None:
    panel.axhline(y - 0.75, color=FAINT, linewidth=0.7)
    low, high = gain.ends
    corners = [(low, y), (gain.mean, y - 0.34), (high, y), (gain.mean, y + 0.34)]
    panel.add_patch(Polygon(corners, facecolor=colour, edgecolor=colour, linewidth=0.5))
    _diamond(panel, y, gain)


def _name(panel: Axes, names: dict[float, str], bold: Collection[float] = ()) -> None:
    panel.set_yticks(list(names), list(names.values()))
    for y, text in zip(names, panel.get_yticklabels(), strict=True):
        text.set_fontweight("bold" if y in bold else "normal")
    panel.set_ylim(max(names) + 0.7, min(names) - 0.5)


def _legend(gains: list[Gain], caveat: bool, mean: bool) -> list[Line2D]:
    def mark(text: str, **look: Any) -> Line2D:
        return Line2D([], [], **{"color": FAINT, "label": text, **look})

    hollow: dict[str, Any] = {"marker": "D", "linestyle": "", "markersize": 5, "color": INK}
    hollow["markerfacecolor"] = PAGE
    found = [
        mark("a pair of seeds", marker="o", linestyle="", markersize=2.6),
        mark("mean, 95 % interval", linewidth=4),
        mark("95 % interval for one more pair", linewidth=1),
    ]
    if mean:
        found.append(mark("mean of the rows, 95 %", marker="d", linestyle="", markersize=7))
    if any(np.isfinite(one.published) for one in gains):
        found.append(mark(published(caveat), **hollow))
    if any(one.outside for one in gains):
        found.append(mark("published, outside it", **{**hollow, "color": ALARM}))
    return found


def published(caveat: bool) -> str:
    """How a legend names the paper's numbers: a picture is passed on without its report."""
    return "published (not comparable)" if caveat else "published"
