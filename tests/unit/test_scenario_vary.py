"""A point made the quick way is the scenario that the loader would have read, for every kind of path."""

from pathlib import Path
from typing import Any

import pytest

from cartsim.errors import InvalidInput
from cartsim.policy.schema import Policy
from cartsim.scenario import vary
from cartsim.scenario.load import load_scenario
from cartsim.scenario.policies import Policies
from cartsim.scenario.vary import Variations

SHIPPED = Path(__file__).parents[2] / "scenarios"

MADE_UP: dict[str, Any] = {
    "schema": "cartsim/scenario/1",
    "id": "probe",
    "title": "Probe",
    "product": {"base": "axi-cel", "overrides": {"crs_mu": 0.9}},
    "population": {"subjects": 50, "weight_kg": {"dist": "lognormal", "median": 70, "cv": 0.2}},
    "model": {"overrides": {"tocilizumab.effect": 1.1}},
    "arms": [
        {"id": "standard", "policy": "asco_2021", "prophylaxis": ["toci_d2"]},
        {
            "id": "early",
            "policy": {"extends": "tocilizumab_first", "rules": {"g1_persist": {"when": {"for_h": 24}}}},
            "model": {"tocilizumab.icans_shift": 0.1},
        },
        {
            "id": "own",
            "policy": {
                "scale": "astct2019",
                "rules": {
                    "dex": {
                        "when": {"icans": ">=2"},
                        "give": {"drug": "dexamethasone", "mg": 10, "every_h": 6, "until": {"icans": "<=1"}},
                    }
                },
            },
        },
    ],
    "site": {"beds": 4, "arrivals": {"every_h": 24}},
    "run": {"seed": 7},
}

EARLY = "arms.early.policy.rules"
SETTINGS: list[dict[str, Any]] = [
    {"model.overrides.tocilizumab.effect": 0.7},
    {"model.overrides.signs.neuro_thresholds": [0.0, 0.5, 1.0, 2.0]},
    {"model.overrides": {"tocilizumab.effect": 0.5, "steroid.a50_mg": 20}},
    {"model.draw": 3, "model.overrides.steroid.a50_mg": 12.5},
    {"product": "liso-cel"},
    {"product": {"base": "tisa-cel-all", "name": "Mine", "dose_cells_1e6": 2.0}},
    {"product.overrides.crs_mu": 1.25, "product.dose_cells_1e6": 1.5},
    {"product": "liso-cel", "product.overrides.crs_sigma": 0.7},
    {"population.weight_kg": 20},
    {
        "population.weight_kg.median": 50,
        "population.age_years": {"dist": "truncnorm", "mean": 9, "sd": 3, "low": 2, "high": 20},
    },
    {"population.high_burden_share": 0.5},
    {"monitoring.ward_h": 4, "monitoring.start": "outpatient"},
    {"monitoring": {"icu_h": 1}},
    {"study.horizon_days": 60},
    {"grading.crs": "lee2014"},
    {"site.beds": 9, "site.arrivals.every_h": 12.5},
    {"site.restock": {"every_h": 24, "doses": 2}, "site.tocilizumab_doses": 3},
    {"arms.early.model.tocilizumab.icans_shift": 0.3},
    {"arms.standard.model": {"death.crs_per_d": 0.1}},
    {"arms.standard.prophylaxis": []},
    {"arms.standard.prophylaxis": ["toci_d0"], "arms.early.prophylaxis": ["toci_d1"]},
    {"arms.standard.policy": "zuma1_c1_2"},
    {"arms.early.policy": {"extends": "asco_2021", "levetiracetam": True}},
    {"arms.early.policy.extends": "asco_2021"},
    {f"{EARLY}.g1_persist.when.for_h": 36},
    {f"{EARLY}.g1_persist.when.for_h": 36.5, f"{EARLY}.g2_toci.give.repeat_h": 12},
    {f"{EARLY}.g1_persist.when.for_h": ">=12"},
    {f"{EARLY}.g1_persist": None},
    {f"{EARLY}.g2_toci.when.crs": ">=3", f"{EARLY}.g1_persist.when.for_h": 2},
    {f"{EARLY}.g2_toci.give.max_doses": 1},
    {"arms.early.policy.levetiracetam": True, f"{EARLY}.g1_persist.when.for_h": 5},
    {"arms.standard.policy.rules.g1_persist.when.for_h": 48},
    {"arms.own.policy.rules.dex.give.mg": 20},
    {"arms.own.policy.rules.dex.give.every_h": 12, "arms.own.policy.rules.dex.when.icans": 3},
    {"arms.2.policy.rules.dex.give.mg": 4},
    {
        "model.overrides.tocilizumab.effect": 2,
        "product": "ide-cel",
        f"{EARLY}.g1_persist.when.for_h": 1,
        "monitoring.ward_h": 3,
    },
]


@pytest.fixture(scope="module")
def made_up() -> Variations:
    return Variations(load_scenario(MADE_UP))


@pytest.fixture
def no_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the long way was taken")

    monkeypatch.setattr(vary, "load_scenario", refuse)


@pytest.mark.parametrize("settings", SETTINGS, ids=[" ".join(one) for one in SETTINGS])
def test_the_quick_way_gives_what_the_loader_gives(
    made_up: Variations, settings: dict[str, Any], no_long_way: None
) -> None:
    whole = load_scenario(MADE_UP, settings=settings)
    for _ in range(2):  # the second time from what was kept
        quick = made_up.scenario(settings)
        assert quick.resolved() == whole.resolved()
        assert quick.hash() == whole.hash()
        assert [arm.policy for arm in quick.arms] == [arm.policy for arm in whole.arms]
        assert [quick.registry_overrides(arm) for arm in quick.arms] == [
            whole.registry_overrides(arm) for arm in whole.arms
        ]


def test_numbers_of_one_rung_do_not_read_the_policy_again(
    made_up: Variations, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"{EARLY}.g1_persist.when.for_h"
    first = made_up.scenario({path: 70})
    monkeypatch.setattr("cartsim.scenario.policies.load_policy", lambda *_: pytest.fail("read again"))
    second = made_up.scenario({path: 71.5})
    rules, others = second.arms[1].policy.rules, first.arms[1].policy.rules
    assert rules["g1_persist"].when.for_h == 71.5 and others["g1_persist"].when.for_h == 70
    assert all(rules[name] is others[name] for name in rules if name != "g1_persist")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({f"{EARLY}.g2_toci.give.repeat_h": 2}, "at least 8 h apart"),
        ({f"{EARLY}.g1_persist.when.for_h": -1}, "cannot be negative"),
        ({f"{EARLY}.g1_persist.when.for_hours": 4}, "unknown key `for_hours`"),
        ({f"{EARLY}.g2_toci.give.max_doses": 1.5}, "whole number"),
        ({"model.overrides.behaviour.adherence_grade1": 1.2}, "within 0 and 1"),
        ({"model.overrides.tocilizumab.efect": 1.2}, "unknown registry key"),
        ({"arms.early.model.tocilizumab.kd_mg_per_l": 0.0}, "above 0"),
        ({"population.weight_kg": 70_000}, "between 2 and 350 kg"),
        ({"population.wieght_kg": 70}, "population.weight_kg"),
        ({"monitoring.ward_h": 0}, "above 0"),
        ({"product": "axicel"}, "axi-cel"),
        ({"study.horizon_days": 400}, "at most 90"),
        ({"model.draw": -1}, "at least 0"),
        ({"site.beds": 0}, "nobody could ever be infused"),
        ({"arms.early.policy": "asco_2012"}, "asco_2021"),
        ({"product.dose_cells_1e6": 1.0, "population.cell_dose_1e6": 1.0}, "keep one of the two"),
    ],
)
def test_what_the_loader_refuses_is_refused_in_its_words(
    made_up: Variations, settings: dict[str, Any], told: str
) -> None:
    # a good value of the same key first, so that what was kept cannot hide a bad one
    made_up.scenario({f"{EARLY}.g1_persist.when.for_h": 9, f"{EARLY}.g2_toci.give.repeat_h": 9})
    made_up.scenario({f"{EARLY}.g2_toci.give.repeat_h": 9})
    with pytest.raises(InvalidInput) as quick:
        made_up.scenario(settings)
    with pytest.raises(InvalidInput) as whole:
        load_scenario(MADE_UP, settings=settings)
    assert told in str(quick.value)
    assert str(quick.value) == str(whole.value)


def test_settings_are_plain_data_and_overrides_are_read() -> None:
    key = "arms.own.policy.rules.dex.when.icans"
    assert load_scenario(MADE_UP, settings={key: ">=3"}).arms[2].policy.rules["dex"].when.icans == ">=3"
    assert load_scenario(MADE_UP, {key: "3"}).arms[2].policy.rules["dex"].when.icans == 3
    with pytest.raises(InvalidInput):
        load_scenario(MADE_UP, settings={key: "3"})


def test_null_takes_a_rung_out_of_a_policy_written_out_in_full() -> None:
    plain = load_scenario(MADE_UP).resolved()
    assert "g1_persist" in plain["arms"][1]["policy"]["rules"]
    without = load_scenario(plain, settings={f"{EARLY}.g1_persist": None})
    assert "g1_persist" not in without.arms[1].policy.rules
    with pytest.raises(InvalidInput, match="not valid") as caught:
        load_scenario(plain, settings={f"{EARLY}.g1_persit": None})
    assert "there is no `g1_persit` to delete" in str(caught.value)
    assert "try: g1_persist" in str(caught.value)


def test_the_base_is_left_as_it_is(made_up: Variations) -> None:
    before = made_up.base.resolved()
    data = load_scenario(MADE_UP).data
    for settings in SETTINGS:
        made_up.scenario(settings)
    assert made_up.base.resolved() == before and made_up.base.data == data


def test_a_variation_says_where_it_comes_from() -> None:
    base = load_scenario(SHIPPED / "tocilizumab_timing.yaml", {"population.subjects": 10})
    point = Variations(base).scenario({"monitoring.ward_h": 3})
    assert (point.file, point.text) == (base.file, base.text)
    assert point.overrides == {"population.subjects": 10, "monitoring.ward_h": 3}
    assert point.sweep is None and point.subjects == 10


def test_kept_policies_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from cartsim.evidence.registry import load_registry

    monkeypatch.setattr("cartsim.scenario.policies.KEPT", 4)
    policies = Policies(load_registry())
    arm = MADE_UP["arms"][2]
    found: list[Policy] = []
    for mg in range(1, 20):
        block = {
            **arm["policy"],
            "rules": {
                "dex": {
                    **arm["policy"]["rules"]["dex"],
                    "give": {**arm["policy"]["rules"]["dex"]["give"], "mg": mg},
                }
            },
        }
        change = (("policy", "rules", "dex", "give", "mg"), mg)
        found.append(policies.policy(2, {**arm, "policy": block}, [change]))
    assert [one.rules["dex"].give.mg for one in found if one.rules["dex"].give] == list(range(1, 20))
    assert len(policies._known) <= 4
