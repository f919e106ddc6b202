"""What a campaign's CSV files may say: they can come from anybody, and a report must not repeat nonsense."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replicate.errors import UserError
from replicate.paper import DATASETS, METHODS
from replicate.results.statistics import VERDICTS

LARGEST = 1e15
"""Of any number: FLOPs, seconds and accuracies are far below, and figures cannot show more."""
Test = Callable[[pd.Series], Any]


def _one_of(words: Collection[object]) -> Test:
    return lambda column: column.isin(list(words))


def _printed(column: pd.Series) -> Any:
    return column.str.fullmatch(r"(\d{1,3}\.\d{1,4})?")


def _verdict(column: pd.Series) -> Any:
    return column.str.partition(" (")[0].isin(list(VERDICTS))


def _percent(column: pd.Series) -> Any:
    return column.isna() | column.between(0, 100)


def _natural(column: pd.Series) -> Any:
    return column.isna() | (column >= 0)


def _once(column: pd.Series) -> Any:
    return ~column.duplicated()


TESTS: dict[str, dict[str, Test]] = {
    "cells.csv": {
        "cell": _once, "table": _one_of([1, 2, np.nan]), "published": _printed, "verdict": _verdict,
        **dict.fromkeys(("asked", "n", "failed", "diverged", "sd"), _natural),
        **dict.fromkeys(("mean", "best_mean"), _percent),
    },
    "runs.csv": {
        "run_id": _once, "status": _one_of(["done", "diverged", "failed"]), "seed": _natural,
        **dict.fromkeys(("accuracy", "best_accuracy"), _percent),
    },
    "provenance.csv": {"run_id": _once, "seed": _natural, "seconds": _natural, "images_per_second": _natural},
    "epochs.csv.gz": {"seed": _natural, "accuracy": _percent, "train_accuracy": _percent},
    "pools.csv.gz": dict.fromkeys(("seed", "head", "channel"), _natural),
    "maps.csv.gz": dict.fromkeys(("head", "row", "column"), _natural),
    "forecast.csv": {"run_id": _once, "predicted": _natural},
}  # fmt: skip


def check(path: Path, frame: pd.DataFrame, cells: Collection[str]) -> None:
    """Refuse a table with a value that `replicate aggregate` never writes.

    Args:
        cells: of the campaign.
    """
    for name in frame.columns:
        column = frame[name]
        if column.dtype.kind in "fiu":
            _refuse(path, column, column.isna() | (column.abs() < LARGEST))
        if name == "cell":
            _refuse(path, column, column.isin(list(cells)))
        if test := TESTS[path.name].get(str(name)):
            _refuse(path, column, test(column))
    if path.name == "cells.csv":
        printed = frame[frame["table"].notna()]
        _refuse(path, printed["row"], printed["row"].isin(list(DATASETS)))
        _refuse(path, printed["column"], printed["column"].isin(list(METHODS)))
    if path.name == "runs.csv":
        done = frame.loc[frame["status"] == "done", "accuracy"]
        _refuse(path, done, done.notna())


def _refuse(path: Path, column: pd.Series, good: Any) -> None:
    bad = column[~good.to_numpy(dtype=bool)]
    if len(bad):
        raise UserError(
            f"{path}: line {bad.index[0] + 2}: {column.name} {str(bad.iloc[0])[:80]!r} cannot be: "
            "make it again with `replicate aggregate`"
        )
