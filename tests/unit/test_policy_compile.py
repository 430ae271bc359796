"""From YAML to rows: hours become days, words become ranges, covariates become bits."""

import math
from typing import Any

import numpy as np
import pytest

from cartsim.cohort import COHORT
from cartsim.evidence.registry import load_registry
from cartsim.policy.compile import CompiledPolicy, compile_policy
from cartsim.policy.library import load_policy
from cartsim.terms import CrsScale, Drug, NeuroScale, Syndrome

REGISTRY = load_registry()
DEX = {"drug": "dexamethasone", "mg": 10, "every_h": 6, "until": {"crs": "<=1"}}


def compiled(rules: dict[str, Any], **more: Any) -> CompiledPolicy:
    policy = load_policy({"id": "mine", "scale": "lee2014", "rules": rules, **more}, REGISTRY)
    return compile_policy(policy, REGISTRY)


def one_rule(when: dict[str, Any]) -> np.void:
    return compiled({"r": {"when": when, "give": DEX}}).rules[0]


def one_action(give: dict[str, Any]) -> np.void:
    return compiled({"r": {"when": {"crs": 2}, "give": give}}).actions[0]


@pytest.mark.parametrize(
    ("when", "field", "value"),
    [
        ({"crs": 2}, "crs", (2, 2)),
        ({"crs": ">=2"}, "crs", (2, 5)),
        ({"icans": "<=1"}, "icans", (0, 1)),
        ({"icans": ">1"}, "icans", (2, 5)),
        ({"ne": [1, 2]}, "ne", (1, 2)),
        ({"bp_support": "low_dose_pressor"}, "bp", (3, 3)),
        ({"bp_support": "<low_dose_pressor"}, "bp", (0, 2)),
        ({"oxygen": ">=high_flow"}, "oxygen", (2, 4)),
        ({"oxygen": ["low_flow", "cpap"]}, "oxygen", (1, 3)),
        ({"liver": ">=3"}, "liver", (3, 4)),
        ({"kidney": 2}, "kidney", (2, 2)),
        ({"neuro": ">=2"}, "neuro", (2, 4)),
        ({"crs": 1, "toci_doses": ">=1"}, "toci", (1, 32767)),
        ({"crs": 1, "steroid_doses": 0}, "steroid", (0, 0)),
        ({"crs": 1, "anakinra_doses": "<3"}, "anakinra", (0, 2)),
    ],
)
def test_ranges_are_inclusive_and_all_others_stay_open(
    when: dict, field: str, value: tuple[int, int]
) -> None:
    row = one_rule(when)
    assert (row[f"{field}_lo"], row[f"{field}_hi"]) == value
    others = {"crs", "icans", "ne", "bp", "oxygen", "liver", "kidney", "neuro"} - {field} - set(when)
    assert {(int(row[f"{key}_lo"]), int(row[f"{key}_hi"])) for key in others} == {(0, 127)}


def test_hours_become_days_and_absent_clocks_hold_always() -> None:
    row = one_rule({"crs": 2})
    assert (row["for_d"], row["since_onset_d"], row["onset_before_d"]) == (0, 0, math.inf)
    clocks = ("since_first_toci", "since_last_toci", "since_first_steroid", "awaiting_toci")
    assert [row[f"{key}_d"] for key in clocks] == [-1] * 4
    assert (row["temperature_min"], row["fever"], row["improved"]) == (-math.inf, -1, -1)
    hours = {f"{key}_h": ">=24" for key in clocks}
    row = one_rule({"crs": 2, "for_h": 36, "since_onset_h": 12, "onset_before_h": "<72", **hours})
    assert (row["for_d"], row["since_onset_d"], row["onset_before_d"]) == (1.5, 0.5, 3)
    assert [row[f"{key}_d"] for key in clocks] == [1] * 4
    row = one_rule({"temperature_c": ">=38.5", "fever": True, "improved": False})
    assert (row["temperature_min"], row["fever"], row["improved"]) == (38.5, 1, 0)


def test_treat_as_shares_one_order_and_its_care_and_keeps_its_own_name() -> None:
    rules = {
        "early": {"when": {"crs": 1, "for_h": 24}, "treat_as": "middle"},
        "middle": {"when": {"crs": 2, "improved": False}, "treat_as": "late"},
        "late": {"when": {"crs": ">=3"}, "give": DEX, "care": "icu"},
        "watch": {"when": {"neuro": ">=3"}, "care": "icu"},
    }
    policy = compiled(rules)
    assert policy.actions.size == 1
    assert policy.rules["action"].tolist() == [0, 0, 0, -1]
    assert policy.rules["icu"].tolist() == [1, 1, 1, 1]
    assert [policy.rule_names[number] for number in policy.rules["rule_no"]] == list(rules)
    assert (policy.crs_scale, policy.neuro_scale) == (CrsScale.LEE2014, NeuroScale.ASTCT2019)


def test_a_course_until_a_grade_has_an_open_step_and_a_taper() -> None:
    action = one_action(DEX | {"taper": [{"mg": 4, "every_h": 12, "doses": 3}]})
    assert (action["n_steps"], action["taper_from"], action["has_until"]) == (2, 1, 1)
    assert action["doses"][:2].tolist() == [-1, 3]
    assert (action["every_d"][:2] * 24).tolist() == [6, 12]
    assert (action["until_crs"], action["until_icans"], action["until_bp"]) == (1, 127, 127)
    assert (action["max_doses"], action["daily_mg"]) == (32767, 40)


def test_a_counted_course_counts_its_taper_too() -> None:
    action = one_action({"drug": "dexamethasone", "mg": 10, "every_h": 12, "max_doses": 4, "taper": "rapid"})
    assert (action["max_doses"], action["has_until"], action["taper_from"]) == (6, 0, 1)
    assert action["doses"][:2].tolist() == [4, 2]
    single = one_action({"drug": "dexamethasone", "mg": 10})
    assert (single["max_doses"], single["doses"][0], single["daily_mg"]) == (1, 1, 10)


def test_steroids_are_ranked_in_dexamethasone_equivalents_at_70_kg() -> None:
    """10 mg dexamethasone is 53 mg methylprednisolone (CLINICAL D: 0.75 to 4)."""
    per_kg = one_action(
        {"drug": "methylprednisolone", "mg_per_kg": 1, "every_h": 12, "until": {"crs": 1}, "taper": "rapid"}
    )
    assert per_kg["daily_mg"] == pytest.approx(140 * 0.75 / 4)
    assert (per_kg["per_kg"], per_kg["mg"][0]) == (1, 1)
    assert per_kg["mg"][1] * 70 == pytest.approx(53)
    assert one_action({"drug": "anakinra", "mg": 100, "every_h": 6, "max_doses": 40})["daily_mg"] == 400


def test_tocilizumab_says_zero_for_the_labelled_dose() -> None:
    action = one_action({"drug": "tocilizumab", "repeat_h": 8, "while": "not_improved"})
    assert (action["drug"], action["mg"][0], action["per_kg"]) == (Drug.TOCILIZUMAB, 0, 0)
    assert (action["repeat_d"] * 24, action["max_doses"], action["while_not_improved"]) == (8, 32767, 1)
    assert action["cap_mg"] == REGISTRY.numbers()["tocilizumab.cap_mg"]
    low = one_action({"drug": "tocilizumab", "mg_per_kg": 4})
    assert (low["mg"][0], low["per_kg"], low["max_doses"], low["repeat_d"]) == (4, 1, 1, math.inf)


def test_doubling_any_dose_changes_the_rows() -> None:
    for give in (DEX, {"drug": "anakinra", "mg": 100}, {"drug": "tocilizumab", "mg_per_kg": 4}):
        key = "mg" if "mg" in give else "mg_per_kg"
        once, twice = one_action(give), one_action(give | {key: give[key] * 2})
        assert twice["mg"][0] == 2 * once["mg"][0]


def test_eligibility_has_one_bit_per_rule() -> None:
    policy = compiled(
        {
            "all": {"when": {"crs": ">=2"}, "give": DEX},
            "frail": {"when": {"crs": 2, "comorbid": True}, "treat_as": "all"},
            "young": {"when": {"crs": 3, "age_years": [18, 65]}, "treat_as": "all"},
            "light": {"when": {"crs": 4, "weight_kg": "<30"}, "treat_as": "all"},
            "mild": {"when": {"crs": 1, "for_h": 24}, "treat_as": "all"},
            "mild_neuro": {"when": {"ne": 1}, "treat_as": "all"},
            "from_mild": {"when": {"icans": ">=1"}, "treat_as": "all"},
            "cd28": {"when": {"icans": 3, "cd28": True}, "treat_as": "all"},
            "low_risk": {"when": {"icans": 4, "risk": "<=-0.5"}, "treat_as": "all"},
        }
    )
    cohort = np.zeros(3, COHORT)
    cohort["comorbid"] = [1, 0, 0]
    cohort["adherent"] = [1, 0, 1]
    cohort["age_years"] = [65, 66, 30]
    cohort["weight_kg"] = [30, 29.9, 80]
    cohort["risk"] = [-0.5, 0, 1]
    bits = policy.eligibility(cohort, cd28=False)
    assert bits.dtype == np.uint64

    def names(bit: int) -> set[str]:
        return {name for place, name in enumerate(policy.rule_names) if bit >> place & 1}

    always = {"all", "from_mild"}
    assert names(int(bits[0])) == always | {"frail", "young", "mild", "mild_neuro", "low_risk"}
    assert names(int(bits[1])) == always | {"light"}
    assert names(int(bits[2])) == always | {"young", "mild", "mild_neuro"}
    assert names(int(policy.eligibility(cohort, cd28=True)[1])) == always | {"light", "cd28"}


def test_sixty_four_rules_fill_every_bit() -> None:
    rules = {f"r{number}": {"when": {"crs": 2, "for_h": number}, "give": DEX} for number in range(64)}
    cohort = np.zeros(2, COHORT)
    assert compiled(rules).eligibility(cohort, cd28=True).tolist() == [2**64 - 1] * 2


def test_prophylaxis_is_sorted_by_time_and_masked_by_row() -> None:
    prophylaxis = {
        "later": {"drug": "dexamethasone", "mg": 10, "at_h": [48, -1]},
        "burden": {"drug": "tocilizumab", "mg_per_kg": 4, "at_h": 24, "when": {"high_burden": True}},
    }
    policy = compiled({"r": {"when": {"crs": 2}, "give": DEX}}, prophylaxis=prophylaxis)
    assert (policy.prophylaxis["at_d"] * 24).tolist() == [-1, 24, 48]
    assert [policy.rule_names[number] for number in policy.prophylaxis["rule_no"]] == [
        "later",
        "burden",
        "later",
    ]
    assert policy.prophylaxis["per_kg"].tolist() == [0, 1, 0]
    cohort = np.zeros(2, COHORT)
    cohort["high_burden"] = [0, 1]
    assert policy.prophylaxis_mask(cohort, cd28=False).tolist() == [0b101, 0b111]


def test_an_empty_policy_has_empty_arrays() -> None:
    policy = compile_policy(load_policy("no_treatment", REGISTRY), REGISTRY)
    assert policy.rules.size == policy.actions.size == policy.prophylaxis.size == 0
    assert policy.rule_names == ()
    assert policy.eligibility(np.zeros(2, COHORT), cd28=True).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("when", "syndrome"),
    [
        ({"crs": ">=2"}, Syndrome.CRS),
        ({"icans": 2}, Syndrome.ICANS),
        ({"icans": ">=2", "crs": ">=1"}, Syndrome.CRS),
        ({"icans": 2, "crs": 0}, Syndrome.ICANS),
        ({"ne": 3}, Syndrome.NE),
        ({"oxygen": ">=high_flow"}, Syndrome.CRS),
    ],
)
def test_an_order_is_for_the_syndrome_that_triggers_it(when: dict[str, Any], syndrome: Syndrome) -> None:
    """A CRS grade of 0 is a condition, not a reason: without CRS the order cannot be for it."""
    assert one_rule(when)["syndrome"] == syndrome
