"""Reads the files of results/<campaign>/ that a report is made from."""

import zlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from replicate import atomic, campaign, catalogue, paper, sums
from replicate.campaign import Campaign, Request
from replicate.errors import UserError
from replicate.report.checks import check
from replicate.results.columns import COLUMNS, LATER, Kind

UNREADABLE = (OSError, EOFError, ValueError, TypeError, OverflowError, zlib.error)
"""What reading a damaged CSV file can end in."""


@dataclass(frozen=True)
class Results:
    """What a campaign asked for and what came of it; frames have the columns of `COLUMNS`."""

    campaign: Campaign
    paper: paper.Tables
    cells: pd.DataFrame
    """Indexed by cell name."""
    runs: pd.DataFrame
    provenance: pd.DataFrame
    epochs: pd.DataFrame
    pools: pd.DataFrame
    maps: pd.DataFrame
    forecast: pd.DataFrame

    @property
    def request(self) -> Request:
        return self.campaign.request

    @cached_property
    def lacking(self) -> dict[str, str]:
        """The paper's cells that the protocol does not have, with what it says of them."""
        root = self.campaign.root
        protocol = catalogue.read_protocol(root, self.request.protocol)
        return catalogue.uncovered(root, self.paper.cell_names(), protocol)

    @property
    def done(self) -> pd.DataFrame:
        return self.runs[self.runs["status"] == "done"]


def read(root: Path, name: str) -> Results:
    """Read a campaign's results; CSV files other than cells.csv may be missing.

    Raises:
        UserError: no such campaign, or a file that lacks a column.
    """
    opened = campaign.opened(root, name)
    if not (opened.results / "cells.csv").is_file():
        raise UserError(f"{opened.results / 'cells.csv'}: no such file: run `replicate run` first")
    cells = frame(opened, "cells.csv")
    frames = {
        file: frame(opened, file, set(cells["cell"])) for file in COLUMNS if file != "cells.csv"
    }
    return Results(
        campaign=opened,
        paper=paper.read_tables(root),
        cells=cells.set_index("cell", drop=False).rename_axis(None),
        runs=frames["runs.csv"],
        provenance=frames["provenance.csv"],
        epochs=frames["epochs.csv.gz"],
        pools=frames["pools.csv.gz"],
        maps=frames["maps.csv.gz"],
        forecast=frames["forecast.csv"],
    )


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dictionaries by column name."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def frame(campaign: Campaign, file: str, cells: Collection[str] = ()) -> pd.DataFrame:
    """One of a campaign's CSV files, typed; no rows where the file is missing or empty.

    Args:
        cells: that it may speak of; by default those of the campaign.

    Raises:
        UserError: it cannot be read, lacks a column, or says what cannot be.
    """
    frame = _frame(campaign.results / file)
    check(campaign.results / file, frame, cells or {cell.name for cell in campaign.cells})
    return frame


def _frame(path: Path) -> pd.DataFrame:
    types = COLUMNS[path.name]
    sums.check(path)
    try:
        atomic.require_regular(path)
        # "NA" in a text column stays text.
        frame = pd.read_csv(path, dtype=types, keep_default_na=False, na_values=_blank(types))
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in types.items()})
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"{path}: cannot be read ({reason}): make it again with `replicate aggregate`"
        ) from None
    unknown = {name: pd.Series(dtype=types[name]) for name in LATER & types.keys() - set(frame)}
    frame = frame.assign(**unknown)
    if missing := types.keys() - set(frame.columns):
        columns = ", ".join(sorted(missing))
        raise UserError(
            f"{path}: has no column {columns}: make it again with `replicate aggregate`"
        )
    return frame


def _blank(types: dict[str, Kind]) -> dict[str, list[str]]:
    """Nothing between the commas is a missing number, but an empty text."""
    return {name: ["", "nan"] for name, kind in types.items() if kind in ("float", "Int64")}
