"""The engine taken to pieces, so that each can be timed: cohort, kernel, tables, checks, hash, Parquet, summary."""

from collections.abc import Sequence
from typing import Any

from benchmarks.measure import in_child
from cartsim.arms import ReadyArm, prepare_arm
from cartsim.compiled import is_cold
from cartsim.scenario.load import load_scenario
from cartsim.scenario.resolve import Scenario

TABLES = ("adsl", "adae", "adcm")
SEED = 20261122


def scenario(
    subjects: int, policies: Sequence[str] = ("asco_2021",), tables: Sequence[str] = ("adsl",), **more: Any
) -> Scenario:
    """Axi-cel, one arm a policy, 30 days, assessments every 6 h on the ward and 2 h in the ICU."""
    return load_scenario(
        {
            "schema": "cartsim/scenario/1",
            "id": "bench",
            "title": "Benchmark",
            "product": "axi-cel",
            "population": {"subjects": subjects},
            "arms": [{"id": policy, "policy": policy} for policy in policies],
            "run": {"seed": SEED},
            "outputs": {"tables": list(tables)},
        }
        | more
    )


def ready(given: Scenario) -> list[ReadyArm]:
    """Its arms, ready to run."""
    return [prepare_arm(given, arm, number) for number, arm in enumerate(given.arms, 1)]


def warm_cache() -> None:
    """Compile in another process where that is needed: code just compiled runs slower than the same code loaded."""
    if is_cold():
        print("compiling the engine (once) ...", flush=True)
        in_child("benchmarks.child", "1", "1")
