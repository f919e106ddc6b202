"""What the paper leaves open, and what other readings of the paper changed."""

from collections.abc import Iterator

import numpy as np

from replicate.paper.ambiguities import read_ambiguities
from replicate.report.document import Block, Entry, Section, Table, Text, entry
from replicate.report.tables import interval, signed
from replicate.results import sensitivity
from replicate.results.read import Results

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
    return Section("What the paper leaves open", (Text(text), table, *_effects(results)))


def _effects(results: Results) -> Iterator[Block]:
    rows = tuple(_row(effect) for effect in sensitivity.effects(results))
    if rows:
        yield Table("What another reading changes, in points, paired by seed", EFFECTS, rows)


def _row(effect: sensitivity.Effect) -> tuple[Entry, ...]:
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
    return f"{value:.2f}" if np.isfinite(value) else "none"
