"""Replicates as the unit: mean, interval and what pairing saved, against the same formulas in plain arithmetic."""

import math
import statistics

import numpy as np
import pytest

from cartsim.analysis.endpoints import standard_endpoints
from cartsim.analysis.frame import Line
from cartsim.analysis.intervals import CODE, METHODS
from cartsim.analysis.numbers import Numbers
from cartsim.analysis.replicates import Replicates, compare_unpaired, over_replicates

ENDPOINT = next(e for e in standard_endpoints() if e.id == "crs_ge3")
OLD, NEW = (Line(ENDPOINT, arm, "proportion", None, ENDPOINT.id) for arm in ("old", "new"))
DIFFERENCE = Line(ENDPOINT, "new", "risk difference", None, ENDPOINT.id)
#: Student quantile of 2 degrees of freedom
T2 = 4.302652729911275


def numbers(values, method="paired Wald", *, contrasts=True):
    """One row with these values over the replicates of a point."""
    out = Numbers(1, len(values), contrasts=contrasts)
    out.put(
        [0],
        value=np.array([values]),
        sd_subject=np.ones((1, len(values))),
        n_events=np.array([range(len(values))]),
    )
    out.put([0], interval_method=np.full((1, len(values)), CODE[method]))
    return out


def compared(old, new, design=None):
    """Combined differences of two arms' shares, with what pairing saved."""
    replicates = Replicates(np.zeros(len(old), int) if design is None else design)
    differences = numbers([b - a for a, b in zip(old, new, strict=True)])
    combined = over_replicates(replicates, [DIFFERENCE], differences, 0.95, contrasts=True)
    compare_unpaired(replicates, [DIFFERENCE], combined, [OLD, NEW], np.array([old, new], float), "old", 0.95)
    return combined


def test_variance_ratio_is_unpaired_over_paired_variance():
    combined = compared([0.10, 0.20, 0.30], [0.15, 0.24, 0.36]).floats
    spread_old, spread_new, spread_difference = 0.01, 0.0111, 0.0001
    assert combined["variance_ratio"][0, 0] == pytest.approx((spread_old + spread_new) / spread_difference)
    half = (combined["unpaired_upper"] - combined["unpaired_lower"])[0, 0] / 2
    assert half == pytest.approx(T2 * math.sqrt((spread_old + spread_new) / 3))


def test_one_replicate_has_a_value_and_no_interval():
    combined = compared([0.1], [0.15])
    assert combined.floats["value"][0, 0] == pytest.approx(0.05)
    for name in ("mcse", "lower", "upper", "variance_ratio", "unpaired_lower"):
        assert np.isnan(combined.floats[name][0, 0]), name
    assert METHODS[combined.codes["interval_method"][0, 0]] == "none"


def test_a_difference_that_never_varies_has_neither_ratio_nor_interval():
    combined = compared([0.1, 0.2], [0.1, 0.2])
    assert np.isnan(combined.floats["variance_ratio"][0, 0])
    assert np.isnan(combined.floats["lower"][0, 0])


def test_identical_replicates_have_an_interval_of_zero():
    """Only where the rows of every replicate agree in every column."""
    replicates = Replicates(np.zeros(3, int))
    out = over_replicates(
        replicates, [DIFFERENCE], numbers([0.0] * 3, "identical rows"), 0.95, contrasts=True
    )
    assert (out.floats["lower"][0, 0], out.floats["upper"][0, 0]) == (0.0, 0.0)
    assert METHODS[out.codes["interval_method"][0, 0]] == "identical rows"


def test_an_interval_of_a_share_stays_between_0_and_1():
    replicates = Replicates(np.zeros(3, int))
    out = over_replicates(
        replicates, [OLD], numbers([0.0, 0.0, 0.05], "Wilson", contrasts=False), 0.95, contrasts=False
    )
    assert out.floats["lower"][0, 0] == 0.0
    assert out.floats["upper"][0, 0] == pytest.approx(0.05 / 3 + T2 * 0.05 / 3)


def test_points_with_unequal_replicates_are_combined_apart():
    """Mean, error and counts of each point are those of its own replicates, missing values left out."""
    rng = np.random.default_rng(61)
    design = np.repeat([3, 5, 9, 11], [4, 1, 6, 3])
    values = rng.normal(size=len(design))
    values[[2, 11, 12, 13]] = np.nan
    held = numbers(values.tolist())
    out = over_replicates(Replicates(design), [DIFFERENCE], held, 0.95, contrasts=True)
    for column, point in enumerate((3, 5, 9, 11)):
        own = [v for v in values[design == point].tolist() if v == v]
        assert out.counts["n_units"][0, column] == len(own)
        assert out.counts["n_events"][0, column] == np.flatnonzero(design == point).sum()
        if not own:
            assert np.isnan(out.floats["value"][0, column])
            continue
        assert out.floats["value"][0, column] == math.fsum(own) / len(own)
        expected = statistics.stdev(own) / math.sqrt(len(own)) if len(own) > 1 else math.nan
        assert out.floats["mcse"][0, column] == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_a_replicate_without_a_count_leaves_the_count_null():
    """A sum over some replicates would be taken for the sum over all."""
    held = numbers([0.1, 0.2])
    held.put([0], n01=np.array([[4, -1]]), n10=np.array([[4, 5]]))
    out = over_replicates(Replicates(np.zeros(2, int)), [DIFFERENCE], held, 0.95, contrasts=True)
    assert (out.counts["n01"][0, 0], out.counts["n10"][0, 0]) == (-1, 9)
