"""Why: a block is the unit of work that any worker can do alone: it needs what is to be simulated and where, and
leaves tables and counts. Nothing in it knows who runs it, or when, or what else is being run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cartsim.arms import ReadyArm, tables_wanted
from cartsim.cells import SPAN, Ran, build_tables, can_join, join, measure
from cartsim.record import schema
from cartsim.scenario.subgroups import Subgroup, members_of, parse_subgroups
from cartsim.sweep.draws_block import DRAW_TALLIES, count_draws
from cartsim.sweep.pieces import run_pieces
from cartsim.sweep.plan import Block, Cell
from cartsim.sweep.points import Points
from cartsim.sweep.question import Key, is_single, make_summary, question_key
from cartsim.tables.columns import same
from cartsim.tables.measures import Columns
from cartsim.tables.occupancy import COUNTS, fold_counts, occupancy_counts

if TYPE_CHECKING:
    from cartsim.analysis.plan import Plan as TallyPlan
    from cartsim.scenario.resolve import Scenario

TALLIES, SUBGROUP_TALLIES = "tallies", "subgroup_tallies"


@dataclass
class _Counted:
    """Measures of the design points of a block that ask the same question."""

    plan: "TallyPlan"
    design: list[np.ndarray] = field(default_factory=list)
    replicate: list[np.ndarray] = field(default_factory=list)
    arms: dict[str, list[Columns]] = field(default_factory=dict)
    subgroups: tuple[Subgroup, ...] = ()
    members: dict[str, list[np.ndarray]] = field(default_factory=dict)


def run_block(points: Points, block: Block) -> dict[str, pa.Table]:
    """Simulate a block: {table: rows} of the subject tables wanted, of the site's, and of the tallies."""
    return _BlockRun(points, block).run()


def run_cell(
    points: Points, cell: Cell, arms: Sequence[str] | None = None, columns: Sequence[str] = ()
) -> list[list[Ran]]:
    """One cell, a few thousand subjects at a time: for each such piece what every arm did.

    `columns`: what will be read; those that adsl does not have are made at once, with this cell's prices.
    """
    return run_pieces(
        points.scenario(cell.design_id), _wanted(points.arms(cell.design_id), arms), cell, columns
    )


def measure_cell(
    points: Points, cell: Cell, columns: Sequence[str], arms: Sequence[str] | None = None
) -> dict[str, Columns]:
    """{arm_id: {adsl column: values[count]}} of one cell, without any table."""
    pieces = run_cell(points, cell, arms, columns)
    found: dict[str, list[Columns]] = {}
    for piece in pieces:
        for ran in piece:
            found.setdefault(ran.who.arm_id, []).append(measure(ran, columns))
    return {arm_id: _stack(parts) for arm_id, parts in found.items()}


def _wanted(ready: Sequence[ReadyArm], names: Sequence[str] | None) -> list[ReadyArm]:
    return [arm for arm in ready if names is None or arm.id in names]


def _stack(parts: Sequence[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class _BlockRun:
    def __init__(self, points: Points, block: Block) -> None:
        self.points, self.block = points, block
        self.reference = points.base.reference
        names = {*block.arms, self.reference}
        # the reference is run for pairing even where its own rows were written by an earlier block
        self.arms = [arm.id for arm in points.base.arms if arm.id in names]
        self.tables: dict[str, list[pa.Table]] = {}
        self.counted: dict[Key, _Counted] = {}
        self.waiting: list[list[Ran]] = []
        self.asking: tuple[Scenario, Key] | None = None

    def run(self) -> dict[str, pa.Table]:
        for cell in self.block.cells:
            scenario = self.points.scenario(cell.design_id)
            key = question_key(scenario)
            columns = self._counted(scenario, key).plan.columns
            for piece in run_cell(self.points, cell, self.arms, columns):
                if self.waiting and not self._fits(piece, key):
                    self._flush()
                self.waiting.append(piece)
                self.asking = scenario, key
                if sum(ran[0].count for ran in self.waiting) >= SPAN // 2:
                    self._flush()
        self._flush()
        done = {name: pa.concat_tables(parts).unify_dictionaries() for name, parts in self.tables.items()}
        done |= {TALLIES: self._tally()}
        if self.points.base.subgroups:
            done[SUBGROUP_TALLIES] = self._tally_subgroups()
        if COUNTS in done:
            done[COUNTS] = fold_counts([done[COUNTS]])
        if self.points.base.run.parameter_draws:
            done[DRAW_TALLIES] = count_draws(self.points, self.block, self.arms)
        return done

    def _counted(self, scenario: "Scenario", key: Key) -> _Counted:
        if key not in self.counted:
            summary = make_summary(scenario, self.arms, single=is_single(self.points))
            self.counted[key] = _Counted(summary.plan, subgroups=parse_subgroups(scenario.subgroups))
        return self.counted[key]

    def _fits(self, piece: list[Ran], key: Key) -> bool:
        assert self.asking is not None
        same = all(can_join(a.who, b.who) for a, b in zip(self.waiting[0], piece, strict=True))
        return same and key == self.asking[1]

    def _flush(self) -> None:
        if not self.waiting or self.asking is None:
            return
        scenario, key = self.asking
        counted = self._counted(scenario, key)
        for number, parts in enumerate(zip(*self.waiting, strict=True)):
            ran = join(parts)
            arm_id = ran.who.arm_id
            wanted = arm_id in self.block.arms and tables_wanted(scenario)
            measured = measure(ran, None if wanted else counted.plan.columns)
            if wanted:
                for name, rows in build_tables(scenario, ran, measured).items():
                    self.tables.setdefault(name, []).append(rows)
            if arm_id in self.block.arms:
                for part in parts:
                    for name, rows in part.site.items():
                        self.tables.setdefault(name, []).append(rows)
                if "occupancy" in scenario.outputs.tables:
                    rows = occupancy_counts(
                        ran.who, ran.block.courses, ran.block.changes, scenario.horizon_days
                    )
                    self.tables.setdefault(COUNTS, []).append(rows)
            found = {**measured, **ran.extra} if ran.extra else measured
            counted.arms.setdefault(arm_id, []).append({c: found[c] for c in counted.plan.columns})
            if arm_id == self.reference:
                # where an arm has other subjects, they belong where their twin in the reference does
                for name, inside in members_of(counted.subgroups, ran.cohort).items():
                    counted.members.setdefault(name, []).append(inside)
            if number == 0:
                counted.design.append(np.broadcast_to(np.asarray(ran.who.design_id, "i4"), ran.count))
                counted.replicate.append(np.broadcast_to(np.asarray(ran.who.replicate, "i4"), ran.count))
        self.waiting = []

    def _tally(self) -> pa.Table:
        parts = [self._tally_of(counted) for counted in self.counted.values()]
        return pa.concat_tables(parts).unify_dictionaries()

    def _tally_of(self, counted: _Counted, inside: np.ndarray | slice = slice(None)) -> pa.Table:
        from cartsim.analysis.tally import tally

        return tally(
            counted.plan,
            np.concatenate(counted.design)[inside],
            np.concatenate(counted.replicate)[inside],
            {
                arm_id: {name: values[inside] for name, values in _stack(columns).items()}
                for arm_id, columns in counted.arms.items()
            },
            self.reference,
            list(self.block.arms),
        )

    def _tally_subgroups(self) -> pa.Table:
        parts = []
        for counted in self.counted.values():
            for name, inside in counted.members.items():
                rows = self._tally_of(counted, np.concatenate(inside))
                parts.append(rows.add_column(0, "population", same(name, rows.num_rows)))
        return pa.concat_tables(parts).unify_dictionaries().cast(schema(SUBGROUP_TALLIES))
