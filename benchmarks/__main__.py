"""`python -m benchmarks [name ...]`: what the speed claims rest on. Without names: all but `long`, in about eight
minutes."""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import memory, parquet, ratio, scaling, start, sweep, threads, ward
from benchmarks.engine import warm_cache
from benchmarks.measure import machine, show_machine

BENCHMARKS: dict[str, Callable[..., dict[str, Any]]] = {
    "ratio": ratio.run,
    "parquet": parquet.run,
    "scaling": scaling.run,
    "threads": threads.run,
    "ward": ward.run,
    "start": start.run,
    "memory": memory.run,
    "million": memory.run_million,
    "sweep": sweep.run,
    "long": sweep.run_long,
}
#: Too long to be run without being named.
ONLY_NAMED = ("long",)


def main() -> None:
    """Run the chosen benchmarks one after the other and print their tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"one or more of: {', '.join(BENCHMARKS)}")
    parser.add_argument("--repeats", type=int, help="rounds of each measurement (median is shown)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number there as well")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark called {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}")
    usual = [name for name in BENCHMARKS if name not in ONLY_NAMED]
    facts = machine()
    show_machine(facts)
    begin = time.perf_counter()
    warm_cache()
    options = {} if given.repeats is None else {"repeats": given.repeats}
    results = {name: BENCHMARKS[name](**options) for name in given.names or usual}
    print(f"\n{time.perf_counter() - begin:.0f} s in all")
    if given.json:
        text = json.dumps({"machine": facts} | results, indent=1)
        given.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
