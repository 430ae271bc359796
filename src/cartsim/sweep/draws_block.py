"""Why: parameter uncertainty is told from Monte Carlo error by simulating the same subjects under many parameter sets.
All sets of a block's subjects are done inside the block, so that a run of sets is resumed, shared and extended as any
other, and only sums leave the block (analysis/crossed.py).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cartsim.cells import measure
from cartsim.record import schema
from cartsim.record.draw_tables import ALL_DRAWS, DRAW, EDGES
from cartsim.scenario.subgroups import members_of, parse_subgroups
from cartsim.sweep.parameter_sets import TIPPING_REPLICATES, TIPPING_SUBJECTS, Edge
from cartsim.sweep.pieces import run_pieces
from cartsim.sweep.plan import Block, Cell
from cartsim.sweep.points import Points
from cartsim.sweep.question import make_summary
from cartsim.tables.columns import same
from cartsim.tables.measures import Columns

if TYPE_CHECKING:
    from cartsim.analysis.summary import Summary

DRAW_TALLIES = "draw_tallies"
#: Subjects that are counted in one go.
TOGETHER = 32_768


def count_draws(points: Points, block: Block, arms: Sequence[str]) -> pa.Table:
    """Simulate a block's cells under every parameter set: rows of table `draw_tallies`. `arms`: with the reference."""
    counted = [_CellRun(points, block, cell, arms).run() for cell in block.cells]
    return pa.concat_tables(counted).unify_dictionaries().cast(schema(DRAW_TALLIES))


class _CellRun:
    """One cell under every set."""

    def __init__(self, points: Points, block: Block, cell: Cell, arms: Sequence[str]) -> None:
        self.points, self.block, self.cell, self.arms = points, block, cell, list(arms)
        self.scenario = points.scenario(cell.design_id)
        self.summary: Summary = make_summary(self.scenario, self.arms, single=False)
        self.subgroups = parse_subgroups(self.scenario.subgroups)
        self.done: list[pa.Table] = []
        self._forget()

    def _forget(self) -> None:
        self.numbers: list[int] = []
        self.columns: dict[str, list[Columns]] = {}
        self.members: dict[str, list[np.ndarray]] = {}

    def run(self) -> pa.Table:
        from cartsim.analysis.crossed import Crossed, Crossing

        cell, count = self.cell, self.cell.count
        pooled = self.summary.frame.pooled
        crossing = Crossing(Crossed(self.summary), count, self.arms)
        for draw in range(self.scenario.run.parameter_draws):
            columns = self._simulate(draw, cell)
            if pooled:
                crossing.add(columns)
            self._hold(draw, columns, DRAW)
        self._count(DRAW)
        if pooled and count:
            rows = crossing.rows(cell.design_id, cell.replicate, self.block.arms)
            self.done.append(self._labelled(rows, ALL_DRAWS, 0))
        self._tip(pooled)
        return pa.concat_tables(self.done).unify_dictionaries() if self.done else self._nothing()

    def _tip(self, pooled: bool) -> None:
        """The first subjects, or replicates, at the edges of priors."""
        cell, base = self.cell, self.points.base
        if pooled:
            # a range of subjects is done or left alone by where it stands, however long the run may become
            count = 0 if cell.replicate else min(cell.count, max(TIPPING_SUBJECTS - cell.first, 0))
        else:
            count = cell.count if cell.replicate < TIPPING_REPLICATES else 0
        edges = self.points.sets.edges if count else ()
        part = Cell(cell.design_id, cell.replicate, cell.first, count) if base.site is None else cell
        for number, edge in enumerate(edges):
            self._hold(number, self._simulate(edge, part), EDGES)
        self._count(EDGES)

    def _simulate(self, which: int | Edge, cell: Cell) -> dict[str, Columns]:
        scenario, made = self.points.sets.arms(cell.design_id, which)
        ready = [arm for arm in made if arm.id in self.arms]
        wanted = self.summary.plan.columns
        found: dict[str, list[Columns]] = {}
        for piece in run_pieces(scenario, ready, cell, wanted):
            for ran in piece:
                columns = measure(ran, wanted)
                found.setdefault(ran.who.arm_id, []).append({name: columns[name] for name in wanted})
                if self.subgroups and isinstance(which, int) and ran.who.arm_id == self.scenario.reference:
                    # who belongs to a subgroup may differ between sets: covariates are drawn anew
                    for name, inside in members_of(self.subgroups, ran.cohort).items():
                        self.members.setdefault(name, []).append(inside)
        return {
            arm_id: {name: np.concatenate([part[name] for part in parts]) for name in wanted}
            for arm_id, parts in found.items()
        }

    def _hold(self, number: int, columns: dict[str, Columns], part: str) -> None:
        self.numbers.append(number)
        for arm_id, values in columns.items():
            self.columns.setdefault(arm_id, []).append(values)
        if sum(len(c) for c in self._sizes()) >= TOGETHER:
            self._count(part)

    def _sizes(self) -> list[np.ndarray]:
        first = next(iter(self.summary.plan.columns))
        return [values[first] for values in self.columns[self.scenario.reference]]

    def _count(self, part: str) -> None:
        """Counts of the sets at hand: for the analysis each set is a design point of its own."""
        if not self.numbers:
            return
        sizes = [len(values) for values in self._sizes()]
        number = np.repeat(np.array(self.numbers, "i4"), sizes)
        arms = {
            arm_id: {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            for arm_id, parts in self.columns.items()
        }
        everybody = np.ones(len(number), bool)
        populations = {self.summary.frame.population: everybody} | {
            name: np.concatenate(inside) for name, inside in self.members.items()
        }
        for population, inside in populations.items():
            self.done.append(self._tally(part, population, number[inside], arms, inside))
        self._forget()

    def _tally(
        self, part: str, population: str, number: np.ndarray, arms: dict[str, Columns], inside: np.ndarray
    ) -> pa.Table:
        from cartsim.analysis.tally import tally

        whole = bool(inside.all())
        rows = tally(
            self.summary.plan,
            number,
            np.full(len(number), self.cell.replicate, "i4"),
            arms if whole else {a: {name: v[inside] for name, v in t.items()} for a, t in arms.items()},
            self.scenario.reference,
            list(self.block.arms),
        )
        own = rows["design_id"]
        design = pa.array(np.full(rows.num_rows, self.cell.design_id, "i4"))
        return self._labelled(rows.set_column(0, "design_id", design), part, own, population)

    def _labelled(
        self, rows: pa.Table, part: str, number: "int | pa.ChunkedArray", population: str | None = None
    ) -> pa.Table:
        n = rows.num_rows
        which = pa.array(np.full(n, number, "i4")) if isinstance(number, int) else number
        head = {
            "population": same(population or self.summary.frame.population, n),
            "part": same(part, n),
            "number": which,
        }
        return pa.table({**head, **{name: rows[name] for name in rows.column_names}})

    def _nothing(self) -> pa.Table:
        return schema(DRAW_TALLIES).empty_table()
