"""Tells how many seeds, and hours, it takes to settle what a campaign asks; also before any run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from replicate.errors import UserError
from replicate.files.checksums import again
from replicate.paper import claims, noise
from replicate.paper.tables import Place, Tables, read_tables
from replicate.plan import forecast
from replicate.plan.campaign import Campaign
from replicate.report.document import Table, as_text, plain_rows
from replicate.results.csv_files import read_csv
from replicate.results.power import MOST_SEEDS, POWER, Need, Plan, Planned, factors
from replicate.results.verdicts import WIDEST
from replicate.specs import catalogue, resolve
from replicate.specs.resolve import Cell
from replicate.text import BEGIN, as_json, folded
from replicate.workflows.each import of_each

COLUMNS = ("what", "seeds", "hours to go", "then it says")
LEGEND = f"""\
Planned with the spread measured where two seeds tell of one, else with the noise floor times the factor
that the trained cells of the table show. A cell is settled when the prediction interval is no wider than
{WIDEST} noise floors; the others when they come out with a power of {POWER:.0%}, if the printed numbers
are the truth. Never: not with {MOST_SEEDS} seeds either. Hours: the missing runs, one after the other."""


@dataclass(frozen=True)
class Outlook:
    """What it takes to settle what a campaign, or a protocol, asks."""

    name: str
    title: str
    factors: dict[int, float]
    parts: dict[str, list[Need]]
    """Of the overall answer, gains, claims and cells; empty without a cell of the tables."""
    price: float | None = None
    """Of an hour of one worker, where it was given."""

    def __str__(self) -> str:
        if not self.parts:
            return f"{self.title}: no cell of the paper's tables."
        pooled = (f"{one:.1f} in Table {table}" for table, one in sorted(self.factors.items()))
        spread = ", ".join(pooled) or "not measured yet, taken as 1"
        tables = (
            as_text(Table(part, self._columns(), plain_rows([*map(self._row, needs)])))
            for part, needs in self.parts.items()
            if needs
        )
        return "\n\n".join([f"{self.title}. Spread over the noise floor: {spread}.", *tables])

    def values(self) -> Iterator[dict[str, object]]:
        """For programs; seeds are null where no number of them is enough."""
        for part, needs in self.parts.items():
            for need in needs:
                yield {
                    **{"of": self.name, "part": part.lower(), "what": need.what},
                    **{"seeds": need.seeds, "hours": need.hours, "says": need.word},
                    "cost": None if self.price is None else need.hours * self.price,
                }

    def _columns(self) -> tuple[str, ...]:
        return COLUMNS if self.price is None else (*COLUMNS[:3], "cost", *COLUMNS[3:])

    def _row(self, need: Need) -> tuple[object, ...]:
        seeds = "never" if need.seeds is None else need.seeds
        spent = [f"{need.hours:.1f}"]
        if self.price is not None:
            spent.append(f"{need.hours * self.price:.2f}")
        known = spent if np.isfinite(need.hours) else [""] * len(spent)
        return need.what, seeds, *known, need.word


def power(
    root: Path,
    name: str | None = None,
    protocol: str | None = None,
    json: bool = False,
    price: float | None = None,
    settings: Mapping[str, str] | None = None,
) -> str:
    """Of a campaign, of the tables under a protocol, or of all campaigns with results; text or JSON.

    Args:
        price: of an hour of one worker, in any currency.
        settings: laid over every cell of a protocol; a campaign has its own.

    Raises:
        UserError: no such campaign or protocol, both of them, a campaign without results or with `settings`.
    """
    if protocol is not None and name is not None:
        raise UserError(f"{name} and --protocol {protocol}: a campaign has its protocol; give one")
    if protocol is None and settings:
        way_out = "leave it out" if name else "give --protocol as well"
        raise UserError(f"{_said(settings)}: a campaign has its own; {way_out}")
    if protocol is not None:
        found = [_of_protocol(root, protocol, settings or {})]
    else:
        found = list(of_each(root, name, lambda one: _of_campaign(one, asked=name is not None)))
    found = [replace(one, price=price) for one in found]
    if json:
        return as_json(row for one in found for row in one.values())
    if not found:
        return f"No campaign with results yet: {BEGIN}, or plan one with `replicate power --protocol paper`."
    return "\n\n".join([*map(str, found), folded(LEGEND)])


def _of_campaign(campaign: Campaign, asked: bool) -> list[Outlook]:
    """Nothing for a campaign that has no results, unless it was `asked` for by name."""
    if _has_results(campaign):
        title = f"Campaign {campaign.name}"
        cells = campaign.cells
        return [_outlook(campaign.root, campaign.name, title, cells, [campaign], campaign)]
    if asked:
        path = campaign.results / "cells.csv"
        raise UserError(f"{path}: not there: {again(path)}")
    return []


def _of_protocol(root: Path, protocol: str, settings: Mapping[str, str]) -> Outlook:
    """With the spreads and speeds of every campaign that has results on real images."""
    names = catalogue.offered(root, [], protocol)
    measured = list(of_each(root, None, lambda one: [one] if _is_real(one) else []))
    title = " with ".join(filter(None, [f"Protocol {protocol}", _said(settings)]))
    cells = resolve.load(root, names, protocol, settings)
    return _outlook(root, protocol, f"{title}, before any run", cells, measured)


def _said(settings: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in settings.items())


def _is_real(campaign: Campaign) -> bool:
    return _has_results(campaign) and not any(one.generated for one in campaign.specs.values())


def _has_results(campaign: Campaign) -> bool:
    return (campaign.results / "cells.csv").exists()


def _outlook(
    root: Path,
    name: str,
    title: str,
    cells: Sequence[Cell],
    measured: Sequence[Campaign],
    own: Campaign | None = None,
) -> Outlook:
    found = _factors(measured)
    plan = _plan(read_tables(root), cells, found, _speeds(measured), own)
    if not plan.cells:
        return Outlook(name, title, found, {})
    parts = {
        "Overall": plan.overall_needs(),
        "Gains": plan.gain_needs(),
        "Claims": plan.claim_needs(claims.read_claims(root)),
        "Cells": plan.cell_needs(),
    }
    return Outlook(name, title, found, parts)


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
    printed = {one.place.cell: one for one in tables.cells()}
    planned: dict[Place, Planned] = {}
    for cell in cells:
        if one := printed.get(cell.name):
            row = rows.get(cell.name, {"n": 0, "spread": np.nan})
            floor = noise.sd_ref(one.accuracy, cell.spec.test_images)
            known = (
                row["spread"] if np.isfinite(row["spread"]) else found.get(one.table, 1.0) * floor
            )
            seconds = forecast.seconds(cell.spec, speeds) if speeds else float("nan")
            planned[one.place] = Planned(one, floor, float(known), int(row["n"]), seconds)
    return Plan(tables, planned)
