"""What is kept of a block of subjects once it has passed: whole-number counts, from which every result is made.

A million subjects, or ten thousand design points, do not fit in memory as tables. Counts do; and since whole numbers
add up the same in any order, no cut into blocks, no order of workers and no later extension can move a bit.

    tallies = fold([tally(plan, design_id, replicate, {"A": a, "B": b}, "A", ["A", "B"]) for ... in blocks])
    Summary(...).outcomes(tallies)
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cartsim.analysis.counts import (
    Counted,
    Groups,
    count_differing,
    count_levels,
    count_pairs,
    count_values,
    joint_rows,
    level_rows,
    single,
)
from cartsim.analysis.fixed import MOST_ROWS, count_moments, quantise, subtract
from cartsim.analysis.fold import (
    CENSORED,
    CHANGED,
    DEATH,
    DIFFERENCE,
    DIFFERING,
    JOINT,
    LEVEL,
    MOMENT,
    PAIR,
    SUBJECTS,
    TALLY,
    UNFOLLOWED,
    VALUE,
    build,
    fold,
)
from cartsim.analysis.plan import LEVELS, Plan, feature_name, read_column, read_levels

__all__ = ["TALLY", "fold", "tally"]

Columns: TypeAlias = Mapping[str, Any]
Put: TypeAlias = Callable[[str, str, Counted], None]


def tally(
    plan: Plan,
    design_id: NDArray[np.integer],
    replicate: NDArray[np.integer],
    arms: Mapping[str, Columns],
    reference: str,
    keep: Sequence[str],
) -> pa.Table:
    """Count a block of subjects: a table of schema `TALLY`, in the order of `fold`.

    `design_id` and `replicate` are (n,), rows of one (design, replicate) together. `arms` holds for each arm the
    plan's columns of the same subjects in the same order (n,), missing as NaN. Arms not in `keep` are read only to be
    paired with. Raises KeyError for a missing arm or column, ValueError for unequal lengths or a hole in a grade,
    InvalidInput for a quantity too large to be summed exactly.
    """
    n = len(design_id)
    if n > MOST_ROWS:
        spans = [slice(start, start + MOST_ROWS) for start in range(0, n, MOST_ROWS)]
        cut = {a: {c: read_column(table, c) for c in plan.columns} for a, table in arms.items()}
        return fold(
            tally(plan, design_id[s], replicate[s], {a: {c: v[s] for c, v in t.items()} for a, t in cut.items()},
                  reference, keep)
            for s in spans
        )  # fmt: skip
    needed = dict.fromkeys(keep if set(keep) <= {reference} else [*keep, reference])
    for arm_id in needed:
        if arm_id not in arms:
            raise KeyError(f"the block has no arm {arm_id!r}")
    read = {arm_id: _Arm(plan, arms[arm_id], n) for arm_id in needed}
    if n == 0:
        return TALLY.empty_table()
    groups, found = Groups.of(design_id, replicate), _Found()
    for arm_id in keep:
        _count_arm(plan, groups, read[arm_id], partial(found.put, arm_id))
        if arm_id != reference:
            _count_against(plan, groups, read[arm_id], read[reference], partial(found.put, arm_id))
    return found.table(groups, design_id, replicate)


class _Arm:
    """One arm's block as it is counted: its columns, and its levels as one array (features, n)."""

    def __init__(self, plan: Plan, table: Columns, n: int) -> None:
        self.columns = {name: read_column(table, name) for name in plan.columns}
        lengths = {len(c) for c in self.columns.values()} | {n}
        if len(lengths) > 1:
            raise ValueError(f"columns of one block differ in length: {sorted(lengths)}")
        self.levels = np.empty((len(plan.levels), n), np.int8)
        for k, feature in enumerate(plan.levels):
            self.levels[k] = read_levels(feature, self.columns[feature[1]], plan.days)
        self.quantities = {name: quantise(name, self.columns[name]) for name in plan.means}

    def values(self, name: str) -> NDArray[np.float64]:
        return np.asarray(self.columns[name], np.float64)


class _Found:
    """Counts by arm, kind and feature, and how they become one ordered table."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, str, str], Counted] = {}

    def put(self, arm_id: str, kind: str, feature: str, counted: Counted) -> None:
        if len(counted[0]):
            self._parts[arm_id, kind, feature] = counted

    def table(
        self, groups: Groups, design_id: NDArray[np.integer], replicate: NDArray[np.integer]
    ) -> pa.Table:
        named = sorted(self._parts)
        if not named:
            return TALLY.empty_table()
        parts = [self._parts[name] for name in named]
        group, key, key2, count = (np.concatenate(column) for column in zip(*parts, strict=True))
        part = np.repeat(np.arange(len(named)), [len(counted[0]) for counted in parts])
        words = []
        for k in range(3):
            texts = sorted({name[k] for name in named})
            at = {text: code for code, text in enumerate(texts)}
            words.append((np.array([at[name[k]] for name in named])[part], texts))
        first = groups.starts[group]
        return build(np.asarray(design_id)[first], np.asarray(replicate)[first], words, key, key2, count)


def _count_arm(plan: Plan, groups: Groups, arm: _Arm, put: Put) -> None:
    every = np.arange(len(groups))
    put(SUBJECTS, "", single(every, groups.sizes))
    for feature, counts in zip(plan.levels, count_levels(groups, arm.levels), strict=True):
        put(LEVEL, feature_name(feature), level_rows(counts))
    for name in plan.means:
        put(MOMENT, name, count_moments(groups, *arm.quantities[name]))
    for name in sorted({*plan.medians, *(plan.times if plan.curves else ())}):
        put(VALUE, name, count_values(groups, arm.values(name)))
    if plan.times:
        _count_followed(plan, groups, arm, put)


def _count_followed(plan: Plan, groups: Groups, arm: _Arm, put: Put) -> None:
    """Who left before an event could be seen: by report day, and with `curves` by exact time."""
    death, end = arm.values("t_death_d"), arm.values("t_followup_d")
    alive = death != death
    early = alive & (end < plan.days[-1])
    anyone = bool(early.any())
    for name in plan.times:
        if not (anyone or plan.curves):
            continue
        time = arm.values(name)
        never = time != time
        if anyone:
            parts = []
            for day in plan.days:
                left = groups.sum(early & never & (end < day))
                group = np.flatnonzero(left)
                parts.append(single(group, left[group], day))
            group, key, key2, count = (np.concatenate(c) for c in zip(*parts, strict=True))
            order = np.argsort(group, kind="stable")
            put(UNFOLLOWED, name, (group[order], key[order], key2[order], count[order]))
        if plan.curves:
            put(DEATH, name, count_values(groups, death, never))
            put(CENSORED, name, count_values(groups, end, never & alive))


def _count_against(plan: Plan, groups: Groups, new: _Arm, old: _Arm, put: Put) -> None:
    differing = count_differing(groups, new.columns, old.columns)
    group = np.flatnonzero(differing)
    put(DIFFERING, "", single(group, differing[group]))
    joint = count_levels(groups, old.levels * np.int8(LEVELS) + new.levels, LEVELS * LEVELS)
    for feature, counts in zip(plan.levels, joint, strict=True):
        put(JOINT, feature_name(feature), joint_rows(counts))
    for name in plan.means:
        change, both = subtract(name, new.quantities[name], old.quantities[name])
        put(DIFFERENCE, name, count_moments(groups, change, both))
        # missing in either arm counts as neither: `subtract` leaves 0 there
        put(CHANGED, name, level_rows(np.stack([groups.sum(change < 0), groups.sum(change > 0)], axis=-1)))
    for name in plan.paired_medians:
        put(PAIR, name, count_pairs(groups, old.values(name), new.values(name)))
