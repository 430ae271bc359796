"""The three uncertainties of a crossed design, against the analysis of variance written out over the whole table."""

from math import sqrt

import numpy as np
import pytest

from cartsim.analysis.fixed import LIMBS, finish, total_limbs
from cartsim.analysis.intervals import paired_tango, wilson
from cartsim.analysis.two_way import (
    alike,
    discordant_subjects,
    interval_of_sets,
    mean_of_sets,
    mean_variance,
    se_of_parameters,
    wilson_of_sets,
)


def anova(table: np.ndarray) -> dict[str, float]:
    """Textbook: mean squares of the two-way table D[subject, set] without replication."""
    n, m = table.shape
    grand = table.mean()
    by_set, by_subject = table.mean(axis=0), table.mean(axis=1)
    rest = table - by_subject[:, None] - by_set[None, :] + grand
    ms_draw = n * ((by_set - grand) ** 2).sum() / (m - 1)
    ms_residual = (rest**2).sum() / ((n - 1) * (m - 1))
    return {
        "value": grand,
        "sd_subject": sqrt(table.var(axis=0, ddof=1).mean()),
        "mcse": sqrt(by_subject.var(ddof=1) / n),
        "se_parameter": sqrt(max(0.0, (ms_draw - ms_residual) / n)),
    }


@pytest.mark.parametrize(("n", "m"), [(2, 2), (5, 3), (60, 7), (400, 40)])
@pytest.mark.parametrize("kind", ["normal", "events", "no parameter effect"])
def test_formulas_are_those_of_the_two_way_table(n: int, m: int, kind: str) -> None:
    rng = np.random.default_rng(n * 100 + m)
    subject = rng.normal(size=(n, 1))
    noise = rng.normal(size=(n, m))
    table = subject + noise + (0.0 if kind == "no parameter effect" else rng.normal(size=(1, m)))
    if kind == "events":
        table = (table > 0.5).astype(float)
    wanted = anova(table)
    by_set, var = table.mean(axis=0), table.var(axis=0, ddof=1)
    of_mean = np.asarray(table.mean(axis=1).var(ddof=1))
    within = mean_variance(var, 0)
    assert sqrt(within) == pytest.approx(wanted["sd_subject"], rel=1e-12)
    found = se_of_parameters(by_set, within, of_mean, np.asarray(float(n)), m, 0)
    assert float(found) == pytest.approx(wanted["se_parameter"], rel=1e-9, abs=1e-7)


def test_parameter_uncertainty_is_not_the_spread_of_the_sets() -> None:
    """Sets that differ by Monte Carlo noise alone: the mean estimated variance is that of no parameter effect."""
    rng = np.random.default_rng(11)
    n, m, tries = 50, 10, 2_000
    naive, crossed = [], []
    for _ in range(tries):
        table = rng.normal(size=(n, 1)) + rng.normal(size=(n, m))
        by_set = table.mean(axis=0)
        within = mean_variance(table.var(axis=0, ddof=1), 0)
        of_mean = np.asarray(table.mean(axis=1).var(ddof=1))
        naive.append(float(by_set.var(ddof=1)))
        crossed.append(float(se_of_parameters(by_set, within, of_mean, np.asarray(50.0), m, 0)) ** 2)
    # half of the estimates are cut at 0, so the mean is a little above it; the naive one is 1/n
    assert np.mean(naive) == pytest.approx(1 / n, rel=0.1)
    assert np.mean(crossed) < 0.25 / n
    assert np.median(crossed) < 0.05 / n


def test_one_unit_or_one_set_has_no_parameter_error() -> None:
    values = np.array([0.2, 0.4])
    nothing = np.asarray(0.0)
    assert np.isnan(se_of_parameters(values, nothing, nothing, np.asarray(1.0), 2, 0))
    assert np.isnan(se_of_parameters(values[:1], nothing, nothing, np.asarray(9.0), 1, 0))


def test_sets_without_a_value_are_left_out_of_mean_and_interval() -> None:
    values = np.array([[0.1, np.nan], [0.3, np.nan], [np.nan, 0.7]])
    assert mean_of_sets(values, 0).tolist() == pytest.approx([0.2, 0.7])
    lower, upper = interval_of_sets(values, 0)
    assert (lower[0], upper[0]) == pytest.approx((0.105, 0.295))
    assert np.isnan(lower[1]) and np.isnan(upper[1])


def test_with_one_set_the_intervals_are_those_of_a_single_run() -> None:
    n, k = 200.0, 7.0
    p = np.asarray(k / n)
    plain = wilson(k, n)
    # the variance with n, as Wilson's interval takes it
    assert wilson_of_sets(p, p * (1 - p), np.asarray(n)) == pytest.approx(plain)
    assert wilson_of_sets(np.asarray(0.0), np.asarray(0.0), np.asarray(n)) == pytest.approx(wilson(0, n))
    b, c = np.asarray(9.0), np.asarray(4.0)
    variance = ((b + c) - (b - c) ** 2 / n) / (n - 1)
    assert float(discordant_subjects(b, c, variance, np.asarray(n))) == pytest.approx(13.0)
    factor = float(alike(b, c, variance, np.asarray(n)))
    assert factor == pytest.approx(1.0)
    assert paired_tango(b * factor, c * factor, n * factor) == pytest.approx(paired_tango(9, 4, 200))


def test_sums_over_many_sets_are_exact() -> None:
    rng = np.random.default_rng(3)
    totals = rng.integers(-(2**60) + 1, 2**60, size=(3, 1_000))
    totals[1] = 2**60 - 1
    totals[2] = -(2**60) + 1
    limbs = total_limbs(totals, np.array([1_000, 1_000, 1_000]))
    assert limbs.shape == (3, LIMBS)
    for row, held in zip(totals.tolist(), limbs.tolist(), strict=True):
        n, s0, s1, *squares = held
        assert n == 1_000
        assert s0 + (s1 << 32) == sum(row)
        assert sum(limb << 32 * place for place, limb in enumerate(squares)) == sum(x * x for x in row)
        assert all(0 <= limb < 2**32 for limb in (s0, *squares[:3]))
    _, mean, _ = finish(limbs)
    assert mean[1] == (2**60 - 1) / 2**26
