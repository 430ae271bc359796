"""The ready policies, walked in situations whose orders were written by hand from the sources (CLINICAL B1, B2, B5).

A tiny evaluator in plain Python reads the compiled rows: a second reading of what the compiled clinic does.
"""

import ast
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from cartsim.cohort import COHORT
from cartsim.evidence.registry import load_registry
from cartsim.policy.compile import CompiledPolicy, compile_policy
from cartsim.policy.library import (
    list_modules,
    list_policies,
    load_module,
    load_policy,
    policy_text,
    unverified_rungs,
)
from cartsim.policy.lint import lint
from cartsim.policy.schema import Policy
from cartsim.terms import BpSupport, Drug, Oxygen, Syndrome

TOCI = "tocilizumab"
#: What a rule orders, as the tests write it: drug, mg of the first step (0 = labelled), hours between doses.
DEX_10_Q24H, DEX_10_Q12H, DEX_10_Q6H = [("dexamethasone", 10.0, hours) for hours in (24, 12, 6)]
FITTED_G4 = ("methylprednisolone", 320.0, 12)
#: The same by weight, mg/kg: 10 and 320 mg at 70 kg.
DEX_KG_Q12H, DEX_KG_Q6H = [("dexamethasone", 0.143, hours) for hours in (12, 6)]
FITTED_G4_KG = ("methylprednisolone", 4.57, 12)
PULSE_500, PULSE_1000 = ("methylprednisolone", 500.0, 12), ("methylprednisolone", 1000.0, 24)
ANAKINRA = ("anakinra", 100.0, 6)
LABELLED = (TOCI, 0.0, None)


@dataclass
class Situation:
    """What is seen at one assessment and what happened before; hours, None for never."""

    crs: int = 0
    icans: int = 0
    ne: int = 0
    bp: int = 0
    oxygen: int = 0
    liver: int = 0
    kidney: int = 0
    neuro: int = 0
    fever: bool = True
    improved: bool = False
    held_h: float = 0
    since_first_toci_h: float | None = None
    since_last_toci_h: float | None = None
    since_first_steroid_h: float | None = None
    awaiting_toci_h: float | None = None
    toci: int = 0
    steroid: int = 0
    anakinra: int = 0
    subject: dict[str, float] = field(default_factory=dict)


def orders(compiled: CompiledPolicy, now: Situation) -> dict[str, tuple[str, float, float | None]]:
    """Rule id -> order of every rule that holds."""
    cohort = np.zeros(1, COHORT)
    for name, value in {"adherent": 1, "weight_kg": 70, **now.subject}.items():
        cohort[name] = value
    eligible = int(compiled.eligibility(cohort, cd28=True)[0])
    given = {}
    for place, row in enumerate(compiled.rules):
        levels = (
            "crs",
            "icans",
            "ne",
            "bp",
            "oxygen",
            "liver",
            "kidney",
            "neuro",
            "toci",
            "steroid",
            "anakinra",
        )
        if not eligible >> place & 1:
            continue
        if any(not row[f"{key}_lo"] <= getattr(now, key) <= row[f"{key}_hi"] for key in levels):
            continue
        if row["fever"] not in (-1, int(now.fever)) or row["improved"] not in (-1, int(now.improved)):
            continue
        if now.held_h < row["for_d"] * 24 - 1e-6:
            continue
        clocks = ("since_first_toci", "since_last_toci", "since_first_steroid", "awaiting_toci")
        waited = {key: getattr(now, f"{key}_h") for key in clocks}
        if any(
            row[f"{key}_d"] >= 0 and (hours is None or hours < row[f"{key}_d"] * 24 - 1e-6)
            for key, hours in waited.items()
        ):
            continue
        action = compiled.actions[row["action"]]
        drug = Drug(int(action["drug"])).name.lower()
        every = None if drug == TOCI else round(float(action["every_d"][0]) * 24, 6)
        given[compiled.rule_names[row["rule_no"]]] = (drug, float(action["mg"][0]), every)
    return given


def compiled(policy_id: str) -> CompiledPolicy:
    registry = load_registry()
    return compile_policy(load_policy(policy_id, registry), registry)


def action_of(policy: CompiledPolicy, rule_id: str) -> np.void:
    return policy.actions[policy.rules[policy.rule_names.index(rule_id)]["action"]]


FRAIL = {"comorbid": 1}
UNFAITHFUL = {"adherent": 0}
H, O = BpSupport, Oxygen  # noqa: E741

CASES: dict[str, list[tuple[Situation, dict[str, tuple[str, float, float | None]]]]] = {
    "no_treatment": [
        (Situation(crs=4, icans=4, ne=4, bp=H.SEVERAL_PRESSORS, oxygen=O.VENTILATOR), {}),
    ],
    "severe_only": [
        (Situation(crs=1, held_h=200), {}),
        (Situation(crs=3, bp=H.LOW_DOSE_PRESSOR), {}),
        (Situation(crs=3, bp=H.LOW_DOSE_PRESSOR, subject=FRAIL), {"toci_comorbid": LABELLED}),
        (Situation(crs=4, bp=H.HIGH_DOSE_PRESSOR), {"toci_pressor": LABELLED}),
        (Situation(crs=3, oxygen=O.LOW_FLOW), {}),
        (Situation(crs=3, oxygen=O.HIGH_FLOW), {"toci_oxygen": LABELLED}),
        (
            Situation(crs=4, oxygen=O.VENTILATOR),
            {"toci_oxygen": LABELLED, "steroid_ventilator": FITTED_G4_KG},
        ),
        # between 8 h and 18 h after tocilizumab a repeat, no steroid yet
        (Situation(crs=2, bp=H.ONE_BOLUS, since_first_toci_h=12, toci=1), {"toci_repeat_bp": LABELLED}),
        (Situation(crs=2, bp=H.ONE_BOLUS, since_first_toci_h=12, toci=1, improved=True), {}),
        (
            Situation(crs=3, oxygen=O.LOW_FLOW, since_first_toci_h=18, toci=1),
            {"toci_repeat_oxygen": LABELLED, "steroid_18h_oxygen": DEX_KG_Q6H},
        ),
        (
            Situation(crs=2, bp=H.ONE_BOLUS, since_first_toci_h=20, toci=1),
            {"toci_repeat_bp": LABELLED, "steroid_18h_mild": DEX_KG_Q12H},
        ),
        (Situation(crs=1, since_first_toci_h=40, toci=1), {}),
        # a third dose waits for the steroid
        (
            Situation(crs=3, bp=H.LOW_DOSE_PRESSOR, since_first_toci_h=36, toci=2, since_first_steroid_h=12),
            {"toci_repeat_bp": LABELLED, "toci_third_bp": LABELLED, "steroid_18h_bp": DEX_KG_Q6H},
        ),
        (
            Situation(crs=3, oxygen=O.LOW_FLOW, since_first_toci_h=36, toci=2, since_first_steroid_h=12),
            {"toci_repeat_oxygen": LABELLED, "toci_third_oxygen": LABELLED, "steroid_18h_oxygen": DEX_KG_Q6H},
        ),
        (
            Situation(crs=3, bp=H.LOW_DOSE_PRESSOR, since_first_toci_h=18, toci=1),
            {"toci_repeat_bp": LABELLED, "steroid_18h_bp": DEX_KG_Q6H},
        ),
        (
            Situation(crs=4, bp=H.HIGH_DOSE_PRESSOR, since_first_toci_h=18, toci=1),
            {"toci_pressor": LABELLED, "toci_repeat_bp": LABELLED, "steroid_18h_g4": FITTED_G4_KG},
        ),
        (Situation(ne=2), {}),
        (Situation(ne=3), {"ne3_steroid": DEX_KG_Q6H}),
        (Situation(ne=4), {"ne4_steroid": FITTED_G4_KG}),
    ],
    "tocilizumab_first": [
        (Situation(crs=1, held_h=66), {}),
        (Situation(crs=1, held_h=72), {"g1_persist": LABELLED}),
        (Situation(crs=1, held_h=72, fever=False), {}),
        (Situation(crs=1, held_h=72, subject=UNFAITHFUL), {}),
        (Situation(crs=2), {"g2_toci": LABELLED}),
        (Situation(crs=3), {"g2_toci": LABELLED, "g3_dexamethasone": DEX_10_Q6H}),
        (Situation(crs=4), {"g2_toci": LABELLED, "g4_steroid": PULSE_1000}),
        (
            Situation(crs=4, toci=2, steroid=3, since_first_toci_h=30, since_first_steroid_h=24),
            {"g2_toci": LABELLED, "g4_steroid": PULSE_1000, "g4_anakinra": ANAKINRA},
        ),
        (Situation(icans=1), {}),
        (Situation(icans=2), {"icans2_steroid": DEX_10_Q12H}),
        (Situation(icans=2, held_h=24), {"icans2_steroid": DEX_10_Q12H, "icans2_repeat": DEX_10_Q12H}),
        (Situation(icans=3), {"icans3_steroid": DEX_10_Q6H}),
        (Situation(icans=4), {"icans4_steroid": PULSE_1000}),
        (Situation(crs=1, icans=2), {"icans_toci": LABELLED}),
        (
            Situation(crs=1, icans=2, toci=1, since_first_toci_h=8),
            {"icans_toci": LABELLED, "icans2_crs_steroid": DEX_10_Q12H},
        ),
    ],
    "zuma1_c1_2": [
        (Situation(crs=1, held_h=200), {}),
        (Situation(crs=2, bp=H.LOW_DOSE_PRESSOR), {}),
        (Situation(crs=2, bp=H.ONE_BOLUS, subject=FRAIL), {"toci_comorbid": LABELLED}),
        (Situation(crs=3, bp=H.HIGH_DOSE_PRESSOR), {"toci_pressor": LABELLED}),
        (
            Situation(crs=3, bp=H.SEVERAL_PRESSORS),
            {"toci_pressor": LABELLED, "steroid_pressors": DEX_10_Q6H},
        ),
        (Situation(crs=3, oxygen=O.CPAP), {"toci_oxygen": LABELLED, "steroid_cpap": DEX_10_Q6H}),
        (
            Situation(crs=4, oxygen=O.VENTILATOR),
            {"toci_oxygen": LABELLED, "steroid_ventilator": FITTED_G4},
        ),
        (
            Situation(crs=2, oxygen=O.LOW_FLOW, since_first_toci_h=24, toci=1),
            {"toci_repeat_oxygen": LABELLED, "steroid_24h_mild_oxygen": DEX_10_Q12H},
        ),
        (
            Situation(crs=3, bp=H.HIGH_DOSE_PRESSOR, since_first_toci_h=24, toci=1),
            {"toci_pressor": LABELLED, "toci_repeat_bp": LABELLED, "steroid_24h_severe_bp": DEX_10_Q6H},
        ),
        (Situation(ne=2), {}),
        (Situation(ne=3), {"toci_ne3": LABELLED, "ne3_steroid": DEX_10_Q6H}),
        (Situation(ne=4), {"toci_ne3": LABELLED, "ne4_steroid": FITTED_G4}),
        (
            Situation(crs=2, bp=H.LOW_DOSE_PRESSOR, since_first_toci_h=24, toci=1),
            {"toci_repeat_bp": LABELLED, "steroid_24h_mild_bp": DEX_10_Q12H},
        ),
        (
            Situation(crs=3, oxygen=O.HIGH_FLOW, since_first_toci_h=24, toci=1),
            {
                "toci_oxygen": LABELLED,
                "toci_repeat_oxygen": LABELLED,
                "steroid_24h_severe_oxygen": DEX_10_Q6H,
            },
        ),
    ],
    "zuma1_c4": [
        (Situation(crs=1, held_h=18), {}),
        (Situation(crs=1, held_h=24), {"g1_toci": LABELLED}),
        (Situation(crs=1, held_h=72), {"g1_toci": LABELLED, "g1_dexamethasone": DEX_10_Q24H}),
        (Situation(crs=1, held_h=72, subject=UNFAITHFUL), {}),
        (Situation(crs=2), {"g2_toci": LABELLED, "g2_dexamethasone": DEX_10_Q24H}),
        (
            Situation(crs=2, toci=1, steroid=1, since_first_steroid_h=24),
            {"g2_toci": LABELLED, "g2_dexamethasone": DEX_10_Q24H, "g2_escalate": DEX_10_Q6H},
        ),
        (Situation(crs=3), {"g2_toci": LABELLED, "g3_steroid": DEX_10_Q6H}),
        (
            Situation(crs=3, toci=1, steroid=4, since_first_steroid_h=24),
            {"g2_toci": LABELLED, "g3_steroid": DEX_10_Q6H, "g3_escalate": PULSE_1000},
        ),
        (Situation(crs=4), {"g2_toci": LABELLED, "g4_steroid": PULSE_1000}),
        (Situation(ne=1), {}),
        (Situation(ne=1, neuro=1), {"ne1_steroid": DEX_10_Q12H}),
        (Situation(ne=1, neuro=1, subject=UNFAITHFUL), {}),
        (Situation(ne=2), {"ne2_steroid": DEX_10_Q12H}),
        (Situation(ne=3), {"ne3_steroid": DEX_10_Q6H}),
        (Situation(ne=4), {"ne4_steroid": FITTED_G4}),
    ],
    "axi_label_2017": [
        (Situation(crs=1, held_h=200), {}),
        (Situation(crs=2), {"g2_toci": LABELLED}),
        (
            Situation(crs=2, toci=1, since_first_toci_h=24),
            {"g2_toci": LABELLED, "g2_escalate": DEX_10_Q6H},
        ),
        (Situation(crs=2, toci=1, since_first_toci_h=24, improved=True), {"g2_toci": LABELLED}),
        (Situation(crs=3), {"g2_toci": LABELLED, "g3_steroid": DEX_10_Q6H}),
        (Situation(crs=4), {"g2_toci": LABELLED, "g4_steroid": PULSE_1000, "g3_steroid": DEX_10_Q6H}),
        (Situation(ne=1), {}),
        (Situation(ne=2), {"ne2_steroid": DEX_10_Q6H}),
        (Situation(crs=1, ne=2), {"ne_toci": LABELLED, "ne2_steroid": DEX_10_Q6H}),
        (Situation(ne=4), {"ne4_steroid": PULSE_1000, "ne2_steroid": DEX_10_Q6H}),
    ],
    "asco_2021": [
        (Situation(crs=1, held_h=66), {}),
        (Situation(crs=1, held_h=72), {"g1_persist": LABELLED}),
        (Situation(crs=2, bp=H.REPEATED_BOLUSES), {"g2_toci": LABELLED}),
        (
            Situation(crs=2, bp=H.REPEATED_BOLUSES, toci=1, since_first_toci_h=5),
            {"g2_toci": LABELLED, "g2_steroid": DEX_10_Q12H},
        ),
        (Situation(crs=2, bp=H.ONE_BOLUS, toci=1, since_first_toci_h=5), {"g2_toci": LABELLED}),
        (
            Situation(crs=2, oxygen=O.LOW_FLOW, toci=1, since_first_toci_h=24),
            {"g2_toci": LABELLED, "g2_escalate": DEX_10_Q6H},
        ),
        (Situation(crs=3), {"g2_toci": LABELLED, "g3_steroid": DEX_10_Q6H}),
        (
            Situation(crs=3, toci=2, steroid=5, since_first_steroid_h=24),
            {"g2_toci": LABELLED, "g3_steroid": DEX_10_Q6H, "g3_refractory": PULSE_500},
        ),
        (Situation(crs=4), {"g2_toci": LABELLED, "g4_steroid": PULSE_500}),
        (
            Situation(crs=4, toci=4, steroid=6, since_first_steroid_h=72),
            {"g2_toci": LABELLED, "g4_steroid": PULSE_500, "g4_anakinra": ANAKINRA},
        ),
        (Situation(icans=2), {"icans2_steroid": DEX_10_Q12H}),
        (Situation(icans=2, held_h=24), {"icans2_steroid": DEX_10_Q12H, "icans2_repeat": DEX_10_Q12H}),
        (Situation(crs=1, icans=2), {"icans_toci": LABELLED}),
        (
            Situation(crs=1, icans=2, toci=1, since_first_toci_h=8),
            {"icans_toci": LABELLED, "icans2_crs_steroid": DEX_10_Q12H},
        ),
        (Situation(icans=3), {"icans3_steroid": DEX_10_Q6H}),
        (Situation(crs=1, icans=3), {"icans_toci": LABELLED}),
        (
            Situation(crs=1, icans=3, awaiting_toci_h=8),
            {"icans_toci": LABELLED, "icans3_no_toci": DEX_10_Q6H},
        ),
        (Situation(icans=4), {"icans4_steroid": PULSE_1000}),
        (
            Situation(crs=1, icans=3, toci=1, since_first_toci_h=8),
            {"icans_toci": LABELLED, "icans3_crs_steroid": DEX_10_Q6H},
        ),
    ],
    "autoimmune_conservative": [
        (Situation(crs=1, held_h=42), {}),
        (Situation(crs=1, held_h=48), {"g1_persist": LABELLED}),
        (Situation(crs=2), {"g2_toci": LABELLED}),
        (
            Situation(crs=2, toci=1, since_first_toci_h=24),
            {"g2_toci": LABELLED, "g2_escalate": DEX_10_Q6H},
        ),
        (Situation(crs=3), {"g2_toci": LABELLED, "g3_steroid": DEX_10_Q6H}),
        (Situation(crs=4), {"g2_toci": LABELLED, "g4_steroid": PULSE_500}),
        (Situation(icans=2), {"icans2_steroid": DEX_10_Q12H}),
        (Situation(icans=3), {"icans3_steroid": DEX_10_Q6H}),
        (Situation(icans=4), {"icans4_steroid": PULSE_1000}),
    ],
}


@pytest.mark.parametrize("policy_id", sorted(CASES))
def test_orders_by_hand(policy_id: str) -> None:
    policy = compiled(policy_id)
    for now, expected in CASES[policy_id]:
        assert orders(policy, now) == expected, now


@pytest.mark.parametrize("policy_id", sorted(CASES))
def test_every_rule_fires_in_some_case(policy_id: str) -> None:
    policy = compiled(policy_id)
    fired = {name for now, _ in CASES[policy_id] for name in orders(policy, now)}
    assert fired == set(policy.policy.rules)


LIBRARY = [header.id for header in list_policies()]


def walked() -> set[str]:
    """Policies that the files beside walk a subject through: first words of `walk(...)`, and the keys of `WALKS`."""
    found = set()
    for file in Path(__file__).parent.glob("test_policy_walks_*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            words: list[ast.expr | None] = []
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "walk":
                words = list(node.args[:1])
            elif isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "WALKS":
                words = list(getattr(node.value, "keys", []))
            found |= {word.value for word in words if isinstance(word, ast.Constant)}
    return found


def test_the_cases_and_walks_cover_the_library() -> None:
    """A policy whose orders nobody wrote down by hand is not ready."""
    assert sorted(set(CASES) | walked()) == LIBRARY


@pytest.mark.parametrize("policy_id", LIBRARY)
def test_every_policy_names_source_date_scale_and_status(policy_id: str) -> None:
    policy = load_policy(policy_id, load_registry())
    assert policy.source is not None and policy.source.citation
    assert policy.date and policy.title and policy.approximates and policy.status != "own"
    assert policy_text(policy_id).startswith(f"id: {policy_id}")


@pytest.mark.parametrize("policy_id", LIBRARY)
def test_ready_policies_pass_their_own_lint(policy_id: str) -> None:
    registry = load_registry()
    assert lint(load_policy(policy_id, registry), registry) == []


@pytest.mark.parametrize("policy_id", LIBRARY)
def test_a_dump_is_plain_and_loads_again_in_the_same_order(policy_id: str) -> None:
    registry = load_registry()
    policy = load_policy(policy_id, registry)
    plain = policy.model_dump()
    assert load_policy(plain, registry) == policy
    assert list(plain["rules"]) == list(policy.rules)
    assert policy.model_dump(mode="json") == plain
    assert Policy.model_validate_json(policy.model_dump_json()) == policy


def test_unverified_rungs_follow_the_verification_table() -> None:
    """CLINICAL B5: all of ZUMA-1 is recalled; in ASCO the grade 2 steroid, the 24 h and ICANS grade 4."""
    registry = load_registry()
    for policy_id in ("zuma1_c1_2", "zuma1_c4"):
        policy = load_policy(policy_id, registry)
        assert sorted(unverified_rungs(policy)) == sorted(f"rules.{name}" for name in policy.rules)
    asco = unverified_rungs(load_policy("asco_2021", registry))
    assert {"rules.g2_steroid", "rules.g2_escalate", "rules.icans4_steroid"} <= set(asco)
    assert not {"rules.g2_toci", "rules.g3_steroid", "rules.g4_steroid"} & set(asco)
    assert unverified_rungs(load_policy("no_treatment", registry)) == []


def test_trial_policies_repeat_tocilizumab_at_most_three_times_eight_hours_apart() -> None:
    for policy_id, rule in {
        "severe_only": "toci_third_oxygen",
        "zuma1_c1_2": "toci_oxygen",
        "zuma1_c4": "g2_toci",
    }.items():
        action = action_of(compiled(policy_id), rule)
        assert (action["max_doses"], action["while_not_improved"]) == (3, 1)
        assert action["repeat_d"] * 24 == pytest.approx(8)


def test_severe_only_gives_one_or_two_doses_then_a_steroid_then_a_third() -> None:
    """CLINICAL B1: the order of steps in ELIANA and ENSIGN."""
    policy = compiled("severe_only")
    assert action_of(policy, "toci_oxygen")["max_doses"] == 2
    third = policy.rules[policy.rule_names.index("toci_third_bp")]
    assert (third["toci_lo"], third["toci_hi"]) == (2, 2)
    assert third["since_first_steroid_d"] * 24 == pytest.approx(12)


@pytest.mark.parametrize(
    ("policy_id", "rule"),
    [
        ("asco_2021", "g1_persist"),
        ("asco_2021", "icans_toci"),
        ("tocilizumab_first", "g1_persist"),
        ("tocilizumab_first", "icans_toci"),
        ("autoimmune_conservative", "g1_persist"),
        ("zuma1_c4", "g1_toci"),
        ("zuma1_c1_2", "toci_comorbid"),
        ("zuma1_c1_2", "toci_ne3"),
        ("axi_label_2017", "ne_toci"),
    ],
)
def test_without_hypotension_or_hypoxia_tocilizumab_is_given_once(policy_id: str, rule: str) -> None:
    """MODEL 7 repeats it only while there is support; CLINICAL B2 asks for caution with repeats under ICANS."""
    action = action_of(compiled(policy_id), rule)
    assert (action["drug"], action["max_doses"]) == (Drug.TOCILIZUMAB, 1)


def test_children_get_the_fitted_steroid_doses_by_weight() -> None:
    """20, 40 and 120 mg/d dexamethasone equivalents are those of a subject of 70 kg."""
    policy = compiled("severe_only")
    rungs = {"steroid_18h_mild": 20, "steroid_18h_bp": 40, "steroid_ventilator": 120}
    for rule, daily in rungs.items():
        action = action_of(policy, rule)
        assert action["per_kg"] == 1
        assert action["daily_mg"] == pytest.approx(daily, rel=0.002)


def test_fitted_steroid_doses_are_20_40_and_120_mg_a_day() -> None:
    """MODEL 7: 20 mg/d at grade 2 and NE 1-2, 40 at grade 3, 120 at grade 4, then 10 mg/d for two days."""
    late = compiled("zuma1_c1_2")
    rungs = {
        "steroid_24h_mild_bp": 20,
        "steroid_24h_severe_bp": 40,
        "steroid_ventilator": 120,
        "ne4_steroid": 120,
    }
    for rule, daily in rungs.items():
        assert action_of(late, rule)["daily_mg"] == pytest.approx(daily)
    early = compiled("zuma1_c4")
    assert [float(action_of(early, f"ne{n}_steroid")["daily_mg"]) for n in (1, 2, 3)] == [20, 20, 40]
    taper = action_of(late, "steroid_pressors")
    assert (taper["taper_from"], taper["n_steps"], taper["has_until"]) == (1, 2, 1)
    assert (taper["mg"][1], taper["every_d"][1], taper["doses"][1]) == (10, 1, 2)
    assert (taper["until_bp"], taper["until_oxygen"], taper["until_ne"]) == (0, 0, 1)


def test_pulses_give_the_milligrams_of_the_published_schedule() -> None:
    """CLINICAL D: 1 g x3, then 250, 125 and 60 mg twice daily for two days each, is 4740 mg; ASCO's is the same."""
    for policy_id, rule in {"asco_2021": "g4_steroid", "tocilizumab_first": "icans4_steroid"}.items():
        action = action_of(compiled(policy_id), rule)
        steps = int(action["n_steps"])
        assert float(np.sum(action["mg"][:steps] * action["doses"][:steps])) == 4740
        days = action["every_d"][:steps] * action["doses"][:steps]
        assert float(days.sum()) == pytest.approx(9)
        assert not action["has_until"] and action["taper_from"] == steps


def test_higher_rungs_outrank_lower_ones() -> None:
    for policy_id in (
        "asco_2021",
        "tocilizumab_first",
        "zuma1_c4",
        "axi_label_2017",
        "autoimmune_conservative",
    ):
        policy = compiled(policy_id)
        for name, rule in policy.policy.rules.items():
            if rule.replaces is not None:
                lower, higher = action_of(policy, rule.replaces), action_of(policy, name)
                assert higher["daily_mg"] > lower["daily_mg"], (policy_id, name)


def test_orders_say_what_they_are_for() -> None:
    asco, late = compiled("asco_2021"), compiled("zuma1_c1_2")
    assert _syndrome(asco, "icans_toci") == Syndrome.CRS
    assert _syndrome(asco, "icans2_crs_steroid") == Syndrome.ICANS
    assert _syndrome(asco, "g2_toci") == Syndrome.CRS
    assert _syndrome(late, "ne3_steroid") == Syndrome.NE
    assert _syndrome(late, "toci_oxygen") == Syndrome.CRS


def _syndrome(policy: CompiledPolicy, rule_id: str) -> int:
    return int(policy.rules[policy.rule_names.index(rule_id)]["syndrome"])


MODULES = {
    "toci_d0": [(TOCI, 0, -1.0)],
    "toci_d1": [(TOCI, 0, 24.0)],
    "toci_d2": [(TOCI, 0, 48.0)],
    "dex_d0_2": [("dexamethasone", 10, hours) for hours in (-1.0, 24.0, 48.0)],
    "toci_risk_adapted": [(TOCI, 0, -1.0)],
    "anakinra_d0": [("anakinra", 100, 12.0 * k) for k in range(20)],
    "anakinra_d2": [("anakinra", 100, 48.0 + 12.0 * k) for k in range(20)],
}


@pytest.mark.parametrize("module_id", sorted(MODULES))
@pytest.mark.parametrize("policy_id", sorted(CASES))
def test_modules_join_any_policy(module_id: str, policy_id: str) -> None:
    registry = load_registry()
    base = load_policy(policy_id, registry)
    policy = load_policy({"extends": policy_id, "add": [module_id]}, registry)
    assert policy.rules == base.rules
    rows = compile_policy(policy, registry).prophylaxis
    found = [
        (Drug(int(row["drug"])).name.lower(), float(row["mg"]), round(float(row["at_d"]) * 24, 6))
        for row in rows
    ]
    assert found == MODULES[module_id]
    assert set(load_module(module_id).unverified) <= set(policy.unverified)
    assert lint(policy, registry) == []


def test_modules_are_listed_with_what_is_assumed() -> None:
    headers = {header.id: header for header in list_modules()}
    assert sorted(headers) == sorted(MODULES)
    assert "assumed" in (headers["toci_risk_adapted"].approximates or "")
    assert headers["toci_risk_adapted"].scale is None


def test_risk_adapted_prophylaxis_takes_any_of_its_conditions() -> None:
    registry = load_registry()
    policy = load_policy({"extends": "no_treatment", "add": ["toci_risk_adapted"]}, registry)
    cohort = np.zeros(4, COHORT)
    cohort["ferritin_ng_per_ml"] = [649, 650, 100, 100]
    cohort["crp_mg_per_l"] = [29, 1, 30, math.nan]
    compiled_policy = compile_policy(policy, registry)
    assert compiled_policy.prophylaxis_mask(cohort, cd28=False).tolist() == [0, 1, 1, 0]
    assert compiled_policy.prophylaxis_mask(cohort, cd28=True).tolist() == [1, 1, 1, 1]
