"""Counts of many parameter sets as arrays: what each set answers by itself, and the sums of subjects over all of them.

For the summary every set is a design point of its own, so that each has the numbers that it would have alone.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cartsim.analysis.counts import Ints
from cartsim.analysis.crossed import Crossed
from cartsim.analysis.fixed import LIMBS, finish
from cartsim.analysis.fold import TALLY, TOTAL, TOTAL_DIFFERENCE, fold, pool_replicates, word_codes
from cartsim.analysis.intervals import Floats
from cartsim.analysis.summary import Summary
from cartsim.analysis.two_way import mean_of_sets
from cartsim.record.draw_tables import ALL_DRAWS, DRAW


class DrawColumns:
    """Columns of a result table by design point, replicate and set: (designs, replicates, sets, rows).

    Replicates are one where subjects are pooled.
    """

    def __init__(self, table: pa.Table, designs: int, replicates: int, sets: int) -> None:
        self._table, self._shape = table, (designs, replicates, sets, -1)

    def _read(self, name: str) -> Floats:
        plain = self._table[name].to_numpy().astype(np.float64)
        return plain.reshape(self._shape)

    def mean(self, name: str) -> Floats:
        """A column, averaged over replicates: (designs, sets, rows)."""
        return mean_of_sets(self._read(name), 1) if self._shape[1] > 1 else self._read(name)[:, 0]

    @cached_property
    def identical(self) -> NDArray[np.bool_]:
        """Rows whose arms agree in every column under every set: (designs, rows)."""
        if "reference_arm" not in self._table.column_names:
            rows = self._read("value").shape[-1]
            return np.zeros((self._shape[0], rows), np.bool_)
        same = np.asarray(pc.equal(self._table["interval_method"], "identical rows").to_numpy())
        return np.asarray(np.all(same.reshape(self._shape), axis=(1, 2)))

    def replicates(self) -> Floats:
        """Replicates that have a value under every set, where all do: (designs, rows)."""
        whole = np.logical_not(np.any(np.isnan(self._read("value")), axis=2))
        n = np.sum(whole, axis=1).astype(np.float64)
        return np.where(np.all(whole, axis=1), n, np.nan)

    def value_over_all(self) -> Floats:
        """Mean over replicates and sets: (designs, rows)."""
        return np.asarray(self._read("value").mean(axis=(1, 2)))

    def variance_of_mean(self) -> Floats:
        """Variance between replicates of their means over sets: (designs, rows), NaN below two."""
        return _variance(self._read("value").mean(axis=2), 1)

    def variance_of_set(self) -> Floats:
        """Variance between replicates under each set: (designs, sets, rows), NaN below two."""
        return _variance(self._read("value"), 1)


def _variance(values: Floats, axis: int) -> Floats:
    if values.shape[axis] < 2:
        return np.full(np.delete(np.array(values.shape), axis), np.nan)
    return np.asarray(values.var(axis=axis, ddof=1))


class Totals:
    """Sums of subjects over sets, by arm and quantity, of each design point."""

    def __init__(self, rows: pa.Table, crossed: Crossed, designs: Sequence[int]) -> None:
        pooled = pool_replicates(rows)
        self._own, self._paired = (
            _limbs(pooled, crossed, kind, designs) for kind in (TOTAL, TOTAL_DIFFERENCE)
        )

    @cached_property
    def subjects(self) -> Floats:
        """Subjects of each design point."""
        return self._own[0].max(axis=(0, 1), initial=0).astype(np.float64)

    def of(self, arm: int, place: int, *, difference: bool) -> tuple[Floats, Floats, Floats]:
        """Subjects with a value under every set, mean and sd of their sums over sets: each (designs,)."""
        n, mean, sd = self._paired if difference else self._own
        return n[arm, place].astype(np.float64), mean[arm, place], sd[arm, place]


def _limbs(
    rows: pa.Table, crossed: Crossed, kind: str, designs: Sequence[int]
) -> tuple[Ints, Floats, Floats]:
    limbs = np.zeros((len(crossed.arms), len(crossed.names), len(designs), LIMBS), np.int64)
    kinds, texts = word_codes(rows["kind"])
    wanted = np.flatnonzero(kinds == texts.index(kind)) if kind in texts else np.empty(0, np.int64)
    arm, arms = word_codes(rows["arm_id"])
    feature, features = word_codes(rows["feature"])
    arm_at = np.array([crossed.arms.index(a) if a in crossed.arms else -1 for a in arms], np.int64)
    names = {name: k for k, name in enumerate(crossed.names)}
    feature_at = np.array([names[f] for f in features], np.int64)
    design = rows["design_id"].to_numpy()[wanted].astype(np.int64) - designs[0]
    key = rows["key"].to_numpy()[wanted].astype(np.int64)
    place = arm_at[arm[wanted]], feature_at[feature[wanted]], design, key
    limbs[place] = rows["count"].to_numpy()[wanted]
    return finish(limbs)


class DrawRows:
    """Rows of table draw_tallies of one population and of consecutive design points, read as they are asked for."""

    def __init__(self, rows: pa.Table, summary: Summary, draws: int, designs: range) -> None:
        self._summary, self._draws, self._designs = summary, draws, designs
        self._rows = rows
        self._pooled = summary.frame.pooled

    @cached_property
    def replicates(self) -> int:
        """Replicates that are units of their own; 1 where subjects are."""
        drawn = self._part(DRAW)
        return 1 if self._pooled or not drawn.num_rows else int(pc.max(drawn["replicate"]).as_py()) + 1

    @cached_property
    def tallies(self) -> pa.Table:
        """Counts of the drawn sets, each a design point, and each replicate too where replicates are units."""
        return self.by_number(DRAW, self._draws, apart=self.replicates)

    @cached_property
    def outcomes(self) -> DrawColumns:
        """`Summary.outcomes` of every set."""
        return self._columns(self._summary.outcomes(self.tallies, self._virtual))

    @cached_property
    def contrasts(self) -> DrawColumns:
        """`Summary.contrasts` of every set."""
        return self._columns(self._summary.contrasts(self.tallies, None, self._virtual))

    @cached_property
    def totals(self) -> Totals | None:
        """Sums over sets; none of a subgroup, whose members differ between sets, and where replicates are units."""
        found = self._part(ALL_DRAWS)
        if not found.num_rows:
            return None
        return Totals(fold([found.select(TALLY.names).cast(TALLY)]), Crossed(self._summary), self._designs)

    @property
    def _virtual(self) -> range:
        return range(len(self._designs) * self.replicates * self._draws)

    def _columns(self, table: pa.Table) -> DrawColumns:
        return DrawColumns(table, len(self._designs), self.replicates, self._draws)

    def _part(self, name: str) -> pa.Table:
        return self._rows.filter(pc.equal(self._rows["part"], name))

    def by_number(self, part: str, count: int, apart: int = 1) -> pa.Table:
        """A folded tally in which set `number` of a design point is a design point: design * count + number.

        `apart`: so many replicates of a design point are kept apart as design points too.
        """
        rows = self._part(part)
        design, replicate, number = (
            rows[name].to_numpy().astype(np.int64) for name in ("design_id", "replicate", "number")
        )
        place = design - self._designs[0]
        if apart > 1:
            place, replicate = place * apart + replicate, np.zeros_like(replicate)
        table = rows.select(TALLY.names)
        table = table.set_column(0, TALLY.field(0), pa.array((place * count + number).astype("i4")))
        return fold([table.set_column(1, TALLY.field(1), pa.array(replicate.astype("i4"))).cast(TALLY)])
