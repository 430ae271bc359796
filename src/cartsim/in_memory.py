"""Why: in a notebook a small run needs no folder: blocks come back as tables and the results are made of them."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pyarrow as pa

from cartsim.errors import Incomplete
from cartsim.results import (
    COMPILING,
    SIMULATING,
    SUMMARISING,
    Progress,
    Report,
    Study,
    tables_of,
    warnings_of,
)
from cartsim.sweep.executors import make_executor
from cartsim.sweep.finish import summarise
from cartsim.sweep.plan import Plan
from cartsim.sweep.points import Points
from cartsim.sweep.session import KeepBlock


def run_in_memory(
    points: Points,
    workers: int,
    tell: Report,
    block: int | None,
    answered: Callable[[Study], None] | None,
) -> Study:
    """Simulate every block in this process and return the results. Raises `Incomplete` where a block fails."""
    base = points.base
    warm_up(points, tell)
    arms = [arm.id for arm in base.arms]
    whole = base.site is not None
    plan = Plan.new(
        len(points), base.run.replicates, base.subjects, arms,
        whole=whole, size=block, many_sets=base.run.parameter_draws > 0,
    )  # fmt: skip
    kept: dict[int, dict[str, pa.Table]] = {}
    done, total = 0, plan.total
    tell(Progress(SIMULATING, 0, total))
    runner = make_executor("inline" if workers == 1 else "threads", workers)
    with closing(runner):
        for ended in runner.run(KeepBlock(points), plan.blocks()):
            if ended.failure is not None:
                failure = ended.failure
                raise Incomplete(f"a block failed: {failure.kind}: {failure.message}", why=failure.traceback)
            assert ended.result is not None
            kept[ended.task.number] = ended.result
            done += ended.task.subjects
            tell(Progress(SIMULATING, done, total))
    blocks = list(plan.blocks())
    tell(Progress(SUMMARISING, 0, len(points)))
    parts = list(
        summarise(
            points,
            blocks,
            lambda b, low, high, name: kept[b.number][name],
            arms,
            lambda n: tell(Progress(SUMMARISING, n, len(points))),
        )
    )
    results = {
        name: pa.concat_tables([part.tables[name] for part in parts]).unify_dictionaries()
        for name in parts[0].tables
    }
    for name in tables_of(base):
        rows = [kept[b.number][name] for b in blocks if name in kept[b.number]]
        if rows:
            results[name] = pa.concat_tables(rows).unify_dictionaries()
    study = Study(base, None, {}, [], warnings_of(points), results)
    if answered is not None:
        answered(study)
    return study


def warm_up(points: Points, tell: Report) -> None:
    """Compile (or load from the cache) before the clock of the run starts, and say so when it takes a while."""
    from cartsim.arms import prepare_arm
    from cartsim.cells import Span, run_arms
    from cartsim.compiled import is_cold

    cold = is_cold()
    if cold:
        tell(Progress(COMPILING, 0, 1))
    bare = replace(
        points.base, site=None, population=points.base.population.model_copy(update={"subjects": 1})
    )
    run_arms(bare, [prepare_arm(bare, bare.arms[0], 1)], Span(0, 0, 1))
    if cold:
        tell(Progress(COMPILING, 1, 1))
