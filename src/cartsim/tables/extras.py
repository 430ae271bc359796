"""Why: endpoints beyond the standard ones need columns that adsl does not have, and some of those the prices of the
scenario. They are made piece by piece, where scenario and arm are known, and only where they are asked for.
"""

from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cartsim.analysis.endpoints import Endpoint, select_endpoints, standard_endpoints
from cartsim.analysis.harm_endpoints import harm_endpoints
from cartsim.analysis.more_endpoints import (
    COST,
    COST_AND_SEVERE,
    QALD,
    WEIGHT,
    Log,
    further_endpoints,
    logs_of,
    value_endpoints,
)
from cartsim.tables import responses
from cartsim.tables.resources import cost_of, items_of, pack_columns
from cartsim.terms import HOURS_PER_DAY, TIME_SLACK_D

if TYPE_CHECKING:
    from cartsim.drivers.batch import Block
    from cartsim.scenario.resolve import Scenario

Columns = dict[str, np.ndarray]


def endpoints_of(scenario: "Scenario") -> tuple[Endpoint, ...]:
    """Every endpoint of a scenario: those chosen, or the standard ones with harms where they are asked for, and what
    costs and utilities bring.

    Raises ValueError for one that does not exist.
    """
    scale = scenario.grading.crs
    costs, utilities = scenario.costs, scenario.utilities
    value: tuple[Endpoint, ...] = ()
    if costs is not None or utilities is not None:
        value = value_endpoints(
            [item[:3] for item in items_of(costs)] if costs is not None else [],
            None if costs is None else costs.currency,
            utilities is not None,
            utilities is not None and utilities.alive is not None,
        )
    chosen = scenario.outputs.endpoints
    harms = harm_endpoints(scenario.harms.drugs) if scenario.harms is not None else ()
    if chosen is None:
        return (*standard_endpoints(scale), *harms, *value)
    brought = {endpoint.id for endpoint in value if endpoint.reported}
    wanted = [id_ for id_ in chosen if id_ not in brought]
    return (*select_endpoints(wanted, scale, (*harms, *further_endpoints(scale))), *value)


def logs_wanted(scenario: "Scenario") -> frozenset[Log]:
    """Logs that the kernel must keep for what the scenario asks beyond its subject tables."""
    occupancy: frozenset[Log] = (
        frozenset({"changes"}) if "occupancy" in scenario.outputs.tables else frozenset()
    )
    if not has_extras(scenario):
        return occupancy
    try:
        columns = {endpoint.column for endpoint in endpoints_of(scenario)}
    except ValueError:  # an endpoint that does not exist: said where endpoints are read
        return occupancy
    return occupancy | logs_of(columns)


def has_extras(scenario: "Scenario") -> bool:
    """Whether a scenario asks for anything that might not be in adsl."""
    return not (scenario.outputs.endpoints is None and scenario.costs is None and scenario.utilities is None)


def extra_columns(scenario: "Scenario", par: np.ndarray, block: "Block", wanted: Collection[str]) -> Columns:
    """Those of `wanted` that are no columns of adsl, of one arm's courses and logs: {name: values (n,)}.

    par: PARAMETERS[1] of the arm. Names that are not known here are left out.
    """
    makers = _makers(scenario, par, block)
    return {name: makers[name]() for name in wanted if name in makers}


def _makers(scenario: "Scenario", par: np.ndarray, block: "Block") -> dict[str, Callable[[], np.ndarray]]:
    courses, n = block.courses, len(block.courses)
    costs, utilities = scenario.costs, scenario.utilities
    severe_from = responses.SEVERE if costs is None else costs.severe_from
    makers = responses.course_columns(courses, severe_from)
    makers["toci_response"] = lambda: responses.response(courses, block.episodes, block.doses)
    makers["toci_to_resolution_d"] = lambda: responses.to_resolution(courses, block.episodes)
    makers["toci_to_defervescence_d"] = lambda: responses.to_defervescence(courses, block.changes)

    def watched() -> np.ndarray:
        return responses.watched_days(courses, block.changes, float(par["clinic_watch_d"][0]))

    def visits() -> np.ndarray:
        every_d = float(par["clinic_h"][0]) / HOURS_PER_DAY
        return np.floor(watched() / every_d + TIME_SLACK_D)

    makers["monitoring_days"], makers["visits"] = watched, visits
    if costs is not None:
        packs: Columns = {}

        def pack(column: str) -> np.ndarray:
            if not packs:
                packs.update(pack_columns(costs, n, block.doses))
            return packs[column]

        amounts = {
            "steroid_mg_dex_eq": lambda: courses["steroid_mg"],
            "ward_days": lambda: courses["ward_days"],
            "icu_days": lambda: courses["icu_days"],
            "vent_days": lambda: courses["vent_days"],
            "monitoring_days": watched,
            "visits": visits,
        }
        for _, column, _, _ in items_of(costs):
            if column not in amounts:
                makers[column] = partial(pack, column)

        def cost() -> np.ndarray:
            quantities = {
                column: amounts[column]() if column in amounts else pack(column)
                for _, column, _, price in items_of(costs)
                if price is not None
            }
            return cost_of(costs, quantities)

        makers[COST] = cost
        makers[COST_AND_SEVERE] = lambda: cost() + WEIGHT * makers["severe_crs"]()
    if utilities is not None:
        decrements = {
            name: by_grade
            for name, by_grade in (("crs", utilities.crs), ("icans", utilities.icans))
            if by_grade is not None
        }
        makers[QALD] = lambda: responses.quality_lost(
            courses, block.changes, decrements, utilities.alive, float(scenario.horizon_days)
        )
    return makers
