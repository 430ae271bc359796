"""A course before infusion: nothing given, nothing seen, and bounds on what the disease could ever show."""

import math

import numpy as np

from cartsim.compiled import compiled
from cartsim.draws import uniform
from cartsim.model.disease import window
from cartsim.model.logs import log_change
from cartsim.model.schedule import schedule_assessment
from cartsim.model.signs import support_threshold
from cartsim.terms import DRIVE_SLACK, BpSupport, Change, Decision, Oxygen, Setting

_WARD = int(Setting.WARD)
_CLINIC = int(Setting.CLINIC)
_SEVERAL = int(BpSupport.SEVERAL_PRESSORS) - 1
_VENTILATOR = int(Oxygen.VENTILATOR) - 1
_INFUSION = int(Change.INFUSION)
_ANTIPYRETIC = int(Decision.ANTIPYRETIC)
_ONE = np.uint64(1)
_LONG_AGO = -math.inf


@compiled
def _set_clocks(c: np.record) -> None:
    """Everything that has not happened is at infinity."""
    c.toci_start = math.inf
    c.toci_stop = math.inf
    c.toci_t = math.inf
    c.seizure_t = math.inf
    c.steroid_start_t = math.inf
    c.anakinra_first_t = math.inf
    c.admit_t = math.inf
    c.icu_t = math.inf
    c.discharge_t = math.inf
    c.crs_peak_t = math.inf
    c.icans_peak_t = math.inf
    c.prophylaxis_t = math.inf
    c.antipyretic_t = math.inf
    c.crs_seen_t = _LONG_AGO
    c.neuro_seen_t = _LONG_AGO
    c.icu_need_t = _LONG_AGO
    c.toci_last_t = _LONG_AGO
    for slot in range(c.reg_action.size):
        c.reg_action[slot] = -1
        c.reg_next[slot] = math.inf
    for k in range(c.crs_ge_t.size):
        c.crs_ge_t[k] = math.inf
        c.icans_ge_t[k] = math.inf
        c.ne_ge_t[k] = math.inf
    for syndrome in range(c.last_end_t.size):
        c.last_end_t[syndrome] = math.inf


@compiled
def _set_windows(p: np.record, s: np.record, c: np.record) -> None:
    """Bounds outside which nothing can be seen and no harm can come; drugs only narrow them."""
    lift = max(0.0, p.ln_gamma)
    c.support_from, c.support_to = window(
        s.crs_peak, s.crs_peak_d, s.crs_ascent, s.crs_decline, support_threshold(p, s) - DRIVE_SLACK
    )
    c.neuro_from, c.neuro_to = window(
        s.icans_peak, s.icans_peak_d, s.icans_ascent, s.icans_decline,
        min(p.n[0], p.n_wide) - lift - DRIVE_SLACK,
    )  # fmt: skip
    if p.wide_decline_ratio != 1.0:
        _, last = window(
            s.icans_peak, s.icans_peak_d, s.icans_ascent, p.wide_decline_ratio * s.icans_decline,
            p.n_wide - lift - DRIVE_SLACK,
        )  # fmt: skip
        c.neuro_to = max(c.neuro_to, last)
    c.harm_from, c.harm_to = window(
        s.crs_peak, s.crs_peak_d, s.crs_ascent, s.crs_decline,
        min(p.h[_SEVERAL] - s.eps[0], p.o[_VENTILATOR] - s.eps[1]) - DRIVE_SLACK,
    )  # fmt: skip
    # fever comes at once, the signs of support by the lag later
    c.support_to += p.support_lag_d
    c.harm_from += p.support_lag_d
    c.harm_to += p.support_lag_d
    c.fit_from, c.fit_to = window(
        s.icans_peak, s.icans_peak_d, s.icans_ascent, s.icans_decline,
        min(p.n[int(p.seizure_level_n) - 1], p.n[p.n.size - 1]) - lift - DRIVE_SLACK,
    )  # fmt: skip


@compiled
def next_prophylaxis(clinic: np.record, c: np.record) -> None:
    """The next dose by the clock that this subject is eligible for."""
    k = c.prophylaxis_next + 1
    while k < clinic.n_prophylaxis and not (c.prophylaxis_mask >> np.uint64(k)) & _ONE:
        k += 1
    c.prophylaxis_next = k
    c.prophylaxis_t = clinic.prophylaxis[k].at_d if k < clinic.n_prophylaxis else math.inf


@compiled
def begin(
    clinic: np.record, s: np.record, c: np.record, log: np.record, eligible: np.uint64,
    prophylaxis_mask: np.uint64,
) -> None:  # fmt: skip
    """Set up a course on a zeroed record: before infusion, nothing given, nothing seen."""
    p = clinic.par
    _set_clocks(c)
    _set_windows(p, s, c)
    if p.antipyretic_share > 0.0:
        u = uniform(s.key0, s.key1, s.subject, _ANTIPYRETIC, 0)
        c.antipyretic = 1 if u > 1.0 - p.antipyretic_share else 0
        if c.antipyretic and p.antipyretic_from_infusion:
            c.antipyretic_t = 0.0
    c.eligible = eligible
    c.prophylaxis_mask = prophylaxis_mask
    c.ref_crs = -1
    c.steroid_last_day = -1 - int(p.horizon_d)
    c.toci_boost = 1.0
    c.max_support = -math.inf
    c.max_fever = -math.inf
    c.max_neuro = -math.inf
    c.end = p.horizon_d
    c.death_t = s.death_threshold / p.hazard_background if p.hazard_background > 0.0 else math.inf
    c.setting = _CLINIC if p.outpatient else _WARD
    if not p.outpatient:
        c.has_ward_bed = 1
        c.admit_t = 0.0
    c.prophylaxis_next = -1
    next_prophylaxis(clinic, c)
    c.t = min(0.0, c.prophylaxis_t)
    log_change(p, log, c, _INFUSION, 0.0, -1, -1)
    # the clock of assessments starts at infusion: the first look is one interval later
    schedule_assessment(p, s, c, 0.0)
