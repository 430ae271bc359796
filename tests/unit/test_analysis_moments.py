"""Means and variances: right, and the same to the last bit whatever the chunk size."""

import numpy as np
import pytest

from cartsim.analysis.moments import SUB_BLOCK, Moments


def _fed(values, chunk):
    moments = Moments()
    for start in range(0, len(values), chunk):
        moments.add(values[start : start + chunk])
    return moments


def test_moments_are_those_of_numpy():
    """Mean and sample sd agree with numpy on values far from 0."""
    values = 1e6 + np.random.default_rng(1).normal(size=3 * SUB_BLOCK + 17)
    moments = _fed(values, SUB_BLOCK)
    assert moments.mean == pytest.approx(values.mean(), rel=1e-14)
    assert moments.sd == pytest.approx(values.std(ddof=1), rel=1e-9)


@pytest.mark.parametrize("share_missing", [0.0, 0.3])
def test_chunk_size_and_merging_move_no_bit(share_missing):
    """Chunks of 1, 2 and 5 sub-blocks, and two workers merged, give equal bits."""
    rng = np.random.default_rng(2)
    values = rng.lognormal(size=7 * SUB_BLOCK + 1001)
    values[rng.random(len(values)) < share_missing] = np.nan
    results = {(m.count, m.mean, m.sd) for m in (_fed(values, k * SUB_BLOCK) for k in (1, 2, 5, 8))}
    first, second = _fed(values[: 4 * SUB_BLOCK], SUB_BLOCK), _fed(values[4 * SUB_BLOCK :], SUB_BLOCK)
    second.merge(first)
    results.add((second.count, second.mean, second.sd))
    assert len(results) == 1
    assert results.pop()[0] == np.isfinite(values).sum()


def test_nothing_has_no_mean_and_one_value_no_sd():
    """Null, never NaN nor 0."""
    assert Moments().mean is None
    moments = _fed(np.array([np.nan, 3.0]), SUB_BLOCK)
    assert (moments.mean, moments.sd) == (3.0, None)
