"""What is done before infusion shifts what it says, by what the registry says, for whom it says, and nobody else."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from cartsim.arms import ReadyArm, prepare_arm
from cartsim.cells import Span, draw_for, run_arms
from cartsim.errors import InvalidInput
from cartsim.evidence.population import NAMES
from cartsim.evidence.registry import load_registry
from cartsim.scenario.load import load_scenario
from cartsim.scenario.resolve import Scenario
from cartsim.sweep.points import Points
from cartsim.sweep.question import make_summary

NUMBERS: dict[str, Any] = dict(load_registry().numbers())
REJECT = 1e-6
Probe = Callable[..., dict[str, Any]]


def arms_of(scenario: Scenario) -> list[ReadyArm]:
    return [prepare_arm(scenario, arm, number) for number, arm in enumerate(scenario.arms, 1)]


def two_arms(probe: Probe, own: dict[str, Any], subjects: int = 2000, **more: Any) -> Scenario:
    """The same policy with levers of its own and without."""
    arms = [
        {"id": "with", "policy": "no_treatment", "levers": own},
        {"id": "without", "policy": "no_treatment"},
    ]
    return load_scenario(probe(subjects) | {"arms": arms} | more)


def drawn(scenario: Scenario, count: int = 2000) -> list[tuple[np.ndarray, np.ndarray]]:
    return [draw_for(scenario, arm, Span(0, 0, count)) for arm in arms_of(scenario)]


@pytest.mark.parametrize("choice", ["none", "high_dose"])
def test_lymphodepletion_shifts_both_amplitudes(probe: Probe, choice: str) -> None:
    scenario = two_arms(probe, {"lymphodepletion": choice})
    pulled, plain = arms_of(scenario)
    for field, syndrome in (("mu", "crs"), ("mu_n", "icans")):
        shift = NUMBERS[f"levers.lymphodepletion.{choice}.{syndrome}_shift"]
        assert pulled.par[field][0] == pytest.approx(plain.par[field][0] + shift)
    (cohort, subjects), (same, before) = drawn(scenario)
    assert cohort.tobytes() == same.tobytes()
    shift = NUMBERS[f"levers.lymphodepletion.{choice}.crs_shift"]
    assert subjects["crs_peak"] == pytest.approx(before["crs_peak"] + shift)


def test_the_usual_conditioning_and_no_lever_are_the_same_bits(probe: Probe) -> None:
    scenario = two_arms(probe, {"lymphodepletion": "flu_cy", "bridging_share": 0.0})
    one, other = run_arms(scenario, arms_of(scenario), Span(0, 0, 500))
    assert one.cohort.tobytes() == other.cohort.tobytes()
    assert one.block.courses.tobytes() == other.block.courses.tobytes()


def test_bridging_lowers_the_burden_of_those_who_respond(probe: Probe) -> None:
    scenario = two_arms(probe, {"bridging_share": 1.0})
    (cohort, subjects), (plain, before) = drawn(scenario)
    fallen = cohort["burden"] != plain["burden"]
    share, reduction = (
        NUMBERS["levers.bridging.response_share"],
        NUMBERS["levers.bridging.burden_reduction"],
    )
    assert stats.binomtest(int(fallen.sum()), 2000, share).pvalue > REJECT
    assert (plain["burden"] - cohort["burden"])[fallen] == pytest.approx(reduction)
    weight = arms_of(scenario)[0].margins["risk_weights"][0][NAMES.index("burden")]
    assert (plain["risk"] - cohort["risk"])[fallen] == pytest.approx(weight * reduction)
    assert (cohort["high_burden"] <= plain["high_burden"]).all()
    assert (subjects["crs_peak"][fallen] < before["crs_peak"][fallen]).all()
    for name in cohort.dtype.names or ():
        if name not in ("burden", "risk", "high_burden"):
            assert np.array_equal(cohort[name], plain[name])
    for name in subjects.dtype.names or ():
        assert np.array_equal(subjects[name][~fallen], before[name][~fallen])


def test_a_larger_share_only_adds_subjects(probe: Probe) -> None:
    found = []
    for share in (0.2, 0.6, 1.0):
        (cohort, _), (plain, _) = drawn(two_arms(probe, {"bridging_share": share}))
        found.append(cohort["burden"] != plain["burden"])
    assert found[0].sum() < found[1].sum() < found[2].sum()
    assert (found[0] <= found[1]).all() and (found[1] <= found[2]).all()


def test_levers_of_an_arm_stand_in_place_of_the_scenarios(probe: Probe) -> None:
    scenario = two_arms(
        probe, {"lymphodepletion": "none"}, levers={"lymphodepletion": "high_dose", "bridging_share": 0.5}
    )
    own, common = arms_of(scenario)
    low, high = (NUMBERS[f"levers.lymphodepletion.{one}.crs_shift"] for one in ("none", "high_dose"))
    assert common.par["mu"][0] - own.par["mu"][0] == pytest.approx(high - low)
    assert own.draws_all and not common.draws_all
    assert own.cohort_key != common.cohort_key
    assert load_scenario(scenario.resolved()).hash() == scenario.hash()


def test_levers_are_declared_numbers_of_their_arm(probe: Probe) -> None:
    from cartsim.pairing.check import check_pairing

    scenario = two_arms(probe, {"lymphodepletion": "high_dose", "bridging_share": 0.5}, subjects=200)
    report = check_pairing(scenario, workers=1)
    assert set(report.arms[0].model_numbers) == {
        "levers.bridging.share",
        "product.axi-cel.crs_mu",
        "product.axi-cel.icans_mu",
    }
    report.raise_leaks()


@pytest.mark.parametrize(
    "path", ["product.dose_cells_1e6", "population.cell_dose_1e6", "levers.bridging_share"]
)
def test_a_lever_can_be_swept(probe: Probe, path: str) -> None:
    values = [0.5, 1.0] if path.startswith("levers") else [1.0, 2.0, 4.0]
    points = Points(load_scenario(probe() | {"sweep": {"method": "grid", "axes": {path: values}}}))
    points.check()
    for i, value in enumerate(values):
        scenario, arm = points.scenario(i), points.arms(i)[0]
        cohort, subjects = draw_for(scenario, arm, Span(0, 0, 50))
        if path.startswith("levers"):
            response = NUMBERS["levers.bridging.response_share"]
            assert arm.bridging.share == value * response
            continue
        assert (cohort["cell_dose_1e6"] == value).all()
        slope = NUMBERS["disease.cell_dose_slope"]
        _, first = draw_for(points.scenario(0), points.arms(0)[0], Span(0, 0, 50))
        assert subjects["crs_peak"] - first["crs_peak"] == pytest.approx(slope * np.log(value / values[0]))


def test_a_dose_can_differ_by_arm(probe: Probe) -> None:
    arms = [
        {"id": "high", "policy": "no_treatment"},
        {"id": "low", "policy": "no_treatment", "model": {"product.axi-cel.cell_dose_1e6.median": 1.2}},
    ]
    scenario = load_scenario(probe() | {"arms": arms})
    (high, _), (low, _) = drawn(scenario, 500)
    assert (low["cell_dose_1e6"] < high["cell_dose_1e6"]).all()


def test_costimulation_opens_rules_and_changes_no_number(probe: Probe) -> None:
    scenarios = [
        load_scenario(probe() | {"product": {"base": "cd19-lupus", "costimulation": word}})
        for word in ("CD28", "4-1BB")
    ]
    (first, *_), (second, *_) = (arms_of(one) for one in scenarios)
    assert (first.cd28, second.cd28) == (True, False)
    assert first.clinic.tobytes() == second.clinic.tobytes()
    assert scenarios[0].hash() != scenarios[1].hash()
    assert not arms_of(load_scenario(probe() | {"product": "cd19-lupus"}))[0].cd28


def test_numbers_of_the_users_own_reach_the_evidence_status(probe: Probe) -> None:
    product = {"base": "axi-cel", "overrides": {"crs_mu": 1.1}, "status": "assumed", "source": "a guess"}
    status = make_summary(load_scenario(probe() | {"product": product})).frame.evidence_status
    assert set(status.values()) == {"override"} and "crs_ge3" in status and "death" not in status
    plain = make_summary(load_scenario(probe())).frame.evidence_status
    assert "override" not in plain.values()


def test_reported_numbers_need_a_source(probe: Probe) -> None:
    product = {"base": "axi-cel", "overrides": {"crs_mu": 1.1}, "status": "reported"}
    with pytest.raises(InvalidInput) as error:
        load_scenario(probe() | {"product": product})
    assert "reported numbers need a source" in str(error.value)
