"""The claim: the batch driver against the same pathway in plain SimPy, in one run and in processor time.

Both start from the same constants, drawn beforehand. With Parquet the engine also draws its cohort and writes adsl,
adae and adcm through the store, while plain SimPy still writes nothing.
"""

import tempfile
from pathlib import Path
from typing import Any

from benchmarks import plain
from benchmarks.engine import TABLES, ready, scenario
from benchmarks.measure import interleaved, median, show, spread
from cartsim.sweep.points import Points

SUBJECTS = 20_000
EACH = 5_000  # subjects of the fastest shape: its cost a subject does not depend on how many there are
#: The engine is too quick to be timed once.
TIMES = 5
TARGETS = {"no output": (80.0, 50.0), "Parquet": (40.0, 25.0)}


def run(repeats: int = 3) -> dict[str, Any]:
    """Measure and print."""
    from cartsim.cells import draw_for, spans
    from cartsim.drivers.batch import run_block

    given = scenario(SUBJECTS, tables=TABLES)
    points = Points(given)
    # the engine keeps logs only for tables that are asked for
    arm = ready(scenario(SUBJECTS))[0]
    blocks = []
    drawn: list[dict[str, Any]] = []
    for span in spans(SUBJECTS, 1):
        cohort, subjects = draw_for(given, arm, span)
        blocks.append((arm.clinic, subjects, *arm.masks(cohort)))
        drawn += plain.draw(cohort, subjects)
    numbers = plain.read_numbers(arm.par)
    events: dict[str, float] = {}

    def simpy(batch: int, count: int) -> None:
        events["a subject"] = plain.count_events(plain.simulate(drawn[:count], numbers, batch)) / count

    def run_engine() -> None:
        # nothing is kept: memory that is never given back would have to be fetched page by page
        for block in TIMES * blocks:
            run_block(*block)

    actions = {
        "one environment": lambda: simpy(SUBJECTS, SUBJECTS),
        "batches of 100": lambda: simpy(100, EACH),
        "one environment each": lambda: simpy(1, EACH),
        "no output": run_engine,
        "Parquet": lambda: [write_parquet(points) for _ in range(TIMES)],
    }
    count = dict.fromkeys(actions, SUBJECTS * TIMES) | {"one environment": SUBJECTS}
    count |= {"batches of 100": EACH, "one environment each": EACH}
    for name in ("no output", "Parquet"):
        actions[name]()
    times = interleaved(actions, repeats)
    us = {name: [1e6 * s / count[name] for s in times[name]] for name in actions}
    cost = {name: median(values) for name, values in us.items()}
    fastest = min(cost["batches of 100"], cost["one environment each"])
    rows = [
        [label + name, cost[name], spread(us[name]), 1e6 / cost[name], 1e6 / cost[name] * events["a subject"]]
        for label, name in (
            ("SimPy, ", "one environment"),
            ("SimPy, ", "batches of 100"),
            ("SimPy, ", "one environment each"),
            ("batch driver, ", "no output"),
            ("batch driver, ", "Parquet"),
        )
    ]
    show(
        f"Speed, one thread, {SUBJECTS:,} subjects, asco_2021 ({len(arm.policy.rules)} rules), "
        f"{events['a subject']:.0f} events a subject",
        ["", "us/subject", "range", "subjects/s", "events/s"],
        rows,
        "Events: assessments, doses, ends of infusions and of follow-up, as plain SimPy counts them.",
    )
    ratios = {
        name: (cost["one environment"] / cost[name], fastest / cost[name])
        for name in ("no output", "Parquet")
    }
    show(
        "Times faster than plain SimPy",
        ["batch driver", "one env.", "aim", "fastest shape", "aim"],
        [[name, a, TARGETS[name][0], b, TARGETS[name][1]] for name, (a, b) in ratios.items()],
    )
    return {"us_per_subject": cost, "ratios": ratios, "events_per_subject": events["a subject"]}


def write_parquet(points: Points) -> None:
    """Simulate and write a whole run of one arm, one block after the other, as a worker does."""
    from cartsim.store.place import Place
    from cartsim.store.provenance import Provenance
    from cartsim.sweep.plan import Plan
    from cartsim.sweep.session import BlockNames, WriteBlock

    given = points.base
    provenance = Provenance("bench", "", given.hash(), given.require_seed(), "0", None, {}, "", {})
    with tempfile.TemporaryDirectory() as folder:
        work = WriteBlock(points, Place.of(Path(folder) / "run"), provenance, BlockNames(points, {}))
        for block in Plan.new(1, 1, given.subjects, [arm.id for arm in given.arms]).blocks():
            work(block)
