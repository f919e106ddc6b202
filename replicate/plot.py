"""The report's figures, for notebooks: `replicate.plot.trend(replicate.read("short"))`.

Each function takes what `replicate.read` returns and gives a matplotlib figure that shows itself
in a notebook and has `savefig`. Without anything to show it raises UserError.
"""

from replicate.report.figures.accuracies import bars, trend
from replicate.report.figures.accuracies import forest as gains
from replicate.report.figures.curves import curves
from replicate.report.figures.weights import maps, sums

__all__ = ["bars", "curves", "gains", "maps", "sums", "trend"]
