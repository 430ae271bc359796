"""Sobol' indices and Morris effects on plain arrays: SALib's own analyzers as the reference, and what noise does."""

import numpy as np
import pytest
from SALib.analyze import morris as salib_morris
from SALib.analyze import sobol as salib_sobol
from SALib.sample import morris as morris_sample
from SALib.sample import sobol as sobol_sample

from cartsim.sensitivity.indices import sobol_indices
from cartsim.sensitivity.morris import morris_effects
from cartsim.sensitivity.products import mean_product, replicate_variance
from cartsim.sensitivity.resample import estimate, row_weights

PROBLEM = {"num_vars": 4, "names": list("abcd"), "bounds": [[0.0, 1.0]] * 4}
GROUPED = PROBLEM | {"groups": ["left", "left", "right", "rest"]}


DRAWN = np.random.default_rng(11).random((1000, 4096))


def uniform(n, k):
    return DRAWN[k, :n]


def response(x):
    return 4 * x[:, 0] + 3 * x[:, 1] * x[:, 2] + np.sin(5 * x[:, 2]) + 0.0 * x[:, 3]


def parts(y, inputs):
    y = y.reshape(len(y), -1, inputs + 2)
    return y[:, :, 0], y[:, :, -1], y[:, :, 1:-1]


@pytest.mark.parametrize(("problem", "inputs"), [(PROBLEM, 4), (GROUPED, 3)])
def test_without_noise_the_indices_are_those_of_salib(problem, inputs):
    """Equal replicates leave the plain estimators, in the order of the rows that SALib makes."""
    x = sobol_sample.sample(problem, 256, calc_second_order=False, seed=3)
    y = response(x)
    theirs = salib_sobol.analyze(problem, y, calc_second_order=False, seed=5)
    ours = sobol_indices(*parts(np.stack([y, y, y]), inputs), uniform)
    assert [e.value for e in ours.first] == pytest.approx(theirs["S1"], abs=1e-9)
    assert [e.value for e in ours.total] == pytest.approx(theirs["ST"], abs=1e-9)
    half = [0.5 * (e.upper - e.lower) for e in ours.first]
    assert half == pytest.approx(theirs["S1_conf"], rel=0.4, abs=1e-6)


@pytest.mark.parametrize("replicates", [2, 5])
def test_noise_that_points_share_is_no_sensitivity(replicates):
    """A flat response seen through noise, most of it common to all points: the variance found is none."""
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(40):
        y = rng.normal(size=(replicates, 200 * 5)) + rng.normal(size=(replicates, 1)) * 10
        variance = sobol_indices(*parts(y, 3), uniform).variance
        assert abs(variance.value) < 0.3
        held += variance.lower < 0 < variance.upper
    assert held >= 30


def test_two_replicates_and_a_known_variance_remove_the_same_noise():
    """Independent noise: crossed replicates and the subtracted Monte Carlo variance both leave the index as it is."""
    x = sobol_sample.sample(PROBLEM, 4096, calc_second_order=False, seed=3)
    clean = response(x)
    truth = sobol_indices(*parts(np.stack([clean, clean]), 4), uniform)
    noisy = clean + np.random.default_rng(7).normal(size=(2, len(clean))) * 0.5 * clean.std()
    crossed = sobol_indices(*parts(noisy, 4), uniform)
    known = np.full((4096, 4), (0.5 * clean.std()) ** 2)
    alone = sobol_indices(*parts(noisy[:1], 4), uniform, noise=(known[:, 0], known[:, 1], known))
    naive = sobol_indices(*parts(noisy[:1], 4), uniform)
    for found in (crossed, alone):
        for ours, free in zip((*found.first, *found.total), (*truth.first, *truth.total), strict=True):
            assert abs(ours.value - free.value) < 0.04
    assert naive.total[3].value > 0.15  # an input that does nothing would seem to matter


def test_nothing_varies_nothing_is_shared_out():
    flat = np.full((2, 50 * 4), 3.0)
    found = sobol_indices(*parts(flat, 2), uniform)
    assert [e.value for e in (*found.first, *found.total)] == [None] * 4
    assert found.variance.value == 0


def test_mean_product_by_hand():
    x, y = np.array([[1.0], [2.0], [4.0]]), np.array([[3.0], [5.0], [7.0]])
    pairs = [x[r, 0] * y[s, 0] for r in range(3) for s in range(3) if r != s]
    assert mean_product(x, y)[0] == pytest.approx(np.mean(pairs))
    assert mean_product(x[:1], x[:1], 0.25)[0] == pytest.approx(0.75)


def test_replicate_variance_is_the_component_between_replicates():
    """Planted component 4, ten rows of residual 1: the expected variance of the mean is 4 / replicates."""
    rng = np.random.default_rng(5)
    found = [
        replicate_variance(rng.normal(size=(5, 1)) * 2 + rng.normal(size=(1, 10)) + rng.normal(size=(5, 10)))
        for _ in range(2000)
    ]
    assert np.mean(found) == pytest.approx(4 / 5, rel=0.1)
    assert replicate_variance(rng.normal(size=(1, 10))) == 0


def test_an_unlucky_cohort_widens_the_interval():
    """Noise that is a smooth function of an input is invisible to resampled rows; the interval must show it."""
    a, b = np.random.default_rng(9).random((2, 300, 2))
    x = np.stack([a, np.where([True, False], b, a), np.where([False, True], b, a), b], axis=1)
    y = 2 * x[:, :, 0] + x[:, :, 1]
    swing = y + np.array([1.0, -1.0])[:, None, None] * 0.5 * x[:, :, 0]
    lucky = sobol_indices(*parts(np.stack([y, y]).reshape(2, -1), 2), uniform).first[0]
    unlucky = sobol_indices(*parts(swing.reshape(2, -1), 2), uniform).first[0]
    assert unlucky.upper - unlucky.lower > 2 * (lucky.upper - lucky.lower)


def test_weights_and_intervals():
    weights = row_weights(20, uniform, 50)
    assert weights.shape == (50, 20) and weights.sum(axis=1) == pytest.approx(np.ones(50))
    draws = np.random.default_rng(3).normal(size=4000)
    plain = estimate(0.0, draws, 0.0, 1000, 2)
    assert (plain.lower, plain.upper) == pytest.approx((-1.96, 1.96), abs=0.1)
    few = estimate(0.0, draws, 0.0, 6, 2)
    assert few.upper > 2.6  # Student's t at five degrees of freedom
    wide = estimate(0.0, draws, 8.0, 1000, 30)
    assert wide.upper == pytest.approx(6.0, abs=0.4)
    assert estimate(float("nan"), draws, 0.0, 9, 2).value is None
    assert estimate(1.0, np.full(10, np.nan), 0.0, 9, 2).lower is None
    assert estimate(2.0, np.full(10, 2.0), 0.0, 9, 2) == type(plain)(2.0, 2.0, 2.0, 9)


def test_without_noise_morris_is_that_of_salib():
    """Effects per step against SALib's per unit of the range (a step is two thirds of it at four levels)."""
    x = morris_sample.sample(PROBLEM, 30, num_levels=4, seed=4)
    y = response(x)
    theirs = salib_morris.analyze(PROBLEM, x, y, num_levels=4, seed=1)
    paths = x.reshape(30, 5, 4)
    effects = np.zeros((30, 4))
    for t, path in enumerate(paths):
        for i, j in enumerate(np.abs(np.diff(path, axis=0)).argmax(axis=1)):
            rises = path[i + 1, j] > path[i, j]
            effects[t, j] = (y[5 * t + i + 1] - y[5 * t + i]) * (1 if rises else -1)
    found = morris_effects(np.stack([effects, effects]), uniform)
    step = 2 / 3
    assert [f.mu.value for f in found] == pytest.approx(theirs["mu"] * step)
    assert [f.mu_star.value for f in found] == pytest.approx(theirs["mu_star"] * step)
    assert [f.sigma.value for f in found] == pytest.approx(theirs["sigma"] * step, abs=1e-6)


@pytest.mark.parametrize("replicates", [1, 2, 4])
def test_noise_has_no_effect_and_no_spread(replicates):
    """An input that does nothing: mean absolute effect inside its interval with 0, spread 0 within its own."""
    rng = np.random.default_rng(21)
    effects = rng.normal(size=(replicates, 60, 1)) + np.array([[[0.0], [5.0]]])[:, :1]
    noise = np.ones((60, 1)) if replicates == 1 else None
    (found,) = morris_effects(effects, uniform, noise=noise)
    assert found.mu_star.lower < 0 < found.mu_star.upper
    assert found.sigma.lower == 0
    assert np.abs(effects).mean() > 0.7  # what the plain mean would have said


def test_a_clear_effect_keeps_its_size():
    rng = np.random.default_rng(22)
    effects = np.array([-5.0, 5.0] * 20)[None, :, None] + rng.normal(size=(2, 40, 1)) * 0.3
    (found,) = morris_effects(effects, uniform)
    assert found.mu_star.value == pytest.approx(5, abs=0.1)
    assert found.mu.lower < 0 < found.mu.upper
    assert found.sigma.value == pytest.approx(5.06, abs=0.1)


def test_one_trajectory_has_no_spread():
    (found,) = morris_effects(np.array([[[2.0]], [[2.0]]]), uniform)
    assert found.mu.value == 2 and found.mu.lower is None
    assert found.sigma.value is None
