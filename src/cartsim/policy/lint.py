"""Why: a policy can be well formed and still not say what its author meant. A rung that never fires, a severe grade
that nothing answers, two doses for one situation: all are found on the compiled rows, the same that are run.

Errors mean that the policy contradicts itself or cannot be read; warnings ask whether it was meant.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cartsim.errors import InvalidInput
from cartsim.policy.compile import CompiledPolicy, compile_policy, covariates_of, reads_samples
from cartsim.policy.conditions import LADDERS, SAMPLED, parse_number
from cartsim.policy.courses import number, numbers
from cartsim.policy.library import load_policy
from cartsim.policy.reach import (
    answers_crs,
    answers_neuro,
    covers,
    may_stop_at_once,
    possible_grades,
    same_conditions,
    same_order,
)
from cartsim.policy.schema import Policy
from cartsim.terms import Drug

#: Grades that should not go unanswered.
SEVERE = (3, 4)


@dataclass(frozen=True)
class Finding:
    """One remark; `rule` is a rule id, a key path or empty for the whole policy."""

    level: Literal["error", "warning"]
    rule: str
    message: str
    mend: str | None = None


def lint(policy: Policy | str | Path | Mapping[str, Any], registry: Mapping[str, Any]) -> list[Finding]:
    """Findings on a policy (or on what would not load as one), errors first.

    With a registry that has no `grading()` tables, contradictions between a grade and a sign are not looked for.
    """
    if not isinstance(policy, Policy):
        try:
            policy = load_policy(policy, registry)
        except InvalidInput as error:
            if not error.problems:
                return [Finding("error", "", error.what, error.mend)]
            return [Finding("error", one.path, one.what, one.mend) for one in error.problems]
    compiled = compile_policy(policy, registry)
    found = [
        *_never(compiled, registry),
        *_contradictions(compiled),
        *_shadowed(compiled),
        *_weak_replacements(compiled),
        *_stops_at_once(compiled, registry),
        *_unanswered(compiled, registry),
        *_mixed_scales(policy),
        *_blind_markers(compiled),
    ]
    return sorted(found, key=lambda finding: finding.level != "error")


def _never(compiled: CompiledPolicy, registry: Mapping[str, Any]) -> Iterator[Finding]:
    """Rules whose conditions cannot hold together."""
    drugs = {int(row["drug"]) for row in compiled.actions}
    prophylactic = {int(row["drug"]) for row in compiled.prophylaxis}
    most = number(registry, "tocilizumab.max_doses")
    for name, rule in compiled.policy.rules.items():
        row = compiled.rules[list(compiled.policy.rules).index(name)]
        reasons: list[tuple[str, str | None]] = []
        for key in ("crs", "icans", "ne"):
            if row[f"{key}_lo"] == 5:
                reasons.append((f"{key} 5 is death, at which nothing is ordered", f'{key}: ">=4"'))
        grades = possible_grades(row, compiled.crs_scale, registry)
        if grades is not None and not any(row["crs_lo"] <= grade <= row["crs_hi"] for grade in grades):
            signs = ", ".join(
                key
                for key in ("bp_support", "oxygen", "liver", "kidney")
                if getattr(rule.when, key) is not None
            )
            ways = ", ".join(str(grade) for grade in sorted(grades))
            why = f"these signs ({signs}) are grade {ways} on {compiled.policy.scale}"
            reasons.append((why, "change crs or the sign"))
        toci = int(Drug.TOCILIZUMAB)
        needs_toci = row["since_first_toci_d"] >= 0 or row["awaiting_toci_d"] >= 0
        if needs_toci and toci not in drugs:
            reasons.append(("no rule orders tocilizumab", None))
        if (row["toci_lo"] > 0 or row["since_last_toci_d"] >= 0) and toci not in drugs | prophylactic:
            reasons.append(("nothing orders tocilizumab", None))
        if row["toci_lo"] > most:
            reasons.append((f"more than {most:g} doses of tocilizumab are never given", None))
        if row["toci_hi"] == 0 and (row["since_first_toci_d"] >= 0 or row["since_last_toci_d"] >= 0):
            reasons.append(("it asks for no dose so far and for time since a dose", None))
        steroids = {int(Drug.DEXAMETHASONE), int(Drug.METHYLPREDNISOLONE)} & (drugs | prophylactic)
        if (row["steroid_lo"] > 0 or row["since_first_steroid_d"] >= 0) and not steroids:
            reasons.append(("nothing orders a steroid", None))
        if row["anakinra_lo"] > 0 and int(Drug.ANAKINRA) not in drugs | prophylactic:
            reasons.append(("nothing orders anakinra", None))
        delays = numbers(registry, "biomarkers.assay_delay_h") if row["has_markers"] else []
        for key, (marker, label, _) in SAMPLED.items():
            within = rule.when.sampled_within_h
            if getattr(rule.when, key) is not None and within is not None and within < delays[marker]:
                late = f"{label} is known {delays[marker]:g} h after its sample, which is then too old"
                reasons.append((late, f"sampled_within_h: {delays[marker]:g} or more"))
        for why, mend in reasons:
            yield Finding("error", name, f"unreachable rule: {why}", mend)


def _contradictions(compiled: CompiledPolicy) -> Iterator[Finding]:
    """Two rules for the same situation that order the same drug differently."""
    for first, second in _pairs(compiled):
        one, other = compiled.rules[first], compiled.rules[second]
        if not same_conditions(compiled, first, second) or -1 in (one["action"], other["action"]):
            continue
        a, b = compiled.actions[one["action"]], compiled.actions[other["action"]]
        names = compiled.rule_names
        if a["drug"] == b["drug"] and not same_order(a, b):
            drug = Drug(int(a["drug"])).name.lower()
            yield Finding(
                "error",
                names[second],
                f"contradictory orders: `{names[first]}` gives {drug} differently under identical conditions",
                "keep one of the two, or make their conditions differ",
            )


def _shadowed(compiled: CompiledPolicy) -> Iterator[Finding]:
    """Rules that can add nothing, since an earlier one holds whenever they do and orders as much."""
    told = set()
    for first, second in _pairs(compiled):
        if second in told or not covers(compiled, first, second):
            continue
        one, other = compiled.rules[first], compiled.rules[second]
        if one["action"] < 0 or other["action"] < 0 or (other["icu"] and not one["icu"]):
            continue
        a, b = compiled.actions[one["action"]], compiled.actions[other["action"]]
        if a["drug"] == b["drug"] and same_conditions(compiled, first, second) and not same_order(a, b):
            continue
        if _adds_nothing(one, other, a, b):
            told.add(second)
            yield Finding(
                "warning",
                compiled.rule_names[second],
                f"unreachable rule: `{compiled.rule_names[first]}` comes first, holds whenever it does and orders "
                "at least as much",
                "put the narrower rule first, or delete it",
            )


def _adds_nothing(one: np.void, other: np.void, a: np.void, b: np.void) -> bool:
    if one["action"] == other["action"]:
        return True
    toci = int(Drug.TOCILIZUMAB)
    if a["drug"] == toci or b["drug"] == toci:
        larger = (b["mg"][0], b["per_kg"]) == (a["mg"][0], a["per_kg"])
        return bool(
            a["drug"] == b["drug"]
            and larger
            and a["max_doses"] >= b["max_doses"]
            and a["repeat_d"] <= b["repeat_d"]
            and a["while_not_improved"] <= b["while_not_improved"]
        )
    same_slot = (a["drug"] == int(Drug.ANAKINRA)) == (b["drug"] == int(Drug.ANAKINRA))
    # only a course that may start again keeps the other from ever starting
    return bool(same_slot and a["has_until"] and a["daily_mg"] >= b["daily_mg"] and _stops_no_earlier(a, b))


def _stops_no_earlier(a: np.void, b: np.void) -> bool:
    return all(a[f"until_{key}"] <= b[f"until_{key}"] for key in ("crs", "icans", "ne", "bp", "oxygen"))


def _weak_replacements(compiled: CompiledPolicy) -> Iterator[Finding]:
    """`replaces` says that a rung takes over; only a higher daily dose does."""
    places = {name: place for place, name in enumerate(compiled.rule_names)}
    for name, rule in compiled.policy.rules.items():
        if rule.replaces is None:
            continue
        actions = [int(compiled.rules[places[one]]["action"]) for one in (name, rule.replaces)]
        if -1 in actions or int(Drug.TOCILIZUMAB) in {int(compiled.actions[one]["drug"]) for one in actions}:
            yield Finding(
                "error", name, f"`{name}` cannot replace `{rule.replaces}`: only courses are replaced"
            )
            continue
        mine, theirs = (float(compiled.actions[one]["daily_mg"]) for one in actions)
        if mine <= theirs:
            what = (
                f"`{name}` never replaces `{rule.replaces}`: {mine:g} against {theirs:g} mg/day (equivalents)"
            )
            yield Finding("error", name, what, "a higher dose, or leave `replaces` out")


def _stops_at_once(compiled: CompiledPolicy, registry: Mapping[str, Any]) -> Iterator[Finding]:
    """Courses that a rule asks for while what should end them already holds: they do not start."""
    for row in compiled.rules:
        action = int(row["action"])
        if action >= 0 and may_stop_at_once(row, compiled.actions[action], compiled.crs_scale, registry):
            yield Finding(
                "warning",
                compiled.rule_names[int(row["rule_no"])],
                "its order does not start where `until` already holds, and the rule may hold there",
                "name in `until` what the rule looks at, below its trigger",
            )


def _unanswered(compiled: CompiledPolicy, registry: Mapping[str, Any]) -> Iterator[Finding]:
    """Severe grades at which no rule orders anything for every subject. A policy without rules means it."""
    policy = compiled.policy
    if not policy.rules:
        return
    open_to_all = [
        row
        for row, rule in zip(compiled.rules, policy.rules.values(), strict=True)
        if not covariates_of(rule.when) and not row["has_markers"]
    ]
    neuro = "ne" if policy.neuro_scale == "ctcae" else "icans"
    for grade in SEVERE:
        if not any(answers_crs(row, grade, compiled.crs_scale, registry) for row in open_to_all):
            yield Finding(
                "warning", "", f"unanswered grade: no rule for CRS grade {grade}", f"a rule on crs: {grade}"
            )
        if not any(answers_neuro(row, neuro, grade) for row in open_to_all):
            label = LADDERS[neuro].label
            yield Finding(
                "warning", "", f"unanswered grade: no rule for {label} {grade}", f"a rule on {neuro}: {grade}"
            )


def _mixed_scales(policy: Policy) -> Iterator[Finding]:
    for name, rule in policy.rules.items():
        if policy.neuro_scale == "ctcae" and rule.when.icans is not None:
            yield Finding(
                "warning", name, "reads ICANS, but neuro_scale is ctcae", "ne:, or neuro_scale: astct2019"
            )
        if policy.neuro_scale == "astct2019" and rule.when.ne is not None:
            yield Finding("warning", name, "reads the wide NE grade, but neuro_scale is astct2019", "icans:")
        weight = rule.when.weight_kg
        if weight is not None and parse_number("weight_kg", weight)[0] > 300:
            yield Finding("warning", name, f"weight_kg {weight}: hardly anyone; is it in kg?", None)


def _blind_markers(compiled: CompiledPolicy) -> Iterator[Finding]:
    """After tocilizumab CRP falls and IL-6 rises, whatever the course does."""
    gives = any(
        int(row["drug"]) == int(Drug.TOCILIZUMAB) for row in (*compiled.actions, *compiled.prophylaxis)
    )
    for name, key in reads_samples(compiled.policy):
        row = compiled.rules[list(compiled.policy.rules).index(name)]
        if gives and row["toci_hi"] > 0 and key in ("sampled_il6_pg_per_ml", "sampled_crp_mg_per_l"):
            yield Finding(
                "warning",
                name,
                f"{key} says little once tocilizumab was given: CRP falls and IL-6 rises by the drug alone",
                "toci_doses: 0",
            )


def _pairs(compiled: CompiledPolicy) -> Iterator[tuple[int, int]]:
    size = len(compiled.rules)
    return ((first, second) for first in range(size) for second in range(first + 1, size))
