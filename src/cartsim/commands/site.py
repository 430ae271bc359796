"""Why: a scenario with a site asks how long things waited, so the printed answer has to say it: beds, intensive care
and doses, by arm.
"""

from typing import TYPE_CHECKING, Any

from cartsim.commands.numbers import show_interval, show_number
from cartsim.commands.terminal import Grid

if TYPE_CHECKING:
    from cartsim.results import Study
    from cartsim.scenario.resolve import Scenario

SITE_TITLE = "Waiting at the site: mean over granted requests, 95 % interval over replicates"
SITE_NOTE = "Every request, occupancy and stock-out is in ward_waits, ward_occupancy and ward_stockouts."
LABELS = {
    "infusion": "Bed for the infusion",
    "ward bed after infusion": "Ward bed later on",
    "ICU bed": "ICU bed",
    "tocilizumab dose": "Tocilizumab dose",
}


def site_grid(study: "Study", scenario: "Scenario") -> Grid:
    """Requests, the share that had to wait, for how long, and how many were never granted, by purpose and arm."""
    from cartsim.analysis.site import summarise_waits

    found = {
        (row["arm_id"], row["purpose"]): row for row in _rows(summarise_waits(study.arrow("ward_waits")))
    }
    rows, cells = [], []
    for purpose, label in LABELS.items():
        facts = [_facts(found.get((arm.id, purpose))) for arm in scenario.arms]
        if all(fact["requests"] in ("–", "0") for fact in facts):
            continue
        for name in facts[0]:
            rows.append(f"{label}: {name}" if name == "requests" else f"  {name}")
            cells.append([(fact[name],) for fact in facts])
    return Grid(rows, [arm.label for arm in scenario.arms], cells)


def _rows(frame: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = frame.to_dict("records")
    return rows


def _facts(row: dict[str, Any] | None) -> dict[str, str]:
    if row is None:
        return dict.fromkeys(
            ("requests", "had to wait, %", "wait, h", "nine of ten within, h", "not granted"), "–"
        )
    wait = {"value": row["wait_mean_h"], "lower": row["lower"], "upper": row["upper"]}
    return {
        "requests": f"{row['requests']:,}",
        "had to wait, %": show_number(row["delayed_share"], "percent"),
        "wait, h": show_interval(wait, "hours"),
        "nine of ten within, h": show_number(row["wait_p90_h"], "hours"),
        "not granted": f"{row['withdrawn'] + row['unmet']:,}",
    }
