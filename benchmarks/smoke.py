"""The smoke campaign from start to report."""

import shutil
import tempfile
from pathlib import Path

from benchmarks import ROOT
from benchmarks.harness import measure
from benchmarks.ours import FLEX
from benchmarks.table import Options, Section
from benchmarks.targets import held


def run(options: Options) -> list[Section]:
    """Once: it takes minutes, and far less or more than its target."""
    cells = [FLEX] if options.quick else []
    with tempfile.TemporaryDirectory(prefix="replicate-smoke-") as folder:
        shutil.copytree(ROOT / "experiments", Path(folder) / "experiments")
        seconds, _ = measure(["run", *cells, "--protocol", "smoke"], Path(folder))
    rows: list[tuple[object, ...]] = [(len(cells) or 32, f"{seconds:.0f}")]
    found = {} if cells else held("smoke", f"{seconds:.0f} s", seconds / 60)
    return [Section("Smoke", ("cells", "seconds"), rows, found=found)]
