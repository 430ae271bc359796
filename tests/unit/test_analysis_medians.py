"""Medians by rank and by resampling: the binomial, a straightforward bootstrap, and both arms of the same subjects."""

import numpy as np
import pytest
from scipy import stats

from cartsim.analysis.medians import median_difference_bootstrap, median_ranks, paired_rank_interval


def uniform_block(n, occurrence):
    return np.random.Generator(np.random.Philox(key=occurrence)).random(n)


def pairs(n=401, seed=11, grid=None):
    """Values of both arms (n,), correlated, the new one later by 0.3."""
    rng = np.random.default_rng(seed)
    reference = rng.gamma(4.0, size=n)
    new = reference + 0.3 + rng.normal(scale=0.5, size=n)
    return (
        (new, reference) if grid is None else (np.round(new / grid) * grid, np.round(reference / grid) * grid)
    )


def counted(new, reference):
    """Distinct pairs in rising order of the reference, and their counts."""
    values, count = np.unique(np.stack([reference, new]), axis=1, return_counts=True)
    return values[1], values[0], count


def test_median_ranks_cover_by_the_binomial():
    """The interval covers at least 95 % and leaving out one more rank would not; many sizes at once."""
    sizes = np.array([[1, 5, 6, 7, 20], [101, 1000, 4096, 65_536, 1_000_001]])
    low, high = median_ranks(sizes)
    for n, a, b in zip(sizes.ravel(), low.ravel(), high.ravel(), strict=True):
        assert (a, b) == tuple(map(int, median_ranks(int(n))))
        if a == 0:
            assert b == 0
            assert stats.binom.cdf(0, n, 0.5) > 0.025
            continue
        assert a + b == n + 1
        assert stats.binom.cdf(a - 1, n, 0.5) <= 0.025 < stats.binom.cdf(a, n, 0.5)


def test_bootstrap_of_medians_repeats_and_has_the_right_size():
    """Same addressed uniforms, same interval; its standard error is that of a straightforward resampling."""
    new, reference = pairs()
    found = median_difference_bootstrap(new, reference, uniform_block)
    assert found == median_difference_bootstrap(new, reference, uniform_block)
    plain = []
    for k in range(500):
        picked = (uniform_block(401, k) * 401).astype(int)
        plain.append(np.median(new[picked]) - np.median(reference[picked]))
    assert found[0] == pytest.approx(np.std(plain, ddof=1), abs=1e-12)
    assert found[1] == pytest.approx(tuple(np.quantile(plain, [0.025, 0.975])), abs=1e-12)
    se, limits = median_difference_bootstrap(new[:1], reference[:1], uniform_block)
    assert np.isnan([se, *limits]).all()


def test_bootstrap_from_counts_is_that_of_the_subjects_in_order():
    """Weights stand for subjects: the subjects behind the counts, put in the counts' order, give the same interval."""
    new, reference, count = counted(*pairs(grid=0.25))
    assert count.max() > 1
    subjects = np.repeat(new, count), np.repeat(reference, count)
    weighted = median_difference_bootstrap(new, reference, uniform_block, count=count)
    assert weighted == median_difference_bootstrap(*subjects, uniform_block)


@pytest.mark.parametrize(("n", "grid"), [(20_000, None), (1500, 0.25)])
def test_rank_interval_agrees_with_the_bootstrap(n, grid):
    """Off and on a grid: the same limits and standard error, but for what 500 draws leave open."""
    new, reference, count = counted(*pairs(n, grid=grid))
    se, limits = paired_rank_interval(new, reference, count)
    other, bootstrapped = median_difference_bootstrap(new, reference, uniform_block, count=count)
    print(f"standard error by ranks {se:.5f}, by bootstrap {other:.5f}")
    assert se == pytest.approx(other, rel=0.2)
    assert limits == pytest.approx(bootstrapped, abs=0.5 * other)
    difference = np.median(np.repeat(new, count)) - np.median(np.repeat(reference, count))
    assert limits[0] <= difference <= limits[1]


def test_rank_interval_knows_pairing_and_its_mirror():
    """Independent arms are known less well than paired ones; swapping the arms negates the interval."""
    new, reference = pairs(4000)
    paired = paired_rank_interval(*counted(new, reference))
    apart = paired_rank_interval(*counted(np.roll(new, 1), reference))
    assert apart[0] > 1.5 * paired[0]
    swapped = paired_rank_interval(*counted(reference, new))
    assert swapped[1] == pytest.approx((-paired[1][1], -paired[1][0]), abs=0.1 * paired[0])


def test_rank_interval_without_width_or_subjects():
    """A grid too coarse to move gives a standard error of 0; one subject gives nothing."""
    assert paired_rank_interval(np.array([1.0]), np.array([2.0]), np.array([900])) == (0.0, (-1.0, -1.0))
    se, limits = paired_rank_interval(np.array([1.0]), np.array([2.0]), np.array([1]))
    assert np.isnan([se, *limits]).all()
