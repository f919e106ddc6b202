"""Elementary statistics of a handful of seeds: plain functions over arrays, no files.

What they are used for, and why, is in docs/statistics.md; its words are in `verdicts`.
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


class Summary(NamedTuple):
    n: int
    mean: Any
    sd: Any
    """Sample standard deviation (ddof = 1)."""


class Interval(NamedTuple):
    low: Any
    high: Any


class Estimate(NamedTuple):
    """A number that is known to within a standard error."""

    mean: float
    se: float
    """Nan where nothing tells of it."""
    df: float
    """Degrees of freedom of the standard error."""
    slack: float = 0.0
    """Standard errors that plans add to every bound, for the power that they ask for."""

    def reach(self, tail: float) -> float:
        """From the mean to a bound that the truth lies beyond with probability `tail`."""
        if not self.df > 0:
            return float("nan")
        return float((special.stdtrit(self.df, 1 - tail) + self.slack) * self.se)

    def interval(self, alpha: float = 1 - LEVEL) -> Interval:
        """Two-sided: alpha is divided between its ends."""
        return _around(self.mean, self.reach(alpha / 2))

    @property
    def p(self) -> float:
        """Two-sided, of a true value of 0."""
        if not (self.df > 0 and self.se > 0):
            return float("nan")
        return float(2 * special.stdtr(self.df, -abs(self.mean) / self.se))


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
    return _around(mean, _t(n - 1) * sd * np.sqrt(1 / max(n, 1)))


def prediction_interval(values: ArrayLike, rounding: float = 0.0) -> Interval:
    """As `predicted`, by the spread of the values (..., n) themselves."""
    n, mean, sd = summary(values)
    return predicted(mean, sd, n - 1, n, rounding)


def predicted(mean: Any, sd: Any, df: float, n: int, rounding: float = 0.0) -> Interval:
    """Interval for one more run, known to within `rounding`: mean ± (t·s·√(1 + 1/n) + rounding).

    Args:
        mean: of n runs; sd: with `df` degrees of freedom.
    """
    return _around(mean, _t(df) * sd * np.sqrt(1 + 1 / max(n, 1)) + rounding)


def half_unit(printed: str | Decimal) -> float:
    """Half a unit of the last digit of a printed number: "91.63" is known to within 0.005."""
    exponent = Decimal(printed).as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"{printed!r} is not a finite number")
    return float(Decimal(1).scaleb(exponent) / 2)


def holm(p_values: Sequence[float]) -> NDArray[np.float64]:
    """Holm's (1979) adjusted p values, in the order given.

    A nan (a gain without enough seeds) stays nan and counts in the family all the same, so that the
    correction does not depend on which runs have arrived.
    """
    p = np.asarray(p_values, dtype=float)
    # nan sorts last, so the others keep their places among all of the family.
    order = np.argsort(p)
    steps = p[order] * np.arange(p.size, 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def combined(parts: Sequence[Estimate]) -> Estimate:
    """The mean of independent estimates."""
    if not parts:
        return Estimate(np.nan, np.nan, 0.0)
    squares = np.array([one.se**2 for one in parts])
    dfs = np.array([one.df for one in parts])
    mean = float(np.mean([one.mean for one in parts]))
    if not ((dfs > 0).all() and squares.any()):  # nothing tells how far apart they lie
        return Estimate(mean, np.nan, 0.0)
    se = float(np.sqrt(squares.sum()) / len(parts))
    return Estimate(mean, se, _satterthwaite(squares, dfs), parts[0].slack)


def welch(first: ArrayLike, second: ArrayLike) -> Estimate:
    """Mean of the first minus that of the second, as if nothing paired them."""
    (n, one, sd), (m, other, sd_other) = summary(first), summary(second)
    if min(n, m) < 2 or not (sd or sd_other):
        return Estimate(float(one - other), np.nan, 0.0)
    squares = np.array([sd**2 / n, sd_other**2 / m])
    df = _satterthwaite(squares, [n - 1, m - 1])
    return Estimate(float(one - other), float(squares.sum() ** 0.5), df)


def _satterthwaite(squares: NDArray[np.float64], dfs: ArrayLike) -> float:
    """Degrees of freedom of a sum whose parts have these squared standard errors."""
    return float(squares.sum() ** 2 / (squares**2 / np.asarray(dfs)).sum())


def outside_by_chance(seen: int, of: int) -> float:
    """Chance that so many or more of the 95 % intervals leave out what they should cover."""
    return float(special.bdtrc(seen - 1, of, 1 - LEVEL)) if seen else 1.0


def _around(mean: Any, half_width: Any) -> Interval:
    return Interval(mean - half_width, mean + half_width)


@lru_cache
def _t(df: float) -> float:
    """Two-sided quantile of t."""
    return float(special.stdtrit(df, (1 + LEVEL) / 2)) if df > 0 else float("nan")
