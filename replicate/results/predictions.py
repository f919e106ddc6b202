"""forecast.csv: what was predicted of every run before it began."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from replicate.files import atomic
from replicate.plan.forecast import Speeds, seconds
from replicate.plan.runs import Run
from replicate.results.csv_files import COLUMNS, UNREADABLE, write_csv

FILE = "forecast.csv"


def remember(results: Path, runs: Iterable[Run], speeds: Speeds) -> None:
    """Add to forecast.csv the runs that have no prediction yet: what was said first stands."""
    with atomic.alone(results):
        kept = _kept(results / FILE)
        known = set(kept["run_id"])
        new = [
            (run.cell, run.seed, run.id, seconds(run.spec, speeds))
            for run in runs
            if speeds and run.id not in known
        ]
        if new:
            added = pd.DataFrame(new, columns=kept.columns, dtype=object)
            write_csv(pd.concat([kept, added]), results / FILE)


def _kept(path: Path) -> pd.DataFrame:
    """The whole rows, as they are written; none where the file is missing or another's."""
    none = pd.DataFrame(columns=list(COLUMNS[FILE]), dtype=object)
    try:
        rows = pd.read_csv(path, dtype=object, keep_default_na=False, on_bad_lines="skip")
    except UNREADABLE:
        return none
    return rows.dropna() if list(rows) == list(none) else none
