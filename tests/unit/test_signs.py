"""From a drive to what can be measured: counts of thresholds, and a thermometer."""

import math

import numpy as np
import pytest
from clinic_builder import REGISTRY, make_par, make_subject, record
from hypothesis import given
from hypothesis import strategies as st

from cartsim.model.signs import level_of, support_threshold, temperature_c

P = record(make_par())


@given(
    drive=st.floats(-5, 5) | st.just(-math.inf),
    thresholds=st.lists(st.floats(-3, 3), min_size=1, max_size=5).map(sorted),
)
def test_a_level_counts_the_thresholds_passed(drive: float, thresholds: list[float]) -> None:
    assert level_of(drive, np.array(thresholds)) == sum(drive > threshold for threshold in thresholds)


def test_a_threshold_must_be_passed_not_met() -> None:
    assert [level_of(x, P.h) for x in (1.0, np.nextafter(1.0, 2.0), 9.0)] == [0, 1, 5]


@given(eps=st.lists(st.floats(-2, 2), min_size=4, max_size=4), drive=st.floats(-3, 4))
def test_below_the_lowest_threshold_nothing_shows(eps: list[float], drive: float) -> None:
    """The bound is the largest one for which this is so."""
    s = record(make_subject(eps=np.array(eps)))
    axes = (P.h, P.o, P.liver, P.kidney)
    shows = drive > 0.0 or any(drive + e > axis[0] for e, axis in zip(eps, axes, strict=True))
    bound = support_threshold(P, s)
    assert shows == (drive > bound) or abs(drive - bound) < 1e-12


def test_fever_begins_at_38_degrees() -> None:
    assert temperature_c(P, 0.0) == pytest.approx(38.0, abs=2e-3)
    assert temperature_c(P, -math.inf) == P.temp_base == REGISTRY.numbers()["signs.temperature_base_c"]


@given(st.floats(-20, 20), st.floats(-20, 20))
def test_temperature_rises_with_its_drive_and_saturates(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert P.temp_base <= temperature_c(P, low) <= temperature_c(P, high) <= P.temp_base + P.temp_rise
    wanted = P.temp_base + P.temp_rise / (1 + math.exp(-P.temp_slope * (low - P.temp_mid)))
    assert temperature_c(P, low) == pytest.approx(wanted, rel=1e-12)
