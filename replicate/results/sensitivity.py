"""What a reading of the paper changes: an ambiguity's alternatives beside the cell they start from."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from replicate.paper.ambiguities import Alternative, Ambiguity, read_ambiguities
from replicate.plan.readings import cell_name
from replicate.results import statistics
from replicate.results.differences import estimate, family
from replicate.results.read import Results
from replicate.results.statistics import Estimate


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
    contrasts, own = results.contrasts, list(_readings(entry, results.campaign.specs))
    found = [contrasts.difference((cell, base)) for base, _, cell in own]
    shared = family(found)
    gains = [estimate(one.mean, shared.spread(one.sample, one.least), one.n) for one in found]
    corrected = statistics.holm([gain.p for gain in gains]).tolist()
    for (base, alternative, cell), one, gain, p in zip(own, found, gains, corrected, strict=True):
        known = [contrasts.accuracies.get(name, {}) for name in (base, cell)]
        means = [float(statistics.summary([*by_seed.values()]).mean) for by_seed in known]
        verdict = contrasts.verdict((cell, base), p)
        yield Effect(entry, alternative, base, means[0], cell, means[1], one.n, gain, p, verdict)


def _readings(entry: Ambiguity, cells: Collection[str]) -> Iterator[tuple[str, Alternative, str]]:
    """Each cell that is there with an alternative, and the cell of that."""
    for base in filter(entry.bears_on, cells):
        for alternative in entry.alternatives:
            if (cell := cell_name(entry, alternative, base)) in cells:
                yield base, alternative, cell
