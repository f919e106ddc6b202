"""What a reading of the paper changes: an ambiguity's alternatives beside the cell they start from."""

from collections.abc import Iterator
from dataclasses import dataclass

from replicate.paper.ambiguities import Alternative, Ambiguity, read_ambiguities
from replicate.plan.readings import cell_name
from replicate.results import statistics
from replicate.results.read import Results
from replicate.results.statistics import Gain


@dataclass(frozen=True)
class Effect:
    """What one alternative changes, in points of accuracy."""

    entry: Ambiguity
    alternative: Alternative
    base: str
    """The cell with the default reading."""
    base_mean: float
    """Percent; nan without a finished seed, as `mean`."""
    cell: str
    """The cell with the alternative."""
    mean: float
    gain: Gain
    """Alternative minus default, paired by seed."""
    p: float
    """Corrected by Holm's method over all that the campaign holds of the entry."""
    verdict: str
    """`gain`, `loss`, `no evidence`, `incomplete (k/n seeds)`, or `not comparable`."""


def effects(results: Results) -> list[Effect]:
    """Of every alternative that is in a campaign together with its cell, in the ledger's order."""
    entries = read_ambiguities(results.campaign.root)
    return [effect for entry in entries for effect in _of_entry(entry, results)]


def _of_entry(entry: Ambiguity, results: Results) -> Iterator[Effect]:
    specs = results.campaign.specs
    pairs = [
        (base, alternative, cell)
        for base in filter(entry.bears_on, specs)
        for alternative in entry.alternatives
        if (cell := cell_name(entry, alternative, base)) in specs
    ]
    comparable = all(specs[base].comparable for base, _, _ in pairs)
    accuracies = [
        (results.accuracies.get(cell, {}), results.accuracies.get(base, {}))
        for base, _, cell in pairs
    ]
    asked = [results.request.pairs(base, cell) for base, _, cell in pairs]
    found = statistics.changes(accuracies, asked)
    for (base, alternative, cell), (own, default), (gain, p, verdict) in zip(
        pairs, accuracies, found, strict=True
    ):
        yield Effect(
            entry=entry,
            alternative=alternative,
            base=base,
            base_mean=_mean(default),
            cell=cell,
            mean=_mean(own),
            gain=gain,
            p=p,
            verdict=verdict if comparable else "not comparable",
        )


def _mean(by_seed: statistics.BySeed) -> float:
    return float(statistics.summary(list(by_seed.values())).mean)
