"""The columns of a campaign's CSV files, in order, with the types that they are read as.

A column of `float`, `Int64` or `str` may have nothing in it, a number that is unknown or no text;
one of `int` never has.
"""

from typing import Literal

Kind = Literal["str", "int", "Int64", "float"]
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
    "pools.csv.gz": {**RUN, "head": "int", "channel": "int", "sum": "float"},
    "forecast.csv": {**RUN, "predicted": "float"},
    "maps.csv.gz": {
        "cell": "str", "head": "int", "row": "int", "column": "int", "weight": "float",
    },
}  # fmt: skip

LATER = {"parameters", "flops", "right", "code", "within"}
"""Columns that files written before them lack: read as unknown."""
