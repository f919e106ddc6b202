"""Tells how many seeds, and hours, it takes to settle what a campaign asks; also before any run."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from replicate.errors import UserError
from replicate.paper import claims, noise
from replicate.paper.numbers import Place
from replicate.paper.tables import Tables, cell_name, read_tables
from replicate.plan import forecast
from replicate.plan.campaign import Campaign, campaign_names, open_campaign
from replicate.report.document import Table, plain_rows
from replicate.report.text import as_text
from replicate.results.csv_files import read_csv
from replicate.results.power import MOST_SEEDS, POWER, Need, Plan, Planned, factors
from replicate.results.verdicts import WIDEST
from replicate.specs import catalogue, resolve
from replicate.specs.resolve import Cell

COLUMNS = ("what", "seeds", "hours to go", "then it says")
LEGEND = f"""\
Planned with the spread measured where two seeds tell of one, else with the noise floor times the factor
that the trained cells of the table show. A cell is settled when the prediction interval is no wider than
{WIDEST} noise floors; the others when they come out with a power of {POWER:.0%}, if the printed numbers
are the truth. Never: not with {MOST_SEEDS} seeds either. Hours: the missing runs, one after the other."""


def power(root: Path, name: str | None = None, protocol: str | None = None) -> str:
    """Of a campaign, of the tables under a protocol, or of all campaigns with results.

    Raises:
        UserError: no such campaign or protocol, or a campaign without results.
    """
    if protocol is not None:
        return "\n\n".join([_of_protocol(root, protocol), LEGEND])
    names = campaign_names(root) if name is None else [name]
    opened = [open_campaign(root, one) for one in names]
    measured = [one for one in opened if name or _has_results(one)]
    if not measured:
        return (
            "No campaign with results yet: begin one with `replicate run`, or plan one with "
            "`replicate power --protocol paper`."
        )
    return "\n\n".join([*map(_of_campaign, measured), LEGEND])


def _of_campaign(campaign: Campaign) -> str:
    if not _has_results(campaign):
        raise UserError(
            f"{campaign.results / 'cells.csv'}: not there; make it with `replicate aggregate`"
        )
    title = f"Campaign {campaign.request.name}"
    return _text(campaign.root, title, campaign.cells, [campaign], own=campaign)


def _of_protocol(root: Path, protocol: str) -> str:
    """With the spreads of every campaign that has results."""
    opened = [open_campaign(root, one) for one in campaign_names(root)]
    names = catalogue.offered(root, [], protocol)
    title = f"Protocol {protocol}, before any run"
    return _text(
        root, title, resolve.load(root, names, protocol), list(filter(_has_results, opened))
    )


def _has_results(campaign: Campaign) -> bool:
    return (campaign.results / "cells.csv").exists()


def _text(
    root: Path,
    title: str,
    cells: Sequence[Cell],
    measured: Sequence[Campaign],
    own: Campaign | None = None,
) -> str:
    tables = read_tables(root)
    found = _factors(measured)
    plan = _plan(tables, cells, found, _speeds(measured), own)
    if not plan.cells:
        return f"{title}: no cell of the paper's tables."
    parts = (
        ("Overall", plan.overall_needs()),
        ("Gains", plan.gain_needs()),
        ("Claims", plan.claim_needs(claims.read_claims(root))),
        ("Cells", plan.cell_needs()),
    )
    spread = ", ".join(f"{factor:.1f} in Table {table}" for table, factor in sorted(found.items()))
    line = f"{title}. Spread over the noise floor: {spread or 'not measured yet, taken as 1'}."
    shown = [
        as_text(Table(name, COLUMNS, plain_rows([tuple(_row(n)) for n in needs])))
        for name, needs in parts
        if needs
    ]
    return "\n\n".join([line, *shown])


def _factors(measured: Iterable[Campaign]) -> dict[int, float]:
    """Pooled over campaigns."""
    frames: list[pd.DataFrame] = []
    images: dict[str, int] = {}
    for campaign in measured:
        frames.append(read_csv(campaign, "cells.csv"))
        images |= {name: spec.test_images for name, spec in campaign.specs.items()}
    return factors(pd.concat(frames), images) if frames else {}


def _speeds(measured: Iterable[Campaign]) -> dict[forecast.Kind, float]:
    found: dict[forecast.Kind, float] = {}
    for campaign in measured:
        found |= forecast.recorded(campaign.look().done, campaign.runs_folder)
    return found


def _plan(
    tables: Tables,
    cells: Sequence[Cell],
    found: dict[int, float],
    speeds: forecast.Speeds,
    own: Campaign | None,
) -> Plan:
    rows = {} if own is None else read_csv(own, "cells.csv").set_index("cell").to_dict("index")
    printed = {cell_name(one): one for one in tables.cells()}
    planned: dict[Place, Planned] = {}
    for cell in cells:
        if one := printed.get(cell.name):
            row = rows.get(cell.name, {"n": 0, "sd": np.nan, "spread": np.nan})
            floor = noise.sd_ref(one.accuracy, cell.spec.test_images)
            known = (
                row["spread"] if np.isfinite(row["spread"]) else found.get(one.table, 1.0) * floor
            )
            seconds = forecast.seconds(cell.spec, speeds) if speeds else float("nan")
            planned[Place(one.table, one.row, one.column)] = Planned(
                one, floor, float(known), int(row["n"]), seconds
            )
    return Plan(tables, planned)


def _row(need: Need) -> Iterator[object]:
    yield need.what
    yield "never" if need.seeds is None else need.seeds
    yield f"{need.hours:.1f}" if np.isfinite(need.hours) else ""
    yield need.word
