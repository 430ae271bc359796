"""The latent course does not know who looks: peaks, death and seizures are the same at any interval, and are the
maximum over the grid computed a second time in NumPy."""

import math
from functools import cache

import numpy as np
import pytest
from clinic_builder import (
    APART,
    HOUR,
    NO_DEATH,
    NO_HAZARD,
    PRODUCTS,
    REGISTRY,
    Arm,
    make_arm,
    make_par,
    policy_of,
    record,
)
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from cartsim.drivers.batch import Block
from cartsim.model.disease import ramp, untreated_crs, untreated_icans
from cartsim.model.latent import grid_index
from cartsim.model.peaks import latent_peaks
from cartsim.model.signs import support_threshold

PEAKS = ("max_support", "max_fever", "max_neuro")
PLANS = {
    "nothing": {},
    "tocilizumab before": {"p": {"drug": "tocilizumab", "at_h": -1}},
    "tocilizumab on day 1": {"p": {"drug": "tocilizumab", "at_h": 24}},
    "dexamethasone days 0-2": {"p": {"drug": "dexamethasone", "mg": 10, "at_h": [-1, 24, 48]}},
    "dexamethasone at 40 mg": {"p": {"drug": "dexamethasone", "mg": 40, "at_h": [30, 54, 78, 102]}},
    "anakinra for a week": {"p": {"drug": "anakinra", "mg": 100, "at_h": [12.0 * k for k in range(14)]}},
    "everything": {
        "a": {"drug": "tocilizumab", "at_h": [37, 85.5]},
        "b": {"drug": "methylprednisolone", "mg": 125, "at_h": [50, 62, 130]},
        "c": {"drug": "anakinra", "mg": 200, "at_h": [70.25, 71, 90]},
    },
}


def arm_of(plan: str, product: str = "axi-cel", **changes: float) -> Arm:
    return make_arm(product, policy_of({}, prophylaxis=PLANS[plan]), **(NO_HAZARD | changes))


@cache
def planned(plan: str, product: str = "axi-cel") -> Block:
    arm = arm_of(plan, product)
    return arm.run(*arm.draw(2000))


@given(t=st.floats(-3.0, 70.0), hours=st.sampled_from([1.0, 2.0, 3.0, 4.0, 5.0, 12.0]))
def test_the_grid_begins_at_infusion(t: float, hours: float) -> None:
    p = record(make_par(grid_h=hours))
    k = grid_index(p, t)
    step = hours / 24.0
    assert k * step <= t < (k + 1) * step


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("ward_h", [1.0, 2.0, 3.0, 12.0, 24.0])
def test_looking_more_often_changes_no_bit_of_the_latent_course(plan: str, ward_h: float) -> None:
    arm = arm_of(plan, ward_h=ward_h, icu_h=ward_h / 2, home_h=2 * ward_h, skip=0.0, want_changes=0.0)
    courses = arm.run(*arm.draw(2000)).courses
    for name in PEAKS:
        assert np.array_equal(courses[name], planned(plan).courses[name]), name


@pytest.mark.parametrize("plan", ["nothing", "everything"])
def test_nor_does_being_at_home(plan: str) -> None:
    arm = arm_of(plan, outpatient=1.0, clinic_h=7.0, home_h=31.0)
    courses = arm.run(*arm.draw(2000)).courses
    assert all(np.array_equal(courses[name], planned(plan).courses[name]) for name in PEAKS)


@pytest.mark.parametrize("ward_h", [1.0, 4.0, 12.0, 24.0])
def test_death_and_seizure_come_at_their_own_time(ward_h: float) -> None:
    """With a hazard that is the same inside an ICU and out, the moment of death does not know the interval."""
    deadly = {"hazard_crs": 0.6, "hazard_icans": 0.4, "hazard_seizure": 0.3, "hazard_no_icu": 1.0}
    found = []
    for hours in (6.0, ward_h):
        arm = make_arm("axi-cel", ward_h=hours, icu_h=hours, home_h=hours, **deadly)
        found.append(arm.run(*arm.draw(3000)).courses)
    for name in ("dead", "death_t", "cause", "seizure_t", "seizure_logged", "end", *PEAKS):
        late = (found[0]["seizure_t"] > found[0]["end"]) | (found[1]["seizure_t"] > found[1]["end"])
        keep = ~late if name.startswith("seizure") else np.ones(len(late), bool)
        assert np.array_equal(found[0][name][keep], found[1][name][keep]), name
    assert 0.05 < found[0]["dead"].mean() < 0.9 and found[0]["seizure_logged"].sum() > 20


# --- the grid a second time


def amounts(p: np.ndarray, doses: np.ndarray, scale: float, t: np.ndarray) -> tuple[np.ndarray, ...]:
    """Tocilizumab mg/L, its end of first infusion, steroid and anakinra mg at `t`, from one subject's dose rows."""
    since = t[:, None] - np.where(doses["drug"] == 0, doses["t_end"], doses["t_start"])[None, :]
    past, since = since >= 0, np.maximum(since, 0.0)
    drug = doses["drug"]
    toci = np.where(
        past & (drug == 0), doses["mg"] / p["toci_volume_l"] * np.exp(-p["toci_elimination"] * since), 0
    )
    mg = doses["mg"] * np.where(drug == 2, p["methylpred_to_dex"], 1.0) * scale
    steroid = mg * (2.0 ** (-since / p["steroid_slow_d"]) - np.exp(-since / p["steroid_fast_d"]))
    anakinra = doses["mg"] * (2.0 ** (-since / p["anakinra_slow_d"]) - np.exp(-since / p["anakinra_fast_d"]))
    first = doses["t_end"][drug == 0].min() if (drug == 0).any() else math.inf
    return (
        toci.sum(axis=1),
        first,
        np.where(past & np.isin(drug, [1, 2]), steroid, 0).sum(axis=1),
        np.where(past & (drug == 3), anakinra, 0).sum(axis=1),
    )


def peaks_by_hand(
    p: np.ndarray, s: np.ndarray, doses: np.ndarray, end: float
) -> tuple[float, float, float, float]:
    """Largest xS, xF, y and wide y over the grid from infusion to `end`, MODEL 1 and 2 in NumPy."""
    t = np.arange(1, int(end * 24 / p["grid_h"] + 1e-9) + 1) * (p["grid_h"] / 24.0)

    def curve(peak: float, at: float, g: float, d: float, t: np.ndarray = t) -> np.ndarray:
        w = d / (g + d)
        bump = -np.logaddexp(np.log(w) - g * (t - at), np.log1p(-w) + d * (t - at))
        with np.errstate(divide="ignore"):
            return peak + bump + np.log(-np.expm1(-((np.maximum(t, 0.0) / p["ramp_d"]) ** 2)))

    crs = (s["crs_peak"], s["crs_peak_d"], s["crs_ascent"], s["crs_decline"])
    x0, late = curve(*crs), curve(*crs, t - p["support_lag_d"])
    icans = (s["icans_peak"], s["icans_peak_d"], s["icans_ascent"])
    y0 = curve(*icans, s["icans_decline"])
    slow = curve(*icans, p["wide_decline_ratio"] * s["icans_decline"])
    lead = np.where(t > s["icans_peak_d"], slow - y0, 0.0)
    toci, first, steroid, anakinra = amounts(p, doses, s["steroid_scale"], t)
    d_s = steroid / (steroid + p["steroid_a50_mg"]) * s["steroid_size"]
    d_a = anakinra / (anakinra + p["anakinra_b50_mg"])
    lowered = p["steroid_emax"] * d_s + p["anakinra_crs"] * d_a
    x = x0 - lowered
    occupancy = toci / (toci + p["toci_kd"])
    since = np.maximum(t - first, 0.0)
    on_s, on_f = (1 - np.exp(-since / p[name]) for name in ("toci_on_support_d", "toci_on_fever_d"))
    e, r = s["toci_effect"], s["toci_response"]
    support = late - lowered - e * r * occupancy * on_s
    shift = p["toci_fever_ratio"] * e + p["toci_fever_compress"] * np.maximum(0, x - p["toci_fever_from"])
    fever = x - r * occupancy * on_f * shift
    y = y0 - p["steroid_emax_n"] * d_s - p["anakinra_icans"] * d_a + p["ln_gamma"] * occupancy * on_s
    return float(support.max()), float(fever.max()), float(y.max()), float((y + lead).max())


@pytest.mark.parametrize(
    "changes",
    [{"ln_gamma": 0.0}, {"ln_gamma": 0.4}, APART, APART | {"ln_gamma": 0.4, "n_wide": -0.2}],
    ids=str,
)
@pytest.mark.parametrize("plan", [*PLANS, "asco"])
@pytest.mark.parametrize("product", ["axi-cel", "tisa-cel-all"])
def test_latent_peaks_are_the_largest_values_on_the_grid(
    product: str, plan: str, changes: dict[str, float]
) -> None:
    """Treated as planned, or by rules, dose by dose as logged. What cannot be seen is not followed: -inf."""
    policy = policy_of("asco_2021") if plan == "asco" else policy_of({}, prophylaxis=PLANS[plan])
    arm = make_arm(product, policy, **(NO_HAZARD | changes))
    cohort, subjects = arm.draw(300)
    block = arm.run(cohort, subjects)
    p = arm.clinic["par"][0]
    levels = latent_peaks(arm.clinic, subjects, block.courses)
    found = 0
    for row, (s, course) in enumerate(zip(subjects, block.courses, strict=True)):
        support, fever, neuro, wide = peaks_by_hand(p, s, block.doses[block.doses["row"] == row], 30.0)
        if support > support_threshold(record(arm.clinic).par, record(subjects[row : row + 1])):
            assert course["max_support"] == pytest.approx(support, rel=1e-10)
            found += 1
        # only whether there was fever is ever read from this one
        assert (course["max_fever"] > 0) == (fever > 0)
        if neuro > min(p["n"][0], p["n_wide"]):
            assert course["max_neuro"] == pytest.approx(neuro, rel=1e-10)
        assert levels["wide"][row] == (wide > p["n_wide"])
    assert found > 60


def test_untreated_peaks_are_found_without_walking_the_grid() -> None:
    arm = arm_of("nothing")
    _, subjects = arm.draw(100)
    courses = planned("nothing").courses[:100]
    p = record(arm.clinic).par
    t = np.arange(1, 181) * 4 * HOUR
    for row in range(100):
        s = record(subjects[row : row + 1])
        for name, curve, visible in (
            ("max_support", untreated_crs, support_threshold(p, s)),
            ("max_neuro", untreated_icans, float(p.n_wide)),
        ):
            brute = max(curve(s, float(at), ramp(p, float(at))) for at in t)
            if brute > visible:
                assert courses[row][name] == pytest.approx(brute, rel=1e-13)


def test_peaks_as_levels() -> None:
    arm = arm_of("dexamethasone days 0-2")
    _, subjects = arm.draw(2000)
    block = planned("dexamethasone days 0-2")
    levels = latent_peaks(arm.clinic, subjects, block.courses)
    p = arm.clinic["par"][0]
    x, y = block.courses["max_support"], block.courses["max_neuro"]
    for axis, name in enumerate(("h", "o", "liver", "kidney")):
        over = (x + subjects["eps"][:, axis])[:, None] > p[name][None, :]
        assert np.array_equal(levels["level"][:, axis], over.sum(axis=1))
    assert np.array_equal(levels["neuro"], (y[:, None] > p["n"][None, :]).sum(axis=1))
    assert np.array_equal(levels["wide"], y > p["n_wide"])
    assert np.array_equal(levels["fever"], block.courses["max_fever"] > 0)
    assert levels["counts"].all(), "a steroid was given to all: fever is waived"


def test_latent_levels_are_at_least_the_observed_ones() -> None:
    """Looks on grid points cannot see more than the grid did; on the ward, where all is seen but the ICU's, no less."""
    arm = make_arm("axi-cel", ward_h=4.0, icu_h=4.0, min_stay_d=40.0, **NO_HAZARD)
    cohort, subjects = arm.draw(3000)
    block = arm.run(cohort, subjects)
    latent = latent_peaks(arm.clinic, subjects, block.courses)
    assert (latent["level"] >= block.courses["peak_level"]).all()
    stayed = block.courses["icu_days"] == 0
    assert 500 < stayed.sum() < 2900
    assert np.array_equal(latent["level"][stayed], block.courses["peak_level"][stayed])


# --- drugs help the latent course, always


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("plan", [name for name in PLANS if name != "nothing"])
def test_no_drug_raises_anybodys_latent_peak(product: str, plan: str) -> None:
    """2000 subjects, no other rule: support never higher than untreated (tocilizumab included), nor is ICANS."""
    before, after = planned("nothing", product).courses, planned(plan, product).courses
    for name in PEAKS:
        assert (after[name] <= before[name]).all(), name
    lowered = (after["max_support"] < before["max_support"]).sum()
    assert lowered > 200
    if "tocilizumab" in plan:
        assert np.array_equal(after["max_neuro"], before["max_neuro"]), (
            "tocilizumab never subtracts from ICANS"
        )
    else:
        assert (after["max_neuro"] < before["max_neuro"]).sum() > 10


def test_icans_under_tocilizumab_is_shifted_only_where_the_switch_says() -> None:
    for shift, sign in ((0.0, 0), (0.3, 1), (-0.2, -1)):
        arm = arm_of("tocilizumab before", ln_gamma=shift)
        after = arm.run(*arm.draw(2000)).courses["max_neuro"]
        before = planned("nothing").courses["max_neuro"]
        both = np.isfinite(after) & np.isfinite(before)
        assert both.sum() > 1000 and (np.sign(after[both] - before[both]) == sign).all()


def test_hazard_is_the_share_that_dies() -> None:
    """Everybody on several pressors in the ICU from day 1: deaths by day 10 are 1 - exp(-0.06 * time in harm)."""
    arm = make_arm(hazard_background=0.0, hazard_icans=0.0, hazard_no_icu=1.0, horizon_d=10.0)
    cohort, subjects = arm.draw(4000)
    subjects["crs_peak"], subjects["crs_peak_d"] = 9.0, 1.0
    subjects["crs_ascent"], subjects["crs_decline"] = 2000.0, 1e-3
    courses = arm.run(cohort, subjects).courses
    died = courses["death_t"][courses["dead"] == 1]
    # harm is booked by the grid step that begins in it: from the point at 24 h
    u = 1 - np.exp(-0.06 * (died - 1.0))
    limit = 1 - math.exp(-0.06 * 9.0)
    assert abs(len(died) / 4000 - limit) < special.ndtri(1 - 1e-6) * math.sqrt(limit * (1 - limit) / 4000)
    assert np.allclose(
        np.sort(courses["hazard_crs"][courses["dead"] == 1]), np.sort(0.06 * (died - 1.0)), atol=1e-9
    )
    assert u.max() <= limit + 1e-12 and (courses["cause"][courses["dead"] == 1] == 1).all()


def test_without_an_icu_harm_is_multiplied() -> None:
    """Nobody is let into an ICU: the same subjects die three times as fast."""
    times = []
    for factor, icu_bp in ((3.0, 9.0), (1.0, 9.0)):
        arm = make_arm(hazard_background=0.0, hazard_icans=0.0, hazard_no_icu=factor, icu_bp=icu_bp, icu_oxygen=9.0,
                       icu_neuro=9.0, horizon_d=400.0)  # fmt: skip
        cohort, subjects = arm.draw(500)
        subjects["crs_peak"], subjects["crs_peak_d"] = 99.0, 1.0
        subjects["crs_ascent"], subjects["crs_decline"] = 2000.0, 1e-3
        courses = arm.run(cohort, subjects).courses
        assert courses["dead"].mean() > 0.99
        times.append(courses["death_t"] - 1.0)
    both = np.isfinite(times[0]) & np.isfinite(times[1])
    assert np.allclose(times[1][both], 3.0 * times[0][both], rtol=1e-9)


def test_background_deaths_follow_their_hazard_and_no_death_none() -> None:
    numbers = REGISTRY.numbers()
    arm = make_arm(hazard_crs=0.0, hazard_icans=0.0)
    courses = arm.run(*arm.draw(4000)).courses
    dead = courses["dead"] == 1
    assert np.array_equal(courses["cause"][dead], np.full(dead.sum(), 3))
    threshold = arm.draw(4000)[1]["death_threshold"]
    assert np.array_equal(dead, threshold / numbers["death.background_per_d"] < 30.0)
    none = make_arm(**NO_DEATH)
    assert not none.run(*none.draw(4000)).courses["dead"].any()
