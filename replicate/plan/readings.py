"""The campaign of an ambiguity: other readings of the paper beside the cells that they start from."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from replicate.errors import UserError
from replicate.paper.ambiguities import Alternative, Ambiguity, read_ambiguities
from replicate.plan.campaign import Campaign, begin_or_extend, free_name, refuse_twins
from replicate.plan.request import new_request
from replicate.specs import catalogue, resolve
from replicate.specs.spec import Spec
from replicate.text import say

Lacking = Callable[[Iterable[str]], Mapping[str, str]]
"""What is to be said of those of some precisions that a machine lacks."""


def differences(a: Spec, b: Spec) -> set[str]:
    """The dotted keys whose values differ."""
    left, right = (
        {".".join(keys): value for keys, value in resolve.leaves(spec.model_dump())}
        for spec in (a, b)
    )
    missing = object()
    return {key for key in left | right if left.get(key, missing) != right.get(key, missing)}


def cell_name(entry: Ambiguity, alternative: Alternative, base: str | None = None) -> str:
    """The cell that differs from `base`, or else from the entry's own cell, by this alternative alone."""
    reading = f"{entry.id.lower()}-{alternative.slug}"
    return f"{resolve.READINGS}/{reading}" if base in (None, entry.cell) else f"{base}@{reading}"


def find(entries: Iterable[Ambiguity], name: str) -> Ambiguity:
    """The entry to run; raises UserError where there is none, or nothing to run."""
    by_id = {entry.id: entry for entry in entries}
    entry = by_id.get(name.upper())
    if entry is None:
        raise UserError(f"no ambiguity {name!r}: choose from {', '.join(by_id)}")
    if not entry.alternatives:
        raise UserError(f"{entry.id} has no alternative to run: {entry.no_alternatives}")
    return entry


def _here(entry: Ambiguity, lacking: Lacking) -> Sequence[Alternative]:
    """Those whose precision this machine has; raises UserError where it has none of them."""
    key = "training.precision"
    asked = [str(one.changes[key]) for one in entry.alternatives if key in one.changes]
    lacks = lacking(asked) if asked else {}
    able = [one for one in entry.alternatives if str(one.changes.get(key)) not in lacks]
    if not able:
        raise UserError(f"{entry.id}: {'; '.join(lacks.values())}")
    for lack in lacks.values():
        say(f"{entry.id}: left out: {lack}")
    return able


def choose(root: Path, entry: Ambiguity, patterns: Sequence[str]) -> list[str]:
    """The tables' cells that match and that the entry bears on; without patterns, the entry's own."""
    if not patterns:
        return [str(entry.cell)]
    names = catalogue.select(catalogue.cell_names(root), [])
    found = catalogue.select(names, patterns)
    if not any(map(entry.bears_on, found)):
        raise UserError(f"{entry.id} bears on {', '.join(entry.cells)}, not on {', '.join(found)}")
    return list(filter(entry.bears_on, found))


def plan_readings(
    root: Path,
    name: str,
    patterns: Sequence[str],
    protocol: str,
    seeds: Sequence[int],
    campaign: str | None,
    settings: dict[str, str],
    lacking: Lacking = lambda _: {},
) -> Campaign:
    """The campaign of an entry: the chosen cells, each with every alternative that this machine can compute.

    Raises:
        UserError: nothing to run, or a setting that undoes an alternative.
    """
    entry = find(read_ambiguities(root), name)
    bases = catalogue.offered(root, choose(root, entry, patterns), protocol)
    if campaign is None:
        campaign = free_name(root, f"{protocol}-{entry.id.lower()}", settings)

    def of(alternatives: Sequence[Alternative]) -> Campaign:
        others = [cell_name(entry, one, base) for base in bases for one in alternatives]
        wanted = dict.fromkeys([*bases, *others], seeds)
        return begin_or_extend(root, new_request(campaign, protocol, settings).asking(wanted))

    found = of(entry.alternatives)
    _refuse_what_is_no_alternative(entry, bases, found)
    if (able := _here(entry, lacking)) != entry.alternatives:
        found = of(able)
    refuse_twins(found)
    return found


def _refuse_what_is_no_alternative(
    entry: Ambiguity, bases: Iterable[str], campaign: Campaign
) -> None:
    """A setting lies over every cell, a protocol may be another's reading: either may take from an
    alternative what makes it one."""
    specs = campaign.specs
    for base, alternative in itertools.product(bases, entry.alternatives):
        own = specs[cell_name(entry, alternative, base)]
        lost = alternative.changes.keys() - differences(specs[base], own)
        if lost:
            keys, settings = sorted(lost), campaign.request.settings
            place = "--set" if lost & settings.keys() else f"protocol {campaign.request.protocol}"
            raise UserError(f"{place} {', '.join(keys)}: {entry.id} is about this very value")
