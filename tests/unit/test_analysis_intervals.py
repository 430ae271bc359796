"""Intervals of one number: against other packages, closed forms and the promises about small counts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.proportion import proportion_confint

from cartsim.analysis.intervals import (
    exact_binomial,
    frechet_harm,
    log_risk_ratio,
    median_difference_bootstrap,
    median_ranks,
    number_needed,
    paired_risk_difference,
    paired_tango,
    paired_wald,
    t_interval,
    unpaired_risk_difference,
    variance_ratio_risk,
    welch_interval,
    wilson,
)


@pytest.mark.parametrize(("events", "n"), [(0, 10), (1, 10), (7, 101), (50, 100), (101, 101)])
def test_one_arm_proportions_agree_with_statsmodels(events, n):
    """Wilson and Clopper-Pearson are what statsmodels returns."""
    assert wilson(events, n) == pytest.approx(proportion_confint(events, n, method="wilson"), abs=1e-12)
    assert exact_binomial(events, n) == pytest.approx(proportion_confint(events, n, method="beta"), abs=1e-12)


def test_nothing_observed_has_no_interval():
    """An empty set gives null, never 0."""
    assert wilson(0, 0) == (None, None)
    assert exact_binomial(0, 0) == (None, None)
    assert paired_risk_difference(0, 0, 0)[0] == (None, None)
    assert t_interval(1.0, 1.0, 1) == (None, None)


def _score(d: float, n01: int, n10: int, n: int) -> float:
    """Tango's statistic with the nuisance parameter found by maximising the likelihood numerically."""

    def minus_log_likelihood(q: float) -> float:
        p01, rest = q + d, 1 - 2 * q - d
        terms = ((n01, p01), (n10, q), (n - n01 - n10, rest))
        return -sum(k * math.log(max(p, 1e-300)) for k, p in terms if k)

    low, high = max(0.0, -d), (1 - d) / 2
    q = optimize.minimize_scalar(
        minus_log_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-13}
    ).x
    return (n01 - n10 - n * d) / math.sqrt(n * (2 * q + d - d * d))


@pytest.mark.parametrize(("n01", "n10", "n"), [(3, 1, 44), (1, 9, 100), (12, 5, 60), (2, 2, 500)])
def test_tango_limits_are_where_the_score_statistic_crosses(n01, n10, n):
    """At each limit the statistic, with a numerically fitted nuisance parameter, is +-1.96."""
    lower, upper = paired_tango(n01, n10, n)
    z = stats.norm.ppf(0.975)
    assert _score(lower, n01, n10, n) == pytest.approx(z, abs=1e-4)
    assert _score(upper, n01, n10, n) == pytest.approx(-z, abs=1e-4)


def test_tango_without_discordant_pairs_has_its_closed_form():
    """With b = c = 0 the limits are +-z^2 / (N + z^2)."""
    z2 = stats.norm.ppf(0.975) ** 2
    lower, upper = paired_tango(0, 0, 200)
    assert (lower, upper) == pytest.approx((-z2 / (200 + z2), z2 / (200 + z2)), abs=1e-12)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 400))
@settings(max_examples=80, deadline=None)
def test_paired_difference_mirrors_and_holds_its_estimate(n01, n10, more):
    """Swapping the arms negates the interval; the estimate lies inside; the width is not zero."""
    n = n01 + n10 + more
    (lower, upper), method = paired_risk_difference(n01, n10, n)
    (mirrored_lower, mirrored_upper), _ = paired_risk_difference(n10, n01, n)
    assert (lower, upper) == pytest.approx((-mirrored_upper, -mirrored_lower), abs=1e-9)
    assert lower - 1e-12 <= (n01 - n10) / n <= upper + 1e-12
    assert lower < upper
    assert method == ("Tango score" if n01 + n10 < 50 else "paired Wald")


def test_only_identical_rows_have_no_width():
    """No discordant pair by luck is not knowledge; identical rows are."""
    assert paired_risk_difference(0, 0, 100, identical=True) == ((0.0, 0.0), "identical rows")
    lower, upper = paired_risk_difference(0, 0, 100)[0]
    assert lower < 0 < upper


def test_tango_and_wald_meet_at_large_counts():
    """Beyond 50 discordant pairs the choice hardly matters."""
    assert paired_tango(900, 1100, 100_000) == pytest.approx(paired_wald(900, 1100, 100_000), abs=1e-5)


def test_unpaired_interval_is_newcombes():
    """Newcombe (1998) table II, method 10: 56/70 against 48/80 gives 0.0524 to 0.3339."""
    p1, p0 = wilson(56, 70), wilson(48, 80)
    d = 56 / 70 - 48 / 80
    expected = (d - math.hypot(0.8 - p1[0], p0[1] - 0.6), d + math.hypot(p1[1] - 0.8, 0.6 - p0[0]))
    assert expected == pytest.approx((0.0524, 0.3339), abs=5e-5)
    same_n = unpaired_risk_difference(40, 30, 100)
    assert same_n[0] < 0.1 < same_n[1]


def test_log_risk_ratio_is_paired_and_null_at_an_empty_margin():
    """SE^2 = (b + c) / [(a + b)(a + c)]."""
    value, se, (lower, upper) = log_risk_ratio(30, 10, 20)
    assert value == pytest.approx(math.log(40 / 50))
    assert se == pytest.approx(math.sqrt(30 / (40 * 50)))
    assert (lower + upper) / 2 == pytest.approx(value)
    assert log_risk_ratio(0, 0, 5) == (None, None, (None, None))
    assert log_risk_ratio(7, 0, 0) == (0.0, 0.0, (None, None))


def test_variance_ratio_is_that_of_the_subjects():
    """Unpaired over paired variance, computed from the rows."""
    new, reference = np.repeat([1, 1, 0, 0], [30, 10, 20, 40]), np.repeat([1, 0, 1, 0], [30, 10, 20, 40])
    expected = (new.var() + reference.var()) / (new - reference).var()
    assert variance_ratio_risk(10, 20, 40, 50, 100) == pytest.approx(expected)
    assert variance_ratio_risk(0, 0, 40, 40, 100) is None


def test_t_and_welch_agree_with_scipy():
    """Paired t and Welch intervals are scipy's."""
    rng = np.random.default_rng(5)
    new, reference = rng.gamma(2.0, size=40), rng.gamma(1.5, size=40)
    d = new - reference
    own = t_interval(d.mean(), d.std(ddof=1), 40)
    assert own == pytest.approx(tuple(stats.ttest_rel(new, reference).confidence_interval()))
    own = welch_interval(new.mean(), new.std(ddof=1), reference.mean(), reference.std(ddof=1), 40)
    assert own == pytest.approx(tuple(stats.ttest_ind(new, reference, equal_var=False).confidence_interval()))


def test_number_needed_only_when_the_interval_excludes_zero():
    """Otherwise the interval of the number would run through infinity."""
    assert number_needed(-0.1, (-0.2, 0.01)) == (None, (None, None))
    assert number_needed(-0.1, (-0.2, 0.0)) == (None, (None, None))
    assert number_needed(-0.1, (-0.2, -0.05)) == (10.0, (5.0, 20.0))
    assert number_needed(0.1, (0.05, 0.2)) == (10.0, (5.0, 20.0))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_frechet_bounds_hold_the_harm(pairs):
    """Whatever the joint table, harm lies within the bounds of its margins."""
    new, reference = np.array(pairs).T
    lower, upper = frechet_harm(new.mean(), reference.mean())
    assert lower - 1e-12 <= (new & ~reference).mean() <= upper + 1e-12


@pytest.mark.parametrize("n", [1, 5, 6, 7, 20, 101, 1000])
def test_median_ranks_cover_by_the_binomial(n):
    """The interval covers at least 95 % and leaving out one more rank would not."""
    ranks = median_ranks(n)
    if ranks is None:
        assert stats.binom.cdf(0, n, 0.5) > 0.025
        return
    low, high = ranks
    assert low + high == n + 1
    assert stats.binom.cdf(low - 1, n, 0.5) <= 0.025 < stats.binom.cdf(low, n, 0.5)


def test_bootstrap_of_medians_repeats_and_has_the_right_size():
    """Same addressed uniforms, same interval; its standard error is that of a straightforward resampling."""
    rng = np.random.default_rng(11)
    reference = rng.normal(size=401)
    new = reference + 0.3 + rng.normal(scale=0.5, size=401)

    def uniform_block(n, occurrence):
        return np.random.Generator(np.random.Philox(key=occurrence)).random(n)

    se, (lower, upper) = median_difference_bootstrap(new, reference, uniform_block)
    assert (se, (lower, upper)) == median_difference_bootstrap(new, reference, uniform_block)
    plain = []
    for k in range(500):
        picked = (uniform_block(401, k) * 401).astype(int)
        plain.append(np.median(new[picked]) - np.median(reference[picked]))
    assert se == pytest.approx(np.std(plain, ddof=1), abs=1e-12)
    assert (lower, upper) == pytest.approx(tuple(np.quantile(plain, [0.025, 0.975])), abs=1e-12)
    assert median_difference_bootstrap(new[:1], reference[:1], uniform_block) == (None, (None, None))
