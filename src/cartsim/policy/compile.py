"""Why: the clinic walks numbers, not YAML. Here a checked policy becomes rows of conditions, rows of orders and one
bit per rule and subject for what is decided before infusion.

Hours become days, levels become inclusive ranges, names become row numbers. A rule with `treat_as` keeps its own
conditions and shares the order of its target, so that doses are counted together.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cartsim.model.state import ACTION, PROPHYLAXIS, RULE
from cartsim.policy.checks import target_of
from cartsim.policy.conditions import (
    ANY,
    ANY_COUNT,
    COVARIATE_FLAGS,
    GRADES,
    SAMPLED,
    parse_at_least,
    parse_before,
    parse_count,
    parse_level,
    parse_number,
    parse_stop,
)
from cartsim.policy.courses import UNTIL, course, daily_mg, number
from cartsim.policy.schema import Covariates, Give, Policy, Prophylactic, Rule, Until, When
from cartsim.terms import HOURS_PER_DAY, CrsScale, Drug, NeuroScale, Syndrome

_LEVELS = {"bp_support": "bp", "crs": "crs", "icans": "icans", "ne": "ne", "oxygen": "oxygen"}
_LEVELS |= {"liver": "liver", "kidney": "kidney", "neuro": "neuro"}
_COUNTS = {"toci_doses": "toci", "steroid_doses": "steroid", "anakinra_doses": "anakinra"}
#: Condition -> (field of RULE in days, value that means "any").
_CLOCKS = {
    "for_h": ("for_d", 0.0),
    "since_onset_h": ("since_onset_d", 0.0),
    "since_first_toci_h": ("since_first_toci_d", -1.0),
    "since_last_toci_h": ("since_last_toci_d", -1.0),
    "since_first_steroid_h": ("since_first_steroid_d", -1.0),
    "awaiting_toci_h": ("awaiting_toci_d", -1.0),
}


@dataclass(frozen=True)
class CompiledPolicy:
    """One policy as arrays; `rule_no` of a row is its place in `rule_names`."""

    policy: Policy
    rules: np.ndarray
    actions: np.ndarray
    prophylaxis: np.ndarray
    rule_names: tuple[str, ...]
    crs_scale: int
    neuro_scale: int

    def eligibility(self, cohort: np.ndarray, cd28: bool) -> np.ndarray:
        """uint64[n]: bit r is set where rule row r may fire for the subject.

        `cohort` is a COHORT array. A rule that looks at exactly grade 1 is followed only by those who adhere.
        """
        always, asked = self._asked
        bits = np.full(cohort.size, always, np.uint64)
        for row, conditions, adherent in asked:
            may = _all_hold(conditions, cohort, cd28)
            if adherent:
                may &= cohort["adherent"] != 0
            bits |= may.astype(np.uint64) << np.uint64(row)
        return bits

    @cached_property
    def _asked(self) -> tuple[np.uint64, list[tuple[int, dict[str, Any], bool]]]:
        """Bits of the rules open to everyone; for the others (row, conditions on the subject, only who adheres)."""
        always, asked = 0, []
        for row, rule in enumerate(self.policy.rules.values()):
            conditions, adherent = covariates_of(rule.when), looks_at_grade_1(rule.when)
            if conditions or adherent:
                asked.append((row, conditions, adherent))
            else:
                always |= 1 << row
        return np.uint64(always), asked

    def prophylaxis_mask(self, cohort: np.ndarray, cd28: bool) -> np.ndarray:
        """uint64[n]: bit r is set where row r of `prophylaxis` is given to the subject."""
        bits = np.zeros(cohort.size, np.uint64)
        doses = list(self.policy.prophylaxis.values())
        chosen = [_is_chosen(dose, cohort, cd28).astype(np.uint64) for dose in doses]
        for row, number_ in enumerate(self.prophylaxis["rule_no"]):
            bits |= chosen[int(number_) - len(self.policy.rules)] << np.uint64(row)
        return bits


def compile_policy(policy: Policy, registry: Mapping[str, Any]) -> CompiledPolicy:
    """Arrays of a policy that `load_policy` has checked. `registry`: entries or numbers by key."""
    actions: dict[str, int] = {}
    action_rows: list[np.ndarray] = []
    for name, rule in policy.rules.items():
        if rule.give is not None:
            actions[name] = len(action_rows)
            action_rows.append(action_row(rule.give, registry))
    rule_rows = [
        rule_row(policy, name, row, actions.get(target_of(policy, name), -1))
        for row, name in enumerate(policy.rules)
    ]
    doses = []
    for place, dose in enumerate(policy.prophylaxis.values()):
        doses += [_prophylaxis_row(dose, hours, len(policy.rules) + place) for hours in dose.times_h()]
    # a stable sort: what is due at the same time is given in file order
    doses.sort(key=lambda row: float(row["at_d"][0]))
    return CompiledPolicy(
        policy=policy,
        rules=_stack(rule_rows, RULE),
        actions=_stack(action_rows, ACTION),
        prophylaxis=_stack(doses, PROPHYLAXIS),
        rule_names=(*policy.rules, *policy.prophylaxis),
        crs_scale=int(CrsScale[policy.scale.upper()]),
        neuro_scale=int(NeuroScale[policy.neuro_scale.upper()]),
    )


def reads_samples(policy: Policy) -> list[tuple[str, str]]:
    """(rule, condition) for each condition on a sampled biomarker."""
    return [
        (name, key)
        for name, rule in policy.rules.items()
        for key in SAMPLED
        if getattr(rule.when, key) is not None
    ]


def _stack(rows: list[np.ndarray], dtype: np.dtype) -> np.ndarray:
    return np.concatenate(rows) if rows else np.zeros(0, dtype)


def rule_row(policy: Policy, name: str, place: int, action: int) -> np.ndarray:
    """One RULE row."""
    rule, row = policy.rules[name], np.zeros(1, RULE)
    when = rule.when
    for key, field in _LEVELS.items():
        value = getattr(when, key)
        row[f"{field}_lo"], row[f"{field}_hi"] = ANY if value is None else parse_level(key, value)
    for key, field in _COUNTS.items():
        value = getattr(when, key)
        row[f"{field}_lo"], row[f"{field}_hi"] = ANY_COUNT if value is None else parse_count(key, value)
    for key, (field, any_value) in _CLOCKS.items():
        value = getattr(when, key)
        row[field] = any_value if value is None else parse_at_least(key, value) / HOURS_PER_DAY
    before = when.onset_before_h
    row["onset_before_d"] = (
        math.inf if before is None else parse_before("onset_before_h", before) / HOURS_PER_DAY
    )
    warm = when.temperature_c
    row["temperature_min"] = -math.inf if warm is None else parse_at_least("temperature_c", warm)
    row["marker_lo"], row["marker_hi"] = -math.inf, math.inf
    for key, (marker, _, _) in SAMPLED.items():
        value = getattr(when, key)
        if value is not None:
            row["has_markers"] = 1
            row["marker_lo"][0, marker], row["marker_hi"][0, marker] = parse_number(key, value)
    fresh = when.sampled_within_h
    row["marker_within_d"] = math.inf if fresh is None else fresh / HOURS_PER_DAY
    row["fever"] = -1 if when.fever is None else int(when.fever)
    row["improved"] = -1 if when.improved is None else int(when.improved)
    row["action"] = action
    row["icu"] = int(rule.care == "icu" or policy.rules[target_of(policy, name)].care == "icu")
    row["syndrome"] = int(syndrome_of(policy, rule))
    row["rule_no"] = place
    return row


def syndrome_of(policy: Policy, rule: Rule) -> Syndrome:
    """What the order is for: as said by `for`, else by the grade in `when` (CRS when both are above 0)."""
    neuro = Syndrome.NE if policy.neuro_scale == "ctcae" else Syndrome.ICANS
    if rule.for_ is not None:
        return {"crs": Syndrome.CRS, "icans": neuro, "ne": Syndrome.NE}[rule.for_]
    if rule.when.crs is not None and parse_level("crs", rule.when.crs)[1] > 0:
        return Syndrome.CRS
    if rule.when.icans is not None or rule.when.neuro is not None:
        return Syndrome.ICANS
    return Syndrome.NE if rule.when.ne is not None else Syndrome.CRS


def looks_at_grade_1(when: When) -> bool:
    """True for a rule on exactly grade 1: the rung that bedside adherence is about."""
    said = [(key, getattr(when, key)) for key in GRADES]
    return any(value is not None and parse_level(key, value) == (1, 1) for key, value in said)


def action_row(give: Give, registry: Mapping[str, Any]) -> np.ndarray:
    """One ACTION row; tocilizumab with `mg` 0 means the labelled dose."""
    row = np.zeros(1, ACTION)
    row["drug"] = int(Drug[give.drug.upper()])
    row["per_kg"] = int(give.mg_per_kg is not None)
    row["cap_mg"] = math.inf
    row["repeat_d"] = math.inf
    for key in ("crs", "icans", "ne", "bp", "oxygen"):
        row[f"until_{key}"] = ANY[1]
    if give.drug == "tocilizumab":
        row["mg"][0, 0] = give.mg or give.mg_per_kg or 0.0
        row["doses"][0, 0] = 1
        row["cap_mg"] = number(registry, "tocilizumab.cap_mg")
        row["n_steps"] = row["taper_from"] = 1
        row["while_not_improved"] = int(give.while_ is not None)
        if give.repeat_h is None:
            row["max_doses"] = 1
        else:
            row["repeat_d"] = give.repeat_h / HOURS_PER_DAY
            row["max_doses"] = give.max_doses or ANY_COUNT[1]
        return row
    regimen = course(give, registry)
    for place, step in enumerate(regimen.steps):
        row["mg"][0, place] = step.mg
        row["every_d"][0, place] = step.every_h / HOURS_PER_DAY
        row["doses"][0, place] = UNTIL if step.doses == UNTIL else step.doses
    row["cap_mg"] = regimen.cap_mg
    row["n_steps"] = len(regimen.steps)
    row["taper_from"] = regimen.taper_from
    row["max_doses"] = regimen.total_doses or ANY_COUNT[1]
    row["daily_mg"] = daily_mg(give, registry)
    if give.until is not None:
        row["has_until"] = 1
        for key, level in stops(give.until).items():
            row[f"until_{'bp' if key == 'bp_support' else key}"] = level
    return row


def stops(until: Until) -> dict[str, int]:
    """Highest level of each quantity at which an order stops."""
    return {key: parse_stop(key, value) for key, value in until.model_dump().items()}


def _prophylaxis_row(dose: Prophylactic, hours: float, rule_no: int) -> np.ndarray:
    row = np.zeros(1, PROPHYLAXIS)
    row["drug"] = int(Drug[dose.drug.upper()])
    row["at_d"] = hours / HOURS_PER_DAY
    row["mg"] = dose.mg or dose.mg_per_kg or 0.0
    row["per_kg"] = int(dose.mg_per_kg is not None)
    row["rule_no"] = rule_no
    return row


def _is_chosen(dose: Prophylactic, cohort: np.ndarray, cd28: bool) -> np.ndarray:
    chosen = np.ones(cohort.size, bool)
    if dose.when is not None:
        chosen &= _all_hold(covariates_of(dose.when), cohort, cd28)
    if dose.when_any is not None:
        some = [_holds(key, value, cohort, cd28) for key, value in covariates_of(dose.when_any).items()]
        chosen &= np.logical_or.reduce(some)
    return chosen


def covariates_of(conditions: Covariates) -> dict[str, Any]:
    """Only the conditions on the subject before infusion."""
    return {key: value for key, value in conditions.said().items() if key in Covariates.model_fields}


def _all_hold(conditions: Mapping[str, Any], cohort: np.ndarray, cd28: bool) -> np.ndarray:
    may = np.ones(cohort.size, bool)
    for key, value in conditions.items():
        may &= _holds(key, value, cohort, cd28)
    return may


def _holds(key: str, value: Any, cohort: np.ndarray, cd28: bool) -> np.ndarray:
    if key == "cd28":
        return np.full(cohort.size, cd28 == value)
    if key in COVARIATE_FLAGS:
        return (cohort[key] != 0) == value
    low, high = parse_number(key, value, may_be_negative=True)
    return (cohort[key] >= low) & (cohort[key] <= high)
