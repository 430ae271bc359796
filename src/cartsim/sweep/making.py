"""Why: every method has its own way from axes to rows, and each of them is a few lines once the axes are checked."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cartsim.errors import Unreachable
from cartsim.evidence.spread import TAILS, Spread, find_spread, registry_key
from cartsim.scenario.canonical import plain_text
from cartsim.scenario.sweep_block import Axis, SweepBlock
from cartsim.sweep.base_values import base_value
from cartsim.sweep.rows import Cube, Grid, Listed, Rows

if TYPE_CHECKING:
    import numpy as np

    from cartsim.scenario.resolve import Scenario

#: What stands for low and high where an axis is what the evidence leaves open.
EVIDENCE_ENDS = (0.05, 0.95)


def make_rows(scenario: "Scenario", block: SweepBlock) -> tuple[tuple[str, ...], Rows]:
    """Paths and rows of a checked sweep. Raises `InvalidInput` without a seed, `Unreachable` without SALib."""
    if block.method == "list":
        return _listed(block.rows or [])
    paths = tuple(block.axes)
    axes = [block.axes[path] for path in paths]
    if block.method == "grid":
        return paths, Grid(tuple(tuple(axis.in_order()) for axis in axes))
    if block.method == "zip":
        columns = [axis.in_order() for axis in axes]
        return paths, Listed(tuple(dict(enumerate(row)) for row in zip(*columns, strict=True)))
    inputs = tuple(_spread(scenario, path, axis) or axis for path, axis in zip(paths, axes, strict=True))
    if block.method == "one_at_a_time":
        return paths, _one_at_a_time(scenario, paths, inputs)
    return paths, _sampled(scenario, block, paths, inputs)


def _listed(rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], Rows]:
    paths = tuple(dict.fromkeys(path for row in rows for path in row))
    places = {path: place for place, path in enumerate(paths)}
    return paths, Listed(tuple({places[path]: value for path, value in row.items()} for row in rows))


def _one_at_a_time(scenario: "Scenario", paths: Sequence[str], inputs: Sequence[Axis | Spread]) -> Rows:
    """The scenario first, then each axis' values while the others stay; a value that it has already is left out."""
    rows: list[dict[int, Any]] = [{}]
    for place, (path, one) in enumerate(zip(paths, inputs, strict=True)):
        values = [one.quantile(u) for u in EVIDENCE_ENDS] if isinstance(one, Spread) else _stops(one)
        base = plain_text(base_value(scenario, path))
        rows += [{place: value} for value in values if plain_text(value) != base]
    return Listed(tuple(rows))


def _stops(axis: Axis) -> list[object]:
    """Only the ends of a range, unless steps are asked for."""
    if axis.values is None and axis.steps is None:
        return [axis.at(0.0), axis.at(1.0)]
    return axis.in_order()


def _spread(scenario: "Scenario", path: str, axis: Axis) -> Spread | None:
    from cartsim.evidence.registry import load_registry

    key = registry_key(path, scenario.product.id) if axis.evidence else None
    return find_spread(load_registry(), key) if key is not None else None


def _sampled(
    scenario: "Scenario", block: SweepBlock, paths: tuple[str, ...], inputs: tuple[Axis | Spread, ...]
) -> Rows:
    from cartsim.draws import design_seed, lhs_cube, morris_cube, saltelli_cube, sobol_cube

    seed = design_seed(block.seed if block.seed is not None else scenario.require_seed())
    count, width = block.points or 1, len(paths)
    if block.method == "lhs":
        return Cube(lhs_cube(seed, count, width), inputs)
    if block.method == "sobol":
        return Cube(sobol_cube(seed, count, width), inputs)
    names = {path: name for name, members in block.groups.items() for path in members}
    groups = [names.get(path, path) for path in paths]
    judged = tuple(dict.fromkeys(groups))
    unit: np.ndarray
    try:
        if block.method == "saltelli":
            unit = saltelli_cube(seed, count, width, groups if names else None)
            return Cube(unit, inputs, ("A", *(f"AB:{name}" for name in judged), "B"))
        unit = morris_cube(seed, count, width, groups if names else None)
    except ModuleNotFoundError as error:
        raise Unreachable(
            f"sweep.method {block.method} needs {error.name}, which is not installed",
            where=scenario.file,
            why="designs of sensitivity analyses are made by an optional part",
            mend='pip install "cartsim[sensitivity]"',
        ) from None
    for place, one in enumerate(inputs):
        if isinstance(one, Spread) and not one.bounded:
            unit[:, place] = unit[:, place].clip(*TAILS)
    return Cube(unit, inputs, ("{n}",) * (len(judged) + 1))
