"""What is known of new test images, from the bits that say which ones a network got right."""

from collections.abc import Iterable, Mapping, Sequence
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


class Change(NamedTuple):
    """How much more often a method was right than its baseline, -1 to 1."""

    by_seed: NDArray[np.float64]
    """Over the images (n,)."""
    by_image: NDArray[np.float64]
    """Over the seeds (N,)."""


def pairs(method: BySeed, baseline: BySeed) -> list[tuple[Seen, Seen]]:
    """The answers of the seeds that both have, where these were to the same images."""
    return [
        (method[seed], baseline[seed])
        for seed in sorted(method.keys() & baseline.keys())
        if method[seed].images == baseline[seed].images
    ]


def change(both: Iterable[tuple[Bits, Bits]]) -> Change:
    """One pair at a time, so that no more than two sets of answers are held at once."""
    by_seed: list[float] = []
    by_image = np.zeros(1, np.int32)  # as long as the answers, once there are some
    for of, over in both:
        by_seed.append((np.count_nonzero(of) - np.count_nonzero(over)) / of.size)
        by_image = by_image + of - over
    return Change(np.array(by_seed), by_image / max(1, len(by_seed)))


def on_new_images(found: Change) -> Estimate:
    """The gain in points on images and seeds that nobody has seen: the larger of the two variances,
    that over seeds and that over images, with n - 1 degrees of freedom."""
    n = len(found.by_seed)
    if n < 2:
        return Estimate(np.nan, np.nan, 0.0)
    seeds = found.by_seed.var(ddof=1) / n
    se = 100 * np.sqrt(max(seeds, found.by_image.var(ddof=1) / found.by_image.size))
    return Estimate(100 * float(found.by_image.mean()), float(se), n - 1.0)


def mean_on_new_images(rows: Sequence[Sequence[Change]]) -> Estimate:
    """The mean gain over data sets, each with one or more pairs of cells of the same seeds and images."""
    count = sum(map(len, rows))
    parts = []
    for own in rows:
        by_seed = np.mean([one.by_seed for one in own], axis=0)
        by_image = np.mean([one.by_image for one in own], axis=0)
        found = on_new_images(Change(by_seed, by_image))
        weight = len(own) * len(rows) / count
        parts.append(found._replace(mean=found.mean * weight, se=found.se * weight))
    return combined(parts)


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
