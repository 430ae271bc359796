"""How wide an interval would be with another number of subjects: the interval formulas themselves, read backwards.

The rule of thumb "four times the subjects, half the width" fails where events are rare: with no discordant pair yet the
width falls with n, not with its root. Planning therefore asks the same formulas that make the reported intervals.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cartsim.analysis.intervals import LEVEL, paired_risk_difference, t_interval, wilson

Floats: TypeAlias = NDArray[np.float64]
#: One result: column name to value.
Row: TypeAlias = Mapping[str, Any]
Kind = Literal["pairs", "share", "mean", "other"]

#: A standard deviation is believed from this many subjects with a value other than 0 on: fewer are too often lucky.
SUBJECTS_DIFFERING = 150
#: The same where only mean and standard deviation are known (see `Seen.believed_from`).
SUBJECTS_EFFECTIVE = 75
#: The same for the events of a curve.
EVENTS = 20
#: Where nothing tells how many subjects carry the result, the floor counts this many times.
FLOORS = 5
#: A width this many times below the limit needs no belief: no likely bad luck is as large.
AMPLE = 5.0


@dataclass(frozen=True)
class Seen:
    """What was seen of one statistic at `n` units, arrays that broadcast; its shares are held while n is moved.

    `first` and `second` are, by kind, pairs: events in the arm only and in the reference only; share: events; mean:
    standard deviation and mean; other: half-width and (where known, else NaN) events. `differing`: subjects whose two
    values differ, of a mean difference (NaN where unknown). `contrast`: whether it compares two arms.
    """

    kind: Kind
    n: Floats
    first: Floats
    second: Floats
    differing: Floats
    contrast: bool = False
    level: float = LEVEL

    @classmethod
    def of(cls, kind: Kind, rows: Sequence[Row], contrast: bool, level: float = LEVEL) -> "Seen":
        """What rows of outcomes or contrasts hold, all of one kind (see `kind_of`), (rows,)."""

        def numbers(name: str) -> Floats:
            return np.array([np.nan if row.get(name) is None else float(row[name]) for row in rows])

        n, none = numbers("n_units"), np.full(len(rows), np.nan)
        if kind == "pairs":
            return cls(kind, n, numbers("n01"), numbers("n10"), none, contrast, level)
        if kind == "share":
            return cls(kind, n, numbers("n_events"), none, none, contrast, level)
        if kind == "mean":
            differing = numbers("n01") + numbers("n10")
            return cls(kind, n, numbers("sd_subject"), numbers("value"), differing, contrast, level)
        timed = np.array([row["summary"] == "cumulative incidence" for row in rows])
        events = np.where(timed, numbers("n_events"), np.nan)
        return cls(kind, n, 0.5 * (numbers("upper") - numbers("lower")), events, none, contrast, level)

    def half(self, n: Floats) -> Floats:
        """Half-width at `n` units (k,), counts scaled with n; NaN where there is no interval."""
        if self.kind == "pairs":
            (lower, upper), _ = paired_risk_difference(
                self.first / self.n * n, self.second / self.n * n, n, level=self.level
            )
        elif self.kind == "share":
            lower, upper = wilson(self.first / self.n * n, n, self.level)
        elif self.kind == "mean":
            lower, upper = t_interval(0.0, self.first, n, self.level)
        else:
            return np.asarray(self.first * np.sqrt(self.n / n), np.float64)
        return np.asarray(0.5 * (upper - lower), np.float64)

    def believed_from(self, limit: float, floor: int) -> Floats:
        """Units (k,) from which the spread is not taken for a lucky one; 0 where score intervals see to it.

        Of a mean and standard deviation alone, n mean^2 / (mean^2 + sd^2) is at most the number of subjects with
        another value than 0 (Cauchy and Schwarz), so it says how many subjects at least carry the result.
        """
        if self.kind in ("pairs", "share"):
            return np.zeros_like(self.n)
        half = self.half(self.n)
        ample = np.where(half > 0, self.n * (AMPLE * half / limit) ** 2, np.inf)
        if self.kind == "other":
            by_events = self.n * EVENTS / np.maximum(self.second, 1)
            enough = np.where(np.isnan(self.second), float(FLOORS * floor), by_events)
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                share = self.second**2 / (self.second**2 + self.first**2)
                enough = np.where(self.first == 0, FLOORS * floor, SUBJECTS_EFFECTIVE / share)
            if self.contrast:
                known = self.n * SUBJECTS_DIFFERING / np.maximum(self.differing, 1)
                enough = np.where(np.isnan(self.differing), np.minimum(enough, FLOORS * floor), known)
        return np.asarray(np.fmin(enough, ample), np.float64)

    def needed(self, limit: float, floor: int) -> Floats:
        """Units (k,) at which the half-width is expected to be `limit`, to a thousandth; infinite where unknown."""
        width = units_for(self.half, self.n, limit)
        return np.maximum(width, self.believed_from(limit, floor))


def kind_of(row: Row) -> Kind:
    """By which formula the interval of a row was made."""
    if row["summary"] == "risk difference" and row["n01"] is not None:
        return "pairs"
    if row["interval_method"] == "Wilson":
        return "share"
    if row["summary"] in ("mean", "mean difference") and row["sd_subject"] is not None:
        return "mean"
    return "other"


def units_for(
    half: Callable[[Floats], Floats], start: Floats, limit: float, tolerance: float = 1e-3
) -> Floats:
    """Return the smallest n (k,) with half(n) <= limit, up to a factor 1 + tolerance; infinite where half is NaN.

    `half` falls with n; n is at least 1. The search begins at `start` (k,), between the linear and the root law.
    """
    ratio = half(start) / limit
    unknown = np.isnan(ratio)
    ratio = np.where(unknown, 1.0, ratio)
    low = np.maximum(1.0, start * np.minimum(ratio, ratio**2) / (1 + tolerance))
    high = np.maximum(low, start * np.maximum(ratio, ratio**2))
    while (short := ~unknown & (half(high) > limit)).any():
        low, high = np.where(short, high, low), np.where(short, 2 * high, high)
    while (met := ~unknown & (low > 1) & (half(low) <= limit)).any():
        low, high = np.where(met, np.maximum(1.0, 0.5 * low), low), np.where(met, low, high)
    while (open_ := ~unknown & (high > (1 + tolerance) * low)).any():
        middle = np.sqrt(low * high)
        met = half(middle) <= limit
        low, high = np.where(open_ & ~met, middle, low), np.where(open_ & met, middle, high)
    return np.where(unknown, np.inf, high)


def smallest_whole(half: Callable[[Floats], Floats], start: float, limit: float) -> int:
    """The smallest whole n with half(n) <= limit (the exact inverse), found from `start`."""

    def met(n: int) -> bool:
        return bool(half(np.array([float(n)]))[0] <= limit)

    n = math.ceil(float(units_for(half, np.array([start]), limit)[0]))
    low, high = 0, n
    step = 1
    while not met(high):
        low, high, step = high, high + step, 2 * step
    while low == 0 and (below := high - step) > 0:
        if not met(below):
            low = below
        else:
            high, step = below, 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if met(middle) else (middle, high)
    return high
