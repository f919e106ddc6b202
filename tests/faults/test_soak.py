"""Many tiny runs through one pool, one in twenty fails: nothing leaks, every failure is told once."""

import os
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from replicate.records import record, run_folder
from replicate.specs import catalogue
from tests.dispatch.processes import Command
from tests.faults.campaigns import SETTINGS

RUNS = 500
CELLS = ("table1", "table2/cifar10")  # twenty
FAILING = "table1/cifar10/flexpool"
MORE_FILES = 3
"""What a process may hold in the last quarter of its life more than in the second: 125 runs later."""
MORE_MIB = 4
"""In each of the last two quarters: 62 runs. A large kind of run, met late, takes its memory once."""


class Watch:
    """The open files and the memory (MiB) of a process and all below it, once a sample."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.files: dict[int, list[int]] = defaultdict(list)
        self.memory: dict[int, list[float]] = defaultdict(list)

    def look(self) -> None:
        for pid in _tree(self._pid):
            try:
                files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            except OSError:
                continue
            self.files[pid].append(files)
            self.memory[pid].append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)

    def lasting(self) -> list[int]:
        """The processes that were there most of the time: a passing one has no quarters to compare."""
        most = max(map(len, self.files.values()))
        return [pid for pid, values in self.files.items() if len(values) > most / 2]


def _tree(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in children for one in _tree(int(child)))]


def rises(values: Sequence[float], typical: Callable[[Sequence[float]], float]) -> list[float]:
    """Of the last two quarters, each over the one before it."""
    size = len(values) // 4
    quarters = [typical(values[k * size : (k + 1) * size]) for k in (1, 2, 3)]
    return [later - earlier for earlier, later in pairwise(quarters)]


@pytest.mark.slow
def test_many_runs_in_one_go(project: Path, start: Callable[..., Command]) -> None:
    spec = project / "experiments" / f"{FAILING}.yaml"
    spec.write_text(
        f"{spec.read_text()}training:\n  drop_last: true\n"
    )  # 20 images, batches of 100
    seeds = RUNS // 20
    settings = {**SETTINGS, "dataset.fit": "resize", "training.epochs": "1"}
    del settings["training.batch_size"]
    running = start(
        *(
            "run",
            *CELLS,
            "--protocol",
            "smoke",
            "--campaign",
            "smoke",
            "--seeds",
            str(seeds),
            "--workers",
            "2",
        ),
        *(f"--set={key}={value}" for key, value in settings.items()),
    )
    watch, runs = Watch(running.process.pid), project / "results" / "smoke" / "runs"
    begun = time.monotonic()
    while running.process.poll() is None and len(list(runs.glob(f"*/{run_folder.RECORD}"))) < RUNS:
        watch.look()
        time.sleep(0.25)
    seconds = time.monotonic() - begun
    code, output = running.end()
    assert code == 1, output
    assert f"{RUNS - seeds} of {RUNS} done, {seeds} failed" in output

    assert [pid for pid in watch.files if Path(f"/proc/{pid}").exists()] == []
    # A run opens files and closes them; what is leaked is open at every moment, so at the quietest too.
    lasting = watch.lasting()
    files = {pid: sum(rises(watch.files[pid], min)) for pid in lasting}
    memory = {pid: min(rises(watch.memory[pid], statistics.median)) for pid in lasting}
    print(f"{RUNS} runs in {seconds:.0f} s; open files more: {max(files.values()):.0f}")
    print(f"memory more: {max(memory.values()):.1f} MiB; processes: {len(files)}")
    assert len(lasting) >= 3, "the command and its two workers"
    assert max(files.values()) <= MORE_FILES
    assert max(memory.values()) <= MORE_MIB

    told = [line for line in output.splitlines() if re.match(r"\S+ seed .*: failed: ", line)]
    others = f" and {seeds - 1} more" if seeds > 1 else ""
    assert len(told) == 1
    assert told[0].startswith(
        f"{FAILING} seed 0{others}: failed: training.drop_last leaves nothing"
    )
    _check_failures(project, seeds)


def _check_failures(project: Path, seeds: int) -> None:
    results = project / "results" / "smoke"
    frame = pd.read_csv(results / "runs.csv")
    assert len(frame) == RUNS
    assert not frame["run_id"].duplicated().any()
    failed = frame[frame["status"] == "failed"]
    assert failed["cell"].tolist() == [FAILING] * seeds
    folders = results.glob(f"runs/{FAILING.replace('/', '-')}-s*")
    traces = [found.trace or "" for folder in folders if (found := record.read_record(folder))]
    assert len(traces) == seeds
    assert all("Traceback" in trace and "drop_last" in trace for trace in traces)
    report = (project / "reports" / "smoke" / "report.md").read_text()
    assert len(re.findall(r"drop.?.?last leaves nothing", report)) == 1
    assert len(catalogue.select(catalogue.cell_names(project), CELLS)) == 20
