"""From a command to an answer: help, the first compile, a warm start, and how much of it is simulation."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import median, show

SCENARIO = """\
schema: cartsim/scenario/1
id: start
title: Two arms
product: axi-cel
population: {{subjects: {subjects}}}
arms:
  - {{id: asco, policy: asco_2021}}
  - {{id: zuma, policy: zuma1_c1_2}}
run: {{seed: 1}}
"""
SUBJECTS = 10_000
#: A row of the printed table.
ANSWER = "CRS any grade"
HELP, COLD = "cartsim --help", "1 subject, first run ever (compiles)"
ONE, MANY = "1 subject, two arms", f"{SUBJECTS:,} subjects, two arms"
AIMS = {HELP: "0.3", COLD: "30", MANY: "1-2"}


def run(repeats: int = 5) -> dict[str, Any]:
    """Measure and print wall seconds from the command to the printed table, and to its end."""
    times: dict[str, list[tuple[float, float]]] = {HELP: [], ONE: [], MANY: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for subjects in (1, SUBJECTS):
            text = SCENARIO.format(subjects=subjects)
            (folder / f"{subjects}.yaml").write_text(text, encoding="utf-8")
        cold = _simulate(folder, 1, folder / "empty")
        # once before it counts: the second run finds the engine compiled and the files in memory
        for _ in range(repeats + 1):
            times[HELP].append(_time(["--help"], "Usage"))
            times[ONE].append(_simulate(folder, 1))
            times[MANY].append(_simulate(folder, SUBJECTS))
    cost = {name: tuple(median([t[i] for t in seen[1:]]) for i in (0, 1)) for name, seen in times.items()}
    cost[COLD] = cold
    work = 1.0 - cost[ONE][0] / cost[MANY][0]
    show(
        "From the command to the printed table, and to the end (all tables, figures, manifest), wall clock",
        ["", "table s", "end s", "aim"],
        [[name, *cost[name], AIMS.get(name, "")] for name in (HELP, COLD, ONE, MANY)],
        f"{work:.0%} of the time to the table of {SUBJECTS:,} subjects grows with their number: simulation, "
        "tables, Parquet, summary. The rest is starting.",
    )
    return {"seconds": cost, "share_of_work": work}


def _simulate(folder: Path, subjects: int, cache: Path | None = None) -> tuple[float, float]:
    out = Path(tempfile.mkdtemp(dir=folder)) / "run"
    return _time(["run", str(folder / f"{subjects}.yaml"), "--out", str(out)], ANSWER, cache)


def _time(arguments: list[str], answer: str, cache: Path | None = None) -> tuple[float, float]:
    """Seconds until `answer` stands on stdout, and until the command has ended."""
    environment = os.environ | ({"CARTSIM_CACHE": str(cache)} if cache else {})
    begin, seen = time.perf_counter(), None
    with subprocess.Popen(
        [sys.executable, "-m", "cartsim", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
    ) as process:  # fmt: skip
        for line in process.stdout or ():
            if seen is None and answer in line:
                seen = time.perf_counter() - begin
    if process.returncode or seen is None:
        raise RuntimeError(f"cartsim {' '.join(arguments)} gave no answer")
    return seen, time.perf_counter() - begin
