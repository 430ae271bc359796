"""Drug amounts against sums written out over all doses, whenever anybody looks; effects against MODEL 2."""

import math
from itertools import pairwise

import numpy as np
import pytest
from clinic_builder import (
    HOUR,
    NO_HAZARD,
    clinic_of,
    make_arm,
    make_par,
    make_subject,
    new_course,
    new_log,
    policy_of,
    record,
    run_one,
    same_bits,
    with_support,
)
from hypothesis import given
from hypothesis import strategies as st

from cartsim.model.drugs import (
    add_anakinra,
    add_steroid,
    add_tocilizumab,
    anakinra_amount,
    steroid_amount,
    toci_concentration,
    tocilizumab_mg,
    treated,
)
from cartsim.model.orders import end_infusion, start_infusion

PAR = make_par(ln_gamma=0.2)
P = record(PAR)
#: (day of dose, mg), in order; days may fall together
HISTORY = st.lists(st.tuples(st.floats(-1.0, 25.0), st.floats(0.5, 1000.0)), max_size=8).map(sorted)
LOOKS = st.lists(st.floats(-2.0, 60.0), max_size=6)
DRUGS = {
    "tocilizumab": (add_tocilizumab, toci_concentration),
    "steroid": (add_steroid, steroid_amount),
    "anakinra": (add_anakinra, anakinra_amount),
}


def amount_of(drug: str, doses: list[tuple[float, float]], t: float) -> float:
    """MODEL 2 as printed: a sum over every dose given by `t`."""
    total = 0.0
    for at, mg in doses:
        since = t - at
        if since < 0:
            continue
        if drug == "tocilizumab":
            total += mg / P.toci_volume_l * math.exp(-P.toci_elimination * since)
        elif drug == "steroid":
            total += mg * (2.0 ** (-since / P.steroid_slow_d) - math.exp(-since / P.steroid_fast_d))
        else:
            total += mg * (2.0 ** (-since / P.anakinra_slow_d) - math.exp(-since / P.anakinra_fast_d))
    return total


def fresh() -> np.ndarray:
    return new_course(toci_boost=1.0)


def close(found: float, wanted: float, doses: list[tuple[float, float]]) -> bool:
    """To 12 digits of what is in the body; an amount is a difference of two sums."""
    return found == pytest.approx(wanted, rel=1e-12, abs=1e-12 * sum(mg for _, mg in doses))


@pytest.mark.parametrize("drug", DRUGS)
@given(doses=HISTORY, looks=LOOKS)
def test_amounts_are_sums_over_doses(drug: str, doses: list[tuple[float, float]], looks: list[float]) -> None:
    """At every dose, between doses and long after, read in any order and as often as one likes."""
    give, read = DRUGS[drug]
    course = fresh()
    c = record(course)
    for number, (at, mg) in enumerate(doses):
        give(P, c, mg, at)
        until = doses[number + 1][0] if number + 1 < len(doses) else math.inf
        for t in [look for look in looks if at <= look <= until] + [at]:
            given_by_then = [dose for dose in doses[: number + 1] if dose[0] <= t]
            assert close(read(P, c, t), amount_of(drug, given_by_then, t), doses)
    if not doses:
        assert all(read(P, c, t) == 0.0 for t in looks)


@pytest.mark.parametrize("drug", DRUGS)
@given(doses=HISTORY, looks=LOOKS)
def test_looking_changes_nothing(drug: str, doses: list[tuple[float, float]], looks: list[float]) -> None:
    give, read = DRUGS[drug]
    seen, unseen = fresh(), fresh()
    for at, mg in doses:
        give(P, record(seen), mg, at)
        give(P, record(unseen), mg, at)
        for t in looks:
            read(P, record(seen), t)
    assert same_bits(seen, unseen) == []


@pytest.mark.parametrize("drug", DRUGS)
@given(doses=HISTORY.filter(bool), t=st.floats(25.01, 40.0))
def test_twice_the_dose_is_twice_the_amount(drug: str, doses: list[tuple[float, float]], t: float) -> None:
    give, read = DRUGS[drug]
    once, twice = fresh(), fresh()
    for at, mg in doses:
        give(P, record(once), mg, at)
        give(P, record(twice), 2.0 * mg, at)
    assert read(P, record(twice), t) == 2.0 * read(P, record(once), t) > 0.0


def test_occupancy_after_one_labelled_dose() -> None:
    """MODEL 7's checks: one 8 mg/kg dose at 70 kg still holds 97 % of receptors after two weeks."""
    c = record(fresh())
    mg = tocilizumab_mg(P, 70.0)
    assert mg == 560.0
    add_tocilizumab(P, c, mg, 0.0)
    for day, wanted in ((1.0, 0.996), (7.0, 0.990), (14.0, 0.967)):
        amount = toci_concentration(P, c, day)
        assert amount / (amount + P.toci_kd) == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize(
    ("kg", "mg"),
    [
        (10.0, 120.0),
        (29.99, 359.88),
        (30.0, 240.0),
        (70.0, 560.0),
        (100.0, 800.0),
        (100.01, 800.0),
        (160.0, 800.0),
    ],
)
def test_labelled_dose_has_a_light_band_and_a_cap(kg: float, mg: float) -> None:
    assert tocilizumab_mg(P, kg) == pytest.approx(mg, rel=1e-14)


def test_two_days_of_dexamethasone_come_on_fast_and_go_off_slowly() -> None:
    c = record(fresh())
    for k in range(8):
        add_steroid(P, c, 10.0, 3.0 + 0.25 * k)
    amounts = [steroid_amount(P, c, t) for t in (4.75, 5.0, 6.0, 8.8, 11.6, 14.4)]
    assert amounts[1] > amounts[0] > 30.0
    # past the fast phase, half is lost in each half-life
    for before, after in pairwise(amounts[3:]):
        assert after / before == pytest.approx(0.5, rel=1e-3)


def reference(
    history: dict[str, list[tuple[float, float]]], s: np.ndarray, t: float, x0: float, late: float, y0: float
) -> tuple[float, float, float]:
    """(xS, xF, y) by MODEL 2 as printed, xS from `late`; tocilizumab counts from the end of its first infusion."""
    amount = amount_of("steroid", history["steroid"], t)
    steroid = amount / (amount + P.steroid_a50_mg) * s["steroid_size"][0]
    amount = amount_of("anakinra", history["anakinra"], t)
    anakinra = amount / (amount + P.anakinra_b50_mg)
    lowered = P.steroid_emax * steroid + P.anakinra_crs * anakinra
    x = x0 - lowered
    y = y0 - P.steroid_emax_n * steroid - P.anakinra_icans * anakinra
    block = fever_block = 0.0
    if history["tocilizumab"]:
        amount = amount_of("tocilizumab", history["tocilizumab"], t)
        since = t - history["tocilizumab"][0][0]
        occupancy = amount / (amount + P.toci_kd)
        block = occupancy * (1 - math.exp(-since / P.toci_on_support_d))
        fever_block = occupancy * (1 - math.exp(-since / P.toci_on_fever_d))
    e, r = s["toci_effect"][0], s["toci_response"][0]
    shift = P.toci_fever_ratio * e + P.toci_fever_compress * max(0.0, x - P.toci_fever_from)
    return late - lowered - e * r * block, x - r * fever_block * shift, y + P.ln_gamma * block


@given(
    toci=HISTORY, steroid=HISTORY, anakinra=HISTORY, after=st.floats(0.0, 20.0),
    x0=st.floats(-3, 5), late=st.floats(-3, 5), y0=st.floats(-3, 5), response=st.sampled_from([0.2, 1.0]),
)  # fmt: skip
def test_treated_drives_a_second_time(
    toci: list,
    steroid: list,
    anakinra: list,
    after: float,
    x0: float,
    late: float,
    y0: float,
    response: float,
) -> None:
    """Any three histories together against the printed equations."""
    history = {"tocilizumab": toci, "steroid": steroid, "anakinra": anakinra}
    c = record(fresh())
    for drug, doses in history.items():
        for at, mg in doses:
            DRUGS[drug][0](P, c, mg, at)
    t = max([0.0] + [at for doses in history.values() for at, _ in doses]) + after
    s = make_subject(toci_response=response, toci_effect=1.4, steroid_size=0.8)
    found = treated(P, record(s), c, t, x0, late, y0)[:3]
    assert found == pytest.approx(reference(history, s, t, x0, late, y0), rel=1e-10, abs=1e-10)


def test_repeat_boost_is_opt_in() -> None:
    for boost, wanted in ((1.0, 1.0), (1.5, 2.25)):
        p = record(make_par(toci_boost=boost))
        c = record(fresh())
        for t in (1.0, 2.0, 3.0):
            add_tocilizumab(p, c, 500.0, t)
        assert c.toci_boost == wanted


def test_nothing_of_tocilizumab_before_its_infusion_ends() -> None:
    clinic = clinic_of(make_par(**NO_HAZARD))
    subject, course, log = (
        make_subject(),
        new_course(toci_boost=1.0, toci_mg=560.0, toci_t=math.inf),
        new_log(),
    )
    s, c = record(subject), record(course)
    start_infusion(record(clinic), s, c, record(log), 2.0)
    stop = float(course["toci_stop"][0])
    assert stop == pytest.approx(2.0 + HOUR, rel=1e-15)
    p = record(clinic).par
    for t in (2.0, 2.02, stop - 1e-9, stop):
        assert toci_concentration(p, c, t) == 0.0
        assert treated(p, s, c, t, 1.7, 1.7, 0.4) == (1.7, 1.7, 0.4, 1.7, 0.0)
    assert course["drugged"][0] == 0
    end_infusion(record(clinic), s, c, stop)
    assert toci_concentration(p, c, stop) == 560.0 / float(clinic["par"]["toci_volume_l"][0])
    # the block builds up from here: none at this moment
    assert treated(p, s, c, stop, 1.7, 1.7, 0.4) == (1.7, 1.7, 0.4, 1.7, 0.0)
    assert treated(p, s, c, stop + HOUR, 1.7, 1.7, 0.4)[0] < 1.7


def test_methylprednisolone_is_dexamethasone_by_its_factor() -> None:
    """160 mg do exactly what 30 mg dexamethasone do; only the log tells them apart."""
    factor = float(make_par()["methylpred_to_dex"][0])
    subject = with_support(2.0, peak_d=3.0)
    blocks = []
    for drug, mg in (("methylprednisolone", 160.0), ("dexamethasone", 160.0 * factor)):
        policy = policy_of({}, prophylaxis={"p": {"drug": drug, "mg": mg, "at_h": [24, 48, 96]}})
        blocks.append(run_one(make_arm(policy=policy, **NO_HAZARD), subject))
    assert factor == 0.1875
    assert blocks[0].courses["steroid_mg"][0] == 90.0
    assert same_bits(blocks[0].courses, blocks[1].courses) == []
    assert same_bits(blocks[0].changes, blocks[1].changes) == []
    assert same_bits(blocks[0].doses, blocks[1].doses) == ["drug", "mg"]


@pytest.mark.parametrize(("kg", "scale"), [(20.0, 3.5), (39.9, 70 / 39.9), (40.0, 1.0), (90.0, 1.0)])
def test_small_bodies_get_more_out_of_a_milligram(kg: float, scale: float) -> None:
    policy = policy_of({}, prophylaxis={"p": {"drug": "dexamethasone", "mg": 10, "at_h": 24}})
    arm = make_arm("tisa-cel-all", policy, **NO_HAZARD)
    cohort, subjects = arm.draw(1)
    assert subjects["steroid_scale"][0] == (
        70 / cohort["weight_kg"][0] if cohort["weight_kg"][0] < 40 else 1.0
    )
    subjects = make_subject(weight_kg=kg, steroid_scale=scale)
    course = run_one(arm, subjects).courses
    assert course["steroid_slow"][0] == pytest.approx(10.0 * scale)
    assert course["steroid_mg"][0] == 10.0, "the summary counts what was given, not what it did"
