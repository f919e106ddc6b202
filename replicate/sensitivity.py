"""What a reading of the paper changes: a ledger entry's alternatives beside the cell they start from."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from replicate import campaign as campaigns
from replicate import catalogue, ledger
from replicate.campaign import Campaign
from replicate.errors import UserError
from replicate.ledger import Alternative, Entry

if TYPE_CHECKING:
    from replicate.dispatch.local import Options
    from replicate.report.read import Results
    from replicate.results.statistics import Gain

HEADERS = ("reading", "accuracy (%)", "change", "95 % interval", "pairs", "p (Holm)", "verdict")


@dataclass(frozen=True)
class Effect:
    """What one alternative changes, in points of accuracy."""

    entry: Entry
    alternative: Alternative
    base: str
    """The cell with the default reading."""
    base_mean: float
    """Percent; nan without a finished seed, as `mean`."""
    cell: str
    """The cell with the alternative."""
    mean: float
    gain: "Gain"
    """Alternative minus default, paired by seed."""
    p: float
    """Corrected by Holm's method over all that the campaign holds of the entry."""
    verdict: str
    """`gain`, `loss`, `no evidence`, `incomplete (k/n seeds)`, or `not comparable`."""


def cell_name(entry: Entry, alternative: Alternative, base: str | None = None) -> str:
    """The cell that differs from `base`, or else from the entry's own cell, by this alternative alone."""
    reading = f"{entry.id.lower()}-{alternative.slug}"
    return f"{catalogue.READINGS}/{reading}" if base in (None, entry.cell) else f"{base}@{reading}"


def find(entries: Iterable[Entry], name: str) -> Entry:
    """The entry to run; raises UserError where there is none, or nothing to run."""
    by_id = {entry.id: entry for entry in entries}
    entry = by_id.get(name.upper())
    if entry is None:
        raise UserError(f"no ledger entry {name!r}: choose from {', '.join(by_id)}")
    if not entry.alternatives:
        raise UserError(f"{entry.id} has no alternative to run: {entry.no_alternatives}")
    return entry


def choose(root: Path, entry: Entry, patterns: Sequence[str]) -> list[str]:
    """The tables' cells that match and that the entry bears on; without patterns, the entry's own."""
    if not patterns:
        return [str(entry.cell)]
    names = catalogue.select(catalogue.cell_names(root), [])
    found = catalogue.select(names, patterns)
    if not any(map(entry.bears_on, found)):
        raise UserError(f"{entry.id} bears on {', '.join(entry.cells)}, not on {', '.join(found)}")
    return list(filter(entry.bears_on, found))


def plan(
    root: Path,
    name: str,
    patterns: Sequence[str],
    protocol: str,
    seeds: int,
    campaign: str | None,
    settings: dict[str, str],
) -> Campaign:
    """The campaign of an entry: the chosen cells, each with every alternative.

    Raises:
        UserError: nothing to run, or a setting that undoes an alternative.
    """
    entry = find(ledger.read_ledger(root), name)
    bases = catalogue.offered(root, choose(root, entry, patterns), protocol)
    others = [cell_name(entry, one, base) for base in bases for one in entry.alternatives]
    wanted = {
        "name": f"{protocol}-{entry.id.lower()}" if campaign is None else campaign,
        "protocol": protocol,
        "settings": settings,
        "cells": [*bases, *others],
        "seeds": seeds,
    }
    found = campaigns.asked(root, campaigns.request(wanted))
    _refuse_what_is_no_alternative(entry, bases, found)
    return found


def run(campaign: Campaign, options: "Options") -> int:
    """Train what is missing, report, and print what the choice changes; returns the exit code."""
    from replicate.dispatch import local
    from replicate.report.read import read

    code = local.run(campaign, options)
    print(table(effects(read(campaign.root, campaign.request.name))))
    return code


def effects(results: "Results") -> list[Effect]:
    """Of every alternative that is in a campaign together with its cell, in the ledger's order."""
    from replicate.results.aggregate import accuracies

    by_seed = accuracies(results.cells, results.runs)
    specs = results.campaign.specs
    found: list[Effect] = []
    for entry in ledger.read_ledger(results.campaign.root):
        pairs = [
            (base, alternative)
            for base in filter(entry.bears_on, specs)
            for alternative in entry.alternatives
            if cell_name(entry, alternative, base) in specs
        ]
        comparable = all(specs[base].comparable for base, _ in pairs)
        found += _of_entry(entry, pairs, by_seed, results.request.seeds, comparable)
    return found


def table(found: Iterable[Effect]) -> str:
    """Entry by entry as text, the default's own accuracy first."""
    from tabulate import tabulate

    blocks = []
    for (_, base), group in itertools.groupby(found, lambda one: (one.entry.id, one.base)):
        same = list(group)
        entry = same[0].entry
        head = f"{entry.id}, {entry.title}. {base}; changes in points, paired by seed:"
        rows = tabulate(
            list(_rows(same)), HEADERS, disable_numparse=True, maxcolwidths=[60, *[None] * 6]
        )
        blocks.append(f"{head}\n{rows}")
    return "\n\n".join(blocks)


def _of_entry(
    entry: Entry,
    pairs: Sequence[tuple[str, Alternative]],
    by_seed: Mapping[str, Mapping[int, float]],
    seeds: int,
    comparable: bool,
) -> Iterator[Effect]:
    from replicate.results import statistics

    cells = [cell_name(entry, alternative, base) for base, alternative in pairs]
    gains = [
        statistics.paired_gain(by_seed.get(cell, {}), by_seed.get(base, {}))
        for cell, (base, _) in zip(cells, pairs, strict=True)
    ]
    corrected = statistics.holm([gain.p for gain in gains])
    for cell, (base, alternative), gain, p in zip(cells, pairs, gains, corrected, strict=True):
        yield Effect(
            entry=entry,
            alternative=alternative,
            base=base,
            base_mean=_mean(by_seed.get(base, {})),
            cell=cell,
            mean=_mean(by_seed.get(cell, {})),
            gain=gain,
            p=float(p),
            verdict=statistics.gain_verdict(gain, p, seeds) if comparable else "not comparable",
        )


def _mean(by_seed: Mapping[int, float]) -> float:
    from replicate.results.statistics import summary

    return float(summary(list(by_seed.values())).mean)


def _rows(same: list[Effect]) -> Iterator[tuple[str, ...]]:
    first = same[0]
    yield (f"default: {first.entry.default}", _number(first.base_mean, ".2f"), "", "", "", "", "")
    for effect in same:
        gain = effect.gain
        interval = f"{gain.low:+.2f} to {gain.high:+.2f}" if gain.n > 1 else "needs 2 pairs"
        yield (
            *(effect.alternative.title, _number(effect.mean, ".2f"), _number(gain.mean, "+.2f")),
            *(interval, str(gain.n), _number(effect.p, ".2g"), effect.verdict),
        )


def _number(value: float, style: str) -> str:
    return "" if value != value else format(value, style)


def _refuse_what_is_no_alternative(entry: Entry, bases: Iterable[str], campaign: Campaign) -> None:
    """A setting lies over every cell, a protocol may be another's reading: either may take from an
    alternative what makes it one."""
    specs = campaign.specs
    for base, alternative in itertools.product(bases, entry.alternatives):
        own = specs[cell_name(entry, alternative, base)]
        lost = alternative.changes.keys() - ledger.differences(specs[base], own)
        if lost:
            keys, settings = sorted(lost), campaign.request.settings
            place = "--set" if lost & settings.keys() else f"protocol {campaign.request.protocol}"
            raise UserError(f"{place} {', '.join(keys)}: {entry.id} is about this very value")
