"""The moderated variance against limma, and what its intervals cover."""

import numpy as np
import pytest
from scipy import special, stats

from replicate.paper.noise import granularity, sd_ref
from replicate.results.spread import Family, Prior, Sample, fit_prior, moderate, trigamma_inverse

EIGHT = [0.0506, 0.1006, 0.2881, 0.3150, 0.4069, 0.7264, 3.2694, 0.4124]


@pytest.mark.parametrize(
    ("variances", "dfs", "expected"),
    [
        # squeezeVar of inmoose 0.9.1, the maintained translation of limma: var_prior and df_prior
        (EIGHT, [4] * 8, (0.3113195312313847, 3.0507402018162524)),
        ([0.05, 0.4, 0.9, 0.1, 2.5, 0.02], [2, 2, 4, 4, 1, 3], (0.16554337107263986, 1.494272311134889)),
        (EIGHT, [2] * 8, (0.696175, np.inf)),
        ([0.09, 0.11, 0.1, 0.08], [2] * 4, (0.095, np.inf)),
    ],
)  # fmt: skip
def test_the_prior_is_limmas(
    variances: list[float], dfs: list[int], expected: tuple[float, float]
) -> None:
    assert fit_prior(variances, dfs) == pytest.approx(expected, rel=1e-9)


def test_the_moderated_variance_is_limmas() -> None:
    """var_post of the same; its safeguards are out of reach here, but for the wild one."""
    expected = [0.16340909, 0.1917749, 0.29814671, 0.31340752, 0.36554389, 0.54680146]
    prior = fit_prior(EIGHT, [4] * 8)
    found = [moderate(variance, 4, prior, 28) for variance in EIGHT]
    assert [one.sd**2 for one in found[:6]] == pytest.approx(expected, rel=1e-6)
    assert found[0].df == pytest.approx(7.0507402)
    assert not any(one.noisy for one in found[:6])


def test_a_wild_cell_keeps_its_own_spread() -> None:
    """F = 16 / 1 with 4 and 12 degrees of freedom; the 95 % quantile is 3.26 in any table."""
    assert stats.f.ppf(0.95, 4, 12) == pytest.approx(3.2592, abs=1e-4)
    assert moderate(16.0, 4, Prior(1.0, np.inf), 28) == (4.0, 4, True)
    assert not moderate(3.25, 4, Prior(1.0, np.inf), 28).noisy
    assert moderate(3.27, 4, Prior(1.0, np.inf), 28).noisy


@pytest.mark.parametrize(
    ("df0", "most", "df"), [(np.inf, 14, 8), (5.0, 14, 7), (np.inf, 3, 5), (np.inf, 0, 2)]
)
def test_a_prior_counts_for_no_more_than_it_should(df0: float, most: float, df: float) -> None:
    assert moderate(1.0, 2, Prior(1.0, df0), most).df == df
    shared = Family(Prior(1.0, np.inf), 6.0, worth=1 / 4)
    assert shared.spread(Sample(1.0, 3, 1.0)).df == 2 + (6 - 2) / 4


def test_two_cells_have_no_prior() -> None:
    shared = Family.of([Sample(0.2, 3, 1.0), Sample(0.4, 3, 1.0)])
    assert shared.spread(Sample(0.2, 3, 1.0)) == (pytest.approx(0.2), 2, False)


def test_one_seed_has_no_spread() -> None:
    shared = Family.of([Sample(sd, 3, 1.0) for sd in (0.2, 0.3, 0.4)])
    assert np.isnan(shared.spread(Sample(np.nan, 1, 1.0)).sd)


def test_equal_seeds_are_not_known_exactly() -> None:
    least = granularity(10_000)
    assert least == pytest.approx(0.01 / 12**0.5)
    shared = Family.of([Sample(0.0, 3, 0.2)], least)
    assert shared.spread(Sample(0.0, 3, 0.2), least).sd == pytest.approx(least)


@pytest.mark.parametrize("x", [1e-3, 0.2, 1.6449340668, 40.0])
def test_trigamma_inverse(x: float) -> None:
    assert special.polygamma(1, trigamma_inverse(x)) == pytest.approx(x, rel=1e-7)


@pytest.mark.parametrize(
    ("published", "floor"), [(91.63, 0.20), (91.38, 0.21), (66.18, 0.41), (46.50, 0.52)]
)
def test_the_noise_floor_of_the_four_data_sets(published: float, floor: float) -> None:
    assert sd_ref(published, 10_000) == pytest.approx(floor, abs=0.005)
