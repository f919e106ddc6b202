"""This machine, as far as it can be told without torch: processor, GPUs, and how to share them."""

import os
import platform
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def cores() -> int:
    """That this process may use: a container may allow it fewer than it sees."""
    seen = (
        os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    )
    return max(1, min(len(seen), _quota()))


def _quota() -> int:
    """What its container allows this process, in whole processors; more than any machine has without one."""
    try:
        allowed, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return int(allowed) // int(period)
    except (OSError, ValueError):  # such as `max`
        return sys.maxsize


def gpus() -> int:
    """Of the driver, as far as this process may use them; torch may see fewer."""
    return len(cards(len(list(Path("/dev").glob("nvidia[0-9]*")))))


def cards(count: int) -> tuple[str, ...]:
    """What to put into CUDA_VISIBLE_DEVICES so that a process has one GPU of ours, GPU by GPU.

    `count` is how many can be used. Of MIG slices a process sees only one, so all given ones count.
    """
    value = os.environ.get("CUDA_VISIBLE_DEVICES")
    if value is None:
        return tuple(map(str, range(count)))
    entries = (entry.strip() for entry in value.split(","))
    # as the driver does: what follows an entry that names no GPU is not seen
    given = tuple(takewhile(lambda entry: entry and not entry.startswith("-"), entries))
    slices = tuple(entry for entry in given if entry.startswith("MIG-"))
    return slices if slices and count else given[:count]


@contextmanager
def environment(**values: str | None) -> Iterator[None]:
    """Variables for the processes started inside; None takes one away."""
    before = dict(os.environ)
    for key in values:
        os.environ.pop(key, None)
    os.environ.update({key: value for key, value in values.items() if value is not None})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def processor() -> str:
    """Its model, such as `AMD EPYC 9354 32-Core Processor`; the architecture where it has no name.

    Virtual machines call several generations `AMD EPYC`, whose last digits and speeds differ.
    """
    try:
        text = _CPUINFO.read_text(encoding="utf-8")
    except OSError:
        text = ""
    facts = dict(
        re.findall(r"^(cpu family|model|model name)[\t ]*: *(\S.*?) *$", text, re.MULTILINE)
    )
    name: str = facts.get("model name") or platform.machine()
    if re.search(r"\d{3}", name) or "model" not in facts:
        return name
    return f"{name} (family {facts.get('cpu family')}, model {facts['model']})"


def share(runs: int, gpus: int, workers: int | None, threads: int | None) -> tuple[int, int]:
    """Workers, and the threads of each. By default one worker a GPU; without GPUs, one
    single-threaded worker a core gives the most images a second."""
    workers = min(workers or gpus or cores(), max(1, runs))
    return workers, threads or max(1, cores() // workers)
