"""Counting within groups of subjects: how many at each level, how often each value, all groups of a block at once.

A block of a sweep holds hundreds of small cohorts one after the other. A loop over them would cost more than the
simulation, so each count here is one pass over the block, whatever the number of cohorts in it.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from cartsim.analysis.plan import LEVELS

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
#: Group, key, second key and count of each row, groups rising, keys rising within a group.
Counted: TypeAlias = tuple[Ints, Floats, Floats, Ints]
#: Stands for "no second key" while rows are compared; written as null.
NO_KEY = -np.inf


@dataclass(frozen=True)
class Groups:
    """Cohorts that follow each other in a block: first row and length of each, and the group of each row."""

    starts: Ints
    sizes: Ints
    of_row: Ints

    @classmethod
    def of(cls, *labels: NDArray[np.integer]) -> "Groups":
        """Cut rows where any of `labels` (n,) changes. Raises ValueError when a group is not in one piece."""
        n = len(labels[0])
        changes = np.zeros(n, np.bool_)
        changes[:1] = True
        for label in labels:
            changes[1:] |= label[1:] != label[:-1]
        starts = np.flatnonzero(changes)
        firsts = np.stack([np.asarray(label, np.int64)[starts] for label in labels])
        if len(np.unique(firsts, axis=1).T) < len(starts):
            raise ValueError("rows of one design point and replicate must follow each other")
        sizes = np.diff(np.append(starts, n))
        return cls(starts, sizes, np.repeat(np.arange(len(starts)), sizes))

    def __len__(self) -> int:
        return len(self.starts)

    def sum(self, values: NDArray[np.integer] | NDArray[np.bool_]) -> Ints:
        """Sum of int64 or true values (..., n) in each group (..., groups)."""
        return np.add.reduceat(values, self.starts, axis=-1, dtype=np.int64)


def single(group: Ints, count: Ints, key: float = 0.0) -> Counted:
    """Rows of one key each."""
    return group, np.full(len(group), key), np.full(len(group), NO_KEY), count


def count_levels(groups: Groups, levels: NDArray[np.int8], depth: int = LEVELS) -> Ints:
    """Return how many subjects of each group stand at each level: (features, n) -> (features, groups, depth)."""
    cells = len(groups) * depth
    first = groups.of_row * depth
    # One feature at a time: its rows stay in the processor's cache.
    counts = [np.bincount(first + level, minlength=cells) for level in levels]
    return np.array(counts, np.int64).reshape(len(levels), len(groups), depth)


def level_rows(counts: Ints) -> Counted:
    """Rows of one feature's levels (groups, LEVELS), those that nobody has left out."""
    group, level = np.nonzero(counts)
    return group, level.astype(np.float64), np.full(len(group), NO_KEY), counts[group, level]


def joint_rows(counts: Ints) -> Counted:
    """Rows of one feature's joint levels (groups, LEVELS * LEVELS): reference level first, new level second."""
    group, code = np.nonzero(counts)
    return group, (code // LEVELS).astype(np.float64), (code % LEVELS).astype(np.float64), counts[group, code]


def count_values(groups: Groups, values: Floats, wanted: NDArray[np.bool_] | None = None) -> Counted:
    """How often each distinct value (n,) occurs in each group; NaN and rows that are not `wanted` are left out."""
    values = values + 0.0 if wanted is None else np.where(wanted, values + 0.0, np.nan)  # no negative zero
    parts = [_sorted_counts(groups, values, which) for which in _size_classes(groups)]
    group, value, count = (np.concatenate(column) for column in zip(*parts, strict=True))
    if len(parts) > 1:
        order = np.argsort(group, kind="stable")
        group, value, count = group[order], value[order], count[order]
    return group, value, np.full(len(group), NO_KEY), count


def _size_classes(groups: Groups) -> list[Ints]:
    """Groups of about the same size together, so that padding them to a rectangle at most doubles the work."""
    classes = np.frexp(groups.sizes.astype(np.float64))[1]
    return [np.flatnonzero(classes == c) for c in np.unique(classes)]


def _sorted_counts(groups: Groups, values: Floats, which: Ints) -> tuple[Ints, Floats, Ints]:
    starts, sizes = groups.starts[which], groups.sizes[which]
    width = int(sizes.max())
    if (sizes == width).all() and len(which) == len(groups):
        rows = np.sort(values.reshape(len(which), width), axis=1)
    else:
        place = starts[:, None] + np.arange(width)
        inside = np.arange(width) < sizes[:, None]
        rows = np.sort(np.where(inside, values[np.where(inside, place, 0)], np.nan), axis=1)
    held = rows == rows
    first = held.copy()
    first[:, 1:] &= rows[:, 1:] != rows[:, :-1]
    at, column = np.nonzero(first)
    ends = held.sum(axis=1)[at]
    same = at[1:] == at[:-1]
    ends[:-1][same] = column[1:][same]
    return which[at], rows[at, column], ends - column


def count_pairs(groups: Groups, reference: Floats, new: Floats) -> Counted:
    """How often each (reference value, new value) occurs in each group; subjects missing in either are left out."""
    both = np.flatnonzero((reference == reference) & (new == new))
    first, group = reference[both] + 0.0, groups.of_row[both]
    second = new[both] + 0.0
    order = np.lexsort((second, first, group))
    group, first, second = group[order], first[order], second[order]
    change = np.ones(len(group), np.bool_)
    change[1:] = (group[1:] != group[:-1]) | (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    at = np.flatnonzero(change)
    return group[at], first[at], second[at], np.diff(np.append(at, len(group)))


def count_differing(
    groups: Groups, new: dict[str, NDArray[np.generic]], old: dict[str, NDArray[np.generic]]
) -> Ints:
    """Subjects of each group whose rows differ in any column, missing counting as equal to missing."""
    differs = np.zeros(len(groups.of_row), np.bool_)
    for name, a in new.items():
        b = old[name]
        differs |= (a != b) & ((a == a) | (b == b))
    return groups.sum(differs)
