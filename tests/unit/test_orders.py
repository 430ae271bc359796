"""From order to dose: delays, spacing, totals, regimens, tapers, replacement. Each subject's doses are worked out by
hand: looks every 6 h (2 h in the ICU), 1.5 h from order to dose."""

import numpy as np
import pytest
from clinic_builder import (
    HOUR,
    NO_HAZARD,
    make_arm,
    make_subject,
    new_course,
    policy_of,
    record,
    run_one,
    with_fever,
    with_neuro,
    with_support,
)

from cartsim.drivers.batch import Block
from cartsim.model.orders import order_delay_d, trigger_grade
from cartsim.terms import Change, Drug, Setting, Syndrome

TOCI, DEX, METHYL, ANA = (int(drug) for drug in Drug)
LONG_FEVER = with_fever(20, 400)
ASK_TOCI = {"drug": "tocilizumab", "repeat_h": 8, "max_doses": 4}


def doses(
    rules: dict, subject: np.ndarray = LONG_FEVER, prophylaxis: dict | None = None, **changes: float
) -> Block:
    """A hand-made subject under hand-made rules."""
    policy = policy_of(rules, prophylaxis=prophylaxis or {})
    return run_one(make_arm(policy=policy, **(NO_HAZARD | changes)), subject)


def hours(block: Block, drug: int | None = None) -> list[float]:
    """Hours at which doses begin."""
    rows = block.doses if drug is None else block.doses[block.doses["drug"] == drug]
    return [round(float(t) * 24, 6) for t in rows["t_start"]]


def times_of(block: Block, kind: Change) -> list[float]:
    return [round(float(t) * 24, 6) for t in block.changes["t"][block.changes["kind"] == kind]]


def steroid(mg: float = 10, every_h: float = 12, **more: object) -> dict:
    return {"drug": "dexamethasone", "mg": mg, "every_h": every_h} | more


# --- tocilizumab


def test_tocilizumab_is_repeated_8_hours_after_it_began_at_most_4_times() -> None:
    """Ordered at 24 h, begun at 25.5 h: the next look 8 h after that is at 36 h, then every 12 h."""
    block = doses({"r": {"when": {"crs": 1}, "give": ASK_TOCI}})
    assert hours(block) == [25.5, 37.5, 49.5, 61.5]
    assert np.allclose(block.doses["t_order"] * 24, [24, 36, 48, 60])
    assert np.allclose(block.doses["t_end"] - block.doses["t_start"], HOUR)
    assert block.doses["dose_no"].tolist() == [1, 2, 3, 4] and (block.doses["mg"] == 560.0).all()
    course = block.courses[0]
    assert (course["toci_doses"], course["toci_mg_total"], course["toci_prophylactic_doses"]) == (
        4,
        2240.0,
        0,
    )
    assert course["toci_t"] * 24 == pytest.approx(25.5)


@pytest.mark.parametrize(("limit", "given"), [(1, 1), (2, 2), (None, 4)])
def test_the_actions_own_limit_and_the_drugs(limit: int | None, given: int) -> None:
    more = {} if limit is None else {"max_doses": limit}
    block = doses({"r": {"when": {"crs": 1}, "give": {"drug": "tocilizumab", "repeat_h": 8} | more}})
    assert len(hours(block)) == given


def test_a_single_dose_is_not_repeated() -> None:
    assert hours(doses({"r": {"when": {"crs": 1}, "give": {"drug": "tocilizumab"}}})) == [25.5]


def test_prophylactic_doses_count_for_the_total_but_not_for_the_action() -> None:
    rules = {"r": {"when": {"crs": 1}, "give": ASK_TOCI | {"max_doses": 2}}}
    for at, reactive in (([-1], [25.5, 37.5]), ([-1, 8], [25.5, 37.5]), ([-20, -11, -1], [25.5])):
        block = doses(rules, prophylaxis={"p": {"drug": "tocilizumab", "at_h": at}})
        assert hours(block) == [*map(float, at), *reactive]
        assert block.courses["toci_prophylactic_doses"][0] == len(at)
        assert block.doses["prophylactic"].tolist() == [1] * len(at) + [0] * len(reactive)


def test_prophylaxis_by_the_clock_keeps_the_spacing() -> None:
    """A dose due less than 8 h after another is left out; so is a reactive one that would begin too early."""
    planned = {"p": {"drug": "tocilizumab", "at_h": [10, 17.9, 18, 20]}}
    assert hours(doses({}, prophylaxis=planned)) == [10.0, 18.0]
    # at 24 h the dose would begin at 25.5 h, 7.5 h after the last: the look at 30 h may order it
    rules = {"r": {"when": {"crs": 1}, "give": {"drug": "tocilizumab"}}}
    assert hours(doses(rules, prophylaxis=planned)) == [10.0, 18.0, 31.5]


def test_the_way_is_that_of_the_place_where_it_was_ordered() -> None:
    """Ordered at home (2 h away) 6.2 h after a dose and admitted at once: the drug still comes 2 h later."""
    rules = {"r": {"when": {"crs": 1}, "give": {"drug": "tocilizumab"}}}
    planned = {"p": {"drug": "tocilizumab", "at_h": 17.8}}
    block = doses(rules, prophylaxis=planned, outpatient=1.0, clinic_h=6.0)
    assert hours(block) == [17.8, 26.0]


def test_no_repeat_once_improved() -> None:
    """Grade 2 at 96 h, grade 1 at 102 h: `while: not_improved` ends it; without it the second dose comes."""
    subject = with_support(1.05, peak_d=95 * HOUR, per_day=0.3, toci_effect=0.0)
    give = ASK_TOCI | {"max_doses": 2}
    rules = {"r": {"when": {"crs": ">=1"}, "give": give}}
    assert hours(doses(rules, subject)) == [97.5, 109.5]
    rules = {"r": {"when": {"crs": ">=1"}, "give": give | {"while": "not_improved"}}}
    assert hours(doses(rules, subject)) == [97.5]


def test_a_lower_dose_can_be_said_and_the_cap_stands() -> None:
    for give, kg, mg in (
        ({"mg": 400}, 70.0, 400.0),
        ({"mg_per_kg": 4}, 70.0, 280.0),
        ({"mg_per_kg": 8}, 130.0, 800.0),
    ):
        subject = make_subject(other_fever_start=20 * HOUR, other_fever_end=9.0, weight_kg=kg)
        block = doses({"r": {"when": {"crs": 1}, "give": {"drug": "tocilizumab"} | give}}, subject)
        assert block.doses["mg"].tolist() == [mg]


# --- delays


@pytest.mark.parametrize("u", [0.0, 0.25, 1.0])
def test_the_way_from_order_to_drug(u: float) -> None:
    arm = make_arm()
    s = record(make_subject(order_delay_u=u))
    p = record(arm.clinic).par
    for setting in Setting:
        found = order_delay_d(p, s, record(new_course(setting=int(setting)))) * 24
        assert found == pytest.approx(1.0 + u if setting >= Setting.WARD else 2.0)


def test_an_outpatient_on_steroids_alone_waits_for_its_way() -> None:
    """A wide neurologic event keeps the subject at home: 2 h from order to dose."""
    rules = {"r": {"when": {"ne": ">=1"}, "give": steroid(max_doses=1)}}
    block = doses(rules, with_neuro(-0.3, peak_d=3.0), outpatient=1.0)
    assert hours(block) == [74.0] and block.courses["admit_t"][0] == np.inf


# --- regimens


def test_a_course_of_doses_is_spent() -> None:
    """Three doses, once per subject, though the fever lasts."""
    block = doses({"r": {"when": {"crs": 1}, "give": steroid(max_doses=3)}})
    assert hours(block) == [25.5, 37.5, 49.5]
    assert times_of(block, Change.STEROID_STOP) == [49.5]
    course = block.courses[0]
    assert (course["steroid_doses"], course["steroid_mg"], course["steroid_days"]) == (3, 30.0, 2)
    assert course["spent"] == 1


def test_until_is_read_at_looks_then_the_taper_runs() -> None:
    """Fever ends at 50 h, seen at 54 h: the dose of 49.5 h was the last at full dose; the taper takes its time."""
    give = steroid(until={"crs": "<=0"}, taper=[{"mg": 4, "every_h": 24, "doses": 2}])
    block = doses({"r": {"when": {"crs": 1}, "give": give}}, with_fever(20, 50))
    assert hours(block) == [25.5, 37.5, 49.5, 61.5, 85.5]
    assert block.doses["mg"].tolist() == [10, 10, 10, 4, 4]
    assert times_of(block, Change.STEROID_TAPER) == [54.0]
    assert times_of(block, Change.STEROID_STOP) == [85.5]


def test_until_without_a_taper_stops_at_once_and_may_begin_again() -> None:
    """Two fevers: with `until` the rule may start again, unlike a course of doses."""
    give = steroid(until={"crs": "<=0"})
    subject = with_support(
        0.5, peak_d=10.0, per_day=0.2, other_fever_start=20 * HOUR, other_fever_end=30 * HOUR
    )
    block = doses({"r": {"when": {"crs": 1}, "give": give}}, subject, min_stay_d=20.0)
    assert hours(block)[:2] == [25.5, 241.5]
    assert times_of(block, Change.STEROID_STOP)[0] == 30.0
    again = doses({"r": {"when": {"crs": 1}, "give": steroid(max_doses=1)}}, subject)
    assert hours(again) == [25.5]


def test_a_course_not_yet_begun_is_called_off() -> None:
    """Fever from 20 to 21 h, looks every half hour: the order of 20 h is withdrawn before its dose of 21.5 h."""
    give = steroid(until={"crs": "<=0"}, taper="rapid")
    block = doses({"r": {"when": {"crs": 1}, "give": give}}, with_fever(20, 21), ward_h=0.5)
    assert hours(block) == []
    assert times_of(block, Change.ORDER) == [20.0]
    assert times_of(block, Change.STEROID_STOP) == [21.0]


def test_every_part_of_until_must_hold() -> None:
    """Neurotoxicity stays at level 2 after the fever has gone: the course goes on until the end of follow-up."""
    subject = with_neuro(
        0.9, peak_d=2.0, per_day=0.001, other_fever_start=20 * HOUR, other_fever_end=60 * HOUR
    )
    give = steroid(mg=0.5, every_h=24, until={"crs": "<=0", "icans": "<=1"})
    block = doses({"r": {"when": {"crs": 1}, "give": give}}, subject, horizon_d=10.0)
    assert len(hours(block)) == 9 and not times_of(block, Change.STEROID_STOP)
    give = steroid(mg=0.5, every_h=24, until={"crs": "<=0"})
    assert len(hours(doses({"r": {"when": {"crs": 1}, "give": give}}, subject, horizon_d=10.0))) == 2


def rungs(first: float, second: float) -> dict:
    """A rung at once and one after 24 h."""
    return {
        "early": {"when": {"crs": 1}, "give": steroid(mg=first, until={"crs": "<=0"})},
        "late": {"when": {"crs": 1, "for_h": 24}, "give": steroid(mg=second, until={"crs": "<=0"})},
    }


def test_a_stronger_course_replaces_a_weaker_one() -> None:
    block = doses(rungs(5, 20), with_fever(20, 70))
    assert block.doses["mg"].tolist() == [5, 5, 20, 20]
    assert hours(block) == [25.5, 37.5, 49.5, 61.5]
    assert block.doses["rule_no"].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("second", [5.0, 2.0])
def test_an_equal_or_weaker_course_does_not(second: float) -> None:
    block = doses(rungs(5, second), with_fever(20, 70))
    assert set(block.doses["rule_no"].tolist()) == {0}


def test_a_flare_during_the_taper_is_treated_again() -> None:
    """A taper yields to a new order of the same strength: the second fever comes on the taper's second day."""
    give = steroid(until={"crs": "<=0"}, taper=[{"mg": 4, "every_h": 24, "doses": 5}])
    subject = with_support(
        0.8, peak_d=101 * HOUR, per_day=0.4, other_fever_start=20 * HOUR, other_fever_end=50 * HOUR
    )
    block = doses({"r": {"when": {"crs": 1}, "give": give}}, subject, steroid_emax=0.0)
    assert block.doses["mg"].tolist()[:6] == [10, 10, 10, 4, 4, 10]
    assert hours(block)[:6] == [25.5, 37.5, 49.5, 61.5, 85.5, 103.5]


def test_steroid_and_anakinra_have_a_slot_each() -> None:
    rules = {
        "dex": {"when": {"crs": 1}, "give": steroid(max_doses=2)},
        "ana": {"when": {"crs": 1}, "give": {"drug": "anakinra", "mg": 100, "every_h": 6, "max_doses": 3}},
    }
    block = doses(rules)
    assert hours(block, DEX) == [25.5, 37.5] and hours(block, ANA) == [25.5, 31.5, 37.5]
    assert times_of(block, Change.ANAKINRA_STOP) == [37.5]
    assert block.courses["anakinra_mg"][0] == 300.0 and block.courses["anakinra_first_t"][
        0
    ] * 24 == pytest.approx(25.5)


def test_doses_by_weight() -> None:
    rules = {
        "r": {"when": {"crs": 1}, "give": {"drug": "methylprednisolone", "mg_per_kg": 2, "max_doses": 1}}
    }
    subject = make_subject(other_fever_start=20 * HOUR, other_fever_end=9.0, weight_kg=24.0)
    assert doses(rules, subject).doses["mg"].tolist() == [48.0]


def test_the_named_pulse_runs_to_its_end() -> None:
    rules = {"r": {"when": {"crs": 1}, "give": {"drug": "methylprednisolone", "schedule": "pulse_1000"}}}
    block = doses(rules, with_fever(20, 26))
    assert block.doses["mg"].tolist() == [1000.0] * 3 + [250.0] * 4 + [125.0] * 4 + [60.0] * 4
    gaps = np.diff(block.doses["t_start"]) * 24
    assert np.allclose(gaps, [24] * 3 + [12] * 11)


@pytest.mark.parametrize(("syndrome", "grade"), [(Syndrome.CRS, 3), (Syndrome.ICANS, 2), (Syndrome.NE, 1)])
def test_an_order_is_logged_with_the_grade_it_answers(syndrome: Syndrome, grade: int) -> None:
    course = new_course(crs_policy=3, crs=4, icans=2, ne=1)
    assert trigger_grade(record(course), int(syndrome)) == grade


def test_a_wide_event_is_logged_with_its_own_grade() -> None:
    rules = {"r": {"when": {"ne": 1}, "give": steroid(max_doses=1)}}
    block = doses(rules, with_neuro(-0.3, peak_d=3.0))
    assert (block.doses["grade"].tolist(), block.doses["syndrome"].tolist()) == ([1], [int(Syndrome.NE)])
