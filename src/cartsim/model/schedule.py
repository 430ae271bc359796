"""When the next look is due, and which looks may be left out because provably nothing can be seen.

Assessments lie at anchor + k * interval of the present setting: leaving some out moves none of the others.
"""

import math

import numpy as np

from cartsim.compiled import compiled
from cartsim.model.places import interval_d
from cartsim.terms import HOURS_PER_DAY, TIME_SLACK_D, Setting

_WARD = int(Setting.WARD)
_ICU = int(Setting.ICU)
_CLINIC = int(Setting.CLINIC)


@compiled
def is_quiet(c: np.record) -> bool:
    """Nothing seen, nothing open, nothing asked for, no regimen whose stopping rule needs a look."""
    if c.fever or c.neuro or c.wide or c.grade_seizure or c.outbox or c.waiting or c.setting == _ICU:
        return False
    if c.level[0] or c.level[1] or c.level[2] or c.level[3]:
        return False
    if c.ep_open[0] or c.ep_open[1] or c.ep_open[2]:
        return False
    return c.reg_action[0] < 0 and c.reg_action[1] < 0 and not c.holding


@compiled
def wake_time(p: np.record, s: np.record, c: np.record, t: float) -> float:
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
def schedule_assessment(p: np.record, s: np.record, c: np.record, t: float) -> None:
    """The next assessment on this setting's clock, past those at which provably nothing can be seen."""
    interval = interval_d(p, c.setting)
    k = c.step + 1
    if p.skip and is_quiet(c):
        wake = wake_time(p, s, c, t)
        if wake == math.inf:
            c.next_assessment = math.inf
            return
        k = max(k, int(math.floor((wake - c.anchor) / interval)) - 1)
        while c.anchor + k * interval < wake - TIME_SLACK_D:
            k += 1
    c.step = k
    c.next_assessment = c.anchor + k * interval
