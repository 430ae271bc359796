"""Resolution and identity of scenarios: defaults, hash, overrides."""

import copy
from pathlib import Path
from typing import Any

import pytest

from cartsim.errors import InvalidInput
from cartsim.scenario.dump import dump_yaml
from cartsim.scenario.load import load_scenario

TEXT = """\
schema: cartsim/scenario/1
id: probe
title: Probe
product: axi-cel
arms:
  - id: standard
    policy: tocilizumab_first
  - id: early
    policy: {extends: tocilizumab_first, rules: {g1_persist: {when: {for_h: 24}}}}
    prophylaxis: [toci_d2]
    model: {tocilizumab.icans_shift: 0.15}
run: {seed: 7}
"""

SHIPPED = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))


def test_defaults_are_filled_in() -> None:
    scenario = load_scenario(TEXT)
    assert (scenario.horizon_days, scenario.subjects, scenario.reference) == (30, 1000, "standard")
    assert (scenario.monitoring.ward_h, scenario.monitoring.icu_h, scenario.monitoring.start) == (
        6,
        2,
        "inpatient",
    )
    assert scenario.grading.crs == "astct2019" and scenario.site is None
    assert scenario.arms[0].label == "standard" and scenario.text == TEXT


def test_arms_carry_policies_with_prophylaxis_and_their_own_numbers() -> None:
    scenario = load_scenario(TEXT, {"model.overrides.tocilizumab.effect": 1.0})
    standard, early = scenario.arms
    assert not standard.policy.prophylaxis and early.policy.prophylaxis
    assert early.policy.rules["g1_persist"].when.for_h == 24
    assert scenario.registry_overrides(standard) == {"tocilizumab.effect": 1.0}
    assert scenario.registry_overrides(early) == {"tocilizumab.effect": 1.0, "tocilizumab.icans_shift": 0.15}


def test_product_block_overrides_get_full_keys() -> None:
    text = TEXT.replace(
        "product: axi-cel", "product: {base: axi-cel, overrides: {crs_mu: 1.5}, dose_cells_1e6: 1.0}"
    )
    scenario = load_scenario(text)
    assert scenario.registry_overrides() == {"product.axi-cel.crs_mu": 1.5}
    assert scenario.product.dose_cells_1e6 == 1.0


def test_covariates_are_plain_data() -> None:
    text = TEXT.replace(
        "arms:",
        "population: {weight_kg: {dist: lognormal, median: 20, cv: 0.3, source: mine}, age_years: 9}\narms:",
    )
    assert load_scenario(text).covariates == {
        "age_years": 9.0,
        "weight_kg": {"dist": "lognormal", "median": 20.0, "cv": 0.3},
    }


def test_an_empty_cohort_is_legal() -> None:
    assert load_scenario(TEXT, {"population.subjects": 0}).subjects == 0


def test_hash_ignores_comments_key_order_and_defaults_written_out() -> None:
    base = load_scenario(TEXT).hash()
    lines = TEXT.splitlines()
    moved = "\n".join(
        [lines[-1], "# a remark", *lines[1:-1], lines[0], "study: {horizon_days: 30}", "site: null"]
    )
    assert load_scenario(moved).hash() == base
    assert load_scenario(TEXT.replace("for_h: 24", "for_h: 24.0")).hash() == base


def test_hash_is_the_same_from_path_text_and_mapping(tmp_path: Path) -> None:
    file = tmp_path / "probe.yaml"
    file.write_text(TEXT, encoding="utf-8")
    base = load_scenario(file)
    assert base.hash() == load_scenario(TEXT).hash() == load_scenario(base.resolved()).hash()
    assert load_scenario(dump_yaml(base.resolved())).hash() == base.hash()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("run.seed", 8),
        ("population.subjects", 1001),
        ("study.horizon_days", 31),
        ("product", "liso-cel"),
        ("monitoring.ward_h", 12),
        ("reference", "early"),
        ("arms.early.policy.rules.g1_persist.when.for_h", 12),
        ("arms.early.model.tocilizumab.icans_shift", 0.2),
        ("arms.early.prophylaxis", ["toci_d1"]),
    ],
)
def test_hash_sees_every_change(key: str, value: Any) -> None:
    assert load_scenario(TEXT, {key: value}).hash() != load_scenario(TEXT).hash()


def test_hash_sees_the_order_of_rules_because_they_are_walked_in_order() -> None:
    plain = load_scenario(TEXT).resolved()
    turned = copy.deepcopy(plain)
    rules = turned["arms"][0]["policy"]["rules"]
    turned["arms"][0]["policy"]["rules"] = dict(reversed(rules.items()))
    assert load_scenario(turned).hash() != load_scenario(plain).hash()


def test_setting_a_value_equals_writing_it() -> None:
    written = load_scenario(TEXT.replace("for_h: 24", "for_h: 12").replace("seed: 7", "seed: 9"))
    key = "arms.early.policy.rules.g1_persist.when.for_h"
    assert load_scenario(TEXT, {key: "12", "run.seed": "9"}).hash() == written.hash()


def test_setting_inside_a_policy_named_by_its_id_extends_it() -> None:
    scenario = load_scenario(TEXT, {"arms.standard.policy.rules.g2_toci.give.max_doses": "1"})
    give = scenario.arm("standard").policy.rules["g2_toci"].give
    assert give is not None and give.max_doses == 1 and give.repeat_h == 8


def test_settings_are_typed_by_the_schema() -> None:
    scenario = load_scenario(
        TEXT, {"id": "7", "title": "1e3", "outputs.tables": "[adsl]", "outputs.events": "off"}
    )
    assert (scenario.id, scenario.title, scenario.outputs.tables) == ("7", "1e3", ["adsl"])
    assert load_scenario(TEXT, {"population.weight_kg": "{dist: lognormal, median: 20, cv: 0}"}).covariates


def test_settings_do_not_change_the_mapping_they_were_given() -> None:
    data = load_scenario(TEXT).resolved()
    before = copy.deepcopy(data)
    load_scenario(data, {"run.seed": 99})
    assert data == before


def test_seed_is_needed_only_to_run() -> None:
    scenario = load_scenario(TEXT.replace("run: {seed: 7}\n", ""))
    assert scenario.run.seed is None
    with pytest.raises(InvalidInput, match="seed"):
        scenario.require_seed()
    assert load_scenario(TEXT).require_seed() == 7


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_shipped_scenarios_are_questions_that_load(path: Path) -> None:
    scenario = load_scenario(path)
    assert scenario.id == path.stem
    assert scenario.study.question.endswith("?")
    assert scenario.require_seed() > 0
    assert path.read_text(encoding="utf-8").startswith("# ")
    assert f"cartsim run scenarios/{path.name}" in (path.parent / "README.md").read_text(encoding="utf-8")


def test_timing_arms_differ_only_in_when_tocilizumab_begins() -> None:
    scenario = load_scenario(next(path for path in SHIPPED if path.stem == "tocilizumab_timing"))
    rules = {arm.id: arm.policy.model_dump()["rules"] for arm in scenario.arms}
    own = {"g1_persist", "g2_toci"}
    others = [{key: rule for key, rule in arm.items() if key not in own} for arm in rules.values()]
    assert others[0] == others[1] == others[2]
    assert scenario.reference == "grade2" and scenario.subjects == 10_000
    assert rules["grade1_24h"]["g1_persist"]["when"]["for_h"] == 24
    assert "g1_persist" not in rules["grade2"] and rules["grade2"]["g2_toci"]["when"]["crs"] == ">=2"
    assert "g1_persist" not in rules["grade3"] and rules["grade3"]["g2_toci"]["when"]["crs"] == ">=3"


def test_prophylaxis_arms_pair_every_schedule_with_both_switches() -> None:
    scenario = load_scenario(next(path for path in SHIPPED if path.stem == "prophylactic_tocilizumab"))
    pairs = {(arm.prophylaxis, tuple(arm.model.values())) for arm in scenario.arms}
    schedules = [(), ("toci_d0",), ("toci_d1",), ("toci_d2",)]
    assert pairs == {(schedule, switch) for schedule in schedules for switch in ((), (0.15,))}
