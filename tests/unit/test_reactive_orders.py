"""Orders that must neither loop nor vanish: a course that is over as it begins, a dose for neurotoxicity alone."""

from typing import Any

from cartsim.study import run

DEX = {"drug": "dexamethasone", "mg": 10, "every_h": 24}


def arm(arm_id: str, when: dict[str, Any], give: dict[str, Any]) -> dict[str, Any]:
    rules = {"x": {"when": when, "give": give}}
    return {
        "id": arm_id,
        "policy": {"id": arm_id, "scale": "lee2014", "neuro_scale": "ctcae", "rules": rules},
    }


def test_a_course_that_is_over_as_it_begins_is_not_given(probe) -> None:
    """Lee grade 2 by the liver alone: it would stop at the next look and begin again, each time with a dose."""
    off_support = {"bp_support": "none", "oxygen": "none"}
    study = run(
        probe(
            400,
            monitoring={"ward_h": 2.0, "icu_h": 2.0},
            arms=[
                arm("support", {"crs": ">=2"}, DEX | {"until": off_support}),
                arm("always", {"crs": ">=1"}, DEX | {"until": {"crs": "<=4"}}),
            ],
        )
    )
    adsl = study.table("adsl").set_index("arm_id")
    assert (adsl.loc["always", "steroid_doses"] == 0).all()
    subjects = adsl.loc["support"]
    unsupported = (subjects["bp_support_max"] == 0) & (subjects["oxygen_max"] == 0)
    by_liver = subjects[unsupported & (subjects["crs_max_lee2014"] >= 2)]
    assert len(by_liver) > 10
    assert (by_liver["steroid_doses"] == 0).all()
    assert (subjects["steroid_doses"] > 0).sum() > 50
    doses = study.table("adcm").sort_values(["subject", "t_start_d"])
    gaps_h = 24 * doses.groupby("subject", observed=True)["t_start_d"].diff().dropna()
    # support may go and come back, which begins the course anew; but never dose after dose at every look
    assert len(gaps_h) > 50
    assert gaps_h.min() > 4.1


def test_a_dose_for_neurotoxicity_does_not_need_crs(probe) -> None:
    late = {"base": "axi-cel", "overrides": {"icans_lag_d": 9.0}}
    arms = [arm("neuro", {"ne": ">=3"}, {"drug": "tocilizumab"})]
    adsl = run(probe(400, product=late, arms=arms, study={"horizon_days": 60})).table("adsl")
    alive = adsl[adsl["DTHFL"] != "Y"]
    severe = alive["ne_max_grade"] >= 3
    assert (alive["t_ne_ge3_d"] > alive["t_crs_end_d"])[severe].sum() > 10
    assert (alive["toci_doses"][severe] == 1).all()
    assert (alive["toci_doses"][~severe] == 0).all()
