"""FlexPooling (VISAPP 2023) as a reproducibility benchmark suite.

    experiments/**.yaml -> spec -> plan -> dispatch -> train -> record -> aggregate -> report

From Python and notebooks, in the project's folder:

    import replicate as r
    short = r.results("short")    # short.runs, short.cells, short.epochs, ...: data frames
    r.plot.trend(short)           # the figures of the report
"""

import importlib
from types import ModuleType

__version__ = "0.1.0"
__all__ = ["plot", "results"]


def __getattr__(name: str) -> ModuleType:
    """Import what notebooks use when they use it: pandas and matplotlib take their time."""
    if name in __all__:
        return importlib.import_module(f"replicate.{name}")
    raise AttributeError(f"module 'replicate' has no attribute {name!r}")
