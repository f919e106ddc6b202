"""Whether speed costs accuracy: real Fashion-MNIST, bfloat16 and compiled against float32 and eager."""

import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from unittest import mock

from benchmarks.ours import ROOT
from benchmarks.table import Found, Options, Section
from replicate import catalogue, machine
from replicate.data import ImageData, Split, load
from replicate.training import engine, train

CELL = "table1/fashion-mnist/flexpool"
SEEDS = 3
WAYS = {"float32, eager": ("float32", 10**12), "bfloat16, compiled": ("bfloat16", 0)}
"""Precision, and from how many images on to compile."""


def run(options: Options) -> list[Section]:
    if options.data is None:
        raise SystemExit("accuracy: needs --data, the cache entry of Fashion-MNIST")
    data = load(Path(options.data))
    if options.quick:
        train_split, test_split = (
            Split(split.images[:2000], split.labels[:2000]) for split in (data.train, data.test)
        )
        data = replace(data, train=train_split, test=test_split)
    epochs = options.size(3, 1)
    ends = {way: [_accuracy(data, way, seed, epochs) for seed in range(SEEDS)] for way in WAYS}
    rows = [
        (way, *(f"{one:.2f}" for one in own), f"{mean(own):.2f}", f"{stdev(own):.2f}")
        for way, own in ends.items()
    ]
    first, second = ends.values()
    difference = mean(second) - mean(first)
    error = ((stdev(first) ** 2 + stdev(second) ** 2) / SEEDS) ** 0.5
    value = f"{difference:+.2f} points, standard error {error:.2f}"
    found = {"accuracy": Found(value, abs(difference) <= 2 * error)}
    columns = ("way", *(f"seed {seed}, %" for seed in range(SEEDS)), "mean", "sd")
    title = f"Accuracy on {data.source} Fashion-MNIST after {epochs} epochs"
    return [Section(title, columns, rows, found=found)]


def _accuracy(data: ImageData, way: str, seed: int, epochs: int) -> float:
    precision, break_even = WAYS[way]
    settings = {"training.epochs": str(epochs), "training.precision": precision}
    (cell,) = catalogue.load(ROOT, [CELL], "paper", settings)
    engine.start(machine.cores())
    with (
        mock.patch.object(engine, "BREAK_EVEN_IMAGES", break_even),
        tempfile.TemporaryDirectory() as folder,
    ):
        outcome = train(cell.spec, seed, data, checkpoint=Path(folder) / "checkpoint.pt")
    print(f"  {way}, seed {seed}: {outcome.epochs[-1].accuracy:.2f} %", flush=True)
    return outcome.epochs[-1].accuracy
