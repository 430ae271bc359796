"""Why: "does it help the old as well?" is asked of nearly every answer. A subgroup is a named set of conditions on what
was known at infusion, written as policies write theirs; who belongs to it never depends on what happened later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartsim.policy.conditions import COVARIATE_NUMBERS, ConditionError, parse_number
from cartsim.scenario.shape import nearest

#: Covariates that take a bound or a range, and those that are true or false; the columns of the drawn cohort.
NUMBERS = (*COVARIATE_NUMBERS, "creatinine_mg_per_dl", "cell_dose_1e6")
FLAGS = ("high_burden", "prior_neuro", "comorbid")
SEXES = {"F": 0, "M": 1}
KEYS = (*NUMBERS, *FLAGS, "sex")


@dataclass(frozen=True)
class Subgroup:
    """Subjects for whom every condition holds; `ranges` are (column of the cohort, lowest, highest), inclusive."""

    name: str
    ranges: tuple[tuple[str, float, float], ...]

    @classmethod
    def parse(cls, name: str, conditions: Mapping[str, Any]) -> "Subgroup":
        """Read `{age_years: ">=65", high_burden: true, sex: F}`. Raises `ConditionError` for what cannot be read."""
        return cls(name, tuple(read_condition(key, value) for key, value in conditions.items()))

    def members(self, cohort: NDArray[Any]) -> NDArray[np.bool_]:
        """Who of a COHORT array (n,) belongs to it, bool (n,)."""
        inside = np.ones(len(cohort), np.bool_)
        for column, low, high in self.ranges:
            inside &= (cohort[column] >= low) & (cohort[column] <= high)
        return inside


def parse_subgroups(given: Mapping[str, Mapping[str, Any]] | None) -> tuple[Subgroup, ...]:
    """The subgroups of a scenario in the order of the file."""
    return tuple(Subgroup.parse(name, conditions) for name, conditions in (given or {}).items())


def members_of(subgroups: Sequence[Subgroup], cohort: NDArray[Any]) -> dict[str, NDArray[np.bool_]]:
    """{name: bool (n,)} of every subgroup."""
    return {subgroup.name: subgroup.members(cohort) for subgroup in subgroups}


def read_condition(key: str, value: Any) -> tuple[str, float, float]:
    """One condition as (column of the cohort, lowest, highest). Raises `ConditionError`."""
    if key in NUMBERS:
        return key, *parse_number(key, value, may_be_negative=key == "risk")
    if key in FLAGS:
        if not isinstance(value, bool):
            raise ConditionError(f"got {value!r}; {key} is true or false", "true")
        return key, float(value), float(value)
    if key == "sex":
        if value not in SEXES:
            raise ConditionError(f"got {value!r}; sex is M or F", "F")
        return "male", float(SEXES[value]), float(SEXES[value])
    meant = nearest(key, KEYS)
    raise ConditionError(f"`{key}` is not known at infusion", meant or f"one of: {', '.join(KEYS)}")
