"""What is kept of a chunk of subjects once it has passed: counts and sums, never the subjects.

A million subjects in several arms do not fit in memory as tables. Grades become small joint tables (reference level
by new level, from which every threshold's paired counts follow), times become counts by exact time, quantities become
sums per fixed sub-block. All of it adds up the same whatever the chunk size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartsim.analysis.endpoints import Endpoint, Measure, columns_needed
from cartsim.analysis.incidence import ValueCounts
from cartsim.analysis.moments import SUB_BLOCK, Moments

#: Levels kept of an integer column: 0 to 5, higher ones count as 5 (grades end there; "two or more doses" needs 2).
LEVELS = 6
#: With this many full sub-blocks a median difference takes its interval from them instead of the bootstrap.
SECTIONS = 10

Feature = tuple[Measure, str]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """Which columns are read, and how; derived once from the endpoints."""

    columns: tuple[str, ...]
    levels: tuple[Feature, ...]  # read as small integers: grades, flags, days reached
    means: tuple[str, ...]
    medians: tuple[str, ...]
    paired_medians: tuple[str, ...]
    times: tuple[str, ...]
    days: tuple[float, ...]

    @classmethod
    def of(cls, endpoints: Sequence[Endpoint], days: tuple[float, ...]) -> "Plan":
        """Derive the plan; `days` are where cumulative incidence is reported, rising, at most 5."""
        if len(days) >= LEVELS:
            raise ValueError(f"at most {LEVELS - 1} report days, got {len(days)}")

        def of_kind(*kinds: str) -> tuple[str, ...]:
            return tuple(sorted({e.column for e in endpoints if e.kind in kinds}))

        levels = sorted({(e.measure, e.column) for e in endpoints if e.kind in ("risk", "incidence")})
        paired = tuple(sorted({e.column for e in endpoints if e.kind == "median" and e.contrastable}))
        return cls(
            columns_needed(endpoints),
            tuple(levels),
            of_kind("mean"),
            of_kind("median"),
            paired,
            of_kind("incidence"),
            days,
        )


def read_column(table: Any, name: str) -> NDArray[Any]:
    """Return one column of a mapping of arrays or a pyarrow Table as numpy, nulls as NaN."""
    try:
        column = table[name]
    except KeyError:
        raise KeyError(f"the block has no column {name!r}, which an endpoint reads") from None
    if hasattr(column, "combine_chunks"):
        column = column.combine_chunks()
    if hasattr(column, "to_numpy") and not isinstance(column, np.ndarray):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    return np.asarray(column)


def _levels(feature: Feature, column: NDArray[Any], days: tuple[float, ...]) -> NDArray[np.int8]:
    measure, name = feature
    if measure == "happened":
        return (~np.isnan(column)).astype(np.int8)
    if measure == "time":
        reached = np.zeros(len(column), np.int8)
        for day in days:
            reached += column <= day
        return reached
    if column.dtype.kind == "f" and np.isnan(column).any():
        raise ValueError(
            f"column {name!r} has missing values; a grade, count or flag is 0 when it never came"
        )
    return np.clip(column, 0, LEVELS - 1).astype(np.int8)


@dataclass
class ArmChunk:
    """One arm's chunk as the accumulators read it."""

    n: int
    columns: dict[str, NDArray[Any]]
    levels: dict[Feature, NDArray[np.int8]]
    values: dict[str, Floats]

    @classmethod
    def read(cls, plan: Plan, table: Any) -> "ArmChunk":
        """Read the columns of the plan; KeyError names a missing one."""
        columns = {name: read_column(table, name) for name in plan.columns}
        lengths = {len(c) for c in columns.values()}
        if len(lengths) > 1:
            raise ValueError(f"columns of one block differ in length: {sorted(lengths)}")
        levels = {f: _levels(f, columns[f[1]], plan.days) for f in plan.levels}
        floats = {*plan.means, *plan.medians, *plan.times}
        values = {name: np.ascontiguousarray(columns[name], np.float64) for name in floats}
        return cls(lengths.pop() if lengths else 0, columns, levels, values)


@dataclass
class ArmTotals:
    """Everything kept of one arm."""

    n: int = 0
    levels: dict[Feature, Ints] = field(default_factory=dict)
    moments: dict[str, Moments] = field(default_factory=dict)
    values: dict[str, ValueCounts] = field(default_factory=dict)
    deaths: dict[str, ValueCounts] = field(default_factory=dict)
    censored: dict[str, ValueCounts] = field(default_factory=dict)

    def add(self, plan: Plan, chunk: ArmChunk) -> None:
        """Add one chunk."""
        self.n += chunk.n
        for feature, level in chunk.levels.items():
            counts = np.bincount(level, minlength=LEVELS)
            self.levels[feature] = self.levels.get(feature, 0) + counts
        for name in plan.means:
            self.moments.setdefault(name, Moments()).add(chunk.values[name])
        present = {}
        for name in {*plan.medians, *plan.times}:
            x = chunk.values[name]
            present[name] = ~np.isnan(x)
            self.values.setdefault(name, ValueCounts()).add(x[present[name]])
        if not plan.times:
            return
        death = np.asarray(chunk.columns["t_death_d"], np.float64)
        end = np.asarray(chunk.columns["t_followup_d"], np.float64)
        died = ~np.isnan(death)
        for name in plan.times:
            never = ~present[name]
            self.deaths.setdefault(name, ValueCounts()).add(death[never & died])
            self.censored.setdefault(name, ValueCounts()).add(end[never & ~died])

    def merge(self, other: "ArmTotals") -> None:
        """Take in what another worker saw of the same arm."""
        self.n += other.n
        for feature, counts in other.levels.items():
            self.levels[feature] = self.levels.get(feature, 0) + counts
        for name, moments in other.moments.items():
            self.moments.setdefault(name, Moments()).merge(moments)
        for mine, theirs in (
            (self.values, other.values),
            (self.deaths, other.deaths),
            (self.censored, other.censored),
        ):
            for name, counts_by_value in theirs.items():
                mine.setdefault(name, ValueCounts()).merge(counts_by_value)

    def events(self, feature: Feature, at_least: int) -> int:
        """Subjects at level `at_least` or above."""
        return int(self.levels[feature][at_least:].sum()) if self.n else 0


@dataclass
class PairedValues:
    """Both arms' values of one column, for the interval of a difference of medians.

    Raw pairs are kept only until there are enough full sub-blocks to take the interval from the medians of those;
    memory stays bounded and the interval gets no worse.
    """

    raw: list[tuple[Floats, Floats]] = field(default_factory=list)
    sections: list[float] = field(default_factory=list)

    def add(self, new: Floats, reference: Floats) -> None:
        """Add one chunk that begins at a sub-block boundary; subjects missing in either arm are left out."""
        both = ~(np.isnan(new) | np.isnan(reference))
        for start in range(0, len(new) - SUB_BLOCK + 1, SUB_BLOCK):
            part = slice(start, start + SUB_BLOCK)
            keep = both[part]
            if keep.any():
                self.sections.append(float(np.median(new[part][keep]) - np.median(reference[part][keep])))
        self.raw.append((new[both].copy(), reference[both].copy()))
        self._trim()

    def merge(self, other: "PairedValues") -> None:
        """Take in the chunks that follow."""
        self.raw += other.raw
        self.sections += other.sections
        self._trim()

    def _trim(self) -> None:
        if len(self.sections) >= SECTIONS:
            self.raw.clear()


@dataclass
class PairTotals:
    """Everything kept of one arm against the reference, subject by subject."""

    identical: bool = True
    joint: dict[Feature, Ints] = field(default_factory=dict)  # [reference level, new level]
    differences: dict[str, Moments] = field(default_factory=dict)
    medians: dict[str, PairedValues] = field(default_factory=dict)

    def add(self, plan: Plan, new: ArmChunk, reference: ArmChunk) -> None:
        """Add one chunk; both arms hold the same subjects in the same order."""
        if new.n != reference.n:
            raise ValueError(f"arms of one block differ in length: {new.n} and {reference.n} subjects")
        self.identical = self.identical and all(
            same_values(new.columns[name], reference.columns[name]) for name in plan.columns
        )
        for feature, level in new.levels.items():
            code = reference.levels[feature] * np.int8(LEVELS) + level
            counts = np.bincount(code, minlength=LEVELS * LEVELS).reshape(LEVELS, LEVELS)
            self.joint[feature] = self.joint.get(feature, 0) + counts
        for name in plan.means:
            self.differences.setdefault(name, Moments()).add(new.values[name] - reference.values[name])
        for name in plan.paired_medians:
            self.medians.setdefault(name, PairedValues()).add(new.values[name], reference.values[name])

    def merge(self, other: "PairTotals") -> None:
        """Take in what another worker saw of the chunks that follow."""
        self.identical = self.identical and other.identical
        for feature, counts in other.joint.items():
            self.joint[feature] = self.joint.get(feature, 0) + counts
        for name, moments in other.differences.items():
            self.differences.setdefault(name, Moments()).merge(moments)
        for name, paired in other.medians.items():
            self.medians.setdefault(name, PairedValues()).merge(paired)

    def discordant(self, feature: Feature, at_least: int) -> tuple[int, int, int]:
        """Return (both, new arm only, reference only) of the event "level `at_least` or above"."""
        if feature not in self.joint:
            return 0, 0, 0
        table, k = self.joint[feature], at_least
        return int(table[k:, k:].sum()), int(table[:k, k:].sum()), int(table[k:, :k].sum())


def same_values(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether two columns agree everywhere, missing counting as equal to missing."""
    if a.dtype.kind == "f" or b.dtype.kind == "f":
        return bool(np.all((a == b) | (np.isnan(a) & np.isnan(b))))
    return bool(np.array_equal(a, b))
