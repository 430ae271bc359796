"""The engine against the plain SimPy model of the benchmarks: two texts from one specification, subject by subject.

Grades and doses must be equal, times to rounding. Where the two differ, one of them misread the specification.
"""

import math
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cartsim.arms import ReadyArm, prepare_arm
from cartsim.cells import Span, draw_for
from cartsim.drivers.batch import run_block
from cartsim.model.peaks import latent_peaks
from cartsim.scenario.load import load_scenario

SUBJECTS = 200
#: Children who are very ill, rarely looked at, without intensive care, in danger: light bodies, long regimens, deaths
#: of every cause, several grid steps between two looks.
HARSH = {
    "mu": 2.0,
    "mu_n": 1.0,
    "ward_h": 24.0,
    "icu_bp": 9.0,
    "icu_oxygen": 9.0,
    "icu_neuro": 9.0,
    "hazard_crs": 0.1,
    "hazard_icans": 0.2,
    "hazard_seizure": 1.0,
}
#: Signs of support well after the fever, wide events well after the ICANS, in courses that drugs come late to.
APART = {
    "support_lag_d": 1.7,
    "wide_decline_ratio": 0.45,
    "mu": 1.3,
    "hazard_crs": 0.3,
    "hazard_seizure": 0.3,
}
CASES = {"usual": ("axi-cel", {}), "harsh": ("tisa-cel-all", HARSH), "apart": ("axi-cel", APART)}
#: Whole numbers: plain name -> field of the engine.
EQUAL = {
    "peak_crs": "peak_crs", "peak_icans": "peak_neuro", "peak_ne": "peak_ne", "peak_level": "peak_level",
    "peak_counted": "peak_gated", "fever_seen": "fever_seen", "iv_fever_seen": "iv_fever_seen",
    "toci_doses": "toci_doses", "steroid_doses": "steroid_doses", "steroid_days": "steroid_days",
    "anakinra_doses": "anakinra_doses",
}  # fmt: skip
#: Times, days and mg.
CLOSE = {
    "crs_first": "crs_ge_t", "icans_first": "icans_ge_t", "ne_first": "ne_ge_t", "crs_peak_t": "crs_peak_t",
    "icans_peak_t": "icans_peak_t", "durations": "duration_sum", "severe_days": "days_ge2",
    "icans2_days": "days_icans_ge2", "first_toci": "toci_t", "toci_mg": "toci_mg_total",
    "first_steroid": "steroid_start_t", "steroid_mg": "steroid_mg", "anakinra_mg": "anakinra_mg",
    "icu_first": "icu_t", "ward_days": "ward_days", "icu_days": "icu_days", "vent_days": "vent_days",
    "discharge": "discharge_t", "seizure": "seizure_t", "end": "end", "max_support": "max_support",
    "max_fever": "max_fever", "max_neuro": "max_neuro",
}  # fmt: skip
CAUSES = {None: 0, "CRS": 1, "ICANS": 2, "OTHER": 3}


@pytest.fixture(scope="module")
def plain(repository: Path) -> Iterator[ModuleType]:
    """benchmarks.plain, which is no part of the installed package."""
    sys.path.insert(0, str(repository))
    try:
        yield import_module("benchmarks.plain")
    finally:
        sys.path.remove(str(repository))


@pytest.fixture(scope="module", params=CASES)
def both(request: pytest.FixtureRequest, plain: ModuleType) -> SimpleNamespace:
    """The same subjects through the engine and through plain SimPy."""
    harsh = request.param == "harsh"
    arm, cohort, subjects = _drawn(*CASES[request.param])
    courses = run_block(arm.clinic, subjects, *arm.masks(cohort)).courses
    numbers = plain.read_numbers(arm.par)
    everybody = plain.simulate(plain.draw(cohort, subjects), numbers, SUBJECTS)
    return SimpleNamespace(
        harsh=harsh,
        arm=arm,
        subjects=subjects,
        courses=courses,
        numbers=numbers,
        everybody=everybody,
    )


def _drawn(
    product: str, changes: dict[str, float], count: int = SUBJECTS
) -> tuple[ReadyArm, np.ndarray, np.ndarray]:
    scenario = load_scenario(
        {
            "schema": "cartsim/scenario/1",
            "id": "plain",
            "title": "The engine against plain SimPy",
            "product": product,
            "population": {"subjects": count},
            "arms": [{"id": "asco", "policy": "asco_2021"}],
            "run": {"seed": 20261122},
        }
    )
    arm = prepare_arm(scenario, scenario.arms[0], 1)
    for name, value in changes.items():
        arm.par[name] = value
    return arm, *draw_for(scenario, arm, Span(0, 0, count))


def _plain(everybody: list[Any], name: str) -> np.ndarray:
    return np.array([getattr(s, name) for s in everybody], "f8")


def _where(different: np.ndarray) -> str:
    return f"subjects {np.flatnonzero(different.reshape(len(different), -1).any(axis=1))[:10].tolist()}"


@pytest.mark.parametrize("name", EQUAL)
def test_grades_and_doses_are_equal(both: SimpleNamespace, name: str) -> None:
    different = _plain(both.everybody, name) != both.courses[EQUAL[name]]
    assert not different.any(), _where(different)


@pytest.mark.parametrize("name", CLOSE)
def test_times_agree_to_rounding(both: SimpleNamespace, name: str) -> None:
    mine, engine = _plain(both.everybody, name), both.courses[CLOSE[name]].astype("f8")
    with np.errstate(invalid="ignore"):
        different = ~((mine == engine) | (np.abs(mine - engine) < 1e-9))
    assert not different.any(), _where(different)


def test_causes_of_death_are_equal(both: SimpleNamespace) -> None:
    causes = np.array([CAUSES[s.cause] for s in both.everybody])
    assert (causes == both.courses["cause"]).all(), _where(causes != both.courses["cause"])


def test_latent_levels_are_equal(both: SimpleNamespace) -> None:
    latent = latent_peaks(both.arm.clinic, both.subjects, both.courses)
    n = both.numbers
    thresholds = (n.h, n.o, n.liver, n.kidney)
    for s, row in zip(both.everybody, latent, strict=True):
        levels = [
            sum(s.max_support + eps > h for h in axis) for axis, eps in zip(thresholds, s.eps, strict=True)
        ]
        assert levels == row["level"].tolist()
        assert (s.max_fever > 0.0) == row["fever"]
        assert sum(s.max_neuro > level for level in n.n) == row["neuro"]
        assert (s.max_wide > n.n_wide or s.max_neuro > n.n[0]) == row["wide"]


def test_something_happened(both: SimpleNamespace) -> None:
    """Agreement on nothing would be no agreement."""
    assert _plain(both.everybody, "peak_crs").max() >= 3
    assert _plain(both.everybody, "peak_icans").max() >= 3
    assert _plain(both.everybody, "toci_doses").max() >= 2
    assert np.isfinite(_plain(both.everybody, "seizure")).any()
    if both.harsh:
        assert {s.cause for s in both.everybody} == set(CAUSES)
        assert _plain(both.everybody, "anakinra_doses").max() > 2
        assert _plain(both.everybody, "weight").min() < both.numbers.toci_light_kg
        assert _plain(both.everybody, "steroid_scale").max() > 1.0


def test_the_shape_of_the_simpy_model_changes_nothing(plain: ModuleType) -> None:
    """One environment for all, one each, or batches: the benchmark compares like with like."""
    arm, cohort, subjects = _drawn("axi-cel", {}, 30)
    numbers, drawn = plain.read_numbers(arm.par), plain.draw(cohort, subjects)
    ends = [
        [(s.end, s.steroid_mg, s.ward_days, s.events) for s in plain.simulate(drawn, numbers, batch)]
        for batch in (1, 7, 30)
    ]
    assert ends[0] == ends[1] == ends[2]
    assert plain.count_events(plain.simulate(drawn, numbers, 1)) == sum(e[3] for e in ends[0])
    assert all(math.isfinite(e[0]) for e in ends[0])
