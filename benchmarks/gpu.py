"""A GPU on the paper's protocol: one cell of CIFAR-10, and all 32 cells, on generated images."""

import shutil
import tempfile
from pathlib import Path

from benchmarks.harness import measure
from benchmarks.ours import FLEX, ROOT
from benchmarks.table import Found, Options, Section
from replicate import machine
from replicate.results import record
from replicate.results.record import Provenance

CELL_SECONDS, ALL_SECONDS = 12, 12 * 60
TRAIN_IMAGES, TEST_IMAGES, EPOCHS, BATCH = 50_000, 10_000, 100, 1000
MEAN_TRAIN_IMAGES = 65_000
"""Of the four data sets: with as many in each, all cells train as many images as on the real ones."""
QUICK = 200, 100, 2, 100
"""Train and test images, epochs and batch: for a processor too."""


def run(options: Options) -> list[Section]:
    """Nothing without a GPU, where it would take days, unless it is quick."""
    if not (machine.gpus() or options.quick):
        return []
    train, *others = QUICK if options.quick else (TRAIN_IMAGES, TEST_IMAGES, EPOCHS, BATCH)
    many = QUICK[0] if options.quick else MEAN_TRAIN_IMAGES
    everything = ["table1/cifar10"] if options.quick else []
    _, last = _command([FLEX, "--seeds", "2"], train, *others)
    cell = last.seconds
    wall, _ = _command(everything, many, *others)
    columns = ("what", "seconds")
    rows = [
        (f"{FLEX}, {others[1]} epochs, training and evaluation, second seed", f"{cell:.1f}"),
        (f"whole command, {' '.join(everything) or 'all 32 cells'}, one seed", f"{wall:.0f}"),
    ]
    note = f"Generated images, batches of {others[2]}, {last.precision}, one worker, {last.device}."
    found = {
        "gpu-cell": Found(f"{cell:.1f} s", cell <= CELL_SECONDS),
        "gpu-paper": Found(f"{wall / 60:.1f} minutes", wall <= ALL_SECONDS),
    }
    return [Section("One GPU", columns, rows, [note], {} if options.quick else found)]


def _command(
    arguments: list[str], train: int, test: int, epochs: int, batch: int
) -> tuple[float, Provenance]:
    """Seconds of the whole command; and the last seed's own facts: its network is compiled by then."""
    settings = {
        "generated.train_images": train,
        "generated.test_images": test,
        "training.epochs": epochs,
        "training.batch_size": batch,
    }
    given = [f"--set={key}={value}" for key, value in settings.items()]
    with tempfile.TemporaryDirectory(prefix="replicate-gpu-") as folder:
        shutil.copytree(ROOT / "experiments", Path(folder) / "experiments")
        command = ["run", *arguments, "--protocol", "smoke", "--workers", "1", *given]
        seconds, _ = measure(command, Path(folder))
        runs = [record.read(one) for one in Path(folder).glob("results/smoke/runs/*")]
    last = max(filter(None, runs), key=lambda one: one.seed)
    return seconds, last.provenance
