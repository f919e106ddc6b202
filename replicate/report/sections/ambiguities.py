"""What the paper leaves open, and what other readings of the paper changed."""

from collections.abc import Sequence
from math import isfinite

from replicate.paper.ambiguities import read_ambiguities
from replicate.report.document import Entry, Section, Table, Text, entry
from replicate.report.tables import interval, signed
from replicate.results.read import Results
from replicate.results.sensitivity import Effect, effects

COLUMNS = ("Point", "The paper says", "Reading here", "Other readings")
EFFECTS = ("Point and cell", "Other reading", "Accuracy (%)", "Change", "95 % interval", "Verdict")


def section(results: Results) -> Section:
    entries = read_ambiguities(results.campaign.root)
    rows = tuple(
        (
            entry(one.id, one.title),
            entry(one.paper),
            entry(one.default),
            entry("; ".join(other.title for other in one.alternatives) or str(one.no_alternatives)),
        )
        for one in entries
    )
    text = (
        f"The paper leaves {len(entries)} points open. Each has one reading here, the same in every cell; "
        "the command replicate sensitivity runs the others."
    )
    table = Table("Ambiguities, with the readings taken", COLUMNS, rows, folded=True)
    found = effects(results)
    changed = (changes(found),) if found else ()
    return Section("What the paper leaves open", (Text(text), table, *changed))


def changes(found: Sequence[Effect]) -> Table:
    """What other readings change, also for `replicate sensitivity`."""
    caption = "What another reading changes, in points, paired by seed"
    return Table(caption, EFFECTS, tuple(map(_row, found)))


def _row(effect: Effect) -> tuple[Entry, ...]:
    gain, n = effect.gain, effect.n
    low, high = gain.interval()
    return (
        entry(effect.entry.id, effect.base),
        entry(effect.alternative.title),
        entry(f"{_number(effect.mean)} instead of {_number(effect.base_mean)}"),
        entry(signed(gain.mean, 2) if n else "unknown", sort=gain.mean if n else None),
        entry(f"{interval(low, high)} ({n} pairs)" if n > 1 else "needs 2 pairs"),
        entry(effect.verdict, tone=effect.verdict.split()[0]),
    )


def _number(value: float) -> str:
    return f"{value:.2f}" if isfinite(value) else "none"
