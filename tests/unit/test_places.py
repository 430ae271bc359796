"""Where a subject is: ICU in and out, discharge, admission from home, and what a withdrawn request leaves behind."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from clinic_builder import (
    ALL,
    HOUR,
    NO_HAZARD,
    Arm,
    make_arm,
    make_par,
    make_subject,
    new_course,
    new_log,
    policy_of,
    record,
    run_one,
    with_fever,
    with_neuro,
    with_support,
)

from cartsim.drivers.batch import Block
from cartsim.model.begin import begin
from cartsim.model.course import advance, answer
from cartsim.model.places import interval_d, withdraw, withdraw_dose
from cartsim.terms import Ask, Change, Setting

TOCI_AT_1 = {"r": {"when": {"crs": ">=1"}, "give": {"drug": "tocilizumab"}}}
STEPS = (Change.ADMIT, Change.ICU_IN, Change.ICU_OUT, Change.DISCHARGE)


def moves(block: Block) -> list[tuple[str, float]]:
    """(what, hour) of each change of place."""
    rows = block.changes[np.isin(block.changes["kind"], STEPS)]
    return [(Change(row["kind"]).name, round(float(row["t"]) * 24, 4)) for row in rows]


def run(subject: np.ndarray, **changes: float) -> Block:
    return run_one(make_arm(**(NO_HAZARD | changes)), subject)


def test_each_setting_has_its_interval() -> None:
    p = record(make_par(ward_h=6.0, icu_h=2.0, clinic_h=12.0, home_h=24.0))
    hours = {setting: interval_d(p, int(setting)) * 24 for setting in Setting}
    assert hours == {Setting.HOME: 24, Setting.CLINIC: 12, Setting.WARD: 6, Setting.ICU: 2}


def test_a_well_inpatient_goes_home_after_the_minimum_stay() -> None:
    block = run(make_subject())
    assert moves(block) == [("DISCHARGE", 168.0)]
    course = block.courses[0]
    assert (course["admit_t"], course["discharge_t"], course["ward_days"]) == (0.0, 7.0, 7.0)
    assert course["setting"] == Setting.HOME and course["icu_days"] == 0.0


@pytest.mark.parametrize(("fever_to", "leaves"), [(100, 168), (144, 168), (145, 168), (151, 174)])
def test_discharge_needs_a_day_without_crs(fever_to: float, leaves: float) -> None:
    """The last look with fever is at the last multiple of 6 h before it ends; 24 h later the subject may go."""
    assert moves(run(with_fever(20, fever_to))) == [("DISCHARGE", leaves)]


def test_discharge_needs_a_day_of_at_most_mild_neurotoxicity() -> None:
    """0.9 - 0.1 per day from day 5 passes 0.58 on day 8.2: level 2 is last seen at 192 h. Then level 1, at home."""
    subject = with_neuro(0.9, peak_d=5.0, per_day=0.1)
    assert moves(run(subject)) == [("DISCHARGE", 216.0)]
    # a stricter site waits until the level is 0: a trace of 0.9 is left at 336 h
    assert moves(run(subject, discharge_neuro=0.0)) == [("DISCHARGE", 360.0)]


def test_nobody_goes_home_and_comes_back_for_the_same_mild_neurotoxicity() -> None:
    """Over a cohort: no one is brought in at a look that sees neither CRS nor more than one may go home with."""
    arm = make_arm("axi-cel", policy_of("asco_2021"))
    changes = arm.run(*arm.draw(1000)).changes
    admitted = changes[(changes["kind"] == Change.ADMIT)]
    assert len(admitted) > 20
    assert ((admitted["crs"] > 0) | (admitted["icans"] > 1)).all()


def test_intensive_care_in_at_its_level_and_out_a_day_after_the_last_need() -> None:
    """Low-dose pressor (1.41) from 54 h; 1.6 - 0.1 per day since 48.72 h falls below it on day 3.93: 94.3 h."""
    block = run(with_support(1.6, peak_d=2.03, per_day=0.1))
    assert moves(block)[:2] == [("ICU_IN", 54.0), ("ICU_OUT", 118.0)]
    course = block.courses[0]
    assert course["icu_t"] == 54 * HOUR and course["icu_days"] == pytest.approx(64 * HOUR)
    # fever until x = 0 on day 18.03, last seen at 430 h of a clock that began at 118 h
    assert moves(block)[2:] == [("DISCHARGE", 454.0)]
    assert course["ward_days"] + course["icu_days"] == pytest.approx(454 * HOUR)


@pytest.mark.parametrize(
    ("changes", "subject"),
    [
        ({"icu_bp": 4.0}, with_support(1.6, peak_d=2.0, per_day=0.1)),
        ({"icu_oxygen": 3.0}, with_support(1.8, peak_d=2.0, eps=np.array([-30.0, 0.0, -30.0, -30.0]))),
        ({"icu_neuro": 4.0}, with_neuro(1.3, peak_d=2.0)),
    ],
)
def test_the_threshold_of_intensive_care_is_the_sites(changes: dict, subject: np.ndarray) -> None:
    assert "ICU_IN" in [name for name, _ in moves(run(subject))]
    assert "ICU_IN" not in [name for name, _ in moves(run(subject, **changes))]


def test_a_policy_can_ask_for_intensive_care() -> None:
    policy = policy_of({"r": {"when": {"crs": 1}, "care": "icu"}})
    block = run_one(make_arm(policy=policy, **NO_HAZARD), with_fever(20, 40))
    # 2 h looks in the ICU: fever last seen at 38 h; a day later clear, but the minimum stay holds
    assert moves(block) == [("ICU_IN", 24.0), ("ICU_OUT", 62.0), ("DISCHARGE", 170.0)]


def test_home_from_the_icu_when_all_is_well() -> None:
    """Past the minimum stay and without CRS for a day, the ward is skipped."""
    policy = policy_of({"r": {"when": {"crs": 1}, "care": "icu"}})
    block = run_one(make_arm(policy=policy, **NO_HAZARD), with_fever(200, 220))
    assert moves(block)[:1] == [("DISCHARGE", 168.0)]
    stays = run_one(make_arm(policy=policy, min_stay_d=10.0, **NO_HAZARD), with_fever(200, 220))
    assert moves(stays) == [("ICU_IN", 204.0), ("DISCHARGE", 242.0)]


def test_an_outpatient_comes_in_with_crs_and_goes_home_again() -> None:
    """Daily clinic: fever from 30 h is seen at 48 h; on the ward looks every 6 h, home a day after the last fever."""
    block = run(with_fever(30, 80), outpatient=1.0, min_stay_d=0.0)
    assert moves(block) == [("ADMIT", 48.0), ("DISCHARGE", 102.0)]
    course = block.courses[0]
    assert course["admit_t"] == 2.0 and course["ward_days"] == pytest.approx(54 * HOUR)


def test_an_outpatient_who_stays_well_is_never_in_hospital() -> None:
    course = run(make_subject(), outpatient=1.0).courses[0]
    assert course["admit_t"] == np.inf and course["ward_days"] == 0.0 and course["discharge_t"] == np.inf
    assert course["setting"] == Setting.HOME, "the clinic's watch ends after two weeks"


def test_a_wide_event_alone_admits_nobody() -> None:
    """ICANS of any grade does."""
    assert moves(run(with_neuro(-0.3, peak_d=3.0), outpatient=1.0)) == []
    for peak in (0.3, 0.7):
        assert moves(run(with_neuro(peak, peak_d=3.0), outpatient=1.0))[0] == ("ADMIT", 72.0)


def test_who_was_sent_home_with_mild_icans_is_not_brought_back_for_it() -> None:
    """Grade 1 from day 3 for weeks: home on day 7, and no new stay at the next looks."""
    assert moves(run(with_neuro(0.3, peak_d=3.0, per_day=0.001))) == [("DISCHARGE", 168.0)]


def test_from_home_straight_to_intensive_care() -> None:
    block = run(with_support(1.6, peak_d=2.03, per_day=0.1), outpatient=1.0)
    assert moves(block)[:2] == [("ADMIT", 72.0), ("ICU_IN", 72.0)]


def test_readmission_keeps_the_first_admission() -> None:
    """Home on day 7, a second fever on day 9: seen at the daily look at home, then a second stay."""
    block = run(with_support(0.5, peak_d=9.2, per_day=0.2))
    assert moves(block) == [("DISCHARGE", 168.0), ("ADMIT", 240.0), ("DISCHARGE", 300.0)]
    assert block.courses["admit_t"][0] == 0.0
    assert block.courses["ward_days"][0] == pytest.approx((168 + 60) * HOUR)


@pytest.mark.parametrize("icu_h", [1.0, 2.0, 3.0, 5.0])
@pytest.mark.parametrize("start", [1.01, 2.03, 3.3, 4.87, 6.61])
def test_a_day_is_a_day_whatever_the_clock(start: float, icu_h: float) -> None:
    """The way out of the ICU is the first look at least 24 h after the last need: rounding never costs a look."""
    changes = run(with_support(1.6, peak_d=start, per_day=0.5), icu_h=icu_h).changes
    need = changes["level"][:, 0] >= 3
    signs = changes["kind"] == Change.SIGNS
    # the look before the one that first saw no need
    first_without = changes["t"][signs & ~need & (changes["t"] > start)][0]
    last_need = first_without - icu_h * HOUR
    out = changes["t"][np.isin(changes["kind"], [Change.ICU_OUT, Change.DISCHARGE])][0]
    looks = np.ceil(24 / icu_h - 1e-9)
    assert out == pytest.approx(last_need + looks * icu_h * HOUR, abs=1e-9)


# --- requests


@cache
def asking(policy_rules: bool) -> Arm:
    return make_arm(
        policy=policy_of(TOCI_AT_1 if policy_rules else {}), outpatient=1.0, clinic_h=6.0, **NO_HAZARD
    )


def start(arm: Arm, subject: np.ndarray) -> tuple[np.record, np.record, np.record, np.record]:
    """(clinic, subject, course, log) of a course that has begun."""
    parts = (record(arm.clinic), record(subject), record(new_course()), record(new_log()))
    begin(*parts, ALL, ALL)
    return parts


def asks_until(parts: tuple, until: float, grant: int = 0) -> list[tuple[str, float]]:
    """(ask, hour) of everything said until a time; requests in `grant` are granted at once, others never."""
    said = []
    while True:
        ask = int(advance(*parts, until))
        if ask == 0:
            return said
        at = float(parts[2].t)
        said.append((Ask(ask).name or "", round(at * 24, 4)))
        if ask & grant:
            answer(*parts, ask, at)


def test_requests_wait_without_blocking_and_are_withdrawn() -> None:
    """No bed and no drug is ever given: the fever is followed from the clinic, and both requests go with it."""
    parts = start(asking(True), with_fever(20, 60))
    said = asks_until(parts, 10.0)
    assert said == [
        ("WARD_BED", 24.0), ("TOCILIZUMAB", 24.0), ("CANCEL_TOCILIZUMAB", 60.0), ("CANCEL_WARD", 60.0)
    ]  # fmt: skip
    course = parts[2]
    assert course.toci_doses == 0 and course.admit_t == np.inf and course.crs_seen_t == 54 * HOUR


def test_a_request_is_made_once_while_it_waits() -> None:
    said = asks_until(start(asking(True), with_fever(20, 600)), 20.0)
    assert [name for name, _ in said] == ["WARD_BED", "TOCILIZUMAB"]


def test_intensive_care_that_is_not_given_leaves_ward_care() -> None:
    """Without an ICU: ward looks, no several pressors, and the request goes when the need does."""
    parts = start(make_arm(**NO_HAZARD), with_support(2.4, peak_d=2.03, per_day=0.5))
    said = asks_until(parts, 29.0)
    # 2.4 - 0.5 per day passes 1.41 on day 4.01: the look at 102 h is the first without need
    assert said == [("ICU_BED", 54.0), ("CANCEL_ICU", 102.0), ("RELEASE_WARD", 186.0)]
    course = parts[2]
    assert course.icu_t == np.inf and course.peak_level[0] == 4
    given = start(make_arm(**NO_HAZARD), with_support(2.4, peak_d=2.03, per_day=0.5))
    assert [name for name, _ in asks_until(given, 29.0, int(Ask.ICU_BED | Ask.WARD_BED))] == [
        "ICU_BED", "RELEASE_WARD", "WARD_BED", "RELEASE_ICU", "RELEASE_WARD"
    ]  # fmt: skip
    assert given[2].peak_level[0] == 5


def test_everything_is_given_back_at_the_end() -> None:
    """At the horizon a bed is released, a waiting request withdrawn, and the course says so once."""
    parts = start(make_arm(policy=policy_of(TOCI_AT_1), horizon_d=3.0, **NO_HAZARD), with_fever(20, 600))
    said = asks_until(parts, 99.0)
    assert said == [
        ("TOCILIZUMAB", 24.0),
        ("RELEASE_WARD", 72.0),
        ("CANCEL_TOCILIZUMAB", 72.0),
        ("DONE", 72.0),
    ]
    assert asks_until(parts, 200.0) == []


@pytest.mark.parametrize(
    ("outbox", "waiting", "left", "still"),
    [(0, 128, 4, 0), (128, 0, 0, 0), (0, 0, 0, 0), (32, 128 | 64, 32 | 4, 64)],
)
def test_withdrawing_takes_back_what_was_told_and_drops_what_was_not(
    outbox: int, waiting: int, left: int, still: int
) -> None:
    course = new_course(outbox=outbox, waiting=waiting)
    withdraw(record(course), int(Ask.TOCILIZUMAB), int(Ask.CANCEL_TOCILIZUMAB))
    assert (course["outbox"][0], course["waiting"][0]) == (left, still)


@pytest.mark.parametrize(("grade", "prophylactic", "kept"), [(0, 0, False), (1, 0, True), (0, 1, True)])
def test_a_dose_is_wanted_while_there_is_crs_or_a_plan(grade: int, prophylactic: int, kept: bool) -> None:
    course = new_course(crs_policy=grade, toci_prophylactic=prophylactic, waiting=int(Ask.TOCILIZUMAB))
    withdraw_dose(record(make_par()), record(course))
    assert bool(course["waiting"][0]) == kept


def test_days_add_up_over_a_cohort() -> None:
    """Ward and ICU days are the time between changes of place, for everybody."""
    arm = make_arm("tisa-cel-all", policy_of("asco_2021"))
    cohort, subjects = arm.draw(800)
    block = arm.run(cohort, subjects)
    spent = np.zeros((len(cohort), 4))
    for row in range(len(cohort)):
        log = block.changes[block.changes["row"] == row]
        log = log[np.isin(log["kind"], [*STEPS, Change.INFUSION, Change.DEATH, Change.END])]
        assert (np.diff(log["t"]) >= 0).all()
        for here, after in pairwise(log):
            spent[row, here["setting"]] += after["t"] - here["t"]
    assert np.allclose(spent[:, Setting.WARD], block.courses["ward_days"], atol=1e-9)
    assert np.allclose(spent[:, Setting.ICU], block.courses["icu_days"], atol=1e-9)
    assert block.courses["icu_days"].sum() > 100
