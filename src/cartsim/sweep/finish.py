"""Why: outcomes and differences are made once, at the end, from the counts that blocks left behind. Counts add up the
same in any order, so it does not matter who ran what; they are read a few hundred design points at a time, so that
memory does not grow with the sweep.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

import pyarrow as pa

from cartsim.errors import Incomplete
from cartsim.record import schema
from cartsim.store.files import ResultWriter, TableReceipt
from cartsim.store.place import Place
from cartsim.store.provenance import Provenance
from cartsim.store.reader import groups_of
from cartsim.sweep.block import SUBGROUP_TALLIES, TALLIES
from cartsim.sweep.draws_block import DRAW_TALLIES
from cartsim.sweep.draws_results import DrawResults
from cartsim.sweep.plan import Block, Plan
from cartsim.sweep.points import Points
from cartsim.sweep.question import is_single, keys_of, make_summary
from cartsim.sweep.session import Progress
from cartsim.sweep.value import make_value_tables, value_tables

if TYPE_CHECKING:
    from cartsim.analysis.summary import Summary

#: Design points summarised at a time.
AT_ONCE = 250
#: (block, first design point, the one after the last, table) -> what the block counted of those points.
ReadTallies = Callable[[Block, int, int, str], pa.Table]


@dataclass(frozen=True)
class Written:
    """Result files of a run; `tables` and `curves` only where there is a single design point."""

    receipts: tuple[TableReceipt, ...]
    tables: dict[str, pa.Table]
    curves: pa.Table | None


@dataclass(frozen=True)
class Results:
    """Result rows of some consecutive design points."""

    outcomes: pa.Table
    contrasts: pa.Table
    curves: pa.Table | None
    value: dict[str, pa.Table] = field(default_factory=dict)

    @property
    def tables(self) -> dict[str, pa.Table]:
        """Every result table by name."""
        return {"outcomes": self.outcomes, "contrasts": self.contrasts, **self.value}


def summarise(
    points: Points,
    blocks: Sequence[Block],
    read: ReadTallies,
    arms: Sequence[str],
    told: Callable[[int], None] = lambda _: None,
) -> Iterator[Results]:
    """Results of every design point that `blocks` cover, in order; `told` hears how many points are done."""
    covered = sorted(blocks, key=lambda b: (b.designs, b.number))
    total = max((b.designs[1] for b in covered), default=0)
    # under many parameter sets a design point has as many counts as that many points
    at_once = max(AT_ONCE // max(points.base.run.parameter_draws, 1), 1)
    for low in range(0, total, at_once):
        high = min(low + at_once, total)
        here = [b for b in covered if b.designs[0] < high and b.designs[1] > low]
        held = [read(b, low, high, TALLIES) for b in here]

        def also(name: str, here: list[Block] = here, low: int = low, high: int = high) -> list[pa.Table]:
            return [read(b, low, high, name) for b in here]

        for first, last in _alike(points, low, high):
            yield _results(points, held, also, first, last, arms)
        told(high)


def write_results(
    points: Points,
    place: Place,
    plan: Plan,
    standing: Progress,
    provenance: Provenance,
    told: Callable[[int], None] = lambda _: None,
) -> Written:
    """Make outcomes.parquet and contrasts.parquet of the blocks of a run. Raises `Incomplete` where some miss."""
    single = is_single(points)
    tables: dict[str, pa.Table] = {}
    curves = None
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(ResultWriter(place, name, provenance))
            for name in ("outcomes", "contrasts", *value_tables(points.base))
        }
        for results in results_of(points, place, plan, standing, told):
            parts = results.tables
            for name, rows in parts.items():
                writers[name].append(rows)
            if single:
                tables, curves = parts, results.curves
    receipts = [writer.receipt for writer in writers.values()]
    return Written(tuple(r for r in receipts if r is not None), tables, curves)


def results_of(
    points: Points,
    place: Place,
    plan: Plan,
    standing: Progress,
    told: Callable[[int], None] = lambda _: None,
) -> Iterator[Results]:
    """Results of a run from the counts of its blocks. Raises `Incomplete` where some are missing."""
    if not standing.whole:
        raise Incomplete(
            f"{standing.blocks - len(standing.receipts)} of {standing.blocks} blocks are not done yet",
            place.text,
            mend="run the scenario again with the same --out, or the missing shards",
        )
    receipts = {receipt.number: receipt for receipt in standing.receipts.values()}

    def read(block: Block, low: int, high: int, name: str) -> pa.Table:
        part = receipts[block.number].table(name)
        assert part is not None
        found = list(groups_of(place, part.path, None, (low, high)))
        return pa.concat_tables(found) if found else schema(name).empty_table()

    return summarise(points, list(plan.blocks()), read, [arm.id for arm in points.base.arms], told)


def _alike(points: Points, low: int, high: int) -> Iterator[tuple[int, int]]:
    """Runs of consecutive design points that ask the same question."""
    for _, group in groupby(range(low, high), key=keys_of(points)):
        found = list(group)
        yield found[0], found[-1] + 1


def _results(
    points: Points,
    held: Sequence[pa.Table],
    also: Callable[[str], Sequence[pa.Table]],
    first: int,
    last: int,
    arms: Sequence[str],
) -> Results:
    from cartsim.analysis.tally import fold

    scenario, designs = points.scenario(first), range(first, last)
    summary = make_summary(scenario, arms, single=is_single(points))
    tallies = fold([_between(table, first, last) for table in held])
    curves = summary.incidence_curves(tallies, first) if is_single(points) else None
    draws = None
    if points.base.run.parameter_draws:
        drawn = [_between(table, first, last) for table in also(DRAW_TALLIES)]
        draws = DrawResults(points, pa.concat_tables(drawn).unify_dictionaries(), designs, arms)
        outcomes, contrasts = draws.outcomes, draws.contrasts
    else:
        outcomes = [summary.outcomes(tallies, designs)]
        contrasts = [_contrasts(summary, tallies, scenario.require_seed(), designs)]
        parts = (
            [_between(table, first, last) for table in also(SUBGROUP_TALLIES)] if scenario.subgroups else []
        )
        for name in scenario.subgroups or ():
            of_group = make_summary(scenario, arms, single=is_single(points), population=name)
            counted = fold([_of_population(table, name) for table in parts])
            outcomes.append(of_group.outcomes(counted, designs))
            contrasts.append(_contrasts(of_group, counted, scenario.require_seed(), designs))

    def counts(name: str) -> list[pa.Table]:
        return [_between(table, first, last) for table in also(name)]

    rows = _declared("outcomes", _by_design(outcomes))
    return Results(
        rows,
        _declared("contrasts", _by_design(contrasts)),
        curves,
        make_value_tables(points, summary, tallies, rows, designs, counts, draws),
    )


def _of_population(table: pa.Table, name: str) -> pa.Table:
    import pyarrow.compute as pc

    return (
        table.filter(pc.equal(table["population"], name)).drop_columns(["population"]).cast(schema(TALLIES))
    )


def _by_design(parts: Sequence[pa.Table]) -> pa.Table:
    """Rows of everybody, then of each subgroup, within each design point."""
    if len(parts) == 1:
        return parts[0]
    import numpy as np

    whole = pa.concat_tables(parts).unify_dictionaries()
    return whole.take(np.argsort(whole["design_id"].to_numpy(), kind="stable"))


def _contrasts(summary: "Summary", tallies: pa.Table, seed: int, designs: Sequence[int]) -> pa.Table:
    import numpy as np

    from cartsim.draws import study_key, uniforms
    from cartsim.terms import Decision

    key = study_key(seed)
    return summary.contrasts(
        tallies, lambda n, k: uniforms(key, np.arange(n), Decision.BOOTSTRAP, k), designs
    )


def _declared(name: str, rows: pa.Table) -> pa.Table:
    return rows.cast(schema(name))


def _between(table: pa.Table, first: int, last: int) -> pa.Table:
    import pyarrow.compute as pc

    design = table["design_id"]
    inside = pc.and_(pc.greater_equal(design, first), pc.less(design, last))
    return table if pc.all(inside, min_count=0).as_py() else table.filter(inside)
