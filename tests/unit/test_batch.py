"""The compiled driver: a block is its subjects, nothing lost however much they log."""

import numpy as np
import pytest
from clinic_builder import (
    ALL,
    NO_HAZARD,
    make_arm,
    make_subject,
    policy_of,
    rich_arm,
    run_one,
    same_bits,
    with_fever,
)

from cartsim.drivers.batch import run_block
from cartsim.model.state import CHANGE, DOSE, EPISODE

LOGS = ("episodes", "doses", "changes")


def test_a_block_is_its_subjects() -> None:
    """Cut anywhere, the rows are the same but for their place in the block."""
    arm = rich_arm()
    cohort, subjects = arm.draw(300)
    whole = arm.run(cohort, subjects)
    for cut in ((0, 1), (1, 138), (138, 300)):
        part = arm.run(cohort[slice(*cut)], subjects[slice(*cut)])
        assert same_bits(part.courses, whole.courses[slice(*cut)]) == []
        for name in LOGS:
            rows = getattr(whole, name)
            rows = rows[(rows["row"] >= cut[0]) & (rows["row"] < cut[1])].copy()
            rows["row"] -= cut[0]
            assert same_bits(getattr(part, name), rows) == []


def test_running_again_is_the_same() -> None:
    arm = rich_arm()
    cohort, subjects = arm.draw(100)
    before = subjects.copy()
    first, second = arm.run(cohort, subjects), arm.run(cohort, subjects)
    assert same_bits(first.courses, second.courses) == []
    assert all(same_bits(getattr(first, name), getattr(second, name)) == [] for name in LOGS)
    assert same_bits(subjects, before) == [], "subjects are read, never written"


def test_more_rows_than_expected_are_not_lost() -> None:
    """Some 700 doses a subject where room for 24 is kept: the block is run again with what it asked for."""
    give = {"drug": "dexamethasone", "mg": 0.1, "every_h": 0.25, "until": {"crs": "<=0"}}
    arm = make_arm(policy=policy_of({"r": {"when": {"crs": 1}, "give": give}}), **NO_HAZARD)
    subjects = np.concatenate([with_fever(20, 200), make_subject(), with_fever(20, 100)])
    subjects["order_delay_u"] = 0.4
    block = run_one(arm, subjects)
    # from 25.4 h every quarter of an hour until the look that sees no fever, at 204 h and 102 h
    count = np.bincount(block.doses["row"], minlength=3)
    assert count.tolist() == [715, 0, 307] == block.courses["steroid_doses"].tolist()
    assert np.array_equal(block.doses["row"], np.sort(block.doses["row"]))
    alone = run_one(arm, subjects[2:])
    assert same_bits(block.doses[block.doses["row"] == 2], alone.doses, without=("row",)) == []


@pytest.mark.parametrize("kept", [(), ("episodes",), ("doses",), ("changes",), LOGS])
def test_logs_that_are_not_wanted_change_nothing_else(kept: tuple[str, ...]) -> None:
    arm = rich_arm()
    cohort, subjects = arm.draw(200)
    full = arm.run(cohort, subjects)
    for name in LOGS:
        arm.clinic["par"][f"want_{name}"] = float(name in kept)
    part = arm.run(cohort, subjects)
    assert same_bits(full.courses, part.courses) == []
    for name in LOGS:
        if name in kept:
            assert same_bits(getattr(full, name), getattr(part, name)) == []
        else:
            assert len(getattr(part, name)) == 0


def test_bits_decide_who_gets_what() -> None:
    """Rule 1 for every second subject, the planned dose for every third."""
    rules = {
        "a": {"when": {"crs": 1}, "give": {"drug": "dexamethasone", "mg": 10, "max_doses": 1}},
        "b": {"when": {"crs": 1}, "give": {"drug": "anakinra", "mg": 10, "max_doses": 1}},
    }
    planned = {"p": {"drug": "tocilizumab", "at_h": 1}}
    arm = make_arm(policy=policy_of(rules, prophylaxis=planned), **NO_HAZARD)
    subjects = np.repeat(with_fever(20, 200), 12)
    number = np.arange(12)
    eligible = np.where(number % 2 == 0, 0b11, 0b01).astype(np.uint64)
    mask = np.where(number % 3 == 0, ALL, 0).astype(np.uint64)
    doses = run_block(arm.clinic, subjects, eligible, mask).doses
    for rule, who in ((0, number), (1, number[::2]), (2, number[::3])):
        assert doses["row"][doses["rule_no"] == rule].tolist() == who.tolist()


def test_an_empty_block_and_a_single_subject() -> None:
    arm = rich_arm()
    empty = arm.run(*arm.draw(0))
    assert len(empty.courses) == 0
    assert [getattr(empty, name).dtype for name in LOGS] == [EPISODE, DOSE, CHANGE]
    assert arm.run(*arm.draw(1)).courses["done"].tolist() == [1]


def test_every_course_ends() -> None:
    arm = rich_arm()
    courses = arm.run(*arm.draw(500)).courses
    assert courses["done"].all() and not courses["outbox"].any() and not courses["waiting"].any()
    assert np.array_equal(courses["t"], courses["end"])
    assert np.isfinite(courses["end"]).all() and not courses["has_ward_bed"].any()
