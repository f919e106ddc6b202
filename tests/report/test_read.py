"""Reading a campaign's CSV files."""

import gzip
from typing import Any

import pandas as pd
import pytest

from replicate.errors import UserError
from replicate.results.csv_files import COLUMNS
from replicate.results.read import read_results
from tests import making

CELL = "table1/cifar10/flexpool"


def test_files_that_are_missing_or_empty_have_no_rows(make) -> None:
    root = make(cells=[CELL], seeds=2)
    folder = making.unsealed(root, "paper")
    for name in ("pools.csv.gz", "forecast.csv"):
        (folder / name).unlink()
    (folder / "provenance.csv").write_text("")
    with gzip.open(folder / "maps.csv.gz", "wt") as file:
        file.write("")
    results = read_results(root, "paper")
    for name, frame in (
        ("forecast.csv", results.forecast),
        ("provenance.csv", results.provenance),
        ("pools.csv.gz", results.pools),
        ("maps.csv.gz", results.maps),
    ):
        assert frame.empty
        assert list(frame.columns) == list(COLUMNS[name])
    assert len(results.epochs) == 200


def test_text_stays_text(make) -> None:
    ids, errors = ["012345678901", "12345e678901"], ["nan", "NA"]

    def edit(cell: str, seed: int) -> dict[str, Any]:
        return {"id": ids[seed], "error": errors[seed]}

    results = read_results(make(cells=[CELL], seeds=2, edit=edit), "paper")
    assert list(results.runs["run_id"]) == ["012345678901", "12345e678901"]
    assert list(results.runs["error"]) == ["nan", "NA"]
    assert results.cells.loc[CELL, "published"] == "91.91"
    assert results.cells.loc[CELL, "mixed"] == ""


def test_a_column_that_is_gone_is_named(make) -> None:
    root = make(cells=[CELL], seeds=1)
    path = making.unsealed(root, "paper") / "cells.csv"
    pd.read_csv(path).drop(columns="verdict").to_csv(path, index=False)
    with pytest.raises(UserError, match=r"cells\.csv: has no column verdict"):
        read_results(root, "paper")


@pytest.mark.parametrize("name", ["../paper", "paper/", "", ".."])
def test_a_campaign_is_the_name_of_a_folder(make, name: str) -> None:
    with pytest.raises(UserError, match="lower-case letters, digits and single hyphens"):
        read_results(make(cells=[CELL], seeds=1), name)


def test_cells_csv_must_be_there(make) -> None:
    root = make(cells=[CELL], seeds=1)
    (root / "results" / "paper" / "cells.csv").unlink()
    with pytest.raises(UserError, match=r"cells\.csv: no such file"):
        read_results(root, "paper")
