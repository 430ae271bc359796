"""The latent course on a grid fixed at infusion: untreated or treated peaks, and the hazards of death and seizure.

The grid is followed lazily, just before anything changes what the future looks like, and each point is read once
with the drugs in force at that point. So assessing, sampling or stopping more often changes no bit of it.
"""

import math

import numpy as np

from cartsim.compiled import compiled
from cartsim.model.disease import ramp, untreated_crs, untreated_icans, untreated_support, wide_lead
from cartsim.model.drugs import treated
from cartsim.model.signs import is_wide
from cartsim.terms import HOURS_PER_DAY, BpSupport, Oxygen, Setting

_ICU = int(Setting.ICU)
_SEVERAL = int(BpSupport.SEVERAL_PRESSORS) - 1
_VENTILATOR = int(Oxygen.VENTILATOR) - 1
# untreated curves
_CURVES = ("fever", "signs of support", "ICANS", "wide neurologic events")
_CRS, _SUPPORT, _ICANS, _WIDE = range(len(_CURVES))


@compiled
def grid_index(p: np.record, t: float) -> int:
    """Last grid point at or before `t`."""
    step = p.grid_h / HOURS_PER_DAY
    k = int(math.floor(t / step))
    if k * step > t:
        k -= 1
    elif (k + 1) * step <= t:
        k += 1
    return k


@compiled
def drives(p: np.record, s: np.record, c: np.record, t: float) -> tuple[float, float, float]:
    """(xS, xF, y) at `t` under the drugs given so far; -inf where provably nothing of it can be seen."""
    engraftment = ramp(p, t)
    x0 = untreated_crs(s, t, engraftment) if c.support_from <= t <= c.support_to else -math.inf
    y0 = untreated_icans(s, t, engraftment) if c.neuro_from <= t <= c.neuro_to else -math.inf
    late = x0
    if p.support_lag_d > 0.0 and c.support_from <= t <= c.support_to:
        late = untreated_support(p, s, t)
    if c.drugged:
        support, fever, neuro, _, _ = treated(p, s, c, t, x0, late, y0)
        return support, fever, neuro
    return late, x0, y0


@compiled
def _untreated(p: np.record, s: np.record, t: float, curve: int) -> float:
    if curve == _SUPPORT:
        return untreated_support(p, s, t)
    engraftment = ramp(p, t)
    if curve == _CRS:
        return untreated_crs(s, t, engraftment)
    neuro = untreated_icans(s, t, engraftment)
    return neuro + wide_lead(p, s, t) if curve == _WIDE else neuro


@compiled
def _untreated_peak(p: np.record, s: np.record, last: int, curve: int) -> float:
    """The largest untreated drive on grid points 1..last; each curve is concave, so few need a look."""
    step = p.grid_h / HOURS_PER_DAY
    peak_d = s.icans_peak_d
    if curve == _CRS:
        peak_d = s.crs_peak_d
    elif curve == _SUPPORT:
        peak_d = s.crs_peak_d + p.support_lag_d
    k = max(1, min(grid_index(p, peak_d), last))
    value = _untreated(p, s, k * step, curve)
    while k < last:
        k += 1
        after = _untreated(p, s, k * step, curve)
        if after <= value:
            break
        value = after
    return value


@compiled
def _settle_untreated(p: np.record, s: np.record, c: np.record, last: int) -> None:
    """Take the untreated course up to grid point `last` into the latent peaks, without walking the grid."""
    step = p.grid_h / HOURS_PER_DAY
    if last * step >= c.support_from:
        x = _untreated_peak(p, s, last, _CRS)
        c.max_fever = max(c.max_fever, x)
        if p.support_lag_d > 0.0:
            x = _untreated_peak(p, s, last, _SUPPORT)
        c.max_support = max(c.max_support, x)
    if last * step >= c.neuro_from:
        c.max_neuro = max(c.max_neuro, _untreated_peak(p, s, last, _ICANS))
        if p.wide_decline_ratio != 1.0 and not c.wide_reached:
            wide = c.max_neuro > p.n[0] or _untreated_peak(p, s, last, _WIDE) > p.n_wide
            c.wide_reached = 1 if wide else 0
    c.peak_grid = last


@compiled
def follow_peaks(p: np.record, s: np.record, c: np.record, t: float) -> None:
    """Read the latent peaks up to `t`. To be called before an amount changes, and at the end."""
    last = grid_index(p, t)
    if c.peak_grid >= last:
        return
    if not c.drugged:
        _settle_untreated(p, s, c, last)
        return
    step = p.grid_h / HOURS_PER_DAY
    lift = max(0.0, p.ln_gamma)
    lag = p.support_lag_d
    own_wide = p.wide_decline_ratio != 1.0
    while c.peak_grid < last and not (c.support_done and c.neuro_done):
        c.peak_grid += 1
        at = c.peak_grid * step
        engraftment = ramp(p, at)
        x0 = -math.inf
        late = -math.inf
        y0 = -math.inf
        if not c.support_done:
            if at >= c.support_from:
                x0 = untreated_crs(s, at, engraftment)
                late = untreated_support(p, s, at) if lag > 0.0 else x0
            # past its peak the untreated curve only falls, and drugs only lower it
            below = late <= c.max_support and (c.max_fever > 0.0 or x0 <= max(0.0, c.max_fever))
            if at > c.support_to or (at > s.crs_peak_d + lag + p.ramp_d and below):
                c.support_done = 1
        if not c.neuro_done:
            if at >= c.neuro_from:
                y0 = untreated_icans(s, at, engraftment)
            below = y0 + lift <= c.max_neuro and (c.wide_reached or not own_wide)
            if at > c.neuro_to or (at > s.icans_peak_d + p.ramp_d and below):
                c.neuro_done = 1
        rising = late > c.max_support or (c.max_fever <= 0.0 and x0 > max(0.0, c.max_fever))
        wide = own_wide and not c.wide_reached and is_wide(p, s, at, y0 + lift)
        if rising or y0 + lift > c.max_neuro or wide:
            support, fever, neuro, _, _ = treated(p, s, c, at, x0, late, y0)
            c.max_support = max(c.max_support, support)
            c.max_fever = max(c.max_fever, fever)
            c.max_neuro = max(c.max_neuro, neuro)
            if wide and is_wide(p, s, at, neuro):
                c.wide_reached = 1
    c.peak_grid = last


@compiled
def _accrue(p: np.record, s: np.record, c: np.record, t: float, support: float, neuro: float) -> None:
    """Hazards of death and of a seizure over the grid step that begins at `t`."""
    step = p.grid_h / HOURS_PER_DAY
    crs = 0.0
    if support + s.eps[0] > p.h[_SEVERAL] or support + s.eps[1] > p.o[_VENTILATOR]:
        crs = p.hazard_crs if c.setting == _ICU else p.hazard_crs * p.hazard_no_icu
    icans = p.hazard_icans if neuro > p.n[p.n.size - 1] else 0.0
    if crs + icans > 0.0:
        before = p.hazard_background * t + c.hazard_crs + c.hazard_icans
        rate = p.hazard_background + crs + icans
        lasting = min(step, max(0.0, s.death_threshold - before) / rate)
        c.hazard_crs += crs * lasting
        c.hazard_icans += icans * lasting
        if lasting < step:
            c.death_t = t + lasting
            return
        left = s.death_threshold - c.hazard_crs - c.hazard_icans
        c.death_t = left / p.hazard_background if p.hazard_background > 0.0 else math.inf
    if neuro > p.n[int(p.seizure_level_n) - 1] and c.seizure_t == math.inf:
        rate = p.hazard_seizure * math.exp(neuro - p.n[int(p.seizure_reference_n) - 1])
        if p.levetiracetam_on:
            rate *= p.levetiracetam
        left = s.seizure_threshold - c.hazard_seizure
        c.hazard_seizure += rate * step
        if left < rate * step:
            c.seizure_t = t + left / rate


@compiled
def follow(p: np.record, s: np.record, c: np.record, t: float) -> None:
    """Book the hazards of every grid step begun up to `t`; may set `death_t` and `seizure_t`."""
    first = min(c.harm_from, c.fit_from)
    if t < first or first == math.inf:
        return
    last = grid_index(p, t)
    if c.grid >= last:
        return
    step = p.grid_h / HOURS_PER_DAY
    if c.grid * step < first:
        c.grid = max(c.grid, min(last, grid_index(p, first)))
    final = max(c.harm_to, c.fit_to)
    while c.grid < last:
        at = (c.grid + 1) * step
        # nothing is booked for the dead: a later point would put off the moment of death
        if c.death_t <= at:
            return
        c.grid += 1
        if at > final:
            c.grid = last
            return
        engraftment = ramp(p, at)
        x = -math.inf
        if c.harm_from <= at <= c.harm_to:
            x = untreated_support(p, s, at) if p.support_lag_d > 0.0 else untreated_crs(s, at, engraftment)
        y = untreated_icans(s, at, engraftment) if c.fit_from <= at <= c.fit_to else -math.inf
        if c.drugged:
            x, _, y, _, _ = treated(p, s, c, at, x, x, y)
        _accrue(p, s, c, at, x, y)
