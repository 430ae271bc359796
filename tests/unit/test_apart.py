"""Signs of support some time after the fever, wide events longer than ICANS: two numbers, each of which moves what it
is there to move and nothing else."""

import math
from typing import Any

import numpy as np
import pytest
from clinic_builder import (
    APART,
    HOUR,
    NO_DEATH,
    NO_HAZARD,
    TOGETHER,
    Arm,
    make_arm,
    make_par,
    make_subject,
    new_course,
    policy_of,
    record,
    same_bits,
)
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from cartsim.drivers.batch import Block
from cartsim.model.begin import begin
from cartsim.model.disease import ramp, untreated_icans, wide_lead, window
from cartsim.model.latent import drives
from cartsim.model.signs import is_wide
from cartsim.model.state import LOG
from cartsim.terms import Change, Syndrome

#: An hourly look everywhere, so that a lag of whole hours moves what is seen by just as many looks.
HOURLY = {"ward_h": 1.0, "icu_h": 1.0, "home_h": 1.0, "clinic_h": 1.0}
#: What a slower wide decline may change: wide events, when it is worth while to look, and bookmarks of that.
OF_WIDE = (
    "neuro_to", "step", "next_assessment", "last_assessment", "assessments", "wide", "ne", "ne_ge_t", "peak_ne",
    "ep_open", "ep_start", "ep_last", "ep_max", "ep_max_t", "ep_count", "duration_first", "duration_sum",
    "last_end_t", "max_neuro", "wide_reached", "neuro_done", "seen", "seen_fever", "grid",
)  # fmt: skip


def untreated(count: int = 1500, product: str = "axi-cel", **changes: float) -> tuple[Arm, np.ndarray, Block]:
    """An arm without a rule: (arm, SUBJECT, results)."""
    arm = make_arm(product, None, **changes)
    cohort, subjects = arm.draw(count)
    return arm, subjects, arm.run(cohort, subjects)


def first_seen(block: Block, sign: np.ndarray) -> np.ndarray:
    """When each course first shows `sign` (bool by row of the log of changes); inf where it never does."""
    first = np.full(len(block.courses), math.inf)
    np.minimum.at(first, block.changes["row"][sign], block.changes["t"][sign])
    return first


def turns_of_fever(block: Block) -> tuple[np.ndarray, np.ndarray]:
    """(row, time) of every beginning and end of a fever."""
    rows, fever = block.changes["row"].astype(int), block.changes["fever"].astype(int)
    turned = np.diff(fever, prepend=0) != 0
    turned[1:] &= np.diff(rows) == 0
    return rows[turned], block.changes["t"][turned]


def test_both_are_off_unless_asked_for() -> None:
    par = make_par()
    assert {name: float(par[name][0]) for name in TOGETHER} == TOGETHER


# --- signs of support after the fever


def crossing(subject: np.ndarray, threshold: float, which: int, **changes: float) -> float:
    """When the drive of an untreated subject first exceeds a threshold, in days: not a matter of looks."""
    arm = make_arm("axi-cel", None, **(NO_HAZARD | changes))
    course = new_course()
    clinic, s, c = record(arm.clinic), record(subject), record(course)
    begin(clinic, s, c, record(np.zeros(1, LOG)), np.uint64(0), np.uint64(0))

    def above(t: float) -> float:
        return max(-50.0, drives(clinic.par, s, c, t)[which]) - threshold

    peak_d = s.crs_peak_d + changes.get("support_lag_d", 0.0) * (which == 0)
    return float(brentq(above, 0.0, peak_d, xtol=1e-12))


@given(lag=st.floats(0.01, 6.0), peak=st.floats(1.3, 4.0), peak_d=st.floats(0.3, 12.0))
def test_support_comes_later_by_the_lag_and_fever_as_before(lag: float, peak: float, peak_d: float) -> None:
    s = make_subject(crs_peak=peak, crs_peak_d=peak_d, eps=np.array([0.1, -9.0, -9.0, -9.0]))
    top = drives_at(s, peak_d)
    threshold = 0.6 * top if top > 0.1 else top - 0.5
    before, after = (crossing(s, threshold, 0, support_lag_d=x) for x in (0.0, lag))
    assert after - before == pytest.approx(lag, abs=1e-9)
    before, after = (crossing(s, threshold, 1, support_lag_d=x) for x in (0.0, lag))
    assert after == before


def drives_at(subject: np.ndarray, t: float) -> float:
    """x0(t)"""
    s = record(subject)
    return float(s.crs_peak + ramp(record(make_par()), t))


@pytest.mark.parametrize("product", ["axi-cel", "tisa-cel-all", "ide-cel"])
def test_what_is_seen_of_support_moves_by_the_lag_alone(product: str) -> None:
    """1500 untreated subjects looked at hourly: every first level of every axis 36 h later, every fever the same."""
    _, _, before = untreated(product=product, **HOURLY, **NO_HAZARD)
    _, _, after = untreated(product=product, **HOURLY, **NO_HAZARD, support_lag_d=1.5)
    seen = 0
    for axis in range(4):
        for level in (1, 2, 3):
            old, new = (first_seen(b, b.changes["level"][:, axis] >= level) for b in (before, after))
            late = old < 28.0
            np.testing.assert_allclose(new[late], old[late] + 1.5, rtol=0, atol=1e-9)
            seen += late.sum()
    assert seen > 500
    for old, new in zip(turns_of_fever(before), turns_of_fever(after), strict=True):
        assert len(old) > 1500
        # the clock of looks starts anew with every move: equal to rounding
        np.testing.assert_allclose(new, old, rtol=0, atol=1e-9)
    for name in ("peak_neuro", "max_fever", "max_neuro"):
        assert np.array_equal(before.courses[name], after.courses[name]), name
    for name in ("icans_ge_t", "ne_ge_t"):
        np.testing.assert_allclose(after.courses[name], before.courses[name], rtol=0, atol=1e-9)


def test_peak_and_hazard_move_with_support() -> None:
    """The latent peak is that of the earlier curve on shifted grid points; deaths by CRS come later by the lag."""
    sick = {"hazard_icans": 0.0, "hazard_background": 0.0, "hazard_crs": 0.5, "hazard_no_icu": 1.0}
    _, _, before = untreated(3000, **sick)
    _, _, after = untreated(3000, **sick, support_lag_d=1.0)
    finite = np.isfinite(before.courses["max_support"]) & (
        before.courses["dead"] + after.courses["dead"] == 0
    )
    # one day is six grid steps: the same points of the same curve
    assert finite.sum() > 1000
    np.testing.assert_allclose(
        after.courses["max_support"][finite], before.courses["max_support"][finite], rtol=1e-12, atol=1e-12
    )
    died = (before.courses["dead"] == 1) & (after.courses["dead"] == 1)
    assert died.sum() > 50
    np.testing.assert_allclose(
        after.courses["death_t"][died], before.courses["death_t"][died] + 1.0, atol=1e-9
    )


def test_a_drug_acts_when_it_is_there_on_both() -> None:
    """At one moment tocilizumab takes as much from support as it would without a lag."""
    taken = []
    for lag in (0.0, 2.0):
        values = []
        for dosed in (0, 1):
            p = record(make_par(support_lag_d=lag))
            c = record(new_course(support_to=30.0, neuro_to=-1.0, toci_boost=1.0, drugged=dosed,
                                  toci_conc=80.0 * dosed, toci_conc_t=3.0, toci_first_t=3.0))  # fmt: skip
            values.append(drives(p, record(make_subject(crs_peak=2.0)), c, 4.5))
        taken.append([a - b for a, b in zip(*values, strict=True)][:2])
    assert taken[0] == pytest.approx(taken[1], rel=1e-12) and taken[0][0] > 0.5


# --- wide events after ICANS


@given(u=st.floats(-20.0, 40.0), g=st.floats(0.3, 3.0), d=st.floats(0.05, 0.6), ratio=st.floats(0.05, 1.0))
def test_the_wide_drive_leaves_that_of_icans_at_its_peak(u: float, g: float, d: float, ratio: float) -> None:
    p = record(make_par(wide_decline_ratio=ratio))
    s = record(make_subject(icans_peak=1.0, icans_peak_d=25.0, icans_ascent=g, icans_decline=d))
    lead = wide_lead(p, s, 25.0 + u)
    if u <= 0.0 or ratio == 1.0:
        assert lead == 0.0
    else:
        assert -1e-12 <= lead <= (1.0 - ratio) * d * u + 1e-9
    far = 25.0 + 200.0 / g
    slope = (wide_lead(p, s, far + 1.0) - wide_lead(p, s, far)) / 1.0
    assert slope == pytest.approx((1.0 - ratio) * d, rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("ratio", [0.3, 0.6, 1.4])
def test_icans_stays_as_it_was(ratio: float) -> None:
    """Nothing but wide events differs, deaths and seizures included; these begin when they did, and end later."""
    _, _, before = untreated(2500, "axi-cel", **HOURLY)
    _, _, after = untreated(2500, "axi-cel", **HOURLY, wide_decline_ratio=ratio)
    assert same_bits(before.courses, after.courses, without=OF_WIDE) == []
    for name in ("ep_start", "duration_first", "duration_sum", "last_end_t", "ep_count", "ne_ge_t"):
        for syndrome in (Syndrome.CRS, Syndrome.ICANS):
            if name != "ne_ge_t":
                old, new = (b.courses[name][:, syndrome] for b in (before, after))
                assert np.array_equal(old, new), name
    if ratio < 1.0:
        assert np.array_equal(before.courses["ne_ge_t"], after.courses["ne_ge_t"])
    lasting = [b.courses["duration_sum"][:, Syndrome.NE] for b in (before, after)]
    longer = np.sign(lasting[1] - lasting[0]) * (1.0 if ratio < 1.0 else -1.0)
    assert (longer >= 0).all() and (longer > 0).sum() > 1000


@pytest.mark.parametrize("changes", [{"wide_decline_ratio": 0.4}, {"wide_decline_ratio": 2.0},
                                     {"wide_decline_ratio": 0.4, "n_wide": 0.5}], ids=str)  # fmt: skip
def test_icans_is_always_a_wide_event(changes: dict[str, float]) -> None:
    _, _, block = untreated(1500, **NO_DEATH, **changes)
    ill = block.changes["neuro"] > 0
    assert ill.sum() > 500 and (block.changes["wide"][ill] == 1).all()
    p, s = record(make_par(**changes)), record(make_subject(icans_peak=2.0))
    for t in np.arange(0.25, 40.0, 0.25).tolist():
        y = untreated_icans(s, t, ramp(p, t))
        assert y <= p.n[0] or is_wide(p, s, t, y)


@given(
    peak=st.floats(-0.7, 4.0), g=st.floats(0.3, 3.0), d=st.floats(0.05, 0.6), ratio=st.floats(0.1, 2.0),
    t=st.floats(0.0, 200.0),
)  # fmt: skip
def test_outside_its_window_nothing_is_wide(peak: float, g: float, d: float, ratio: float, t: float) -> None:
    arm = make_arm("axi-cel", None, wide_decline_ratio=ratio)
    clinic = record(arm.clinic)
    s = record(make_subject(icans_peak=peak, icans_peak_d=7.0, icans_ascent=g, icans_decline=d))
    c = record(new_course())
    begin(clinic, s, c, record(np.zeros(1, LOG)), np.uint64(0), np.uint64(0))
    if not c.neuro_from <= t <= c.neuro_to:
        assert not is_wide(clinic.par, s, t, untreated_icans(s, t, ramp(clinic.par, t)))
    assert c.fit_to <= max(c.neuro_to, -math.inf)
    assert window(peak, 7.0, g, d, clinic.par.n_wide)[0] >= c.neuro_from - 1e-6


# --- both: exact, whoever looks


@pytest.mark.parametrize("policy", ["no_treatment", "asco_2021"])
def test_no_drug_raises_anybodys_latent_peak(policy: str) -> None:
    """Tocilizumab on day 1 and a steroid, signs apart: no latent level above the untreated one."""
    none = make_arm("axi-cel", None, **NO_HAZARD, **APART)
    cohort, subjects = none.draw(2000)
    before = none.run(cohort, subjects).courses
    after = make_arm("axi-cel", policy_of(policy, add=["toci_d1", "dex_d0_2"]), **NO_HAZARD, **APART)
    treated = after.run(cohort, subjects).courses
    for name in ("max_support", "max_fever", "max_neuro", "wide_reached"):
        assert (treated[name] <= before[name]).all(), name
    assert (treated["max_support"] < before["max_support"]).sum() > 500


@pytest.mark.parametrize("lag", [0.3, 1.7])
@pytest.mark.parametrize("plan", [[], ["toci_d1"], ["dex_d0_2"]])
def test_looking_more_often_changes_no_bit_of_the_latent_course(plan: list[str], lag: float) -> None:
    found: list[Any] = []
    for hours, skip in ((1.0, 0.0), (6.0, 1.0), (24.0, 1.0)):
        policy = policy_of("no_treatment", add=plan) if plan else None
        looks = {"ward_h": hours, "icu_h": hours, "home_h": hours, "skip": skip}
        arm = make_arm("axi-cel", policy, **looks, **NO_HAZARD, **(APART | {"support_lag_d": lag}))
        found.append(arm.run(*arm.draw(1500)).courses)
    for name in ("max_support", "max_fever", "max_neuro", "wide_reached"):
        assert np.array_equal(found[0][name], found[1][name]), name
        assert np.array_equal(found[0][name], found[2][name]), name


def test_what_was_seen_was_there() -> None:
    """Looks on grid points see no more than the latent course had; on the ward, where all is seen but the ICU's, no
    less of wide events."""
    same = {"ward_h": 4.0, "icu_h": 4.0, "min_stay_d": 40.0}
    _, _, block = untreated(2000, **same, **NO_HAZARD, **APART)
    seen = first_seen(block, block.changes["wide"] == 1) < math.inf
    assert np.array_equal(seen, block.courses["wide_reached"] == 1) and 200 < seen.sum() < 1990
    assert (block.changes["kind"] == Change.SIGNS).any() and block.changes["t"].min() >= -HOUR
