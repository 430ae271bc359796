"""Sensitivity against theory: Ishigami's function under noise, coverage of its intervals, and planted tipping values.

Fixed seeds; failure only where an exact test rejects the stated value at 1e-6 (STATISTICS 6). Intervals are made by
resampling rows, which is asymptotic: coverage is tested against 93 %, one-sided, and printed.
"""

import numpy as np
import pytest
from SALib.sample import sobol as sobol_sample
from scipy import stats

from cartsim.sensitivity.indices import sobol_indices
from cartsim.sensitivity.morris import morris_effects
from cartsim.sensitivity.tipping import find_flips

pytestmark = pytest.mark.verify
ALARM = 1e-6
A, B = 7.0, 0.1
PI = np.pi


DRAWN = np.random.default_rng(71).random((1000, 8192))


def uniform(n, k):
    return DRAWN[k, :n]


def ishigami(x):
    """Ishigami and Homma (1990); inputs beyond the third do nothing."""
    return np.sin(x[..., 0]) + A * np.sin(x[..., 1]) ** 2 + B * x[..., 2] ** 4 * np.sin(x[..., 0])


def theory():
    """Variance, first-order and total indices of x1, x2, x3 over (-pi, pi)^3."""
    alone1 = 0.5 * (1 + B * PI**4 / 5) ** 2
    alone2 = A**2 / 8
    with13 = B**2 * PI**8 * (1 / 18 - 1 / 50)
    total = alone1 + alone2 + with13
    first = np.array([alone1, alone2, 0.0]) / total
    whole = np.array([alone1 + with13, alone2, with13]) / total
    return total, first, whole


def parts(y, inputs):
    y = y.reshape(len(y), -1, inputs + 2)
    return y[:, :, 0], y[:, :, -1], y[:, :, 1:-1]


def noisy(x, replicates, seed, share=1 / 3):
    clean = ishigami(x)
    noise = np.random.default_rng(seed).normal(size=(replicates, len(clean)))
    return clean + share * np.sqrt(theory()[0]) * noise


def test_theory_is_that_of_the_literature():
    _, first, whole = theory()
    assert first == pytest.approx([0.3139, 0.4424, 0], abs=1e-4)
    assert whole == pytest.approx([0.5576, 0.4424, 0.2437], abs=1e-4)


@pytest.mark.parametrize("seed", [1, 2])
def test_ishigami_under_noise(seed):
    """Two replicates, noise of a third of the function's spread, 8,192 base rows: all within 0.03, a dummy holds 0.

    How often an interval covers in general is the next test but one.
    """
    problem = {"num_vars": 4, "names": list("abcd"), "bounds": [[-PI, PI]] * 4}
    x = sobol_sample.sample(problem, 8192, calc_second_order=False, seed=seed)
    found = sobol_indices(*parts(noisy(x, 2, 100 + seed), 4), uniform)
    _, first, whole = theory()
    for words, ours, truth in (("first", found.first, first), ("total", found.total, whole)):
        values = np.array([e.value for e in ours])
        print(f"seed {seed}, {words} order: {np.round(values, 4)}, theory {np.round(truth, 4)} and 0")
        assert np.abs(values - [*truth, 0.0]).max() < 0.03
    for dummy in (found.first[3], found.total[3]):
        print(f"  dummy: {dummy.value:.4f} ({dummy.lower:.4f} to {dummy.upper:.4f})")
        assert dummy.lower < 0 < dummy.upper


def test_groups_under_noise():
    """x1 and x3 as one group, x2, and a dummy: the group's indices are those of what it holds."""
    problem = {
        "num_vars": 4, "names": list("abcd"), "bounds": [[-PI, PI]] * 4, "groups": ["pair", "two", "pair", "none"],
    }  # fmt: skip
    x = sobol_sample.sample(problem, 8192, calc_second_order=False, seed=5)
    found = sobol_indices(*parts(noisy(x, 2, 6), 3), uniform)
    _, first, _ = theory()
    truth = np.array([1 - first[1], first[1], 0.0])  # nothing interacts across the groups
    for ours in (found.first, found.total):
        values = np.array([e.value for e in ours])
        print(f"groups: {np.round(values, 4)}, theory {np.round(truth, 4)}")
        assert np.abs(values - truth).max() < 0.03


def cohort(x, rng):
    """An error that all points of a replicate share and that changes smoothly with the inputs, as a cohort's does."""
    c = rng.normal(size=4)
    return c[0] + c[1] * np.sin(x[..., 0]) + 2 * c[2] * x[..., 1] / PI + c[3] * np.cos(x[..., 2])


@pytest.mark.parametrize(
    ("kind", "replicates"), [("independent", 2), ("independent", 1), ("shared", 2), ("shared", 4)]
)
def test_coverage_of_intervals(kind, replicates):
    """200 repeats of 256 random base rows: how often each index lies in its 95 % interval, for both kinds of noise."""
    repeats, rows, sd = 200, 256, np.sqrt(theory()[0]) / 3
    truth = np.concatenate([[*indices, 0.0] for indices in theory()[1:]])
    held = np.zeros(8)
    for k in range(repeats):
        rng = np.random.default_rng([k, replicates, kind == "shared"])
        a, b = rng.uniform(-PI, PI, (2, rows, 4))
        x = np.stack([a, *(np.where(np.arange(4) == j, b, a) for j in range(4)), b], axis=1)
        y = np.stack([ishigami(x)] * replicates)
        if kind == "independent":
            y = y + sd * rng.normal(size=y.shape)
        else:
            y = y + sd / 1.6 * np.stack([cohort(x, rng) for _ in range(replicates)])
        known = np.full((rows, 4), sd**2)
        noise = (known[:, 0], known[:, 0], known) if replicates == 1 else None
        found = sobol_indices(y[:, :, 0], y[:, :, 5], y[:, :, 1:5], uniform, noise=noise)
        # a dummy under shared noise is exactly 0, and so is its interval
        held += [e.lower <= t <= e.upper for e, t in zip((*found.first, *found.total), truth, strict=True)]
    shown = ", ".join(f"{h / repeats:.3f}" for h in held)
    print(f"{kind} noise, {replicates} replicates: S1 of x1 x2 x3 dummy, then ST, covered {shown}")
    for h in held:
        assert stats.binomtest(int(h), repeats, 0.93, alternative="less").pvalue > ALARM


def test_morris_coverage_under_noise():
    """Effects with a known mean, size and spread: coverage of 20 trajectories, two replicates, 300 repeats."""
    repeats, trajectories = 300, 20
    held = np.zeros(4)
    for k in range(repeats):
        rng = np.random.default_rng([k, 3])
        effect = 3 + rng.normal(size=(1, trajectories, 1)) * 0.8
        nothing = np.zeros((1, trajectories, 1))
        y = np.concatenate([effect, nothing], axis=2) + 0.5 * rng.normal(size=(2, trajectories, 2))
        real, none = morris_effects(y, uniform)
        held += [
            real.mu.lower <= 3 <= real.mu.upper,
            real.mu_star.lower <= 3 <= real.mu_star.upper,
            real.sigma.lower <= 0.8 <= real.sigma.upper,
            none.mu_star.lower <= 0 <= none.mu_star.upper,
        ]
    print("Morris: mu, mu_star, sigma, mu_star of nothing covered", np.round(held / repeats, 3))
    for h, nominal in zip(held, (0.93, 0.93, 0.88, 0.93), strict=True):
        assert stats.binomtest(int(h), repeats, nominal, alternative="less").pvalue > ALARM


@pytest.mark.parametrize(("subjects", "share"), [(20_000, 0.85), (50_000, 0.97)])
def test_planted_tipping_values(subjects, share):
    """200 planted cases: paired subjects under two policies at 9 to 13 values of an input, the same subjects at each.

    The share found within 5 % (of the input's range) depends on the Monte Carlo error alone, which the interval tells;
    its coverage is the test of that.
    """
    cases, near, held, relative = 200, 0, 0, []
    for k in range(cases):
        rng = np.random.default_rng([k, subjects])
        low = rng.uniform(5, 40)
        high = low + rng.uniform(20, 60)
        x = np.linspace(low, high, int(rng.integers(9, 14)))
        planted = rng.uniform(low + 0.2 * (high - low), high - 0.2 * (high - low))
        bend, gain = rng.uniform(0.5, 2), rng.uniform(0.06, 0.12) * rng.choice([-1, 1])
        reference = rng.uniform(0.12, 0.25)
        new = reference + gain * np.sinh(bend * (x - planted) / (high - low)) / np.sinh(bend)
        u = rng.random(subjects)
        v = np.where(rng.random(subjects) < 0.7, u, rng.random(subjects))  # pairs are alike, not equal
        difference = (v < new[:, None]).astype(np.int8) - (u < reference).astype(np.int8)
        value = difference.mean(axis=1)
        half = 1.96 * difference.std(axis=1, ddof=1) / np.sqrt(subjects)
        found = find_flips(x, value, value - half, value + half).tipping
        if not found:
            continue
        tip = min(found, key=lambda t: abs(t.value - planted))
        error = abs(tip.value - planted)
        near += error <= 0.05 * (high - low)
        relative.append(error / planted)
        held += (tip.lower is None or tip.lower <= planted) and (tip.upper is None or planted <= tip.upper)
    print(
        f"{subjects:,} subjects a point: {near / cases:.3f} within 5 % of the range, "
        f"{np.mean(np.array(relative) <= 0.05):.3f} within 5 % of the value; interval holds it in {held / cases:.3f}"
    )
    assert stats.binomtest(near, cases, share, alternative="less").pvalue > ALARM
    assert stats.binomtest(held, cases, 0.95).pvalue > ALARM
