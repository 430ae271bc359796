"""The untreated curves are MODEL 1's equations, at any size of their numbers."""

import math

import numpy as np
import pytest
from clinic_builder import make_par, make_subject, record
from hypothesis import assume, given
from hypothesis import strategies as st

from cartsim.model.disease import bump, ramp, skewed, untreated_crs, untreated_icans, window

PAR = record(make_par())
RATES = st.floats(0.02, 12.0)
DAYS = st.floats(-60.0, 90.0)


def textbook_bump(u: float, g: float, d: float) -> float:
    """MODEL 1 as printed, in extended precision."""
    w = d / (g + d)
    return -float(
        np.logaddexp(np.log(np.longdouble(w)) - np.longdouble(g) * u, np.log1p(-w) + np.longdouble(d) * u)
    )


@given(u=DAYS, g=RATES, d=RATES)
def test_bump_is_the_printed_equation(u: float, g: float, d: float) -> None:
    assert bump(u, g, d) == pytest.approx(textbook_bump(u, g, d), rel=1e-11, abs=1e-12)


@given(u=st.floats(-1e4, 1e4), g=st.floats(1e-3, 2e3), d=st.floats(1e-3, 2e3))
def test_bump_neither_overflows_nor_rises_above_its_peak(u: float, g: float, d: float) -> None:
    value = bump(u, g, d)
    assert math.isfinite(value) and value <= 1e-9
    assert value >= -max(g, d) * abs(u) - 1e-9


@given(g=RATES, d=RATES)
def test_bump_is_zero_and_flat_at_the_peak_with_its_slopes_far_away(g: float, d: float) -> None:
    assert bump(0.0, g, d) == pytest.approx(0.0, abs=1e-14)
    step = 1e-4 / (g + d)
    assert abs(bump(step, g, d) - bump(-step, g, d)) < 1e-7
    far = 40.0 / (g + d)
    assert (bump(-far + 1e-3, g, d) - bump(-far, g, d)) / 1e-3 == pytest.approx(g, rel=1e-4)
    assert (bump(far + 1e-3, g, d) - bump(far, g, d)) / 1e-3 == pytest.approx(-d, rel=1e-4)


@given(u=st.floats(-40, 40), v=st.floats(-40, 40), g=RATES, d=RATES)
def test_bump_is_concave(u: float, v: float, g: float, d: float) -> None:
    """One rise and one fall: on it rests that the untreated peak is found without a walk over the grid."""
    assert bump((u + v) / 2, g, d) >= (bump(u, g, d) + bump(v, g, d)) / 2 - 1e-9


@given(st.floats(1e-9, 60.0))
def test_ramp_is_the_printed_equation(t: float) -> None:
    wanted = math.log(-math.expm1(-((t / PAR.ramp_d) ** 2)))
    assert ramp(PAR, t) == pytest.approx(wanted, rel=1e-12, abs=1e-15)


def test_nothing_before_infusion() -> None:
    s = record(make_subject(crs_peak=50.0, icans_peak=50.0))
    for t in (-2.0, -1.0 / 24.0, 0.0):
        engraftment = ramp(PAR, t)
        assert engraftment == -math.inf
        assert untreated_crs(s, t, engraftment) == untreated_icans(s, t, engraftment) == -math.inf


@given(st.floats(-9, 9))
def test_skew_stretches_the_right_tail_only(z: float) -> None:
    assert skewed(PAR, z) == pytest.approx(z + PAR.k_skew * max(z, 0.0) ** 2, rel=1e-15)


@given(peak=st.floats(-2, 4), at=st.floats(0.5, 15), g=RATES, d=RATES, t=st.floats(0.05, 60))
def test_drives_are_peak_plus_bump_plus_ramp(peak: float, at: float, g: float, d: float, t: float) -> None:
    names = ("peak", "peak_d", "ascent", "decline")
    for syndrome, curve in (("crs", untreated_crs), ("icans", untreated_icans)):
        fields = {f"{syndrome}_{name}": value for name, value in zip(names, (peak, at, g, d), strict=True)}
        wanted = peak + textbook_bump(t - at, g, d) + math.log(-math.expm1(-((t / PAR.ramp_d) ** 2)))
        found = curve(record(make_subject(**fields)), t, ramp(PAR, t))
        assert found == pytest.approx(wanted, rel=1e-10, abs=1e-10)


@given(peak=st.floats(-3, 5), at=st.floats(0, 20), g=RATES, d=RATES, threshold=st.floats(-3, 5), t=DAYS)
def test_outside_the_window_a_drive_stays_below(
    peak: float, at: float, g: float, d: float, threshold: float, t: float
) -> None:
    first, last = window(peak, at, g, d, threshold)
    if first <= t <= last:
        return
    assert peak + bump(t - at, g, d) <= threshold + 1e-9


@given(peak=st.floats(-3, 5), at=st.floats(0, 20), g=RATES, d=RATES, threshold=st.floats(-3, 5))
def test_windows_are_no_wider_than_the_rounded_peak(
    peak: float, at: float, g: float, d: float, threshold: float
) -> None:
    """The two lines that bound the curve touch it far from the peak: a high peak has a tight window."""
    first, last = window(peak, at, g, d, threshold)
    if peak <= threshold:
        assert (first, last) == (math.inf, -math.inf)
        return
    assert first <= at <= last
    assume(peak - threshold > 1.0)
    w = d / (g + d)
    slack = -math.log(min(w, 1 - w))
    assert peak + bump(first - at, g, d) > threshold - 2 * slack
    assert peak + bump(last - at, g, d) > threshold - 2 * slack


def test_larger_amplitudes_begin_earlier_and_last_longer() -> None:
    """Onset and duration are no parameters: they follow from the curve (MODEL 1)."""
    t = np.linspace(0.01, 40, 4000)
    spans = []
    for peak in (0.2, 0.6, 1.2, 2.0):
        s = record(make_subject(crs_peak=peak, crs_peak_d=6.0, crs_ascent=0.55, crs_decline=0.28))
        above = t[np.array([untreated_crs(s, x, ramp(PAR, x)) for x in t.tolist()]) > 0]
        spans.append((above[0], above[-1] - above[0]))
    onset, length = zip(*spans, strict=True)
    assert list(onset) == sorted(onset, reverse=True) and list(length) == sorted(length)
