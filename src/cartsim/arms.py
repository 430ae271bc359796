"""One arm made ready to run: registry numbers, compiled policy, grading tables, names.

Everything a driver and a table builder need is settled here once, so that a block of subjects is a pure function of
(this, seed, first subject, count).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cartsim.cohort import margins_of
from cartsim.evidence.registry import Registry, load_registry
from cartsim.model.parameters import fill_parameters
from cartsim.model.views import make_clinic
from cartsim.policy.compile import CompiledPolicy, compile_policy
from cartsim.tables import Identity
from cartsim.terms import CrsScale

if TYPE_CHECKING:
    from cartsim.scenario.resolve import Arm, Scenario

#: Which logs the kernel must keep for which tables.
_EPISODE_TABLES = {"adae"}
_DOSE_TABLES = {"adcm"}
_CHANGE_TABLES = {"grade_intervals", "events"}


@dataclass(frozen=True)
class ReadyArm:
    """An arm as a driver takes it."""

    id: str
    clinic: np.ndarray  # CLINIC[1]
    margins: np.ndarray  # MARGINS[1]
    policy: CompiledPolicy
    registry: Registry
    cd28: bool
    identity: Identity

    @property
    def par(self) -> np.ndarray:
        """PARAMETERS[1] of this arm."""
        return self.clinic["par"]

    def who(self, replicate: int) -> Identity:
        """Names for the rows of one replicate."""
        return replace(self.identity, replicate=replicate)

    def masks(self, cohort: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(rules, prophylaxis) each subject of a COHORT array is eligible for, one bit a row."""
        return self.policy.eligibility(cohort, self.cd28), self.policy.prophylaxis_mask(cohort, self.cd28)


def tables_wanted(scenario: "Scenario") -> list[str]:
    """Subject tables that the scenario asks for; adsl always, since everything else refers to it."""
    wanted: list[str] = [name for name in scenario.outputs.tables if name != "adsl"]
    if scenario.outputs.events != "off":
        wanted.append("events")
    return ["adsl", *wanted]


def prepare_arm(scenario: "Scenario", arm: "Arm", number: int) -> ReadyArm:
    """Settle one arm; `number` counts from 1. Raises `InvalidInput` for a registry key that does not exist."""
    registry = load_registry(scenario.registry_overrides(arm))
    numbers = registry.numbers()
    product = registry.product(scenario.product.id)
    policy = compile_policy(arm.policy, registry)
    grading = registry.grading()
    scale = CrsScale[scenario.grading.crs.upper()]
    par = fill_parameters(numbers, scenario.product.id, _run_numbers(scenario, arm, policy, scale))
    population = registry.population(scenario.product.id)
    for name, given in scenario.covariates.items():
        population = population.with_covariate(name, given)
    if scenario.product.dose_cells_1e6 is not None:
        population = population.with_covariate("cell_dose_1e6", scenario.product.dose_cells_1e6)
    return ReadyArm(
        id=arm.id,
        clinic=make_clinic(
            par,
            grading.scale,
            grading.fever_grade,
            grading.needs_fever,
            policy.rules,
            policy.actions,
            policy.prophylaxis,
        ),
        margins=margins_of(population),
        policy=policy,
        registry=registry,
        cd28=product.cd28,
        identity=Identity(
            scenario_id=scenario.id,
            design_id=0,
            replicate=0,
            arm_id=arm.id,
            arm_label=arm.label,
            arm_no=number,
            product_id=scenario.product.id,
            product_name=scenario.product.name or product.name,
            dose_unit="10^6 CELLS/kg" if "/kg" in population.cell_dose_unit else "10^6 CELLS",
            crs_scale=int(scale),
            scale=grading.scale,
            fever_grade=grading.fever_grade,
            needs_fever=grading.needs_fever,
            rule_names=policy.rule_names,
        ),
    )


def _run_numbers(
    scenario: "Scenario", arm: "Arm", policy: CompiledPolicy, scale: CrsScale
) -> Mapping[str, Any]:
    wanted = set(tables_wanted(scenario))
    temperature = policy.rules["temperature_min"]
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
        "skip": 1,
        "want_temperature": bool(np.isfinite(temperature).any()),
        "want_episodes": bool(wanted & _EPISODE_TABLES),
        "want_doses": bool(wanted & _DOSE_TABLES),
        "want_changes": bool(wanted & _CHANGE_TABLES),
    }
