"""What a second thread brings. Only an idle machine can tell, so this reports and asserts nothing."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.engine import ready, scenario
from benchmarks.measure import BUSY, cores, interleaved, median, others_busy, show, wall_seconds

SUBJECTS = 131_072


def run(repeats: int = 5) -> dict[str, Any]:
    """Measure and print."""
    from cartsim.cells import Span, draw_for, spans
    from cartsim.drivers.batch import run_block

    bare = scenario(1)
    arm = ready(bare)[0]

    def block(span: Span) -> None:
        cohort, drawn = draw_for(bare, arm, span)
        run_block(arm.clinic, drawn, *arm.masks(cohort))

    def with_threads(count: int) -> None:
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(block, spans(SUBJECTS, 1)))

    with_threads(2)
    busy = others_busy()
    counts = sorted({1, 2, cores()})
    times = interleaved({str(n): lambda n=n: with_threads(n) for n in counts}, repeats, wall_seconds)
    cost = {name: median(values) for name, values in times.items()}
    idle = busy is not None and busy <= BUSY
    note = "machine idle" if idle else f"not idle ({busy or 0:.1f} cores in other use): do not quote"
    show(
        f"Threads, {SUBJECTS:,} subjects, drawing and kernel, wall clock",
        ["threads", "s", "speed-up"],
        [[name, seconds, f"x{cost['1'] / seconds:.2f}"] for name, seconds in cost.items()],
        note,
    )
    return {"seconds": cost, "speed_up_2": cost["1"] / cost["2"], "idle": idle}
