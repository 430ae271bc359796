"""A policy at work: rules walked in order over what was seen, nothing drawn, nothing hidden.

Policies are deterministic. Who adheres, who is frail and who has a high burden was decided with the subject and
stands in `eligible`, one bit a rule.
"""

import math

import numpy as np

from cartsim.compiled import compiled
from cartsim.model.logs import log_change
from cartsim.model.orders import order_regimen, order_tocilizumab
from cartsim.model.places import needs_icu
from cartsim.terms import (
    BITS_PER_BYTE,
    HIGH_BITS,
    HOURS_PER_DAY,
    MARKER_ROOM,
    TIME_SLACK_D,
    Ask,
    BpSupport,
    Change,
    Drug,
    Oxygen,
)

_TOCI = int(Drug.TOCILIZUMAB)
_ASK_TOCI = int(Ask.TOCILIZUMAB)
_ORDER = int(Change.ORDER)
_PRESSOR = int(BpSupport.LOW_DOSE_PRESSOR)
_LOW_FLOW = int(Oxygen.LOW_FLOW)
_ONE = np.uint64(1)
_BYTE = np.uint64(BITS_PER_BYTE)
_HIGH = np.uint64(HIGH_BITS)


@compiled
def improved(p: np.record, c: np.record, t: float) -> int:
    """Better than at the last order: a lower grade, or afebrile for a while with little support and no more of it."""
    if c.ref_crs < 0:
        return 0
    if c.crs_policy <= c.ref_crs - p.improved_grades:
        return 1
    if t - c.afebrile_since < p.improved_afebrile_h / HOURS_PER_DAY - TIME_SLACK_D:
        return 0
    little = c.level[0] < _PRESSOR and c.level[1] <= _LOW_FLOW
    return 1 if little and c.level[0] <= c.ref_bp and c.level[1] <= c.ref_oxygen else 0


@compiled
def _within(value: int, low: int, high: int) -> bool:
    return low <= value <= high


@compiled
def pack_seen(c: np.record) -> np.uint64:
    """The eight grades and levels of the last assessment in one word, in the order of `state.SEEN`."""
    word = np.uint64(c.neuro)
    word = (word << _BYTE) | np.uint64(c.level[3])
    word = (word << _BYTE) | np.uint64(c.level[2])
    word = (word << _BYTE) | np.uint64(c.level[1])
    word = (word << _BYTE) | np.uint64(c.level[0])
    word = (word << _BYTE) | np.uint64(c.ne)
    word = (word << _BYTE) | np.uint64(c.icans)
    return (word << _BYTE) | np.uint64(c.crs_policy)


@compiled
def holds(c: np.record, rule: np.record, temperature: float) -> bool:
    """The part of a rule that `for_d` asks to persist: grades, signs, temperature.

    Eight ranges in two subtractions: with its high bit set, a byte keeps it only if nothing larger is taken away.
    """
    inside = ((c.seen | _HIGH) - rule.low) & ((rule.high | _HIGH) - c.seen) & _HIGH
    return (
        inside == _HIGH and (rule.fever < 0 or rule.fever == c.fever) and temperature >= rule.temperature_min
    )


@compiled
def _long_enough(since: float, t: float, wanted: float) -> bool:
    return wanted < 0.0 or t - since >= wanted - TIME_SLACK_D


@compiled
def markers_hold(p: np.record, c: np.record, rule: np.record, t: float) -> bool:
    """Whether the newest known sample of each biomarker that the rule names lies in its range and is fresh enough.

    A sample is known once the laboratory has reported it; without one the rule does not hold.
    """
    every = p.marker_every_h / HOURS_PER_DAY
    for marker in range(rule.marker_lo.size):
        if rule.marker_lo[marker] == -math.inf and rule.marker_hi[marker] == math.inf:
            continue
        delay = p.marker_delay_h[marker] / HOURS_PER_DAY
        k = min(c.marker_sampled - 1, int(math.floor((t - delay) / every + TIME_SLACK_D)))
        if k < 0 or t - k * every > rule.marker_within_d + TIME_SLACK_D:
            return False
        if not rule.marker_lo[marker] <= c.marker_value[k % MARKER_ROOM, marker] <= rule.marker_hi[marker]:
            return False
    return True


@compiled
def is_due(p: np.record, c: np.record, rule: np.record, t: float, held: float, is_improved: int) -> bool:
    """The part of a rule that looks at clocks and at what was given. `inf` in a clock means it never happened."""
    if t - held < rule.for_d - TIME_SLACK_D:
        return False
    if rule.since_onset_d > 0.0 and not (
        c.ep_open[0] and t - c.ep_start[0] >= rule.since_onset_d - TIME_SLACK_D
    ):
        return False
    if rule.onset_before_d < math.inf and not (c.ep_open[0] and c.ep_start[0] < rule.onset_before_d):
        return False
    if not _long_enough(c.toci_t, t, rule.since_first_toci_d):
        return False
    if rule.since_last_toci_d >= 0.0 and not (
        c.toci_doses > 0 and t - c.toci_last_t >= rule.since_last_toci_d - TIME_SLACK_D
    ):
        return False
    if not _long_enough(c.steroid_start_t, t, rule.since_first_steroid_d):
        return False
    if rule.awaiting_toci_d >= 0.0 and not (
        c.waiting & _ASK_TOCI and t - c.asked_toci_t >= rule.awaiting_toci_d - TIME_SLACK_D
    ):
        return False
    if rule.has_markers and not markers_hold(p, c, rule, t):
        return False
    return (
        _within(c.toci_doses, rule.toci_lo, rule.toci_hi)
        and _within(c.steroid_doses, rule.steroid_lo, rule.steroid_hi)
        and _within(c.anakinra_doses, rule.anakinra_lo, rule.anakinra_hi)
        and (rule.improved < 0 or rule.improved == is_improved)
    )


@compiled
def note_holding(clinic: np.record, c: np.record, t: float, temperature: float) -> None:
    """Which rules hold now, and since when."""
    bits = np.uint64(0)
    for r in range(clinic.n_rules):
        bit = _ONE << np.uint64(r)
        if c.eligible & bit and holds(c, clinic.rules[r], temperature):
            bits |= bit
            if not c.holding & bit:
                c.held[r] = t
    c.holding = bits


@compiled
def walk_rules(
    clinic: np.record, s: np.record, c: np.record, log: np.record, t: float, temperature: float
) -> int:
    """Apply every rule to this assessment; 1 when some rule asks for intensive care."""
    p = clinic.par
    seen = pack_seen(c)
    # what holds can only change with what is seen
    if seen != c.seen or c.fever != c.seen_fever or p.want_temperature or p.want_markers:
        c.seen = seen
        c.seen_fever = c.fever
        note_holding(clinic, c, t, temperature)
    icu = 0
    is_improved = improved(p, c, t)
    bits = c.holding
    r = 0
    while bits:
        if bits & _ONE:
            rule = clinic.rules[r]
            if is_due(p, c, rule, t, c.held[r], is_improved):
                if rule.icu and not icu:
                    _note_icu_order(p, c, log, t, rule)
                icu |= rule.icu
                apply_rule(clinic, s, c, log, t, rule, is_improved)
        bits >>= _ONE
        r += 1
    return icu


@compiled
def _note_icu_order(p: np.record, c: np.record, log: np.record, t: float, rule: np.record) -> None:
    """An order without a drug: a rule, and not the signs, asks for intensive care."""
    if p.want_changes > 1.0 and not needs_icu(p, c, 0):
        log_change(p, log, c, _ORDER, t, rule.rule_no, -1)


@compiled
def apply_rule(
    clinic: np.record, s: np.record, c: np.record, log: np.record, t: float, rule: np.record, is_improved: int
) -> None:
    """Order what the rule orders, if it orders a drug at all."""
    if rule.action < 0:
        return
    if clinic.actions[rule.action].drug == _TOCI:
        order_tocilizumab(clinic, s, c, log, t, rule, is_improved)
    else:
        order_regimen(clinic, s, c, log, t, rule)


@compiled
def forget_rules(c: np.record) -> None:
    """Nothing is seen any more: no condition holds."""
    c.holding = np.uint64(0)
    c.seen = np.uint64(0)
