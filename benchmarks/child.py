"""Work that needs a process of its own, because memory and start-up are what is measured: prints JSON."""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.engine import TABLES, scenario
from benchmarks.measure import peak_mib


def whole_run(subjects: int, workers: int) -> dict[str, Any]:
    """A study of two arms with adsl, adae, adcm and the summaries written to Parquet."""
    import cartsim
    from cartsim.study import SIMULATING, SUMMARISING, Progress

    given = scenario(subjects, ("asco_2021", "zuma1_c1_2"), TABLES)
    at_start = peak_mib()
    reached: dict[str, float] = {}

    def note(progress: Progress) -> None:
        reached.setdefault(progress.stage, time.process_time())

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        begin, cpu = time.perf_counter(), time.process_time()
        cartsim.run(given, out=out, workers=workers, progress=note)
        wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
        size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    return {
        "subjects": subjects,
        "wall_s": wall,
        "cpu_s": cpu,
        "stream_cpu_s": reached[SUMMARISING] - reached[SIMULATING],
        "peak_mib": peak_mib(),
        "start_mib": at_start,
        "mb": size / 1e6,
    }


def main(arguments: list[str]) -> dict[str, Any]:
    """`subjects workers` for a whole run, `sweep points subjects axes workers` for a sweep."""
    if arguments[0] != "sweep":
        subjects, workers = map(int, arguments)
        return whole_run(subjects, workers)
    from benchmarks.sweep_child import sweep

    points, cohort, axes, processes = arguments[1:]
    return sweep(int(points), int(cohort), axes, int(processes))


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))
