"""Where a subject is, what that costs in days, and how often it is looked at there.

Beds are asked for and given back; the course never waits for the answer.
"""

import math

import numpy as np

from cartsim.compiled import compiled
from cartsim.model.logs import log_change
from cartsim.terms import HOURS_PER_DAY, TIME_SLACK_D, Ask, Change, Setting, Syndrome

_CRS = int(Syndrome.CRS)
_HOME = int(Setting.HOME)
_CLINIC = int(Setting.CLINIC)
_WARD = int(Setting.WARD)
_ICU = int(Setting.ICU)
_ASK_WARD = int(Ask.WARD_BED)
_ASK_ICU = int(Ask.ICU_BED)
_ASK_TOCI = int(Ask.TOCILIZUMAB)
_RELEASE_ICU = int(Ask.RELEASE_ICU)
_RELEASE_WARD = int(Ask.RELEASE_WARD)
_CANCEL_WARD = int(Ask.CANCEL_WARD)
_CANCEL_ICU = int(Ask.CANCEL_ICU)
_CANCEL_TOCI = int(Ask.CANCEL_TOCILIZUMAB)
_ADMIT = int(Change.ADMIT)
_ICU_IN = int(Change.ICU_IN)
_ICU_OUT = int(Change.ICU_OUT)
_DISCHARGE = int(Change.DISCHARGE)


@compiled
def interval_d(p: np.record, setting: int) -> float:
    """Days between assessments in a setting."""
    hours = p.home_h
    if setting == _WARD:
        hours = p.ward_h
    elif setting == _ICU:
        hours = p.icu_h
    elif setting == _CLINIC:
        hours = p.clinic_h
    return hours / HOURS_PER_DAY


@compiled
def count_days(c: np.record, t: float) -> None:
    """Book the time since the setting began."""
    spent = t - c.setting_t
    if c.setting == _WARD:
        c.ward_days += spent
    elif c.setting == _ICU:
        c.icu_days += spent
    c.setting_t = t


@compiled
def move(c: np.record, setting: int, t: float) -> None:
    """Change the setting at `t`; assessments are counted from here."""
    count_days(c, t)
    c.setting = setting
    c.regrade = 1
    c.anchor = t
    c.step = 0


@compiled
def withdraw(c: np.record, ask: int, cancel: int) -> None:
    """Take back a request, told or not yet told."""
    if c.waiting & ask:
        c.waiting &= ~ask
        c.outbox |= cancel
    c.outbox &= ~ask


@compiled
def enter_ward(p: np.record, c: np.record, log: np.record, t: float) -> None:
    """A ward bed is given: admission, or step-down from the ICU."""
    from_icu = c.setting == _ICU
    move(c, _WARD, t)
    c.has_ward_bed = 1
    if from_icu:
        c.outbox |= _RELEASE_ICU
    elif c.admit_t == math.inf:
        c.admit_t = t
    log_change(p, log, c, _ICU_OUT if from_icu else _ADMIT, t, -1, -1)


@compiled
def enter_icu(p: np.record, c: np.record, log: np.record, t: float) -> None:
    """An ICU bed is given; the ward bed goes back."""
    move(c, _ICU, t)
    withdraw(c, _ASK_WARD, _CANCEL_WARD)
    if c.has_ward_bed:
        c.has_ward_bed = 0
        c.outbox |= _RELEASE_WARD
    if c.icu_t == math.inf:
        c.icu_t = t
    if c.admit_t == math.inf:
        c.admit_t = t
    log_change(p, log, c, _ICU_IN, t, -1, -1)


@compiled
def leave(c: np.record, t: float) -> None:
    """Give every bed back and withdraw every request: discharge or death."""
    if c.setting == _ICU:
        c.outbox |= _RELEASE_ICU
    if c.has_ward_bed:
        c.has_ward_bed = 0
        c.outbox |= _RELEASE_WARD
    withdraw(c, _ASK_WARD, _CANCEL_WARD)
    withdraw(c, _ASK_ICU, _CANCEL_ICU)
    move(c, _HOME, t)


@compiled
def discharge(p: np.record, c: np.record, log: np.record, t: float) -> None:
    """Home, with the home interval from now on."""
    leave(c, t)
    if c.discharge_t == math.inf:
        c.discharge_t = t
    log_change(p, log, c, _DISCHARGE, t, -1, -1)


@compiled
def needs_icu(p: np.record, c: np.record, ordered: int) -> bool:
    """The site's threshold for intensive care, or a policy's order."""
    return ordered != 0 or c.level[0] >= p.icu_bp or c.level[1] >= p.icu_oxygen or c.neuro >= p.icu_neuro


@compiled
def is_clear(p: np.record, c: np.record, t: float) -> bool:
    """No CRS and no more than mild neurotoxicity for long enough, and past the minimum stay."""
    clear = p.discharge_clear_h / HOURS_PER_DAY
    since = t - max(c.crs_seen_t, c.neuro_seen_t)
    return t >= p.min_stay_d - TIME_SLACK_D and since >= clear - TIME_SLACK_D


@compiled
def place(p: np.record, c: np.record, log: np.record, t: float, icu_ordered: int) -> None:
    """After an assessment: ask for a bed, step down, go home, or withdraw what is no longer needed."""
    asked = c.waiting | c.outbox
    need = needs_icu(p, c, icu_ordered)
    if need:
        c.icu_need_t = t
    if c.setting == _ICU:
        if need:
            withdraw(c, _ASK_WARD, _CANCEL_WARD)
        elif t - c.icu_need_t >= p.icu_out_h / HOURS_PER_DAY - TIME_SLACK_D:
            if is_clear(p, c, t):
                discharge(p, c, log, t)
            elif not asked & _ASK_WARD:
                c.outbox |= _ASK_WARD
        return
    if need and not asked & _ASK_ICU:
        c.outbox |= _ASK_ICU
    elif not need:
        withdraw(c, _ASK_ICU, _CANCEL_ICU)
    if c.setting == _WARD:
        if not need and is_clear(p, c, t):
            discharge(p, c, log, t)
        return
    # whoever was sent home with mild neurotoxicity is not brought in for it again: else out and in every day
    tolerated = p.discharge_neuro if c.admit_t < math.inf else 0.0
    ill = c.crs >= p.admit_crs or c.icans >= max(p.admit_icans, tolerated + 1.0)
    if ill and not asked & _ASK_WARD:
        c.outbox |= _ASK_WARD
    elif not ill:
        withdraw(c, _ASK_WARD, _CANCEL_WARD)
    if c.setting == _CLINIC and t >= p.clinic_watch_d - TIME_SLACK_D:
        move(c, _HOME, t)


@compiled
def withdraw_dose(p: np.record, c: np.record) -> None:
    """What a reactive dose was ordered for has gone while it was awaited: it is no longer wanted."""
    # ordered for a laboratory value, before any grade: that has not gone
    if p.want_markers and c.toci_grade == 0:
        return
    gone = c.crs_policy == 0 if c.toci_syndrome == _CRS else c.icans == 0 and c.ne == 0
    if gone and not c.toci_prophylactic:
        withdraw(c, _ASK_TOCI, _CANCEL_TOCI)
