"""Why: claims, their evidence status and the simulation that matches each are text to be read and argued with, so they
stand in a data file (`data/claims.yaml`); here is the form that every one of them must fill.
"""

import math
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

FILE = Path(__file__).parent / "data" / "claims.yaml"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimand(_Strict):
    """What is read from the simulated arms; a reference arm for a contrast, none for a figure of one arm."""

    statistic: Literal["risk_ratio", "number_needed", "share", "median"]
    variable: str
    arm: str
    reference: str | None = None

    @model_validator(mode="after")
    def _compared(self) -> "Estimand":
        contrast = self.statistic in ("risk_ratio", "number_needed")
        if contrast != (self.reference is not None):
            raise ValueError(f"{self.statistic} takes {'a' if contrast else 'no'} reference arm")
        return self


class Setting(_Strict):
    """Patients and policies that match some claims: keys of a scenario file."""

    title: str
    scenario: dict[str, Any]


class Claim(_Strict):
    """One claim. `claimed` is its size as (low, high), equal where a single number is claimed and null at an open end;
    `events` of `n` is what a primary source counted."""

    id: str
    statement: str
    claimed: tuple[float | None, float | None] | None
    status: Literal["supported", "contested", "unsupported"]
    why: str
    source: str
    mark: Literal["verified", "recalled", "derived"]
    events: int | None = Field(None, ge=0)
    n: int | None = Field(None, ge=1)
    setting: str | None = None
    estimand: Estimand | None = None
    by_construction: bool = False
    not_modelled: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Claim":
        if (self.setting is None) != (self.estimand is None):
            raise ValueError("a setting and an estimand belong together")
        if (self.setting is None) != (self.not_modelled is not None):
            raise ValueError("either a setting, or why the model cannot speak to it")
        if (self.events is None) != (self.n is None):
            raise ValueError("events and n belong together")
        if self.bounds[0] > self.bounds[1]:
            raise ValueError("the claimed size is the wrong way round")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """The claimed size with open ends as infinities."""
        low, high = self.claimed or (None, None)
        return -math.inf if low is None else low, math.inf if high is None else high


@cache
def load_claims() -> tuple[tuple[Claim, ...], dict[str, Setting]]:
    """Claims in the order of the file, and their settings by name.

    Raises `InvalidInput` or `ValidationError` where the file is not well formed.
    """
    from cartsim.errors import InvalidInput
    from cartsim.yaml_text import read_yaml

    document, traps = read_yaml(FILE.read_text(encoding="utf-8"), FILE.name)
    if traps:
        raise InvalidInput("the claims cannot be read", problems=traps)
    settings = {name: Setting.model_validate(block) for name, block in document.data["settings"].items()}
    claims = tuple(
        Claim.model_validate({"id": name, **block}) for name, block in document.data["claims"].items()
    )
    for claim in claims:
        if claim.setting is not None and claim.setting not in settings:
            raise InvalidInput(f"claim {claim.id}: there is no setting {claim.setting!r}")
    return claims, settings
