"""The words for what a few seeds show, and when each applies. Closed vocabularies, for legends."""

from collections.abc import Sequence

import numpy as np

from replicate.results.statistics import Interval

FEWEST = 3
"""Seeds that a word needs: with fewer, some cells' intervals promise too much."""
NOISY = 2
"""Noise floors that seeds of a quiet cell lie apart at most."""
ALPHA = 0.05
"""Of a p value, after Holm's correction."""
WIDEST = 10
"""Noise floors that an interval may be wide, if what lies in it is to be called consistent."""

CELL = {
    "consistent": "the published number lies in the prediction interval, which is narrow enough to tell",
    "higher": "the replicated accuracy is higher: the published number lies below the interval",
    "lower": "the replicated accuracy is lower: the published number lies above the interval",
    "inconclusive": f"it lies in an interval that is too wide, or fewer than {FEWEST} seeds were asked for",
    "unstable": "a seed diverged: a result of the recipe, which more seeds do not turn back",
    "incomplete": "fewer seeds finished than were asked for, or one failed for another reason",
    "failed": "every seed failed",
    "unfinished": "a seed was started, and of none is there a record of its end",
    "not run": "no seed was started",
    "stale": "the spec changed after the runs",
    "not comparable": "its protocol or data are not the paper's, or nothing is published",
}
GAIN = {
    "gain": "more than chance, after Holm's correction",
    "loss": "less than chance, after Holm's correction",
    "not settled": "chance may have made it",
    "unstable": CELL["unstable"],
    "incomplete": CELL["incomplete"],
}
AGAINST = {
    "consistent": "the published gain lies in the prediction interval for one more pair",
    "smaller": "the published gain lies above that interval: ours is smaller",
    "larger": "the published gain lies below that interval: ours is larger",
    "not settled": "the interval is too wide to tell",
    "not comparable": CELL["not comparable"],
}
CLAIM = {
    "supported": "the intervals leave nothing else",
    "contradicted": "the intervals leave it out",
    "not settled": "the intervals leave both",
    "cannot be tested": "what it speaks of was not trained, or not as the paper did",
}


def state(n: int, asked: int, failed: int, diverged: int, stale: bool) -> str:
    """What keeps a cell from being compared, first reason first; empty for a whole one."""
    tried = n + failed + diverged
    if stale:
        return "stale"
    if not tried:
        return "not run"
    if diverged:
        return f"unstable ({diverged} of {n + diverged} diverged)"
    if not n and tried >= asked:
        return "failed"
    if n < max(asked, tried):
        return incomplete(n, max(asked, tried))
    return ""


def incomplete(n: int, of: int) -> str:
    return f"incomplete ({n}/{of} seeds)"


def cell(
    state: str, comparable: bool, n: int, published: str | None, interval: Interval, widest: float
) -> str:
    """A cell's word: stale, not run, unstable, failed, not comparable, incomplete, and only then what
    the prediction interval says of the published number."""
    if state and not state.startswith("incomplete"):
        return state
    if not comparable or published is None:
        return "not comparable"
    return state or compare(n, float(published), interval, widest)


def against(n: int, published: float, interval: Interval, widest: float) -> str:
    """Our gain beside the published one, by the interval for one more pair."""
    words = {"higher": "larger", "lower": "smaller", "inconclusive": "not settled"}
    found = compare(n, published, interval, widest)
    return words.get(found, found)


def compare(n: int, published: float, interval: Interval, widest: float) -> str:
    low, high = interval
    if n < FEWEST or np.isnan(low):
        return "inconclusive"
    if published < low:
        return "higher"
    if published > high:
        return "lower"
    return "consistent" if high - low <= widest else "inconclusive"


def gain(states: Sequence[str], n: int, asked: int, mean: float, adjusted_p: float) -> str:
    """A gain's word, by those of its two cells first."""
    if found := next((one for one in states if one.startswith("unstable")), ""):
        return found
    if n < asked:
        return incomplete(n, asked)
    return difference(n, mean, adjusted_p)


def difference(n: int, mean: float, adjusted_p: float) -> str:
    if n < FEWEST or not adjusted_p < ALPHA:  # nan settles nothing
        return "not settled"
    return "gain" if mean > 0 else "loss"
