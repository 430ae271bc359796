"""Scheduled antipyretics hide fever from the bedside, and only there; ASTCT waives a fever they may have hidden."""

import math
from typing import Any

import numpy as np
import pytest
from clinic_builder import (
    NO_HAZARD,
    Arm,
    make_arm,
    make_par,
    make_subject,
    record,
    run_one,
    same_bits,
    with_fever,
)
from scipy import stats

from cartsim.drivers.batch import Block
from cartsim.model.signs import temperature_c
from cartsim.terms import Change, CrsScale

REJECT = 1e-6
EVERYBODY = {"antipyretic_share": 1.0, "antipyretic_lowers_c": 1.0}
#: Drive at which the temperature is 39 degrees: where it is lowered by one, fever begins to be seen.
P = record(make_par())
MASKED_TO = P.temp_mid - math.log(P.temp_rise / (39.0 - P.temp_base) - 1.0) / P.temp_slope


def febrile(peak: float, **fields: Any) -> np.ndarray:
    """Fever at once on day 2 from drive `peak`, falling by 0.1 a day; no other sign unless `fields` say so."""
    no_signs = np.full(4, -30.0)
    jump = {"crs_peak_d": 2.0, "crs_ascent": 2000.0, "crs_decline": 0.1, "eps": no_signs}
    return make_subject(crs_peak=peak, **(jump | fields))


def signs(arm: Arm, subject: np.ndarray) -> list[tuple[float, int]]:
    """(hour, fever) of each change of signs."""
    rows = run_one(arm, subject).changes
    rows = rows[rows["kind"] == Change.SIGNS]
    return [(round(float(row["t"]) * 24, 6), int(row["fever"])) for row in rows]


def arm_with(**changes: float) -> Arm:
    return make_arm(**(NO_HAZARD | EVERYBODY | changes))


def test_the_drive_of_39_degrees() -> None:
    assert temperature_c(P, MASKED_TO) == pytest.approx(39.0)
    assert temperature_c(P, 0.0) == pytest.approx(38.0, abs=0.01)


def test_the_first_fever_is_seen_and_what_stays_below_39_then_is_not() -> None:
    """Looks every 6 h: fever from 48 h is seen at 54 h (the peak is on the look at 48 h itself), gone 6 h later."""
    below = signs(arm_with(), febrile(MASKED_TO - 0.05))
    assert [fever for _, fever in below] == [1, 0] and below[1][0] == below[0][0] + 6.0


def test_what_rises_above_39_is_seen_until_it_falls_below() -> None:
    """0.2 above the masked drive, falling by 0.1 a day: seen for 2 days, then hidden though the fever goes on."""
    hidden = signs(arm_with(), febrile(MASKED_TO + 0.2))
    plain = signs(arm_with(antipyretic_share=0.0), febrile(MASKED_TO + 0.2))
    assert [fever for _, fever in hidden] == [fever for _, fever in plain] == [1, 0]
    assert hidden[0] == plain[0]
    assert 48.0 + 48.0 - 6.0 <= hidden[1][0] <= 48.0 + 48.0 + 6.0 < plain[1][0]


def test_from_infusion_the_first_fever_is_hidden_too() -> None:
    arm = arm_with(antipyretic_from_infusion=1.0)
    assert signs(arm, febrile(MASKED_TO - 0.05)) == []
    assert signs(arm, febrile(MASKED_TO + 0.2)) == signs(arm_with(), febrile(MASKED_TO + 0.2))


def test_a_fever_of_another_cause_is_hidden_as_well() -> None:
    """It is 38.5 degrees: hidden by 0.75 degrees, seen through 0.25."""
    usual = signs(arm_with(antipyretic_share=0.0), with_fever(20, 60))
    assert signs(arm_with(antipyretic_from_infusion=1.0, antipyretic_lowers_c=0.75), with_fever(20, 60)) == []
    assert (
        signs(arm_with(antipyretic_from_infusion=1.0, antipyretic_lowers_c=0.25), with_fever(20, 60)) == usual
    )


def grade_of(block: Block) -> int:
    return int(block.courses["peak_crs"][0])


@pytest.mark.parametrize(("from_infusion", "astct"), [(1.0, 0), (0.0, 3)])
def test_astct_waives_a_hidden_fever_only_after_one_was_seen(from_infusion: float, astct: int) -> None:
    """A pressor with a fever that stays below 39: without a first fever ASTCT sees no CRS, Lee does."""
    pressor = np.array([1.6 - (MASKED_TO - 0.05), -30.0, -30.0, -30.0])
    subject = febrile(MASKED_TO - 0.05, eps=pressor)
    arm = arm_with(antipyretic_from_infusion=from_infusion, crs_scale=int(CrsScale.ASTCT2019))
    assert grade_of(run_one(arm, subject)) == astct
    lee = arm_with(antipyretic_from_infusion=from_infusion, crs_scale=int(CrsScale.LEE2014))
    assert grade_of(run_one(lee, subject)) == 2


def test_the_waiver_outlasts_the_episode() -> None:
    """A first fever on day 1 ended; a pressor on day 6 whose own fever is hidden counts, as after any masking drug."""
    pressor = np.array([1.6 - (MASKED_TO - 0.05), -30.0, -30.0, -30.0])
    fields = {"crs_peak_d": 6.0, "eps": pressor, "other_fever_start": 1.0, "other_fever_end": 1.5}
    treated = run_one(arm_with(), febrile(MASKED_TO - 0.05, **fields))
    assert grade_of(treated) == 3 and treated.courses["ep_count"][0][0] == 2


def test_the_latent_course_is_untouched() -> None:
    cohort, subjects = make_arm(**NO_HAZARD).draw(400)
    with_it, without = (
        make_arm(**(NO_HAZARD | {"antipyretic_share": share})).run(cohort, subjects).courses
        for share in (1.0, 0.0)
    )
    latent = ("max_support", "max_fever", "max_neuro", "hazard_crs", "hazard_icans")
    assert not set(same_bits(with_it, without)) & set(latent)
    assert (with_it["duration_sum"][:, 0] <= without["duration_sum"][:, 0]).all()
    assert with_it["duration_sum"][:, 0].sum() < 0.9 * without["duration_sum"][:, 0].sum()


def test_the_share_is_drawn_once_a_subject_and_a_larger_one_only_adds() -> None:
    cohort, subjects = make_arm(**NO_HAZARD).draw(2000)
    took = [
        make_arm(**(NO_HAZARD | {"antipyretic_share": share})).run(cohort, subjects).courses["antipyretic"]
        > 0
        for share in (0.0, 0.3, 0.6)
    ]
    assert not took[0].any() and (took[1] <= took[2]).all()
    for share, who in zip((0.3, 0.6), took[1:], strict=True):
        assert stats.binomtest(int(who.sum()), 2000, share).pvalue > REJECT


def test_a_rule_on_the_temperature_reads_the_lowered_one_and_so_do_samples() -> None:
    hot = febrile(MASKED_TO + 1.0, crp_base=5.0, ferritin_base=300.0)
    for share, expected in ((0.0, 0.0), (1.0, 1.0)):
        arm = arm_with(antipyretic_share=share, marker_every_h=12, want_samples=1.0)
        samples = run_one(arm, hot).samples
        at = int(np.flatnonzero(samples["hour"] == 72)[0])
        drive = MASKED_TO + 1.0 - 0.1
        assert temperature_c(P, drive) - samples["value"][at, 3] == pytest.approx(expected, abs=0.02)
