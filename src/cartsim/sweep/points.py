"""Why: a design says which settings a point has. Here a point becomes a scenario and arms that are ready to run, fast
enough that making it is small beside simulating even a hundred subjects.
"""

from collections import OrderedDict
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cartsim.arm_parts import Parts
from cartsim.arms import ReadyArm, prepare_arm
from cartsim.scenario.vary import Variations
from cartsim.sweep.checking import check_points
from cartsim.sweep.designs import Design, expand
from cartsim.sweep.parameter_sets import ParameterSets

if TYPE_CHECKING:
    from cartsim.scenario.resolve import Scenario

#: Scenarios and arms at hand: whoever works on a point asks for it several times.
RECENT = 16


class Points:
    """The design points of a scenario, by number; one of them where it has no sweep.

    Small and picklable: a worker gets the base and the design, and makes of them what it needs.
    """

    def __init__(self, base: "Scenario", design: Design | None = None) -> None:
        self.base = base
        self.design = design if design is not None else expand(base)
        self._begin()

    def _begin(self) -> None:
        self._variations = Variations(self.base)
        self._parts = Parts()
        self._scenarios: OrderedDict[int, Scenario] = OrderedDict()
        self._arms: OrderedDict[int, list[ReadyArm]] = OrderedDict()
        self.sets = ParameterSets(self)

    def __getstate__(self) -> dict[str, Any]:
        return {"base": self.base, "design": self.design}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.base, self.design = state["base"], state["design"]
        self._begin()

    def __len__(self) -> int:
        return len(self.design)

    def id(self, i: int) -> str:
        """Sixteen hex digits of the settings of point `i`."""
        return self.design.point_id(i)

    def scenario(self, i: int) -> "Scenario":
        """Point `i` as a scenario of its own, without a sweep. Raises `InvalidInput` for settings that do not fit."""
        found = self._scenarios.get(i)
        if found is None:
            settings = self.design.settings(i)
            whole = not settings and self.base.sweep is None
            found = self.base if whole else self._variations.scenario(settings)
            _keep(self._scenarios, i, found)
        return found

    def arms(self, i: int) -> list[ReadyArm]:
        """Arms of point `i` in the order of the file; their rows bear `design_id` i. Raises as `scenario`."""
        found = self._arms.get(i)
        if found is None:
            scenario = self.scenario(i)
            made = [
                prepare_arm(scenario, arm, number, self._parts) for number, arm in enumerate(scenario.arms, 1)
            ]
            found = [replace(arm, identity=replace(arm.identity, design_id=i)) for arm in made]
            _keep(self._arms, i, found)
        return found

    def check(self, limit: int | None = None) -> None:
        """Refuse a sweep with more points than `limit`, or with a value that cannot be run, before anything is run.

        Every value of every axis is tried alone, and every point where there are at most 2,000. Raises `InvalidInput`
        naming file, line, path and design point.
        """
        check_points(self, limit)


def _keep(recent: OrderedDict[int, Any], i: int, made: Any) -> None:
    # several threads may keep and forget at once: what they return is in their own hands
    recent[i] = made
    while len(recent) > RECENT:
        with suppress(KeyError):
            recent.popitem(last=False)
