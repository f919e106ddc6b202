"""What is known of new test images, from the bits that say which ones a network got right."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from replicate.records.record import Answers
from replicate.results.statistics import Estimate, combined

Bits = NDArray[np.bool_]
"""Which images of the test set (N,) were classified right."""


class Seen(NamedTuple):
    """The answers of one run: a campaign's are kept packed, and looked at a cell or two at a time."""

    answers: Answers
    size: int
    """Of the test set."""

    @property
    def images(self) -> str:
        """Digest of the test images, in their order."""
        return self.answers.images

    @property
    def right(self) -> Bits:
        bits = np.unpackbits(np.frombuffer(self.answers.right, np.uint8), count=self.size)
        return bits.view(bool)


BySeed = Mapping[int, Seen]


def pairs(method: BySeed, baseline: BySeed) -> list[tuple[Bits, Bits]]:
    """The answers of the seeds that both have, where these were to the same images."""
    return [
        (method[seed].right, baseline[seed].right)
        for seed in sorted(method.keys() & baseline.keys())
        if method[seed].images == baseline[seed].images
    ]


def on_new_images(both: Sequence[tuple[Bits, Bits]]) -> Estimate:
    """The gain in points on images and seeds that nobody has seen: the larger of the two variances,
    that over seeds and that over images, with n - 1 degrees of freedom."""
    return _on_new_images(_differences(both))


def mean_on_new_images(rows: Sequence[Sequence[Sequence[tuple[Bits, Bits]]]]) -> Estimate:
    """The mean gain over data sets, each with one or more pairs of cells on the same images."""
    count = sum(len(pairs) for pairs in rows)
    parts = []
    for pairs in rows:
        n = min(map(len, pairs))
        found = _on_new_images(np.mean([_differences(one[:n]) for one in pairs], axis=0))
        weight = len(pairs) * len(rows) / count
        parts.append(found._replace(mean=found.mean * weight, se=found.se * weight))
    return combined(parts)


def _differences(both: Sequence[tuple[Bits, Bits]]) -> NDArray[np.int8]:
    return np.array([np.subtract(of, over, dtype=np.int8) for of, over in both], np.int8)


def _on_new_images(differences: NDArray[np.float64] | NDArray[np.int8]) -> Estimate:
    """Args: differences: of each seed and image (n, N), -1 to 1."""
    n = len(differences)
    if n < 2:
        return Estimate(np.nan, np.nan, 0.0)
    seeds = differences.mean(axis=1).var(ddof=1) / n
    each = differences.mean(axis=0)
    se = 100 * np.sqrt(max(seeds, each.var(ddof=1) / each.size))
    return Estimate(100 * float(each.mean()), float(se), n - 1.0)


def mcnemar(method: Bits, baseline: Bits) -> float:
    """Exact two-sided p value of one pair of networks, over the images that one of them got right."""
    won, lost = int((method & ~baseline).sum()), int((baseline & ~method).sum())
    if not won + lost:
        return 1.0
    return min(1.0, 2 * float(special.bdtr(min(won, lost), won + lost, 0.5)))


def calibration(seen: Sequence[Seen]) -> float:
    """Disagreement of two seeds over their error: 1 where networks are as calibrated as the noise floor
    presumes; nan below two seeds."""
    answers = [one.right for one in seen if one.images == seen[0].images]
    n = len(answers)
    if n < 2:
        return float("nan")
    right = np.mean(answers, axis=0)
    wrong = 1 - right.mean()
    return float(2 * (right * (1 - right)).mean() * n / (n - 1) / wrong) if wrong else float("nan")
