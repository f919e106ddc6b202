"""What a reading of the paper changes: an ambiguity's alternatives beside the cell they start from."""

from collections.abc import Iterator
from dataclasses import dataclass

from replicate.paper.ambiguities import Alternative, Ambiguity, read_ambiguities
from replicate.plan.readings import cell_name
from replicate.results import statistics, verdicts
from replicate.results.differences import estimate, family
from replicate.results.read import Results
from replicate.results.statistics import BySeed, Estimate


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
    n: int
    """Seeds that both have."""
    gain: Estimate
    """Alternative minus default, paired by seed."""
    p: float
    """Corrected by Holm's method over all that the campaign holds of the entry."""
    verdict: str
    """Of `verdicts.GAIN`."""


def effects(results: Results) -> list[Effect]:
    """Of every alternative that is in a campaign together with its cell, in the order of the ambiguities."""
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
    contrasts = results.contrasts
    found = [contrasts.difference((cell, base)) for base, _, cell in pairs]
    shared = family(found)
    gains = [estimate(one.mean, shared.spread(one.sample, one.least), one.n) for one in found]
    corrected = statistics.holm([gain.p for gain in gains])
    for (base, alternative, cell), one, gain, p in zip(pairs, found, gains, corrected, strict=True):
        states = [contrasts.states[cell], contrasts.states[base]]
        yield Effect(
            entry=entry,
            alternative=alternative,
            base=base,
            base_mean=_mean(contrasts.accuracies.get(base, {})),
            cell=cell,
            mean=_mean(contrasts.accuracies.get(cell, {})),
            n=one.n,
            gain=gain,
            p=float(p),
            verdict=verdicts.gain(
                states, one.n, contrasts.asked((cell, base)), gain.mean, float(p)
            ),
        )


def _mean(by_seed: BySeed) -> float:
    return float(statistics.summary(list(by_seed.values())).mean)
