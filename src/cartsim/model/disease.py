"""The disease without drugs: closed-form curves, drawn once per subject.

Time is days since infusion; the drives are natural-log intensities on the scale where fever begins at 0 and the
first hypotension threshold is 1 (MODEL 1). Closed forms make the course independent of when anybody looks.
"""

import math
import sys

import numpy as np

from cartsim.compiled import compiled

#: Beyond this the engraftment ramp is 1 to the last bit.
_RAMP_FULL = 2.0 - math.log(sys.float_info.epsilon)


@compiled
def skewed(p: np.record, z: float) -> float:
    """psi(z) = z + k*max(z, 0)^2: a heavier right tail than the normal score z."""
    return z + p.k_skew * z * z if z > 0.0 else z


@compiled
def bump(since_peak_d: float, ascent: float, decline: float) -> float:
    """0 at the peak, slope +ascent (/d) before and -decline (/d) after it, smooth between (log-sum-exp).

    MODEL 1's -ln(w exp(-g u) + (1-w) exp(d u)) with the larger exponential taken out: one less, and none overflows.
    """
    both = ascent + decline
    w = decline / both
    if since_peak_d > 0.0:
        return -decline * since_peak_d - math.log(1.0 - w + w * math.exp(-both * since_peak_d))
    return ascent * since_peak_d - math.log(w + (1.0 - w) * math.exp(both * since_peak_d))


@compiled
def ramp(p: np.record, t: float) -> float:
    """Engraftment: -inf at or before infusion, 0 once cells have expanded."""
    if t <= 0.0:
        return -math.inf
    r = t / p.ramp_d
    r *= r
    return 0.0 if r > _RAMP_FULL else math.log(-math.expm1(-r))


@compiled
def untreated_crs(s: np.record, t: float, engraftment: float) -> float:
    """x0(t), the CRS drive had no drug been given; `engraftment` is `ramp(p, t)`, which both drives share."""
    if engraftment == -math.inf:
        return engraftment
    return s.crs_peak + bump(t - s.crs_peak_d, s.crs_ascent, s.crs_decline) + engraftment


@compiled
def untreated_support(p: np.record, s: np.record, t: float) -> float:
    """x0(t - lag): the drive behind the signs of support, where they follow the fever with a delay."""
    then = t - p.support_lag_d
    return untreated_crs(s, then, ramp(p, then))


@compiled
def untreated_icans(s: np.record, t: float, engraftment: float) -> float:
    """y0(t), the ICANS drive had no drug been given."""
    if engraftment == -math.inf:
        return engraftment
    return s.icans_peak + bump(t - s.icans_peak_d, s.icans_ascent, s.icans_decline) + engraftment


@compiled
def wide_lead(p: np.record, s: np.record, t: float) -> float:
    """By how much the wide neurologic drive lies above y0(t): one curve up to the peak, then each its own decline.

    Drugs act on both alike, so the lead is the same with and without them.
    """
    since = t - s.icans_peak_d
    if since <= 0.0 or p.wide_decline_ratio == 1.0:
        return 0.0
    slower = bump(since, s.icans_ascent, p.wide_decline_ratio * s.icans_decline)
    return slower - bump(since, s.icans_ascent, s.icans_decline)


@compiled
def window(
    peak: float, peak_d: float, ascent: float, decline: float, threshold: float
) -> tuple[float, float]:
    """Times outside which `peak + bump` cannot exceed `threshold` (days; empty window: (inf, -inf)).

    The log-sum-exp is at least each of its terms, so two straight lines bound the curve from above.
    """
    if peak <= threshold:
        return math.inf, -math.inf
    w = decline / (ascent + decline)
    first = peak_d + (threshold - peak + math.log(w)) / ascent
    last = peak_d + (peak - threshold - math.log(1.0 - w)) / decline
    return first, last
