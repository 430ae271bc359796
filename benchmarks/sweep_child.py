"""A sweep with the simulation inside it timed wherever it happens.

Everything minus simulation is what a sweep costs by itself: making points, counting, writing, summarising, starting.
Times are processor times of all processes, so that other users of the machine do not matter.
"""

import json
import os
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.measure import peak_mib
from cartsim.scenario.load import load_scenario
from cartsim.store.blocks import Receipt
from cartsim.sweep import session
from cartsim.sweep.plan import Block

SEED = 20261122
#: What moves, by name: two registry numbers, or the hours of a policy's rule.
AXES: dict[str, dict[str, Any]] = {
    "registry": {
        "model.overrides.anakinra.crs_effect": {"low": 0.2, "high": 0.8},
        "model.overrides.steroid.crs_emax": "evidence",
    },
    "policy": {"arms.early.policy.rules.g1_persist.when.for_h": {"low": 1.0, "high": 96.0}},
}
#: Environment variable: where workers note their times.
NOTES = "CARTSIM_BENCHMARK_NOTES"


@dataclass(frozen=True)
class TimedBlock(session.WriteBlock):
    """The work of a block, which leaves a note of the time it simulated and of the memory it took."""

    def __call__(self, block: Block) -> Receipt:
        """As the block of a run."""
        _load()
        with _Simulation() as spent:
            receipt = super().__call__(block)
        note = {"seconds": spent.seconds, "peak_mib": peak_mib(), "process": os.getpid()}
        Path(os.environ[NOTES], f"{block.number}.json").write_text(json.dumps(note), encoding="utf-8")
        return receipt


@cache
def _load() -> None:
    """Compiled code is loaded before the clock of the simulation starts; a worker does that once."""
    from benchmarks.engine import ready, scenario
    from cartsim.cells import Span, run_arms

    run_arms(given := scenario(1), ready(given), Span(0, 0, 1))


class _Simulation:
    """Processor time within `run_arms`: drawing cohorts, the kernel, latent peaks."""

    def __enter__(self) -> "_Simulation":
        from cartsim.sweep import block

        self.seconds = 0.0
        self._module, self._real = block, block.run_arms

        def timed(*arguments: Any) -> Any:
            begin = time.process_time()
            found = self._real(*arguments)
            self.seconds += time.process_time() - begin
            return found

        block.run_arms = timed
        return self

    def __exit__(self, *_: object) -> None:
        self._module.run_arms = self._real


def sweep(points: int, subjects: int, axes: str, workers: int) -> dict[str, Any]:
    """Run it: two arms, Latin hypercube over `axes`, no subject tables; one worker is this process."""
    import cartsim
    from cartsim import in_folder

    scenario = load_scenario(
        {
            "schema": "cartsim/scenario/1",
            "id": "bench-sweep",
            "title": "Benchmark",
            "product": "axi-cel",
            "population": {"subjects": subjects},
            "arms": [
                {"id": "standard", "policy": "asco_2021"},
                {"id": "early", "policy": {"extends": "asco_2021"}},
            ],
            "run": {"seed": SEED},
            "outputs": {"tables": []},
            "sweep": {"method": "lhs", "points": points, "axes": AXES[axes], "limit": points},
        }
    )
    in_folder.WriteBlock = TimedBlock  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder:
        notes, out = Path(folder, "notes"), Path(folder, "run")
        notes.mkdir()
        os.environ[NOTES] = str(notes)
        at_start, wall, cpu, own = peak_mib(), time.perf_counter(), _processor_time(), time.process_time()
        cartsim.run(scenario, out, workers=workers, executor="inline" if workers == 1 else "processes")
        wall, cpu, own = time.perf_counter() - wall, _processor_time() - cpu, time.process_time() - own
        said = [json.loads(file.read_text(encoding="utf-8")) for file in notes.iterdir()]
        files = [file for file in out.rglob("*") if file.is_file()]
        size = sum(file.stat().st_size for file in files)
    peaks = {os.getpid(): peak_mib()}
    for note in said:
        peaks[note["process"]] = max(peaks.get(note["process"], 0.0), note["peak_mib"])
    return {
        "points": points,
        "subjects": subjects,
        "workers": workers,
        "wall_s": wall,
        "cpu_s": cpu,
        "own_cpu_s": own,
        "simulation_s": sum(note["seconds"] for note in said),
        "start_mib": at_start,
        "peak_mib": peaks[os.getpid()],
        "all_peaks_mib": sum(peaks.values()),
        "blocks": len(said),
        "files": len(files),
        "mb": size / 1e6,
    }


def _processor_time() -> float:
    """Seconds of this process and of its children that have ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system
