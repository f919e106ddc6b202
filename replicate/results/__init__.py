"""What runs leave behind: records, the CSV files made of them, and their statistics.

The package itself can be called: `replicate.results("short")` reads a campaign's tables.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from replicate.report.read import Results


class _Package(ModuleType):
    """A function of this name in `replicate` would be lost as soon as this package is imported."""

    def __call__(self, campaign: str, root: str | Path = ".") -> "Results":
        """The tables of a campaign as data frames: runs, cells, epochs, pools, maps, provenance.

        Raises:
            UserError: no such campaign, or it has no results yet.
        """
        from replicate.report.read import read

        return read(Path(root), campaign)


sys.modules[__name__].__class__ = _Package
