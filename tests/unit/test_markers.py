"""Biomarkers: what drives them, that nobody's looking changes them, and the tables they are written to."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from clinic_builder import HOUR, NO_HAZARD, make_arm, make_par, make_subject, policy_of, record, run_one
from scipy.integrate import solve_ivp

from cartsim.arms import prepare_arm
from cartsim.cells import Span, build_tables, join, run_arms
from cartsim.errors import InvalidInput
from cartsim.model.disease import ramp, untreated_crs
from cartsim.model.signs import temperature_c
from cartsim.record import check
from cartsim.scenario.load import load_scenario
from cartsim.study import run
from cartsim.terms import Marker

ILL = {
    "crs_peak": 2.2,
    "crs_peak_d": 5.0,
    "crs_ascent": 0.6,
    "crs_decline": 0.35,
    "crp_base": 12.0,
    "ferritin_base": 600.0,
}


def sampled(
    policy: Any = None, subject: np.ndarray | None = None, every: int = 12, **changes: Any
) -> tuple[np.ndarray, np.ndarray]:
    """(hours[k], values[k, marker]) of one hand-made subject."""
    arm = make_arm("axi-cel", policy, **NO_HAZARD, marker_every_h=every, want_samples=1.0, **changes)
    samples = run_one(arm, make_subject(**ILL) if subject is None else subject).samples
    return samples["hour"].copy(), samples["value"].copy()


def drug_at(hours: float, **dose: Any) -> Any:
    return policy_of({}, prophylaxis={"dose": {"at_h": hours, "drug": "tocilizumab"} | dose})


@pytest.mark.parametrize("lag", [0.0, 1.7])
def test_untreated_markers_solve_their_equations(lag: float) -> None:
    """CRP and ferritin against an adaptive solver, IL-6 and temperature against their formulas; CRP alone goes with
    the signs of support, some time after the fever."""
    par = make_par()
    p, s = record(par), record(make_subject(**ILL))
    hours, values = sampled(every=6, support_lag_d=lag)

    def x(t: float) -> float:
        return untreated_crs(s, t, ramp(p, t)) if t > 0 else -math.inf

    def slope(t: float, y: np.ndarray) -> list[float]:
        q = math.exp(p.crp_slope * x(t - lag))
        crp = p.crp_turnover * (s.crp_base + p.crp_rise * q / (p.crp_half + q) - y[0])
        aim = s.ferritin_base * (1 + p.ferritin_rise * math.exp(p.ferritin_slope * x(t)))
        return [crp, p.ferritin_turnover * (aim - y[1])]

    run = solve_ivp(slope, (0, 30), [12.0, 600.0], rtol=1e-9, atol=1e-9, t_eval=hours * HOUR, max_step=0.2)
    np.testing.assert_allclose(values[:, Marker.CRP], run.y[0], rtol=1e-3)
    np.testing.assert_allclose(values[:, Marker.FERRITIN], run.y[1], rtol=1e-3)
    il6 = [min(p.il6_cap, p.il6_base + p.il6_rise * math.exp(p.il6_slope * x(h * HOUR))) for h in hours]
    np.testing.assert_allclose(values[:, Marker.IL6], il6, rtol=1e-12)
    heat = [temperature_c(p, x(h * HOUR)) for h in hours]
    np.testing.assert_allclose(values[:, Marker.TEMPERATURE], heat, rtol=1e-12)
    assert not values[:, Marker.TOCILIZUMAB :].any()
    assert hours[0] == 0 and hours[-1] == 720 and values[0, Marker.CRP] == 12.0


def test_after_tocilizumab_crp_falls_il6_rises_and_ferritin_goes_on() -> None:
    hours, without = sampled()
    _, treated = sampled(drug_at(96))
    given = int(np.argmax(hours >= 97))
    later = slice(given, given + 6)
    assert np.array_equal(without[hours <= 96], treated[hours <= 96])
    assert np.all(treated[later, Marker.CRP] < without[later, Marker.CRP])
    # on its way down while untreated it still rises
    assert treated[given + 2, Marker.CRP] < treated[given, Marker.CRP] < without[given + 2, Marker.CRP]
    assert np.all(np.diff(treated[given : given + 10, Marker.CRP]) < 0)
    assert np.all(treated[later, Marker.IL6] > 2.5 * without[later, Marker.IL6])
    np.testing.assert_allclose(treated[:, Marker.FERRITIN], without[:, Marker.FERRITIN], rtol=1e-12)
    assert np.all(treated[later, Marker.OCCUPANCY] > 0.98)
    assert np.all(treated[later, Marker.TEMPERATURE] < without[later, Marker.TEMPERATURE])


def test_a_steroid_lowers_all_of_them() -> None:
    _, without = sampled()
    hours, treated = sampled(drug_at(96, drug="dexamethasone", mg=40.0))
    later = (hours > 102) & (hours < 150)
    for marker in (Marker.IL6, Marker.CRP, Marker.FERRITIN, Marker.TEMPERATURE):
        assert np.all(treated[later, marker] < without[later, marker])


def test_a_dose_between_samples_and_hours_is_felt_from_its_own_moment() -> None:
    """Infusions that end at 97.9 h and 98.1 h: on both sides of a sample, a fifth of an hour apart."""
    hours, early = sampled(drug_at(96.9), every=1)
    _, late = sampled(drug_at(97.1), every=1)
    after = hours > 99
    assert np.all(early[after & (hours < 200), Marker.CRP] < late[after & (hours < 200), Marker.CRP])
    np.testing.assert_allclose(early[after], late[after], rtol=0.05)
    k = int(np.argmax(hours == 98))
    assert early[k, Marker.TOCILIZUMAB] > 0.0 and late[k, Marker.TOCILIZUMAB] == 0.0


def test_a_dose_before_infusion_is_there_at_infusion() -> None:
    _, values = sampled(drug_at(-2.0))
    assert values[0, Marker.TOCILIZUMAB] > 100.0 and values[0, Marker.CRP] == 12.0


@pytest.mark.parametrize("pk_model", [0, 1, 2])
def test_sampling_horizon_and_other_subjects_change_no_value(pk_model: int) -> None:
    policy = policy_of("asco_2021")
    shared = {"want_samples": 1.0, "pk_model": pk_model}
    fine = make_arm("axi-cel", policy, marker_every_h=1, **shared)
    cohort, subjects = fine.draw(60)
    every = fine.run(cohort, subjects)
    values = {(int(s["row"]), int(s["hour"])): s["value"] for s in every.samples}
    assert every.courses["dead"].any() or len(values) == 60 * 721
    assert (every.doses["drug"] == 0).any() and (every.doses["drug"] > 0).any()
    for changes in ({"marker_every_h": 7}, {"marker_every_h": 24, "horizon_d": 11.0}):
        arm = make_arm("axi-cel", policy, **shared | changes)
        block = arm.run(cohort[20:40], subjects[20:40])
        assert len(block.samples) > 200
        for one in block.samples:
            assert np.array_equal(one["value"], values[int(one["row"]) + 20, int(one["hour"])])


def test_samples_end_with_follow_up_and_are_off_by_default() -> None:
    arm = make_arm("axi-cel", marker_every_h=12, want_samples=1.0, hazard_background=0.1)
    cohort, subjects = arm.draw(50)
    block = arm.run(cohort, subjects)
    assert block.courses["dead"].sum() > 20
    last = np.zeros(50)
    np.maximum.at(last, block.samples["row"], block.samples["hour"] * HOUR)
    assert np.all(last <= block.courses["end"]) and np.all(last > block.courses["end"] - 0.5 - 1e-12)
    assert len(make_arm("axi-cel").run(cohort, subjects).samples) == 0


def marked(probe: Callable[..., dict[str, Any]], subjects: int = 40, **biomarkers: Any) -> dict[str, Any]:
    return probe(subjects) | {"outputs": {"tables": ["adsl", "adcm"], "biomarkers": biomarkers}}


def test_tables_pass_their_check_and_hold_what_was_sampled(probe: Callable[..., dict[str, Any]]) -> None:
    scenario = load_scenario(marked(probe, every_h=24))
    arms = [prepare_arm(scenario, arm, number) for number, arm in enumerate(scenario.arms, 1)]
    ran = run_arms(scenario, arms, Span(0, 0, 40))[0]
    tables = build_tables(scenario, ran)
    assert set(tables) == {"adsl", "adcm", "adlb", "advs"}
    for name, table in tables.items():
        check(name, table)
    lab, samples = tables["adlb"], ran.block.samples
    crp = lab.filter(pc.equal(lab["PARAMCD"].cast("string"), "CRP"))
    assert crp["ATPTN"].to_pylist() == samples["hour"].tolist()
    assert crp["AVAL"].to_pylist() == samples["value"][:, Marker.CRP].tolist()
    assert crp["subject"].to_pylist() == ran.cohort["subject"][samples["row"]].tolist()
    first = crp.filter(pc.equal(crp["ATPTN"], 0))
    assert first["AVAL"].to_pylist() == ran.cohort["crp_mg_per_l"].tolist()
    assert set(first["ABLFL"].to_pylist()) == {"Y"} and set(first["ADY"].to_pylist()) == {1}
    assert crp["CHG"].to_pylist() == (np.array(crp["AVAL"]) - np.array(crp["BASE"])).tolist()
    score = lab.filter(pc.equal(lab["PARAMCD"].cast("string"), "MEASIX"))
    c = ran.cohort
    wanted = c["ldh_u_per_l"] * c["crp_mg_per_l"] / 10 / c["platelets_1e9_per_l"]
    np.testing.assert_allclose(score["AVAL"].to_numpy(), wanted, rtol=1e-12)
    assert tables["advs"].num_rows == len(samples)


def test_only_the_markers_asked_for_are_written(probe: Callable[..., dict[str, Any]]) -> None:
    study = run(marked(probe, every_h=48, markers=["crp"]), out=None)
    baseline = {"LDH", "PLAT", "CREAT", "EASIX", "MEASIX"}
    assert set(study.arrow("adlb")["PARAMCD"].to_pylist()) == baseline | {"CRP"}
    assert "advs" not in study.results


def test_joined_pieces_keep_their_samples(probe: Callable[..., dict[str, Any]]) -> None:
    scenario = load_scenario(marked(probe, every_h=24))
    arms = [prepare_arm(scenario, scenario.arms[0], 1)]
    whole = run_arms(scenario, arms, Span(0, 0, 30))[0]
    parts = join([run_arms(scenario, arms, Span(0, first, 10))[0] for first in (0, 10, 20)])
    assert np.array_equal(whole.block.samples, parts.block.samples)


def test_biomarkers_change_nothing_else(
    probe: Callable[..., dict[str, Any]], differing: Callable[..., list[str]]
) -> None:
    plain = run(probe(60) | {"outputs": {"tables": ["adsl", "adcm"]}}, out=None)
    more = run(marked(probe, 60), out=None)
    for name in ("adsl", "adcm", "outcomes", "contrasts"):
        assert not differing(plain.arrow(name), more.arrow(name))


@pytest.mark.parametrize(
    ("block", "path"),
    [
        ({"every_h": 0}, "outputs.biomarkers.every_h"),
        ({"every_h": 1.5}, "outputs.biomarkers.every_h"),
        ({"markers": ["crp", "crp"]}, "outputs.biomarkers.markers.1"),
        ({"markers": ["procalcitonin"]}, "outputs.biomarkers.markers.0"),
        ({"interval_h": 6}, "outputs.biomarkers.interval_h"),
    ],
)
def test_what_cannot_be_sampled_is_refused(
    probe: Callable[..., dict[str, Any]], block: dict[str, Any], path: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        load_scenario(marked(probe, **block))
    assert [problem.path for problem in refused.value.problems] == [path]


def test_the_pharmacokinetic_model_is_a_switch_of_the_scenario(probe: Callable[..., dict[str, Any]]) -> None:
    runs = {
        name: run(marked(probe) | {"model": {"pharmacokinetics": name}}, out=None)
        for name in ("linear", "moes", "frey")
    }
    default = run(marked(probe), out=None)
    assert default.arrow("adlb").equals(runs["linear"].arrow("adlb"))
    highest = {}
    for name, study in runs.items():
        lab = study.arrow("adlb")
        conc = lab.filter(pc.equal(lab["PARAMCD"].cast("string"), "TOCICONC"))
        highest[name] = pc.max(conc["AVAL"]).as_py()
    assert len(set(highest.values())) == 3
    with pytest.raises(InvalidInput, match="not valid") as refused:
        load_scenario(probe() | {"model": {"pharmacokinetics": "bastida"}})
    assert refused.value.problems[0].path == "model.pharmacokinetics"
