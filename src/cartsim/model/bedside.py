"""One assessment, in a fixed order: signs, grade, record, rules, orders, place.

What is seen is not what is: support that exists only in an ICU shows only there, a background fever looks like CRS,
an ICE score can be misread. A dose ordered at an assessment never changes the grade of that assessment.
"""

import math

import numpy as np

from cartsim.compiled import compiled, compiled_inline
from cartsim.draws import uniform
from cartsim.model.grading import crs_grade, icans_grade, wide_grade
from cartsim.model.latent import drives
from cartsim.model.logs import log_episode, log_signs
from cartsim.model.orders import check_stop
from cartsim.model.places import place, withdraw_dose
from cartsim.model.rules import forget_rules, walk_rules
from cartsim.model.signs import is_wide, level_of, lowered_c, temperature_c
from cartsim.terms import HOURS_PER_DAY, TIME_SLACK_D, BpSupport, Decision, Oxygen, Setting, Syndrome

_CRS = int(Syndrome.CRS)
_ICANS = int(Syndrome.ICANS)
_NE = int(Syndrome.NE)
_WARD = int(Setting.WARD)
_ICU = int(Setting.ICU)
_HIGH_PRESSOR = int(BpSupport.HIGH_DOSE_PRESSOR)
_CPAP = int(Oxygen.CPAP)
_VENTILATOR = int(Oxygen.VENTILATOR)
#: COURSE.antipyretic once a fever was seen: from then on its absence may be the antipyretic's doing.
_AFTER_FEVER = 2
_ICE_ERROR = int(Decision.ICE_ERROR)


@compiled
def _read_ice(p: np.record, s: np.record, c: np.record, neuro: int) -> int:
    """The neurological level as scored: now and then one band off, as often too low as too high."""
    if neuro == 0 or p.ice_error == 0.0:
        return neuro
    u = uniform(s.key0, s.key1, s.subject, _ICE_ERROR, c.neuro_checks)
    c.neuro_checks += 1
    if u < 0.5 * p.ice_error:
        return neuro - 1
    if u > 1.0 - 0.5 * p.ice_error:
        return min(neuro + 1, p.n.size)
    return neuro


@compiled
def _masked(p: np.record, temperature: float, heat: float) -> tuple[int, float]:
    """(is fever still seen, temperature in C) of a febrile subject on antipyretics; fever is what it is at drive 0."""
    measured = lowered_c(p, max(temperature, temperature_c(p, heat)))
    return (1 if measured > temperature_c(p, 0.0) else 0), measured


@compiled
def look(p: np.record, s: np.record, c: np.record, t: float) -> tuple[int, float]:
    """Read the signs at `t` into the record; returns (did anything change, temperature in C)."""
    fever = 0
    bp = 0
    oxygen = 0
    liver = 0
    kidney = 0
    neuro = 0
    wide = 0
    heat = -math.inf
    temperature = p.temp_base
    if c.support_from <= t <= c.support_to or c.neuro_from <= t <= c.neuro_to:
        support, heat, y = drives(p, s, c, t)
        if p.want_temperature:
            temperature = temperature_c(p, heat)
        fever = 1 if heat > 0.0 else 0
        bp = level_of(support + s.eps[0], p.h)
        oxygen = level_of(support + s.eps[1], p.o)
        liver = level_of(support + s.eps[2], p.liver)
        kidney = level_of(support + s.eps[3], p.kidney)
        if c.setting != _ICU:
            bp = min(bp, _HIGH_PRESSOR)
            oxygen = min(oxygen, _CPAP)
        neuro = _read_ice(p, s, c, level_of(y, p.n))
        wide = 1 if y > p.n_wide else 0
        # a call that is as good as never needed is spared
        if p.wide_decline_ratio != 1.0:
            wide = 1 if is_wide(p, s, t, y) else 0
    if s.other_fever_start <= t < s.other_fever_end:
        fever = 1
        temperature = max(temperature, p.other_fever_temp)
    if c.antipyretic and fever:
        if t > c.antipyretic_t:
            fever, temperature = _masked(p, temperature, heat)
        else:
            c.antipyretic_t = min(t, c.antipyretic_t)
        if fever:
            c.antipyretic = _AFTER_FEVER
    seizure = 0
    if c.seizure_t <= t and not c.seizure_seen:
        seizure = 1
        c.seizure_seen = 1
    same = (
        fever == c.fever
        and bp == c.level[0]
        and oxygen == c.level[1]
        and liver == c.level[2]
        and kidney == c.level[3]
        and neuro == c.neuro
        and wide == c.wide
        and seizure == c.grade_seizure
    )
    c.fever = fever
    c.level[0] = bp
    c.level[1] = oxygen
    c.level[2] = liver
    c.level[3] = kidney
    c.neuro = neuro
    c.wide = wide
    c.grade_seizure = seizure
    return (0 if same else 1), temperature


@compiled
def grade(clinic: np.record, s: np.record, c: np.record) -> bool:
    """Grades on the scenario's and the policy's scale from the signs just read; did one that is reported change?"""
    p = clinic.par
    before = (c.crs, c.icans, c.ne)
    if c.fever:
        c.fever_began = 1
    iv = 1 if s.iv_fever and c.setting >= _WARD else 0
    counts = 1 if c.fever_began or c.drugged or c.antipyretic == _AFTER_FEVER else 0
    scenario_scale = int(p.crs_scale)
    policy_scale = int(p.policy_crs_scale)
    c.crs = crs_grade(clinic, scenario_scale, c.fever, iv, counts, c.level)
    c.crs_policy = (
        c.crs
        if policy_scale == scenario_scale
        else crs_grade(clinic, policy_scale, c.fever, iv, counts, c.level)
    )
    c.icans = icans_grade(p, c.neuro, c.grade_seizure)
    c.ne = wide_grade(c.neuro, c.wide)
    # peaks by axis, so that any scale can be read from the summary
    for axis in range(c.level.size):
        c.peak_level[axis] = max(c.peak_level[axis], c.level[axis])
    if counts:
        c.peak_gated[0] = max(c.peak_gated[0], c.level[0])
        c.peak_gated[1] = max(c.peak_gated[1], c.level[1])
    if c.fever:
        c.fever_seen = 1
        if iv:
            c.iv_fever_seen = 1
    return before != (c.crs, c.icans, c.ne)


@compiled
def _first_times(times: np.ndarray, value: int, t: float) -> None:
    for k in range(value):
        times[k] = min(times[k], t)


@compiled
def close_episode(
    p: np.record, log: np.record, c: np.record, syndrome: int, ongoing: int, end: float
) -> None:
    """Write the open episode of `syndrome`; `end` is its last positive assessment, or the end of follow-up."""
    lasted = end - c.ep_start[syndrome]
    if c.ep_count[syndrome] == 1:
        c.duration_first[syndrome] = lasted
    c.duration_sum[syndrome] += lasted
    if not ongoing:
        c.last_end_t[syndrome] = end
    else:
        c.last_end_t[syndrome] = math.inf
    c.ep_open[syndrome] = 0
    log_episode(p, log, c, syndrome, ongoing, end)


@compiled
def _follow_episode(p: np.record, log: np.record, c: np.record, syndrome: int, value: int, t: float) -> None:
    if value > 0:
        if not c.ep_open[syndrome]:
            c.ep_open[syndrome] = 1
            c.ep_start[syndrome] = t
            c.ep_max[syndrome] = 0
            c.ep_count[syndrome] += 1
        c.ep_last[syndrome] = t
        if value > c.ep_max[syndrome]:
            c.ep_max[syndrome] = value
            c.ep_max_t[syndrome] = t
    elif c.ep_open[syndrome] and t - c.ep_last[syndrome] >= p.crs_end_h / HOURS_PER_DAY - TIME_SLACK_D:
        close_episode(p, log, c, syndrome, 0, c.ep_last[syndrome])
        if syndrome == _CRS:
            # a new CRS must begin with fever again, unless a drug masks it
            c.fever_began = 0
            c.regrade = 1


@compiled
def book(p: np.record, c: np.record, t: float) -> None:
    """Time spent in what the last assessment saw, up to `t`."""
    spent = t - c.last_assessment
    if c.crs > 1:
        c.days_ge2 += spent
    if c.icans > 1:
        c.days_icans_ge2 += spent
    if c.level[1] == _VENTILATOR:
        c.vent_days += spent
    c.last_assessment = t


@compiled
def note_peaks(c: np.record, t: float) -> None:
    """Highest grades and the first time at each grade; to be called when a grade may have changed."""
    if c.crs > c.peak_crs:
        c.peak_crs = c.crs
        c.crs_peak_t = t
    if c.icans > c.peak_neuro:
        c.peak_neuro = c.icans
        c.icans_peak_t = t
    c.peak_ne = max(c.peak_ne, c.ne)
    _first_times(c.crs_ge_t, c.crs, t)
    _first_times(c.icans_ge_t, c.icans, t)
    _first_times(c.ne_ge_t, c.ne, t)


@compiled
def keep_clocks(p: np.record, c: np.record, log: np.record, t: float) -> None:
    """When things were last seen, and the episodes they belong to."""
    if c.crs > 0:
        c.crs_seen_t = t
    if c.neuro > p.discharge_neuro:
        c.neuro_seen_t = t
    if c.fever:
        c.afebrile_since = math.inf
    elif c.afebrile_since == math.inf:
        c.afebrile_since = t
    _follow_episode(p, log, c, _CRS, c.crs, t)
    _follow_episode(p, log, c, _ICANS, c.icans, t)
    _follow_episode(p, log, c, _NE, c.ne, t)


@compiled_inline
def assess(clinic: np.record, s: np.record, c: np.record, log: np.record, t: float) -> None:
    """One whole assessment at `t`."""
    p = clinic.par
    c.assessments += 1
    book(p, c, t)
    changed, temperature = look(p, s, c, t)
    # a grade may change without a sign: fever treated IV once the subject is in hospital
    if changed or c.regrade:
        c.regrade = 0
        if grade(clinic, s, c) or changed:
            log_signs(p, log, c, t)
        note_peaks(c, t)
    keep_clocks(p, c, log, t)
    check_stop(clinic, c, log, t)
    icu_ordered = 0
    if c.crs_policy > 0 or c.icans > 0 or c.ne > 0 or p.want_markers:
        icu_ordered = walk_rules(clinic, s, c, log, t, temperature)
    else:
        forget_rules(c)
    withdraw_dose(p, c)
    place(p, c, log, t, icu_ordered)
