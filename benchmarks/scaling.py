"""Does a subject cost the same in a cohort of a thousand and of a million?"""

from typing import Any

from benchmarks.engine import ready, scenario
from benchmarks.measure import cpu_seconds, median, show, spread

SIZES = (1_000, 10_000, 100_000, 1_000_000)


def run(repeats: int = 3) -> dict[str, Any]:
    """Measure and print: drawing and simulating, block by block as a run does, nothing kept."""
    from cartsim.cells import draw_for, spans
    from cartsim.drivers.batch import run_block

    bare = scenario(1)
    arm = ready(bare)[0]

    def simulate(subjects: int) -> None:
        for span in spans(subjects, 1):
            cohort, drawn = draw_for(bare, arm, span)
            run_block(arm.clinic, drawn, *arm.masks(cohort))

    simulate(1_000)
    us: dict[int, list[float]] = {size: [] for size in SIZES}
    for _ in range(repeats):
        for size in SIZES:
            # a thousand subjects last too short a time to be measured once
            times = max(1, 20_000 // size)
            spent = cpu_seconds(lambda size=size, times=times: [simulate(size) for _ in range(times)])
            us[size].append(1e6 * spent / size / times)
    cost = {size: median(values) for size, values in us.items()}
    show(
        "Scaling of the batch driver, one thread, drawing included, no output",
        ["subjects", "us/subject", "range", "subjects/s", "against 100,000"],
        [
            [
                f"{size:,}",
                cost[size],
                spread(us[size]),
                1e6 / cost[size],
                f"x{cost[size] / cost[100_000]:.2f}",
            ]
            for size in SIZES
        ],
    )
    return {"us_per_subject": {str(size): value for size, value in cost.items()}}
