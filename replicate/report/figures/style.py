"""How every figure looks: one colour per method, and files that are the same each time."""

import functools
import io
import textwrap
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from replicate.errors import UserError

# Okabe and Ito's palette, safe for colour-blind readers, as near as it comes to the paper's colours.
COLOURS = {
    "AvgPool": "#7a7a7a",
    "FlexPool": "#e69f00",
    "FlexPool + Reg": "#009e73",
    "FlexPool + Reg + Dropout": "#0072b2",
}
SHORT = {
    "AvgPool": "Avg",
    "FlexPool": "Flex",
    "FlexPool + Reg": "+ Reg",
    "FlexPool + Reg + Dropout": "+ Reg\n+ DO",
}
INK = "#222222"
FAINT = "#888888"
NARROWEST = 5.5
"""Inches: room for the legends of a figure with one panel."""
LETTERS = 11
"""Of a title, per inch."""
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "hatch.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "figure.titlesize": 10.5,
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
        figure._repr_png_ = lambda: picture(figure, "png")  # type: ignore[attr-defined]
        return figure

    return wrapped


def require(found: pd.DataFrame, problem: str) -> None:
    """Raises UserError where there is nothing to draw."""
    if found.empty:
        raise UserError(problem)


def panels(
    rows: int, columns: int, width: float, height: float, **options: Any
) -> tuple[Figure, np.ndarray]:
    """A figure of `rows` x `columns` axes, each about `width` x `height` inches, without pyplot's state."""
    size = (max(columns * width, NARROWEST), rows * height + 0.9)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.08))
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def title(figure: Figure, text: str, caveat: str) -> None:
    """The figure's own title, and why it may not be compared: a picture is passed on without its report."""
    lines = [*text.splitlines(), *([f"NOT COMPARABLE WITH THE PAPER: {caveat}"] if caveat else [])]
    wide = int(figure.get_figwidth() * LETTERS)
    figure.suptitle("\n".join(textwrap.fill(line, wide) for line in lines))


def absent(axes: Axes) -> None:
    """Say that a panel has nothing to show."""
    axes.text(
        0.5, 0.5, "no finished run", transform=axes.transAxes, ha="center", va="center", fontsize=8
    )


def limit(axes: Axes, values: Iterable[float], least: float = 1.0) -> None:
    """Fit the y axis to percentages: to no less than `least` points, and from zero where they differ much."""
    finite = [value for value in values if np.isfinite(value)] or [0.0, 100.0]
    low, high = min(finite), max(finite)
    pad = max(0.12 * (high - low), (least - (high - low)) / 2)
    axes.set_ylim(0.0 if low < high / 2 else low - pad, min(high + pad, 100.5))


def picture(figure: Figure, kind: str) -> bytes:
    """The figure as "png" (150 dots an inch) or "svg", without dates or versions."""
    buffer = io.BytesIO()
    metadata = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}[kind]
    with matplotlib.style.context(["default", STYLE]):
        figure.savefig(buffer, format=kind, dpi=150, metadata=metadata)
    return buffer.getvalue()
