"""Why: a run with parameter draws simulates the same subjects again and again, under other numbers each time. Here is
which numbers: a set drawn from the evidence, or one weakly identified number at the edge of its prior.
"""

from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from cartsim.arm_parts import Parts
from cartsim.arms import ReadyArm, prepare_arm
from cartsim.evidence.spread import draw_numbers
from cartsim.evidence.weak import DRUGS, WeakPrior, weak_priors

if TYPE_CHECKING:
    from cartsim.scenario.resolve import Scenario
    from cartsim.sweep.points import Points

Value = float | list[float]
#: Arms of this many parameter sets are kept at hand: about 60 kB a set and arm.
KEPT = 1_200
#: Of a batch run only so many subjects tell what an edge of a prior does, the first of the first replicate ...
TIPPING_SUBJECTS = 4_096
#: ... and of runs whose unit is the replicate, so many of those.
TIPPING_REPLICATES = 20
_STEROIDS = ("dexamethasone", "methylprednisolone")


@dataclass(frozen=True)
class Edge:
    """The numbers of one row of the tipping table: one number at an edge of its prior, or none moved (`prior` null)."""

    prior: WeakPrior | None = None
    upwards: bool = False

    @property
    def shift(self) -> int:
        """-1, 0 or 1."""
        return 0 if self.prior is None else 1 if self.upwards else -1


def has_tipping(scenario: "Scenario") -> bool:
    """Whether edges of priors are looked at: where there is a difference that could tip, of one design point."""
    return scenario.run.parameter_draws > 0 and len(scenario.arms) > 1 and scenario.sweep is None


def drugs_of(scenario: "Scenario") -> frozenset[str]:
    """Drugs that some arm may give, as heads of registry keys."""
    given = {
        one.drug
        for arm in scenario.arms
        for one in (*(rule.give for rule in arm.policy.rules.values()), *arm.policy.prophylaxis.values())
        if one is not None
    }
    return frozenset("steroid" if drug in _STEROIDS else drug for drug in given) & frozenset(DRUGS)


def edges_of(scenario: "Scenario") -> tuple[Edge, ...]:
    """Nothing moved, then each weakly identified number at its low and its high edge."""
    own = {key for arm in scenario.arms for key in replace(scenario, draw=None).registry_overrides(arm)}
    priors = weak_priors(scenario.product.id, drugs_of(scenario), own)
    return (Edge(), *(Edge(prior, upwards) for prior in priors for upwards in (False, True)))


def drawn_in(scenario: "Scenario", draw: int) -> Mapping[str, Value]:
    """What parameter set `draw` gives a scenario: numbers that the scenario sets itself stay as it says."""
    drawn = draw_numbers(scenario.product.id, scenario.require_seed(), draw)
    own = scenario.registry_overrides()
    return {key: value for key, value in drawn.items() if key not in own}


class ParameterSets:
    """Arms of the design points of a run under every parameter set, made when they are asked for. One for a worker."""

    def __init__(self, points: "Points") -> None:
        self._points = points
        self._parts = Parts()
        self._arms: OrderedDict[tuple[int, int | Edge], tuple[Scenario, list[ReadyArm]]] = OrderedDict()

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """Of the scenario by itself; none in a sweep."""
        base = self._points.base
        return edges_of(base) if has_tipping(base) else ()

    def arms(self, design: int, which: "int | Edge") -> "tuple[Scenario, list[ReadyArm]]":
        """Scenario and arms of a design point under a drawn set (its number) or at an edge; no subject tables.

        Raises `InvalidInput` for a number that does not exist.
        """
        key = design, which
        if key not in self._arms:
            scenario = self._scenario(design, which)
            made = [
                prepare_arm(scenario, arm, number, self._parts) for number, arm in enumerate(scenario.arms, 1)
            ]
            self._arms[key] = scenario, made
            while len(self._arms) > KEPT:
                # another thread may have been quicker
                with suppress(KeyError):
                    self._arms.popitem(last=False)
            return scenario, made
        return self._arms[key]

    def _scenario(self, design: int, which: "int | Edge") -> "Scenario":
        scenario = self._points.scenario(design)
        # tables are those of the central set; without them the kernel keeps no logs for them
        bare = {"tables": [], "events": "off"}
        scenario = replace(scenario, outputs=scenario.outputs.model_copy(update=bare))
        if isinstance(which, int):
            return replace(scenario, draw=which)
        if which.prior is None:
            return scenario
        from cartsim.evidence.registry import load_registry

        key = which.prior.key
        setting = which.prior.setting(which.upwards, load_registry().numbers()[key])
        return replace(scenario, model_overrides={**scenario.model_overrides, key: setting})
