"""Why: what is asked of a design point (endpoints, arms, horizon, scale) decides which columns are counted and which
rows a result has. Points that ask the same are counted and summarised together, hundreds at a time.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cartsim.errors import InvalidInput

if TYPE_CHECKING:
    from cartsim.analysis.endpoints import Endpoint
    from cartsim.analysis.summary import Summary
    from cartsim.scenario.resolve import Scenario
    from cartsim.sweep.points import Points

Key = tuple[Any, ...]
#: Sections of a scenario that `question_key` reads.
ASKING = ("grading", "study", "outputs", "site", "run", "harms", "costs", "utilities")


def is_single(points: "Points") -> bool:
    """Whether a scenario is asked by itself and not swept: only then are there curves, and room for a bootstrap."""
    return points.base.sweep is None


def question_key(scenario: "Scenario") -> Key:
    """What two design points must share to be summarised together."""
    return (
        scenario.grading.crs,
        scenario.horizon_days,
        tuple(scenario.outputs.endpoints or ()),
        replication_unit(scenario),
        tuple(sorted(scenario.harms.drugs)) if scenario.harms is not None else (),
        bool(scenario.product.overrides),
        *_value_key(scenario),
    )


def _value_key(scenario: "Scenario") -> Key:
    """What costs and utilities ask; the prices themselves decide no column."""
    costs, utilities = scenario.costs, scenario.utilities
    if costs is None and utilities is None:
        return ()
    from cartsim.tables.resources import items_of

    items = () if costs is None else (costs.currency, *(item[:3] for item in items_of(costs)))
    return items, utilities is not None and (utilities.alive is not None,)


def keys_of(points: "Points") -> Callable[[int], Key]:
    """Design point -> its key. Where no axis touches what is asked, none of the points has to be made for that."""
    if not any(path.split(".")[0] in ASKING or _overrides(points, path) for path in points.design.paths):
        key = question_key(points.base)
        return lambda _: key
    return lambda i: question_key(points.scenario(i))


def _overrides(points: "Points", path: str) -> bool:
    """Whether an axis may give numbers of their own to products of some points and not of others."""
    base = points.base
    if path != "product":
        return path.startswith("product.overrides") and not base.product.overrides
    assert base.sweep is not None
    axis = base.sweep.axes.get(path)
    values = (axis.values or []) if axis is not None else [row.get(path) for row in base.sweep.rows or []]
    return bool(base.product.overrides) or any(isinstance(value, dict) for value in values)


def replication_unit(scenario: "Scenario") -> Any:
    """What is independent: subjects, or whole replicates of a site, or scrambles of Sobol' points."""
    if scenario.site is not None:
        return "replicate"
    return "scramble" if scenario.run.source == "sobol" else "subject"


def make_summary(
    scenario: "Scenario",
    arms: Sequence[str] | None = None,
    *,
    single: bool = True,
    population: str | None = None,
) -> "Summary":
    """The summary of design points that ask what `scenario` asks.

    `arms`: those of the scenario by default. `single`: one design point, with curves over time and bootstrapped
    medians; a sweep does without, since both would cost more than the simulation. `population`: a subgroup that the
    rows are about. Raises `InvalidInput` for an
    endpoint that does not exist.
    """
    from cartsim.analysis.endpoints import words_of_evidence
    from cartsim.analysis.frame import ALL_SUBJECTS
    from cartsim.analysis.summary import Summary
    from cartsim.evidence.registry import load_registry

    endpoints = _endpoints(scenario)
    return Summary(
        endpoints,
        list(arms or [arm.id for arm in scenario.arms]),
        scenario.reference,
        float(scenario.horizon_days),
        replication_unit=replication_unit(scenario),
        scenario_id=scenario.id,
        population=population or ALL_SUBJECTS,
        evidence_status=words_of_evidence(
            endpoints,
            load_registry().counts(),
            overridden=bool(scenario.product.overrides),
            thin=load_registry().is_thin(scenario.product.id),
        ),
        curves=single,
        bootstrap=single,
    )


def _endpoints(scenario: "Scenario") -> tuple["Endpoint", ...]:
    from cartsim.analysis.endpoints import standard_endpoints
    from cartsim.analysis.harm_endpoints import harm_endpoints
    from cartsim.analysis.more_endpoints import further_endpoints
    from cartsim.scenario.shape import nearest
    from cartsim.tables.extras import endpoints_of

    try:
        return endpoints_of(scenario)
    except ValueError as error:
        chosen, scale = scenario.outputs.endpoints or [], scenario.grading.crs
        harms = harm_endpoints(scenario.harms.drugs) if scenario.harms is not None else ()
        known = sorted({e.id for e in (*standard_endpoints(scale), *harms, *further_endpoints(scale))})
        meant = [nearest(one, known) for one in chosen if one not in known]
        raise InvalidInput(
            str(error).partition("; known")[0],
            where=f"{scenario.file or ''} outputs.endpoints".strip(),
            mend=meant[0] or f"some of: {', '.join(known)}",
        ) from None
