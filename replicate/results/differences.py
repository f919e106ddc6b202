"""One cell minus another, paired by seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from replicate.results import statistics
from replicate.results.spread import WORTH_OF_GAINS, Family, Sample, Spread
from replicate.results.statistics import BySeed, Estimate


@dataclass(frozen=True)
class Difference:
    """In points of accuracy, over the seeds that both cells have."""

    of: tuple[float, ...]
    over: tuple[float, ...]
    scale: float
    """Noise floor of a difference."""
    least: float
    """Standard deviation that rounding alone gives it: equal differences are not known exactly."""

    @property
    def n(self) -> int:
        return len(self.of)

    @cached_property
    def values(self) -> np.ndarray:
        return np.subtract(self.of, self.over)

    @property
    def mean(self) -> float:
        return float(statistics.summary(self.values).mean)

    @cached_property
    def sample(self) -> Sample:
        return Sample(float(statistics.summary(self.values).sd), self.n, self.scale)

    @property
    def plain(self) -> Estimate:
        """By its own spread alone."""
        sd = max(self.sample.sd, self.least) if self.n > 1 else np.nan
        return estimate(self.mean, Spread(sd, self.n - 1.0, False), self.n)

    @property
    def welch(self) -> Estimate:
        """As if the seeds paired nothing."""
        return statistics.welch(self.of, self.over)

    @property
    def correlation(self) -> float:
        """Of the two cells over the seeds; nan below three, and where one has no spread."""
        if self.n < 3 or not (np.ptp(self.of) and np.ptp(self.over)):
            return float("nan")
        return float(np.corrcoef(self.of, self.over)[0, 1])


def difference(of: BySeed, over: BySeed, scale: float, least: float) -> Difference:
    seeds = sorted(of.keys() & over.keys())
    return Difference(
        tuple(of[seed] for seed in seeds), tuple(over[seed] for seed in seeds), scale, least
    )


def estimate(mean: float, spread: Spread, n: int) -> Estimate:
    return Estimate(mean, spread.sd / max(n, 1) ** 0.5, spread.df if n > 1 else 0.0)


def family(parts: Sequence[Difference]) -> Family:
    """Of differences that may have cells in common."""
    least = max((one.least for one in parts), default=0.0)
    return Family.of([one.sample for one in parts], least, WORTH_OF_GAINS)


def bound(found: Estimate) -> float:
    """The smallest bound that the true difference is shown to be under in size: two one-sided tests."""
    low, high = found.interval(0.1)
    return max(abs(float(low)), abs(float(high)))
