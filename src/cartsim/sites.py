"""One replicate at a site: every arm through the ward driver, from opening to the last subject's end.

Arms meet the same subjects in the same order of arrival; what differs is the policy and so who waits for what.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cartsim.arms import ReadyArm
from cartsim.blocks import UNIT, Span, build_tables, draw_for
from cartsim.drivers.batch import Block
from cartsim.drivers.ward import (
    DOSES,
    ICU,
    WARD,
    Site,
    WardRun,
    arrivals_every,
    arrivals_listed,
    arrivals_poisson,
    run_ward,
)
from cartsim.tables import ward_occupancy, ward_stockouts, ward_waits
from cartsim.terms import HOURS_PER_DAY

if TYPE_CHECKING:
    from cartsim.scenario.resolve import Scenario


def build_site(scenario: "Scenario", replicate: int) -> Site:
    """Capacity and arrival times of one replicate."""
    given = scenario.site
    if given is None:
        raise ValueError("the scenario has no site")
    n = scenario.subjects
    how = given.arrivals
    if how.every_h is not None:
        arrivals = arrivals_every(how.every_h, n)
    elif how.at_h is not None:
        arrivals = arrivals_listed(how.at_h, n)
    else:
        arrivals = arrivals_poisson(float(how.poisson_per_day or 0.0), n, scenario.require_seed(), replicate)
    restock = given.restock
    return Site(
        beds=given.beds,
        icu_beds=given.icu_beds,
        tocilizumab_doses=given.tocilizumab_doses,
        arrivals_d=arrivals,
        restock_every_d=restock.every_h / HOURS_PER_DAY if restock else None,
        restock_doses=restock.doses if restock else 0,
    )


def run_replicate(
    scenario: "Scenario", arms: Sequence[ReadyArm], replicate: int, size: int | None = None
) -> Iterator[dict[str, dict[str, pa.Table]]]:
    """Tables of one replicate, a block of subjects at a time; the site's own tables come with the first."""
    site = build_site(scenario, replicate)
    span = Span(replicate, 0, scenario.subjects)
    done: list[tuple[ReadyArm, np.ndarray, np.ndarray, WardRun]] = []
    for arm in arms:
        cohort, subjects = draw_for(scenario, arm, span)
        done.append((arm, cohort, subjects, run_ward(arm.clinic, subjects, *arm.masks(cohort), site)))
    size = size or 4 * UNIT
    for first in range(0, max(scenario.subjects, 1), size):
        tables: dict[str, dict[str, pa.Table]] = {}
        for arm, cohort, subjects, ward in done:
            rows = slice(first, first + size)
            part = _part(ward.block, first, min(size, scenario.subjects - first))
            tables[arm.id] = build_tables(scenario, arm, replicate, cohort[rows], subjects[rows], part)
            if first == 0:
                tables[arm.id] |= _ward_tables(arm, replicate, cohort, ward, site)
        yield tables


def _part(block: Block, first: int, count: int) -> Block:
    """Subjects `first .. first+count-1` of a block, rows numbered from 0."""
    logs = []
    for rows in (block.episodes, block.doses, block.changes):
        low, high = np.searchsorted(rows["row"], [first, first + count])
        part = rows[low:high].copy()
        part["row"] -= first
        logs.append(part)
    return Block(block.courses[first : first + count], *logs)


def _ward_tables(
    arm: ReadyArm, replicate: int, cohort: np.ndarray, ward: WardRun, site: Site
) -> dict[str, pa.Table]:
    who = arm.who(replicate)
    capacity = {WARD: site.beds, ICU: site.icu_beds, DOSES: site.tocilizumab_doses}
    return {
        "ward_waits": ward_waits(who, cohort, ward.infusion_d, ward.waits, ward.end_d),
        "ward_occupancy": ward_occupancy(who, ward.occupancy, capacity),
        "ward_stockouts": ward_stockouts(who, ward.occupancy),
    }
