"""Why: who goes to intensive care, who is treated for fever, who may go home and how long a drug takes to arrive are a
site's habits, not biology. A scenario states them in the site's words; what becomes of it is registry numbers of an
arm, which everything else knows how to compare, draw and sweep.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from cartsim.evidence.behaviour import BEHAVIOUR_KEYS
from cartsim.scenario.strict import Strict
from cartsim.yaml_text import KeyPath

if TYPE_CHECKING:
    from cartsim.scenario.resolve import Arm, Scenario

Add = Callable[..., None]
Hours = Annotated[float, Field(ge=0, le=24 * 90)]
Share = Annotated[float, Field(ge=0, le=1)]


class AdmitFrom(Strict):
    """Grades that bring a subject outside hospital in; below them it is seen as before, and treated."""

    crs: int | None = Field(None, ge=1, le=4, description="CRS grade on the scenario's scale.")
    icans: int | None = Field(None, ge=1, le=4)


class IcuFrom(Strict):
    """Levels of support that bring a subject to intensive care, as they are seen at the bedside."""

    bp: int | None = Field(
        None,
        ge=1,
        le=5,
        description="1 one bolus, 2 repeated boluses, 3 low-dose pressor, 4 high-dose, 5 several.",
    )
    oxygen: int | None = Field(
        None, ge=1, le=4, description="1 low flow, 2 high flow, 3 CPAP or BiPAP, 4 ventilator."
    )
    neuro: int | None = Field(None, ge=1, le=4, description="1 ICE 7-9, 2 ICE 3-6, 3 ICE 0-2, 4 unarousable.")


class Discharge(Strict):
    """When a subject may go home."""

    clear_h: Hours | None = Field(None, description="Hours without CRS and at most at neuro_max.")
    neuro_max: int | None = Field(None, ge=0, le=4, description="Highest neurological level at discharge.")
    min_stay_d: float | None = Field(
        None,
        ge=0,
        le=90,
        description="Shortest stay after infusion, days, of a subject treated as inpatient.",
    )


class Antipyretics(Strict):
    """Scheduled antipyretics (paracetamol round the clock): they hide fever from the bedside and do nothing else."""

    share: Share | None = Field(None, description="Share of subjects who take them.")
    lowers_c: float | None = Field(
        None, ge=0, le=3, description="Degrees C that a raised temperature falls by."
    )
    from_infusion: bool | None = Field(
        None, description="From infusion on; false: from the first fever that is seen."
    )


class Behaviour(Strict):
    """Habits of the site; what is not said is as in the registry (`cartsim evidence behaviour`)."""

    admit_from: AdmitFrom | None = None
    icu_from: IcuFrom | None = None
    icu_out_h: Hours | None = Field(None, description="Hours in intensive care after the last need of it.")
    iv_fever_share: Share | None = Field(
        None, description="Share of subjects whose fever is treated IV in hospital (Penn grade 2)."
    )
    discharge: Discharge | None = None
    order_delay_h: list[Hours] | None = Field(
        None,
        min_length=2,
        max_length=2,
        description="Shortest and longest time from order to dose in hospital.",
    )
    travel_delay_h: Hours | None = Field(None, description="The same while the subject is at home.")
    adherence_grade1: Share | None = Field(
        None, description="Share of subjects in whom a rule for grade 1 is followed."
    )
    antipyretics: Antipyretics | None = None

    @model_validator(mode="after")
    def _rising(self) -> "Behaviour":
        if self.order_delay_h is not None and self.order_delay_h[0] > self.order_delay_h[1]:
            first, last = self.order_delay_h
            raise ValueError(
                f"order_delay_h is {first:g} to {last:g} h; the shortest delay must not exceed the longest"
            )
        return self


def behaviour_numbers(block: Behaviour | None) -> dict[str, float]:
    """Registry key -> number, of what the block says."""
    return {} if block is None else {key: float(value) for _, key, value in _said(plain_behaviour(block))}


def plain_behaviour(block: Behaviour) -> dict[str, Any]:
    """What the block says as plain data, without what it leaves open."""
    return block.model_dump(mode="json", exclude_none=True)


def behaviour_lines(scenario: "Scenario") -> list[str]:
    """One line a habit that a scenario or one of its arms states, with what the registry has."""
    from cartsim.evidence.registry import load_registry

    numbers = load_registry().numbers()
    blocks: list[tuple[str, Arm | None]] = [("", None), *((f"arm {arm.id}: ", arm) for arm in scenario.arms)]
    lines = []
    for heading, arm in blocks:
        block = scenario.behaviour if arm is None else arm.behaviour
        for path, key, value in _said(plain_behaviour(block)) if block is not None else ():
            name = path.replace(".0", " from").replace(".1", " to")
            lines.append(f"{heading}{name} {value:g} (registry: {numbers[key]:g})")
    return lines


def check_behaviour(data: Any, add: Add) -> None:
    """Habits stated twice: in a block `behaviour` and as the registry number behind it."""
    if not isinstance(data, dict):
        return
    model = data.get("model")
    overrides = model.get("overrides") if isinstance(model, dict) else None
    _check_twice(data.get("behaviour"), ("behaviour",), overrides, "model.overrides", add)
    arms = data.get("arms")
    for index, arm in enumerate(arms if isinstance(arms, list) else ()):
        if isinstance(arm, dict):
            here: KeyPath = ("arms", index, "behaviour")
            _check_twice(arm.get("behaviour"), here, arm.get("model"), "the arm's model", add)


def _check_twice(given: Any, here: KeyPath, overrides: Any, where: str, add: Add) -> None:
    if not isinstance(given, dict) or not isinstance(overrides, dict):
        return
    for path, key, _ in _said(given):
        if key in overrides:
            # a pair of hours is one key of the file
            parts = path.removesuffix(".0").removesuffix(".1").split(".")
            what = f"{where} has `{key}` too, which is the same number"
            add((*here, *parts), what, "keep one of the two")


def _said(data: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """(path, registry key, value) of each habit in a block as plain data."""
    for path, key in BEHAVIOUR_KEYS.items():
        here: Any = data
        for part in path.split("."):
            if isinstance(here, list):
                here = here[int(part)] if int(part) < len(here) else None
            else:
                here = here.get(part) if isinstance(here, dict) else None
        if here is not None:
            yield path, key, here
