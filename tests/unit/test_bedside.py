"""One assessment: what is seen, graded and recorded, and that orders come after the grade."""

import math
from functools import cache

import numpy as np
import pytest
from clinic_builder import (
    HOUR,
    NO_HAZARD,
    PRODUCTS,
    Arm,
    make_arm,
    make_subject,
    policy_of,
    run_one,
    same_bits,
    with_fever,
    with_neuro,
    with_support,
)
from scipy import stats

from cartsim.drivers.batch import Block
from cartsim.terms import Change, CrsScale, Syndrome

REJECT = 1e-6
OF_DRUGS = (Change.ORDER, Change.STEROID_TAPER, Change.STEROID_STOP, Change.ANAKINRA_STOP)
CRS, ICANS, NE = (int(syndrome) for syndrome in Syndrome)


def run(subject: np.ndarray, **changes: float) -> Block:
    return run_one(make_arm(**(NO_HAZARD | changes)), subject)


def signs(block: Block) -> np.ndarray:
    return block.changes[block.changes["kind"] == Change.SIGNS]


def episodes(block: Block, syndrome: int = CRS) -> list[tuple[float, float, int, int]]:
    """(first hour, last hour, highest grade, ongoing) of each episode."""
    rows = block.episodes[block.episodes["syndrome"] == syndrome]
    return [
        (
            round(float(r["t_start"]) * 24, 6),
            round(float(r["t_end"]) * 24, 6),
            int(r["grade"]),
            int(r["ongoing"]),
        )
        for r in rows
    ]


# --- what is seen


def test_signs_are_read_at_looks_only() -> None:
    """A fever between two looks is never seen; one across a look is seen then, and until the look that misses it."""
    assert len(signs(run(with_fever(25, 29)))) == 0
    seen = signs(run(with_fever(25, 31)))
    assert np.allclose(seen["t"] * 24, [30, 36]) and seen["fever"].tolist() == [1, 0]


@pytest.mark.parametrize(("ward_h", "first"), [(1, 26), (2, 26), (6, 30), (12, 36), (24, 48)])
def test_onset_is_the_first_positive_look(ward_h: float, first: float) -> None:
    course = run(with_fever(25.5, 90), ward_h=float(ward_h)).courses[0]
    assert course["crs_ge_t"].tolist()[0] * 24 == pytest.approx(first)
    assert course["crs_ge_t"][1:].tolist() == [math.inf] * 3


def test_levels_are_counted_with_the_subjects_offsets() -> None:
    """Drive 1.5: blood pressure with +0.3 at level 4, oxygen with -0.1 at 1, liver with +0.5 at 3, kidney at 1."""
    subject = with_support(1.5, peak_d=2.0, per_day=0.001, eps=np.array([0.3, -0.1, 0.5, 0.0]))
    assert signs(run(subject))["level"][0].tolist() == [4, 1, 3, 1]


def test_ventilation_and_several_pressors_exist_in_intensive_care_only() -> None:
    """The first look, on the ward, sees high-dose pressor and CPAP; the next, in the ICU, what the drive says."""
    subject = with_support(2.5, peak_d=2.0, per_day=0.001, eps=np.array([0.0, 0.0, -30.0, -30.0]))
    block = run(subject)
    assert signs(block)["level"][:, :2].tolist() == [[4, 3], [5, 4]]
    assert np.allclose(signs(block)["t"] * 24, [48, 50])
    assert block.courses["vent_days"][0] == pytest.approx(30 - 50 * HOUR)


def test_a_fever_of_another_cause_is_taken_for_crs_but_is_not_the_disease() -> None:
    block = run(with_fever(20, 60))
    assert episodes(block) == [(24, 54, 1, 0)]
    assert block.courses["max_fever"][0] == block.courses["max_support"][0] == -math.inf


def test_wide_events_are_seen_below_icans() -> None:
    """Down from 0.5 by 0.1 a day since day 3: ICANS until 0 (day 8), a wide event until -0.79 (day 15.9)."""
    block = run(with_neuro(0.5, peak_d=3.0, per_day=0.1), min_stay_d=40.0)
    course = block.courses[0]
    assert (course["peak_neuro"], course["peak_ne"], course["peak_crs"]) == (1, 1, 0)
    (first, last_icans, *_), = episodes(block, ICANS)  # fmt: skip
    (first_ne, last_ne, *_), = episodes(block, NE)  # fmt: skip
    assert (first, first_ne) == (72, 72)
    assert (last_icans, last_ne) == (192, 378)


def test_a_seizure_is_seen_once_and_lifts_icans_to_3() -> None:
    """A threshold that is used up at once on the first grid point with a hazard; the next look reports it."""
    subject = with_neuro(0.9, peak_d=2.5, per_day=0.001, seizure_threshold=1e-9)
    block = run(subject, hazard_seizure=0.05)
    fit = block.changes[block.changes["kind"] == Change.SEIZURE]
    assert len(fit) == 1 and fit["t"][0] == pytest.approx(60 * HOUR + 8e-8, abs=1e-6)
    seen = signs(block)
    assert seen["icans"].tolist() == [2, 3, 2] and seen["seizure"].tolist() == [0, 1, 0]
    assert np.allclose(seen["t"] * 24, [60, 66, 72])
    assert block.courses["peak_neuro"][0] == 3 and seen["ne"].max() == 2


# --- ICE errors


@cache
def with_errors(share: float) -> tuple[Arm, np.ndarray, Block]:
    """300 subjects at level 2 for a month, each looked at some 120 times."""
    arm = make_arm(ice_error=share, icu_neuro=9.0, ward_h=6.0, **NO_HAZARD)
    subjects = np.repeat(with_neuro(0.8, peak_d=1.0, per_day=1e-4), 300)
    subjects["subject"] = np.arange(300)
    key = make_arm().draw(1)[1]
    subjects["key0"], subjects["key1"] = key["key0"][0], key["key1"][0]
    return arm, subjects, run_one(arm, subjects)


def test_ice_is_misread_one_level_and_evenly() -> None:
    _, _, block = with_errors(0.2)
    checks = block.courses["neuro_checks"]
    assert (checks == checks[0]).all() and checks[0] == 117
    t = np.arange(24, 24 + 117 * 6, 6) * HOUR
    levels = np.zeros((300, len(t)), int)
    logs = signs(block)
    for row in range(300):
        log = logs[logs["row"] == row]
        levels[row] = log["neuro"][np.searchsorted(log["t"], t, side="right") - 1]
    counts = [(levels == level).sum() for level in range(5)]
    assert counts[0] == counts[4] == 0
    n = levels.size
    for level, share in ((1, 0.1), (2, 0.8), (3, 0.1)):
        assert stats.binomtest(int(counts[level]), n, share).pvalue > REJECT


def test_a_misreading_belongs_to_its_look_not_to_the_order_of_running() -> None:
    arm, subjects, block = with_errors(0.2)
    part = run_one(arm, subjects[100:110])
    rows = signs(block)
    rows = rows[(rows["row"] >= 100) & (rows["row"] < 110)]
    assert same_bits(rows, signs(part), without=("row",)) == []


def test_a_misreading_changes_what_is_seen_and_not_what_is() -> None:
    _, subjects, block = with_errors(0.2)
    true = run_one(make_arm(icu_neuro=9.0, **NO_HAZARD), subjects)
    assert np.array_equal(block.courses["max_neuro"], true.courses["max_neuro"])
    assert (block.courses["peak_neuro"] >= true.courses["peak_neuro"]).all()
    assert true.courses["neuro_checks"].max() == 0, "no error, no draw"


# --- what is recorded


def test_episodes_end_after_the_window_without_signs() -> None:
    """A second fever within 24 h belongs to the first; later it is another episode."""
    for second, wanted in ((95, [(24, 114, 1, 0)]), (101, [(24, 72, 1, 0), (102, 114, 1, 0)])):
        until_117_h = 0.5 / ((117 - second) * HOUR)
        subject = with_support(0.5, peak_d=second * HOUR, per_day=until_117_h, other_fever_start=20 * HOUR,
                               other_fever_end=77 * HOUR)  # fmt: skip
        assert episodes(run(subject, min_stay_d=20.0)) == wanted


@pytest.mark.parametrize(("window", "count"), [(6, 2), (24, 2), (30, 1), (48, 1)])
def test_the_window_is_a_parameter(window: float, count: int) -> None:
    """Looks without fever at 48 to 66 h, fever again at 72 h, 30 h after the last."""
    subject = with_support(
        0.2, peak_d=72 * HOUR, per_day=0.2, other_fever_start=20 * HOUR, other_fever_end=46 * HOUR
    )
    block = run(subject, crs_end_h=float(window), min_stay_d=20.0)
    assert len(episodes(block)) == count == block.courses["ep_count"][0, CRS]


def test_durations_are_from_first_to_last_sign() -> None:
    subject = with_support(
        0.5, peak_d=10.0, per_day=0.25, other_fever_start=20 * HOUR, other_fever_end=60 * HOUR
    )
    block = run(subject, min_stay_d=20.0)
    spans = [last - first for first, last, *_ in episodes(block)]
    course = block.courses[0]
    assert len(spans) == 2
    assert course["duration_first"][CRS] * 24 == pytest.approx(spans[0])
    assert course["duration_sum"][CRS] * 24 == pytest.approx(sum(spans))
    assert course["last_end_t"][CRS] == block.episodes["t_end"][-1]


def test_an_episode_at_the_end_of_follow_up_is_ongoing() -> None:
    """Signs until the horizon: ongoing, with its end there. Signs until a day before: over, at the last sign."""
    assert episodes(run(with_fever(20, 4000), horizon_d=5.0)) == [(24, 120, 1, 1)]
    assert episodes(run(with_fever(20, 95), horizon_d=5.0)) == [(24, 90, 1, 0)]
    assert episodes(run(with_fever(20, 107), horizon_d=5.0)) == [(24, 120, 1, 1)]
    assert run(with_fever(20, 4000), horizon_d=5.0).courses["last_end_t"][0, CRS] == math.inf


def test_peaks_and_first_times_by_hand() -> None:
    """Pressors at low dose from 50 h, falling through 1.41 (day 3.93), 1.22 (5.83) and 1 (8.03), fever to day 18."""
    course = run(with_support(1.6, peak_d=2.03, per_day=0.1)).courses[0]
    assert course["peak_crs"] == 3 and course["peak_level"].tolist() == [3, 0, 0, 0]
    assert np.allclose(course["crs_ge_t"][:3] * 24, 54) and course["crs_ge_t"][3] == math.inf
    assert course["crs_peak_t"] * 24 == pytest.approx(54)
    assert course["fever_seen"] == 1 and course["days_ge2"] == pytest.approx(8.03 - 54 * HOUR, abs=0.25)


def test_time_at_a_grade_is_booked_until_the_next_look() -> None:
    """Grade 1 is not counted; ICANS of level 2 from 72 h until it is last seen, plus the step to the next look."""
    subject = with_neuro(0.9, peak_d=3.0, per_day=0.1)
    block = run(subject)
    seen = signs(block)
    below = seen["t"][(seen["icans"] < 2) & (seen["t"] > 4.0)][0]
    assert block.courses["days_icans_ge2"][0] == pytest.approx(below - 3.0)


@cache
def treated_and_not(product: str) -> tuple[Block, Block]:
    """The same 1500 subjects with a busy policy that moves nobody, and with none."""
    rules = {
        "toci": {"when": {"crs": ">=1"}, "give": {"drug": "tocilizumab", "repeat_h": 8}},
        "dex": {"when": {"crs": ">=2"}, "give": {"drug": "dexamethasone", "mg": 10, "max_doses": 1}},
        "neuro": {"when": {"icans": ">=1"}, "give": {"drug": "anakinra", "mg": 100, "max_doses": 1}},
    }
    arms = [make_arm(product, policy_of(given), ice_error=0.1, **NO_HAZARD) for given in (rules, {})]
    cohort, subjects = arms[0].draw(1500)
    with_drugs, without = (arm.run(cohort, subjects) for arm in arms)
    return with_drugs, without


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_dose_never_changes_the_look_that_ordered_it(product: str) -> None:
    """Up to the first drug in the body, treated and untreated twins show the same signs, grades and places."""
    treated, untreated = treated_and_not(product)
    first = np.full(len(treated.courses), math.inf)
    np.minimum.at(first, treated.doses["row"], treated.doses["t_start"])
    ordered = np.full(len(first), math.inf)
    np.minimum.at(ordered, treated.doses["row"], treated.doses["t_order"])
    known = np.isfinite(first)
    assert known.mean() > 0.3 and (ordered[known] < first[known]).all()
    sides = []
    for block in (treated, untreated):
        rows = block.changes[~np.isin(block.changes["kind"], OF_DRUGS)]
        sides.append(rows[rows["t"] <= first[rows["row"]]])
    same = ("t", "kind", "setting", "fever", "level", "neuro", "wide", "seizure", "crs", "icans", "ne", "row")
    assert len(sides[0]) == len(sides[1])
    assert same_bits(sides[0][list(same)], sides[1][list(same)]) == []
    # ... and each dose names the grade that was seen when it was ordered
    for dose in treated.doses[:300]:
        log = treated.changes[
            (treated.changes["row"] == dose["row"]) & (treated.changes["t"] <= dose["t_order"])
        ]
        log = log[log["kind"] == Change.SIGNS]
        assert dose["grade"] == log["icans" if dose["syndrome"] == ICANS else "crs"][-1]


def test_the_policy_may_read_another_scale_than_the_scenario() -> None:
    """Low-dose pressor: grade 3 on ASTCT, 2 on Lee. A rule on Lee 3 stays silent whatever the scenario reports."""
    subject = with_support(1.5, peak_d=2.0, per_day=0.01)
    give = {"drug": "dexamethasone", "mg": 10, "max_doses": 1}
    for scale, count in (("astct2019", 1), ("lee2014", 0)):
        policy = policy_of({"r": {"when": {"crs": ">=3"}, "give": give}}, scale=scale)
        block = run_one(make_arm(policy=policy, crs_scale=float(CrsScale.PENN), **NO_HAZARD), subject)
        assert len(block.doses) == count and block.courses["peak_crs"][0] == 3


def test_whoever_shows_nothing_leaves_no_signs() -> None:
    block = run(make_subject())
    assert block.changes["kind"].tolist() == [Change.INFUSION, Change.DISCHARGE, Change.END]
    assert len(block.episodes) == 0
    assert (block.courses["crs_ge_t"] == math.inf).all()
