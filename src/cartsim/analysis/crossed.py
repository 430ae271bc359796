"""Why: how well an answer is known has two sides, and the same subjects under many parameter sets show both. Their
table (subjects by sets) is far too large to keep. What its analysis of variance needs beside the counts of each set is
small: of every subject the sum over the sets, and of those sums the sum and the sum of squares over subjects.

Sums are of whole numbers (quanta of 2^-26, see fixed.py; an event is one whole unit), so that no cut into blocks moves
a bit. Sums over sets of a difference between arms are differences of such sums: the sets are the same in both arms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cartsim.analysis.counts import NO_KEY, Ints
from cartsim.analysis.fixed import LIMBS, MOST_ROWS, SCALE_BITS, quantise, total_limbs
from cartsim.analysis.fold import TALLY, TOTAL, TOTAL_DIFFERENCE, build, fold
from cartsim.analysis.plan import LEVELS, Plan, feature_name, read_column, read_levels
from cartsim.analysis.summary import Summary

#: Event in the reference only, and in the arm only.
HELPED, HARMED = "helped", "harmed"


@dataclass(frozen=True)
class Share:
    """An event: level `low` to `high` of a feature of the plan."""

    feature: int
    low: int
    high: int = LEVELS - 1


@dataclass(frozen=True)
class Joint:
    """An event in one of two arms only: a feature at level `low` or above."""

    feature: int
    low: int
    way: str  # HELPED: in the reference only; HARMED: in the arm only


class Crossed:
    """What is summed over parameter sets for a summary, and where each of its rows finds its sums.

    `of_outcomes` and `of_contrasts` have, for each row, the place of its quantity, or -1 where there is none: medians,
    what describes a part of the subjects, ratios.
    """

    def __init__(self, summary: Summary) -> None:
        self.plan: Plan = summary.plan
        self.arms, self.reference = summary.arms, summary.reference
        outcomes, contrasts = summary.outcome_rows, summary.contrast_rows
        wanted: dict[Share, None] = {}
        own: list[tuple[int, Share]] = [
            (s.row, Share(s.feature, s.low, s.high)) for s in outcomes.shares if not s.among
        ]
        own += [(i.row, Share(i.feature, i.low)) for i in outcomes.incidences]
        against = [(d.row, Share(d.feature, d.low)) for d in contrasts.differences]
        wanted.update(dict.fromkeys(share for _, share in (*own, *against)))
        self.shares = tuple(wanted)
        self.joints = tuple(
            dict.fromkeys(
                Joint(pair.feature, pair.low, way)
                for pairs, way in ((contrasts.helped, HELPED), (contrasts.harmed, HARMED))
                for pair in pairs
            )
        )
        place = {share: k for k, share in enumerate(self.shares)}
        first_mean, first_joint = len(self.shares), len(self.shares) + len(self.plan.means)
        self.of_outcomes = np.full(len(outcomes.lines), -1)
        for row, share in own:
            self.of_outcomes[row] = place[share]
        for mean in outcomes.means:
            self.of_outcomes[mean.row] = first_mean + mean.place
        self.of_contrasts = np.full(len(contrasts.lines), -1)
        for row, share in against:
            self.of_contrasts[row] = place[share]
        for change in contrasts.means:
            self.of_contrasts[change.row] = first_mean + change.place
        for pairs, way in ((contrasts.helped, HELPED), (contrasts.harmed, HARMED)):
            for pair in pairs:
                at = self.joints.index(Joint(pair.feature, pair.low, way))
                self.of_contrasts[pair.row] = first_joint + at
        self.names = tuple(
            [f"{feature_name(self.plan.levels[s.feature])} {s.low}-{s.high}" for s in self.shares]
            + [f"mean {name}" for name in self.plan.means]
            + [f"{j.way} {feature_name(self.plan.levels[j.feature])} {j.low}" for j in self.joints]
        )

    def place_of_mean(self, column: str) -> int:
        """Where the sums of a column's mean are; -1 where it has none."""
        means = self.plan.means
        return len(self.shares) + means.index(column) if column in means else -1


class Crossing:
    """Sums over parameter sets for some subjects of one replicate of one design point."""

    def __init__(self, crossed: Crossed, subjects: int, arms: Sequence[str]) -> None:
        self._crossed, self._n, self._arms, self._sets = crossed, subjects, tuple(arms), 0
        plan = crossed.plan
        shape = len(crossed.shares), subjects
        self._events = {arm: np.zeros(shape, np.int32) for arm in arms}
        self._sums = {arm: np.zeros((len(plan.means), subjects), np.int64) for arm in arms}
        self._missing = {arm: np.zeros((len(plan.means), subjects), np.bool_) for arm in arms}
        self._joint = {
            arm: np.zeros((len(crossed.joints), subjects), np.int32)
            for arm in arms
            if arm != crossed.reference
        }
        self._feature, self._low, self._high = (
            np.array([getattr(share, name) for share in crossed.shares], np.int64)
            for name in ("feature", "low", "high")
        )

    def add(self, arms: Mapping[str, Mapping[str, Any]]) -> None:
        """Add one parameter set: the plan's columns (n,) of each arm."""
        crossed, plan = self._crossed, self._crossed.plan
        self._sets += 1
        levels = {arm: self._levels(arms[arm]) for arm in self._arms}
        low, high = self._low[:, None].astype(np.int8), self._high[:, None].astype(np.int8)
        for arm in self._arms:
            chosen = levels[arm][self._feature]
            self._events[arm] += (chosen >= low) & (chosen <= high)
            for k, name in enumerate(plan.means):
                q, present = quantise(name, read_column(arms[arm], name))
                self._sums[arm][k] += q
                if present is not None:
                    self._missing[arm][k] |= ~present
        for arm, joint in self._joint.items():
            for k, one in enumerate(crossed.joints):
                new, old = (levels[a][one.feature] >= one.low for a in (arm, crossed.reference))
                joint[k] += (old & ~new) if one.way == HELPED else (new & ~old)

    def _levels(self, columns: Mapping[str, Any]) -> NDArray[np.int8]:
        plan = self._crossed.plan
        out = np.empty((len(plan.levels), self._n), np.int8)
        for k, feature in enumerate(plan.levels):
            out[k] = read_levels(feature, read_column(columns, feature[1]), plan.days)
        return out

    def rows(self, design_id: int, replicate: int, keep: Sequence[str]) -> pa.Table:
        """The sums as a tally of the arms in `keep`; the same subjects in any pieces fold to the same."""
        parts = []
        for start in range(0, self._n, MOST_ROWS):
            piece = slice(start, start + MOST_ROWS)
            for arm in keep:
                parts.append(self._tally(design_id, replicate, arm, TOTAL, piece))
                if arm != self._crossed.reference:
                    parts.append(self._tally(design_id, replicate, arm, TOTAL_DIFFERENCE, piece))
        return fold(parts) if parts else TALLY.empty_table()

    def _totals(self, arm: str, piece: slice) -> tuple[Ints, NDArray[np.bool_]]:
        events = self._events[arm][:, piece].astype(np.int64) << SCALE_BITS
        missing = self._missing[arm][:, piece]
        return np.concatenate([events, self._sums[arm][:, piece]]), np.concatenate(
            [np.zeros(events.shape, np.bool_), missing]
        )

    def _tally(self, design_id: int, replicate: int, arm: str, kind: str, piece: slice) -> pa.Table:
        totals, missing = self._totals(arm, piece)
        names = self._crossed.names
        if kind == TOTAL:
            names = names[: len(totals)]
        else:
            old, old_missing = self._totals(self._crossed.reference, piece)
            joint = self._joint[arm][:, piece].astype(np.int64) << SCALE_BITS
            totals = np.concatenate([totals - old, joint])
            missing = np.concatenate([missing | old_missing, np.zeros(joint.shape, np.bool_)])
        # a subject without a value under some set is in no sum
        limbs = total_limbs(np.where(missing, 0, totals), (~missing).sum(axis=1))
        count = len(limbs) * LIMBS
        texts = sorted(names)
        code = {name: k for k, name in enumerate(texts)}
        zero = np.zeros(count, np.int64)
        words = [
            (zero, [arm]),
            (zero, [kind]),
            (np.repeat(np.array([code[name] for name in names], np.int64), LIMBS), texts),
        ]
        return build(
            np.full(count, design_id),
            np.full(count, replicate),
            words,
            np.tile(np.arange(LIMBS, dtype=np.float64), len(limbs)),
            np.full(count, NO_KEY),
            limbs.ravel(),
        )
