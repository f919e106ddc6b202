"""The report's figures, for notebooks: `replicate.plot.trend(replicate.read("short"))`.

Each function takes what `replicate.read` returns and gives a matplotlib figure that shows itself
in a notebook and has `savefig`. Without anything to show it raises UserError.
"""

from replicate.report.figures.accuracies import bars, trend
from replicate.report.figures.curves import curves
from replicate.report.figures.curves import own as own_curves
from replicate.report.figures.forest import forest
from replicate.report.figures.forest import own as own_gains
from replicate.report.figures.weights import maps, own_maps, sums

__all__ = [
    "bars", "curves", "forest", "maps", "own_curves", "own_gains", "own_maps", "sums", "trend",
]  # fmt: skip
