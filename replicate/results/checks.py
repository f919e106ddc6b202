"""Whether the CSV files of a campaign contradict each other, its specs or the paper's tables.

They can come from anybody, and a number that was changed in one of them must not reach a report. Each
contradiction is one line that names the file, the line, the value and what it should be.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from replicate.errors import UserError
from replicate.files.checksums import again
from replicate.paper.tables import read_tables
from replicate.plan.campaign import Campaign
from replicate.results.csv_files import COLUMNS, LATER, refuse
from replicate.results.judgement import judged
from replicate.results.rows import NAMES, names
from replicate.specs import check
from replicate.specs.spec import Spec
from replicate.text import series

Frames = Mapping[str, pd.DataFrame]
"""By file name."""
FROM_RECORDS = {"calibration", "images_low", "images_high", "mcnemar"}
"""Columns that no CSV file gives again."""
FROM_PROVENANCE = {"mixed", "rule"}
"""Columns that runs.csv alone does not give again, where there is no provenance.csv."""
CLOSE = 1e-6
"""In points: what libraries may differ by, and below what anybody would print."""


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
    found = judged(campaign, frames["runs.csv"], frames["provenance.csv"], answers={})
    unknown = set() if len(frames["provenance.csv"]) else FROM_PROVENANCE
    return {
        file: _compared(campaign.results / file, frames[file], table, unknown)
        for file, table in found.items()
    }


def refuse_other_tables(campaign: Campaign) -> None:
    """Refuse specs that print other numbers than experiments/paper/tables.yaml."""
    tables = read_tables(campaign.root)
    printed = set(tables.cell_names())
    own = [cell for cell in campaign.cells if cell.name in printed]
    if lines := check.problems(tables, own, printed - campaign.specs.keys()):
        raise UserError(lines[0])


def _check_runs(campaign: Campaign, frames: Frames) -> None:
    path, runs = campaign.results / "runs.csv", frames["runs.csv"]
    once, wanted = ~runs.duplicated(["cell", "seed"]), campaign.request.seeds_of
    refuse(
        path, runs["seed"], once, "there is one row of each seed, and a second row of", runs["cell"]
    )
    specs = campaign.specs
    places = zip(runs["cell"], runs["seed"], strict=True)
    known = pd.Series([seed in wanted(cell) for cell, seed in places], runs.index, dtype=bool)
    asked = runs["cell"].map({cell: series(wanted(cell)) for cell in specs})
    refuse(path, runs["seed"], known, "the seeds asked for are", asked)
    ids = [
        specs[cell].run_id(int(seed)) for cell, seed in zip(runs["cell"], runs["seed"], strict=True)
    ]
    stale = (runs["run_id"] != pd.Series(ids, runs.index, dtype="str")).astype(str)
    refuse(path, runs["stale"], _text(runs["stale"]) == stale, "by its spec it is", stale)
    current = runs[stale == "False"]
    for name in NAMES:
        right = current["cell"].map({cell: names(spec)[name] for cell, spec in specs.items()})
        refuse(path, current[name], current[name] == right, "by its spec it is", right)


def _check_keys(path: Path, frame: pd.DataFrame, runs: pd.DataFrame) -> None:
    """A run's id stands for one cell and one seed, in every file."""
    key = ["run_id", "cell", "seed"]
    own = frame[key].drop_duplicates()  # of millions of rows, one a run
    good = own.merge(runs[key].drop_duplicates(), how="left", indicator=True)["_merge"] == "both"
    if path.name == "forecast.csv":  # knows runs that are still to come
        good |= ~own["run_id"].isin(runs["run_id"]).to_numpy()
    said = "runs.csv has no such run of this seed and cell"
    refuse(path, own["run_id"], good, said, own["cell"])


def _check_epochs(path: Path, runs: pd.DataFrame, epochs: pd.DataFrame) -> None:
    """An accuracy is that of the last epoch, a best one the highest that is not of a pretraining."""
    last = epochs.groupby("run_id")["accuracy"].last()
    best = epochs[epochs["epoch"] > 0].groupby("run_id")["accuracy"].max()
    known = runs[(runs["status"] == "done") & runs["run_id"].isin(last.index)]
    for name, found in (("accuracy", last), ("best_accuracy", best)):
        right = known["run_id"].map(found).astype(float)
        refuse(path, known[name], _close(known[name], right), "epochs.csv.gz says", right)


def _check_answers(path: Path, runs: pd.DataFrame, specs: Mapping[str, Spec]) -> None:
    """The number of images that a network got right is its accuracy."""
    current = (runs["status"] == "done") & (_text(runs["stale"]) == "False")
    known = runs[runs["right"].notna() & current]
    images = known["cell"].map({name: spec.test_images for name, spec in specs.items()})
    right = (known["accuracy"] * images.astype(float) / 100).round(6)
    refuse(path, known["right"], _close(known["right"], right), "by its accuracy it is", right)


def _compared(
    path: Path, read: pd.DataFrame, made: pd.DataFrame, unknown: set[str]
) -> pd.DataFrame:
    """The table as it was made, with what only records tell as it was read."""
    texts = {name: _text(made[name]) for name, kind in COLUMNS[path.name].items() if kind == "str"}
    made = made.assign(**texts)
    if not len(read) and path.name != "cells.csv":
        return made
    if len(read) != len(made):
        said = f"{len(read)} rows, but runs.csv gives {len(made)}"
        raise UserError(f"{path}: {said}: {again(path)}")
    # The file's own lines, so that a refusal can name one.
    made = made.set_axis(read.index)
    for name in COLUMNS[path.name]:
        column = read[name]
        # A file of an earlier version lacks some columns: read as blank, they contradict nothing.
        blank = name in LATER and bool((_text(column) == "").all())
        if blank or name in FROM_RECORDS or name in unknown:
            continue
        right = made[name]
        alike = _close if column.dtype.kind in "fi" else lambda a, b: _text(a) == _text(b)
        refuse(path, column, alike(column, right), "runs.csv gives", _text(right))
    return made.assign(**{name: read[name] for name in FROM_RECORDS & set(made)})


def _close(read: pd.Series, right: pd.Series) -> pd.Series:
    one, other = (column.to_numpy(dtype=float, na_value=np.nan) for column in (read, right))
    return pd.Series(np.isclose(one, other, rtol=CLOSE, atol=CLOSE, equal_nan=True), read.index)


def _text(column: pd.Series) -> pd.Series:
    """Without anything where nothing is known."""
    return column.astype(object).where(column.notna(), "").astype(str)
