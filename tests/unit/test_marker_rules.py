"""Rules that look at sampled biomarkers: when a result is known, what it does, and where it is refused."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from clinic_builder import (
    HOUR,
    NO_HAZARD,
    REGISTRY,
    make_arm,
    make_subject,
    policy_of,
    run_one,
    same_bits,
)

from cartsim.drivers.batch import run_block
from cartsim.drivers.ward import Site, arrivals_every, run_ward
from cartsim.errors import InvalidInput
from cartsim.pairing import check_pairing
from cartsim.policy.library import load_policy
from cartsim.policy.lint import lint
from cartsim.policy.table import render_table
from cartsim.scenario.load import load_scenario
from cartsim.study import run
from cartsim.terms import Drug, Marker

#: Fever and a laboratory, no organ signs: the subject stays on the ward.
ILL = {
    "crs_peak": 2.2,
    "crs_peak_d": 5.0,
    "crs_ascent": 0.6,
    "crs_decline": 0.35,
    "crp_base": 12.0,
    "ferritin_base": 600.0,
    "eps": np.full(4, -30.0),
}
DEX = {"drug": "dexamethasone", "mg": 10.0}
TOCI = {"drug": "tocilizumab"}
DELAYS = np.array([12.0, 2.0, 4.0, 0.0])


def treat(when: dict[str, Any], give: dict[str, Any] = DEX) -> Any:
    return policy_of({"lab": {"when": when, "give": give}})


def arm_of(policy: Any, every: int = 12, **changes: Any) -> Any:
    shared = {"want_markers": 1.0, "skip": 0.0, "marker_every_h": every, "want_samples": 1.0}
    return make_arm("axi-cel", policy, **NO_HAZARD | shared | changes)


def first_order(when: dict[str, Any], subject: np.ndarray, **changes: Any) -> float:
    """Hours from infusion to the first order; NaN when there is none."""
    doses = run_one(arm_of(treat(when), **changes), subject).doses
    return float(doses["t_order"][0]) / HOUR if len(doses) else math.nan


def untreated(subject: np.ndarray, every: int = 12) -> tuple[np.ndarray, np.ndarray]:
    arm = make_arm("axi-cel", **NO_HAZARD, marker_every_h=every, want_samples=1.0)
    samples = run_one(arm, subject).samples
    return samples["hour"], samples["value"]


@pytest.mark.parametrize(
    ("key", "marker"),
    [
        ("sampled_il6_pg_per_ml", Marker.IL6),
        ("sampled_crp_mg_per_l", Marker.CRP),
        ("sampled_ferritin_ng_per_ml", Marker.FERRITIN),
        ("sampled_temperature_c", Marker.TEMPERATURE),
    ],
)
@pytest.mark.parametrize("every", [4, 6, 12, 24])
def test_a_rule_fires_at_the_first_look_after_the_result(key: str, marker: Marker, every: int) -> None:
    """The value comes from the table of samples, the time from the delay and the 6 h of the ward: nothing else."""
    subject = make_subject(**ILL)
    hours, values = untreated(subject, every)
    level = float(np.quantile(values[:, marker], 0.93))
    crossed = hours[values[:, marker] >= level][0]
    known = crossed + DELAYS[marker]
    look = 6.0 * math.ceil(max(known, 6.0) / 6.0 - 1e-9)
    found = first_order({key: f">={level!r}"}, subject, every=every)
    assert found == pytest.approx(look, abs=1e-6)


def test_a_baseline_condition_is_another_thing() -> None:
    """crp_mg_per_l asks who the subject was, sampled_crp_mg_per_l how it is now."""
    policy = policy_of({"a": {"when": {"crp_mg_per_l": ">=1"}, "give": DEX}})
    assert not policy.rules["has_markers"].any()
    assert treat({"sampled_crp_mg_per_l": ">=1"}).rules["has_markers"].all()


def test_ranges_and_several_biomarkers_must_all_hold() -> None:
    subject = make_subject(**ILL)
    hours, values = untreated(subject)
    crp, ferritin = values[:, Marker.CRP], values[:, Marker.FERRITIN]
    when = {"sampled_crp_mg_per_l": "<100", "sampled_ferritin_ng_per_ml": ">=3000"}
    # CRP is back below 100 long after ferritin has risen
    late = hours[(crp < 100) & (ferritin >= 3000)][0]
    assert late > hours[ferritin >= 3000][0] and 6 * math.ceil((late + 4) / 6) == first_order(
        when, subject, min_stay_d=30.0
    )
    assert math.isnan(first_order({"sampled_crp_mg_per_l": [1.0, 2.0]}, subject))


def test_nothing_is_known_before_the_first_result() -> None:
    subject = make_subject(**ILL)
    assert first_order({"sampled_crp_mg_per_l": ">=1"}, subject, ward_h=1.0) == pytest.approx(2.0)
    assert first_order({"sampled_il6_pg_per_ml": ">=1"}, subject, ward_h=1.0) == pytest.approx(12.0)


def test_an_old_sample_does_not_count() -> None:
    """With a sample a day and a result after 2 h, a rule for at most 3 h waits for a fresh one."""
    subject = make_subject(**ILL)
    fresh = {"sampled_crp_mg_per_l": ">=1", "sampled_within_h": 3}
    hours = {
        delay: first_order(fresh, subject, every=24, ward_h=4.0, marker_delay_h=np.array([12.0, delay, 4, 0]))
        for delay in (0.0, 2.0, 3.0, 4.0)
    }
    assert hours[0.0] == pytest.approx(24.0)
    assert math.isnan(hours[4.0])
    late = first_order(fresh, subject, every=24, ward_h=1.0)
    assert late == pytest.approx(2.0)


def test_a_dose_before_any_grade_is_given_and_not_withdrawn() -> None:
    """A rule on a laboratory value may act while nothing is seen; the request stands although CRS is 0."""
    subject = make_subject(**ILL | {"crs_peak": -0.3})
    _, values = untreated(subject)
    level = float(values[:, Marker.CRP].max()) * 0.8
    block = run_one(arm_of(treat({"sampled_crp_mg_per_l": f">={level!r}"}, TOCI)), subject)
    assert block.courses["peak_crs"][0] == 0
    assert block.courses["toci_doses"][0] == 1 and block.doses["grade"][0] == 0


def test_what_a_rule_sees_is_what_the_table_says() -> None:
    """Samples taken in a course under treatment are those made afterwards from its log of doses, to the last bit."""
    policy = policy_of(
        "asco_2021",
        rules={"lab": {"when": {"sampled_crp_mg_per_l": ">=120", "steroid_doses": 0}, "give": DEX}},
    )
    for model in (0, 1, 2):
        arm = arm_of(policy, every=6, pk_model=model, hazard_crs=0.0)
        block = arm.run_drawn(150)
        assert (block.doses["drug"] == Drug.TOCILIZUMAB).any() and (block.doses["rule_no"] == 0).any()
        newest = {int(row["row"]): row for row in block.samples}
        for i, course in enumerate(block.courses):
            taken = int(course["marker_sampled"]) - 1
            assert newest[i]["hour"] == taken * 6
            assert np.array_equal(course["marker_value"][taken % 4], newest[i]["value"])


def test_a_ward_without_limits_gives_the_same_course() -> None:
    policy = policy_of(
        "asco_2021", rules={"lab": {"when": {"sampled_ferritin_ng_per_ml": ">=2500"}, "give": DEX}}
    )
    arm = arm_of(policy)
    cohort, subjects = arm.draw(40)
    masks = policy.eligibility(cohort, True), policy.prophylaxis_mask(cohort, True)
    alone = run_block(arm.clinic, subjects, *masks)
    site = run_ward(arm.clinic, subjects, *masks, Site(None, None, None, arrivals_every(7.0, 40))).block
    assert not same_bits(alone.courses, site.courses) and not same_bits(alone.doses, site.doses)
    assert not same_bits(alone.samples, site.samples)


def test_the_laboratory_moves_no_bit_of_a_course_whose_rules_do_not_ask() -> None:
    policy = policy_of("asco_2021")
    plain, asked = make_arm("axi-cel", policy, skip=0.0), arm_of(policy, skip=0.0)
    asked.clinic["par"] = plain.clinic["par"]
    for name in ("want_markers", "marker_every_h"):
        asked.clinic["par"][name] = 12.0
    cohort, subjects = plain.draw(200)
    a, b = plain.run(cohort, subjects), asked.run(cohort, subjects)
    own = (
        "marker_hour",
        "crp",
        "ferritin",
        "marker_sampled",
        "marker_value",
        "held",
        "holding",
        "seen",
        "seen_fever",
    )
    assert not same_bits(a.courses, b.courses, own) and not same_bits(a.doses, b.doses)


def lab_scenario(probe: Callable[..., dict[str, Any]], when: dict[str, Any], **more: Any) -> dict[str, Any]:
    policy = {"extends": "asco_2021", "rules": {"lab": {"when": when, "give": DEX}}}
    arms = [{"id": "asco", "policy": "asco_2021"}, {"id": "lab", "policy": policy}]
    return probe(60, arms=arms) | more


SAMPLES = {"outputs": {"tables": ["adsl", "adcm"], "biomarkers": {"every_h": 12, "markers": ["crp"]}}}


def test_a_scenario_with_such_a_policy(probe: Callable[..., dict[str, Any]]) -> None:
    scenario = lab_scenario(probe, {"sampled_crp_mg_per_l": ">=100"}, **SAMPLES)
    study = run(scenario, out=None)
    doses = study.arrow("adcm").to_pandas()
    assert set(doses[doses["rule_id"] == "lab"]["arm_id"]) == {"lab"}
    check_pairing(load_scenario(scenario)).raise_leaks()


def test_a_policy_that_asks_for_samples_is_refused_without_a_schedule(
    probe: Callable[..., dict[str, Any]],
) -> None:
    with pytest.raises(InvalidInput) as refused:
        load_scenario(lab_scenario(probe, {"sampled_crp_mg_per_l": ">=100"}))
    problem = refused.value.problems[0]
    assert problem.path == "arms.lab.policy.rules.lab.when.sampled_crp_mg_per_l"
    assert problem.mend == "outputs: {biomarkers: {every_h: 12}}"


def test_a_result_that_comes_too_late_is_refused(probe: Callable[..., dict[str, Any]]) -> None:
    scenario = lab_scenario(
        probe,
        {"sampled_il6_pg_per_ml": ">=100"},
        model={"overrides": {"biomarkers.assay_delay_h": [48.0, 2.0, 4.0, 0.0]}},
        **SAMPLES,
    )
    with pytest.raises(InvalidInput) as refused:
        run(scenario, out=None)
    assert refused.value.problems[0].path == "arms.lab.policy.rules.lab.when.sampled_il6_pg_per_ml"


@pytest.mark.parametrize(
    ("when", "path"),
    [
        ({"crs": 1, "sampled_within_h": 6}, "rules.lab.when"),
        ({"sampled_crp_mg_per_l": 100}, "rules.lab.when.sampled_crp_mg_per_l"),
        ({"sampled_crp_mg_per_l": ">=100", "sampled_within_h": 0}, "rules.lab.when.sampled_within_h"),
        ({"sampled_ldh_u_per_l": ">=100"}, "rules.lab.when.sampled_ldh_u_per_l"),
    ],
)
def test_what_cannot_be_asked_is_refused(when: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        load_policy(
            {"id": "mine", "scale": "astct2019", "rules": {"lab": {"when": when, "give": DEX}}}, REGISTRY
        )
    assert [problem.path for problem in refused.value.problems] == [path]


def messages(rules: dict[str, Any]) -> list[str]:
    return [
        f"{one.level} {one.rule}: {one.message}"
        for one in lint({"id": "mine", "scale": "astct2019", "rules": rules}, REGISTRY)
    ]


def test_lint_knows_samples() -> None:
    late = messages({"lab": {"when": {"sampled_il6_pg_per_ml": ">=100", "sampled_within_h": 6}, "give": DEX}})
    assert any("error lab: unreachable rule: IL-6 is known 12 h after its sample" in one for one in late)
    blind = messages({"lab": {"when": {"sampled_crp_mg_per_l": ">=100"}, "give": TOCI}})
    assert any("says little once tocilizumab was given" in one for one in blind)
    first = messages({"lab": {"when": {"sampled_crp_mg_per_l": ">=100", "toci_doses": 0}, "give": TOCI}})
    assert not any("says little" in one for one in first)
    wide, narrow = {"sampled_crp_mg_per_l": ">=100"}, {"sampled_crp_mg_per_l": ">=150", "crs": 2}
    shadowed = messages({"a": {"when": wide, "give": TOCI}, "b": {"when": narrow, "give": TOCI}})
    assert any(one.startswith("warning b: unreachable rule") for one in shadowed)
    apart = messages({"a": {"when": narrow, "give": TOCI}, "b": {"when": wide, "give": TOCI}})
    assert not any("unreachable" in one for one in apart)
    # a rung that waits for a laboratory does not answer a grade for everybody
    answered = {"when": {"crs": ">=3"}, "give": DEX}
    assert not any("CRS grade 3" in one for one in messages({"a": answered}))
    asks = {"when": {"crs": ">=3", "sampled_crp_mg_per_l": ">=9"}, "give": DEX}
    assert any("CRS grade 3" in one for one in messages({"a": asks}))


def test_the_decision_table_says_it() -> None:
    when = {
        "crs": 1,
        "sampled_crp_mg_per_l": ">=100",
        "sampled_ferritin_ng_per_ml": [500, 3000],
        "sampled_within_h": 24,
    }
    text = " ".join(render_table(treat(when).policy, width=4000).split())
    assert "sampled CRP >=100 mg/L" in text and "sampled ferritin 500-3000 ng/mL" in text
    assert "sample at most 24 h old" in text
