"""Plan, status, aggregate and report over many recorded runs: time, peak memory, growth."""

import cProfile
import os
import pstats
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from statistics import median
from unittest import mock

import msgspec
import numpy as np

from benchmarks import ROOT
from benchmarks.table import Found, Options, Section
from benchmarks.targets import held
from replicate.plan.campaign import Campaign, resolve_campaign, save_campaign
from replicate.plan.request import new_request
from replicate.plan.runs import Run
from replicate.records import record, run_folder
from replicate.records.epoch import Epoch
from replicate.records.origin import Attempt, Origin
from replicate.records.record import Answers, Provenance, Record
from replicate.results.rows import read_folders
from replicate.specs import catalogue, resolve

PROTOCOL = "paper"
MANY = 20_000
"""Runs that the target is for."""
COMMANDS = {
    "plan": ["plan", "--campaign", "many"],
    "status": ["status"],
    "aggregate": ["aggregate", "many"],
    "report": ["report", "many"],
}
"""In the order of the target."""
_PROFILED, _SHOWN = 500, 24
"""Runs, and functions."""
Row = tuple[str, int, float, float]
"""Command, runs, seconds, peak MiB."""


# From a small process: one that is started counts the memory of the one that starts it.
_WATCHED = """
import resource, subprocess, sys, time
begun = time.perf_counter()
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def run(options: Options) -> list[Section]:
    sizes = [32, 320] if options.quick else [200, 2_000, MANY]
    rows: list[Row] = []
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="replicate-harness-") as folder:
            epochs = write_campaign(Path(folder), size)
            rows += _measured(Path(folder), size, 1 if size > 2_000 else 3)
            profile = _profile(Path(folder))
    text = f"Records of {epochs} epochs with FlexPool's weights, as the protocol {PROTOCOL} leaves them."
    columns = ("command", "runs", "seconds", "peak MiB", "ms a run more")
    title = "The harness over many recorded runs"
    return [Section(title, columns, _grown(rows), [text], _found(rows)), profile]


def _found(rows: Sequence[Row]) -> dict[str, Found]:
    """Of the campaign that the target is for, if it was measured."""
    many = [(seconds, peak) for _, size, seconds, peak in rows if size == MANY]
    if not many:
        return {}
    seconds, peaks = zip(*many, strict=True)
    shown = ", ".join(f"{one:.1f}" for one in seconds)
    return held("harness", f"{shown} s, {max(peaks):.0f} MiB", *seconds, max(peaks) / 1024)


def write_campaign(root: Path, size: int) -> int:
    """A finished campaign of at least `size` runs below `root`; returns the epochs of a run.

    Nothing is flushed to disk, which would take most of the time and is not what is measured.
    """
    shutil.copytree(ROOT / "experiments", root / "experiments")
    names = catalogue.select(catalogue.cell_names(root), [])
    seeds = max(1, size // len(names))
    request = new_request("many", PROTOCOL, {}).asking(dict.fromkeys(names, range(seeds)))
    campaign = resolve_campaign(root, request)
    with mock.patch("os.fsync"):
        save_campaign(campaign)
        pools = {cell.name: _pools(cell) for cell in campaign.cells}
        for one in campaign.runs:
            _leave(campaign, one, pools[one.cell])
    return campaign.cells[0].spec.training.epochs


def _leave(campaign: Campaign, run: Run, pools: bytes) -> None:
    folder = campaign.runs_folder / run.folder_name
    folder.mkdir(parents=True)
    (folder / run_folder.ATTEMPTS).write_text(
        '{"started": "2026-01-01T00:00:00+00:00", "worker": "w"}\n'
    )
    (folder / run_folder.LOCK).touch()
    if pools:
        (folder / run_folder.POOLS).write_bytes(pools)
    record.write_record(folder, _record(run))


def _record(run: Run) -> Record:
    where = {
        "code": "c" * 64, "commit": "0" * 40, "dirty": False, "python": "3.11.7", "torch": "2.11.0",
        "torchvision": "0.26.0", "numpy": "2.4.0", "device": "cpu", "precision": "float32",
        "threads": 1, "compiled": True,
    }  # fmt: skip
    origin = Provenance(**where, started="2026-01-01T00:00:00+00:00", seconds=5000.0, attempts=1)
    answers, epochs = _answered(run)
    facts = {
        "cell": run.cell, "seed": run.seed, "id": run.id, "status": "done",
        "spec": run.spec.model_dump(mode="json"), "source": "official", "fingerprint": "f" * 64,
        "epochs": epochs, "error": None, "trace": None, "provenance": origin,
        "attempts": [Attempt(len(epochs), Origin(**where))], "answers": answers,
    }  # fmt: skip
    return Record(**facts)


def _answered(run: Run) -> tuple[Answers, list[Epoch]]:
    """The last epoch's accuracy is that of the answers, as a record must have it."""
    images = run.spec.dataset.test_images
    right = np.random.default_rng(run.seed).random(images) < 0.9
    answers = Answers("a" * 64, np.packbits(right).tobytes())
    *before, last = _epochs(run)
    return answers, [*before, msgspec.structs.replace(last, accuracy=answers.accuracy(images))]


def _epochs(run: Run) -> list[Epoch]:
    random = np.random.default_rng(run.seed)
    heads = len(run.spec.loss.head_weights)
    drawn = random.random((run.spec.training.epochs, 7 + heads)).tolist()
    return [
        Epoch(number, rate, loss, tuple(losses), penalty, 100 * train, 100 * test, 50.0, speed)
        for number, (rate, loss, penalty, train, test, _, speed, *losses) in enumerate(drawn, 1)
    ]


def _pools(cell: resolve.Cell) -> bytes:
    """FlexPool's weights as a run leaves them; the same for all seeds of a cell."""
    spec = cell.spec
    if spec.model.pool != "flex":
        return b""
    side, random = spec.dataset.size, np.random.default_rng(0)
    shapes = [(16, side, side), (32, side // 2, side // 2), (64, side // 4, side // 4)]
    weights = [random.random(shape, dtype=np.float32) for shape in shapes]
    buffer = BytesIO()
    np.savez(buffer, *(weights if spec.model.sac else weights[2:]))
    return buffer.getvalue()


def _measured(root: Path, size: int, rounds: int) -> list[Row]:
    """The four commands one after the other, `rounds` times over: median seconds, peak memory."""
    taken = [
        {name: measure(command, root) for name, command in COMMANDS.items()} for _ in range(rounds)
    ]
    return [
        (name, size, median(one[name][0] for one in taken), max(one[name][1] for one in taken))
        for name in COMMANDS
    ]


def measure(command: Sequence[str], root: Path) -> tuple[float, float]:
    """Seconds and peak MiB of `replicate` with these arguments, of its largest process."""
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED, sys.executable, "-m", "replicate", *command],
        cwd=root,
        stdout=subprocess.PIPE,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    seconds, kibibytes = map(float, done.stdout.split())
    return seconds, kibibytes / 1024


def _profile(root: Path) -> Section:
    """Where aggregate's time of a run goes, in one of its processes."""
    every = sorted((root / "results" / "many" / "runs").iterdir())
    folders = every[:: max(1, len(every) // _PROFILED)]  # of all cells
    begun = time.process_time()
    read_folders(folders)
    each = (time.process_time() - begun) / len(folders)
    profiler = cProfile.Profile()
    profiler.runcall(read_folders, folders)
    stats = pstats.Stats(profiler)
    shares = {
        f"{Path(file).stem}.{name}" if line else name: (
            whole / stats.total_tt,
            own / stats.total_tt,
        )
        for (file, line, name), (_, _, own, whole, _) in stats.stats.items()
    }
    most = sorted(shares, key=shares.__getitem__, reverse=True)[:_SHOWN]
    rows = [(name, *(f"{share:.1%}" for share in shares[name])) for name in most]
    text = f"{1000 * each:.2f} ms of processor time a run; shares of it as cProfile sees them."
    columns = ("function", "with what it calls", "itself")
    return Section("Where aggregate's time of a run goes", columns, rows, [text])


def _grown(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Each row with what one more run has cost since the smaller campaign."""
    shown: list[tuple[str, ...]] = []
    before: dict[str, tuple[int, float]] = {}
    for name, size, seconds, memory in sorted(rows, key=lambda row: list(COMMANDS).index(row[0])):
        old_size, old_seconds = before.get(name, (0, 0.0))
        slope = f"{1000 * (seconds - old_seconds) / (size - old_size):.3f}" if old_size else ""
        before[name] = size, seconds
        shown.append((name, f"{size:,}", f"{seconds:.2f}", f"{memory:.0f}", slope))
    return shown
