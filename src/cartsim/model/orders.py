"""From an order to a dose: labelled limits, delays, regimens of steps, tapers.

An order is not an administration: tocilizumab is asked for and may have to wait, the others begin after a delay.
One regimen runs in each of two slots, steroid and anakinra.
"""

import math

import numpy as np

from cartsim.compiled import compiled
from cartsim.model.drugs import add_anakinra, add_steroid, add_tocilizumab, tocilizumab_mg
from cartsim.model.latent import follow, follow_peaks
from cartsim.model.logs import log_change, log_dose
from cartsim.terms import HOURS_PER_DAY, TIME_SLACK_D, Ask, Change, Drug, Setting, Syndrome

_TOCI = int(Drug.TOCILIZUMAB)
_METHYLPRED = int(Drug.METHYLPREDNISOLONE)
_ANAKINRA = int(Drug.ANAKINRA)
_ASK_TOCI = int(Ask.TOCILIZUMAB)
_WARD = int(Setting.WARD)
_ICANS = int(Syndrome.ICANS)
_NE = int(Syndrome.NE)
_ORDER = int(Change.ORDER)
_TAPER = int(Change.STEROID_TAPER)
_STOP = int(Change.STEROID_STOP)
_ANAKINRA_STOP = int(Change.ANAKINRA_STOP)
_ONE = np.uint64(1)
STEROID_SLOT = 0
ANAKINRA_SLOT = 1


@compiled
def order_delay_d(p: np.record, s: np.record, c: np.record) -> float:
    """Days from order to drug: pharmacy on the ward, travel from outside."""
    if c.setting >= _WARD:
        span = p.delay_ward_max_h - p.delay_ward_min_h
        return (p.delay_ward_min_h + span * s.order_delay_u) / HOURS_PER_DAY
    return p.delay_home_h / HOURS_PER_DAY


@compiled
def trigger_grade(c: np.record, syndrome: int) -> int:
    """The grade that an order for `syndrome` answers, as just seen."""
    if syndrome == _NE:
        return c.ne
    return c.icans if syndrome == _ICANS else c.crs_policy


@compiled
def is_toci_pending(c: np.record) -> bool:
    """A dose is asked for, granted or running."""
    if (c.outbox | c.waiting) & _ASK_TOCI:
        return True
    return c.toci_start < math.inf or c.toci_stop < math.inf


@compiled
def ask_tocilizumab(
    c: np.record, t: float, delay: float, mg: float, rule: int, grade: int, syndrome: int, prophylactic: int
) -> None:
    """Put one dose on the list of what the driver is asked for."""
    c.toci_mg = mg
    c.toci_rule = rule
    c.toci_grade = grade
    c.toci_syndrome = syndrome
    c.toci_order_t = t
    c.toci_delay = delay
    c.toci_prophylactic = prophylactic
    c.asked_toci_t = t
    c.outbox |= _ASK_TOCI


@compiled
def order_tocilizumab(
    clinic: np.record, s: np.record, c: np.record, log: np.record, t: float, rule: np.record, is_improved: int
) -> None:
    """Order a dose if the action, the drug's spacing and its total allow one."""
    p = clinic.par
    action = clinic.actions[rule.action]
    if is_toci_pending(c) or c.toci_doses >= p.toci_max_doses:
        return
    given = c.toci_doses - c.toci_prophylactic_doses
    if given >= action.max_doses:
        return
    # the drug arrives after the delay: what must be far enough apart are the starts
    delay = order_delay_d(p, s, c)
    if t + delay - c.toci_last_t < p.toci_spacing_h / HOURS_PER_DAY - TIME_SLACK_D:
        return
    if given > 0:
        if action.while_not_improved and is_improved:
            return
        if t - c.toci_last_t < action.repeat_d - TIME_SLACK_D:
            return
    mg = action.mg[0] * s.weight_kg if action.per_kg else action.mg[0]
    mg = min(mg, p.toci_cap_mg) if mg > 0.0 else tocilizumab_mg(p, s.weight_kg)
    grade = trigger_grade(c, rule.syndrome)
    ask_tocilizumab(c, t, delay, mg, rule.rule_no, grade, rule.syndrome, 0)
    c.ref_crs = c.crs_policy
    c.ref_bp = c.level[0]
    c.ref_oxygen = c.level[1]
    log_change(p, log, c, _ORDER, t, rule.rule_no, _TOCI)


@compiled
def is_stop_met(action: np.record, c: np.record) -> bool:
    """Everything that `until` names is at or below its level in what was seen last."""
    return (
        c.crs_policy <= action.until_crs
        and c.icans <= action.until_icans
        and c.ne <= action.until_ne
        and c.level[0] <= action.until_bp
        and c.level[1] <= action.until_oxygen
    )


@compiled
def order_regimen(
    clinic: np.record, s: np.record, c: np.record, log: np.record, t: float, rule: np.record
) -> None:
    """Start a steroid or anakinra regimen, or replace a weaker one by a stronger."""
    p = clinic.par
    number = rule.action
    if (c.spent >> np.uint64(number)) & _ONE:
        return
    action = clinic.actions[number]
    # else it would stop and start again, with a dose, at every assessment
    if action.has_until and is_stop_met(action, c):
        return
    slot = ANAKINRA_SLOT if action.drug == _ANAKINRA else STEROID_SLOT
    start = t + order_delay_d(p, s, c)
    # a course that has just ended still covers the time to its next dose, had there been one
    if start < c.reg_covers_until[slot] - TIME_SLACK_D and action.daily_mg <= c.reg_daily_mg[slot]:
        return
    running = c.reg_action[slot]
    if running >= 0:
        now = clinic.actions[running]
        # a taper yields to any new order: that is the flare being treated
        if c.reg_step[slot] < now.taper_from and action.daily_mg <= now.daily_mg:
            return
    c.reg_action[slot] = number
    c.reg_rule[slot] = rule.rule_no
    c.reg_step[slot] = 0
    c.reg_given[slot] = 0
    c.reg_total[slot] = 0
    c.reg_next[slot] = start
    c.reg_order_t[slot] = t
    c.reg_grade[slot] = trigger_grade(c, rule.syndrome)
    c.reg_syndrome[slot] = rule.syndrome
    if c.ref_crs < 0:
        c.ref_crs = c.crs_policy
        c.ref_bp = c.level[0]
        c.ref_oxygen = c.level[1]
    log_change(p, log, c, _ORDER, t, rule.rule_no, action.drug)


@compiled
def _end_regimen(clinic: np.record, c: np.record, log: np.record, slot: int, t: float, spend: int) -> None:
    number = c.reg_action[slot]
    if spend:
        c.spent = c.spent | (_ONE << np.uint64(number))
    rule = c.reg_rule[slot]
    drug = clinic.actions[number].drug
    c.reg_action[slot] = -1
    c.reg_next[slot] = math.inf
    log_change(clinic.par, log, c, _ANAKINRA_STOP if slot else _STOP, t, rule, drug)


@compiled
def check_stop(clinic: np.record, c: np.record, log: np.record, t: float) -> None:
    """At an assessment: begin the taper, or stop, where the regimen's `until` is met."""
    p = clinic.par
    for slot in range(c.reg_action.size):
        number = c.reg_action[slot]
        if number < 0:
            continue
        action = clinic.actions[number]
        if not action.has_until or c.reg_step[slot] >= action.taper_from:
            continue
        if not is_stop_met(action, c):
            continue
        if action.taper_from < action.n_steps and c.reg_total[slot] > 0:
            c.reg_step[slot] = action.taper_from
            c.reg_given[slot] = 0
            log_change(p, log, c, _TAPER, t, c.reg_rule[slot], action.drug)
        else:
            _end_regimen(clinic, c, log, slot, t, 0)


@compiled
def give_regimen_dose(
    clinic: np.record, s: np.record, c: np.record, log: np.record, slot: int, t: float
) -> None:
    """The next dose of the regimen in `slot` is given at `t`."""
    action = clinic.actions[c.reg_action[slot]]
    step = c.reg_step[slot]
    mg = action.mg[step]
    dose = min(mg * s.weight_kg, action.cap_mg) if action.per_kg else mg
    c.reg_given[slot] += 1
    c.reg_total[slot] += 1
    give(
        clinic, s, c, log, action.drug, dose, t, c.reg_order_t[slot], c.reg_rule[slot], c.reg_grade[slot],
        c.reg_syndrome[slot], 0,
    )  # fmt: skip
    c.reg_next[slot] = t + action.every_d[step]
    if action.doses[step] >= 0 and c.reg_given[slot] >= action.doses[step]:
        c.reg_step[slot] = step + 1
        c.reg_given[slot] = 0
    if c.reg_step[slot] >= action.n_steps or c.reg_total[slot] >= action.max_doses:
        c.reg_covers_until[slot] = c.reg_next[slot]
        pace = mg / action.every_d[step] * action.every_d[0] / action.mg[0]
        c.reg_daily_mg[slot] = action.daily_mg * pace
        _end_regimen(clinic, c, log, slot, t, 0 if action.has_until else 1)


@compiled
def give(
    clinic: np.record, s: np.record, c: np.record, log: np.record, drug: int, mg: float, t: float,
    ordered: float, rule: int, grade: int, syndrome: int, prophylactic: int,
) -> None:  # fmt: skip
    """A steroid or anakinra dose enters the body at `t`."""
    p = clinic.par
    # the latent past must be read with the old amounts
    follow(p, s, c, t)
    follow_peaks(p, s, c, t)
    if drug == _ANAKINRA:
        c.anakinra_doses += 1
        c.anakinra_mg += mg
        if c.anakinra_first_t == math.inf:
            c.anakinra_first_t = t
        add_anakinra(p, c, mg, t)
        log_dose(p, log, drug, syndrome, grade, rule, c.anakinra_doses, prophylactic, mg, ordered, t, t)
        return
    equivalent = mg * p.methylpred_to_dex if drug == _METHYLPRED else mg
    c.steroid_doses += 1
    c.steroid_mg += equivalent
    day = int(math.floor(t))
    if day != c.steroid_last_day:
        c.steroid_days += 1
        c.steroid_last_day = day
    # rules count from the first dose that treats, as they do for tocilizumab
    if not prophylactic and c.steroid_start_t == math.inf:
        c.steroid_start_t = t
    add_steroid(p, c, equivalent * s.steroid_scale, t)
    log_dose(p, log, drug, syndrome, grade, rule, c.steroid_doses, prophylactic, mg, ordered, t, t)


@compiled
def start_infusion(clinic: np.record, s: np.record, c: np.record, log: np.record, t: float) -> None:
    """A granted tocilizumab infusion begins."""
    p = clinic.par
    c.toci_start = math.inf
    c.toci_stop = t + p.toci_infusion_h / HOURS_PER_DAY
    c.toci_last_t = t
    c.toci_doses += 1
    c.toci_mg_total += c.toci_mg
    if c.toci_prophylactic:
        c.toci_prophylactic_doses += 1
    elif c.toci_t == math.inf:
        c.toci_t = t
    log_dose(
        p, log, _TOCI, c.toci_syndrome, c.toci_grade, c.toci_rule, c.toci_doses, c.toci_prophylactic,
        c.toci_mg, c.toci_order_t, t, c.toci_stop,
    )  # fmt: skip


@compiled
def end_infusion(clinic: np.record, s: np.record, c: np.record, t: float) -> None:
    """The infusion ends: the block begins to build up."""
    p = clinic.par
    c.toci_stop = math.inf
    # the latent past must be read with the old amounts
    follow(p, s, c, t)
    follow_peaks(p, s, c, t)
    add_tocilizumab(p, c, c.toci_mg, t)
