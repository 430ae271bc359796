"""Planted faults: the lint must find each, name the rule and say nothing else of that kind."""

from typing import Any

import pytest

from cartsim.evidence.registry import load_registry
from cartsim.policy.lint import Finding, lint

REGISTRY = load_registry()
TOCI = {"drug": "tocilizumab", "repeat_h": 8, "max_doses": 3}
DEX = {"drug": "dexamethasone", "mg": 10, "every_h": 6, "until": {"crs": "<=1"}}
#: Answers every severe grade, so that a planted fault is the only finding.
SOUND = {
    "toci": {"when": {"crs": ">=2"}, "give": TOCI},
    "dex": {"when": {"crs": ">=3"}, "give": DEX},
    "icans": {"when": {"icans": ">=3"}, "give": DEX | {"until": {"icans": "<=1"}}},
}


def findings(changes: dict[str, Any], base: dict[str, Any] = SOUND, **header: Any) -> list[Finding]:
    rules = {**base, **changes}
    rules = {name: rule for name, rule in rules.items() if rule is not None}
    return lint({"id": "mine", "scale": "astct2019", **header, "rules": rules}, REGISTRY)


def test_a_sound_policy_has_no_findings() -> None:
    assert findings({}) == []


def rule(when: dict[str, Any], **order: Any) -> dict[str, Any]:
    return {"when": when, **order}


PLANTED: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "death as a trigger": (
        {"x": rule({"crs": 5}, give=DEX | {"mg": 20})},
        "error",
        "x",
        "unreachable rule: crs 5",
    ),
    "pressor at grade 1": (
        {"x": rule({"crs": 1, "bp_support": ">=low_dose_pressor"}, give=TOCI)},
        "error",
        "x",
        "unreachable rule: these signs (bp_support)",
    ),
    "no dose and time since": (
        {"x": rule({"toci_doses": 0, "since_last_toci_h": 8, "ne": 0}, give=DEX | {"mg": 20})},
        "error",
        "x",
        "no dose so far and for time since",
    ),
    "five doses": (
        {"x": rule({"toci_doses": ">=5"}, give=DEX | {"mg": 20})},
        "error",
        "x",
        "more than 4 doses",
    ),
    "anakinra that nobody gives": (
        {"x": rule({"anakinra_doses": ">=1"}, give=DEX | {"mg": 20})},
        "error",
        "x",
        "nothing orders anakinra",
    ),
    "tocilizumab that nobody gives": (
        {"toci": None, "x": rule({"crs": 2, "since_first_toci_h": 24}, give=DEX | {"mg": 20})},
        "error",
        "x",
        "no rule orders tocilizumab",
    ),
    "steroid that nobody gives": (
        {
            "dex": rule({"crs": [3, 4]}, give=TOCI | {"max_doses": 4}),
            "icans": rule({"icans": [3, 4]}, care="icu"),
        }
        | {"x": rule({"crs": 4, "steroid_doses": ">=1"}, give={"drug": "anakinra", "mg": 100})},
        "error",
        "x",
        "nothing orders a steroid",
    ),
    "shadowed rule": (
        {"x": rule({"crs": 3}, give=TOCI)},
        "warning",
        "x",
        "unreachable rule: `toci` comes first",
    ),
    "shadowed by a higher rung": (
        {"x": rule({"crs": 4}, give=DEX | {"mg": 4})},
        "warning",
        "x",
        "unreachable rule: `dex` comes first",
    ),
    "no rule at CRS 4": (
        {"dex": None, "toci": rule({"crs": [2, 3]}, give=TOCI)},
        "warning",
        "",
        "CRS grade 4",
    ),
    "no rule at ICANS 3": ({"icans": rule({"icans": 4}, give=DEX)}, "warning", "", "ICANS grade 3"),
    "severe grade for the frail only": (
        {"icans": rule({"icans": ">=3", "comorbid": True}, give=DEX)},
        "warning",
        "",
        "unanswered grade: no rule for ICANS grade 3",
    ),
    "two doses for one situation": (
        {"x": rule({"crs": [3, 5]}, give=DEX | {"mg": 20})},
        "error",
        "x",
        "contradictory orders: `dex` gives dexamethasone differently",
    ),
    "weaker rung that replaces": (
        {"x": rule({"crs": 4}, give={"drug": "dexamethasone", "mg": 10}, replaces="dex")},
        "error",
        "x",
        "never replaces `dex`",
    ),
    "course that would stop as it begins": (
        {"x": rule({"crs": 4}, give=DEX | {"mg": 20, "until": {"bp_support": "none"}})},
        "warning",
        "x",
        "does not start where `until` already holds",
    ),
    "dose above the limit": (
        {"x": rule({"crs": 4}, give=DEX | {"mg": 100})},
        "error",
        "rules.x.give.mg",
        "limit",
    ),
    "missing unit": (
        {"x": rule({"crs": 4}, give={"drug": "anakinra", "dose": 100})},
        "error",
        "rules.x.give.dose",
        "has no unit",
    ),
    "unknown drug": (
        {"x": rule({"crs": 4}, give={"drug": "x"})},
        "error",
        "rules.x.give.drug",
        "unknown drug",
    ),
    "unknown target": ({"x": rule({"crs": 4}, treat_as="y")}, "error", "rules.x.treat_as", "no rule `y`"),
    "circle": ({"x": rule({"crs": 4}, treat_as="x")}, "error", "rules.x.treat_as", "circle"),
    "wide grade on the narrow scale": (
        {"x": rule({"ne": 2}, give=DEX | {"mg": 4})},
        "warning",
        "x",
        "wide NE grade",
    ),
}


@pytest.mark.parametrize(("changes", "level", "where", "words"), PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_fault_is_found(changes: dict[str, Any], level: str, where: str, words: str) -> None:
    found = [finding for finding in findings(changes) if words in finding.message]
    assert [(finding.level, finding.rule) for finding in found[:1]] == [(level, where)]


@pytest.mark.parametrize(
    ("when", "until", "found"),
    [
        ({"crs": ">=2"}, {"crs": "<=1"}, False),
        ({"crs": ">=2"}, {"crs": "<=2"}, True),
        ({"crs": 2}, {"bp_support": "none", "oxygen": "none"}, True),
        ({"crs": 2}, {"crs": "<=1", "bp_support": "none"}, False),
        ({"bp_support": ">=one_bolus"}, {"crs": "<=1"}, False),
        ({"neuro": ">=2"}, {"icans": "<=1", "ne": "<=1"}, False),
        ({"fever": True}, {"crs": "<=1"}, True),
    ],
)
def test_a_course_may_not_begin_where_it_would_end(when: Any, until: Any, found: bool) -> None:
    """Else it would start and stop at every assessment, each time with a dose."""
    told = findings({"x": rule(when, give=DEX | {"mg": 4, "until": until})}, scale="lee2014")
    assert any("does not start" in finding.message for finding in told) == found


def test_whether_it_would_end_depends_on_the_scale() -> None:
    """Grade 2 by the liver alone exists on Lee 2014, not on ASTCT (CLINICAL A4)."""
    off_support = DEX | {"mg": 4, "until": {"bp_support": "none", "oxygen": "none"}}
    for scale, expected in {"lee2014": True, "astct2019": False}.items():
        told = findings({"x": rule({"crs": 2}, give=off_support)}, scale=scale)
        assert any("does not start" in finding.message for finding in told) == expected


def test_errors_come_first() -> None:
    found = findings({"icans": None, "x": rule({"crs": 5}, give=TOCI)})
    levels = [finding.level for finding in found]
    assert levels == sorted(levels) and {"error", "warning"} == set(levels)


def test_a_grade_is_judged_on_the_policys_scale() -> None:
    """One low-dose pressor is grade 3 on ASTCT and 2 on Lee (CLINICAL A4)."""
    pressor = {"x": rule({"crs": 2, "bp_support": "low_dose_pressor"}, give=DEX | {"mg": 20})}
    assert any("these signs" in finding.message for finding in findings(pressor))
    assert not any("these signs" in finding.message for finding in findings(pressor, scale="lee2014"))


def test_signs_answer_the_grades_they_amount_to() -> None:
    signs = {"x": rule({"oxygen": ">=low_flow"}, give=TOCI), "icans": SOUND["icans"]}
    answered = findings(signs, {}, scale="penn")
    assert [finding.message for finding in answered] == []
    low = {"x": rule({"oxygen": "low_flow"}, give=TOCI), "icans": SOUND["icans"]}
    assert not any("CRS" in finding.message for finding in findings(low, {}, scale="penn"))
    few = {"x": rule({"bp_support": "one_bolus", "oxygen": 0, "kidney": 0, "liver": 0}, give=TOCI)}
    assert [f.message for f in findings(few, {}, scale="lee2014") if "CRS" in f.message] == [
        "unanswered grade: no rule for CRS grade 3",
        "unanswered grade: no rule for CRS grade 4",
    ]


def test_a_narrower_rule_first_is_no_shadow() -> None:
    higher_later = {"x": rule({"crs": 4}, give=DEX | {"mg": 20}, replaces="dex")}
    assert findings(higher_later) == []
    adherent_first = {"a": rule({"crs": 1, "for_h": 24}, treat_as="toci"), **SOUND}
    assert findings({"b": rule({"crs": [1, 1], "for_h": 12}, treat_as="toci")}, adherent_first) == []


def test_a_policy_without_rules_means_it() -> None:
    assert lint("no_treatment", REGISTRY) == []


def test_unknown_policy_is_one_finding() -> None:
    assert [finding.level for finding in lint("nothing_like_it", REGISTRY)] == ["error"]


def test_without_grading_tables_the_rest_is_still_checked() -> None:
    rules = {**SOUND, "x": rule({"crs": 5}, give=TOCI)}
    found = lint({"id": "mine", "scale": "penn", "rules": rules}, REGISTRY.numbers())
    assert any("death" in finding.message for finding in found)
