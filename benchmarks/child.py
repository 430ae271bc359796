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

    given = scenario(subjects, ("asco_2021", "zuma1_c1_2"), TABLES)
    at_start = peak_mib()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        begin, cpu = time.perf_counter(), time.process_time()
        cartsim.run(given, out=out, workers=workers)
        spent = {"wall_s": time.perf_counter() - begin, "cpu_s": time.process_time() - cpu}
        size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    return spent | {"subjects": subjects, "peak_mib": peak_mib(), "start_mib": at_start, "mb": size / 1e6}


if __name__ == "__main__":
    print(json.dumps(whole_run(int(sys.argv[1]), int(sys.argv[2]))))
