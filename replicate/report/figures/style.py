"""How every figure looks: one look per method, light and dark, legible on a phone and in print."""

import functools
import io
from collections.abc import Callable, Iterable, Sequence, Sized
from typing import Any, NamedTuple, ParamSpec

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from replicate.errors import UserError
from replicate.paper.tables import METHODS


class Look(NamedTuple):
    colour: str
    short: str


# Okabe and Ito's palette, safe for colour-blind readers, as near as it comes to the paper's colours.
_COLOURS = ("#7a7a7a", "#e69f00", "#009e73", "#0072b2")
_SHORT = ("Avg", "Flex", "+ Reg", "+ Drop")
LOOKS = dict(zip(METHODS, map(Look, _COLOURS, _SHORT), strict=True))
OWN = "#cc79a7"
"""Of cells that are in neither table."""
PAGE, INK, FAINT, GRID, ALARM = "#ffffff", "#222222", "#888888", "#e4e4e4", "#d00000"
DARK = {
    PAGE: "#14181c", INK: "#e4e8ec", GRID: "#353d45", ALARM: "#ff7070",
    "#7a7a7a": "#a8a8a8", "#0072b2": "#56a9e8", "#009e73": "#20c297",
}  # fmt: skip
"""What stands for a colour where the reader has chosen dark; the page's is that of the HTML report."""
WIDTH = 5.0
"""Inches, of every figure: 360 points, as many as a telephone of 390 pixels leaves between its margins.
So a point is a pixel there."""
LETTERS = 8.5
"""Points: no letter is smaller."""
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": LETTERS,
    "axes.titlesize": LETTERS,
    "axes.titleweight": "bold",
    "axes.facecolor": "none",
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "figure.facecolor": PAGE,
    "figure.labelsize": LETTERS,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.columnspacing": 1.4,
    "legend.labelspacing": 0.35,
    "legend.borderpad": 0,
    "lines.solid_capstyle": "butt",
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 2.5,
    "ytick.major.size": 0,
    "svg.hashsalt": "replicate",
    "text.parse_math": False,  # a $ in a name is a dollar
}


P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in this module's style, whatever the reader's own settings are; notebooks show the figure."""

    @functools.wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.style.context(["default", STYLE]):
            figure = draw(*args, **kwargs)
        figure._repr_svg_ = lambda: picture(figure).decode()  # type: ignore[attr-defined]
        return figure

    return wrapped


def require(found: Sized, problem: str) -> None:
    """Raises UserError where there is nothing to draw."""
    if not len(found):
        raise UserError(problem)


def methods(found: pd.Series) -> list[str]:
    """Those of the tables' methods that are among `found`, in the tables' order."""
    present = set(found.unique())
    return [method for method in LOOKS if method in present]


def panels(
    rows: int, columns: int, height: float, around: float = 0.9, **options: Any
) -> tuple[Figure, np.ndarray]:
    """A figure of `rows` x `columns` axes, without pyplot's state.

    Args:
        height: of a row, in inches; around: of what stands above and below them.
    """
    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.04, wspace=0.03, hspace=0.03)
    figure = Figure(figsize=(WIDTH, rows * height + around), layout=layout)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def grid(
    places: pd.DataFrame, rows: Sequence[str], height: float, **options: Any
) -> tuple[Figure, dict[tuple[str, int], Axes]]:
    """A figure with a row of panels per data set and a column per table, those that are in `places`.

    Args:
        places: with the columns `row` and `table`; rows: the tables' rows in order.

    Returns:
        The figure, and its axes by row and table.
    """
    tables, present = sorted(places["table"].astype(int).unique()), set(places["row"].unique())
    shown = [row for row in rows if row in present]
    figure, axes = panels(len(shown), len(tables), height, sharey="row", **options)
    for table, top in zip(tables, axes[0], strict=True):
        top.set_title(f"Table {table}")
    for row, left in zip(shown, axes[:, 0], strict=True):
        left.set_ylabel(row, fontweight="bold")
    places_of = [(row, table) for row in shown for table in tables]
    return figure, dict(zip(places_of, axes.flat, strict=True))


def small_multiples(
    names: Sequence[str], height: float, **options: Any
) -> tuple[Figure, dict[str, Axes]]:
    """A figure with a panel per cell that is in neither table, three abreast, and its axes by cell."""
    figure, axes = panels(-(-len(names) // 3), min(3, len(names)), height, **options)
    shown = dict(zip(names, axes.flat, strict=False))
    for name, panel in shown.items():
        panel.set_title(label(name).replace("/", "/\n"), fontweight="normal")
    for panel in axes.flat[len(names) :]:
        panel.set_visible(False)
    return figure, shown


def label(cell: str) -> str:
    """A cell's name where there is little room."""
    return cell.removeprefix("extensions/")


def absent(axes: Axes) -> None:
    """Say that a panel has nothing to show."""
    axes.text(0.5, 0.5, "no finished run", transform=axes.transAxes, ha="center", va="center")


def limit(axes: Axes, values: Iterable[float]) -> None:
    """Fit the y axis to percentages: to no less than one point, and from zero where they differ much."""
    found = np.fromiter(values, float)
    finite = found[np.isfinite(found)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 100.0)
    pad = max(0.12 * (high - low), (1 - (high - low)) / 2)
    axes.set_ylim(0.0 if low < high / 2 else low - pad, min(high + pad, 100.5))


def reach(seen: Iterable[float], ends: Iterable[float]) -> tuple[float, float]:
    """The range of all that was `seen`, and of the `ends` of intervals as far as that again on either
    side, half a point at least: one of two seeds can be a hundred times as wide as all that was seen.
    Whatever is nan counts nowhere."""
    found, beyond = (np.fromiter(values, float) for values in (seen, ends))
    low, high = np.nanmin(found), np.nanmax(found)
    room = max(high - low, 0.5)
    return (
        float(max(np.nanmin([low, *beyond]), low - room)),
        float(min(np.nanmax([high, *beyond]), high + room)),
    )


def below(figure: Figure, handles: Sequence[Any], name: str = "") -> None:
    """The legend, below the name of the x axes where they share one: a figure's own would stand on it."""
    figure.legend(handles=handles, loc="outside lower center", ncols=2, title=name or None)


def picture(figure: Figure) -> bytes:
    """The figure as SVG, without dates or versions, in the colours that its reader has chosen."""
    buffer = io.BytesIO()
    with matplotlib.style.context(["default", STYLE]):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue().replace(b"</style>", f"{_dark()}</style>".encode(), 1)


def _dark() -> str:
    rules = (
        f'[style*="{what}: {light}"] {{ {what}: {dark} !important }}'
        for light, dark in DARK.items()
        for what in ("fill", "stroke")
    )
    return "@media (prefers-color-scheme: dark) { " + " ".join(rules) + " }"
