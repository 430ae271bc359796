"""Why: of every rule, at every assessment, a reader may ask why it did or did not act. The kernel's own functions are
called again on the course as that assessment met it, rule by rule, and each answer is put into words.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from cartsim.model.orders import check_stop, is_stop_met, is_toci_pending, order_delay_d
from cartsim.model.places import needs_icu
from cartsim.model.rules import apply_rule, improved, is_due
from cartsim.model.state import LOG
from cartsim.model.views import as_records
from cartsim.policy.checks import target_of
from cartsim.policy.table import order_text
from cartsim.story.conditions import Condition, Seen, conditions_of
from cartsim.story.lives import Life
from cartsim.story.looks import Look
from cartsim.story.words import clock, drug_name, lasting
from cartsim.terms import HOURS_PER_DAY, TIME_SLACK_D, Drug

_BETTER = ("not improved", "improved")
ORDERED, CARE, HELD_BACK, NOT_MET = "ordered", "intensive care", "held back", "not met"

#: What an assessment and its orders change; rules are held against these as they were before.
_BEFORE = (
    "ref_crs", "ref_bp", "ref_oxygen", "waiting", "outbox", "asked_toci_t", "toci_start", "toci_stop", "toci_t",
    "toci_last_t", "toci_doses", "toci_prophylactic_doses", "steroid_doses", "steroid_start_t", "anakinra_doses",
    "anakinra_first_t", "reg_action", "reg_rule", "reg_step", "reg_given", "reg_total", "reg_next", "reg_order_t",
    "reg_grade", "reg_syndrome", "reg_covers_until", "reg_daily_mg", "spent", "setting",
)  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """One rule at one assessment.

    outcome: ORDERED (a drug; `reason` names what it repeats or replaces), CARE (intensive care and no drug), HELD_BACK
    (all conditions hold and nothing is ordered; `reason` says why), NOT_MET (`conditions` say why). `icu`: it asks for
    intensive care.
    """

    rule_id: str
    outcome: str
    conditions: tuple[Condition, ...]
    held_since_d: float | None
    icu: bool
    order: str
    reason: str

    @property
    def failed(self) -> Condition | None:
        """The first condition that did not hold, None where the rule fired."""
        if self.outcome != NOT_MET:
            return None
        return next((c for c in self.conditions if c.holds is False), self.conditions[-1])

    @property
    def fired(self) -> bool:
        """All its conditions held."""
        return self.outcome != NOT_MET

    def why_not(self) -> str:
        """Why it ordered nothing; where it did, what its order repeats or replaces."""
        return self.reason if self.failed is None else f"asks for {self.failed.text()}"

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "rule_id": self.rule_id,
            "outcome": self.outcome,
            "conditions": [vars(one) for one in self.conditions],
            "held_since_d": self.held_since_d,
            "asks_for_icu": self.icu,
            "order": self.order or None,
            "reason": self.why_not() or None,
        }


@dataclass(frozen=True)
class Walked:
    """The rules of one assessment; `by_signs`: intensive care is called for by what was seen."""

    verdicts: tuple[Verdict, ...]
    by_signs: bool


def walk_rules(life: Life, look: Look) -> Walked:
    """Every rule of the arm at one assessment, in the order of the policy; none where nothing was seen to treat."""
    return _Walk(life, look).run()


class _Walk:
    def __init__(self, life: Life, look: Look) -> None:
        self.life, self.look = life, look
        self.policy = life.arm.policy.policy
        clinic = as_records(life.arm.clinic)
        self.clinic, self.par = clinic[0], clinic["par"][0]
        self.rules, self.actions = clinic["rules"][0], clinic["actions"][0]
        self.subject = as_records(life.ran.subjects)[0]
        course = look.after.copy()
        for name in _BEFORE:
            course[name] = look.before[name]
        self.array, self.course = course, as_records(course)[0]
        log = np.zeros(1, LOG)
        self.log_array, self.log = log, as_records(log)[0]

    def run(self) -> Walked:
        look, course = self.look, self.array
        by_signs = bool(needs_icu(self.par, self.course, 0))
        seen_any = any(int(look.after[name][0]) > 0 for name in ("crs_policy", "icans", "ne"))
        # a biomarker may be acted upon before anything is seen
        if not seen_any and not self.par["want_markers"]:
            return Walked((), by_signs)
        check_stop(self.clinic, self.course, self.log, look.t_d)
        better = int(improved(self.par, self.course, look.t_d))
        cohort, arm = self.life.ran.cohort, self.life.arm
        seen = Seen(look.t_d, course, cohort, arm.cd28, look.temperature_c, bool(better), arm.par)
        names = list(self.policy.rules)
        return Walked(tuple(self._judge(row, name, seen, better) for row, name in enumerate(names)), by_signs)

    def _judge(self, row: int, name: str, seen: Seen, better: int) -> Verdict:
        rule, t = self.rules[row], self.look.t_d
        holding = bool(int(self.look.after["holding"][0]) >> row & 1)
        since = float(self.look.after["held"][0][row]) if holding else None
        due = since is not None and bool(is_due(self.par, self.course, rule, t, since, better))
        conditions = _settled(conditions_of(self.policy.rules[name].when, seen, since), due)
        icu = bool(rule["icu"])
        give = self.policy.rules[target_of(self.policy, name)].give
        order = "" if give is None else order_text(give)
        if not due:
            return Verdict(name, NOT_MET, conditions, since, icu, order, "")
        if int(rule["action"]) < 0:
            return Verdict(name, CARE, conditions, since, icu, order, "")
        why = self._why(self.actions[int(rule["action"])], bool(better))
        before = int(self.log_array["n_changes"][0])
        # an order keeps those behind it from ordering: the kernel itself decides which
        apply_rule(self.clinic, self.subject, self.course, self.log, t, rule, better)
        if int(self.log_array["n_changes"][0]) > before:
            self.log_array["n_changes"] = 0
            return Verdict(name, ORDERED, conditions, since, icu, order, why)
        # a rule that orders nothing leaves the course as it found it
        reason = self._reason(rule, self.actions[int(rule["action"])], t, bool(better))
        return Verdict(name, HELD_BACK, conditions, since, icu, order, reason)

    def _reason(self, rule: np.record, action: np.record, t: float, better: bool) -> str:
        if int(action["drug"]) == Drug.TOCILIZUMAB:
            return self._no_tocilizumab(action, t, better)
        return self._no_regimen(int(rule["action"]), action, t)

    def _why(self, action: np.record, better: bool) -> str:
        """What an order answers beside its conditions: an earlier dose, or a course that it replaces."""
        c = self.array
        if int(action["drug"]) == Drug.TOCILIZUMAB:
            given = int(c["toci_doses"][0])
            ago = lasting(self.look.t_d - float(c["toci_last_t"][0])) if given else ""
            return f"dose {given + 1}: {ago} after the last began, {_BETTER[better]} since" if given else ""
        slot = int(int(action["drug"]) == Drug.ANAKINRA)
        running = int(c["reg_action"][0][slot])
        if running < 0:
            return ""
        tapering = int(c["reg_step"][0][slot]) >= int(self.actions[running]["taper_from"])
        name = drug_name(int(self.actions[running]["drug"]))
        return f"takes the place of {name}, {'which is being tapered' if tapering else 'a lower daily dose'}"

    def _no_tocilizumab(self, action: np.record, t: float, better: bool) -> str:
        """Why `order_tocilizumab` orders nothing; in its order."""
        c, p = self.array, self.par
        given = int(c["toci_doses"][0]) - int(c["toci_prophylactic_doses"][0])
        last = float(c["toci_last_t"][0])
        spacing = float(p["toci_spacing_h"]) / HOURS_PER_DAY
        if is_toci_pending(self.course):
            return "a dose is ordered already, or running"
        if int(c["toci_doses"][0]) >= float(p["toci_max_doses"]):
            return f"{int(c['toci_doses'][0])} doses were given, the most allowed"
        if given >= int(action["max_doses"]):
            return f"{_doses(int(action['max_doses']))} at most by this rule, and {given} given"
        start = t + float(order_delay_d(p, self.subject, self.course))
        if start - last < spacing - TIME_SLACK_D:
            return f"doses begin at least {lasting(spacing)} apart; the last began on {clock(last)}"
        if given > 0 and int(action["while_not_improved"]) and better:
            return "improved since the last order"
        again = float(action["repeat_d"])
        if math.isfinite(again):
            return f"repeated at the earliest {lasting(again)} after the last dose ({clock(last)})"
        return "one dose, and one was given"

    def _no_regimen(self, number: int, action: np.record, t: float) -> str:
        """Why `order_regimen` orders nothing; in its order."""
        c = self.array
        slot = int(int(action["drug"]) == Drug.ANAKINRA)
        if int(c["spent"][0]) >> number & 1:
            return "this course was given already, and is not given twice"
        if int(action["has_until"]) and is_stop_met(action, self.course):
            return "what would end it is the case already"
        start = t + float(order_delay_d(self.par, self.subject, self.course))
        covered = float(c["reg_covers_until"][0][slot])
        if start < covered - TIME_SLACK_D and float(action["daily_mg"]) <= float(c["reg_daily_mg"][0][slot]):
            return f"the course that has ended covers the time until {clock(covered)}"
        running = self.actions[int(c["reg_action"][0][slot])]
        same = int(c["reg_action"][0][slot]) == number
        name = drug_name(int(running["drug"]))
        return "it is running" if same else f"{name} is running at the same daily dose or a higher one"


def _settled(conditions: list[Condition], due: bool) -> tuple[Condition, ...]:
    """Conditions that are not known here held where the rule was due, and failed where nothing else did."""
    unknown = [one for one in conditions if one.holds is None]
    if not unknown:
        return tuple(conditions)
    others_hold = all(one.holds is not False for one in conditions)
    settled = True if due else False if others_hold and len(unknown) == 1 else None
    return tuple(
        Condition(one.key, one.wanted, one.found, settled) if one.holds is None else one for one in conditions
    )


def _doses(count: int) -> str:
    return "one dose" if count == 1 else f"{count} doses"
