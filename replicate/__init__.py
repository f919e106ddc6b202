"""FlexPooling (VISAPP 2023) as a reproducibility benchmark suite.

    experiments/**.yaml -> spec -> plan -> dispatch -> train -> record -> aggregate -> report

From Python and notebooks, in the project's folder:

    import replicate as r
    short = r.read("short")    # short.runs, short.cells, short.epochs, ...: data frames
    r.plot.trend(short)        # the figures of the report
"""

import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from replicate.results.read import Results

__version__ = "0.1.0"
__all__ = ["plot", "read"]


def read(campaign: str, root: str | Path = ".") -> "Results":
    """The tables of a campaign as data frames: runs, cells, gains, overall, claims, epochs, pools, maps,
    provenance.

    Raises:
        UserError: no such campaign, or it has no results yet.
    """
    from replicate.results.read import read_results

    return read_results(Path(root), campaign)


def __dir__() -> list[str]:
    return [*globals(), "plot"]  # which completion would not know before its first use


def __getattr__(name: str) -> ModuleType:
    """Import `plot` when it is used: matplotlib takes its time."""
    if name == "plot":
        return importlib.import_module("replicate.plot")
    raise AttributeError(f"module 'replicate' has no attribute {name!r}")
