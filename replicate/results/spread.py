"""How far apart seeds lie: the spread of a cell, steadied by the cells beside it.

Three seeds tell little of their own spread, but the cells of one data set and protocol tell of each
other's. The moderated variance (Smyth 2004, Statistical Applications in Genetics and Molecular Biology
3(1):3, as limma's eBayes) is (d0·s0² + d·s²) / (d0 + d) with d0 + d degrees of freedom, where the prior
s0², d0 is fitted by the method of moments to log s². Three safeguards were chosen by simulation: a prior
counts for at most three times the degrees of freedom of the cell itself, and for at most half of those
that the others have, a quarter where they share a baseline; a cell whose own variance lies above the
prior's keeps its own interval and is `noisy`; and fewer than three cells have no prior.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

NOISY = 0.05
"""Chance at which a cell like the others is called noisy."""
MOST_PRIOR = 3
"""Largest d0 / d."""
FEWEST = 3
"""Cells that make a prior."""
WORTH, WORTH_OF_GAINS = 1 / 2, 1 / 4
"""Of the degrees of freedom that the others have: as many a prior may count for."""


class Prior(NamedTuple):
    """A scaled inverse chi-square distribution of variances; without any weight where df is 0."""

    variance: float
    df: float
    """Infinite where the variances differ no more than chance lets them."""


class Spread(NamedTuple):
    """What an interval is made of."""

    sd: float
    """Moderated; nan below two seeds."""
    df: float
    noisy: bool
    """Whether the sd is the cell's own, since it lies above the prior's."""


class Sample(NamedTuple):
    """A standard deviation as it was measured."""

    sd: float
    """Nan below two seeds."""
    n: int
    scale: float
    """What it is measured in when a prior is fitted: its noise floor."""


@dataclass(frozen=True)
class Family:
    """Cells that tell of each other's spread."""

    prior: Prior
    df: float
    """Of all of them together."""
    worth: float = WORTH

    @classmethod
    def of(cls, samples: Sequence[Sample], least: float = 0.0, worth: float = WORTH) -> Self:
        """Args: least: standard deviation that rounding alone has."""
        known = [one for one in samples if one.n > 1]
        ratios = [max(one.sd, least) / one.scale for one in known]
        dfs = [one.n - 1 for one in known]
        return cls(fit_prior(np.square(ratios), dfs), float(sum(dfs)), worth)

    def spread(self, own: Sample, least: float = 0.0, member: bool = True) -> Spread:
        """Of one of the cells, or of another that is like them."""
        if own.n < 2:
            return Spread(np.nan, 0.0, False)
        df = own.n - 1.0
        others = self.df - df if member else self.df
        variance = (max(own.sd, least) / own.scale) ** 2
        found = moderate(variance, df, self.prior, self.worth * others)
        return found._replace(sd=found.sd * own.scale)


def moderate(variance: float, df: float, prior: Prior, most: float) -> Spread:
    """A variance of `df` degrees of freedom by a prior that may count for so many at `most`."""
    d0 = min(prior.df, MOST_PRIOR * df, most)
    if d0 <= 0:
        return Spread(variance**0.5, df, False)
    # Chance would hardly put a cell like the others so far above them: to shrink it would promise too much.
    if special.fdtrc(df, d0, variance / prior.variance) < NOISY:
        return Spread(variance**0.5, df, True)
    both = (d0 * prior.variance + df * variance) / (d0 + df)
    return Spread(float(both**0.5), float(d0 + df), False)


def fit_prior(variances: ArrayLike, dfs: ArrayLike) -> Prior:
    """From variances (k,) > 0 with `dfs` degrees of freedom (k,) each, as limma's fitFDist; without any
    prior for fewer than three, as there."""
    s2, d = np.asarray(variances, dtype=float), np.asarray(dfs, dtype=float)
    if s2.size < FEWEST:
        return Prior(np.nan, 0.0)
    e = np.log(s2) - special.digamma(d / 2) + np.log(d / 2)
    beyond = float(e.var(ddof=1) - special.polygamma(1, d / 2).mean())
    # They differ no more than chi-square noise alone makes them: one variance for all, known for sure.
    if beyond <= 0:
        return Prior(float(np.average(s2, weights=d)), np.inf)
    d0 = 2 * trigamma_inverse(beyond)
    return Prior(float(np.exp(e.mean() + special.digamma(d0 / 2) - np.log(d0 / 2))), d0)


def trigamma_inverse(x: float) -> float:
    """y > 0 with trigamma(y) = x > 0, by Newton's method (Smyth 2004, appendix)."""
    y = 0.5 + 1 / x
    for _ in range(50):
        trigamma = special.polygamma(1, y)
        step = trigamma * (1 - trigamma / x) / special.polygamma(2, y)
        y += step
        if -step / y < 1e-8:
            break
    return float(y)
