"""Rules over what was seen: ranges, clocks, persistence, "improved". Small subjects walk through each of them."""

import math

import numpy as np
import pytest
from clinic_builder import (
    HOUR,
    NO_HAZARD,
    clinic_of,
    make_arm,
    make_par,
    new_course,
    policy_of,
    record,
    run_one,
    with_fever,
    with_neuro,
    with_support,
)
from hypothesis import given
from hypothesis import strategies as st

from cartsim.model.rules import holds, improved, is_due, pack_seen
from cartsim.model.state import RULE, SEEN, pack_ranges
from cartsim.terms import Change, Drug

DEX = {"drug": "dexamethasone", "mg": 10, "max_doses": 1}
FEVER = with_fever(20, 200)
P = record(make_par())


def orders(rules: dict, subject: np.ndarray, **changes: float) -> list[tuple[float, int]]:
    """(hour of order, rule number) of each order under hand-made rules; 6 h between looks."""
    arm = make_arm(policy=policy_of(rules), **(NO_HAZARD | changes))
    made = run_one(arm, subject).changes
    made = made[made["kind"] == Change.ORDER]
    return [(round(float(row["t"]) * 24, 6), int(row["rule_no"])) for row in made]


LEVEL = st.integers(0, 5)
RANGES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6) | st.just(127)), min_size=8, max_size=8)


@given(
    seen=st.lists(LEVEL, min_size=8, max_size=8), ranges=RANGES, fever=st.integers(0, 1),
    wanted_fever=st.integers(-1, 1), temperature=st.floats(36, 41), warm=st.just(-math.inf) | st.floats(36, 41),
)  # fmt: skip
def test_a_rule_holds_where_every_range_does(
    seen: list[int],
    ranges: list[tuple[int, int]],
    fever: int,
    wanted_fever: int,
    temperature: float,
    warm: float,
) -> None:
    """Eight ranges at once in one word, against eight comparisons."""
    rules = np.zeros(1, RULE)
    for name, (low, high) in zip(SEEN, ranges, strict=True):
        rules[f"{name}_lo"], rules[f"{name}_hi"] = low, high
    rules["fever"], rules["temperature_min"] = wanted_fever, warm
    pack_ranges(rules)
    crs, icans, ne, *signs, neuro = seen
    course = new_course(crs_policy=crs, icans=icans, ne=ne, level=np.array(signs), neuro=neuro, fever=fever)
    course["seen"] = pack_seen(record(course))
    wanted = all(low <= value <= high for value, (low, high) in zip(seen, ranges, strict=True))
    wanted &= wanted_fever in (-1, fever) and temperature >= warm
    assert holds(record(course), record(rules), temperature) == wanted


def any_rule(**fields: float) -> np.ndarray:
    """RULE[1] without a condition on clocks or counts, but for `fields`."""
    rule = np.zeros(1, RULE)
    rule["improved"] = -1
    rule["onset_before_d"] = math.inf
    for name in ("since_first_toci_d", "since_last_toci_d", "since_first_steroid_d", "awaiting_toci_d"):
        rule[name] = -1.0
    for name in ("toci", "steroid", "anakinra"):
        rule[f"{name}_hi"] = 32767
    for name, value in fields.items():
        rule[name] = value
    return rule


NEVER = {"toci_t": math.inf, "toci_last_t": -math.inf, "steroid_start_t": math.inf}


@pytest.mark.parametrize(
    ("rule", "state", "due"),
    [
        ({}, {}, True),
        ({"for_d": 1.0}, {}, True),
        ({"for_d": 1.01}, {}, False),
        ({"since_onset_d": 2.0}, {"ep_open": [1, 0, 0], "ep_start": [8.0, 0, 0]}, True),
        ({"since_onset_d": 2.1}, {"ep_open": [1, 0, 0], "ep_start": [8.0, 0, 0]}, False),
        ({"since_onset_d": 2.0}, {"ep_open": [0, 1, 0], "ep_start": [8.0, 8.0, 0]}, False),
        ({"onset_before_d": 3.0}, {"ep_open": [1, 0, 0], "ep_start": [2.9, 0, 0]}, True),
        ({"onset_before_d": 3.0}, {"ep_open": [1, 0, 0], "ep_start": [3.0, 0, 0]}, False),
        ({"onset_before_d": 3.0}, {}, False),
        ({"since_first_toci_d": 1.0}, {"toci_t": 9.0}, True),
        ({"since_first_toci_d": 1.0}, {"toci_t": 9.1}, False),
        ({"since_first_toci_d": 0.0}, {}, False),
        ({"since_last_toci_d": 1.0}, {"toci_doses": 2, "toci_last_t": 9.0}, True),
        ({"since_last_toci_d": 1.0}, {"toci_doses": 2, "toci_last_t": 9.5}, False),
        ({"since_last_toci_d": 0.0}, {}, False),
        ({"since_first_steroid_d": 2.0}, {"steroid_start_t": 8.0}, True),
        ({"since_first_steroid_d": 2.0}, {"steroid_start_t": 8.5}, False),
        ({"since_first_steroid_d": 2.0}, {}, False),
        ({"awaiting_toci_d": 0.5}, {"waiting": 128, "asked_toci_t": 9.5}, True),
        ({"awaiting_toci_d": 0.5}, {"waiting": 128, "asked_toci_t": 9.6}, False),
        ({"awaiting_toci_d": 0.5}, {"waiting": 0, "asked_toci_t": 1.0}, False),
        ({"toci_lo": 1}, {}, False),
        ({"toci_lo": 1, "toci_hi": 2}, {"toci_doses": 2}, True),
        ({"toci_hi": 0}, {"toci_doses": 1}, False),
        ({"steroid_hi": 3}, {"steroid_doses": 4}, False),
        ({"anakinra_lo": 1}, {"anakinra_doses": 1}, True),
        ({"improved": 0}, {}, True),
        ({"improved": 1}, {}, False),
    ],
)
def test_clocks_and_counts_of_a_rule(rule: dict, state: dict, due: bool) -> None:
    """At day 10, when the signs have held since day 9 and the subject has not improved."""
    course = new_course(**(NEVER | {name: np.array(value) for name, value in state.items()}))
    assert is_due(record(make_par()), record(course), record(any_rule(**rule)), 10.0, 9.0, 0) == due


@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        ({"ref_crs": -1, "crs_policy": 0, "afebrile_since": 0.0}, 0),  # nothing was ordered yet
        ({"crs_policy": 3}, 0),
        ({"crs_policy": 2}, 1),  # one grade down
        ({"afebrile_since": 9.75}, 1),
        ({"afebrile_since": 9.76}, 0),  # afebrile, but not for 6 h
        ({"afebrile_since": 9.0, "level": [3, 0, 0, 0], "ref_bp": 4}, 0),  # on a pressor
        ({"afebrile_since": 9.0, "level": [2, 1, 0, 0]}, 1),
        ({"afebrile_since": 9.0, "level": [2, 1, 0, 0], "ref_bp": 1}, 0),  # more support than at the order
        ({"afebrile_since": 9.0, "level": [0, 2, 0, 0]}, 0),  # more oxygen than at the order
    ],
)
def test_improved_is_better_than_at_the_last_order(state: dict, wanted: int) -> None:
    start = {"ref_crs": 3, "ref_bp": 2, "ref_oxygen": 1, "crs_policy": 3, "afebrile_since": math.inf}
    course = new_course(**(start | {name: np.array(value) for name, value in state.items()}))
    assert improved(P, record(course), 10.0) == wanted


def test_two_grades_can_be_asked_for() -> None:
    p = record(make_par(improved_grades=2.0))
    start = {"ref_crs": 3, "crs_policy": 2, "afebrile_since": math.inf}
    assert improved(p, record(new_course(**start)), 10.0) == 0
    assert improved(p, record(new_course(**(start | {"crs_policy": 1}))), 10.0) == 1


@pytest.mark.parametrize(
    ("for_h", "hour"), [(1, 30), (6, 30), (7, 36), (24, 48), (72, 96), (168, 192), (175, None)]
)
def test_persistence_counts_from_the_first_look(for_h: float, hour: float | None) -> None:
    """Fever from 20 to 200 h is seen from 24 to 198 h, every 6 h."""
    found = orders({"late": {"when": {"crs": 1, "for_h": for_h}, "give": DEX}}, FEVER)
    assert found == ([] if hour is None else [(hour, 0)])


def test_persistence_starts_again_after_a_gap() -> None:
    """Grade 1 at 24-42 h, grade 0 from 44 h, grade 2 from 96 h: a rule on grade 1 or more counts from 96 h."""
    rules = {"late": {"when": {"crs": ">=1", "for_h": 24}, "give": DEX}}
    subject = with_support(
        1.1, peak_d=4.0, per_day=0.01, other_fever_start=22 * HOUR, other_fever_end=44 * HOUR
    )
    assert orders(rules, subject) == [(120, 0)]


def test_persistence_is_of_the_rules_own_signs() -> None:
    """Grade 2 from 96 h on a fever from 24 h: a rule on grade 2 counts from the first, on any grade from the second."""
    subject = with_support(
        1.1, peak_d=95 * HOUR, per_day=0.01, other_fever_start=22 * HOUR, other_fever_end=9.0
    )
    for when, hour in ((2, 120), (">=1", 48)):
        assert orders({"r": {"when": {"crs": when, "for_h": 24}, "give": DEX}}, subject) == [(hour, 0)]


def test_hours_since_onset_and_early_onset() -> None:
    assert orders({"r": {"when": {"crs": 1, "since_onset_h": ">=24"}, "give": DEX}}, FEVER) == [(48, 0)]
    for before, found in ((25, [(24, 0)]), (24, [])):
        assert orders({"r": {"when": {"crs": 1, "onset_before_h": before}, "give": DEX}}, FEVER) == found


def test_hours_since_the_first_tocilizumab() -> None:
    """Ordered at 24 h, given 1.5 h later: 12 h after that is the look at 42 h. Grade 1 stays (a fever of its own)."""
    rules = {
        "toci": {"when": {"crs": 1}, "give": {"drug": "tocilizumab"}},
        "then": {"when": {"crs": 1, "since_first_toci_h": ">=12"}, "give": DEX},
    }
    assert orders(rules, FEVER) == [(24, 0), (42, 1)]


def test_counts_of_doses() -> None:
    rules = {
        "toci": {"when": {"crs": 1, "steroid_doses": ">=1"}, "give": {"drug": "tocilizumab"}},
        "dex": {"when": {"crs": 1, "for_h": 12}, "give": DEX},
        "ana": {
            "when": {"crs": 1, "toci_doses": 1, "anakinra_doses": 0},
            "give": {"drug": "anakinra", "mg": 100, "max_doses": 1},
        },
    }
    assert orders(rules, FEVER) == [(36, 1), (42, 0), (48, 2)]


def test_rules_are_walked_in_file_order() -> None:
    """Two rungs of one strength at one look: the first in the file has the slot."""
    one = {"when": {"crs": 1}, "give": DEX}
    other = {"when": {"fever": True, "crs": ">=1"}, "give": DEX}
    assert orders({"a": one, "b": other}, FEVER)[0] == (24, 0)
    assert orders({"b": other, "a": one}, FEVER)[0] == (24, 0)


def test_treat_as_shares_the_doses_of_its_target() -> None:
    """Early and late rung order one course together, not one each."""
    rules = {
        "early": {"when": {"crs": 1, "for_h": 12}, "treat_as": "late"},
        "late": {"when": {"crs": ">=2"}, "give": DEX},
    }
    subject = with_support(
        1.1, peak_d=95 * HOUR, per_day=0.01, other_fever_start=22 * HOUR, other_fever_end=9.0
    )
    assert orders(rules, subject) == [(36, 0)]


def test_a_warm_subject_alone() -> None:
    """38.5 degrees in a fever of another cause; 39 is not reached."""
    for degrees, found in ((38.5, [(24, 0)]), (39.0, [])):
        rules = {"r": {"when": {"temperature_c": f">={degrees}"}, "give": DEX}}
        assert orders(rules, FEVER) == found


def test_a_rule_on_neurotoxicity_alone() -> None:
    subject = with_neuro(0.7, peak_d=3.0, per_day=0.05)
    rules = {
        "two": {"when": {"icans": 2, "crs": 0}, "give": DEX},
        "never": {"when": {"icans": 2, "crs": ">=1"}, "give": DEX},
    }
    assert orders(rules, subject) == [(72, 0)]


def test_whoever_is_not_eligible_is_not_treated() -> None:
    """A rule on exactly grade 1 is for those who adhere; the others wait for grade 2."""
    policy = policy_of({"g1": {"when": {"crs": 1}, "give": DEX}, "g2": {"when": {"crs": ">=2"}, "give": DEX}})
    arm = make_arm(policy=policy, **NO_HAZARD)
    cohort, subjects = arm.draw(800)
    doses = arm.run(cohort, subjects).doses
    by_rule = [set(doses["row"][doses["rule_no"] == rule].tolist()) for rule in (0, 1)]
    adherent = set(np.flatnonzero(cohort["adherent"]).tolist())
    assert by_rule[0] and by_rule[0] <= adherent
    assert by_rule[1] - adherent and set(doses["drug"].tolist()) == {int(Drug.DEXAMETHASONE)}


def test_a_policy_must_fit_the_clinic() -> None:
    rows = policy_of({"g1": {"when": {"crs": 1}, "give": DEX}})
    too_many = np.concatenate([rows.rules] * 65)
    with pytest.raises(ValueError, match="65 rules given, at most 64 fit"):
        clinic_of(make_par(), type(rows)(**(vars(rows) | {"rules": too_many})))
