"""Intervals of one number and of many: other packages, closed forms, plain scalar formulas, and small counts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.proportion import proportion_confint

from cartsim.analysis.intervals import (
    METHODS,
    exact_binomial,
    frechet_harm,
    log_risk_ratio,
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

NOTHING = pytest.approx((math.nan, math.nan), nan_ok=True)


@pytest.mark.parametrize(("events", "n"), [(0, 10), (1, 10), (7, 101), (50, 100), (101, 101)])
def test_one_arm_proportions_agree_with_statsmodels(events, n):
    """Wilson and Clopper-Pearson are what statsmodels returns."""
    assert wilson(events, n) == pytest.approx(proportion_confint(events, n, method="wilson"), abs=1e-12)
    assert exact_binomial(events, n) == pytest.approx(proportion_confint(events, n, method="beta"), abs=1e-12)


def test_nothing_observed_has_no_interval():
    """An empty set gives NaN, never 0."""
    assert wilson(0, 0) == NOTHING
    assert exact_binomial(0, 0) == NOTHING
    assert paired_risk_difference(0, 0, 0)[0] == NOTHING
    assert paired_tango(0, 0, 0) == NOTHING
    assert unpaired_risk_difference(0, 0, 0) == NOTHING
    assert t_interval(1.0, 1.0, 1) == NOTHING


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
    assert METHODS[method] == ("Tango score" if n01 + n10 < 50 else "paired Wald")


def test_only_identical_rows_have_no_width():
    """No discordant pair by luck is not knowledge; identical rows are."""
    interval, method = paired_risk_difference(0, 0, 100, identical=True)
    assert (interval, METHODS[method]) == ((0.0, 0.0), "identical rows")
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
    value, se, interval = log_risk_ratio(0, 0, 5)
    assert (value, se, *interval) == pytest.approx((math.nan,) * 4, nan_ok=True)
    value, se, interval = log_risk_ratio(7, 0, 0)
    assert (value, se) == (0.0, 0.0)
    assert interval == NOTHING


def test_variance_ratio_is_that_of_the_subjects():
    """Unpaired over paired variance, computed from the rows."""
    new, reference = np.repeat([1, 1, 0, 0], [30, 10, 20, 40]), np.repeat([1, 0, 1, 0], [30, 10, 20, 40])
    expected = (new.var() + reference.var()) / (new - reference).var()
    assert variance_ratio_risk(10, 20, 40, 50, 100) == pytest.approx(expected)
    assert np.isnan(variance_ratio_risk(0, 0, 40, 40, 100))


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
    for interval in ((-0.2, 0.01), (-0.2, 0.0), (math.nan, math.nan)):
        value, limits = number_needed(-0.1, interval)
        assert np.isnan(value)
        assert limits == NOTHING
    assert number_needed(-0.1, (-0.2, -0.05)) == (10.0, (5.0, 20.0))
    assert number_needed(0.1, (0.05, 0.2)) == (10.0, (5.0, 20.0))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_frechet_bounds_hold_the_harm(pairs):
    """Whatever the joint table, harm lies within the bounds of its margins."""
    new, reference = np.array(pairs).T
    lower, upper = frechet_harm(new.mean(), reference.mean())
    assert lower - 1e-12 <= (new & ~reference).mean() <= upper + 1e-12


# The formulas once more, in plain scalar arithmetic, one number at a time.


def plain_wilson(k, n, z):
    p, scale = k / n, 1 + z * z / n
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    centre = p + z * z / (2 * n)
    return 0.0 if k == 0 else (centre - half) / scale, 1.0 if k == n else (centre + half) / scale


def plain_tango(b, c, n, z):
    def score(d):
        middle = -b - c + (2 * n - b + c) * d
        root = math.sqrt(max(0.0, middle**2 + 8 * n * c * d * (1 - d)))
        variance = n * ((root - middle) / (2 * n) + d * (1 - d))
        gap = b - c - n * d
        return gap / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, gap) if gap else 0.0

    def zero(target, left, right):
        for _ in range(200):
            middle = 0.5 * (left + right)
            left, right = (middle, right) if score(middle) > target else (left, middle)
        return 0.5 * (left + right)

    estimate = (b - c) / n
    lower = -1.0 if estimate == -1 else zero(z, -1.0, estimate)
    return lower, 1.0 if estimate == 1 else zero(-z, estimate, 1.0)


def plain_wald(b, c, n, z):
    d = (b - c) / n
    half = z * math.sqrt(max(0.0, (b + c) / n - d * d) / n)
    return max(-1.0, d - half), min(1.0, d + half)


def plain_newcombe(k1, k0, n, z):
    (l1, u1), (l0, u0) = plain_wilson(k1, n, z), plain_wilson(k0, n, z)
    p1, p0 = k1 / n, k0 / n
    return p1 - p0 - math.hypot(p1 - l1, u0 - p0), p1 - p0 + math.hypot(u1 - p1, p0 - l0)


@pytest.mark.parametrize("level", [0.95, 0.9])
def test_arrays_hold_what_scalar_formulas_give(level):
    """Hundreds of tables of counts at once, ends and empty cells among them."""
    rng = np.random.default_rng(21)
    z = stats.norm.ppf(0.5 + level / 2)
    n = rng.choice([1, 2, 7, 100, 5_000, 1_000_000], 900)
    a, b, c, _ = np.array([rng.multinomial(m, rng.dirichlet([0.4, 0.1, 0.1, 0.6])) for m in n]).T
    few = b + c < 50
    new, old = a + b, a + c
    made = {
        "wilson": (wilson(a, n, level), lambda k: plain_wilson(a[k], n[k], z)),
        "newcombe": (
            unpaired_risk_difference(new, old, n, level),
            lambda k: plain_newcombe(new[k], old[k], n[k], z),
        ),
        "paired": (
            paired_risk_difference(b, c, n, level=level)[0],
            lambda k: (plain_tango if few[k] else plain_wald)(int(b[k]), int(c[k]), int(n[k]), z),
        ),
    }
    assert few.sum() > 200
    for name, (limits, plain) in made.items():
        expected = np.array([plain(k) for k in range(len(n))]).T
        assert np.allclose(limits, expected, rtol=0, atol=1e-12), name
    value, se, (lower, upper) = log_risk_ratio(a, b, c, level)
    needed, (first, second) = number_needed((b - c) / n, paired_wald(b, c, n, level))
    for k in range(len(n)):
        k1, k0 = int(new[k]), int(old[k])
        if not k1 or not k0:
            assert np.isnan([value[k], se[k], lower[k], upper[k]]).all()
            continue
        own = math.sqrt((b[k] + c[k]) / (k1 * k0))
        half = z * own if own else math.nan
        expected = (math.log(k1 / k0), own, math.log(k1 / k0) - half, math.log(k1 / k0) + half)
        assert (value[k], se[k], lower[k], upper[k]) == pytest.approx(expected, abs=1e-12, nan_ok=True)
        low, high = plain_wald(b[k], c[k], n[k], z)
        if low > 0 or high < 0:
            assert needed[k] == pytest.approx(n[k] / abs(b[k] - c[k]), rel=1e-12)
            expected = sorted((1 / abs(low), 1 / abs(high)))
            assert [first[k], second[k]] == pytest.approx(expected, rel=1e-9)
        else:
            assert np.isnan(needed[k])


def test_arrays_of_means_hold_what_scipy_gives():
    """Student and Welch, elementwise."""
    rng = np.random.default_rng(22)
    n = rng.integers(1, 400, 300)
    m1, m0, s1, s0 = rng.normal(size=(4, 300))
    s1, s0 = np.abs(s1), np.abs(s0)
    student, welch = t_interval(m1, s1, n), welch_interval(m1, s1, m0, s0, n)
    for k, size in enumerate(n.tolist()):
        if size < 2:
            assert np.isnan([student[0][k], student[1][k], welch[0][k], welch[1][k]]).all()
            continue
        expected = stats.t.interval(0.95, size - 1, m1[k], s1[k] / math.sqrt(size))
        assert (student[0][k], student[1][k]) == pytest.approx(expected, rel=1e-10)
        v1, v0 = s1[k] ** 2 / size, s0[k] ** 2 / size
        df = (v1 + v0) ** 2 * (size - 1) / (v1**2 + v0**2)
        expected = stats.t.interval(0.95, df, m1[k] - m0[k], math.sqrt(v1 + v0))
        assert (welch[0][k], welch[1][k]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("interval", [wilson, paired_wald, paired_tango])
def test_a_number_has_the_same_bits_alone_and_among_many(interval):
    """Beside any others, in any order: nothing is shared between the elements."""
    rng = np.random.default_rng(23)
    n = rng.integers(60, 3000, 500)
    counts = [rng.integers(0, 30, 500) for _ in range(1 if interval is wilson else 2)]
    together = np.array(interval(*counts, n))
    alone = np.array([interval(*(int(c[k]) for c in counts), int(n[k])) for k in range(500)]).T
    assert np.array_equal(together, alone)
    backwards = np.array(interval(*(c[::-1] for c in counts), n[::-1]))[:, ::-1]
    assert np.array_equal(together, backwards)
