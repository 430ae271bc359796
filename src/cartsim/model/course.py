"""The story of one subject: its own clock, its next event, and three words to the driver - ask, answer, release.

What could be scarce (a bed, an ICU bed, a dose from stock) the course asks for; the driver answers. Asking never
blocks: until the answer the course goes on without. The whole of time is in `advance`.
"""

import math

import numpy as np

from cartsim.compiled import compiled
from cartsim.model.bedside import assess, book, close_episode
from cartsim.model.disease import window
from cartsim.model.drugs import tocilizumab_mg
from cartsim.model.latent import follow, follow_peaks, grid_index
from cartsim.model.logs import is_filling, log_change
from cartsim.model.orders import (
    ask_tocilizumab,
    end_infusion,
    give,
    give_regimen_dose,
    order_delay_d,
    start_infusion,
)
from cartsim.model.places import enter_icu, enter_ward, interval_d, leave
from cartsim.model.signs import support_threshold
from cartsim.terms import (
    DRIVE_SLACK,
    HOURS_PER_DAY,
    TIME_SLACK_D,
    Ask,
    BpSupport,
    Cause,
    Change,
    Drug,
    Oxygen,
    Setting,
    Syndrome,
)

NOTHING = int(Ask.NOTHING)
FLUSH = int(Ask.FLUSH)
DONE = int(Ask.DONE)
WARD_BED = int(Ask.WARD_BED)
ICU_BED = int(Ask.ICU_BED)
TOCILIZUMAB = int(Ask.TOCILIZUMAB)
REQUESTS = WARD_BED | ICU_BED | TOCILIZUMAB
_CANCEL_TOCI = int(Ask.CANCEL_TOCILIZUMAB)
_WARD = int(Setting.WARD)
_ICU = int(Setting.ICU)
_CLINIC = int(Setting.CLINIC)
_TOCI = int(Drug.TOCILIZUMAB)
_CRS = int(Syndrome.CRS)
_SEVERAL = int(BpSupport.SEVERAL_PRESSORS) - 1
_VENTILATOR = int(Oxygen.VENTILATOR) - 1
_INFUSION = int(Change.INFUSION)
_SEIZURE = int(Change.SEIZURE)
_DEATH = int(Change.DEATH)
_END = int(Change.END)
_BY_CRS = int(Cause.CRS)
_BY_ICANS = int(Cause.ICANS)
_BY_OTHER = int(Cause.OTHER)
_ONE = np.uint64(1)
_LONG_AGO = -math.inf

# kinds of event; at the same moment the one named first goes first
_KINDS = (
    "infusion ends",
    "prophylaxis",
    "infusion starts",
    "steroid",
    "anakinra",
    "seizure",
    "assessment",
    "end",
)
_INFUSION_ENDS, _PROPHYLAXIS, _INFUSION_STARTS, _STEROID, _ANAKINRA, _FIT, _ASSESSMENT, _FINISH = range(
    len(_KINDS)
)


@compiled
def _set_clocks(c: np.record) -> None:
    """Everything that has not happened is at infinity."""
    c.toci_start = math.inf
    c.toci_stop = math.inf
    c.toci_t = math.inf
    c.seizure_t = math.inf
    c.afebrile_since = math.inf
    c.steroid_first_t = math.inf
    c.steroid_start_t = math.inf
    c.anakinra_first_t = math.inf
    c.admit_t = math.inf
    c.icu_t = math.inf
    c.discharge_t = math.inf
    c.crs_peak_t = math.inf
    c.icans_peak_t = math.inf
    c.prophylaxis_t = math.inf
    c.crs_seen_t = _LONG_AGO
    c.neuro_seen_t = _LONG_AGO
    c.icu_need_t = _LONG_AGO
    c.toci_last_t = _LONG_AGO
    for slot in range(c.reg_action.size):
        c.reg_action[slot] = -1
        c.reg_next[slot] = math.inf
    for r in range(c.held.size):
        c.held[r] = math.inf
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
    c.harm_from, c.harm_to = window(
        s.crs_peak, s.crs_peak_d, s.crs_ascent, s.crs_decline,
        min(p.h[_SEVERAL] - s.eps[0], p.o[_VENTILATOR] - s.eps[1]) - DRIVE_SLACK,
    )  # fmt: skip
    c.fit_from, c.fit_to = window(
        s.icans_peak, s.icans_peak_d, s.icans_ascent, s.icans_decline,
        min(p.n[int(p.seizure_level_n) - 1], p.n[p.n.size - 1]) - lift - DRIVE_SLACK,
    )  # fmt: skip


@compiled
def begin(
    clinic: np.record, s: np.record, c: np.record, log: np.record, eligible: np.uint64,
    prophylaxis_mask: np.uint64,
) -> None:  # fmt: skip
    """Set up a course on a zeroed record: before infusion, nothing given, nothing seen."""
    p = clinic.par
    _set_clocks(c)
    _set_windows(p, s, c)
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
    _next_prophylaxis(clinic, c)
    c.t = min(0.0, c.prophylaxis_t)
    log_change(p, log, c, _INFUSION, 0.0, -1, -1)
    # the first look is at infusion; the clock of assessments starts there
    _schedule(p, s, c, 0.0)


@compiled
def _next_prophylaxis(clinic: np.record, c: np.record) -> None:
    k = c.prophylaxis_next + 1
    while k < clinic.n_prophylaxis and not (c.prophylaxis_mask >> np.uint64(k)) & _ONE:
        k += 1
    c.prophylaxis_next = k
    c.prophylaxis_t = clinic.prophylaxis[k].at_d if k < clinic.n_prophylaxis else math.inf


@compiled
def _is_quiet(c: np.record) -> bool:
    """Nothing seen, nothing open, nothing asked for, no regimen whose stopping rule needs a look."""
    if c.fever or c.neuro or c.wide or c.grade_seizure or c.outbox or c.waiting or c.setting == _ICU:
        return False
    if c.level[0] or c.level[1] or c.level[2] or c.level[3]:
        return False
    if c.ep_open[0] or c.ep_open[1] or c.ep_open[2]:
        return False
    return c.reg_action[0] < 0 and c.reg_action[1] < 0 and not c.any_held


@compiled
def _wake(p: np.record, s: np.record, c: np.record, t: float) -> float:
    """The earliest time at which a quiet subject could show anything or go home."""
    wake = math.inf
    if t <= c.support_to:
        wake = min(wake, max(t, c.support_from))
    if t <= c.neuro_to:
        wake = min(wake, max(t, c.neuro_from))
    if t < s.other_fever_end:
        wake = min(wake, max(t, s.other_fever_start))
    if c.seizure_t < math.inf and not c.seizure_seen:
        wake = t
    if c.setting == _WARD:
        clear = p.discharge_clear_h / HOURS_PER_DAY
        wake = min(wake, max(p.min_stay_d, max(c.crs_seen_t, c.neuro_seen_t) + clear))
    elif c.setting == _CLINIC:
        wake = min(wake, p.clinic_watch_d)
    return wake


@compiled
def _schedule(p: np.record, s: np.record, c: np.record, t: float) -> None:
    """The next assessment on this setting's clock, past those at which provably nothing can be seen."""
    interval = interval_d(p, c.setting)
    k = c.step + 1
    if p.skip and _is_quiet(c):
        wake = _wake(p, s, c, t)
        if wake == math.inf:
            c.next_assessment = math.inf
            return
        k = max(k, int(math.floor((wake - c.anchor) / interval)) - 1)
        while c.anchor + k * interval < wake - TIME_SLACK_D:
            k += 1
    c.step = k
    c.next_assessment = c.anchor + k * interval


@compiled
def _next_event(c: np.record) -> tuple[float, int]:
    t = c.toci_stop
    kind = _INFUSION_ENDS
    if c.prophylaxis_t < t:
        t = c.prophylaxis_t
        kind = _PROPHYLAXIS
    if c.toci_start < t:
        t = c.toci_start
        kind = _INFUSION_STARTS
    if c.reg_next[0] < t:
        t = c.reg_next[0]
        kind = _STEROID
    if c.reg_next[1] < t:
        t = c.reg_next[1]
        kind = _ANAKINRA
    if not c.seizure_logged and c.seizure_t < t:
        t = c.seizure_t
        kind = _FIT
    if c.next_assessment < t:
        t = c.next_assessment
        kind = _ASSESSMENT
    if c.end < t:
        t = c.end
        kind = _FINISH
    return t, kind


@compiled
def _give_prophylaxis(clinic: np.record, s: np.record, c: np.record, log: np.record, t: float) -> None:
    p = clinic.par
    row = clinic.prophylaxis[c.prophylaxis_next]
    mg = row.mg * s.weight_kg if row.per_kg else row.mg
    if row.drug == _TOCI:
        free = (
            not (c.outbox | c.waiting) & TOCILIZUMAB and c.toci_start == math.inf and c.toci_stop == math.inf
        )
        apart = t - c.toci_last_t >= p.toci_spacing_h / HOURS_PER_DAY - TIME_SLACK_D
        if free and apart and c.toci_doses < p.toci_max_doses:
            mg = min(mg, p.toci_cap_mg) if mg > 0.0 else tocilizumab_mg(p, s.weight_kg)
            ask_tocilizumab(p, c, t, mg, row.rule_no, 0, _CRS, 1)
    else:
        give(clinic, s, c, log, row.drug, mg, t, t, row.rule_no, 0, _CRS, 1)
    _next_prophylaxis(clinic, c)


@compiled
def _finish(clinic: np.record, s: np.record, c: np.record, log: np.record, t: float, died: int) -> None:
    """Follow-up ends, by the horizon or by death: close what is open."""
    p = clinic.par
    c.end = t
    book(p, c, t)
    window_d = p.crs_end_h / HOURS_PER_DAY
    for syndrome in range(c.ep_open.size):
        if c.ep_open[syndrome]:
            over = t - c.ep_last[syndrome] >= window_d - TIME_SLACK_D
            close_episode(p, log, c, syndrome, 0 if over else 1, c.ep_last[syndrome] if over else t)
    follow_peaks(p, s, c, t)
    if died:
        c.dead = 1
        background = p.hazard_background * t
        mark = s.death_cause_u * (c.hazard_crs + c.hazard_icans + background)
        c.cause = _BY_OTHER
        if mark < c.hazard_crs:
            c.cause = _BY_CRS
        elif mark < c.hazard_crs + c.hazard_icans:
            c.cause = _BY_ICANS
    log_change(p, log, c, _DEATH if died else _END, t, -1, -1)
    if (c.waiting | c.outbox) & TOCILIZUMAB:
        if c.waiting & TOCILIZUMAB:
            c.outbox |= _CANCEL_TOCI
        c.waiting &= ~TOCILIZUMAB
        c.outbox &= ~TOCILIZUMAB
    leave(c, t)
    c.done = 1
    c.outbox |= DONE


@compiled
def _handle(clinic: np.record, s: np.record, c: np.record, log: np.record, t: float, kind: int) -> None:
    p = clinic.par
    if kind == _ASSESSMENT:
        assess(clinic, s, c, log, t)
        _schedule(p, s, c, t)
    elif kind == _STEROID:
        give_regimen_dose(clinic, s, c, log, 0, t)
    elif kind == _ANAKINRA:
        give_regimen_dose(clinic, s, c, log, 1, t)
    elif kind == _INFUSION_STARTS:
        start_infusion(clinic, s, c, log, t)
    elif kind == _INFUSION_ENDS:
        end_infusion(clinic, s, c, t)
    elif kind == _PROPHYLAXIS:
        _give_prophylaxis(clinic, s, c, log, t)
    elif kind == _FIT:
        c.seizure_logged = 1
        log_change(p, log, c, _SEIZURE, t, -1, -1)
        # a quiet subject must now be looked at again
        if c.next_assessment == math.inf:
            _schedule(p, s, c, t)
    else:
        _finish(clinic, s, c, log, t, 0)


@compiled
def _tell(c: np.record) -> int:
    """Take the next word out of the outbox; a request stays open until it is answered."""
    ask = c.outbox & -c.outbox
    c.outbox ^= ask
    if ask & REQUESTS:
        c.waiting |= ask
    return ask


@compiled
def advance(clinic: np.record, s: np.record, c: np.record, log: np.record, until: float) -> int:
    """Run a course to its next word to the driver, or to `until` (days since infusion).

    Returns an `Ask`; `c.t` is the time of it. `NOTHING` means that `until` was reached, `FLUSH` that the log should
    be emptied. Where the caller stops changes no bit of the course.
    """
    p = clinic.par
    while True:
        if c.outbox:
            return _tell(c)
        if c.done:
            return NOTHING
        if is_filling(log):
            return FLUSH
        t, kind = _next_event(c)
        stop = min(t, until)
        follow(p, s, c, stop)
        if c.death_t <= stop and c.death_t < c.end:
            c.t = c.death_t
            _finish(clinic, s, c, log, c.death_t, 1)
            continue
        if not c.seizure_logged and c.seizure_t < t:
            continue
        if t > until:
            c.t = max(c.t, until)
            return NOTHING
        c.t = t
        _handle(clinic, s, c, log, t, kind)


@compiled
def answer(
    clinic: np.record, s: np.record, c: np.record, log: np.record, ask: int, granted_at: float
) -> None:
    """The driver's word on one request: it is granted at `granted_at` (days since infusion)."""
    p = clinic.par
    c.waiting &= ~ask
    follow(p, s, c, granted_at)
    if ask == TOCILIZUMAB:
        # prophylaxis is prepared beforehand; a reactive dose takes its way from the pharmacy
        delay = 0.0 if c.toci_prophylactic else order_delay_d(p, s, c)
        c.toci_start = granted_at + delay
        return
    if ask == WARD_BED:
        enter_ward(p, c, log, granted_at)
    elif ask == ICU_BED:
        enter_icu(p, c, log, granted_at)
    _schedule(p, s, c, granted_at)


@compiled
def peek(clinic: np.record, c: np.record) -> float:
    """When a course would next do anything by itself: how far a driver with open requests may let it run."""
    if c.outbox:
        return c.t
    p = clinic.par
    t, _ = _next_event(c)
    t = min(t, c.death_t)
    if c.t <= max(c.harm_to, c.fit_to):
        step = p.grid_h / HOURS_PER_DAY
        t = min(t, (max(c.grid, grid_index(p, c.t)) + 1) * step)
    return t
