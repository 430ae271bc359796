"""One replicate at a site: every arm through the ward driver, from opening to the last subject's end.

Arms meet the same subjects in the same order of arrival; what differs is the policy and so who waits for what.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cartsim.arms import ReadyArm
from cartsim.cells import Ran, Span, draw_for, harms_of
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
from cartsim.model.peaks import latent_peaks
from cartsim.tables import Identity, ward_occupancy, ward_stockouts, ward_waits
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


def run_replicate(scenario: "Scenario", arms: Sequence[ReadyArm], replicate: int) -> list[Ran]:
    """One replicate of a site, arm by arm, with the tables of the site itself."""
    site = build_site(scenario, replicate)
    span = Span(replicate, 0, scenario.subjects)
    results = []
    for arm in arms:
        cohort, subjects = draw_for(scenario, arm, span)
        ward = run_ward(arm.clinic, subjects, *arm.masks(cohort), site)
        latent = latent_peaks(arm.clinic, subjects, ward.block.courses)
        who = arm.who(replicate)
        tables = _ward_tables(who, cohort, ward, site)
        harms = harms_of(arm, cohort, subjects, ward.block)
        results.append(Ran(who, cohort, subjects, ward.block, latent, tables, harms))
    return results


def _ward_tables(who: Identity, cohort: np.ndarray, ward: WardRun, site: Site) -> dict[str, pa.Table]:
    capacity = {WARD: site.beds, ICU: site.icu_beds, DOSES: site.tocilizumab_doses}
    return {
        "ward_waits": ward_waits(who, cohort, ward.infusion_d, ward.waits, ward.end_d),
        "ward_occupancy": ward_occupancy(who, ward.occupancy, capacity),
        "ward_stockouts": ward_stockouts(who, ward.occupancy),
    }
