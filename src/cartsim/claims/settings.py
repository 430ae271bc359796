"""Why: a claim or a check of face validity is about some patients under some policy. Here such a setting is simulated,
each arm on the same subjects, and what happened stays in arrays with the logs that the scenario asks for.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cartsim.arm_parts import Parts
from cartsim.arms import prepare_arm
from cartsim.cells import Ran, join, measure, run_arms, spans
from cartsim.scenario.load import load_scenario
from cartsim.sweep.executors.base import cores

if TYPE_CHECKING:
    from cartsim.scenario.resolve import Scenario

Value = float | list[float]
Arms = dict[str, Ran]


@dataclass(frozen=True)
class Stage:
    """How far it is, in runs; the three facts that a progress bar asks of any stage."""

    stage: str
    done: int
    total: int


def setting(name: str, seed: int, content: Mapping[str, Any]) -> "Scenario":
    """A scenario from its product, arms and whatever else differs from the defaults."""
    return load_scenario(
        {
            "schema": "cartsim/scenario/1",
            "id": name,
            "title": name.replace("_", " "),
            "population": {"subjects": 0},
            "run": {"seed": seed},
            **content,
        }
    )


def simulate(
    scenario: "Scenario",
    subjects: int,
    *,
    workers: int = 0,
    draw: int | None = None,
    numbers: Mapping[str, Value] | None = None,
) -> Arms:
    """Subjects 0 .. `subjects`-1 in every arm: arm id -> what happened.

    `draw` takes a parameter set; `numbers` are registry overrides on top of the scenario's own. `workers` (threads;
    0: one a core) change nothing in the result. Raises `InvalidInput` for an unknown registry number.
    """
    if draw is not None:
        scenario = replace(scenario, draw=draw)
    if numbers:
        scenario = replace(scenario, model_overrides={**scenario.model_overrides, **numbers})
    parts = Parts()
    arms = [prepare_arm(scenario, arm, number, parts) for number, arm in enumerate(scenario.arms, 1)]
    with ThreadPoolExecutor(workers or cores()) as pool:
        pieces = list(pool.map(lambda span: run_arms(scenario, arms, span), spans(subjects, 1)))
    return {arm.id: join([piece[k] for piece in pieces]) for k, arm in enumerate(arms)}


def column(ran: Ran, name: str) -> np.ndarray:
    """A numeric column of adsl, values (n,)."""
    return measure(ran, [name])[name]
