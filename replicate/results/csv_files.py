"""The CSV files of results/<campaign>/: their columns, what these may say, one reader, one writer.

A column of `float`, `Int64` or `str` may have nothing in it, a number that is unknown or no text;
one of `int` never has. Whole numbers are `Int64` where every digit is shown, and `float`, whose unknown
is nan, where they are compared or plotted alone. The files can come from anybody: a report must not
repeat nonsense.
"""

import io
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from replicate.errors import UserError
from replicate.files import atomic
from replicate.files import checksums as sums
from replicate.files.typed import reason
from replicate.plan.campaign import Campaign
from replicate.results.absent import LEFT_OUT, UNFINISHED

Kind = Literal["str", "int", "Int64", "float"]
Test = Callable[[pd.Series], Any]
"""Whether each value of a column can be."""
MAX_NUMBER = 1e15
"""Of any number: FLOPs, seconds and accuracies are far below, and figures cannot show more."""
UNREADABLE = (OSError, EOFError, ValueError, TypeError, OverflowError, zlib.error)
"""What reading a damaged CSV file can end in."""
RUN: dict[str, Kind] = {"cell": "str", "seed": "int", "run_id": "str"}

COLUMNS: dict[str, dict[str, Kind]] = {
    "runs.csv": {
        "cell": "str", "table": "float", "dataset": "str", "method": "str", "protocol": "str",
        "seed": "int", "run_id": "str", "status": "str", "stale": "str", "accuracy": "float",
        "best_accuracy": "float", "best_epoch": "Int64", "epochs": "float", "train_loss": "float",
        "penalty": "float", "source": "str", "fingerprint": "str", "precision": "str",
        "parameters": "Int64", "flops": "Int64", "right": "Int64", "error": "str",
    },
    "cells.csv": {
        "cell": "str", "table": "float", "row": "str", "column": "str", "dataset": "str",
        "method": "str", "protocol": "str", "published": "str", "asked": "int", "n": "int",
        "failed": "int", "diverged": "int", "mean": "float", "sd": "float", "low": "float",
        "high": "float", "best_mean": "float", "delta": "float", "verdict": "str", "mixed": "str",
        "sd_ref": "float", "spread": "float", "df": "float", "noisy": "str",
        "predicted_low": "float", "predicted_high": "float", "plain_low": "float",
        "plain_high": "float", "best_verdict": "str", "calibration": "float",
    },
    "gains.csv": {
        "cell": "str", "table": "int", "row": "str", "column": "str", "n": "int", "gain": "float",
        "sd": "float", "spread": "float", "df": "float", "noisy": "str", "low": "float",
        "high": "float", "p": "float", "holm": "float", "verdict": "str", "correlation": "float",
        "plain_low": "float", "plain_high": "float", "welch_low": "float", "welch_high": "float",
        "bound": "float", "published": "float", "next_low": "float", "next_high": "float",
        "against": "str", "shrinkage": "float", "mixed": "str", "rule": "str",
        "images_low": "float", "images_high": "float", "mcnemar": "float",
    },
    "overall.csv": {
        "question": "str", "scope": "str", "rows": "int", "cells": "str", "n": "int",
        "gain": "float", "df": "float", "low": "float", "high": "float", "p": "float",
        "holm": "float", "verdict": "str", "published": "float", "against": "str", "rule": "str",
        "images_low": "float", "images_high": "float",
    },
    "claims.csv": {
        "claim": "str", "printed": "str", "verdict": "str", "why": "str", "rule": "str",
        "of": "str", "over": "str", "n": "int", "gain": "float", "df": "float", "low": "float",
        "high": "float", "plain_low": "float", "plain_high": "float", "p": "float", "holm": "float",
    },
    "provenance.csv": {
        **RUN, "started": "str", "seconds": "float", "images_per_second": "float",
        "attempts": "float", "device": "str", "threads": "str", "compiled": "str", "code": "str",
        "within": "str", "commit": "str",
        "dirty": "str", "python": "str", "torch": "str", "torchvision": "str", "numpy": "str",
    },
    "epochs.csv.gz": {
        **RUN, "epoch": "int", "learning_rate": "float", "loss": "float", "head_losses": "str",
        "penalty": "float", "train_accuracy": "float", "accuracy": "float", "seconds": "float",
        "images_per_second": "float",
    },
    "pools.csv.gz": {**RUN, "head": "int", "channel": "int", "sum": "float", "negative": "float"},
    "forecast.csv": {**RUN, "predicted": "float"},
    "maps.csv.gz": {
        "cell": "str", "head": "int", "row": "int", "column": "int", "weight": "float",
        "between_seeds": "float",
    },
    "oddities.csv": {**RUN, "oddity": "str", "accuracy": "float", "odd_accuracy": "float"},
    "absent.csv": {**RUN, "state": "str", "epoch": "Int64", "epochs": "Int64", "why": "str"},
}  # fmt: skip

LATER = {
    "parameters", "flops", "right", "code", "within", "sd_ref", "spread", "df", "noisy",
    "predicted_low", "predicted_high", "plain_low", "plain_high", "best_verdict", "calibration",
    "negative", "between_seeds",
}  # fmt: skip
"""Columns that files written before them lack: read as unknown."""


def _one_of(words: Collection[object]) -> Test:
    return lambda column: column.isin(list(words))


def _within(low: float, high: float, known: bool = False) -> Test:
    return lambda column: column.between(low, high) | (column.isna() & (not known))


NATURAL, PERCENT = _within(0, np.inf), _within(0, 100)
ONCE = ("runs.csv", "provenance.csv", "forecast.csv")
"""Files that have one row a run; cells with one spec share a run's id."""

TESTS: dict[str, dict[str, Test]] = {
    "cells.csv": {
        "cell": lambda column: ~column.duplicated(), "table": _one_of([1, 2, np.nan]), "n": NATURAL,
        "sd": NATURAL, "mean": PERCENT,
    },
    "runs.csv": {
        "status": _one_of(["done", "diverged", "failed"]), "seed": NATURAL,
        **dict.fromkeys(("accuracy", "best_accuracy"), PERCENT),
    },
    "provenance.csv": {"seed": NATURAL, "seconds": NATURAL, "images_per_second": NATURAL},
    "epochs.csv.gz": {"seed": NATURAL, "accuracy": PERCENT, "train_accuracy": PERCENT},
    "pools.csv.gz": {
        **dict.fromkeys(("seed", "head", "channel"), NATURAL), "negative": _within(0, 1),
    },
    "maps.csv.gz": dict.fromkeys(("head", "row", "column", "between_seeds"), NATURAL),
    "forecast.csv": {"predicted": NATURAL},
    "absent.csv": {
        "state": _one_of([UNFINISHED, LEFT_OUT]),
        **dict.fromkeys(("seed", "epoch", "epochs"), NATURAL),
    },
    "oddities.csv": {
        "seed": NATURAL,
        **dict.fromkeys(("accuracy", "odd_accuracy"), _within(0, 100, known=True)),
    },
}  # fmt: skip
"""Of the tables that judge no more than `replicate power` needs: `checks` holds them against runs.csv."""


def read_csv(campaign: Campaign, file: str) -> pd.DataFrame:
    """One of a campaign's CSV files, typed; no rows where the file is missing or empty.

    Raises:
        UserError: it cannot be read, lacks a column, or says what cannot be.
    """
    table = _read(campaign.results / file)
    if file == "forecast.csv":  # keeps what was said of cells that have been taken out since
        table = table[table["cell"].isin(list(campaign.specs))]
    _check(campaign.results / file, table, campaign.specs)
    return table


def _read(path: Path) -> pd.DataFrame:
    types = COLUMNS[path.name]
    # Nothing between the commas is a missing number, but an empty text; "NA" in a text column stays text.
    blank = {name: ["", "nan"] for name, kind in types.items() if kind in ("float", "Int64")}
    sums.check(path)
    try:
        atomic.require_regular(path)
        frame = pd.read_csv(path, dtype=types, keep_default_na=False, na_values=blank)
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in types.items()})
    except UNREADABLE as error:
        raise UserError(
            f"{path}: cannot be read ({reason(error)[:300]}): {sums.again(path)}"
        ) from None
    unknown = {name: pd.Series(dtype=types[name]) for name in LATER & types.keys() - set(frame)}
    frame = frame.assign(**unknown)
    if missing := types.keys() - set(frame.columns):
        raise UserError(f"{path}: has no column {', '.join(sorted(missing))}: {sums.again(path)}")
    return frame


def table_of(rows: Iterable[Mapping[str, Any]], file: str) -> pd.DataFrame:
    """Rows as a table with the columns of a file."""
    types = COLUMNS[file]
    counts: dict[str, Any] = {name: kind for name, kind in types.items() if kind == "Int64"}
    return pd.DataFrame(list(rows), columns=list(types)).astype(counts)


def rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    """With nine significant digits, which every processor and version of a library agrees on."""
    return {
        name: float(f"{value:.9g}") if isinstance(value, float) else value
        for name, value in row.items()
    }


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """The same bytes for the same table: compressed files carry no time stamp."""
    compression: Any = {"method": "gzip", "mtime": 0} if path.suffix == ".gz" else None
    buffer = io.BytesIO()
    table.to_csv(buffer, index=False, lineterminator="\n", compression=compression)
    sums.write_bytes(path, buffer.getvalue())


def _check(path: Path, frame: pd.DataFrame, cells: Collection[str]) -> None:
    """Refuse a table with a value that `replicate aggregate` never writes.

    Args:
        cells: of the campaign.
    """
    for name in frame.columns:
        column = frame[name]
        if column.dtype.kind in "fiu":
            refuse(path, column, column.isna() | (column.abs() < MAX_NUMBER))
        if name == "cell":
            refuse(path, column, column.isin(list(cells)))
        if test := TESTS.get(path.name, {}).get(str(name)):
            refuse(path, column, test(column))
    if path.name in ONCE:
        refuse(path, frame["run_id"], ~frame.duplicated(["cell", "run_id"]))
    if path.name == "runs.csv":
        done = frame.loc[frame["status"] == "done", "accuracy"]
        refuse(path, done, done.notna())


def refuse(
    path: Path, column: pd.Series, good: Any, but: str = "", right: pd.Series | None = None
) -> None:
    """Raises UserError for the first value that is not good.

    Args:
        but: why, and `right` what it should be; by default it cannot be, whatever else the files say.
    """
    bad = column[~good.to_numpy(dtype=bool)]
    if len(bad):
        place: Any = bad.index[0]
        expected = "" if right is None else f" {str(right.loc[place])!r}"
        said = f", but {but}{expected}" if but else " cannot be"
        value = str(bad.iloc[0])[:80]
        raise UserError(
            f"{path}: line {place + 2}: {column.name} {value!r}{said}: {sums.again(path)}"
        )
