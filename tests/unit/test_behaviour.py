"""Habits of a site, said in its words, become the registry numbers they name, in the arm they name, no others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartsim.arms import ReadyArm, prepare_arm
from cartsim.cells import Span, run_arms
from cartsim.commands.check import check_target
from cartsim.errors import InvalidInput, Problem
from cartsim.evidence.behaviour import BEHAVIOUR_KEYS
from cartsim.evidence.registry import load_registry
from cartsim.evidence.spread import registry_key
from cartsim.scenario.load import load_scenario
from cartsim.scenario.resolve import Scenario
from cartsim.sweep.points import Points

Probe = Callable[..., dict[str, Any]]
#: Everything that can be said, each value another than the registry's.
ALL: dict[str, Any] = {
    "admit_from": {"crs": 2, "icans": 3},
    "icu_from": {"bp": 4, "oxygen": 3, "neuro": 2},
    "icu_out_h": 12,
    "iv_fever_share": 0.3,
    "discharge": {"clear_h": 48, "neuro_max": 0, "min_stay_d": 10},
    "order_delay_h": [0.5, 3],
    "travel_delay_h": 1.5,
    "adherence_grade1": 0.6,
    "antipyretics": {"share": 0.4, "lowers_c": 1.0, "from_infusion": True},
}
#: The parameters of the model that must follow, written out by hand.
PARAMETERS = {
    "admit_crs": 2, "admit_icans": 3, "icu_bp": 4, "icu_oxygen": 3, "icu_neuro": 2, "icu_out_h": 12,
    "iv_fever_share": 0.3, "discharge_clear_h": 48, "discharge_neuro": 0, "min_stay_d": 10,
    "delay_ward_min_h": 0.5, "delay_ward_max_h": 3, "delay_home_h": 1.5, "adherence": 0.6,
    "antipyretic_share": 0.4, "antipyretic_lowers_c": 1.0, "antipyretic_from_infusion": 1,
}  # fmt: skip
FILE = """schema: cartsim/scenario/1
id: habits
title: Habits of a site
product: axi-cel
arms:
  - {id: asco, policy: asco_2021}
run: {seed: 1}
"""


def arms_of(scenario: Scenario) -> list[ReadyArm]:
    return [prepare_arm(scenario, arm, number) for number, arm in enumerate(scenario.arms, 1)]


def refused(source: Any) -> list[Problem]:
    with pytest.raises(InvalidInput) as caught:
        load_scenario(source)
    return list(caught.value.problems)


def test_every_habit_reaches_its_parameter(probe: Probe) -> None:
    arm, *_ = arms_of(load_scenario(probe(behaviour=ALL)))
    plain, *_ = arms_of(load_scenario(probe()))
    before = {name: plain.par[name][0] for name in plain.par.dtype.names or ()}
    after = {name: arm.par[name][0] for name in before}
    changed = {name: value for name, value in after.items() if value.tobytes() != before[name].tobytes()}
    assert changed == PARAMETERS
    assert len(PARAMETERS) == len(BEHAVIOUR_KEYS)
    assert set(BEHAVIOUR_KEYS.values()) <= load_registry().numbers().keys()


def test_what_is_not_said_is_as_it_was(probe: Probe) -> None:
    """An empty block, and one that says what the registry has, change no bit of a course."""
    usual = {"icu_from": {"bp": 3}, "order_delay_h": [1, 2], "adherence_grade1": 0.8}
    courses = []
    for block in ({}, usual):
        scenario = load_scenario(probe(behaviour=block))
        courses.append(run_arms(scenario, arms_of(scenario), Span(0, 0, 300))[0].block.courses.tobytes())
    scenario = load_scenario(probe())
    assert courses == [run_arms(scenario, arms_of(scenario), Span(0, 0, 300))[0].block.courses.tobytes()] * 2
    assert "behaviour" not in scenario.resolved()


def test_an_arm_has_its_habits_on_top_of_the_scenarios(probe: Probe) -> None:
    arms = [
        {"id": "late", "policy": "asco_2021", "behaviour": {"icu_from": {"bp": 5}}},
        {"id": "usual", "policy": "asco_2021"},
    ]
    scenario = load_scenario(probe(arms=arms, behaviour={"icu_from": {"bp": 2}, "icu_out_h": 6}))
    late, usual = arms_of(scenario)
    assert (late.par["icu_bp"][0], late.par["icu_out_h"][0]) == (5, 6)
    assert (usual.par["icu_bp"][0], usual.par["icu_out_h"][0]) == (2, 6)
    again = load_scenario(scenario.resolved())
    assert again.resolved() == scenario.resolved() and again.hash() == scenario.hash()
    assert [arm.par.tobytes() for arm in arms_of(again)] == [late.par.tobytes(), usual.par.tobytes()]


def test_a_lower_threshold_brings_more_subjects_to_intensive_care(probe: Probe) -> None:
    early = {
        "id": "early",
        "policy": "asco_2021",
        "behaviour": {"icu_from": {"bp": 1, "oxygen": 1, "neuro": 1}},
    }
    scenario = load_scenario(probe(arms=[early, {"id": "usual", "policy": "asco_2021"}]))
    first, second = run_arms(scenario, arms_of(scenario), Span(0, 0, 1000))
    days = [one.block.courses["icu_days"] > 0 for one in (first, second)]
    assert days[0].sum() > 1.3 * days[1].sum() and (days[0] >= days[1]).all()


def test_admission_waits_for_its_grade(probe: Probe) -> None:
    """After an outpatient start nobody is admitted who never had CRS of grade 2 or ICANS of grade 2."""
    block = {"admit_from": {"crs": 2, "icans": 2}}
    arms = [
        {"id": "late", "policy": "no_treatment", "behaviour": block},
        {"id": "usual", "policy": "no_treatment"},
    ]
    scenario = load_scenario(probe(arms=arms, monitoring={"start": "outpatient", "home_h": 6, "clinic_h": 6}))
    late, usual = (one.block.courses for one in run_arms(scenario, arms_of(scenario), Span(0, 0, 800)))
    admitted = np.isfinite(late["admit_t"])
    assert np.array_equal(np.isfinite(usual["admit_t"]), (usual["peak_crs"] > 0) | (usual["peak_neuro"] > 0))
    assert np.array_equal(admitted, (late["peak_crs"] > 1) | (late["peak_neuro"] > 1))
    assert 0 < admitted.sum() < np.isfinite(usual["admit_t"]).sum()


@pytest.mark.parametrize(
    ("block", "path", "said", "mend"),
    [
        ({"icu_form": {"bp": 2}}, "behaviour.icu_form", "unknown key `icu_form`", "icu_from"),
        ({"icu_from": {"oxigen": 2}}, "behaviour.icu_from.oxigen", "unknown key `oxigen`", "oxygen"),
        ({"icu_from": {"bp": 6}}, "behaviour.icu_from.bp", "got 6; must be at most 5", None),
        ({"icu_from": {"bp": 2.5}}, "behaviour.icu_from.bp", "whole number", None),
        ({"iv_fever_share": 22}, "behaviour.iv_fever_share", "must be at most 1", None),
        ({"order_delay_h": [2, 1]}, "behaviour", "the shortest delay must not exceed the longest", None),
        ({"order_delay_h": [2]}, "behaviour.order_delay_h", "at least 2 is needed", None),
        ({"discharge": {"clear_h": "24"}}, "behaviour.discharge.clear_h", "a number is needed", None),
        ({"antipyretics": {"from_infusion": 1}}, "behaviour.antipyretics.from_infusion", "true or false", None),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_place(
    probe: Probe, block: Any, path: str, said: str, mend: str | None
) -> None:
    (problem,) = refused(probe(behaviour=block))
    assert problem.path == path and said in problem.what
    assert mend is None or problem.mend == mend


def test_faults_have_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "habits.yaml"
    file.write_text(FILE + "behaviour:\n  icu_out_h: 24\n  adherance_grade1: 0.8\n")
    (problem,) = refused(file)
    assert (problem.file, problem.line, problem.mend) == (str(file), 10, "adherence_grade1")


def test_a_number_said_twice_is_refused(probe: Probe) -> None:
    model = {"overrides": {"behaviour.icu_bp_level": 2.0, "behaviour.order_delay_max_h": 3.0}}
    given = probe(behaviour={"icu_from": {"bp": 2}, "order_delay_h": [1, 2]}, model=model)
    given["arms"][0] |= {"behaviour": {"icu_out_h": 6}, "model": {"behaviour.icu_out_h": 6.0}}
    found = {problem.path: problem.what for problem in refused(given)}
    assert found.keys() == {
        "behaviour.icu_from.bp",
        "behaviour.order_delay_h",
        "arms.asco.behaviour.icu_out_h",
    }
    assert "model.overrides has `behaviour.icu_bp_level` too" in found["behaviour.icu_from.bp"]


@pytest.mark.parametrize(
    ("path", "values", "name", "expected"),
    [
        ("behaviour.icu_from.bp", [2, 4], "icu_bp", [2, 4]),
        ("behaviour.order_delay_h.1", [3, 4], "delay_ward_max_h", [3, 4]),
        ("arms.asco.behaviour.discharge.min_stay_d", [3, 5], "min_stay_d", [3, 5]),
        ("behaviour.antipyretics.from_infusion", [True, False], "antipyretic_from_infusion", [1, 0]),
    ],
)
def test_habits_can_be_swept(
    probe: Probe, path: str, values: list[Any], name: str, expected: list[int]
) -> None:
    given = probe(behaviour={"order_delay_h": [1, 2]}, sweep={"method": "grid", "axes": {path: values}})
    points = Points(load_scenario(given))
    points.check()
    assert [points.arms(k)[0].par[name][0] for k in range(len(points))] == expected
    assert registry_key(path, "axi-cel") in BEHAVIOUR_KEYS.values()


def test_evidence_ranges_of_habits_can_be_drawn(probe: Probe) -> None:
    sweep = {"method": "lhs", "points": 4, "axes": {"behaviour.icu_out_h": {"evidence": True}}}
    points = Points(load_scenario(probe(sweep=sweep)))
    hours = np.array([points.arms(k)[0].par["icu_out_h"][0] for k in range(4)])
    assert ((hours >= 6) & (hours <= 48)).all() and len(set(hours)) == 4


def test_check_shows_what_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from cartsim.commands.check import print_report

    file = tmp_path / "habits.yaml"
    file.write_text(FILE + "behaviour: {icu_from: {bp: 2}, order_delay_h: [1, 3]}\n")
    report = check_target(str(file), {})
    assert report.exit_code == 0
    assert report.as_dict()["behaviour"] == [
        "icu_from.bp 2 (registry: 3)",
        "order_delay_h from 1 (registry: 1)",
        "order_delay_h to 3 (registry: 2)",
    ]
    print_report(report)
    assert "behaviour of the site\n  icu_from.bp 2 (registry: 3)\n" in capsys.readouterr().out
