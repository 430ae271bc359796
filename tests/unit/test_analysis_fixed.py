"""Sums that forget the order of adding: exact against fractions, whatever the chunks, up to the edge of what fits."""

import math
from fractions import Fraction

import numpy as np
import pytest

from cartsim.analysis.counts import Groups
from cartsim.analysis.fixed import (
    LARGEST,
    LIMBS,
    MOST_ROWS,
    SCALE_BITS,
    carry,
    count_moments,
    finish,
    quantise,
    subtract,
)
from cartsim.errors import InvalidInput


def limbs_of(values, groups=None):
    groups = groups or Groups.of(np.zeros(len(values), int))
    return count_moments(groups, *quantise("x", values))[3].reshape(-1, LIMBS)


def exact(values):
    """n, mean and variance of the quanta, as fractions."""
    q = [Fraction(round(Fraction(float(v)) * 2**SCALE_BITS), 2**SCALE_BITS) for v in values if v == v]
    mean = sum(q) / len(q)
    return len(q), mean, sum((x - mean) ** 2 for x in q) / (len(q) - 1)


@pytest.mark.parametrize("make", ["lognormal", "signed", "holes", "whole", "edge"])
def test_moments_are_those_of_fractions(make):
    """Mean and sd are the nearest floats to the exact ones of the quanta."""
    rng = np.random.default_rng(31)
    values = rng.lognormal(2, 2, 500) if make == "lognormal" else rng.normal(0, 1e5, 500)
    if make == "holes":
        values[rng.random(500) < 0.3] = np.nan
    if make == "whole":
        values = np.rint(values)
    if make == "edge":
        values = np.where(rng.random(500) < 0.5, 1, -1) * (LARGEST - rng.random(500))
    n, mean, sd = (x[0] for x in finish(limbs_of(values)))
    count, centre, variance = exact(values)
    assert (n, mean) == (count, float(centre))
    assert sd == math.sqrt(variance)
    assert mean == pytest.approx(np.nanmean(values), rel=1e-6, abs=1e-3)
    assert sd == pytest.approx(np.nanstd(values, ddof=1), rel=1e-9)


def test_any_cut_gives_the_same_limbs():
    """Chunks of any length, added and carried, are the limbs of the whole."""
    rng = np.random.default_rng(32)
    values = rng.normal(0, 1e5, 20_001)
    whole = limbs_of(values)
    for cuts in ([1], [4096, 9999], np.sort(rng.integers(0, 20_001, 40))):
        total = sum(limbs_of(part) for part in np.split(values, cuts) if len(part))
        carry(total)
        assert np.array_equal(total, whole)
    assert (whole[:, [1, 3, 4, 5]] < 2**32).all()
    assert (whole[:, [1, 3, 4, 5]] >= 0).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_a_full_chunk_at_the_edge_does_not_overflow(sign):
    """Every subject just below the largest quantity."""
    edge = sign * np.nextafter(LARGEST, 0)
    n, mean, sd = (x[0] for x in finish(limbs_of(np.full(MOST_ROWS, edge))))
    assert (n, sd) == (MOST_ROWS, 0.0)
    assert mean == pytest.approx(edge, abs=1e-8)


def test_groups_are_summed_apart():
    """Cohorts of unequal size in one block, one of them without a value."""
    rng = np.random.default_rng(33)
    sizes = [3, 1, 200, 2, 50]
    parts = [rng.gamma(2.0, size=k) for k in sizes]
    parts[3][:] = np.nan
    groups = Groups.of(np.repeat([7, 1, 9, 2, 3], sizes))
    together = limbs_of(np.concatenate(parts), groups)
    assert np.array_equal(together, np.concatenate([limbs_of(part) for part in parts]))
    n, mean, sd = finish(together)
    assert n.tolist() == [3, 1, 200, 0, 50]
    assert np.isnan(mean).tolist() == [False, False, False, True, False]
    assert np.isnan(sd).tolist() == [False, True, False, True, False]


def test_differences_are_exact_and_need_both():
    """The paired difference is that of the quanta; a subject missing in either arm is left out."""
    new, old = np.array([1.0, np.nan, 3.25, 7.0]), np.array([0.5, 1.0, np.nan, 9.0])
    q, both = subtract("x", quantise("x", new), quantise("x", old))
    assert (q / 2**SCALE_BITS).tolist() == [0.5, 0.0, 0.0, -2.0]
    assert both.tolist() == [True, False, False, True]


def test_what_is_too_large_is_refused_by_name():
    """A quantity, a difference of two that fit, and more rows than a chunk may have."""
    with pytest.raises(InvalidInput, match="'steroid_mg'"):
        quantise("steroid_mg", np.array([1.0, 2.0**20]))
    far = [quantise("x", np.array([x])) for x in (1e6, -1e6)]
    with pytest.raises(InvalidInput, match="difference between arms"):
        subtract("x", *far)
    with pytest.raises(ValueError, match="at a time"):
        limbs_of(np.zeros(MOST_ROWS + 1))
