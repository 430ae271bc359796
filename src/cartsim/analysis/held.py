"""A folded tally laid out as arrays, all cohorts side by side, so that every endpoint is one formula over arrays.

A cohort is one replicate of one design point, or all replicates of it where subjects may be pooled.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cartsim.analysis.counts import Floats, Ints
from cartsim.analysis.fixed import LIMBS
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
    UNFOLLOWED,
    VALUE,
    word_codes,
)
from cartsim.analysis.plan import LEVELS, Plan, feature_name


@dataclass(frozen=True)
class Values:
    """Distinct values (or pairs) and counts by arm, feature and cohort, one series after the other."""

    features: tuple[str, ...]
    n: Ints  # (arms, features, cohorts)
    start: Ints  # first row of each series, (arms, features, cohorts)
    stop: Ints
    key: Floats
    key2: Floats
    reached: Ints  # running sum of counts over all rows, 0 first

    def ranked(self, rank: Ints) -> Floats:
        """Value of rank `rank` (arms, features, cohorts; from 1), NaN where the series is empty or rank is 0."""
        if not len(self.key):
            return np.full(rank.shape, np.nan)
        at = np.searchsorted(self.reached[1:], self.reached[self.start] + rank)
        return np.where((self.n > 0) & (rank > 0), self.key[np.minimum(at, len(self.key) - 1)], np.nan)

    def series(self, arm: int, feature: str, cohort: int) -> tuple[Floats, Floats, Ints]:
        """Keys, second keys and counts of one series, each (k,)."""
        place = arm, self.features.index(feature), cohort
        rows = slice(int(self.start[place]), int(self.stop[place]))
        return self.key[rows], self.key2[rows], np.diff(self.reached[rows.start : rows.stop + 1])


@dataclass(frozen=True)
class Held:
    """Counts of all cohorts; the second axis of features is that of the plan."""

    design: Ints  # (cohorts,)
    n: Ints  # subjects, (arms, cohorts)
    levels: Ints  # (arms, features, cohorts, LEVELS)
    joint: Ints  # (arms, features, cohorts, LEVELS, LEVELS): reference level first
    moments: Ints  # (arms, means, cohorts, LIMBS)
    differences: Ints
    changed: Ints  # subjects with less, and with more, than under the reference, (arms, means, cohorts, 2)
    identical: NDArray[np.bool_]  # (arms, cohorts): rows agree with the reference's in every column
    unfollowed: Ints  # censored before each report day, (arms, times, cohorts, days)
    values: Values
    pairs: Values
    deaths: Values
    censored: Values


def lay_out(table: pa.Table, plan: Plan, arms: tuple[str, ...], *, contrasts: bool) -> Held:
    """Lay out a folded tally; arms and features that are not asked for are left aside."""
    return _Reader(table, plan, arms).read(contrasts)


class _Reader:
    """Rows of a folded tally by kind, with the place of each row."""

    def __init__(self, table: pa.Table, plan: Plan, arms: tuple[str, ...]) -> None:
        self._plan, self._arms = plan, arms
        design, replicate = (table[name].to_numpy() for name in ("design_id", "replicate"))
        new = np.ones(len(design), np.bool_)
        new[1:] = (design[1:] != design[:-1]) | (replicate[1:] != replicate[:-1])
        self._cohort = np.cumsum(new) - 1
        self.design = design[new].astype(np.int64)
        codes, texts = word_codes(table["arm_id"])
        self._arm = np.array([arms.index(t) if t in arms else -1 for t in texts], np.int64)[codes]
        self._kind, self._kinds = word_codes(table["kind"])
        self._feature, self._features = word_codes(table["feature"])
        self._key = table["key"].to_numpy()
        self._key2 = table["key2"].to_numpy()
        self._count = table["count"].to_numpy()

    def read(self, contrasts: bool) -> Held:
        plan = self._plan
        levels = tuple(feature_name(feature) for feature in plan.levels)
        wanted = levels if contrasts else ()
        means = plan.means if contrasts else ()
        joint = self._dense(JOINT, wanted, LEVELS * LEVELS, second=True)
        return Held(
            self.design,
            self._dense(SUBJECTS, ("",), 1)[:, 0, :, 0],
            self._dense(LEVEL, levels, LEVELS),
            joint.reshape(*joint.shape[:-1], LEVELS, LEVELS),
            self._dense(MOMENT, plan.means, LIMBS),
            self._dense(DIFFERENCE, means, LIMBS),
            self._dense(CHANGED, means, 2),
            self._dense(DIFFERING, ("",), 1)[:, 0, :, 0] == 0,
            self._dense(UNFOLLOWED, plan.times, len(plan.days), days=np.array(plan.days)),
            self._values(VALUE, tuple(sorted({*plan.medians, *plan.times}))),
            self._values(PAIR, plan.paired_medians if contrasts else ()),
            self._values(DEATH, plan.times if plan.curves else ()),
            self._values(CENSORED, plan.times if plan.curves else ()),
        )

    def _rows(self, kind: str, features: tuple[str, ...]) -> tuple[Ints, Ints]:
        """Rows of one kind that are asked for, and the place of the feature of each."""
        if kind not in self._kinds or not features:
            empty = np.empty(0, np.int64)
            return empty, empty
        rows = np.flatnonzero((self._kind == self._kinds.index(kind)) & (self._arm >= 0))
        at = {name: k for k, name in enumerate(features)}
        place = np.array([at.get(name, -1) for name in self._features], np.int64)[self._feature[rows]]
        return rows[place >= 0], place[place >= 0]

    def _dense(
        self,
        kind: str,
        features: tuple[str, ...],
        depth: int,
        *,
        second: bool = False,
        days: Floats | None = None,
    ) -> Ints:
        out = np.zeros((len(self._arms), len(features), len(self.design), depth), np.int64)
        rows, feature = self._rows(kind, features)
        key = self._key[rows]
        if days is not None:
            key = np.searchsorted(days, key)
        elif second:
            key = key * LEVELS + self._key2[rows]
        out[self._arm[rows], feature, self._cohort[rows], key.astype(np.int64)] = self._count[rows]
        return out

    def _values(self, kind: str, features: tuple[str, ...]) -> Values:
        rows, feature = self._rows(kind, features)
        arm, cohort, count = self._arm[rows], self._cohort[rows], self._count[rows]
        series = (cohort * len(self._arms) + arm) * max(len(features), 1) + feature
        change = np.ones(len(rows), np.bool_)
        change[1:] = series[1:] != series[:-1]
        first = np.flatnonzero(change)
        shape = (len(self._arms), len(features), len(self.design))
        start, stop = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        where = arm[first], feature[first], cohort[first]
        start[where], stop[where] = first, np.append(first[1:], len(rows))
        reached = np.concatenate([[0], np.cumsum(count)])
        n = reached[stop] - reached[start]
        return Values(features, n, start, stop, self._key[rows], self._key2[rows], reached)
