"""What a handful of seeds can say about a published number: plain functions over arrays, no files.

The decisions below were fixed before any run:

- The published number is one run, rounded. It is compared with the t prediction interval for one
  more run, widened by half a unit of its last printed digit.
- A number outside the interval is a discrepancy however wide the interval is, in either direction.
  One inside it is agreement only if the interval is informative: its full width, high - low, is at
  most MARGIN. So `agrees` says that the mean of the seeds and the published number are at most one
  point apart, the low end of the gains of 1 to 3 points that the paper claims. Half the width
  against MARGIN would let them lie a whole gain apart. One seed has no interval: `inconclusive`.
- A diverged seed is a result of the recipe, and a failed one may be. The seeds that survive are no
  random sample of its runs, so their interval would promise too much, and a loss that is not a
  number is no accuracy below another: with such a seed a cell stays `incomplete`, and is `failed`
  when no seed is left.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special  # what scipy.stats calls, whose import takes half a second more

BySeed = Mapping[int, float]
"""Accuracies by seed."""
LEVEL = 0.95
MARGIN = 2.0
"""Widest prediction interval, in points of accuracy, that lets a cell agree."""
MOST_SEEDS = 10_000

VERDICTS = {
    "agrees": "the published number lies in the prediction interval, no wider than the margin",
    "above": "the replicated accuracy is higher: the published number lies below the interval",
    "below": "the replicated accuracy is lower: the published number lies above the interval",
    "inconclusive": "it lies in an interval wider than the margin, or there is only one seed",
    "incomplete": "fewer seeds finished than were asked for, or a seed failed or diverged",
    "failed": "every seed failed or diverged",
    "not run": "no seed was started",
    "stale": "the spec changed after the runs",
    "not comparable": "its protocol or data are not the paper's, or nothing is published",
}
"""The closed vocabulary of a cell, for legends."""


class Summary(NamedTuple):
    n: int
    mean: Any
    sd: Any
    """Sample standard deviation (ddof = 1)."""


class Interval(NamedTuple):
    low: Any
    high: Any


class Gain(NamedTuple):
    """A mean paired difference, its t interval and the two-sided p value of no difference."""

    n: int
    mean: float
    low: float
    high: float
    p: float


class Change(NamedTuple):
    """A gain as one of a family of comparisons."""

    gain: Gain
    p: float
    """Corrected by Holm's method over the family."""
    verdict: str
    """Of `gain_verdict`."""


def summary(values: ArrayLike) -> Summary:
    """Of values (..., n) over the last axis; what n seeds cannot give is nan."""
    array = np.asarray(values, dtype=float)
    if not np.isfinite(array).all():
        raise ValueError("accuracies must be finite: diverged runs have none")
    n = array.shape[-1]
    none = np.full(array.shape[:-1], np.nan)[()]
    mean = array.mean(axis=-1) if n > 0 else none
    sd = array.std(axis=-1, ddof=1) if n > 1 else none
    return Summary(n, mean, sd)


def t_interval(values: ArrayLike) -> Interval:
    """Confidence interval for the mean of values (..., n) over the last axis; nan below n = 2."""
    n, mean, sd = summary(values)
    return _around(mean, _t(n) * sd * np.sqrt(1 / max(n, 1)))


def prediction_interval(values: ArrayLike, rounding: float = 0.0) -> Interval:
    """Interval for one more run, known to within `rounding`: mean ± (t·s·√(1 + 1/n) + rounding)."""
    n, mean, sd = summary(values)
    return _around(mean, _t(n) * sd * np.sqrt(1 + 1 / max(n, 1)) + rounding)


def half_unit(printed: str) -> float:
    """Half a unit of the last digit of a printed number: "91.63" is known to within 0.005."""
    exponent = Decimal(printed).as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"{printed!r} is not a finite number")
    return float(Decimal(1).scaleb(exponent) / 2)


def paired_gain(method: BySeed, baseline: BySeed) -> Gain:
    """Of accuracies by seed, over the seeds that both have; Gain.n says how many these are."""
    seeds = sorted(method.keys() & baseline.keys())
    differences = [method[seed] - baseline[seed] for seed in seeds]
    n, mean, sd = summary(differences)
    low, high = t_interval(differences)
    return Gain(n, float(mean), float(low), float(high), _p_value(n, float(mean), float(sd)))


def holm(p_values: Sequence[float]) -> NDArray[np.float64]:
    """Holm's (1979) adjusted p values, in the order given.

    A nan (a gain without enough seeds) stays nan and counts in the family all the same, so that the
    correction does not depend on which runs have arrived.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)
    steps = p[order] * np.arange(p.size, 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def gain_verdict(gain: Gain, adjusted_p: float, asked: int) -> str:
    """`gain`, `loss` or `no evidence`; `incomplete (k/n seeds)` with fewer pairs than asked for."""
    if gain.n < asked:
        return _incomplete(gain.n, asked)
    if not adjusted_p < 1 - LEVEL:  # nan, of a single pair, is no evidence
        return "no evidence"
    return "gain" if gain.mean > 0 else "loss"


def changes(pairs: Sequence[tuple[BySeed, BySeed]], asked: Sequence[int]) -> list[Change]:
    """What each first of a pair gains over the second; all pairs are one family.

    Args:
        asked: how many seeds were asked of both, pair by pair.
    """
    gains = [paired_gain(method, baseline) for method, baseline in pairs]
    corrected = holm([gain.p for gain in gains])
    return [
        Change(gain, float(p), gain_verdict(gain, p, number))
        for gain, p, number in zip(gains, corrected, asked, strict=True)
    ]


def verdict(
    values: ArrayLike,
    published: str | None,
    *,
    asked: int,
    failed: int = 0,
    diverged: int = 0,
    stale: bool = False,
    comparable: bool = True,
) -> str:
    """A cell's word of VERDICTS; `incomplete` carries its count. The first that applies:

    stale, not run, failed, not comparable, incomplete, above or below, inconclusive, agrees.

    `values` are the accuracies of the finished runs in percent, `published` the number as printed,
    `asked` the seeds asked for; failed and diverged count the other runs that ended. `stale` is for
    a cell with any run of another spec, `comparable` is that of the spec.
    """
    n = len(np.atleast_1d(np.asarray(values)))
    tried = n + failed + diverged
    if stale:
        return "stale"
    if tried == 0:
        return "not run"
    if n == 0 and tried >= asked:
        return "failed"
    if not comparable or published is None:
        return "not comparable"
    if n < max(asked, tried):
        return _incomplete(n, max(asked, tried))
    return _compare(values, published)


def seeds_needed(sd: float, margin: float = MARGIN, rounding: float = 0.005) -> int | None:
    """Smallest number of seeds whose prediction interval is no wider than the margin, at this sd.

    None where MOST_SEEDS are too few: the width never falls below 2 · (1.96 · sd + rounding).
    """
    if not 0 <= sd < np.inf:
        raise ValueError(f"sd must be 0 or more and finite, got {sd}")
    n = np.arange(2, MOST_SEEDS + 1)
    quantiles = special.stdtrit(n - 1, (1 + LEVEL) / 2)
    half_widths = quantiles * sd * np.sqrt(1 + 1 / n) + rounding
    enough = n[2 * half_widths <= margin]
    return int(enough[0]) if enough.size else None


def _compare(values: ArrayLike, published: str) -> str:
    low, high = prediction_interval(values, half_unit(published))
    number = float(published)
    if number < low:
        return "above"
    if number > high:
        return "below"
    return "agrees" if high - low <= MARGIN else "inconclusive"  # nan, of one seed, is no width


def _incomplete(n: int, of: int) -> str:
    return f"incomplete ({n}/{of} seeds)"


def _around(mean: Any, half_width: Any) -> Interval:
    return Interval(mean - half_width, mean + half_width)


@lru_cache
def _t(n: int) -> float:
    """Two-sided quantile of t at n - 1 degrees of freedom."""
    return float(special.stdtrit(n - 1, (1 + LEVEL) / 2)) if n > 1 else float("nan")


def _p_value(n: int, mean: float, sd: float) -> float:
    if n < 2:
        return float("nan")
    if sd == 0:  # equal differences: t is infinite, or 0/0 where nothing differs at all
        return 0.0 if mean else 1.0
    return float(2 * special.stdtr(n - 1, -abs(mean) / (sd / np.sqrt(n))))
