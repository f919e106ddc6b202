"""Reads the records of a campaign into its CSV files. Trains nothing, forgets nothing.

    runs.csv        a row a run: what was measured, the same however often it was interrupted
    cells.csv       a row a cell: seeds, mean, spread, the published number, the verdict, and what
                    was not the same for all its seeds
    provenance.csv  a row a run: code, libraries, device, time
    epochs.csv.gz   a row a run and epoch
    pools.csv.gz    a row a run, head and channel: the sum of FlexPool's weights (Eq. 2)
    maps.csv.gz     a row a cell, head and position: FlexPool's weights, mean over channels and seeds
    oddities.csv    see results/oddities.py; only where a spec asks for it

Accuracies are percent and nothing is rounded.
"""

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replicate import atomic, sums
from replicate.campaign import Campaign
from replicate.errors import UserError
from replicate.results import oddities, origins, record, statistics
from replicate.results.columns import COLUMNS
from replicate.results.digest import Digest, digests, mean, member
from replicate.results.frames import frame
from replicate.results.record import CorruptRecord


def aggregate(campaign: Campaign) -> list[str]:
    """Write a campaign's CSV files; returns a line for every corrupt record.

    Raises:
        UserError: runs.csv holds runs whose records are gone: writing it again would lose them.
    """
    with atomic.alone(campaign.results):
        sums.set_aside_damaged(campaign.results)
        refuse_to_forget(campaign)
        return _aggregate(campaign)


def _aggregate(campaign: Campaign) -> list[str]:
    sound, corrupt = [], []
    for found in digests(campaign.runs_folder):
        if isinstance(found, CorruptRecord):
            corrupt.append(str(found))
        else:
            sound.append(found)
    counted = one_a_seed(campaign, sound)
    runs = _frame(({**one.run, "stale": _is_stale(campaign, one)} for one in counted), "runs.csv")
    provenance = _frame((one.provenance for one in counted), "provenance.csv")
    tables = {
        "runs.csv": runs,
        "cells.csv": cells_table(campaign, runs, provenance),
        "provenance.csv": provenance,
        "maps.csv.gz": _frame(_maps(counted), "maps.csv.gz"),
    }
    for name, table in tables.items():
        write_csv(table, campaign.results / name)
    _join(campaign.results / "epochs.csv.gz", (one.epochs for one in counted))
    _join(campaign.results / "pools.csv.gz", (one.pools for one in counted))
    oddities.write(campaign.results, counted)
    return corrupt


def refuse_to_forget(campaign: Campaign) -> None:
    path = campaign.results / "runs.csv"
    if not path.exists():
        return
    folders = campaign.runs_folder.iterdir() if campaign.runs_folder.is_dir() else ()
    ids = {one.name.rpartition("-")[2] for one in folders if _has_record(one)}
    lost = [run_id for run_id in _run_ids(campaign) if run_id not in ids]
    if lost:
        raise UserError(
            f"{path} holds {len(lost)} runs whose records are not in {campaign.runs_folder}: "
            "bring them back, or use another --campaign"
        )


def _run_ids(campaign: Campaign) -> list[str]:
    try:
        return list(frame(campaign, "runs.csv")["run_id"])
    except UserError:
        sums.set_aside(campaign.results / "runs.csv")
        return []


def _has_record(folder: Path) -> bool:
    """A record set aside, of a run that is being done again, counts too."""
    return (folder / record.RECORD).exists() or any(folder.glob("record*.json"))


def one_a_seed(campaign: Campaign, runs: Iterable[Digest]) -> list[Digest]:
    """One run a cell and seed, in the campaign's order: of the spec as it is now, or, until the
    seed has been run again, the latest stale one."""
    order = {cell.name: index for index, cell in enumerate(campaign.cells)}
    known = [one for one in runs if one.cell in order]
    known.sort(key=lambda one: one.provenance["started"], reverse=True)
    known.sort(key=lambda one: (order[one.cell], one.seed, _is_stale(campaign, one)))
    first: dict[tuple[str, int], Digest] = {}
    for one in known:
        first.setdefault((one.cell, one.seed), one)
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


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """The same bytes for the same table: compressed files carry no time stamp."""
    compression: Any = {"method": "gzip", "mtime": 0} if path.suffix == ".gz" else None
    buffer = io.BytesIO()
    table.to_csv(buffer, index=False, lineterminator="\n", compression=compression)
    with sums.replacing(path) as file:
        file.write(buffer.getvalue())


def _join(path: Path, members: Iterable[bytes]) -> None:
    """Write compressed rows below the names of their columns."""
    with sums.replacing(path) as file:
        file.write(member([list(COLUMNS[path.name])]))
        file.writelines(members)


def _is_stale(campaign: Campaign, found: Digest) -> bool:
    """Whether the spec has changed since the run."""
    return found.id != campaign.specs[found.cell].run_id(found.seed)


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


def _maps(runs: Iterable[Digest]) -> Iterator[dict[str, Any]]:
    """Rows of maps.csv.gz: a cell's runs count alike."""
    by_cell: dict[str, list[list[np.ndarray]]] = {}
    for one in runs:
        if one.maps:
            by_cell.setdefault(one.cell, []).append(one.maps)
    for cell, own in by_cell.items():
        if len({tuple(one.shape for one in maps) for maps in own}) > 1:
            raise UserError(
                f"{cell}: the weights of its runs differ in shape: remove what is not its"
            )
        for head, maps in enumerate(zip(*own, strict=True)):
            for (row, column), weight in np.ndenumerate(mean(maps)):
                yield {"cell": cell, "head": head, "row": row, "column": column, "weight": weight}


def _frame(rows: Iterable[dict[str, Any]], file: str) -> pd.DataFrame:
    types = COLUMNS[file]
    counts: dict[str, Any] = {name: kind for name, kind in types.items() if kind == "Int64"}
    return pd.DataFrame(list(rows), columns=list(types)).astype(counts)
