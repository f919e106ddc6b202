"""The machine and the libraries that numbers were measured with."""

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from replicate import machine


def describe() -> list[str]:
    """A line for each fact."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "numpy"))
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return [
        f"Processor: {machine.processor()}, {machine.cores()} cores used",
        f"GPUs: {machine.gpus() or 'none'}",
        f"Memory: {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        f"Python {platform.python_version()}, {libraries}, {platform.platform()}",
        f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC; load of the machine at the end: {load}",
    ]


def file_name(pieces: Sequence[str]) -> str:
    """A name for this machine's results; of some pieces only, one that names them."""
    name = re.sub(r"[^a-z0-9]+", "-", machine.processor().lower()).strip("-")
    return "-".join([name, f"{machine.cores()}-cores", *pieces]) + ".md"
