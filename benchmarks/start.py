"""From a command to an answer: help, the first compile, a warm start, and how much of it is simulation."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import interleaved, median, show, wall_seconds

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
AIMS = {
    "cartsim --help": "0.3",
    "first run ever (compiles), 1 subject": "30",
    "10,000 subjects, two arms": "1-2",
}


def run(repeats: int = 5) -> dict[str, Any]:
    """Measure and print wall seconds from the command to the end of its output."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for subjects in (1, SUBJECTS):
            text = SCENARIO.format(subjects=subjects)
            (folder / f"{subjects}.yaml").write_text(text, encoding="utf-8")
        cold = wall_seconds(lambda: _simulate(folder, 1, cache=folder / "empty"))
        actions = {
            "cartsim --help": lambda: _command("--help"),
            "1 subject, two arms": lambda: _simulate(folder, 1),
            "10,000 subjects, two arms": lambda: _simulate(folder, SUBJECTS),
        }
        for action in actions.values():
            action()
        times = interleaved(actions, repeats, wall_seconds)
    cost = {"first run ever (compiles), 1 subject": cold} | {n: median(v) for n, v in times.items()}
    work = cost["10,000 subjects, two arms"] - cost["1 subject, two arms"]
    show(
        "From the command to the printed table, all tables and figures written, wall clock",
        ["", "s", "aim"],
        [[name, seconds, AIMS.get(name, "")] for name, seconds in cost.items()],
        f"Of the warm run {work:.2f} s ({work / cost['10,000 subjects, two arms']:.0%}) grows with the subjects: "
        "simulation, tables, Parquet.",
    )
    return {"seconds": cost, "share_of_work": work / cost["10,000 subjects, two arms"]}


def _command(*arguments: str, cache: Path | None = None) -> None:
    environment = os.environ | ({"CARTSIM_CACHE": str(cache)} if cache else {})
    command = [sys.executable, "-m", "cartsim", *arguments]
    subprocess.run(command, env=environment, check=True, capture_output=True)


def _simulate(folder: Path, subjects: int, cache: Path | None = None) -> None:
    out = tempfile.mkdtemp(dir=folder)
    _command("run", str(folder / f"{subjects}.yaml"), "--out", str(Path(out) / "run"), cache=cache)
