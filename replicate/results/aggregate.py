"""Reads the records of a campaign into its CSV files. Trains nothing, forgets nothing.

    runs.csv        one row per run: what was measured, however often it was interrupted
    cells.csv       one row per cell: seeds, mean, spread, the published number, the verdict, and
                    what was not the same for all its seeds
    gains.csv       one row per gain over average pooling: both intervals, p value, the published one
    overall.csv     one row per question and scope: the mean gain over the data sets at hand
    claims.csv      one row per claim of the paper and difference that it is about: the claim's verdict
    provenance.csv  one row per run: code, libraries, device, time
    epochs.csv.gz   one row per run and epoch
    pools.csv.gz    one row per run, head and channel: the sum of FlexPool's weights (Eq. 2), and the
                    share of them that are negative
    maps.csv.gz     one row per cell, head and position: FlexPool's weights, mean over channels and
                    seeds, and how far the seeds' means over channels lie apart (standard deviation)
    oddities.csv    one row per finished run and oddity: its accuracy, and what the released code's
                    way to measure it gives; only where a spec asks for it
    absent.csv      one row per run that has begun and not ended, with its latest epoch, and per record
                    that is left out, with the reason; only where there are any

Accuracies are percent. What was measured, and its mean and spread over the seeds of a cell, has all of its
digits; what judges has nine significant ones.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replicate.errors import UserError
from replicate.files import atomic
from replicate.files import checksums as sums
from replicate.plan.campaign import Campaign
from replicate.records import run_folder
from replicate.records.record import CorruptRecord
from replicate.results import absent, images
from replicate.results.csv_files import COLUMNS, read_csv, table_of, write_csv
from replicate.results.judgement import judged
from replicate.results.rows import RunRows, deviation, mean, member, names, rows_of_runs
from replicate.text import many, series


def aggregate(campaign: Campaign) -> list[str]:
    """Write a campaign's CSV files; returns one line per corrupt record.

    Raises:
        UserError: runs.csv holds runs whose records are gone: writing it again would lose them.
    """
    with atomic.alone(campaign.results):
        sums.set_aside_damaged(campaign.results)
        refuse_to_forget(campaign)
        found = [_checked(campaign, one) for one in rows_of_runs(campaign.runs_folder)]
        corrupt = [one for one in found if isinstance(one, CorruptRecord)]
        counted = one_per_seed(campaign, (one for one in found if isinstance(one, RunRows)))
        _write(campaign, counted)
        ended = {one.id for one in counted}
        reasons = {one.path.parent.name: one.why for one in corrupt}
        _write_if_any(campaign.results / "absent.csv", absent.rows(campaign, ended, reasons))
    return [str(one) for one in corrupt]


def _write(campaign: Campaign, counted: Sequence[RunRows]) -> None:
    """What is made of the runs that count."""
    for name, table in _tables(campaign, counted).items():
        write_csv(table, campaign.results / name)
    _join(campaign.results / "epochs.csv.gz", (one.epochs for one in counted))
    _join(campaign.results / "pools.csv.gz", (one.pools for one in counted))
    _write_if_any(campaign.results / "oddities.csv", _oddities(counted))


def _tables(campaign: Campaign, counted: Sequence[RunRows]) -> dict[str, pd.DataFrame]:
    runs = table_of((_run(campaign, one) for one in counted), "runs.csv")
    provenance = table_of((one.provenance for one in counted), "provenance.csv")
    answers: dict[str, dict[int, images.Seen]] = {}
    for one in counted:
        if one.answers:
            seen = images.Seen(one.answers, campaign.specs[one.cell].test_images)
            answers.setdefault(one.cell, {})[one.seed] = seen
    return {
        "runs.csv": runs,
        "provenance.csv": provenance,
        **judged(campaign, runs, provenance, answers),
        "maps.csv.gz": table_of(_maps(counted), "maps.csv.gz"),
    }


def _run(campaign: Campaign, found: RunRows) -> dict[str, Any]:
    """Its row of runs.csv."""
    stale = _is_stale(campaign, found)
    return {**found.run, "stale": stale, **({} if stale else names(campaign.specs[found.cell]))}


def refuse_to_forget(campaign: Campaign) -> None:
    path = campaign.results / "runs.csv"
    if not path.exists():
        return
    folders = campaign.runs_folder.iterdir() if campaign.runs_folder.is_dir() else ()
    ids = {one.name.rpartition("-")[2] for one in folders if _has_record(one)}
    lost = [one for one in _runs(campaign) if one["run_id"] not in ids]
    if lost:
        named = f"{lost[0]['cell']} seed {lost[0]['seed']}"
        raise UserError(
            f"{path} holds {many(len(lost), 'run')} whose records are not in {campaign.runs_folder}, such as "
            f"{named}: bring them back; or remove {path}, and `replicate run --campaign {campaign.name}` "
            "trains them again"
        )


def _runs(campaign: Campaign) -> list[dict[Any, Any]]:
    try:
        return read_csv(campaign, "runs.csv").to_dict("records")
    except UserError:
        sums.set_aside(campaign.results / "runs.csv")
        return []


def _has_record(folder: Path) -> bool:
    """A record set aside, of a run that is being done again, counts too."""
    return (folder / run_folder.RECORD).exists() or any(folder.glob("record*.json"))


def one_per_seed(campaign: Campaign, runs: Iterable[RunRows]) -> list[RunRows]:
    """One run per cell and seed, in the campaign's order: of the spec as it is now, or, until the
    seed has been run again, the latest stale one."""
    order = {cell.name: index for index, cell in enumerate(campaign.cells)}
    known = [one for one in runs if one.cell in order]
    # Sorting is stable: of runs alike in the second key, the latest stays first.
    known.sort(key=lambda one: one.provenance["started"], reverse=True)
    known.sort(key=lambda one: (order[one.cell], one.seed, _is_stale(campaign, one)))
    first: dict[tuple[str, int], RunRows] = {}
    for one in known:
        first.setdefault((one.cell, one.seed), one)
    return list(first.values())


def _join(path: Path, members: Iterable[bytes]) -> None:
    """Write compressed rows below the names of their columns."""
    with sums.replacing(path) as file:
        file.write(member([list(COLUMNS[path.name])]))
        file.writelines(members)


def _oddities(runs: Iterable[RunRows]) -> Iterator[dict[str, Any]]:
    """Accuracies that stand in no other file."""
    for one in runs:
        for name, value in one.oddities.items():
            yield {**one.run, "oddity": name, "odd_accuracy": value}


def _write_if_any(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Without rows, no file."""
    found = list(rows)
    if found:
        write_csv(table_of(found, path.name), path)
    else:
        sums.remove(path)


def _checked(campaign: Campaign, found: RunRows | CorruptRecord) -> RunRows | CorruptRecord:
    """A record that is not what it says that it is counts as corrupt; one of another campaign does not."""
    if isinstance(found, CorruptRecord) or found.cell not in campaign.specs:
        return found
    path, asked = found.folder / run_folder.RECORD, campaign.request.seeds_of(found.cell)
    if found.seed not in asked:
        said = f"{found.cell} seed {found.seed}: the seeds asked for are {series(asked)}"
        return CorruptRecord(path, said)
    today = campaign.specs[found.cell].identity
    if not _is_stale(campaign, found) and not _is_of(found.spec, today):
        return CorruptRecord(path, "its spec is not that of its id")
    return found


@cache
def _is_of(spec: bytes, identity: str) -> bool:
    """All seeds of a cell have the same two."""
    return _agree(json.loads(spec), json.loads(identity))


def _agree(recorded: Any, today: Any) -> bool:
    """Whether a record's spec says what today's does, where it speaks of it at all."""
    if isinstance(recorded, dict) and isinstance(today, dict):
        return all(_agree(recorded[key], value) for key, value in today.items() if key in recorded)
    return bool(recorded == today)


def _is_stale(campaign: Campaign, found: RunRows) -> bool:
    """Whether the spec has changed since the run."""
    return found.id != campaign.specs[found.cell].run_id(found.seed)


def _maps(runs: Iterable[RunRows]) -> Iterator[dict[str, Any]]:
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
            apart = deviation(maps)
            for (row, column), weight in np.ndenumerate(mean(maps)):
                place = {"cell": cell, "head": head, "row": row, "column": column}
                yield {**place, "weight": weight, "between_seeds": apart[row, column]}
