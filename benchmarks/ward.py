"""What the ward costs: the same course in SimPy, asked for beds and doses, against the batch driver."""

from typing import Any

from benchmarks.engine import ready, scenario
from benchmarks.measure import interleaved, median, show, spread

SUBJECTS = 2_000
#: The batch driver is too quick to be timed once.
TIMES = 10


def run(repeats: int = 3) -> dict[str, Any]:
    """Measure and print: 2,000 subjects, one a day, unlimited and with 8 beds, 4 ICU beds and 6 doses."""
    from cartsim.cells import Span, draw_for
    from cartsim.drivers.batch import run_block
    from cartsim.drivers.ward import run_ward
    from cartsim.sites import build_site

    daily = {"arrivals": {"every_h": 24.0}}
    small = daily | {
        "beds": 8,
        "icu_beds": 4,
        "tocilizumab_doses": 6,
        "restock": {"every_h": 168.0, "doses": 12},
    }
    free, scarce = (scenario(SUBJECTS, site=site) for site in (daily, small))
    arm = ready(free)[0]
    cohort, subjects = draw_for(free, arm, Span(0, 0, SUBJECTS))
    masks = arm.masks(cohort)

    def run_batch() -> None:
        for _ in range(TIMES):
            run_block(arm.clinic, subjects, *masks)

    actions = {
        "batch driver": run_batch,
        "ward, nothing scarce": lambda: run_ward(arm.clinic, subjects, *masks, build_site(free, 0)),
        "ward, 8 + 4 beds, doses": lambda: run_ward(arm.clinic, subjects, *masks, build_site(scarce, 0)),
    }
    for action in actions.values():
        action()
    times = interleaved(actions, repeats)
    each = {name: SUBJECTS * (TIMES if name == "batch driver" else 1) for name in actions}
    us = {name: [1e6 * s / each[name] for s in times[name]] for name in actions}
    cost = {name: median(values) for name, values in us.items()}
    show(
        f"Ward driver, {SUBJECTS:,} subjects, one a day",
        ["", "us/subject", "range", "times batch"],
        [[name, cost[name], spread(us[name]), cost[name] / cost["batch driver"]] for name in actions],
    )
    return {"us_per_subject": cost}
