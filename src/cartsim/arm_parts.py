"""Why: the arms of a sweep differ in a number or a rule, and making each from nothing costs more than simulating a
hundred subjects. Here are the parts of an arm, each kept by exactly what it is made from, so that what is taken again
is what would have been made.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from cartsim.cohort import margins_of
from cartsim.evidence.grading import GradingTables
from cartsim.evidence.population import Population
from cartsim.evidence.registry import load_registry
from cartsim.model.parameters import FIELDS, PARAMETERS, RUN_FIELDS, fill_parameters, registry_keys
from cartsim.model.state import CLINIC
from cartsim.model.views import make_clinic
from cartsim.policy.recompile import Made, make_policy

if TYPE_CHECKING:
    from cartsim.policy.compile import CompiledPolicy
    from cartsim.policy.schema import Policy
    from cartsim.scenario.resolve import Scenario

Value = float | list[float]
#: Parts of one kind that are kept; one more, and the kind is forgotten whole, which costs time and nothing else.
KEPT = 256


@dataclass
class _Shelf:
    """One policy compiled with different drug numbers. It holds the policy, whose identity is its key."""

    policy: "Policy"
    reads: tuple[str, ...]
    known: dict[tuple[Any, ...], "CompiledPolicy"] = field(default_factory=dict)


class Parts:
    """Parts of arms made so far, for one worker."""

    def __init__(self) -> None:
        self._policies: dict[int, _Shelf] = {}
        self._latest: dict[int, Made] = {}
        self._margins: dict[str, tuple[np.ndarray, str]] = {}
        self._clinics: dict[tuple[int, str], tuple[CompiledPolicy, np.ndarray]] = {}

    def compiled(self, policy: "Policy", numbers: Mapping[str, Value], slot: int) -> "CompiledPolicy":
        """`compile_policy(policy, numbers)`; policies of one `slot` (an arm's number) resemble each other."""
        shelf = self._policies.get(id(policy))
        if shelf is not None:
            values = tuple(numbers[key] for key in shelf.reads)
            if values in shelf.known:
                return shelf.known[values]
        made = make_policy(policy, numbers, self._latest.get(slot))
        self._latest[slot] = made
        if shelf is None:
            if len(self._policies) >= KEPT:
                self._policies.clear()
            shelf = self._policies[id(policy)] = _Shelf(policy, made.reads)
        if len(shelf.known) >= KEPT:
            shelf.known.clear()
        shelf.known[tuple(numbers[key] for key in shelf.reads)] = made.compiled
        return made.compiled

    def margins(self, scenario: "Scenario", overrides: Mapping[str, Value]) -> tuple[np.ndarray, str]:
        """MARGINS[1] of the scenario's subjects, and the unit of their cell dose."""
        product = scenario.product
        own = ("population.", f"product.{product.id}.cell_dose_1e6")
        read = {key: value for key, value in overrides.items() if key.startswith(own)}
        given = scenario.covariates
        if product.dose_cells_1e6 is not None:
            given = {**given, "cell_dose_1e6": product.dose_cells_1e6}
        key = json.dumps([product.id, read, given])
        if key not in self._margins:
            if len(self._margins) >= KEPT:
                self._margins.clear()
            population = load_registry(read).population(product.id) if read else _population(product.id)
            for name, spec in given.items():
                population = population.with_covariate(name, spec)
            margins = margins_of(population)
            margins.setflags(write=False)
            self._margins[key] = margins, population.cell_dose_unit
        return self._margins[key]

    def clinic(
        self, policy: "CompiledPolicy", product: str, overrides: Mapping[str, Value], run: Mapping[str, float]
    ) -> np.ndarray:
        """CLINIC[1]: `make_clinic` of the policy with `fill_parameters` of the numbers."""
        scales = {key: value for key, value in overrides.items() if key.startswith("grading.")}
        key = id(policy), json.dumps(scales)
        if key not in self._clinics:
            if len(self._clinics) >= KEPT:
                self._clinics.clear()
            self._clinics[key] = policy, _clinic_of(policy, grading_of(overrides)).view("u1")
        # copied as bytes: NumPy copies a record field by field, forty times slower
        filled = np.empty(1, CLINIC)
        memory = filled.view("u1")
        memory[:] = self._clinics[key][1]
        memory[_PAR : _PAR + PARAMETERS.itemsize] = _parameters(product, overrides, run).view("u1")
        return filled


def grading_of(overrides: Mapping[str, Value]) -> GradingTables:
    """Grading tables of the registry with these overrides."""
    scales = {key: value for key, value in overrides.items() if key.startswith("grading.")}
    return load_registry(scales).grading() if scales else _grading()


def _offset(record: np.dtype, name: str) -> int:
    """Where a field begins, in bytes."""
    assert record.fields is not None
    return int(record.fields[name][1])


_PAR = _offset(CLINIC, "par")
_NUMBER = np.dtype("f8").itemsize
_RUN_PLACES = {name: _offset(PARAMETERS, name) // _NUMBER for name in RUN_FIELDS}


def _clinic_of(policy: "CompiledPolicy", grading: GradingTables) -> np.ndarray:
    return make_clinic(
        np.zeros(1, PARAMETERS),
        grading.scale,
        grading.fever_grade,
        grading.needs_fever,
        policy.rules,
        policy.actions,
        policy.prophylaxis,
    )


def _parameters(product: str, overrides: Mapping[str, Value], run: Mapping[str, float]) -> np.ndarray:
    """`fill_parameters`, as float64 in the order of memory."""
    base, places = _published_parameters(product)
    filled = base.copy()
    for key, value in overrides.items():
        for place in places.get(key, ()):
            filled[place] = value
    for name, first in _RUN_PLACES.items():
        filled[first] = run[name]
    return filled


@lru_cache(maxsize=64)
def _published_parameters(product: str) -> tuple[np.ndarray, dict[str, list[slice]]]:
    """Parameters of a product as published, and where the value of a registry key stands among them."""
    par = fill_parameters(load_registry().numbers(), product, dict.fromkeys(RUN_FIELDS, 0.0))
    places: dict[str, list[slice]] = {}
    for name, key in registry_keys(product).items():
        first = _offset(PARAMETERS, name) // _NUMBER
        places.setdefault(key, []).append(slice(first, first + (FIELDS[name][1] or 1)))
    return par.view("f8"), places


@lru_cache(maxsize=64)
def _population(product: str) -> Population:
    return load_registry().population(product)


@lru_cache(maxsize=1)
def _grading() -> GradingTables:
    return load_registry().grading()
