"""One scenario from file to answer: the door for notebooks, scripts and the command line."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cartsim.errors import InvalidInput
from cartsim.results import Progress, Report, Study
from cartsim.scenario.load import load_scenario
from cartsim.scenario.resolve import Scenario

if TYPE_CHECKING:
    from cartsim.store.place import Place
    from cartsim.sweep.shards import Shard

__all__ = ["Progress", "Report", "Study", "finish", "run"]


def run(
    scenario: Scenario | str | Path | Mapping[str, Any],
    out: "Path | str | Place | None" = None,
    workers: int = 0,
    progress: Report | None = None,
    block: int | None = None,
    answered: Callable[["Study"], None] | None = None,
    *,
    executor: str = "threads",
    scheduler: str | None = None,
    shard: "Shard | str | None" = None,
    extend: bool = False,
    fresh: bool = False,
    retry: bool = False,
    max_failures: int | None = None,
    until: Sequence[str] = (),
    floor: int | None = None,
    ceiling: int | None = None,
    budget_s: float | None = None,
    parameter_draws: int | None = None,
) -> Study:
    """Run a scenario (or its file, text or plain data) and return its results.

    With `out` (a folder, or s3://bucket/prefix) every table is written there as Parquet, with figures and a
    manifest; what is there already is kept, so that the same call goes on after an interruption. `extend` lets a
    run grow by subjects, replicates, design points or arms; `fresh` begins again; `retry` does failed and damaged
    blocks again. Without `out` tables stay in memory.

    `workers` (0: one a core) are threads, processes or whatever `executor` says ("inline", "threads", "processes",
    "dask" with its `scheduler`; "local" takes processes for large sweeps, which need a script guarded by
    `if __name__ == "__main__":`); `block` is the number of subjects of a block; `shard`
    ("0/3") does only some of the blocks. None of these changes a number. `until` are conditions such as
    "contrast.crs_ge3.early-standard.halfwidth <= 0.005" on which subjects are added, between `floor` and `ceiling`.
    `answered` is called with the results as soon as they are known, before figures and manifest are written.
    `parameter_draws` (instead of run.parameter_draws; 0: none) simulates the same subjects under so many parameter
    sets: results are then means over them, with parameter uncertainty beside Monte Carlo error.

    Raises `InvalidInput` for what cannot be run or does not belong in `out`, `Incomplete` where blocks failed,
    `Unreachable` where `out` or the scheduler cannot be reached, `OutputBroken` for damaged blocks.
    """
    from cartsim.sweep.points import Points
    from cartsim.sweep.question import make_summary
    from cartsim.sweep.shards import parse_shard

    if not isinstance(scenario, Scenario):
        scenario = load_scenario(scenario)
    if parameter_draws is not None:
        scenario = with_draws(scenario, parameter_draws)
    scenario.require_seed()
    if scenario.run.parameter_draws and until:
        raise InvalidInput(
            "precision targets add subjects to a run of one parameter set, and this one has "
            f"{scenario.run.parameter_draws:,}",
            mend="the same targets without parameter draws, then as many subjects with them",
        )
    points = Points(scenario)
    points.check()
    # an endpoint that does not exist is refused before anything is simulated
    make_summary(scenario)
    tell = progress or (lambda _: None)
    part = parse_shard(shard) if isinstance(shard, str) else shard
    if out is None:
        if part is not None or until:
            raise InvalidInput("shards and precision targets need a folder to write to", mend="give `out`")
        from cartsim.in_memory import run_in_memory

        return run_in_memory(points, workers, tell, block, answered)
    from cartsim.in_folder import FolderRun
    from cartsim.store.place import Place
    from cartsim.sweep.stopping import Stopping

    stopping = Stopping.parse(points, until, floor, ceiling, budget_s)
    if stopping is not None and part is not None:
        raise InvalidInput(
            "a shard cannot see the others, so it cannot stop at a precision", mend="one of the two"
        )
    return FolderRun(
        points, Place.of(out), tell, block, answered, stopping, part,
        {"executor": executor, "workers": workers, "scheduler": scheduler},
        {"retry": retry, "max_failures": max_failures},
    ).run(extend=extend, fresh=fresh)  # fmt: skip


def with_draws(scenario: Scenario, parameter_draws: int) -> Scenario:
    """The scenario with `run.parameter_draws` set. Raises `InvalidInput` where it does not fit."""
    from dataclasses import replace

    if parameter_draws == scenario.run.parameter_draws:
        return scenario
    cohort = scenario.patients
    # read again, so that it is refused where and as a file would be
    read = load_scenario(
        scenario.data,
        {"run.parameter_draws": parameter_draws},
        {} if cohort is None else {"population.sha256": cohort.sha256},
        folder=None if cohort is None else cohort.folder,
        stored=cohort is not None,
    )
    run_block = scenario.run.model_copy(update={"parameter_draws": read.run.parameter_draws})
    return replace(scenario, run=run_block, data=read.data)


def finish(out: "Path | str | Place", progress: Report | None = None) -> Study:
    """Make the results of a run whose blocks are all there (after shards, or a merge). Raises `Incomplete` if not."""
    from cartsim.in_folder import FolderRun
    from cartsim.store.place import Place
    from cartsim.sweep.opening import reopen

    place = Place.of(out)
    _, points = reopen(place)
    return FolderRun(points, place, progress or (lambda _: None), simulate=False).run()
