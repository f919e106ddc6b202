"""Whether speed costs accuracy: real Fashion-MNIST, bfloat16, eager and compiled, against float32."""

import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from unittest import mock

from benchmarks.ours import spec_of
from benchmarks.table import Found, Options, Section
from replicate import machine
from replicate.data import ImageData, Split, load
from replicate.training import engine
from replicate.training.loop import train

CELL = "table1/fashion-mnist/flexpool"
SEEDS = 3
WAYS = {
    "float32, eager": ("float32", False),
    "bfloat16, eager": ("bfloat16", False),
    "bfloat16, compiled": ("bfloat16", True),
}
"""Precision, and whether to compile."""


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
    first, *others = ends.values()
    away = [_difference(other, first) for other in others]
    shown = ", ".join(f"{points:+.2f} ± {error:.2f}" for points, error in away)
    near = all(abs(points) <= 2 * error for points, error in away)
    found = {"accuracy": Found(f"{shown} points (standard error)", near)}
    columns = ("way", *(f"seed {seed}, %" for seed in range(SEEDS)), "mean", "sd")
    title = f"Accuracy on {data.source} Fashion-MNIST after {epochs} epochs"
    return [Section(title, columns, rows, found=found)]


def _difference(to: list[float], of: list[float]) -> tuple[float, float]:
    """Of the means, with its standard error."""
    return mean(to) - mean(of), ((stdev(to) ** 2 + stdev(of) ** 2) / SEEDS) ** 0.5


def _accuracy(data: ImageData, way: str, seed: int, epochs: int) -> float:
    precision, compiled = WAYS[way]
    spec = spec_of(CELL, epochs=epochs, precision=precision)
    engine.start(machine.cores())
    with (
        mock.patch.object(engine, "_compilation", return_value=(compiled, "as measured")),
        tempfile.TemporaryDirectory() as folder,
    ):
        outcome = train(spec, seed, data, checkpoint=Path(folder) / "checkpoint.pt")
    print(f"  {way}, seed {seed}: {outcome.epochs[-1].accuracy:.2f} %", flush=True)
    return outcome.epochs[-1].accuracy
