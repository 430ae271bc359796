"""Why: some questions are asked of few runs: how those given tocilizumab fared, how long anybody stayed, what it cost.
These endpoints are not in every run; `outputs.endpoints` names them, or a `costs:` or `utilities:` block brings them.

Their columns are no columns of adsl: they are read from courses and logs as a block is simulated.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from cartsim.analysis.endpoints import ASSUMED, CALIBRATED, UNCALIBRATED, Endpoint

#: Kinds of log that the kernel keeps.
Log = Literal["episodes", "doses", "changes"]

_TREATED = "subjects given tocilizumab for CRS; descriptive, conditioned on a post-infusion event"

COST, QALD, SEVERE = "cost", "qald", "severe_crs"
#: Cost plus this much for a severe CRS: from its variance follows the covariance of cost and effect.
COST_AND_SEVERE, WEIGHT = "cost_and_severe_crs", 1000.0

#: Logs that a column is read from; the others need only the course.
LOGS: dict[str, tuple[Log, ...]] = {
    "toci_response": ("episodes", "doses"),
    "toci_to_resolution_d": ("episodes",),
    "toci_to_defervescence_d": ("changes",),
    "monitoring_days": ("changes",),
    "visits": ("changes",),
    COST: ("doses", "changes"),
    COST_AND_SEVERE: ("doses", "changes"),
    QALD: ("changes",),
}
#: Columns of tocilizumab vials and anakinra syringes begin so; the size in mg follows.
VIALS, SYRINGES = "toci_vials_", "anakinra_syringes_"


def _share(id_: str, title: str, column: str, **more: object) -> Endpoint:
    return Endpoint(id_, title, "risk", "level", column, "proportion", **more)  # type: ignore[arg-type]


def _mean(id_: str, title: str, column: str, unit: str, **more: object) -> Endpoint:
    more = {"evidence_status": ASSUMED} | more
    return Endpoint(id_, title, "mean", "value", column, unit, **more)  # type: ignore[arg-type]


def _days_among(id_: str, title: str, column: str, conditioning: str, **more: object) -> Endpoint:
    return Endpoint(
        id_, title, "median", "value", column, "day", conditioning=conditioning, contrastable=False,
        evidence_status=ASSUMED, **more,  # type: ignore[arg-type]
    )  # fmt: skip


def further_endpoints(crs_scale: str = "astct2019") -> tuple[Endpoint, ...]:
    """Endpoints that a run reports only when `outputs.endpoints` names them, in reporting order."""
    crs = {"syndrome": "CRS", "scale": crs_scale, "view": "observed"}
    among_treated = crs | {"conditioning": _TREATED, "contrastable": False, "among": 1, "at_least": 2}
    both = {"scale": crs_scale, "view": "observed", "adverse": True}
    return (
        _share(
            "toci_response",
            "Response to tocilizumab: CRS resolved within 14 days of the first dose, at most 2 doses, steroids "
            "allowed, no other drug",
            "toci_response",
            evidence_status=ASSUMED,
            **among_treated,
        ),
        _days_among(
            "toci_to_defervescence",
            "Days from the first tocilizumab to the first assessment without fever",
            "toci_to_defervescence_d",
            "subjects with fever at their first tocilizumab for CRS in whom it was seen to go; descriptive, "
            "conditioned on a post-infusion event",
            **crs,
        ),
        _days_among(
            "toci_to_resolution",
            "Days from the first tocilizumab to the last sign of that CRS",
            "toci_to_resolution_d",
            "subjects given tocilizumab for CRS whose CRS resolved in follow-up; descriptive, conditioned on a "
            "post-infusion event",
            **crs,
        ),
        _share(
            "toci_second_dose",
            "Second dose of tocilizumab",
            "toci_reactive_doses",
            level=2.0,
            evidence_status=CALIBRATED,
            **among_treated,
        ),
        _share(
            "severe_given_steroid",
            "Steroid in CRS of grade 3 or more",
            "severe_given_steroid",
            syndrome="CRS",
            scale=crs_scale,
            view="observed",
            at_least=2,
            among=1,
            contrastable=False,
            conditioning="subjects with CRS of grade 3 or more; descriptive, conditioned on a post-infusion event",
        ),
        _share(
            "crs_icans_any",
            "Both CRS and ICANS, not necessarily at once",
            "crs_icans_grade",
            level=1.0,
            **both,
        ),
        _share(
            "crs_icans_ge3",
            "Both CRS and ICANS of grade 3 or more, not necessarily at once",
            "crs_icans_grade",
            at_least=3,
            level=3.0,
            **both,
        ),
        _share(
            "admission",
            "In hospital at any time after infusion (of an inpatient start: everyone)",
            "admitted",
            adverse=True,
            evidence_status=ASSUMED,
        ),
        _mean("ventilation_days", "Days on a ventilator", "vent_days", "day"),
        _days_among(
            "length_of_stay",
            "Days in hospital",
            "stay_d",
            "subjects who were in hospital at all; descriptive, conditioned on a post-infusion event",
        ),
        _mean(
            "monitoring_days",
            "Days alive and out of hospital while the site still watches",
            "monitoring_days",
            "day",
        ),
        _mean(
            "days_alive_out",
            "Days alive and out of hospital, to the horizon",
            "days_alive_out",
            "day",
            ice_death="composite",
            evidence_status=UNCALIBRATED,
        ),
    )


def value_endpoints(
    items: Sequence[tuple[str, str, str]], currency: str | None, quality: bool, deaths: bool
) -> tuple[Endpoint, ...]:
    """Endpoints of a `costs:` block (`items`: id, column and unit of each resource; `currency`) and of `utilities:`.

    `deaths`: whether days after a death count as lost.
    """
    found = [_mean(f"use_{item}", item.replace("_", " "), column, unit) for item, column, unit in items]
    if currency is not None:
        found += [
            _mean(COST, "Cost per subject, at the user's prices", COST, currency),
            # read for the cost-effectiveness table, and no results of their own
            _mean(SEVERE, "CRS that counts as severe", SEVERE, "proportion", reported=False),
            _mean(COST_AND_SEVERE, "Cost and severe CRS", COST_AND_SEVERE, currency, reported=False),
        ]
    if quality:
        status = {"ice_death": "composite", "evidence_status": UNCALIBRATED} if deaths else {}
        found.append(
            _mean(QALD, "Quality-adjusted days lost, at the user's decrements", QALD, "day", **status)
        )
    return tuple(found)


def logs_of(columns: Iterable[str]) -> frozenset[Log]:
    """Logs that these columns are read from."""
    found: set[Log] = set()
    for column in columns:
        found.update(LOGS.get(column, ()))
        if column.startswith((VIALS, SYRINGES)):
            found.add("doses")
    return frozenset(found)
