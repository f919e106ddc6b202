"""How every figure looks: one colour per method, and files that are the same each time."""

import functools
import io
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.edgecolor": "#888888",
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
}


P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in this module's style, whatever the reader's own settings are."""

    @functools.wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.style.context(["default", STYLE]):
            return draw(*args, **kwargs)

    return wrapped


def panels(rows: int, columns: int, width: float, height: float, **options: Any) -> tuple[Figure, np.ndarray]:
    """A figure of `rows` x `columns` axes, each about `width` x `height` inches, without pyplot's state."""
    figure = Figure(figsize=(columns * width, rows * height + 0.9), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.08)  # type: ignore[union-attr]
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def title(figure: Figure, text: str, mark: str) -> None:
    """The figure's own title, and why it may not be compared: a picture is passed on without its report."""
    figure.suptitle(text + (f"\nNOT COMPARABLE WITH THE PAPER: {mark}" if mark else ""))


def limit(axes: Axes, values: Iterable[float], least: float = 1.0) -> None:
    """Fit the y axis to percentages, and to no less than `least` points, so that differences show."""
    finite = np.array([value for value in values if np.isfinite(value)])
    if not finite.size:
        finite = np.array([0.0, 100.0])
    low, high = float(finite.min()), float(finite.max())
    pad = max(0.08 * (high - low), (least - (high - low)) / 2)
    axes.set_ylim(max(low - pad, 0.0), min(high + pad, 100.5))


def picture(figure: Figure, kind: str) -> bytes:
    """The figure as "png" (150 dots an inch) or "svg", without dates or versions."""
    buffer = io.BytesIO()
    metadata = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}[kind]
    with matplotlib.style.context(["default", STYLE]):
        figure.savefig(buffer, format=kind, dpi=150, metadata=metadata)
    return buffer.getvalue()
