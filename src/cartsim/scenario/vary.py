"""Why: the points of a sweep are thousands of scenarios that differ in a key or two. Reading each of them whole would
cost more than simulating it; here only the section that a key stands in is read again, by the same models and checks.

Whatever is not plain sailing (a value refused, a check that finds something) goes the long way through
`load_scenario`, which knows how to say it.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from cartsim.errors import InvalidInput
from cartsim.scenario.behaviour import Behaviour
from cartsim.scenario.checks import check_references
from cartsim.scenario.load import load_scenario
from cartsim.scenario.models import Arm as ArmBlock
from cartsim.scenario.models import (
    Grading,
    Harms,
    Levers,
    ModelBlock,
    Monitoring,
    Population,
    ProductBlock,
    Site,
    Study,
)
from cartsim.scenario.overrides import NoSuchPath, set_path
from cartsim.scenario.policies import Policies
from cartsim.scenario.resolve import Scenario, resolve_arm, resolve_product
from cartsim.scenario.value import Costs, Utilities
from cartsim.yaml_text import Document, KeyPath

if TYPE_CHECKING:
    from cartsim.evidence.registry import Registry
    from cartsim.scenario.patients import PatientFile

_PRODUCT: TypeAdapter[str | ProductBlock] = TypeAdapter(str | ProductBlock)
#: Section of the file -> (field of Scenario, how it is read). Policies and the model block have ways of their own.
_SECTIONS: dict[str, Callable[[Any], Any]] = {
    "study": Study.model_validate,
    "population": Population.model_validate,
    "grading": Grading.model_validate,
    "monitoring": Monitoring.model_validate,
    "site": Site.model_validate,
    "harms": Harms.model_validate,
    "costs": Costs.model_validate,
    "utilities": Utilities.model_validate,
    "levers": Levers.model_validate,
    "behaviour": Behaviour.model_validate,
}


class Variations:
    """Scenarios that differ from `base` in a few keys."""

    def __init__(self, base: Scenario) -> None:
        from cartsim.evidence.registry import load_registry

        self.base = base
        self._registry: Registry = load_registry()
        self._policies = Policies(self._registry)

    def scenario(self, settings: Mapping[str, Any]) -> Scenario:
        """The base with these values set, and without a sweep: what `load_scenario` with the same `settings` gives.

        Raises `InvalidInput` with the same problems.
        """
        varied: Scenario | None = None
        with suppress(NoSuchPath, InvalidInput, ValidationError, _LongWay):
            varied = self._vary(settings)
        if varied is None:
            cohort = self.base.patients
            varied = load_scenario(
                self.base.data,
                settings={**settings, "sweep": None, **_same_cohort(cohort)},
                folder=cohort.folder if cohort is not None else None,
                stored=cohort is not None and not cohort.rows,
            )
        return replace(
            varied,
            text=self.base.text,
            file=self.base.file,
            overrides={**self.base.overrides, **settings},
            sweep=None,
        )

    def _vary(self, settings: Mapping[str, Any]) -> Scenario:
        data: Mapping[str, Any] = self.base.data
        touched: dict[tuple[str, int], list[tuple[KeyPath, Any]]] = {}
        for path, value in settings.items():
            data, place = set_path(data, path, value)
            section = str(place[0])
            number = place[1] if section == "arms" and len(place) > 1 else -1
            touched.setdefault((section, int(number)), []).append((place, value))
        changes: dict[str, Any] = {"data": data}
        arms = list(self.base.arms)
        for (section, number), places in touched.items():
            given = data[section]
            if self.base.patients is not None and section in ("population", "product"):
                raise _LongWay  # the file may not fit any more
            if section == "arms" and number >= 0:
                arms[number] = self._arm(number, given[number], places)
            elif section == "product":
                changes["product"] = resolve_product(_PRODUCT.validate_python(given))
            elif section == "model":
                block = ModelBlock.model_validate(given)
                changes |= {
                    "model_overrides": block.overrides,
                    "draw": block.draw,
                    "pharmacokinetics": block.pharmacokinetics,
                }
            elif section in _SECTIONS and given is not None:
                changes[section] = _SECTIONS[section](given)
            else:
                raise _LongWay
        if check_references(Document(data), self._registry):
            raise _LongWay
        return replace(self.base, arms=tuple(arms), **changes)

    def _arm(self, number: int, given: Mapping[str, Any], places: list[tuple[KeyPath, Any]]) -> Any:
        block = ArmBlock.model_validate(given)
        before = self.base.arms[number]
        inside = [(place[2:], value) for place, value in places if place[2] in ("policy", "prophylaxis")]
        if not inside and block.id == before.id:
            return resolve_arm(block, before.policy)
        return resolve_arm(block, self._policies.policy(number, given, inside))


def _same_cohort(cohort: "PatientFile | None") -> dict[str, Any]:
    """Every point has the patients that the base had when it was read."""
    return {} if cohort is None else {"population.sha256": cohort.sha256}


class _LongWay(Exception):
    """Not one of the cases that are quick."""
