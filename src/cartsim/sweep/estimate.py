"""Why: before hours are spent a user wants to see what would be done: points, subjects, blocks, time and disk."""

from typing import Any

from cartsim.arms import tables_wanted
from cartsim.results import tables_of
from cartsim.scenario.resolve import Scenario
from cartsim.sweep.parameter_sets import TIPPING_SUBJECTS
from cartsim.sweep.plan import Plan
from cartsim.sweep.points import Points
from cartsim.sweep.question import is_single, make_summary

#: Rough costs on one core, for a plan only: microseconds a subject and arm, milliseconds a design point.
_KERNEL_US = {"batch": 12.0, "ward": 120.0}
_TABLE_US = {
    "adsl": 6.0,
    "adae": 2.0,
    "adcm": 3.0,
    "adex": 1.5,
    "adtte": 4.0,
    "grade_intervals": 6.0,
    "events": 6.0,
    "adlb": 150.0,
    "advs": 30.0,
}
_POINT_MS = 2.0
#: ... microseconds a subject, arm and parameter set for counting, where there are several sets.
_COUNT_US = 12.0
_BYTES = {
    "adsl": 160,
    "adae": 110,
    "adcm": 170,
    "adex": 15,
    "adtte": 120,
    "grade_intervals": 330,
    "events": 300,
    "adlb": 4000,
    "advs": 800,
}
#: Bytes of one result row, and of the counts behind it.
_ROW_BYTES = 40
#: Design points shown before a sweep is run.
SHOWN = 3


def plan(scenario: Scenario, workers: int = 1) -> dict[str, Any]:
    """What a run would do: sizes, blocks, rough time on `workers` cores, disk. Nothing is simulated.

    Raises `InvalidInput` for a sweep that cannot be made into points, or a point that cannot be run.
    """
    points = Points(scenario)
    points.check()
    arms = [arm.id for arm in scenario.arms]
    whole = scenario.site is not None
    draws = scenario.run.parameter_draws
    cut = Plan.new(
        len(points), scenario.run.replicates, scenario.subjects, arms, whole=whole, many_sets=draws > 0
    )
    rows = cut.total * len(arms)
    edges = len(points.sets.edges)
    courses = rows * (1 + draws) + min(rows, len(arms) * TIPPING_SUBJECTS) * edges
    driver = "ward" if whole else "batch"
    wanted = [
        name for name in tables_wanted(scenario) if name != "events" or scenario.outputs.events == "all"
    ]
    seconds = (courses * _KERNEL_US[driver] + rows * sum(_TABLE_US[name] for name in wanted)) / 1e6
    sets = 1 + draws + edges
    seconds += len(points) * sets * _POINT_MS / 1e3
    seconds += courses * _COUNT_US / 1e6 if draws else 0.0
    results = len(points) * (1 + draws) * len(arms) * len(make_summary(scenario).endpoints) * 4 * _ROW_BYTES
    planned: dict[str, Any] = {
        "driver": driver,
        "subjects": scenario.subjects,
        "arms": len(arms),
        "replicates": scenario.run.replicates,
        **({"parameter_sets": sets} if draws else {}),
        "blocks": cut.count_blocks(),
        "tables": tables_of(scenario),
        "estimated_seconds": round(seconds / max(workers, 1), 2),
        "estimated_bytes": rows * sum(_BYTES[name] for name in wanted) + results,
    }
    if not is_single(points):
        first = range(min(SHOWN, len(points)))
        planned = {
            "method": points.design.method,
            "points": len(points),
            **planned,
            "first_points": [points.design.settings(i) for i in first],
        }
    return planned
