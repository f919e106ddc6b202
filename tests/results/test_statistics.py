"""Oracles: printed t tables, Student's sleep data, Holm's example, simulation, and symmetry."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate.records.record import Answers
from replicate.results import images
from replicate.results.differences import bound, difference
from replicate.results.images import Seen
from replicate.results.statistics import (
    LEVEL,
    Estimate,
    combined,
    half_unit,
    holm,
    outside_by_chance,
    prediction_interval,
    summary,
    t_interval,
    welch,
)

TRIALS = 20_000
FOUR_STANDARD_ERRORS = 4 * (LEVEL * (1 - LEVEL) / TRIALS) ** 0.5
TIGHT = [91.5, 91.6, 91.7]  # sd 0.1, prediction interval 91.6 ± 0.50
FIRST = dict(enumerate([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]))
SECOND = dict(enumerate([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]))


def test_summary_uses_the_sample_standard_deviation() -> None:
    n, mean, sd = summary([2, 4, 4, 4, 5, 5, 7, 9])
    assert (n, mean) == (8, 5)
    assert sd == pytest.approx((32 / 7) ** 0.5)  # the population's would be 2


@pytest.mark.parametrize(("values", "mean"), [([], np.nan), ([91.0], 91.0)])
def test_too_few_seeds_have_no_spread(values: list[float], mean: float) -> None:
    assert summary(values) == pytest.approx((len(values), mean, np.nan), nan_ok=True)
    assert np.isnan([*t_interval(values), *prediction_interval(values)]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_accuracy_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        summary([91.0, value])


@pytest.mark.parametrize(("n", "t"), [(2, 12.706), (3, 4.303), (5, 2.776), (10, 2.262)])
def test_intervals_against_a_printed_t_table(n: int, t: float) -> None:
    values = 90 + _standardised(n)
    half_width = t / n**0.5
    assert t_interval(values) == pytest.approx((90 - half_width, 90 + half_width), abs=1e-3)
    half_width = t * (1 + 1 / n) ** 0.5
    assert prediction_interval(values) == pytest.approx(
        (90 - half_width, 90 + half_width), abs=1e-3
    )


@pytest.mark.parametrize(
    ("printed", "half"), [("91.63", 0.005), ("46.50", 0.005), ("46.5", 0.05), ("92", 0.5)]
)
def test_rounding_widens_both_ends_by_half_a_unit(printed: str, half: float) -> None:
    assert half_unit(printed) == half
    low, high = prediction_interval(TIGHT)
    assert prediction_interval(TIGHT, half_unit(printed)) == pytest.approx(
        (low - half, high + half)
    )


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_coverage_of_the_intervals(n: int) -> None:
    runs = np.random.default_rng(n).normal(91, 0.3, (TRIALS, n + 1))
    seeds, one_more = runs[:, :n], runs[:, n]
    assert _coverage(t_interval(seeds), 91) == pytest.approx(LEVEL, abs=FOUR_STANDARD_ERRORS)
    predicted = prediction_interval(seeds)
    assert _coverage(predicted, one_more) == pytest.approx(LEVEL, abs=FOUR_STANDARD_ERRORS)


def test_coverage_of_one_more_rounded_run() -> None:
    rng = np.random.default_rng(0)
    runs = rng.uniform(90, 91, (TRIALS, 1)) + rng.normal(0, 0.005, (TRIALS, 6))
    seeds, published = runs[:, :5], runs[:, 5].round(1)
    assert _coverage(prediction_interval(seeds), published) < 0.5
    widened = prediction_interval(seeds, half_unit("91.0"))
    assert _coverage(widened, published) > LEVEL - FOUR_STANDARD_ERRORS


def test_a_paired_difference_on_students_sleep_data() -> None:
    """Student (1908); the reference values are those of R's t.test on its `sleep` data."""
    found = difference(SECOND, FIRST, 1.0, 0.0)
    low, high = found.plain.interval()
    assert (found.n, found.mean, low, high, found.plain.p) == pytest.approx(
        (10, 1.58, 0.7001142, 2.4598858, 0.002832890), rel=1e-6
    )
    assert found.correlation == pytest.approx(0.7951702, rel=1e-6)


def test_welch_on_students_sleep_data() -> None:
    """R's t.test(extra ~ group, data = sleep): t = 1.8608, df = 17.776, p = 0.07939."""
    found = difference(SECOND, FIRST, 1.0, 0.0).welch
    assert found.df == pytest.approx(17.776474, rel=1e-6)
    assert found.p == pytest.approx(0.07939414, rel=1e-6)
    assert found.interval() == pytest.approx((-0.2054832, 3.3654832), rel=1e-5)


def test_differences_are_paired_by_seed_not_by_position() -> None:
    found = difference({2: 93.0, 0: 91.0, 7: 50.0}, {0: 90.0, 1: 10.0, 2: 92.5}, 1.0, 0.0)
    assert (found.n, found.mean) == (2, pytest.approx(0.75))


def test_satterthwaite_by_hand() -> None:
    """Squared standard errors 0.04 and 0.01 with 2 and 4 degrees of freedom."""
    found = combined([Estimate(1.0, 0.2, 2), Estimate(3.0, 0.1, 4)])
    assert found[:3] == pytest.approx((2.0, 0.05**0.5 / 2, 0.05**2 / (0.04**2 / 2 + 0.01**2 / 4)))


def test_satterthwaite_of_two_is_welch() -> None:
    of, over = list(SECOND.values()), list(FIRST.values())
    parts = [
        Estimate(float(np.mean(one)), float(np.std(one, ddof=1) / 10**0.5), 9) for one in (of, over)
    ]
    both = combined(parts)
    assert (2 * both.se, both.df) == pytest.approx((welch(of, over).se, welch(of, over).df))


def test_a_mean_on_new_images_of_one_data_set_averages_image_by_image() -> None:
    """Two tables whose networks fail on the same images tell nothing more than one of them."""
    over = np.zeros(10, bool)
    both = images.change([(np.arange(10) < 3, over)] * 2)
    alone = images.on_new_images(both)
    assert images.mean_on_new_images([[both, both]]) == pytest.approx(alone)
    apart = images.mean_on_new_images([[both], [both]])
    assert apart.se == pytest.approx(alone.se / 2**0.5)
    uneven = images.mean_on_new_images([[both, both], [images.change([(over, over)] * 2)]])
    assert uneven.mean == pytest.approx(alone.mean * 2 / 3)


@pytest.mark.parametrize("differences", [[], [1.0]])
def test_one_pair_has_no_p_value(differences: list[float]) -> None:
    zero = dict.fromkeys(range(len(differences)), 90.0)
    method = {seed: 90.0 + one for seed, one in enumerate(differences)}
    found = difference(method, zero, 1.0, 0.003)
    assert np.isnan(found.plain.p)
    assert np.isnan(found.plain.interval()).all()


def test_equal_differences_are_as_exact_as_the_images_let_them_be() -> None:
    """Not known without error: a p value of zero would be none."""
    found = difference(
        {0: 91.0, 1: 91.0, 2: 91.0}, {0: 90.0, 1: 90.0, 2: 90.0}, 1.0, 0.01 / 12**0.5
    )
    assert found.plain.se == pytest.approx(0.01 / 12**0.5 / 3**0.5)
    assert 0 < found.plain.p < 1e-5
    nothing = difference({0: 90.0, 1: 90.0}, {0: 90.0, 1: 90.0}, 1.0, 0.01 / 12**0.5)
    assert nothing.plain.p == 1


def test_two_one_sided_tests_by_hand() -> None:
    """0.1 ± 0.1 / √5 · 2.1318, the one-sided 95 % quantile at 4 degrees of freedom in any table."""
    values = 0.1 + 0.1 * _standardised(5)
    found = difference(dict(enumerate(values)), dict.fromkeys(range(5), 0.0), 1.0, 0.0)
    assert bound(found.plain) == pytest.approx(0.1 + 2.1318 * 0.1 / 5**0.5, abs=1e-5)


@pytest.mark.parametrize(
    ("seen", "of", "chance"), [(0, 24, 1.0), (1, 24, 0.7080), (3, 24, 0.1159), (24, 24, 0.05**24)]
)
def test_how_many_lie_outside_by_chance(seen: int, of: int, chance: float) -> None:
    """1 − 0.95²⁴ = 0.708; the rest by the binomial formula."""
    assert outside_by_chance(seen, of) == pytest.approx(chance, abs=1e-4)


def test_mcnemar_by_hand() -> None:
    """Of 10 images that one network alone got right 9 are the first's: 2 · (1 + 10) / 2¹⁰."""
    method = np.array([True] * 9 + [False] + [True] * 50)
    baseline = np.array([False] * 9 + [True] + [True] * 50)
    assert images.mcnemar(method, baseline) == pytest.approx(22 / 1024)
    assert images.mcnemar(method, method) == 1


def seen(digest: str, right: np.ndarray) -> Seen:
    """As a record has them, packed."""
    return Seen(Answers(digest, np.packbits(right).tobytes()), len(right))


def test_calibration_by_hand() -> None:
    """Two seeds disagree on 2 of 10 images; each is wrong on 2: disagreement over error is 1."""
    one = np.array([True] * 8 + [False] * 2)
    other = np.array([True] * 7 + [False, True, False])
    assert images.calibration([seen("a", one), seen("a", other)]) == pytest.approx(1.0)
    assert np.isnan(images.calibration([seen("a", one), seen("b", other)]))


def test_new_images_by_hand() -> None:
    """Gains of 10 and 30 points on 10 images: over seeds (√200)² / 2 = 100, over images less."""
    over = np.zeros(10, bool)
    gains = [np.arange(10) < 1, np.arange(10) < 3]
    found = images.on_new_images(images.change((gain, over) for gain in gains))
    each = np.array([1, 0.5, 0.5, *[0] * 7])
    expected = max(100.0, 1e4 * each.var(ddof=1) / 10)
    assert found == pytest.approx((20.0, expected**0.5, 1, 0))


def test_holm_by_hand() -> None:
    # sorted: 4 · 0.005, 3 · 0.01, 2 · 0.03, and 1 · 0.04, which may not fall below the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])
    assert holm([]).size == 0


def test_holm_counts_gains_without_a_p_value() -> None:
    adjusted = holm([np.nan, 0.01, 0.02])
    assert adjusted == pytest.approx([np.nan, 0.03, 0.04], nan_ok=True)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_no_correction_and_bonferroni(p: list[float]) -> None:
    adjusted = holm(p)
    assert (adjusted >= np.array(p)).all()
    assert (adjusted <= np.minimum(1, len(p) * np.array(p)) + 1e-15).all()


def _standardised(n: int) -> np.ndarray:
    """n values of mean 0 and sample standard deviation 1."""
    values = np.arange(n) - (n - 1) / 2
    return values / values.std(ddof=1)


def _coverage(interval: tuple[np.ndarray, np.ndarray], truth: np.ndarray | float) -> float:
    low, high = interval
    return float(((low <= truth) & (truth <= high)).mean())


def test_means_of_numbers_without_any_spread_have_no_interval() -> None:
    same = Estimate(0.5, 0.0, 2.0)
    found = combined([same, same])
    assert found.mean == 0.5
    assert np.isnan(found.interval()).all()
