"""Doses over whole cohorts: labelled limits, delays, the rule behind every dose, and that doses do something."""

from functools import cache

import numpy as np
import pytest
from clinic_builder import HOUR, NO_DEATH, PRODUCTS, make_arm, policy_of, same_bits

from cartsim.drivers.batch import Block
from cartsim.terms import Change, Drug

TOCI, DEX, METHYL, ANA = (int(drug) for drug in Drug)


@cache
def stress(product: str, outpatient: bool) -> Block:
    """Everybody sick, treated at every grade, with prophylaxis in the way."""
    dex = {"drug": "dexamethasone", "mg": 10, "every_h": 6, "until": {"crs": "<=0"}, "taper": "rapid"}
    ana = {"drug": "anakinra", "mg": 100, "every_h": 6, "until": {"icans": "<=0"}}
    rules = {
        "toci": {"when": {"crs": ">=1"}, "give": {"drug": "tocilizumab", "repeat_h": 8, "max_doses": 4}},
        "dex": {"when": {"crs": ">=1"}, "give": dex},
        "methyl": {"when": {"crs": ">=3"}, "give": {"drug": "methylprednisolone", "schedule": "pulse_500"}},
        "ana": {"when": {"icans": ">=1"}, "give": ana},
    }
    planned = {
        "t": {"drug": "tocilizumab", "at_h": [15, 17, 40, 60]},
        "d": {"drug": "dexamethasone", "mg": 10, "at_h": -1},
    }
    policy = policy_of(rules, prophylaxis=planned)
    arm = make_arm(
        product, policy, outpatient=float(outpatient), clinic_h=6.0, home_h=5.0, hazard_crs=0.3, ice_error=0.1
    )
    return arm.run(*arm.draw(1500))


def by_subject(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[rows["row"] == row] for row in np.unique(rows["row"])]


@pytest.mark.parametrize("outpatient", [False, True])
@pytest.mark.parametrize("product", PRODUCTS)
def test_tocilizumab_never_breaks_its_label(product: str, outpatient: bool) -> None:
    """Starts 8 h apart, at most 4 in all, at most 3 within 24 h, never above 800 mg."""
    toci = stress(product, outpatient).doses
    toci = toci[toci["drug"] == TOCI]
    assert toci["mg"].max() <= 800.0 and len(toci) > 1500
    for rows in by_subject(toci):
        t = rows["t_start"]
        assert len(t) <= 4 and rows["dose_no"].tolist() == list(range(1, len(t) + 1))
        assert (np.diff(t) >= 8 * HOUR - 1e-9).all()
        assert all(((t >= start) & (t < start + 1.0 - 1e-9)).sum() <= 3 for start in t)


@pytest.mark.parametrize("product", PRODUCTS)
def test_delays_on_the_ward_are_one_to_two_hours(product: str) -> None:
    """From order to tocilizumab, and to the first dose of each steroid or anakinra course; prophylaxis has none."""
    rows = stress(product, False).doses
    wait = (rows["t_start"] - rows["t_order"]) * 24
    assert (wait[rows["prophylactic"] == 1] == 0).all()
    toci = wait[(rows["drug"] == TOCI) & (rows["prophylactic"] == 0)]
    assert toci.min() >= 1.0 - 1e-9 and toci.max() <= 2.0 + 1e-9
    other = rows[(rows["drug"] != TOCI) & (rows["prophylactic"] == 0)]
    _, first = np.unique(other[["row", "t_order", "rule_no"]], return_index=True)
    started = (other["t_start"] - other["t_order"])[first] * 24
    assert started.min() >= 1.0 - 1e-9 and started.max() <= 2.0 + 1e-9


@pytest.mark.parametrize("outpatient", [False, True])
@pytest.mark.parametrize("product", PRODUCTS)
def test_every_dose_names_its_rule_and_the_rules_drug(product: str, outpatient: bool) -> None:
    rows = stress(product, outpatient).doses
    drug_of_rule = np.array([TOCI, DEX, METHYL, ANA, TOCI, DEX])
    assert rows["rule_no"].min() >= 0 and rows["rule_no"].max() == 5
    assert np.array_equal(rows["drug"], drug_of_rule[rows["rule_no"]])
    assert np.array_equal(rows["prophylactic"] == 1, rows["rule_no"] >= 4)
    assert (rows["t_order"] <= rows["t_start"]).all() and (rows["t_start"] <= rows["t_end"]).all()


@pytest.mark.parametrize("product", PRODUCTS)
def test_summaries_add_up_to_the_doses(product: str) -> None:
    block = stress(product, False)
    rows, courses = block.doses, block.courses
    for prefix, drugs in (("toci", [TOCI]), ("steroid", [DEX, METHYL]), ("anakinra", [ANA])):
        mine = rows[np.isin(rows["drug"], drugs)]
        count = np.bincount(mine["row"], minlength=len(courses))
        factor = np.where(mine["drug"] == METHYL, 0.1875, 1.0)
        mg = np.bincount(mine["row"], mine["mg"] * factor, minlength=len(courses))
        assert np.array_equal(count, courses[f"{prefix}_doses"])
        assert np.allclose(mg, courses["toci_mg_total" if prefix == "toci" else f"{prefix}_mg"], rtol=1e-12)
    steroids = rows[np.isin(rows["drug"], [DEX, METHYL])]
    days = {(row, int(np.floor(t))) for row, t in zip(steroids["row"], steroids["t_start"], strict=True)}
    assert np.array_equal(
        np.bincount([row for row, _ in days], minlength=len(courses)), courses["steroid_days"]
    )


@pytest.mark.parametrize("product", PRODUCTS)
def test_no_policy_gives_no_drug(product: str) -> None:
    for policy in (None, policy_of({}), policy_of("no_treatment")):
        arm = make_arm(product, policy)
        block = arm.run(*arm.draw(500))
        assert len(block.doses) == 0
        for name in ("toci_doses", "steroid_doses", "anakinra_doses", "drugged", "toci_conc", "steroid_slow"):
            assert not block.courses[name].any()
        assert not np.isin(
            block.changes["kind"], [Change.ORDER, Change.STEROID_TAPER, Change.STEROID_STOP]
        ).any()


@pytest.mark.parametrize("drug", [TOCI, DEX, METHYL, ANA])
def test_twice_the_dose_changes_the_course(drug: int) -> None:
    """In rules and in prophylaxis: an exact zero would mean that doses do nothing (MODEL 2)."""
    named = Drug(drug).name.lower()
    dosed = {"drug": named, "mg": 300 if drug == TOCI else 8}
    more = {} if drug == TOCI else {"every_h": 12, "max_doses": 4}
    for policy in (
        policy_of({"r": {"when": {"crs": ">=1"}, "give": dosed | more}}),
        policy_of({}, prophylaxis={"p": dosed | {"at_h": [24, 48]}}),
    ):
        arm = make_arm("axi-cel", policy, **NO_DEATH)
        cohort, subjects = arm.draw(300)
        before = arm.run(cohort, subjects)
        arm.clinic["actions"]["mg"] *= 2
        arm.clinic["prophylaxis"]["mg"] *= 2
        after = arm.run(cohort, subjects)
        moved = before.courses["max_support"] != after.courses["max_support"]
        assert moved.mean() > 0.1, "latent peaks move with the dose"
        assert "mg" in same_bits(before.doses[:1], after.doses[:1])
