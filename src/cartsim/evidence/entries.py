"""Why: a number is only as good as what is known about it, so an entry without a unit, a status and a source (or an
honest reason and a range) cannot be loaded at all. These models are the form every entry of `data/*.yaml` must fill.
"""

import math
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, StrictFloat, model_validator

#: The units an entry may have, with the closed interval in which any value of that unit makes sense.
UNITS: dict[str, tuple[float, float]] = {
    "1": (0.0, math.inf),  # a plain factor or spread
    "share": (0.0, 1.0),
    "correlation": (-1.0, 1.0),
    "yes/no": (0.0, 1.0),
    "grade": (0.0, 5.0),
    "level": (0.0, 5.0),
    "log intensity": (-math.inf, math.inf),  # the latent scale: fever at 0, first hypotension at 1
    "log intensity per ln(dose)": (-math.inf, math.inf),
    "normal score": (-math.inf, math.inf),
    "relative weight": (-math.inf, math.inf),
    "/log intensity": (0.0, math.inf),
    "/d": (0.0, math.inf),
    "d": (0.0, math.inf),
    "h": (0.0, math.inf),
    "year": (0.0, math.inf),
    "kg": (0.0, math.inf),
    "L": (0.0, math.inf),
    "L/d": (0.0, math.inf),
    "mg": (0.0, math.inf),
    "mg/d": (0.0, math.inf),
    "mg/kg": (0.0, math.inf),
    "mg/L": (0.0, math.inf),
    "mg/dL": (0.0, math.inf),
    "ng/mL": (0.0, math.inf),
    "pg/mL": (0.0, math.inf),
    "U/L": (0.0, math.inf),
    "1e9/L": (0.0, math.inf),
    "1e6 cells": (0.0, math.inf),
    "1e6 cells/kg": (0.0, math.inf),
    "doses": (0.0, math.inf),
    "degC": (-math.inf, math.inf),
}

FileStatus = Literal["reported", "derived", "calibrated", "assumed"]
Status = Literal["reported", "derived", "calibrated", "assumed", "override"]
Number = StrictFloat  # a quoted number or `true` is not a number
Interval = tuple[Number, Number]


class Strict(BaseModel):
    """Unknown keys are errors, numbers are never read from text, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Source(Strict):
    """Where a number was read."""

    citation: str | None = None
    doi: str | None = None
    locator: str | None = None

    @model_validator(mode="after")
    def _named(self) -> "Source":
        if not (self.citation or self.doi):
            raise ValueError("a source needs a citation or a doi")
        return self


class Uncertainty(Strict):
    """How to draw the number in a parameter set: `beta` of events of n, or `lognormal`/`normal` with an sd."""

    kind: Literal["beta", "lognormal", "normal", "uniform"]
    events: float | None = None
    n: float | None = None
    sd: Number | None = None

    @model_validator(mode="after")
    def _filled(self) -> "Uncertainty":
        if self.kind == "beta" and (self.events is None or self.n is None):
            raise ValueError("uncertainty of kind beta needs events and n")
        if self.kind in ("lognormal", "normal") and self.sd is None:
            raise ValueError(f"uncertainty of kind {self.kind} needs sd")
        return self


class _Entry(Strict):
    """What every kind of entry says about itself."""

    unit: str
    status: Status
    meaning: str
    source: Source | None = None
    formula: str | None = None
    inputs: list[str] | None = None
    targets: str | None = None
    command: str | None = None
    reason: str | None = None
    choice: str | None = None  # where a source leaves a choice: what was chosen
    uncertainty: Uncertainty | None = None
    applies_to: dict[str, str] | None = None
    verified: bool | None = None  # false: read in a transcription or recalled, not in the primary source

    @model_validator(mode="after")
    def _grounded(self) -> "_Entry":
        if self.unit not in UNITS:
            raise ValueError(f"unit {self.unit!r} is not one of: {', '.join(UNITS)}")
        needs: dict[str, tuple[str, ...]] = {
            "reported": ("source",),
            "derived": ("formula", "inputs"),
            "calibrated": ("targets", "command"),
            "assumed": ("reason", "range"),
            "override": (),
        }
        missing = [name for name in needs[self.status] if not getattr(self, name, None)]
        if missing:
            raise ValueError(f"status {self.status} needs {' and '.join(missing)}")
        return self


class NumberEntry(_Entry):
    """A number, or a list of numbers (thresholds by level, weights by marker)."""

    value: Number | list[Number]
    range: Interval | tuple[list[Number], list[Number]] | None = None
    positive: bool = False  # zero would break an equation
    ascending: bool = False

    @property
    def size(self) -> int:
        """0 for a scalar, else the length."""
        return len(self.value) if isinstance(self.value, list) else 0

    @model_validator(mode="after")
    def _plausible(self) -> "NumberEntry":
        if fault := self.fault(self.value):
            raise ValueError(fault)
        if self.range is not None and self.status != "override":
            for value, (a, b) in zip(self._values(self.value), self.ranges(), strict=True):
                if not a <= value <= b:
                    raise ValueError(f"{value:g} lies outside its own range {a:g} to {b:g}")
        return self

    def fault(self, given: float | list[float]) -> str | None:
        """Why this entry could not have the value `given`; None where it could."""
        low, high = UNITS[self.unit]
        values = self._values(given)
        for value in values:
            if not low <= value <= high or (self.positive and value <= 0):
                bound = "above 0" if self.positive else f"within {low:g} and {high:g}"
                return f"{value:g} is not {bound} ({self.unit})"
        if self.ascending and sorted(set(values)) != values:
            return "the numbers must rise strictly"
        return None

    @staticmethod
    def _values(value: float | list[float]) -> list[float]:
        return value if isinstance(value, list) else [value]

    def ranges(self) -> Iterator[tuple[float, float]]:
        """(low, high) of each number; one where the entry is a scalar. The entry must have a range."""
        assert self.range is not None
        low, high = self.range
        count = self.size or 1
        lows = low if isinstance(low, list) else [low] * count
        highs = high if isinstance(high, list) else [high] * count
        return zip(lows, highs, strict=True)


#: Parameters each distribution must have; every other field is left out.
DISTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "truncnorm": ("mean", "sd", "low", "high"),
    "lognormal": ("median", "sdlog", "low", "high"),
    "bernoulli": ("p",),
}


class DistributionEntry(_Entry):
    """A covariate's distribution. `mean`, `sd`, `median`, `sdlog` are those before cutting to [low, high]."""

    dist: Literal["truncnorm", "lognormal", "bernoulli"]
    mean: Number | None = None
    sd: Number | None = None
    median: Number | None = None
    sdlog: Number | None = None
    low: Number | None = None
    high: Number | None = None
    p: Number | None = None
    range: dict[str, Interval] | None = None

    @property
    def value(self) -> dict[str, float]:
        """The distribution's parameters by name."""
        return {name: getattr(self, name) for name in DISTRIBUTIONS[self.dist]}

    @model_validator(mode="after")
    def _proper(self) -> "DistributionEntry":
        wanted = DISTRIBUTIONS[self.dist]
        every = {name for names in DISTRIBUTIONS.values() for name in names}
        missing = [name for name in wanted if getattr(self, name) is None]
        extra = [name for name in sorted(every.difference(wanted)) if getattr(self, name) is not None]
        if missing or extra:
            raise ValueError(f"{self.dist} takes {', '.join(wanted)}")
        values = self.value
        if fault := self.fault(values):
            raise ValueError(fault)
        for name, (a, b) in (self.range or {}).items():
            if name not in values or (self.status != "override" and not a <= values[name] <= b):
                raise ValueError(f"range of {name} does not hold its value")
        return self

    def fault(self, values: dict[str, float]) -> str | None:
        """Why the distribution could not have the parameters `values` (all of them); None where it could."""
        for name in ("sd", "sdlog", "median"):
            if name in values and values[name] <= 0:
                return f"{name} must be above 0"
        if "p" in values and not 0 <= values["p"] <= 1:
            return "p must lie within 0 and 1"
        if "low" in values:
            centre = values.get("mean", values.get("median", 0.0))
            if not (
                UNITS[self.unit][0] <= values["low"] < values["high"]
                and values["low"] <= centre <= values["high"]
            ):
                return "low, centre and high must rise, within what the unit allows"
        return None


class CorrelationEntry(_Entry):
    """Correlations of normal scores, as [covariate, covariate, rho]; pairs not named are 0."""

    pairs: list[tuple[str, str, Number]]
    range: Interval | None = None  # by how much each may be off

    @property
    def value(self) -> list[list[Any]]:
        """The pairs as plain lists."""
        return [list(pair) for pair in self.pairs]


Entry = NumberEntry | DistributionEntry | CorrelationEntry


class ProductInfo(Strict):
    """What a product is. `neuro_definition` names the events its published neurotoxicity rates count."""

    name: str
    indication: str
    costimulation: Literal["CD28", "4-1BB"]
    target: Literal["CD19", "BCMA"]
    neuro_definition: Literal["wide", "icans", "both", "none"]
    population: str

    @property
    def cd28(self) -> bool:
        """Whether the construct signals through CD28."""
        return self.costimulation == "CD28"


class PopulationInfo(Strict):
    """Whom a population stands for, and which correlation set it uses."""

    title: str
    correlations: str
