"""What a run costs beside its steps: start, compilation, data, checkpoints, records, report."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks import ROOT, images, ours
from benchmarks.harness import measure
from benchmarks.ours import FLEX
from benchmarks.table import Options, Section
from benchmarks.targets import held
from benchmarks.training import BATCH, QUICK_BATCH, WAYS
from replicate.records import record
from replicate.training import engine

EPOCHS = 10
TIMED = """
import json, sys, time
begun = time.perf_counter()
from benchmarks import ours
from replicate.training import engine
imported = time.perf_counter()
batch, compiled, entry = json.loads(sys.argv[1])
engine.start(1)
run = ours.run_of(ours.FLEX, batch, 2, ours.Ingredients(compiled=compiled), entry)
step = ours.stepping(run)
built = time.perf_counter()
step()
first = time.perf_counter()
run.evaluate()
run.evaluate()
print(json.dumps([imported - begun, built - imported, first - built, time.perf_counter() - first]))
"""


def run(options: Options) -> list[Section]:
    return [_compilation(options), _overhead(options)]


def _compilation(options: Options) -> Section:
    """Cold and warm start of a compiled run against an eager one, and the steps that pay for it."""
    batch = options.size(BATCH, QUICK_BATCH)
    with tempfile.TemporaryDirectory(prefix="replicate-compiled-") as cache:
        eager = _start(batch, False, options.data, cache)
        cold = _start(batch, True, options.data, cache)
        warm = _start(batch, True, options.data, cache)
    engine.start(1)
    runs = {
        name: ours.run_of(FLEX, batch, 2, chosen, options.data) for name, chosen in WAYS.items()
    }
    times = ours.step_times(runs, 2 * options.rounds)
    gain = median(a - b for a, b in zip(times["eager"], times["compiled"], strict=True)) / batch
    rows = []
    for name, taken in {"eager": eager, "compiled, cold": cold, "compiled, warm": warm}.items():
        more = sum(taken[2:]) - sum(eager[2:])
        even = f"{more / gain:,.0f} images" if gain > 0 and more > 0 else ""
        rows.append((name, *(f"{one:.1f}" for one in taken), even))
    columns = (
        "way",
        "import, s",
        "build, s",
        "first step, s",
        "first evaluations, s",
        "breaks even after",
    )
    notes = [
        images.said(options.data),
        f"Batches of {batch}, one thread: {1e6 * gain:.0f} µs an image saved by compiling "
        f"({ours.milliseconds(times['eager'])} ms a step eager, "
        f"{ours.milliseconds(times['compiled'])} compiled, n = {len(times['eager'])}).",
        "The suite compiles on a GPU alone.",
    ]
    return Section("Start and compilation", columns, rows, notes)


def _start(batch: int, compiled: bool, entry: str | None, cache: str) -> list[float]:
    arguments = json.dumps([batch, compiled, entry])
    done = subprocess.run(
        [sys.executable, "-c", TIMED, arguments],
        cwd=ROOT,
        env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache},
        stdout=subprocess.PIPE,
        check=True,
    )
    return list(map(float, json.loads(done.stdout)))


def _overhead(options: Options) -> Section:
    """`replicate run` of one run on generated images, and what of its time was not training.

    The images are few; the time beside training does not depend on their number, so the share is
    that of a run of all of CIFAR-10's images at the speed measured.
    """
    with tempfile.TemporaryDirectory(prefix="replicate-startup-") as folder:
        root = Path(folder)
        shutil.copytree(ROOT / "experiments", root / "experiments")
        command = ["run", FLEX, "--protocol", "smoke", "--campaign", "smoke"]
        command += [f"--set=training.epochs={EPOCHS}", "--set=training.precision=auto"]
        command += [f"--set=generated.train_images={options.size(2000, 400)}"]
        wall, _ = measure([*command, "--checkpoint-seconds", "5"], root)
        (path,) = (root / "results" / "smoke" / "runs").iterdir()
        found = record.read_record(path)
    assert found is not None
    beside = wall - found.provenance.seconds
    speed = median(epoch.images_per_second for epoch in found.epochs)
    whole = EPOCHS * (50_000 + 10_000 / 3) / speed
    share = beside / (beside + whole)
    row = (f"{wall:.1f}", f"{found.provenance.seconds:.1f}", f"{beside:.1f}", f"{whole:.0f}",
           f"{share:.1%}")  # fmt: skip
    columns = ("whole command, s", "training and evaluation, s", "beside it, s",
               f"{EPOCHS} epochs of CIFAR-10 at this speed, s", "share")  # fmt: skip
    note = "Beside it: start of command and worker, images, checkpoints, record, CSV files, report."
    reached = held("beside", f"{share:.1%}", 100 * share)
    return Section("Time beside training", columns, [row], [note], reached)
