"""The story of one subject: its own clock, its next event, and three words to the driver - ask, answer, release.

What could be scarce (a bed, an ICU bed, a dose from stock) the course asks for; the driver answers. Asking never
blocks: until the answer the course goes on without. The whole of time is in `advance`.
"""

import math

import numpy as np

from cartsim.compiled import compiled, compiled_inline
from cartsim.model.bedside import assess, book, close_episode
from cartsim.model.begin import next_prophylaxis
from cartsim.model.drugs import tocilizumab_mg
from cartsim.model.latent import follow, follow_peaks, grid_index
from cartsim.model.logs import is_filling, log_change
from cartsim.model.orders import (
    ask_tocilizumab,
    end_infusion,
    give,
    give_regimen_dose,
    start_infusion,
)
from cartsim.model.places import enter_icu, enter_ward, leave
from cartsim.model.schedule import schedule_assessment
from cartsim.terms import (
    HOURS_PER_DAY,
    TIME_SLACK_D,
    Ask,
    Cause,
    Change,
    Drug,
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
_TOCI = int(Drug.TOCILIZUMAB)
_CRS = int(Syndrome.CRS)
_SEIZURE = int(Change.SEIZURE)
_DEATH = int(Change.DEATH)
_END = int(Change.END)
_BY_CRS = int(Cause.CRS)
_BY_ICANS = int(Cause.ICANS)
_BY_OTHER = int(Cause.OTHER)

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
            # prophylaxis is prepared beforehand: no delay
            ask_tocilizumab(c, t, 0.0, mg, row.rule_no, 0, _CRS, 1)
    else:
        give(clinic, s, c, log, row.drug, mg, t, t, row.rule_no, 0, _CRS, 1)
    next_prophylaxis(clinic, c)


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


@compiled_inline
def _handle(clinic: np.record, s: np.record, c: np.record, log: np.record, t: float, kind: int) -> None:
    p = clinic.par
    if kind == _ASSESSMENT:
        assess(clinic, s, c, log, t)
        schedule_assessment(p, s, c, t)
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
            schedule_assessment(p, s, c, t)
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


@compiled_inline
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
        # a seizure that has just come to light goes first, unless death comes before it
        if not c.seizure_logged and c.seizure_t < min(t, c.death_t):
            continue
        if c.death_t <= stop and c.death_t < c.end:
            c.t = c.death_t
            _finish(clinic, s, c, log, c.death_t, 1)
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
        c.toci_start = granted_at + c.toci_delay
        return
    if ask == WARD_BED:
        enter_ward(p, c, log, granted_at)
    elif ask == ICU_BED:
        enter_icu(p, c, log, granted_at)
    schedule_assessment(p, s, c, granted_at)


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
