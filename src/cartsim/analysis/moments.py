"""Means and variances that come out the same to the last bit however the cohort was cut into chunks.

Floating-point sums depend on the order of adding. Subjects are therefore summed in fixed sub-blocks of 4096, and
the few sub-block sums are added with `math.fsum`, which is correctly rounded and so forgets the order.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

#: Subjects per sub-block; chunks handed to the accumulators are multiples of it, except a cohort's last.
SUB_BLOCK = 4096


@dataclass
class Moments:
    """Count, mean and centred sum of squares of one variable; NaN values are left out."""

    count: int = 0
    counts: list[int] = field(default_factory=list)
    sums: list[float] = field(default_factory=list)
    squares: list[float] = field(default_factory=list)

    def add(self, values: NDArray[np.float64]) -> None:
        """Add one chunk (n,) of float64 that begins at a sub-block boundary."""
        whole = len(values) // SUB_BLOCK * SUB_BLOCK
        if whole:
            self._add_rows(values[:whole].reshape(-1, SUB_BLOCK))
        if whole < len(values):
            self._add_rows(values[whole:].reshape(1, -1))

    def _add_rows(self, rows: NDArray[np.float64]) -> None:
        sums = rows.sum(axis=1)
        missing = None
        if np.isnan(sums).any():
            missing = np.isnan(rows)
            rows = np.where(missing, 0.0, rows)
            sums = rows.sum(axis=1)
            counts = rows.shape[1] - missing.sum(axis=1)
        else:
            counts = np.full(len(rows), rows.shape[1])
        means = sums / np.maximum(counts, 1)
        centred = rows - means[:, None]
        if missing is not None:
            centred[missing] = 0.0
        np.multiply(centred, centred, out=centred)
        self.count += int(counts.sum())
        self.counts += counts.tolist()
        self.sums += sums.tolist()
        self.squares += centred.sum(axis=1).tolist()

    def merge(self, other: "Moments") -> None:
        """Take in what another accumulator saw."""
        self.count += other.count
        self.counts += other.counts
        self.sums += other.sums
        self.squares += other.squares

    @property
    def mean(self) -> float | None:
        """Mean of all values, null when there is none."""
        return math.fsum(self.sums) / self.count if self.count else None

    @property
    def sd(self) -> float | None:
        """Sample standard deviation (n - 1), null below two values."""
        if self.count < 2:
            return None
        mean = math.fsum(self.sums) / self.count
        between = [n * (s / n - mean) ** 2 for n, s in zip(self.counts, self.sums, strict=True) if n]
        return math.sqrt(math.fsum(self.squares + between) / (self.count - 1))
