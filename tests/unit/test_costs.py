"""Vials, prices and what is bought with them, against sums done by hand; prices that make no sense are refused."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

import cartsim
from cartsim.analysis.value import Increment, fieller
from cartsim.errors import InvalidInput
from cartsim.model.state import DOSE
from cartsim.scenario.load import load_scenario
from cartsim.scenario.value import Costs
from cartsim.study import run
from cartsim.sweep.value import COST_TABLES
from cartsim.tables.resources import cheapest_packs, cost_of, items_of, pack_columns
from cartsim.terms import Drug

Probe = Callable[..., dict[str, Any]]
VIALS = {"80": 150.0, "200": 350.0, "400": 650.0}
COSTS: dict[str, Any] = {
    "currency": "EUR",
    "year": 2026,
    "tocilizumab_vial_mg": VIALS,
    "anakinra_syringe_mg": {"100": 30},
    "dexamethasone_mg": 0.5,
    "ward_day": 600,
    "icu_day": 2500,
}
UTILITIES = {"crs": {"1": 0.01, "2": 0.05, "3": 0.23, "4": 0.23}, "icans": {"3": 0.18}, "alive": 0.73}
QUICK = {"tables": ["adsl", "adcm"], "endpoints": ["crs_ge3"]}


@pytest.mark.parametrize(
    ("mg", "packs"),
    [
        (560.0, (2, 0, 1)),  # 70 kg: 400 + 80 + 80 for 950, not 400 + 200 for 1000
        (480.0, (1, 0, 1)),  # exactly
        (480.0 * (1 + 1e-12), (1, 0, 1)),  # rounding of a product is no drug
        (481.0, (4, 1, 0)),  # 520 mg for 950; 400 + 80 + 80 costs the same and wastes more
        (800.0, (0, 0, 2)),
        (640.0, (3, 0, 1)),  # 1100, where 400 + 200 + 80 costs 1150
        (79.0, (1, 0, 0)),
        (0.0, (0, 0, 0)),
    ],
)
def test_cheapest_vials_by_hand(mg: float, packs: tuple[int, int, int]) -> None:
    found = cheapest_packs(VIALS, np.array([mg]))
    assert tuple(int(found[size][0]) for size in VIALS) == packs


def test_least_waste_where_the_price_is_the_same() -> None:
    """At one price a mg every exact filling costs the same; free vials are not poured away."""
    found = cheapest_packs({"80": 80, "200": 200, "400": 400}, np.array([200.0, 280.0, 300.0]))
    assert [int(found[size][1]) * float(size) for size in found] == [80.0, 200.0, 0.0]
    held = sum(found[size] * float(size) for size in found)
    assert held.tolist() == [200.0, 280.0, 320.0]
    free = cheapest_packs({"80": 0.0, "400": 0.0}, np.array([70.0]))
    assert (int(free["80"][0]), int(free["400"][0])) == (1, 0)


def test_cheapest_vials_are_the_cheapest_there_are() -> None:
    """Against every combination, for doses from 1 to 800 mg."""
    mg = np.arange(1.0, 801.0, 7.0)
    found = cheapest_packs(VIALS, mg)
    sizes, prices = np.array([80.0, 200.0, 400.0]), np.array(list(VIALS.values()))
    every = np.array(list(product(range(12), range(6), range(4))))
    for k, dose in enumerate(mg):
        fits = every[every @ sizes >= dose]
        assert sum(found[size][k] * VIALS[size] for size in VIALS) == (fits @ prices).min()


def test_cost_by_hand() -> None:
    """Two subjects: one dose of 560 mg and two of 640 mg; three syringes; the rest by amount."""
    costs = Costs.model_validate(COSTS)
    doses = np.zeros(6, DOSE)
    doses["row"] = (0, 1, 1, 1, 1, 1)
    doses["drug"] = (Drug.TOCILIZUMAB,) * 3 + (Drug.ANAKINRA,) * 3
    doses["mg"] = (560.0, 640.0, 640.0, 100.0, 100.0, 80.0)
    packs = pack_columns(costs, 2, doses)
    assert {name: values.tolist() for name, values in packs.items()} == {
        "toci_vials_80": [2, 6],
        "toci_vials_200": [0, 0],
        "toci_vials_400": [1, 2],
        "anakinra_syringes_100": [0, 3],
    }
    amounts = {
        "steroid_mg_dex_eq": np.array([40.0, 0.0]),
        "ward_days": np.array([7.5, 9.0]),
        "icu_days": np.array([0.0, 2.0]),
    }
    expected = [950 + 20 + 4500, 2200 + 90 + 5400 + 5000]
    assert cost_of(costs, packs | amounts).tolist() == expected


def test_fieller_by_hand() -> None:
    """No covariance, ratio 1000 / 0.1: the roots of (1000 - 0.1 r)^2 = t^2 (vc + r^2 ve)."""
    lower, upper = fieller(1000.0, 0.1, 100.0**2, 0.01**2, 0.0, 2.0)
    for root in (lower, upper):
        assert (1000.0 - 0.1 * root) ** 2 == pytest.approx(4.0 * (100.0**2 + root**2 * 0.01**2))
    assert lower < 10_000 < upper
    # effect not clear of 0: no bounds, and none for a single subject
    assert np.isnan(fieller(1000.0, 0.01, 100.0**2, 0.01**2, 0.0, 2.0)).all()
    assert np.isnan(Increment(0, "a", 1, 1.0, 1.0, 0.0, 0.0, 0.0).interval(0.95)).all()


def test_fieller_covers() -> None:
    """The true ratio lies within the 95 % interval about 95 times in 100 (400 correlated samples of 300)."""
    rng = np.random.default_rng(20261122)
    inside = 0
    for _ in range(400):
        avoided = rng.binomial(1, 0.3, 300) - rng.binomial(1, 0.1, 300)
        cost = 500.0 + 300.0 * rng.standard_normal(300) + 800.0 * avoided
        pairs = np.cov(np.array([cost, avoided])) / 300
        lower, upper = fieller(cost.mean(), avoided.mean(), pairs[0, 0], pairs[1, 1], pairs[0, 1], 1.968)
        inside += lower <= (500.0 + 800.0 * 0.2) / 0.2 <= upper
    print(f"covered {inside} of 400")
    # binomial(400, 0.95) lies outside 358 to 397 with a chance below 1e-6
    assert 358 <= inside <= 397


@pytest.fixture(scope="module")
def priced(probe: Probe) -> cartsim.Study:
    return run(probe(400, costs=COSTS, utilities=UTILITIES, reference="none", outputs=QUICK))


def test_costs_of_a_run_can_be_added_up_from_its_doses(priced: cartsim.Study) -> None:
    """Vials from adcm, days and steroid from adsl: the mean cost, its difference and the table of resources."""
    adsl, adcm = priced.table("adsl"), priced.table("adcm")
    drug_cost = 0.0
    for drug, prices in (("TOCILIZUMAB", VIALS), ("ANAKINRA", {"100": 30.0})):
        given = adcm[drug == adcm.CMDECOD]
        packs = cheapest_packs(prices, given.CMDOSE.to_numpy(float))
        price = sum(packs[size] * prices[size] for size in prices)
        by_subject = given.assign(price=price).groupby("USUBJID").price.sum()
        drug_cost = drug_cost + adsl.USUBJID.map(by_subject).fillna(0.0).to_numpy(float)
    cost = (
        drug_cost
        + 0.5 * adsl.steroid_mg_dex_eq.to_numpy()
        + 600 * adsl.ward_days.to_numpy()
        + 2500 * adsl.icu_days.to_numpy()
    )
    outcomes = priced.outcomes
    for arm in ("asco", "none"):
        mine = (adsl.arm_id == arm).to_numpy()
        row = outcomes[(outcomes.arm_id == arm) & (outcomes.endpoint == "cost")].iloc[0]
        assert row.value == pytest.approx(cost[mine].mean(), rel=1e-9)
        assert row.sd_subject == pytest.approx(cost[mine].std(ddof=1), rel=1e-6)
        use = priced.table("resource_use")
        use = use[use.arm_id == arm]
        assert use.cost.sum() == pytest.approx(row.value, rel=1e-9)
        days = use[use["item"] == "icu_day"].iloc[0]
        assert days.quantity == pytest.approx(adsl.icu_days[mine].mean()) and days.unit_price == 2500
        assert use[use["item"] == "ventilation_day"].unit_price.isna().all()
    change = cost[(adsl.arm_id == "asco").to_numpy()] - cost[(adsl.arm_id == "none").to_numpy()]
    severe = {arm: (adsl[adsl.arm_id == arm].crs_max_grade >= 3).to_numpy(float) for arm in ("asco", "none")}
    avoided = severe["none"] - severe["asco"]
    contrast = priced.contrasts.set_index("endpoint").loc["cost"]
    assert contrast.value == pytest.approx(change.mean()) and contrast.interval_method == "paired t"
    ratio = priced.table("ce_ratio").iloc[0]
    assert ratio.cost_difference == pytest.approx(change.mean())
    assert ratio.avoided == pytest.approx(avoided.mean())
    spread = np.cov(np.array([change, avoided])) / 400
    found = Increment(0, "asco", 400, change.mean(), avoided.mean(), *spread[[0, 1, 0], [0, 1, 1]])
    assert (ratio.lower, ratio.upper) == pytest.approx(found.interval(0.95), rel=1e-6)
    assert ratio.quadrant == "costs less, avoids more" and ratio.currency == "EUR"


def test_what_is_counted_for_the_ratio_is_no_result(priced: cartsim.Study) -> None:
    ids = set(priced.outcomes.endpoint)
    assert {"cost", "qald", "use_ward_day", "use_tocilizumab_vial_80mg"} <= ids
    assert not {"severe_crs", "cost_and_severe_crs"} & ids


def test_arms_side_by_side(priced: cartsim.Study, probe: Probe) -> None:
    """One row a replicate; of a sweep one a design point, with its settings."""
    frame = cartsim.ce_frame(priced)
    names = [f"{kind}_{arm}" for kind in ("cost", "qald", "severe_crs") for arm in ("asco", "none")]
    assert list(frame.columns) == ["design_id", "replicate", *names] and len(frame) == 1
    outcomes = priced.outcomes.set_index(["endpoint", "arm_id"])
    assert frame.cost_asco.item() == outcomes.loc[("cost", "asco")].value
    assert frame.qald_none.item() == outcomes.loc[("qald", "none")].value
    swept = run(
        probe(
            60,
            costs=COSTS,
            outputs={"tables": [], "endpoints": ["crs_ge3"]},
            run={"seed": 5, "replicates": 2},
            sweep={"method": "grid", "axes": {"model.draw": {"values": [0, 1, 2]}}},
        )
    )
    draws = cartsim.ce_frame(swept)
    assert draws["model.draw"].tolist() == [0, 0, 1, 1, 2, 2] and draws.replicate.tolist() == [0, 1] * 3
    assert draws.cost_asco.nunique() == 6 and not any(name.startswith("qald") for name in draws)


def test_a_swept_price_moves_the_cost_and_no_quantity(probe: Probe) -> None:
    study = run(
        probe(
            50,
            costs=COSTS,
            outputs={"tables": [], "endpoints": ["crs_ge3"]},
            sweep={"method": "grid", "axes": {"costs.icu_day": {"values": [0, 2500]}}},
        )
    )
    use = study.table("resource_use").set_index(["design_id", "arm_id", "item"])
    assert use.loc[(0, "none", "icu_day")].quantity == use.loc[(1, "none", "icu_day")].quantity > 0
    rows = study.outcomes.set_index(["design_id", "arm_id", "endpoint"]).value
    expected = 2500 * use.loc[(1, "none", "icu_day")].quantity
    assert rows[1, "none", "cost"] - rows[0, "none", "cost"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"costs": {"year": 2026, "ward_day": 600}}, ("costs.currency", "missing")),
        ({"costs": COSTS | {"currency": "euro"}}, ("three capital letters", "EUR")),
        ({"costs": COSTS | {"ward_day": -1}}, ("costs.ward_day", "at least 0")),
        ({"costs": COSTS | {"tocilizumab_vial_mg": {"80": -5}}}, ("tocilizumab_vial_mg", "at least 0")),
        ({"costs": COSTS | {"tocilizumab_vial_mg": {"small": 5}}}, ("no size in mg",)),
        ({"costs": COSTS | {"icuday": 5}}, ("unknown key `icuday`", "icu_day")),
        ({"costs": {"currency": "EUR", "year": 2026}}, ("no price is given",)),
        ({"utilities": {"crs": {"5": 0.5}}}, ("no grade that lasts",)),
        ({"utilities": {"crs": {"3": 1.5}}}, ("at most 1",)),
        ({"utilities": {"alive": 0.7}}, ("no decrement is given",)),
    ],
)
def test_prices_that_make_no_sense(probe: Probe, changes: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_scenario(probe(10, **changes))
    for word in words:
        assert word in str(caught.value)


def test_cost_needs_prices(probe: Probe) -> None:
    with pytest.raises(InvalidInput, match="costs:"):
        run(probe(5, outputs={"tables": [], "endpoints": ["cost"]}))


def test_a_priced_scenario_resolves_to_itself(probe: Probe) -> None:
    from cartsim.scenario.dump import dump_yaml

    scenario = load_scenario(probe(10, costs=COSTS, utilities=UTILITIES))
    assert load_scenario(dump_yaml(scenario.resolved())).hash() == scenario.hash()
    items = [item for item, *_ in items_of(Costs.model_validate(COSTS))]
    assert items[:3] == ["tocilizumab_vial_80mg", "tocilizumab_vial_200mg", "tocilizumab_vial_400mg"]
    assert not set(COST_TABLES) & run(probe(10, outputs=QUICK)).results.keys()
