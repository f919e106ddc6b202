"""Reads the files of results/<campaign>/ that a report is made from."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from replicate import campaign, catalogue, paper
from replicate.campaign import Campaign, Request
from replicate.errors import UserError
from replicate.results.columns import COLUMNS
from replicate.results.frames import frame


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
