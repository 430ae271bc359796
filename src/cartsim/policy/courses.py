"""Why: "10 mg every 6 h until grade 1, then a rapid taper" must become the same doses wherever it is read.

A course is the list of steps behind an order: named schedules and tapers written out, the end known, the daily
dose comparable between steroids. Limits are judged on the course, so that a schedule cannot hide a dose.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cartsim.policy.conditions import parse_number
from cartsim.policy.schema import Covariates, Give, Prophylactic
from cartsim.terms import HOURS_PER_DAY, MAX_STEPS

DATA = Path(__file__).parent / "data"
#: A step without an end of its own: until the stop condition.
UNTIL = -1

Fault = tuple[str, str, str | None]


@dataclass(frozen=True)
class Step:
    """`doses` of `mg` (mg/kg in a per-kg course) every `every_h` hours; `doses` is -1 until stopped."""

    mg: float
    every_h: float
    doses: int


@dataclass(frozen=True)
class Course:
    """Steps of one regimen; those from `taper_from` on are the taper. `cap_mg` limits each dose of a per-kg course."""

    steps: tuple[Step, ...]
    taper_from: int
    per_kg: bool
    cap_mg: float = math.inf

    @property
    def total_doses(self) -> int | None:
        """Doses from first to last, None when the stop condition decides."""
        if any(step.doses == UNTIL for step in self.steps):
            return None
        return sum(step.doses for step in self.steps)


def number(registry: Mapping[str, Any], key: str) -> float:
    """A registry number, from entries or from plain numbers; `KeyError` where it is missing."""
    entry = registry[key]
    return float(getattr(entry, "value", entry))


def numbers(registry: Mapping[str, Any], key: str) -> list[float]:
    """A registry list, likewise."""
    entry = registry[key]
    return [float(value) for value in getattr(entry, "value", entry)]


@cache
def _drug_file(name: str) -> dict[str, Any]:
    from cartsim.yaml_text import read_yaml

    path = DATA / "drugs" / f"{name}.yaml"
    document, _ = read_yaml(path.read_text(encoding="utf-8"), path.name)
    return dict(document.data)


def schedules() -> dict[str, Any]:
    """Named schedules: drug, source, steps."""
    return dict(_drug_file("schedules")["schedules"])


def tapers() -> dict[str, Any]:
    """Named tapers: note, and steps by drug."""
    return dict(_drug_file("schedules")["tapers"])


def _steps(rows: list[dict[str, Any]], divide: float = 1.0) -> tuple[Step, ...]:
    return tuple(Step(row["mg"] / divide, float(row["every_h"]), row["doses"]) for row in rows)


def _taper(give: Give, divide: float) -> tuple[Step, ...]:
    explicit = give.taper_steps()
    if explicit is not None:
        return _steps([step.model_dump() for step in explicit], divide)
    if give.taper in (None, "none"):
        return ()
    return _steps(tapers()[give.taper][give.drug], divide)


def course(give: Give, registry: Mapping[str, Any]) -> Course:
    """Steps of a steroid or anakinra order; the order must have passed the schema.

    Tapers are said in mg; in a mg/kg course they are divided by the registry's reference weight.
    """
    per_kg = give.mg_per_kg is not None
    divide = number(registry, "steroid.reference_kg") if per_kg else 1.0
    taper = _taper(give, divide)
    if give.schedule is not None:
        main = _steps(schedules()[give.schedule]["steps"])
    else:
        mg = give.mg if give.mg_per_kg is None else give.mg_per_kg
        assert mg is not None
        doses = give.max_doses or (UNTIL if give.until is not None else 1)
        main = (Step(mg, give.every_h or HOURS_PER_DAY, doses),)
    return Course(main + taper, len(main), per_kg, math.inf if give.cap_mg is None else give.cap_mg)


def dexamethasone_factor(drug: str, registry: Mapping[str, Any]) -> float:
    """mg of `drug` to mg dexamethasone equivalents; anakinra counts in its own mg."""
    key = "steroid.methylprednisolone_to_dexamethasone"
    return number(registry, key) if drug == "methylprednisolone" else 1.0


def step_daily_mg(step: Step, kg: float = 1.0, cap_mg: float = math.inf) -> float:
    """mg given within 24 h in one step of a subject of `kg`; a step of fewer doses counts only what it gives."""
    doses = HOURS_PER_DAY / step.every_h
    if step.doses != UNTIL:
        doses = min(doses, step.doses)
    return min(step.mg * kg, cap_mg) * max(1.0, doses)


def daily_mg(give: Give, registry: Mapping[str, Any]) -> float:
    """mg dexamethasone equivalents a day in the first step, at the reference weight: the rank of a rung."""
    regimen = course(give, registry)
    kg = number(registry, "steroid.reference_kg") if regimen.per_kg else 1.0
    return step_daily_mg(regimen.steps[0], kg, regimen.cap_mg) * dexamethasone_factor(give.drug, registry)


def dose_faults(
    order: Give | Prophylactic, covariates: Covariates | None, registry: Mapping[str, Any]
) -> list[Fault]:
    """What is wrong with the doses of an order: (key, what, mend)."""
    if order.drug == "tocilizumab":
        return list(_tocilizumab_faults(order, covariates, registry))
    if isinstance(order, Give):
        faults = list(_course_faults(order))
        return faults or list(_high_steps(order.drug, course(order, registry), registry))
    dosed = order.mg if order.mg_per_kg is None else order.mg_per_kg
    assert dosed is not None
    single = Course((Step(dosed, HOURS_PER_DAY, 1),), 1, order.mg_per_kg is not None)
    return list(_high_steps(order.drug, single, registry))


def _course_faults(give: Give) -> Iterator[Fault]:
    known = schedules()
    if give.schedule is not None and give.schedule not in known:
        yield "schedule", f"unknown schedule {give.schedule!r}", f"one of: {', '.join(sorted(known))}"
    elif give.schedule is not None and known[give.schedule]["drug"] != give.drug:
        yield (
            "schedule",
            f"{give.schedule} is a schedule of {known[give.schedule]['drug']}, not {give.drug}",
            None,
        )
    explicit = give.taper_steps()
    if explicit is not None and len(explicit) > MAX_STEPS - 4:
        yield "taper", f"{len(explicit)} taper steps; at most {MAX_STEPS - 4} are possible", None


def _high_steps(drug: str, regimen: Course, registry: Mapping[str, Any]) -> Iterator[Fault]:
    limit = _drug_file("limits")[drug]
    kg = number(registry, "steroid.reference_kg") if regimen.per_kg else 1.0
    key = "mg_per_kg" if regimen.per_kg else "mg"
    at = f" at {kg:g} kg" if regimen.per_kg else ""
    for step in regimen.steps:
        single, daily = min(step.mg * kg, regimen.cap_mg), step_daily_mg(step, kg, regimen.cap_mg)
        if single > limit["single_mg"]:
            yield (
                key,
                f"{drug} {step.mg:g} {key.replace('_per_', '/')} is {single:g} mg{at}; "
                f"the limit is {limit['single_mg']:g} mg a dose",
                limit["reason"],
            )
        elif daily > limit["daily_mg"]:
            yield (
                key,
                f"{drug} comes to {daily:g} mg a day{at}; the limit is {limit['daily_mg']:g} mg a day",
                limit["reason"],
            )
        else:
            continue
        return


def _tocilizumab_faults(
    order: Give | Prophylactic, covariates: Covariates | None, registry: Mapping[str, Any]
) -> Iterator[Fault]:
    light_kg = number(registry, "tocilizumab.light_below_kg")
    cap = number(registry, "tocilizumab.cap_mg")
    weight = covariates.weight_kg if covariates is not None else None
    heaviest = parse_number("weight_kg", weight)[1] if weight is not None else math.inf
    light = heaviest < light_kg
    key = "tocilizumab.dose_light_mg_per_kg" if light else "tocilizumab.dose_mg_per_kg"
    limit = number(registry, key)
    mend = "leave the dose out: the labelled dose by weight belongs to the drug"
    if order.mg_per_kg is not None and order.mg_per_kg > limit:
        band = (
            f"below {light_kg:g} kg" if light else f"from {light_kg:g} kg (which the rule does not exclude)"
        )
        what = f"tocilizumab {order.mg_per_kg:g} mg/kg is above the label's {limit:g} mg/kg {band}"
        yield "mg_per_kg", what, mend
    if order.mg is not None and order.mg > cap:
        yield "mg", f"tocilizumab {order.mg:g} mg is above the cap of {cap:g} mg a dose", mend
    if isinstance(order, Give):
        spacing, most = number(registry, "tocilizumab.spacing_h"), number(registry, "tocilizumab.max_doses")
        if order.repeat_h is not None and order.repeat_h < spacing:
            what = f"tocilizumab every {order.repeat_h:g} h; doses must be at least {spacing:g} h apart"
            yield "repeat_h", what, f"repeat_h: {spacing:g}"
        if order.max_doses is not None and order.max_doses > most:
            what = f"{order.max_doses} doses of tocilizumab; at most {most:g} in all"
            yield "max_doses", what, f"max_doses: {most:g}"
