"""Whether the CSV files of a campaign contradict each other, its specs or the paper's tables.

They can come from anybody, and a number that was changed in one of them must not reach a report. Each
contradiction is one line that names the file, the line, the value and what it should be.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replicate.errors import UserError
from replicate.paper.tables import read_tables
from replicate.plan.campaign import Campaign
from replicate.results.csv_files import COLUMNS, LATER
from replicate.results.judgement import judged
from replicate.specs import check
from replicate.specs.spec import Spec

Frames = Mapping[str, pd.DataFrame]
"""By file name."""
FROM_RECORDS = {"calibration", "images_low", "images_high", "mcnemar"}
"""Columns that no CSV file gives again."""
FROM_PROVENANCE = {"mixed", "rule"}
CLOSE = 1e-6
"""In points: what libraries may differ by, and below what anybody would print."""
AGAIN = "make it again with `replicate aggregate`"


def agreed(campaign: Campaign, frames: Frames) -> dict[str, pd.DataFrame]:
    """The tables that judge, made from runs.csv, after everything that is there was held against it.

    Raises:
        UserError: the first contradiction.
    """
    refuse_other_tables(campaign)
    _check_runs(campaign, frames)
    for file in ("provenance.csv", "epochs.csv.gz", "pools.csv.gz", "oddities.csv", "forecast.csv"):
        _check_keys(campaign.results / file, frames[file], frames["runs.csv"])
    _check_epochs(campaign.results / "runs.csv", frames["runs.csv"], frames["epochs.csv.gz"])
    _check_answers(campaign.results / "runs.csv", frames["runs.csv"], campaign.specs)
    found = judged(campaign, frames["runs.csv"], frames["provenance.csv"])
    unknown = set() if len(frames["provenance.csv"]) else FROM_PROVENANCE
    return {
        file: _compared(campaign.results / file, frames[file], table, unknown)
        for file, table in found.items()
    }


def refuse_other_tables(campaign: Campaign) -> None:
    """Refuse specs that print other numbers than experiments/paper/tables.yaml."""
    tables = read_tables(campaign.root)
    absent = set(tables.cell_names()) - campaign.specs.keys()
    if lines := check.problems(tables, campaign.cells, absent):
        raise UserError(lines[0])


def _check_runs(campaign: Campaign, frames: Frames) -> None:
    path, runs = campaign.results / "runs.csv", frames["runs.csv"]
    twice = runs.duplicated(["cell", "seed"])
    _refuse(path, runs["seed"], ~twice, lambda row: f"a second row of {row['cell']}", runs)
    asked = campaign.request.seeds
    _refuse(path, runs["seed"], runs["seed"] < asked, lambda _: f"{asked} were asked for", runs)
    for name, right in _of_specs(campaign.specs, runs).items():
        _refuse(
            path, runs[name], runs[name].astype(str) == right, lambda row: right[row.name], runs
        )


def _of_specs(specs: Mapping[str, Spec], runs: pd.DataFrame) -> dict[str, pd.Series]:
    """What the specs say of each run, as text; of a stale one, what it says itself."""
    rows = [(specs[row.cell], int(row.seed), row.run_id) for row in runs.itertuples()]
    ids = [spec.run_id(seed) for spec, seed, _ in rows]
    stale = [str(own != right) for (*_, own), right in zip(rows, ids, strict=True)]
    found = {
        "stale": stale,
        "dataset": [spec.dataset.name for spec, *_ in rows],
        "method": [spec.method.name for spec, *_ in rows],
        "protocol": [spec.protocol.name for spec, *_ in rows],
    }
    return {name: pd.Series(values, runs.index, dtype="str") for name, values in found.items()}


def _check_keys(path: Path, frame: pd.DataFrame, runs: pd.DataFrame) -> None:
    """A run's id stands for one cell and one seed, in every file."""
    places = dict(zip(runs["run_id"], zip(runs["cell"], runs["seed"], strict=True), strict=True))
    own = list(zip(frame["run_id"], frame["cell"], frame["seed"], strict=True))
    later = path.name == "forecast.csv"  # knows runs that are still to come
    good = [
        places.get(one, (cell, seed) if later else None) == (cell, seed) for one, cell, seed in own
    ]
    _refuse(path, frame["run_id"], pd.Series(good, frame.index, dtype=bool), lambda row: (
        f"runs.csv has no such run of {row['cell']} seed {row['seed']}"), frame)  # fmt: skip


def _check_epochs(path: Path, runs: pd.DataFrame, epochs: pd.DataFrame) -> None:
    """An accuracy is that of the last epoch, a best one the highest."""
    trained = epochs[epochs["epoch"] > 0].sort_values("epoch", kind="stable")
    by_run = trained.groupby("run_id")["accuracy"]
    known = runs[(runs["status"] == "done") & runs["run_id"].isin(trained["run_id"])]
    for name, right in (("accuracy", by_run.last()), ("best_accuracy", by_run.max())):
        expected = known["run_id"].map(right).astype(float)
        good = np.isclose(known[name].astype(float), expected, rtol=0, atol=CLOSE)
        said = lambda row, right=expected: f"epochs.csv.gz says {right[row.name]:g}"  # noqa: E731
        _refuse(path, known[name], pd.Series(good, known.index), said, known)


def _check_answers(path: Path, runs: pd.DataFrame, specs: Mapping[str, Spec]) -> None:
    """The number of images that a network got right is its accuracy."""
    known = runs[runs["right"].notna() & (runs["status"] == "done")]
    images = known["cell"].map({name: spec.test_images for name, spec in specs.items()})
    expected = 100 * known["right"].astype(float) / images.astype(float)
    good = np.isclose(known["accuracy"].astype(float), expected, rtol=0, atol=CLOSE)
    said = lambda row: f"its accuracy is {row['accuracy']:g}"  # noqa: E731
    _refuse(path, known["right"], pd.Series(good, known.index), said, known)


def _compared(
    path: Path, read: pd.DataFrame, made: pd.DataFrame, unknown: set[str]
) -> pd.DataFrame:
    """The table as it was made, with what only records tell as it was read."""
    if not len(read) and path.name != "cells.csv":
        return made
    if len(read) != len(made):
        raise UserError(f"{path}: {len(read)} rows, but runs.csv gives {len(made)}: {AGAIN}")
    made = made.set_axis(read.index)
    for name in COLUMNS[path.name]:
        column = read[name]
        if name in FROM_RECORDS or name in unknown or (name in LATER and _is_blank(column)):
            continue
        given = _text(made[name])
        said = lambda row, given=given: f"runs.csv gives {given[row.name]!r}"  # noqa: E731
        _refuse(path, column, _alike(column, made[name]), said, read)
    return made.assign(**{name: read[name] for name in FROM_RECORDS & set(made)})


def _is_blank(column: pd.Series) -> bool:
    return bool((column.isna() | (column.astype(str) == "")).all())


def _alike(read: pd.Series, made: pd.Series) -> pd.Series:
    if read.dtype.kind in "fi":
        found = np.isclose(
            read.astype(float), made.astype(float), rtol=CLOSE, atol=CLOSE, equal_nan=True
        )
        return pd.Series(found, read.index)
    return _text(read) == _text(made)


def _text(column: pd.Series) -> pd.Series:
    """Without anything where nothing is known."""
    return column.astype(object).where(column.notna(), "").astype(str)


def _refuse(
    path: Path,
    column: pd.Series,
    good: pd.Series,
    why: Callable[[pd.Series], str],
    frame: pd.DataFrame,
) -> None:
    bad = column[~good.to_numpy(dtype=bool)]
    if len(bad):
        place: Any = bad.index[0]
        value, said = str(bad.iloc[0])[:80], why(frame.loc[place])
        raise UserError(f"{path}: line {place + 2}: {column.name} {value!r}, but {said}: {AGAIN}")
