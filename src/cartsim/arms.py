"""One arm made ready to run: registry numbers, compiled policy, grading tables, names.

Everything a driver and a table builder need is settled here once, so that a block of subjects is a pure function of
(this, seed, first subject, count).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cartsim.arm_parts import Parts, grading_of
from cartsim.cohort import draw_cohort
from cartsim.evidence.registry import Registry, load_registry
from cartsim.given import NO_BRIDGING, Bridging, draw_known
from cartsim.harms import HarmNumbers, read_numbers
from cartsim.policy.compile import CompiledPolicy
from cartsim.scenario.levers import bridging_of, lever_numbers
from cartsim.scenario.patients import PatientFile
from cartsim.scenario.samples import looks_at_samples
from cartsim.tables import Identity
from cartsim.tables.extras import logs_wanted
from cartsim.terms import CrsScale, PkModel

if TYPE_CHECKING:
    from cartsim.scenario.resolve import Arm, Scenario

#: Which logs the kernel must keep for which tables.
_EPISODE_TABLES = {"adae"}
_DOSE_TABLES = {"adcm", "adlb", "advs"}
_CHANGE_TABLES = {"grade_intervals", "events"}


@dataclass(frozen=True)
class ReadyArm:
    """An arm as a driver takes it."""

    id: str
    clinic: np.ndarray  # CLINIC[1]
    margins: np.ndarray  # MARGINS[1]
    policy: CompiledPolicy
    overrides: Mapping[str, float | list[float]]  # registry numbers that are not as published
    cohort_key: tuple[Any, ...]  # arms with the same key have the same subjects, seed and replicate given
    cd28: bool
    identity: Identity
    harms: HarmNumbers | None = None  # where the scenario asks what drugs do to people
    patients: PatientFile | None = None  # the user's own; None where every covariate is drawn
    bridging: Bridging = NO_BRIDGING

    @cached_property
    def registry(self) -> Registry:
        """The registry with this arm's overrides."""
        return load_registry(self.overrides)

    @property
    def par(self) -> np.ndarray:
        """PARAMETERS[1] of this arm."""
        return self.clinic["par"]

    def who(self, replicate: int) -> Identity:
        """Names for the rows of one replicate."""
        return replace(self.identity, replicate=replicate)

    @property
    def draws_all(self) -> bool:
        """Whether every covariate is drawn, and none changed before infusion."""
        return self.patients is None and not self.bridging.share

    def draw(
        self, seed: int, replicate: int, first: int, count: int, source: str = "philox"
    ) -> tuple[np.ndarray, np.ndarray]:
        """(COHORT, SUBJECT) of subjects `first .. first+count-1` of a replicate, as this arm's numbers make them."""
        if self.draws_all:
            return draw_cohort(self.par, self.margins, seed, replicate, first, count, source)
        known = None if self.patients is None else self.patients.subjects(seed, replicate, first, count)
        return draw_known(self.par, self.margins, seed, replicate, first, count, source, known, self.bridging)

    def masks(self, cohort: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(rules, prophylaxis) each subject of a COHORT array is eligible for, one bit a row."""
        return self.policy.eligibility(cohort, self.cd28), self.policy.prophylaxis_mask(cohort, self.cd28)


def tables_wanted(scenario: "Scenario") -> list[str]:
    """Subject tables that the scenario asks for: none where `outputs.tables` is empty, else adsl always, since
    everything else refers to it."""
    named = [name for name in scenario.outputs.tables if name != "occupancy"]
    if not named:
        return []
    wanted: list[str] = [name for name in named if name != "adsl"]
    if scenario.outputs.events != "off":
        wanted.append("events")
    wanted += marker_tables(scenario)
    return ["adsl", *wanted]


def marker_tables(scenario: "Scenario") -> list[str]:
    """Tables of biomarkers that the scenario asks for: laboratory, vital signs."""
    asked = scenario.outputs.biomarkers
    if asked is None or set(scenario.outputs.tables) <= {"occupancy"}:
        return []
    return ["adlb"] + (["advs"] if "temperature" in asked.markers else [])


def prepare_arm(scenario: "Scenario", arm: "Arm", number: int, parts: Parts | None = None) -> ReadyArm:
    """Settle one arm; `number` counts from 1. `parts`: what other arms were made of, to be used again.

    Raises `InvalidInput` for a registry key that does not exist.
    """
    parts = parts or Parts()
    overrides = scenario.registry_overrides(arm)
    base = load_registry()
    numbers = {**base.numbers(), **overrides}
    if len(numbers) > len(base.numbers()):
        load_registry(overrides)  # says which key is unknown
    pulled = lever_numbers(scenario.levers_of(arm), scenario.product.id, numbers)
    if pulled:
        overrides, numbers = {**overrides, **pulled}, {**numbers, **pulled}
    product = base.product(scenario.product.id)
    policy = parts.compiled(arm.policy, numbers, number)
    grading = grading_of(overrides)
    scale = CrsScale[scenario.grading.crs.upper()]
    margins, dose_unit = parts.margins(scenario, overrides)
    run = _run_numbers(scenario, arm, policy, scale, numbers)
    patients = scenario.patients
    if patients is not None:
        reference = numbers[f"product.{scenario.product.id}.reference_dose_cells_1e6"]
        assert not isinstance(reference, list)
        patients.check_doses(scenario.product.id, reference, dose_unit)
    asked = scenario.harms
    harms = None
    if asked is not None:
        harms = read_numbers(numbers, asked.drugs, asked.infection_per_tocilizumab_dose)
    return ReadyArm(
        id=arm.id,
        clinic=parts.clinic(policy, scenario.product.id, overrides, run),
        margins=margins,
        policy=policy,
        overrides=overrides,
        cohort_key=_cohort_key(scenario, overrides),
        cd28=(scenario.product.costimulation or product.costimulation) == "CD28",
        identity=Identity(
            scenario_id=scenario.id,
            design_id=0,
            replicate=0,
            arm_id=arm.id,
            arm_label=arm.label,
            arm_no=number,
            product_id=scenario.product.id,
            product_name=scenario.product.name or product.name,
            dose_unit="10^6 CELLS/kg" if "/kg" in dose_unit else "10^6 CELLS",
            crs_scale=int(scale),
            scale=grading.scale,
            fever_grade=grading.fever_grade,
            needs_fever=grading.needs_fever,
            rule_names=policy.rule_names,
        ),
        harms=harms,
        patients=patients,
        bridging=Bridging(*bridging_of(numbers)),
    )


def _cohort_key(scenario: "Scenario", overrides: Mapping[str, Any]) -> tuple[Any, ...]:
    changed = tuple(
        (key, tuple(value) if isinstance(value, list) else value) for key, value in sorted(overrides.items())
    )
    product = scenario.product
    return product.id, product.dose_cells_1e6, json.dumps(scenario.covariates), changed


def _run_numbers(
    scenario: "Scenario", arm: "Arm", policy: CompiledPolicy, scale: CrsScale, numbers: Mapping[str, Any]
) -> Mapping[str, Any]:
    wanted, logs = set(tables_wanted(scenario)), logs_wanted(scenario)
    temperature = policy.rules["temperature_min"]
    samples = looks_at_samples(scenario, arm, numbers)
    return {
        "horizon_d": scenario.horizon_days,
        "ward_h": scenario.monitoring.ward_h,
        "icu_h": scenario.monitoring.icu_h,
        "clinic_h": scenario.monitoring.clinic_h,
        "home_h": scenario.monitoring.home_h,
        "outpatient": scenario.monitoring.start == "outpatient",
        "crs_scale": int(scale),
        "policy_crs_scale": policy.crs_scale,
        "levetiracetam_on": arm.policy.levetiracetam,
        # a rule may fire on a sample while nothing is seen
        "skip": not samples,
        "want_temperature": bool(np.isfinite(temperature).any()),
        "want_episodes": bool(wanted & _EPISODE_TABLES) or "episodes" in logs,
        "want_doses": bool(wanted & _DOSE_TABLES) or scenario.harms is not None or "doses" in logs,
        "want_changes": bool(wanted & _CHANGE_TABLES) or "changes" in logs,
        "pk_model": int(PkModel[scenario.pharmacokinetics.upper()]),
        "marker_every_h": scenario.outputs.biomarkers.every_h if scenario.outputs.biomarkers else 0,
        "want_samples": "adlb" in wanted,
        "want_markers": samples,
    }
