"""This machine, as far as it can be told without torch: processor, GPUs, and how to share them."""

import os
import platform
import re
from pathlib import Path


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0))


def gpus() -> int:
    """Of the driver; torch may see fewer."""
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


def processor() -> str:
    """Its model, such as `AMD EPYC 9354 32-Core Processor`; the architecture where it has no name."""
    try:
        facts = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        facts = ""
    found = re.search(r"^model name\s*:\s*(.+)$", facts, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def share(runs: int, gpus: int, workers: int | None, threads: int | None) -> tuple[int, int]:
    """Workers, and the threads of each. By default one worker a GPU; without GPUs, one
    single-threaded worker a core gives the most images a second."""
    workers = min(workers or gpus or cores(), max(1, runs))
    return workers, threads or max(1, cores() // workers)
