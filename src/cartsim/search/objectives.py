"""Why: "severe CRS under the early policy" must become one number per subject before anything can be compared, by the
same reading of the columns as in every other table, and only where a mean over all subjects says what is meant.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cartsim.analysis.endpoints import Endpoint, columns_needed
from cartsim.analysis.targets import Target
from cartsim.errors import InvalidInput, OutputBroken

Floats = NDArray[np.float64]

#: The indifference that is taken for shares when none is given: half a percentage point.
SHARE_INDIFFERENCE = 0.005


@dataclass(frozen=True)
class Objective:
    """One endpoint of one arm as a number per subject. `maximise`: larger is better; `horizon_d` in days."""

    endpoint: Endpoint
    horizon_d: float
    maximise: bool = False

    @property
    def id(self) -> str:
        """Name of the endpoint."""
        return self.endpoint.id

    @property
    def is_share(self) -> bool:
        """True where a subject is 0 or 1."""
        return self.endpoint.measure != "value"

    @property
    def sign(self) -> float:
        """What makes the number one to be minimised."""
        return -1.0 if self.maximise else 1.0

    @property
    def reach(self) -> float | None:
        """The largest difference that one subject can make, where it is known."""
        if self.is_share:
            return 1.0
        return self.horizon_d if self.endpoint.unit == "day" else None

    def numbers(self, columns: Mapping[str, np.ndarray]) -> Floats:
        """(subjects,) the outcome of each subject, from columns of adsl (NaN where missing).

        Raises OutputBroken where a subject has no number.
        """
        values = np.asarray(columns[self.endpoint.column], float)
        if self.endpoint.measure == "level":
            return (values >= self.endpoint.at_least).astype(float)
        if self.endpoint.measure == "happened":
            return (~np.isnan(values)).astype(float)
        if self.endpoint.measure == "time":
            return (values <= self.horizon_d).astype(float)
        if np.isnan(values).any():
            raise OutputBroken("a subject has no number to compare", where=self.endpoint.column)
        return values


def read_objectives(
    minimise: str, front: Sequence[str], arms: Sequence[str], crs_scale: str, horizon_d: float
) -> tuple[str, list[Objective]]:
    """The arm and the objectives that a target (`outcome.crs_ge3.early`) and endpoint ids name, the target's first.

    An id of `front` may end in `:max` where larger is better; the target is on the front whether named or not.
    Raises `InvalidInput` with the nearest match.
    """
    target = Target.parse(minimise, arms, crs_scale=crs_scale)
    if target.table != "outcomes" or target.column != "value":
        held = "contrast compares arms" if target.table != "outcomes" else f"`{target.column}` is no outcome"
        raise InvalidInput(
            "candidates are compared on an outcome of one arm",
            where=f"--minimise {minimise}",
            why=f"a {held}" if target.table != "outcomes" else held,
            mend=f"--minimise outcome.{target.endpoint.id}.{target.arm}",
        )
    first = _objective(target, f"--minimise {minimise}", horizon_d)
    others = [_front_objective(text.strip(), target.arm, crs_scale, horizon_d) for text in front]
    if any(o.endpoint.key == first.endpoint.key and o.maximise for o in others):
        raise InvalidInput(
            "one endpoint cannot be minimised and maximised", where=f"--pareto {first.id}:max", mend=first.id
        )
    others = [o for o in others if o.endpoint.key != first.endpoint.key]
    names = [first.id, *(o.id for o in others)]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InvalidInput("an endpoint is named twice", where=f"--pareto {twice[0]}", mend="name it once")
    if front and not others:
        raise InvalidInput(
            "a front needs two endpoints",
            where=f"--pareto {first.id}",
            mend=f"--pareto {first.id},steroid_mg" if first.id != "steroid_mg" else "--pareto crs_ge3",
        )
    return target.arm, [first, *others]


def _front_objective(text: str, arm: str, crs_scale: str, horizon_d: float) -> Objective:
    id_, _, way = text.partition(":")
    if way not in ("", "min", "max"):
        raise InvalidInput(
            f"`{way}` says nothing about an endpoint",
            f"--pareto {text}",
            mend=f"{id_}:max if larger is better",
        )
    try:
        target = Target.parse(f"outcome.{id_}.{arm}", [arm], crs_scale=crs_scale)
    except InvalidInput as error:
        raise InvalidInput(error.what, f"--pareto {text}", error.why, error.mend) from None
    return _objective(target, f"--pareto {text}", horizon_d, maximise=way == "max")


def _objective(target: Target, where: str, horizon_d: float, maximise: bool = False) -> Objective:
    endpoint = target.endpoint
    why = f"it describes {endpoint.conditioning}" if endpoint.conditioning is not None else None
    if endpoint.kind == "median":
        why = why or "it is a median, and means over subjects are compared"
    if why is not None:
        raise InvalidInput(
            f"candidates cannot be compared on `{endpoint.id}`",
            where=where,
            why=why,
            mend="an endpoint that every subject has, such as crs_ge3, crs_days_ge2 or hospital_days",
        )
    return Objective(endpoint, target.day or horizon_d, maximise)


def columns_of(objectives: Sequence[Objective]) -> tuple[str, ...]:
    """Columns of adsl that the objectives read."""
    return columns_needed([objective.endpoint for objective in objectives])
