"""forecast.csv: what was predicted of every run before it began."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from replicate.files import atomic
from replicate.plan.forecast import Speeds, seconds
from replicate.plan.runs import Run
from replicate.results.csv_files import COLUMNS, MAX_NUMBER, UNREADABLE, write_csv

FILE = "forecast.csv"
Row = tuple[str, int, str, float]
"""A run's cell, seed and id, and the seconds predicted."""


def remember(results: Path, runs: Iterable[Run], speeds: Speeds) -> None:
    """Add to forecast.csv the runs that have no prediction yet: what was said first stands."""
    if speeds:
        _add(results, [(run.cell, run.seed, run.id, seconds(run.spec, speeds)) for run in runs])


def take(results: Path, source: Path, runs: Iterable[Run]) -> None:
    """Add what was predicted of these runs in another results folder; a damaged prediction is left there."""
    there = _kept(source / FILE)
    predicted = dict(zip(there["run_id"], pd.to_numeric(there["predicted"], "coerce"), strict=True))
    _add(
        results,
        [
            (run.cell, run.seed, run.id, predicted[run.id])
            for run in runs
            if 0 <= predicted.get(run.id, float("nan")) < MAX_NUMBER
        ],
    )


def _add(results: Path, rows: Iterable[Row]) -> None:
    with atomic.alone(results):
        kept = _kept(results / FILE)
        known = set(kept["run_id"])
        if new := [row for row in rows if row[2] not in known]:
            added = pd.DataFrame(new, columns=kept.columns, dtype=object)
            write_csv(pd.concat([kept, added]), results / FILE)


def _kept(path: Path) -> pd.DataFrame:
    """The whole rows, as they are written; none where the file is missing or another's."""
    none = pd.DataFrame(columns=list(COLUMNS[FILE]), dtype=object)
    try:
        atomic.require_regular(path)
        rows = pd.read_csv(path, dtype=object, keep_default_na=False, on_bad_lines="skip")
    except UNREADABLE:
        return none
    return rows.dropna() if list(rows) == list(none) else none
