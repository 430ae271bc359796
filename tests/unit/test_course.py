"""The course's own clock: where a driver stops, how long it follows and what it logs change nothing else."""

import math
from functools import cache

import numpy as np
import pytest
from clinic_builder import (
    ALL,
    APART,
    HOUR,
    NO_HAZARD,
    PRODUCTS,
    Arm,
    make_arm,
    make_subject,
    new_course,
    new_log,
    policy_of,
    record,
    rich_arm,
    run_one,
    same_bits,
    with_fever,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from cartsim.drivers.batch import Block, run_block
from cartsim.model.begin import begin
from cartsim.model.course import DONE, FLUSH, NOTHING, REQUESTS, advance, answer, peek
from cartsim.terms import Change, Drug

LOGS = ("episodes", "doses", "changes")
#: Where a course keeps its place; what it leaves does not depend on it.
BOOKMARKS = ("assessments", "step", "next_assessment", "grid")
FEVER = with_fever(20, 200)


def step_through(arm: Arm, subject: np.ndarray, eligible: int, mask: int, stops: list[float]) -> tuple:
    """(COURSE[1], log rows by kind, words) of one course advanced in pieces, every request granted at once."""
    course, log = new_course(), new_log()
    parts = (record(arm.clinic), record(subject), record(course), record(log))
    begin(*parts, np.uint64(eligible), np.uint64(mask))
    rows: dict[str, list[np.ndarray]] = {name: [] for name in LOGS}
    words = []

    def empty() -> None:
        for name in LOGS:
            rows[name].append(log[name][0, : int(log[f"n_{name}"][0])].copy())
            log[f"n_{name}"] = 0

    for until in [*stops, math.inf]:
        while True:
            ask = int(advance(*parts, until))
            words.append(ask)
            if ask == NOTHING:
                assert until < math.inf and float(course["t"][0]) <= until
                break
            if ask & REQUESTS:
                answer(*parts, ask, float(course["t"][0]))
            elif ask == FLUSH:
                empty()
            elif ask == DONE:
                empty()
                return course, {name: np.concatenate(rows[name]) for name in LOGS}, words
    raise AssertionError("a course that never ends")


@cache
def rich() -> tuple[Arm, np.ndarray, np.ndarray, np.ndarray, Block]:
    """An arm in which everything happens, 150 subjects, their masks, and the batch driver's answer."""
    arm = rich_arm()
    cohort, subjects = arm.draw(150)
    assert arm.policy is not None
    masks = arm.policy.eligibility(cohort, False), arm.policy.prophylaxis_mask(cohort, False)
    return arm, subjects, *masks, run_block(arm.clinic, subjects, *masks)


@settings(max_examples=60)
@given(
    row=st.integers(0, 149),
    stops=st.lists(st.floats(-0.1, 40.0) | st.integers(0, 180).map(lambda k: k * 4 * HOUR), max_size=40).map(
        sorted
    ),
)
def test_where_a_driver_stops_changes_no_bit(row: int, stops: list[float]) -> None:
    arm, subjects, eligible, mask, block = rich()
    course, logs, _ = step_through(arm, subjects[row : row + 1], int(eligible[row]), int(mask[row]), stops)
    assert same_bits(course, block.courses[row : row + 1], without=("t", "grid")) == []
    for name in LOGS:
        mine = getattr(block, name)
        assert same_bits(logs[name], mine[mine["row"] == row], without=("row",)) == [], name


def test_stopping_at_every_grid_point_changes_no_bit_for_anybody() -> None:
    """As the ward driver does while a request is open: `peek` never lies beyond what the course does next."""
    arm, subjects, eligible, mask, block = rich()
    stops = [k * 4 * HOUR for k in range(181)]
    for row in range(0, 150, 5):
        course, _, _ = step_through(arm, subjects[row : row + 1], int(eligible[row]), int(mask[row]), stops)
        assert same_bits(course, block.courses[row : row + 1], without=("t", "grid")) == []


def test_peek_names_the_next_thing_to_happen() -> None:
    """Advancing to just before it does nothing; advancing to it does something, or books a grid step."""
    arm, subjects, eligible, mask, _ = rich()
    for row in range(20):
        course, log = new_course(), new_log()
        parts = (record(arm.clinic), record(subjects[row : row + 1]), record(course), record(log))
        begin(*parts, eligible[row], mask[row])
        for _ in range(2000):
            at = float(peek(record(arm.clinic), record(course)))
            if course["outbox"][0]:
                assert at == course["t"][0]
            else:
                before = course.copy()
                assert advance(*parts, np.nextafter(at, -math.inf)) == NOTHING
                assert same_bits(before, course, without=("t", "grid")) == []
            ask = int(advance(*parts, at))
            log[["n_episodes", "n_doses", "n_changes"]] = 0
            if ask & REQUESTS:
                answer(*parts, ask, float(course["t"][0]))
            if ask == DONE:
                break
        assert course["done"][0]


def test_a_full_log_is_emptied_and_loses_nothing() -> None:
    """Looks and doses every few minutes fill the small log several times before the course ends."""
    rules = {
        drug: {"when": {"crs": 1}, "give": {"drug": drug, "mg": 0.1, "every_h": 0.5, "until": {"crs": "<=0"}}}
        for drug in ("dexamethasone", "anakinra")
    }
    arm = make_arm(policy=policy_of(rules), **NO_HAZARD)
    course, logs, words = step_through(arm, FEVER, int(ALL), int(ALL), [])
    assert words.count(FLUSH) >= 2
    assert course["steroid_doses"][0] == course["anakinra_doses"][0] == len(logs["doses"]) / 2
    assert np.allclose(np.diff(logs["doses"]["t_start"][::2]) * 24, 0.5)
    block = run_one(arm, FEVER)
    for name in LOGS:
        assert same_bits(logs[name], getattr(block, name), without=("row",)) == []


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("policy", ["no_treatment", "asco_2021", "autoimmune_conservative"])
def test_looks_that_can_see_nothing_are_left_out_exactly(product: str, policy: str) -> None:
    """With and without leaving them out: the same courses but for bookmarks, the same logs."""
    blocks = []
    for skip in (0.0, 1.0):
        arm = make_arm(product, policy_of(policy, add=["dex_d0_2"]), skip=skip, ice_error=0.1)
        blocks.append(arm.run(*arm.draw(1000)))
    every, fewer = blocks
    assert same_bits(every.courses, fewer.courses, without=BOOKMARKS) == []
    assert (fewer.courses["assessments"] <= every.courses["assessments"]).all()
    assert fewer.courses["assessments"].sum() < 0.95 * every.courses["assessments"].sum()
    for name in LOGS:
        assert same_bits(getattr(every, name), getattr(fewer, name)) == []


@pytest.mark.parametrize(
    "settings_",
    [{"outpatient": 1.0}, {"ward_h": 1.0, "icu_h": 0.5}, {"ward_h": 7.0, "home_h": 31.0}, APART],
)
def test_looks_are_left_out_exactly_in_any_setting(settings_: dict[str, float]) -> None:
    blocks = []
    for skip in (0.0, 1.0):
        arm = make_arm("cilta-cel", policy_of("zuma1_c4", add=["toci_d1"]), skip=skip, **settings_)
        blocks.append(arm.run(*arm.draw(1500)))
    assert same_bits(blocks[0].courses, blocks[1].courses, without=BOOKMARKS) == []
    assert all(same_bits(getattr(blocks[0], name), getattr(blocks[1], name)) == [] for name in LOGS)


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("horizon", [3.0, 10.0, 17.3])
def test_a_longer_follow_up_keeps_the_past(product: str, horizon: float) -> None:
    """Log rows from before the earlier end are the same rows; only what that end closes differs."""
    blocks = []
    for days in (horizon, 45.0):
        arm = make_arm(product, policy_of("asco_2021", add=["toci_d1"]), horizon_d=days)
        blocks.append(arm.run(*arm.draw(700)))
    short, long = blocks
    closed = (short.doses[short.doses["t_start"] < horizon], long.doses[long.doses["t_start"] < horizon])
    assert same_bits(*closed) == [] and len(closed[0]) > 20
    closed = tuple(b.changes[(b.changes["t"] < horizon)] for b in blocks)
    assert same_bits(*closed) == []
    ends = short.changes[short.changes["kind"] == Change.END]
    assert (ends["t"] == horizon).all()
    # an episode that was over by then is the same episode
    window = horizon - 1.0 - 1e-9
    over = [b.episodes[(b.episodes["t_end"] < window) & (b.episodes["ongoing"] == 0)] for b in blocks]
    assert same_bits(*over) == []
    died = short.courses["dead"] == 1
    assert np.array_equal(short.courses["death_t"][died], long.courses["death_t"][died])
    for name in ("crs_ge_t", "icans_ge_t", "toci_t", "icu_t", "admit_t"):
        early = short.courses[name] < horizon
        assert np.array_equal(short.courses[name][early], long.courses[name][early]), name


@pytest.mark.parametrize("product", PRODUCTS)
def test_death_stops_everything(product: str) -> None:
    """No look, dose, order or move after it; follow-up, episodes and stays end there."""
    arm = make_arm(product, policy_of("asco_2021", add=["dex_d0_2"]), hazard_background=0.03, hazard_crs=2.0,
                   hazard_icans=2.0)  # fmt: skip
    block = arm.run(*arm.draw(1500))
    courses = block.courses
    dead = courses["dead"] == 1
    assert 0.3 < dead.mean() < 0.99 and set(courses["cause"][dead]) <= {1, 2, 3}
    assert (courses["cause"][~dead] == 0).all()
    end = courses["end"]
    assert np.array_equal(end[dead], courses["death_t"][dead]) and (end[~dead] == 30.0).all()
    assert (block.changes["t"] <= end[block.changes["row"]]).all()
    assert (block.doses["t_start"] <= end[block.doses["row"]]).all()
    assert (block.doses["t_order"] <= end[block.doses["row"]]).all()
    assert (block.episodes["t_end"] <= end[block.episodes["row"]]).all()
    last = block.changes[np.flatnonzero(np.diff(block.changes["row"], append=-1))]
    assert np.array_equal(last["kind"] == Change.DEATH, dead)
    assert (courses["last_assessment"] == end).all()
    for name in ("ward_days", "icu_days", "vent_days", "days_ge2", "duration_sum"):
        assert (end + 1e-9 >= courses[name].T).all()


def test_causes_of_death_are_shared_as_their_hazards() -> None:
    """The cause is a mark on the hazard that each has used up."""
    arm = make_arm("axi-cel", hazard_background=0.02, hazard_crs=0.5, hazard_icans=0.5)
    cohort, subjects = arm.draw(3000)
    courses = arm.run(cohort, subjects).courses
    dead = courses["dead"] == 1
    used = courses["hazard_crs"] + courses["hazard_icans"] + 0.02 * courses["end"]
    assert np.allclose(used[dead], subjects["death_threshold"][dead], rtol=1e-9)
    assert (used[~dead] < subjects["death_threshold"][~dead]).all()
    mark = subjects["death_cause_u"] * used
    wanted = np.where(
        mark < courses["hazard_crs"],
        1,
        np.where(mark < courses["hazard_crs"] + courses["hazard_icans"], 2, 3),
    )
    assert np.array_equal(courses["cause"][dead], wanted[dead])
    assert set(courses["cause"][dead].tolist()) == {1, 2, 3}


def test_what_is_due_at_one_moment_goes_in_order() -> None:
    """At 48 h: a planned dose of steroid before the look, an infusion that ends before both, the end after all."""
    planned = {"t": {"drug": "tocilizumab", "at_h": 47}, "d": {"drug": "dexamethasone", "mg": 10, "at_h": 48}}
    rules = {
        "r": {"when": {"crs": 1, "steroid_doses": 1}, "give": {"drug": "anakinra", "mg": 9, "max_doses": 1}}
    }
    arm = make_arm(policy=policy_of(rules, prophylaxis=planned), horizon_d=2.0, **NO_HAZARD)
    block = run_one(arm, with_fever(46, 90))
    assert block.doses["drug"].tolist() == [Drug.TOCILIZUMAB, Drug.DEXAMETHASONE]
    kinds = block.changes["kind"].tolist()
    assert kinds == [Change.INFUSION, Change.SIGNS, Change.ORDER, Change.END]
    assert block.courses["toci_conc_t"][0] == pytest.approx(2.0) and block.courses["toci_conc"][0] > 0


def test_a_course_may_begin_before_infusion() -> None:
    planned = {
        "a": {"drug": "dexamethasone", "mg": 10, "at_h": -30},
        "b": {"drug": "tocilizumab", "at_h": -1},
    }
    block = run_one(make_arm(policy=policy_of({}, prophylaxis=planned), **NO_HAZARD), make_subject())
    assert np.allclose(block.doses["t_start"] * 24, [-30, -1])
    assert block.courses["steroid_doses"][0] == 1 and block.courses["steroid_slow"][0] > 0
    assert block.courses["steroid_days"][0] == 1 and block.courses["steroid_start_t"][0] == math.inf
    assert block.changes["t"].tolist() == [0.0, 7.0, 30.0]


def test_rows_of_a_course_are_in_the_order_of_time() -> None:
    _, _, _, _, block = rich()
    for row in range(150):
        t = block.changes["t"][block.changes["row"] == row]
        assert (np.diff(t) >= 0).all()
        assert (np.diff(block.doses["t_start"][block.doses["row"] == row]) >= 0).all()
        for syndrome in range(3):
            mine = block.episodes[(block.episodes["row"] == row) & (block.episodes["syndrome"] == syndrome)]
            assert mine["seq"].tolist() == list(range(1, len(mine) + 1))
            assert (mine["t_start"] <= mine["t_max"]).all() and (mine["t_max"] <= mine["t_end"]).all()
            assert (mine["t_start"][1:] > mine["t_end"][:-1]).all()
