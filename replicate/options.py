"""The options and arguments that several commands share, their defaults, and what they ask for."""

import math
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from replicate.errors import UserError, has_controls

if TYPE_CHECKING:
    from replicate.campaign import Campaign

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
    typer.Option(help="float32, tf32, bfloat16 or auto; short for --set training.precision=..."),
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
Deadline = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Be done by then, report included: 14m, 2h30m, 17:30 or '2026-12-24 08:00'. Begins nothing that"
        " cannot end, all seeds of a cell first; exit code 3 if something is left.",
    ),
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


def campaign_of(
    root: Path,
    patterns: list[str] | None,
    protocol: str | None,
    seeds: int | None,
    name: str | None,
    settings: dict[str, str],
    note: str = "",
) -> "Campaign":
    """The campaign that the options ask for; what they leave open is as it was begun.

    Raises:
        UserError: it cannot be what they ask for, or they leave the protocol of a new one open.
    """
    from replicate import campaign as campaigns
    from replicate import catalogue

    begun = None if name is None else campaigns.read(root, name)
    if protocol is None and begun:
        protocol = begun.protocol
    if protocol is None:
        choices = ", ".join(catalogue.protocols(root))
        raise UserError(f"--protocol is missing: choose from {choices}")
    kept = begun.cells if begun and not patterns else []
    wanted = {
        "name": protocol if name is None else name,
        "protocol": protocol,
        "settings": settings or (begun.settings if begun else {}),
        "cells": kept or catalogue.offered(root, patterns or [], protocol),
        "seeds": seeds or (begun.seeds if begun else 1),
        "note": note,
    }
    return campaigns.asked(root, campaigns.request(wanted))


def ends(deadline: str | None) -> float | None:
    """When training must stop, in seconds since 1970; raises UserError for what is no time to come."""
    from replicate import deadline as deadlines

    if deadline is None:
        return None
    now = datetime.now().astimezone()
    return deadlines.training_ends(deadlines.deadline(deadline, now), now)


def settings_of(pairs: list[str] | None, precision: str | None) -> dict[str, str]:
    """Of `--set` and `--precision`; raises UserError for what is no KEY=VALUE, or a key given twice."""
    settings = {}
    for pair in [*(pairs or []), *([f"training.precision={precision}"] if precision else [])]:
        key, equals, value = pair.partition("=")
        if not equals or not key or key in settings:
            raise UserError(
                f"--set {pair!r}: expected KEY=VALUE, each key once, such as training.epochs=1"
            )
        settings[key] = value
    return settings
