"""claims.csv: what the paper says its method does, put to the replicated numbers, in four words.

Every kind of rule has a test of its own whose false support is at most 5 %.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import pandas as pd

from replicate.paper.claims import Claim, Finding, compared
from replicate.paper.rules import (
    Comparison,
    GainAbout,
    GainsInRange,
    LargestGainRow,
    OrderingOfMeans,
    Positive,
)
from replicate.paper.tables import Pair, Tables
from replicate.results import rules, statistics
from replicate.results.contrasts import CellPair, Contrasts
from replicate.results.csv_files import rounded, table_of
from replicate.results.statistics import Estimate, Interval, combined
from replicate.results.verdicts import ALPHA, FEWEST

ABOUT = 0.5
"""An interval supports "about x" within so many points of x, or half of x where that is more."""


@dataclass(frozen=True)
class Evidence:
    """What is known of the differences between cells."""

    tables: Tables
    steadied: Mapping[Pair, Estimate]
    """By moderated variances."""
    plain: Mapping[Pair, Estimate]

    def known(self, rule: Comparison) -> list[Estimate]:
        return [self.steadied[one] for one in rule.pairs(self.tables) if one in self.steadied]

    def is_whole(self, rule: Comparison) -> bool:
        return self.steadied.keys() >= {*rule.pairs(self.tables)}


def word(claim: Claim, evidence: Evidence) -> str:
    """supported, contradicted or not settled; nothing is supported while a difference is unknown.

    Of rules of which any one will do, each is tested at its share of the level.
    """
    share = ALPHA / len(claim.comparisons) if claim.combine == "any" else ALPHA
    words = [_word(rule, evidence, share) for rule in claim.comparisons]
    # One word settles it: of rules that must all hold a contradicted one, of alternatives a supported one.
    decisive, other = ("contradicted", "supported")
    if claim.combine == "any":
        decisive, other = other, decisive
    if decisive in words:
        return decisive
    return other if set(words) == {other} else "not settled"


def _word(rule: Comparison, evidence: Evidence, alpha: float) -> str:
    supported, contradicted = judge(rule, evidence, alpha)
    if contradicted:
        return "contradicted"
    return "supported" if supported and evidence.is_whole(rule) else "not settled"


@singledispatch
def judge(rule: Comparison, evidence: Evidence, alpha: float) -> tuple[bool, bool]:
    """Whether what is known supports the rule, if it is all there is, and whether it contradicts it."""
    raise TypeError(f"no test of {type(rule).__name__}")


@judge.register
def _(rule: Positive, evidence: Evidence, alpha: float) -> tuple[bool, bool]:
    return _above_zero(evidence.known(rule), alpha, len(rule.pairs(evidence.tables)))


@judge.register
def _(rule: OrderingOfMeans, evidence: Evidence, alpha: float) -> tuple[bool, bool]:
    """The mean over the rows, column by column."""
    columns: dict[str, list[Estimate | None]] = {}
    for pair in rule.pairs(evidence.tables):
        columns.setdefault(pair.of.column, []).append(evidence.plain.get(pair))
    means = [combined([e for e in own if e]) for own in columns.values() if None not in own]
    return _above_zero(means, alpha, len(columns))


def _above_zero(known: Sequence[Estimate], alpha: float, count: int) -> tuple[bool, bool]:
    """Each by its one-sided bound (intersection-union); against it any, by Holm's first step."""
    supported = all(one.mean - one.reach(alpha) > 0 for one in known)
    contradicted = any(one.mean + one.reach(alpha / count) < 0 for one in known)
    return supported and bool(known), contradicted


@judge.register
def _(rule: GainAbout, evidence: Evidence, alpha: float) -> tuple[bool, bool]:
    found = evidence.steadied.get(rule.pair)
    if found is None:
        return False, False
    low, high = found.interval(alpha)
    about, tolerance = float(rule.about), float(rule.tolerance)
    wide = max(ABOUT, abs(about) / 2)
    out = low > about + tolerance or high < about - tolerance
    return about - wide <= low and high <= about + wide and not out, out


@judge.register
def _(rule: GainsInRange, evidence: Evidence, alpha: float) -> tuple[bool, bool]:
    low, high = float(rule.low - rule.tolerance), float(rule.high + rule.tolerance)
    columns = len(rule.columns)
    rows = len(rule.pairs(evidence.tables)) // columns
    inside = best_of_rows(rule, evidence, alpha / columns)
    outside = best_of_rows(rule, evidence, alpha / columns / rows)
    supported = all(low <= own.low and own.high <= high for own in inside.values())
    contradicted = any(own.low > high or own.high < low for own in outside.values())
    return supported and bool(inside), contradicted


@judge.register
def _(rule: LargestGainRow, evidence: Evidence, alpha: float) -> tuple[bool, bool]:
    """By simultaneous intervals of all gains that it speaks of."""
    best = best_of_rows(rule, evidence, alpha / len(rule.pairs(evidence.tables)))
    here = best.pop((rule.table, rule.row), None)
    if here is None or not best:
        return False, False
    supported = all(here.low > other.high for other in best.values())
    return supported, any(here.high < other.low for other in best.values())


def best_of_rows(
    rule: Comparison, evidence: Evidence, alpha: float
) -> dict[tuple[int, str], Interval]:
    """For each row with all of its gains known, an interval for the largest of them."""
    by_row: dict[tuple[int, str], list[Estimate | None]] = {}
    for pair in rule.pairs(evidence.tables):
        row = pair.of.table, pair.of.row
        by_row.setdefault(row, []).append(evidence.steadied.get(pair))
    return {
        row: _largest([e for e in own if e], alpha)
        for row, own in by_row.items()
        if None not in own
    }


def _largest(gains: Sequence[Estimate], alpha: float) -> Interval:
    ends = [one.interval(alpha) for one in gains]
    return Interval(max(end.low for end in ends), max(end.high for end in ends))


# --- of a campaign


def claims_table(contrasts: Contrasts, audit: Sequence[Finding]) -> pd.DataFrame:
    """One row per claim and difference that it is about; claims about the page alone have one row.

    Args:
        audit: every claim on the printed numbers.
    """
    rows = [row for finding in audit for row in _rows(contrasts, finding)]
    return table_of(rows, "claims.csv")


def _rows(contrasts: Contrasts, finding: Finding) -> Iterator[dict[str, Any]]:
    claim = finding.claim
    said = {"claim": claim.id, "printed": finding.outcome}
    pairs = compared(contrasts.tables, claim)
    if not pairs:
        page = "speaks of the printed page alone"
        yield {**said, "verdict": "cannot be tested", "why": page, "n": 0}
        return
    cells = [pair.cells for pair in pairs]
    verdict, why = _tested(contrasts, claim, pairs)
    began = contrasts.began(*(cell for own in cells for cell in own))
    said |= {"verdict": verdict, "why": why, "rule": rules.age(began)}
    adjusted = statistics.holm([contrasts.estimate(own).p for own in cells])
    for own, p in zip(cells, adjusted, strict=True):
        yield {**said, "of": own[0], "over": own[1], **_difference(contrasts, own, float(p))}


def _tested(contrasts: Contrasts, claim: Claim, pairs: Sequence[Pair]) -> tuple[str, str]:
    """The word, and why it cannot be tested or what it waits for; no why where nothing is lacking."""
    if not contrasts.comparable:
        return "cannot be tested", "not trained as the paper did"
    usable = [
        pair
        for pair in pairs
        if contrasts.whole(pair.cells) and contrasts.difference(pair.cells).n >= FEWEST
    ]
    unstable = sum(contrasts.unstable(pair.cells) for pair in pairs)
    missing = len(pairs) - len(usable) - unstable
    evidence = Evidence(
        contrasts.tables,
        {pair: contrasts.estimate(pair.cells) for pair in usable},
        {pair: contrasts.difference(pair.cells).plain for pair in usable},
    )
    found = word(claim, evidence)
    untestable = found == "not settled" and missing
    return "cannot be tested" if untestable else found, _why(missing, unstable, len(pairs))


def _why(missing: int, unstable: int, of: int) -> str:
    parts = [f"{missing} of {of} differences are not there yet"] if missing else []
    parts += [f"{unstable} of {of} touch an unstable cell"] if unstable else []
    return "; ".join(parts)


def _difference(contrasts: Contrasts, pair: CellPair, holm: float) -> dict[str, Any]:
    found, own = contrasts.estimate(pair), contrasts.difference(pair)
    (low, high), plain = found.interval(), own.plain.interval()
    return rounded(
        {
            **{"n": own.n, "gain": found.mean, "df": found.df, "low": low, "high": high},
            **{"plain_low": plain.low, "plain_high": plain.high, "p": found.p, "holm": holm},
        }
    )
