"""Why: costs, cost-effectiveness and occupancy are results like outcomes, made once from what the blocks counted, and
only of a scenario that asks for them.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cartsim.analysis.frame import whole_population
from cartsim.record import schema
from cartsim.sweep.draws_results import DrawResults, draw_tables
from cartsim.sweep.points import Points
from cartsim.tables.occupancy import COUNTS, occupancy_table
from cartsim.tables.resources import items_of

if TYPE_CHECKING:
    from cartsim.analysis.summary import Summary
    from cartsim.analysis.value import ArmMeans
    from cartsim.scenario.resolve import Scenario

#: Result tables of a scenario with a `costs:` block.
COST_TABLES = ("resource_use", "ce", "ce_ratio")


def value_tables(scenario: "Scenario") -> tuple[str, ...]:
    """Result tables that a scenario asks for, beside outcomes and contrasts."""
    costs = COST_TABLES if scenario.costs is not None else ()
    occupancy = ("occupancy",) if "occupancy" in scenario.outputs.tables else ()
    return (*costs, *occupancy, *draw_tables(scenario))


def make_value_tables(
    points: Points,
    summary: "Summary",
    tallies: pa.Table,
    outcomes: pa.Table,
    designs: range,
    counts: Callable[[str], Sequence[pa.Table]],
    draws: DrawResults | None = None,
) -> dict[str, pa.Table]:
    """Those tables for consecutive design points that ask the same. `counts(name)`: what blocks counted in a table;
    `draws`: results over parameter sets, which then stand for those of the central set."""
    base = points.base
    made: dict[str, pa.Table] = {}
    wanted = value_tables(base)
    if "resource_use" in wanted:
        made["resource_use"] = _resource_use(points, outcomes, designs)
        made["ce"] = _ce(points, summary, tallies, draws)
        made["ce_ratio"] = _ratios(points, summary, tallies, draws)
    if "occupancy" in wanted:
        made["occupancy"] = occupancy_table(
            counts(COUNTS), base.id, summary.arms, points.scenario(designs[0]).grading.crs
        )
    if draws is not None:
        made |= draws.tables()
        if "ce_draws" in wanted:
            rows = [_ce_row(points, one) | {"draw": number} for number, one in draws.means_of_sets()]
            made["ce_draws"] = _table("ce_draws", rows)
    return made


def _money(points: Points, design: int) -> dict[str, Any]:
    costs = points.scenario(design).costs
    assert costs is not None
    return {
        "scenario_id": points.base.id,
        "design_id": design,
        "currency": costs.currency,
        "price_year": costs.year,
    }


def _resource_use(points: Points, outcomes: pa.Table, designs: range) -> pa.Table:
    means = {
        (row["design_id"], row["arm_id"], row["endpoint"]): row
        for row in whole_population(outcomes).to_pylist()
        if row["summary"] == "mean" and row["endpoint"].startswith("use_")
    }
    rows = []
    for design in designs:
        costs = points.scenario(design).costs
        assert costs is not None
        for arm in (arm.id for arm in points.base.arms):
            for item, _, unit, price in items_of(costs):
                found = means.get((design, arm, f"use_{item}"))
                if found is None:
                    continue
                quantity = found["value"]
                cost = None if quantity is None or price is None else quantity * price
                rows.append(
                    _money(points, design)
                    | {"arm_id": arm, "item": item, "unit": unit, "n_units": found["n_units"]}
                    | {"quantity": quantity, "unit_price": price, "cost": cost}
                )
    return _table("resource_use", rows)


def _ce(points: Points, summary: "Summary", tallies: pa.Table, draws: DrawResults | None) -> pa.Table:
    from cartsim.analysis.value import arm_means

    means = arm_means(summary, tallies) if draws is None else draws.arm_means()
    return _table("ce", [_ce_row(points, one) for one in means])


def _ce_row(points: Points, one: "ArmMeans") -> dict[str, Any]:
    return (
        _money(points, one.design_id)
        | {"replicate": one.replicate, "arm_id": one.arm_id, "n_subjects": one.n}
        | {"cost": _null(one.cost), "qald": _null(one.qald), "severe_crs": _null(one.severe)}
    )


def _ratios(points: Points, summary: "Summary", tallies: pa.Table, draws: DrawResults | None) -> pa.Table:
    from cartsim.analysis.value import increments

    rows = []
    for one in increments(summary, tallies) if draws is None else draws.increments():
        lower, upper = one.interval(summary.frame.confidence)
        rows.append(
            _money(points, one.design_id)
            | {"arm_id": one.arm_id, "reference_arm": summary.reference, "n_units": one.n}
            | {"severe_from": points.scenario(one.design_id).costs.severe_from}  # type: ignore[union-attr]
            | {"cost_difference": _null(one.cost), "avoided": _null(one.avoided), "ratio": _null(one.ratio)}
            | {"lower": _null(lower), "upper": _null(upper)}
            | {"interval_method": "none" if lower != lower else "Fieller, paired"}
            | {"quadrant": _quadrant(one.cost, one.avoided)}
        )
    return _table("ce_ratio", rows)


def _quadrant(cost: float, avoided: float) -> str:
    if (not cost and not avoided) or cost != cost or avoided != avoided:
        return "no difference"
    return f"costs {'more' if cost > 0 else 'less'}, avoids {'more' if avoided > 0 else 'fewer'}"


def _null(value: float) -> float | None:
    return None if value != value else value


def _table(name: str, rows: Sequence[dict[str, Any]]) -> pa.Table:
    wanted = schema(name)
    plain = pa.schema(
        [(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in wanted]
    )
    return pa.Table.from_pylist(list(rows), schema=plain).cast(wanted)
