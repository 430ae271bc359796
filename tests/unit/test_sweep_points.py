"""Points: the scenario and the arms of each are those of the long way, bit for bit, and a bad one is found first."""

import json
import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartsim.arm_parts import Parts
from cartsim.arms import ReadyArm, prepare_arm, tables_wanted
from cartsim.cohort import draw_cohort, margins_of
from cartsim.errors import InvalidInput
from cartsim.evidence.registry import load_registry
from cartsim.model.parameters import fill_parameters
from cartsim.model.views import make_clinic
from cartsim.policy.compile import compile_policy
from cartsim.scenario.load import load_scenario
from cartsim.scenario.resolve import Arm, Scenario
from cartsim.sweep.designs import expand
from cartsim.sweep.points import RECENT, Points
from cartsim.terms import CrsScale

KD = "model.overrides.tocilizumab.kd_mg_per_l"
EFFECT = "model.overrides.tocilizumab.effect"
FOR_H = "arms.early.policy.rules.g1_persist.when.for_h"
EARLY = {"g1_persist": {"when": {"for_h": 24}}}


def data(**sweep: Any) -> dict[str, Any]:
    return {
        "schema": "cartsim/scenario/1",
        "id": "probe",
        "title": "Probe",
        "product": "axi-cel",
        "population": {"subjects": 20, "weight_kg": {"dist": "lognormal", "median": 70, "cv": 0.2}},
        "arms": [
            {"id": "standard", "policy": "asco_2021", "prophylaxis": ["toci_d2"]},
            {"id": "early", "policy": {"extends": "tocilizumab_first", "rules": EARLY}},
        ],
        "run": {"seed": 7},
        "sweep": sweep or None,
    }


def points(**sweep: Any) -> Points:
    return Points(load_scenario(data(**sweep)))


AXES: dict[str, Any] = {
    EFFECT: {"low": 0.5, "high": 2.0},
    "model.overrides.steroid.reference_kg": "evidence",
    "model.overrides.signs.neuro_thresholds": "evidence",
    "model.draw": {"low": 0, "high": 500, "scale": "whole"},
    "product": ["axi-cel", "liso-cel", "tisa-cel-all", "cd19-lupus"],
    "product.overrides.crs_mu": {"low": 0, "high": 1},
    "population.weight_kg.median": {"low": 20, "high": 90},
    "population.high_burden_share": {"low": 0.1, "high": 0.9},
    "monitoring.ward_h": {"low": 2, "high": 12},
    "monitoring.start": ["inpatient", "outpatient"],
    "study.horizon_days": {"low": 14, "high": 60, "scale": "whole"},
    "grading.crs": ["astct2019", "penn"],
    "arms.early.model.tocilizumab.icans_shift": "evidence",
    "arms.standard.policy": ["asco_2021", "zuma1_c1_2", {"extends": "axi_label_2017", "levetiracetam": True}],
    "arms.standard.prophylaxis": [[], ["toci_d0"], ["toci_d1"]],
    FOR_H: {"low": 1, "high": 72},
    "arms.early.policy.rules.g2_toci.give.repeat_h": {"low": 8, "high": 24},
}
WHOLE = {"method": "lhs", "points": 24, "axes": AXES}


def plain_clinic(scenario: Scenario, arm: Arm, ready: ReadyArm) -> tuple[np.ndarray, np.ndarray]:
    """CLINIC and MARGINS by the functions that define them, without anything kept."""
    registry = load_registry(scenario.registry_overrides(arm))
    policy, grading = compile_policy(arm.policy, registry), registry.grading()
    assert policy.rule_names == ready.policy.rule_names and policy.policy == ready.policy.policy
    run = {
        "horizon_d": scenario.horizon_days,
        "ward_h": scenario.monitoring.ward_h,
        "icu_h": scenario.monitoring.icu_h,
        "clinic_h": scenario.monitoring.clinic_h,
        "home_h": scenario.monitoring.home_h,
        "outpatient": scenario.monitoring.start == "outpatient",
        "crs_scale": CrsScale[scenario.grading.crs.upper()],
        "policy_crs_scale": policy.crs_scale,
        "levetiracetam_on": arm.policy.levetiracetam,
        "skip": 1,
        "want_temperature": bool(np.isfinite(policy.rules["temperature_min"]).any()),
        "want_episodes": True,
        "want_doses": True,
        "want_changes": True,
        "pk_model": 0,
        "marker_every_h": 0,
        "want_samples": False,
        "want_markers": False,
    }
    par = fill_parameters(registry.numbers(), scenario.product.id, run)
    population = registry.population(scenario.product.id)
    for name, given in scenario.covariates.items():
        population = population.with_covariate(name, given)
    tables = (grading.scale, grading.fever_grade, grading.needs_fever)
    clinic = make_clinic(par, *tables, policy.rules, policy.actions, policy.prophylaxis)
    return clinic, margins_of(population)


def same_arm(a: ReadyArm, b: ReadyArm) -> bool:
    bits = [a.clinic.tobytes() == b.clinic.tobytes(), a.margins.tobytes() == b.margins.tobytes()]
    return all(bits) and (a.id, a.overrides, a.cohort_key, a.cd28) == (
        b.id,
        b.overrides,
        b.cohort_key,
        b.cd28,
    )


def test_every_point_is_what_the_loader_and_one_arm_at_a_time_make() -> None:
    made = points(**WHOLE)
    assert len(made) == 24
    # twice, and the second time backwards: what was kept must not depend on what came before
    for i in [*range(24), *reversed(range(24))]:
        whole = load_scenario(data(), settings=made.design.settings(i))
        scenario, arms = made.scenario(i), made.arms(i)
        assert scenario.resolved() == whole.resolved() and scenario.hash() == whole.hash()
        for number, (arm, ready) in enumerate(zip(whole.arms, arms, strict=True), 1):
            assert same_arm(ready, prepare_arm(whole, arm, number))
            clinic, margins = plain_clinic(whole, arm, ready)
            assert ready.clinic.tobytes() == clinic.tobytes()
            assert ready.margins.tobytes() == margins.tobytes()
            assert ready.identity.design_id == i and ready.identity.arm_no == number


def test_a_scenario_without_a_sweep_is_its_own_point() -> None:
    made = points()
    assert len(made) == 1 and made.scenario(0) is made.base and made.id(0) == expand(made.base).point_id(0)
    assert [arm.identity.design_id for arm in made.arms(0)] == [0, 0]
    with pytest.raises(IndexError):
        made.scenario(1)


def test_the_base_point_of_a_sweep_has_no_sweep() -> None:
    made = points(method="one_at_a_time", axes={EFFECT: [0.5]})
    assert made.scenario(0).sweep is None
    assert made.scenario(0).hash() == load_scenario(data()).hash()


def test_points_go_to_another_process_and_are_the_same_there() -> None:
    made = points(**WHOLE)
    made.arms(3)
    text = pickle.dumps(made)
    other = pickle.loads(text)
    assert len(text) < 200_000 and len(other) == len(made)
    for i in (0, 3, 23):
        assert other.id(i) == made.id(i) and other.scenario(i).hash() == made.scenario(i).hash()
        assert all(same_arm(a, b) for a, b in zip(other.arms(i), made.arms(i), strict=True))


def test_what_is_kept_is_bounded() -> None:
    made = points(method="grid", axes={FOR_H: {"low": 1, "high": 600, "scale": "whole"}})
    for i in range(len(made)):
        made.arms(i)
    kept = made._parts
    assert len(made._scenarios) <= RECENT and len(made._arms) <= RECENT
    assert max(len(kept._policies), len(kept._clinics), len(kept._margins)) <= 256


def test_a_point_read_from_the_resolved_file_is_the_same_point() -> None:
    rules = "arms.early.policy.rules"
    made = points(
        method="list",
        rows=[
            {f"{rules}.g1_persist": None},
            {"arms.early.policy.extends": "asco_2021"},
            {"arms.standard.policy": "zuma1_c1_2"},
            {"arms.standard.prophylaxis": ["toci_d0"], f"{rules}.g1_persist.when.for_h": 4},
            {},
        ],
    )
    again = Points(load_scenario(made.base.resolved()))
    for i in range(len(made)):
        assert again.id(i) == made.id(i)
        assert again.scenario(i).hash() == made.scenario(i).hash()
        assert all(same_arm(a, b) for a, b in zip(again.arms(i), made.arms(i), strict=True))


# --- arms --------------------------------------------------------------------------------------------------------


def test_arms_share_a_cohort_key_exactly_when_they_share_subjects() -> None:
    made = points(
        method="list",
        rows=[
            {},
            {FOR_H: 3},
            {"arms.early.model.death.crs_per_d": 0.1},
            {"population.age_years": 40},
            {"model.draw": 1},
            {"product": "liso-cel"},
        ],
    )
    base = made.arms(0)[0]
    keys = [[arm.cohort_key for arm in made.arms(i)] for i in range(6)]
    assert keys[0] == keys[1] == [base.cohort_key] * 2
    assert keys[2][0] == base.cohort_key != keys[2][1]
    assert len({keys[i][0] for i in (0, 3, 4, 5)}) == 4
    drawn = [draw_cohort(arm.par, arm.margins, 7, 0, 0, 50)[1].tobytes() for arm in (base, made.arms(1)[1])]
    assert drawn[0] == drawn[1]


def test_an_arm_knows_its_registry() -> None:
    scenario = load_scenario(data(), {"arms.early.model.tocilizumab.effect": "0.9"})
    arm = prepare_arm(scenario, scenario.arms[1], 2)
    assert arm.overrides == {"tocilizumab.effect": 0.9}
    assert arm.registry.hash() == load_registry({"tocilizumab.effect": 0.9}).hash()
    assert prepare_arm(scenario, scenario.arms[0], 1).registry.hash() == load_registry().hash()


def test_changed_grading_tables_reach_the_clinic() -> None:
    key = "model.overrides.grading.astct2019.bp_support"
    scenario = load_scenario(data(), {key: "[2, 2, 3, 4, 4]"})
    parts = Parts()
    plain, changed = (prepare_arm(one, one.arms[0], 1, parts) for one in (load_scenario(data()), scenario))
    assert plain.clinic.tobytes() != changed.clinic.tobytes()
    assert changed.clinic.tobytes() == prepare_arm(scenario, scenario.arms[0], 1).clinic.tobytes()
    assert (changed.identity.scale != plain.identity.scale).sum() == 1


def test_no_tables_means_none_at_all() -> None:
    def wanted(**outputs: Any) -> list[str]:
        return tables_wanted(load_scenario(data() | {"outputs": outputs}))

    assert wanted(tables=[]) == []
    assert wanted(tables=["adae"]) == ["adsl", "adae"]
    assert wanted(tables=["adsl"], events="sample") == ["adsl", "events"]
    with pytest.raises(InvalidInput, match="not valid") as caught:
        wanted(tables=[], events="all")
    assert "tables: [adsl]" in str(caught.value)


# --- checks before anything runs ---------------------------------------------------------------------------------


def test_a_sound_sweep_passes() -> None:
    points(**WHOLE).check(24)
    points().check(1)


def test_more_points_than_the_limit() -> None:
    made = points(
        method="grid",
        axes={EFFECT: {"low": 1, "high": 2, "steps": 300}, FOR_H: {"low": 1, "high": 9, "steps": 200}},
    )
    with pytest.raises(InvalidInput) as caught:
        made.check(10_000)
    assert "60,000 points, more than its limit of 10,000" in str(caught.value) and "--yes" in str(
        caught.value
    )


def bad(tmp_path: Path, **sweep: Any) -> str:
    """What is said of a sweep whose block stands in a file."""
    file = tmp_path / "probe.yaml"
    text = json.dumps(data(**sweep), indent=1)
    file.write_text(text, encoding="utf-8")
    made = Points(load_scenario(file))
    with pytest.raises(InvalidInput) as caught:
        made.check(None)
    assert caught.value.exit_code == 3
    first = text.splitlines().index(' "sweep": {') + 1
    assert all(problem.line is not None and problem.line > first for problem in caught.value.problems)
    return str(caught.value)


TOO_LOW = {"low": -1, "high": 90, "steps": 60}
BAD: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"method": "grid", "axes": {FOR_H: [1, -2, "x"]}},
        [f"sweep.axes.{FOR_H}", "cannot be negative", "design point 1", "design point 2"],
    ),
    ({"method": "grid", "axes": {f"{FOR_H}h": [1]}}, ["try: for_h", "design point 0"]),
    ({"method": "grid", "axes": {"product": ["axi-cel", "lisocel"]}}, ["design point 1", "try: liso-cel"]),
    (
        {"method": "lhs", "points": 5, "axes": {"monitoring.ward_h": {"low": -1, "high": 1}}},
        ["must be above 0"],
    ),
    ({"method": "lhs", "points": 5, "axes": {"study.horizon_days": {"low": 3, "high": 9}}}, ["whole number"]),
    (
        {"method": "list", "rows": [{}, {"population.weight_kg": 70000}]},
        ["sweep.rows.1", "between 2 and 350 kg"],
    ),
    (
        {"method": "grid", "axes": {"monitoring.ward_h": {"low": 1, "high": 9, "steps": 60}, FOR_H: TOO_LOW}},
        ["design point 0", "cannot be negative"],
    ),
    (
        {"method": "sobol", "points": 4096, "axes": {KD: {"low": -0.01, "high": 2}}},
        [f"sweep.axes.{KD}", "is not above 0"],
    ),
]


@pytest.mark.parametrize(("sweep", "told"), BAD)
def test_a_value_that_cannot_be_run_is_found_with_its_place(
    tmp_path: Path, sweep: dict[str, Any], told: list[str]
) -> None:
    message = bad(tmp_path, **sweep)
    for word in ["probe.yaml:", *told]:
        assert word in message, message


def test_values_that_do_not_go_together_are_found_with_their_point(tmp_path: Path) -> None:
    dosed = {"base": "axi-cel", "dose_cells_1e6": 3.0}
    axes = {"product": ["axi-cel", dosed], "population.cell_dose_1e6": [2.0, 2.5]}
    message = bad(tmp_path, method="zip", axes=axes)
    assert "keep one of the two" in message and "design point 1" in message


def test_a_fault_of_many_points_is_told_once(tmp_path: Path) -> None:
    message = bad(tmp_path, method="grid", axes={"product": ["lisocel"], FOR_H: [1, 2, 3, 4]})
    assert message.count("lisocel") <= 2 and "(1 problem)" in message


def test_a_point_costs_little() -> None:
    """Processor time of a point of two arms; ten times what is met on an idle machine, so that only a slip shows."""
    for axes in (
        {EFFECT: {"low": 0.5, "high": 2}},
        {FOR_H: {"low": 1, "high": 72}},
        {"population.age_years": {"low": 20, "high": 80}},
    ):
        made = points(method="lhs", points=200, axes=axes)
        made.arms(0)
        start = time.process_time()
        for i in range(1, 200):
            made.arms(i)
        each = (time.process_time() - start) / 199
        print(f"{next(iter(axes))}: {1e3 * each:.2f} ms a point")
        assert each < 4e-3
