"""Oracles: printed t tables, Student's sleep data, Holm's example, simulation, and symmetry."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicate.results.statistics import (
    LEVEL,
    MARGIN,
    VERDICTS,
    Gain,
    gain_verdict,
    half_unit,
    holm,
    paired_gain,
    prediction_interval,
    seeds_needed,
    summary,
    t_interval,
    verdict,
)

TRIALS = 20_000
FOUR_STANDARD_ERRORS = 4 * (LEVEL * (1 - LEVEL) / TRIALS) ** 0.5
TIGHT = [91.5, 91.6, 91.7]  # sd 0.1, prediction interval 91.6 ± 0.50
WIDE = [88.0, 92.0, 95.0]  # sd 3.5, prediction interval 91.7 ± 17

hundredths = st.integers(0, 10_000)
accuracies = st.lists(hundredths, min_size=1, max_size=8).map(lambda n: [i / 100 for i in n])


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


def test_paired_gain_on_students_sleep_data() -> None:
    """Student (1908); the reference values are those of R's t.test on its `sleep` data."""
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    gain = paired_gain(dict(enumerate(second)), dict(enumerate(first)))
    assert gain == pytest.approx((10, 1.58, 0.7001142, 2.4598858, 0.002832890), rel=1e-6)


def test_gains_are_paired_by_seed_not_by_position() -> None:
    gain = paired_gain({2: 93.0, 0: 91.0, 7: 50.0}, {0: 90.0, 1: 10.0, 2: 92.5})
    assert gain[:2] == (2, pytest.approx(0.75))


@pytest.mark.parametrize(
    ("differences", "p"), [([], np.nan), ([1.0], np.nan), ([0.0, 0.0], 1.0), ([1.0, 1.0], 0.0)]
)
def test_p_values_where_t_is_not_defined(differences: list[float], p: float) -> None:
    baseline = dict.fromkeys(range(len(differences)), 90.0)
    method = {seed: 90.0 + difference for seed, difference in enumerate(differences)}
    assert paired_gain(method, baseline).p == pytest.approx(p, nan_ok=True)


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


@pytest.mark.parametrize(
    ("gain", "adjusted_p", "expected"),
    [
        (Gain(5, 1.0, 0.5, 1.5, 0.01), 0.04, "gain"),
        (Gain(5, -1.0, -1.5, -0.5, 0.01), 0.04, "loss"),
        (Gain(5, 1.0, 0.5, 1.5, 0.01), 0.06, "no evidence"),
        (Gain(5, 1.0, 0.5, 1.5, 0.01), 0.05000001, "no evidence"),
        (Gain(5, 0.0, 0.0, 0.0, 1.0), 1.0, "no evidence"),
        (Gain(4, 1.0, 0.5, 1.5, 0.001), 0.001, "incomplete (4/5 seeds)"),
    ],
)
def test_gain_verdicts(gain: Gain, adjusted_p: float, expected: str) -> None:
    assert gain_verdict(gain, adjusted_p, asked=5) == expected


def test_a_single_pair_is_no_evidence() -> None:
    gain = paired_gain({0: 95.0}, {0: 90.0})
    assert gain_verdict(gain, gain.p, asked=1) == "no evidence"


@pytest.mark.parametrize(
    ("values", "published", "state", "expected"),
    [
        # each line takes away what decided the line above; all that follows is still wrong
        (WIDE, "50.00", {"asked": 9, "failed": 1, "stale": True, "comparable": False}, "stale"),
        ([], "50.00", {"asked": 9, "stale": True, "comparable": False}, "stale"),
        ([], "50.00", {"asked": 9, "comparable": False}, "not run"),
        ([], "50.00", {"asked": 2, "failed": 2, "comparable": False}, "failed"),
        ([], "50.00", {"asked": 2, "diverged": 2}, "failed"),
        (WIDE, "50.00", {"asked": 9, "failed": 1, "comparable": False}, "not comparable"),
        (WIDE, None, {"asked": 9, "failed": 1}, "not comparable"),
        (WIDE, "50.00", {"asked": 9, "failed": 1}, "incomplete (3/9 seeds)"),
        (WIDE, "50.00", {"asked": 3, "failed": 1}, "incomplete (3/4 seeds)"),
        (WIDE, "50.00", {"asked": 3, "diverged": 2}, "incomplete (3/5 seeds)"),
        ([], "50.00", {"asked": 5, "failed": 1}, "incomplete (0/5 seeds)"),
        (WIDE, "50.00", {"asked": 3}, "above"),
        (WIDE, "99.99", {"asked": 3}, "inconclusive"),
        ([91.63], "91.63", {"asked": 1}, "inconclusive"),
        ([20.0], "91.63", {"asked": 1}, "inconclusive"),
        (TIGHT, "91.63", {"asked": 3}, "agrees"),
        (TIGHT, "91.63", {"asked": 2}, "agrees"),
        (TIGHT, "92.20", {"asked": 3}, "below"),
        (TIGHT, "91.00", {"asked": 3}, "above"),
    ],
)
def test_precedence_of_verdicts(
    values: list[float], published: str | None, state: dict[str, int], expected: str
) -> None:
    assert verdict(values, published, **state) == expected  # type: ignore[arg-type]
    assert expected.split(" (")[0] in VERDICTS


def test_every_word_of_the_vocabulary_can_be_reached() -> None:
    words = {case[3].split(" (")[0] for case in _cases(test_precedence_of_verdicts)}
    assert words == VERDICTS.keys()


def test_rounding_can_decide_a_verdict() -> None:
    same = [91.6, 91.6]  # no spread at all: only the rounding of the published number is left
    assert verdict(same, "91.6", asked=2) == "agrees"
    assert verdict([91.64, 91.64], "91.6", asked=2) == "agrees"
    assert verdict([91.64, 91.64], "91.60", asked=2) == "above"


@given(accuracies, hundredths)
def test_verdicts_are_symmetric(values: list[float], published: int) -> None:
    reflected = [round(100 - value, 2) for value in values]
    there = verdict(values, f"{published / 100:.2f}", asked=len(values))
    back = verdict(reflected, f"{(10_000 - published) / 100:.2f}", asked=len(values))
    assert back == {"above": "below", "below": "above"}.get(there, there)


@given(accuracies, st.integers(-150, 150))
def test_agreement_means_at_most_half_the_margin_apart(values: list[float], off: int) -> None:
    published = max(0.0, round(summary(values).mean + off / 100, 2))
    if verdict(values, f"{published:.2f}", asked=len(values)) == "agrees":
        assert abs(summary(values).mean - published) <= MARGIN / 2 + 1e-9


@pytest.mark.parametrize(
    ("sd", "seeds"), [(0.0, 2), (0.05, 2), (0.1, 3), (0.52, None), (9.0, None)]
)
def test_seeds_needed_by_hand(sd: float, seeds: int | None) -> None:
    # widths at n = 2: 2 (12.706 · 1.2247 · sd + 0.005); at n = 3: 2 (4.303 · 1.1547 · sd + 0.005)
    assert seeds_needed(sd) == seeds


@pytest.mark.parametrize("sd", [0.1, 0.2, 0.35, 0.45, 0.5])
def test_seeds_needed_is_the_smallest_number_that_can_agree(sd: float) -> None:
    n = seeds_needed(sd)
    assert n is not None
    assert verdict(91.6 + sd * _standardised(n), "91.60", asked=n) == "agrees"
    assert verdict(91.6 + sd * _standardised(n - 1), "91.60", asked=n - 1) == "inconclusive"


@given(st.floats(0, 2), st.floats(0, 2), st.floats(0.1, 4))
def test_seeds_needed_rises_with_the_spread(a: float, b: float, margin: float) -> None:
    low, high = (seeds_needed(sd, margin) for sd in sorted([a, b]))
    assert (low or np.inf) <= (high or np.inf)


@pytest.mark.parametrize("sd", [-0.1, np.nan, np.inf])
def test_seeds_needed_asks_for_a_spread(sd: float) -> None:
    with pytest.raises(ValueError, match="sd must be"):
        seeds_needed(sd)


def _standardised(n: int) -> np.ndarray:
    """n values of mean 0 and sample standard deviation 1."""
    values = np.arange(n) - (n - 1) / 2
    return values / values.std(ddof=1)


def _coverage(interval: tuple[np.ndarray, np.ndarray], truth: np.ndarray | float) -> float:
    low, high = interval
    return float(((low <= truth) & (truth <= high)).mean())


def _cases(test: object) -> list[tuple[object, ...]]:
    return test.pytestmark[0].args[1]  # type: ignore[attr-defined]
