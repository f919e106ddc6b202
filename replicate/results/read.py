"""Reads the files of results/<campaign>/ that a report is made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from replicate.errors import UserError
from replicate.paper import tables as paper
from replicate.paper.claims import Finding, findings
from replicate.plan.campaign import Campaign, open_recorded
from replicate.plan.request import Request
from replicate.results.absent import UNFINISHED, progress
from replicate.results.beside import baselines
from replicate.results.checks import agreed
from replicate.results.contrasts import Contrasts
from replicate.results.csv_files import COLUMNS, read_csv
from replicate.specs import catalogue, resolve


@dataclass(frozen=True)
class Results:
    """What a campaign asked for and what came of it; frames have the columns of `COLUMNS`."""

    campaign: Campaign
    paper: paper.Tables
    cells: pd.DataFrame
    """Indexed by cell name; beside the file's columns `progress`, what absent.csv says of it."""
    runs: pd.DataFrame
    provenance: pd.DataFrame
    epochs: pd.DataFrame
    pools: pd.DataFrame
    maps: pd.DataFrame
    gains: pd.DataFrame
    overall: pd.DataFrame
    claims: pd.DataFrame
    forecast: pd.DataFrame
    oddities: pd.DataFrame
    absent: pd.DataFrame

    def __repr__(self) -> str:
        """Short: a notebook shows what a cell ends with."""
        frames = ", ".join(
            name for name, one in vars(self).items() if isinstance(one, pd.DataFrame)
        )
        return f"<results of campaign {self.campaign.name}: {frames}>"

    @property
    def request(self) -> Request:
        return self.campaign.request

    @cached_property
    def lacking(self) -> dict[str, str]:
        """The paper's cells that the protocol does not have, with what it says of them."""
        root = self.campaign.root
        if self.request.protocol not in resolve.protocols(root):  # gone: records alone are shown
            return {}
        protocol = resolve.read_protocol(root, self.request.protocol)
        return catalogue.uncovered(root, self.paper.cell_names(), protocol)

    @cached_property
    def caveat(self) -> str:
        """Why no number of this campaign may be compared with the paper's; empty where they may."""
        root, request = self.campaign.root, self.request
        specs = [cell.spec for cell in self.campaign.cells]
        kept = [cell for cell in self.campaign.cells if cell.name in self.campaign.lost]
        known = [cell for cell in request.cells if cell not in self.campaign.lost]
        # Without the settings: they are named by themselves below, whatever the protocol is worth.
        unset, _ = resolve.load_each(root, known, request.protocol)
        each = [cell.spec.protocol for cell in (*unset.values(), *kept)]
        protocols = [protocol for protocol in each if not protocol.comparable]
        reasons = [f"protocol {protocol.name} ({protocol.title})" for protocol in protocols]
        generated = any(spec.generated for spec in specs) or "generated" in set(self.runs["source"])
        # The title of a protocol such as smoke says so already.
        if generated and not any("generated" in reason for reason in reasons):
            reasons.append("generated images")
        if not all(spec.protocol.comparable for spec in specs):
            reasons += [f"setting {key}={value}" for key, value in request.settings.items()]
        return "; ".join(dict.fromkeys(reasons))

    @cached_property
    def findings(self) -> list[Finding]:
        """Of the paper's claims on its own numbers."""
        return findings(self.campaign.root, self.paper)

    @property
    def printed(self) -> pd.DataFrame:
        """The cells of the paper's tables."""
        return self.cells[self.cells["table"].notna()]

    @property
    def own(self) -> pd.DataFrame:
        """The cells that are in neither table."""
        return self.cells[self.cells["table"].isna()]

    @cached_property
    def beside(self) -> dict[str, str]:
        """The cell with average pooling that each other one is held against."""
        return baselines(self.campaign.specs)

    @property
    def done(self) -> pd.DataFrame:
        return self.runs[self.runs["status"] == "done"]

    @cached_property
    def epochs_of(self) -> dict[str, pd.DataFrame]:
        """By cell: comparing two million names costs more than drawing them."""
        return _of_cells(self.epochs)

    @cached_property
    def sums(self) -> pd.DataFrame:
        """The rows of pools.csv.gz of the tables' cells, as `placed`."""
        return placed(self.pools, self.cells)

    @cached_property
    def pools_of(self) -> dict[str, pd.DataFrame]:
        return _of_cells(self.pools)

    @cached_property
    def contrasts(self) -> Contrasts:
        """Any two cells beside each other."""
        cells = self.cells.reset_index(drop=True)
        return Contrasts(self.campaign, self.paper, self.runs, self.provenance, cells, {})


def read_results(root: Path, name: str) -> Results:
    """Read a campaign's results, and hold its CSV files against each other.

    What judges is made from runs.csv again. Files other than cells.csv may be missing, and cost their own
    part of a report.

    Raises:
        UserError: no such campaign, a file that lacks a column, or one that contradicts another.
    """
    opened = open_recorded(root, name)
    if not (opened.results / "cells.csv").is_file():
        path, cure = opened.results / "cells.csv", f"`replicate aggregate {name}`"
        raise UserError(f"{path}: no such file: {cure} makes it from the records")
    frames = {file: read_csv(opened, file) for file in COLUMNS}
    frames |= agreed(opened, frames)
    cells = _under_way(frames.pop("cells.csv"), progress(frames["absent.csv"]))
    return Results(
        campaign=opened,
        paper=paper.read_tables(root),
        cells=cells.set_index("cell", drop=False).rename_axis(None),
        **{file.partition(".")[0]: frame for file, frame in frames.items()},
    )


def _under_way(cells: pd.DataFrame, reached: Mapping[str, str]) -> pd.DataFrame:
    """Of a cell without a run that ended, but with one that began, cells.csv says `not run`."""
    own = cells["cell"].map(lambda name: reached.get(name, ""))
    began = (cells["verdict"] == "not run") & (own != "")
    words = {name: cells[name].mask(began, UNFINISHED) for name in ("verdict", "best_verdict")}
    return cells.assign(progress=own, **words)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dictionaries by column name."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _of_cells(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(cell): own for cell, own in frame.groupby("cell", sort=False)}


def by_cell(frame: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The rows of a table that has one per cell."""
    return {row["cell"]: row for row in records(frame)}


def placed(frame: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Rows of pools.csv.gz or maps.csv.gz with the cell's place in the tables, and the stage of each head."""
    places = cells[["cell", "table", "row", "column"]].reset_index(drop=True)
    places = places[places["table"].notna()].rename(columns={"row": "set", "column": "method"})
    return _staged(frame.merge(places, on="cell"))


def outside(frame: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Those of the cells that are in neither table, with the stage of each head."""
    return _staged(frame[frame["cell"].isin(cells.index[cells["table"].isna()])])


def _staged(frame: pd.DataFrame) -> pd.DataFrame:
    """The last head sits on stage 3, however many heads there are and wherever their count begins."""
    last = frame.groupby("cell")["head"].transform("max")
    return frame.assign(stage=3 - (last - frame["head"]))
