"""Why: `--dry-run` answers what a run would cost before it costs anything: sizes, time, disk, the first design points,
and how many subjects a precision would take."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cartsim.commands.options import print_json

if TYPE_CHECKING:
    from cartsim.scenario.resolve import Scenario


def show_plan(scenario: "Scenario", workers: int, until: Sequence[str], as_json: bool) -> None:
    """What a run would do, without doing it. Raises `InvalidInput` for a sweep or condition that cannot be run."""
    from cartsim.commands.until import planning_lines
    from cartsim.sweep.estimate import plan
    from cartsim.sweep.executors import cores
    from cartsim.sweep.points import Points
    from cartsim.sweep.stopping import Stopping

    planned = plan(scenario, workers or cores())
    stopping = Stopping.parse(Points(scenario), until)
    lines = [] if stopping is None else list(planning_lines(stopping.rule))
    if as_json:
        found: dict[str, Any] = {"scenario": scenario.id, "hash": scenario.hash(), "plan": planned}
        print_json(found | ({"until": lines} if lines else {}))
        return
    print(f"{scenario.id}: {scenario.title}")
    for line in plan_lines(planned):
        print(f"  {line}")
    for line in lines:
        print(f"  {line}")
    print("nothing was written")


def plan_lines(planned: dict[str, Any]) -> list[str]:
    """A plan in words, one line a fact."""
    lines = []
    for key, value in planned.items():
        name = key.replace("_", " ")
        if key.endswith("bytes"):
            lines.append(f"{name.replace(' bytes', '')} size: {float(value) / 1e6:,.1f} MB")
        elif key.endswith("seconds"):
            lines.append(f"{name.replace(' seconds', '')} time: {float(value):,.1f} s")
        elif key == "first_points":
            lines += [f"point {number}: {_settings(point)}" for number, point in enumerate(value)]
        elif isinstance(value, int) and not isinstance(value, bool):
            lines.append(f"{name}: {value:,}")
        elif isinstance(value, list | tuple):
            lines.append(f"{name}: {', '.join(map(str, value))}")
        else:
            lines.append(f"{name}: {value}")
    return lines


def _settings(point: dict[str, Any]) -> str:
    def shown(value: Any) -> str:
        return f"{value:.6g}" if isinstance(value, float) else str(value)

    return ", ".join(f"{path} = {shown(value)}" for path, value in point.items()) or "the scenario as it is"
