"""The options and arguments that several commands share, and their defaults."""

import math
from pathlib import Path
from typing import Annotated

import typer

from replicate.errors import UserError, has_controls

Cells = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CELL]...",
        help="Names, folders or globs, such as table1/cifar10 or '*/flexpool-reg'. Default: as begun with"
        " --campaign, else Tables 1 and 2.",
    ),
]


def one_line(path: Path | None) -> Path | None:
    if path is not None and has_controls(str(path)):
        raise UserError(f"{str(path)!r}: a path without control characters is needed: rename it")
    return path


def _finite(seconds: float) -> float:
    if not math.isfinite(seconds):
        raise UserError(f"{seconds} seconds: a finite number is needed")
    return seconds


Root = Annotated[
    Path,
    typer.Option(callback=one_line, help="Folder with experiments/, results/ and reports/."),
]
CampaignName = Annotated[
    str | None,
    typer.Option("--campaign", help="Name of the results. Default: the protocol's name."),
]
ProtocolName = Annotated[
    str | None, typer.Option("--protocol", help="How to train: a file of experiments/protocols.")
]
Seeds = Annotated[
    int | None, typer.Option(min=1, max=1000, help="Train seeds 0 to N-1. Default: 1, or as begun.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a value of every spec, such as training.epochs=1.",
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(help="float32, bfloat16 or auto; short for --set training.precision=..."),
]
Note = Annotated[
    str,
    typer.Option(
        metavar="TEXT",
        help="What the report is to say of the campaign, such as why these cells. Default: as begun.",
    ),
]
RetryFailed = Annotated[bool, typer.Option(help="Train failed runs again.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes. Default: one a GPU, or one a core.")
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Threads of each. Default: cores / workers.")
]
CheckpointSeconds = Annotated[
    float, typer.Option(min=0, callback=_finite, help="Least time between checkpoints.")
]
DataDir = Annotated[
    Path,
    typer.Option(
        envvar="REPLICATE_DATA_DIR",
        callback=one_line,
        help="Where the images are, or are downloaded to.",
    ),
]
CacheDir = Annotated[
    Path,
    typer.Option(
        envvar="REPLICATE_CACHE_DIR", callback=one_line, help="Where decoded images are kept."
    ),
]
DataSets = Annotated[
    list[str] | None, typer.Argument(metavar="[DATA SET]...", help="Default: the paper's four.")
]
Campaigns = Annotated[str | None, typer.Argument(help="A campaign. Default: all of them.")]
Every = Annotated[
    float, typer.Option(min=1, callback=_finite, help="Seconds between two questions to SLURM.")
]
EVERY = 30.0
HERE = Path()
DATA = Path("data")
CACHE = Path(".cache/data")
