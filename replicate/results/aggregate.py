"""Reads the records of a campaign into its CSV files. Trains nothing, forgets nothing.

    runs.csv        a row a run: what was measured, the same however often it was interrupted
    cells.csv       a row a cell: seeds, mean, spread, the published number, the verdict, and what
                    was not the same for all its seeds
    provenance.csv  a row a run: code, libraries, device, time
    epochs.csv.gz   a row a run and epoch
    pools.csv.gz    a row a run, head and channel: the sum of FlexPool's weights (Eq. 2)
    maps.csv.gz     a row a run, head and position: FlexPool's weights, mean over the channels

Accuracies are percent and nothing is rounded.
"""

import io
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replicate import atomic
from replicate.campaign import Campaign
from replicate.errors import UserError
from replicate.results import origins, record, statistics
from replicate.results.columns import COLUMNS
from replicate.results.record import CorruptRecord, Record


def aggregate(campaign: Campaign) -> list[str]:
    """Write a campaign's CSV files; returns a line for every corrupt record.

    Raises:
        UserError: runs.csv holds runs whose records are gone: writing it again would lose them.
    """
    refuse_to_forget(campaign)
    sound, corrupt = _read(campaign)
    counted = one_a_seed(campaign, sound)
    runs = _frame((_run(found, _is_stale(campaign, found)) for _, found in counted), "runs.csv")
    provenance = _frame((_provenance(found) for _, found in counted), "provenance.csv")
    tables = {
        "runs.csv": runs,
        "cells.csv": cells_table(campaign, runs, provenance),
        "provenance.csv": provenance,
        "epochs.csv.gz": _frame(
            (row for _, found in counted for row in _epochs(found)), "epochs.csv.gz"
        ),
        "pools.csv.gz": _frame((row for one in counted for row in _pools(*one)), "pools.csv.gz"),
        "maps.csv.gz": _frame((row for one in counted for row in _maps(*one)), "maps.csv.gz"),
    }
    for name, table in tables.items():
        write_csv(table, campaign.results / name)
    return corrupt


def refuse_to_forget(campaign: Campaign) -> None:
    path = campaign.results / "runs.csv"
    if not path.exists():
        return
    # A record set aside, of a run that is being done again, is not gone.
    kept = {path.parent.name for path in campaign.runs_folder.glob("*/record*.json")}
    ids = {name.rpartition("-")[2] for name in kept}
    lost = [run_id for run_id in read_csv(path)["run_id"] if run_id not in ids]
    if lost:
        raise UserError(
            f"{path} holds {len(lost)} runs whose records are not in {campaign.runs_folder}: "
            "bring them back, or use another --campaign"
        )


def one_a_seed(
    campaign: Campaign, records: Iterable[tuple[Path, Record]]
) -> list[tuple[Path, Record]]:
    """One record a cell and seed, in the campaign's order: of the spec as it is now, or, until the
    seed has been run again, the latest stale one."""
    order = {cell.name: index for index, cell in enumerate(campaign.cells)}
    known = [one for one in records if one[1].cell in order]
    known.sort(key=lambda one: one[1].provenance.started, reverse=True)
    known.sort(key=lambda one: (order[one[1].cell], one[1].seed, _is_stale(campaign, one[1])))
    first: dict[tuple[str, int], tuple[Path, Record]] = {}
    for folder, found in known:
        first.setdefault((found.cell, found.seed), (folder, found))
    return list(first.values())


def cells_table(campaign: Campaign, runs: pd.DataFrame, provenance: pd.DataFrame) -> pd.DataFrame:
    """A row a cell of the campaign, with or without runs.

    Args:
        runs: of runs.csv; provenance: of provenance.csv.
    """
    by_cell = dict(tuple(runs.groupby("cell")))
    none = runs.iloc[:0]
    rows = [_cell(campaign, cell, by_cell.get(cell.name, none)) for cell in campaign.cells]
    mixed = origins.mixed(runs, provenance)
    for row in rows:
        row["mixed"] = "; ".join(mixed.get(row["cell"], ())) or None
    return _frame(rows, "cells.csv")


def accuracies(cells: pd.DataFrame, runs: pd.DataFrame) -> dict[str, dict[int, float]]:
    """Accuracy by cell and seed, of the finished runs of every cell that is not stale.

    Args:
        cells: of cells.csv; runs: of runs.csv.
    """
    current = cells.loc[cells["verdict"] != "stale", "cell"]
    done = runs[(runs["status"] == "done") & runs["cell"].isin(current)]
    return {
        str(cell): dict(zip(own["seed"].astype(int), own["accuracy"].astype(float), strict=True))
        for cell, own in done.groupby("cell", sort=False)
    }


def read_csv(path: Path) -> pd.DataFrame:
    """One of the files above, with names and ids as text.

    Raises:
        UserError: the file is missing or not one of ours.
    """
    text: Any = {"run_id": str, "commit": str, "published": str, "head_losses": str, "error": str}
    try:
        return pd.read_csv(path, dtype=text)
    except FileNotFoundError:
        raise UserError(f"{path}: not there; make it with `replicate aggregate`") from None
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path}: cannot be read ({reason}); make it again with `replicate aggregate`"
        ) from None


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """The same bytes for the same table: compressed files carry no time stamp."""
    compression: Any = {"method": "gzip", "mtime": 0} if path.suffix == ".gz" else None
    buffer = io.BytesIO()
    table.to_csv(buffer, index=False, lineterminator="\n", compression=compression)
    with atomic.replacing(path) as file:
        file.write(buffer.getvalue())


def _read(campaign: Campaign) -> tuple[list[tuple[Path, Record]], list[str]]:
    sound, corrupt = [], []
    for folder, found in record.read_all(campaign.runs_folder):
        if isinstance(found, CorruptRecord):
            corrupt.append(str(found))
        else:
            sound.append((folder, found))
    return sound, corrupt


def _is_stale(campaign: Campaign, found: Record) -> bool:
    """Whether the spec has changed since the run."""
    spec = next(cell.spec for cell in campaign.cells if cell.name == found.cell)
    return found.id != spec.run_id(found.seed)


def _run(found: Record, stale: bool) -> dict[str, Any]:
    last = found.epochs[-1] if found.epochs else None
    best = found.best
    published = found.spec["published"]
    return {
        **_key(found),
        "table": str(published["table"]) if published else None,
        "dataset": found.spec["dataset"]["name"],
        "method": found.spec["method"]["name"],
        "protocol": found.spec["protocol"]["name"],
        "status": found.status,
        "stale": stale,
        "accuracy": found.accuracy,
        "best_accuracy": best.accuracy if best else None,
        "best_epoch": best.epoch if best else None,
        "epochs": len(found.epochs),
        "train_loss": last.loss if last else None,
        "penalty": last.penalty if last else None,
        "source": found.source,
        "fingerprint": found.fingerprint,
        "precision": found.provenance.precision,
        "error": found.error,
    }


def _cell(campaign: Campaign, cell: Any, runs: pd.DataFrame) -> dict[str, Any]:
    spec, asked = cell.spec, campaign.request.seeds
    done = runs[runs["status"] == "done"]
    values = done["accuracy"].to_numpy(dtype=float)
    n, mean, sd = statistics.summary(values)
    low, high = statistics.t_interval(values)
    published = spec.published
    counts = {state: int((runs["status"] == state).sum()) for state in ("failed", "diverged")}
    return {
        "cell": cell.name,
        "table": published.table if published else None,
        "row": published.row if published else spec.dataset.title,
        "column": published.column if published else spec.method.title,
        "dataset": spec.dataset.name,
        "method": spec.method.name,
        "protocol": spec.protocol.name,
        "published": published.value if published else None,
        "asked": asked,
        "n": n,
        **counts,
        "mean": mean,
        "sd": sd,
        "low": low,
        "high": high,
        "best_mean": done["best_accuracy"].mean() if n else None,
        "delta": mean - published.accuracy if published else None,
        "verdict": statistics.verdict(
            values,
            published.value if published else None,
            asked=asked,
            **counts,
            stale=bool(runs["stale"].any()),
            comparable=spec.comparable and "generated" not in set(runs["source"]),
        ),
    }


def _provenance(found: Record) -> dict[str, Any]:
    origin = found.provenance.model_dump()
    seen = sum(epoch.images_per_second for epoch in found.epochs)
    speed = seen / len(found.epochs) if found.epochs else None
    return {**_key(found), **origin, "images_per_second": speed}


def _epochs(found: Record) -> Iterator[dict[str, Any]]:
    for epoch in found.epochs:
        heads = ";".join(repr(loss) for loss in epoch.head_losses)
        yield {**_key(found), **vars(epoch), "head_losses": heads}


def _pools(folder: Path, found: Record) -> Iterator[dict[str, Any]]:
    for head, weights in enumerate(_weights(folder)):
        for channel, own in enumerate(weights):
            total = math.fsum(own.flat)  # exact, so that every processor gives the same digits
            yield {**_key(found), "head": head, "channel": channel, "sum": total}


def _maps(folder: Path, found: Record) -> Iterator[dict[str, Any]]:
    for head, weights in enumerate(_weights(folder)):
        for row, column in np.ndindex(weights.shape[1:]):
            weight = math.fsum(weights[:, row, column]) / len(weights)
            yield {**_key(found), "head": head, "row": row, "column": column, "weight": weight}


def _weights(folder: Path) -> list[np.ndarray]:
    """FlexPool's weights (C, H, W) of each head, first stage first."""
    path = folder / record.POOLS
    if not path.exists():
        return []
    with np.load(path, allow_pickle=False) as file:
        return [file[name] for name in file.files]


def _key(found: Record) -> dict[str, Any]:
    return {"cell": found.cell, "seed": found.seed, "run_id": found.id}


def _frame(rows: Iterable[dict[str, Any]], file: str) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(COLUMNS[file]))
