"""Why: people rarely ask how an outcome depends on an assumption; they ask how wrong the assumption would have to be
for the other policy to be the better one. That value is where the contrast crosses 0.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cartsim.sensitivity.products import Floats

#: Points between two neighbours at which an interpolated curve is looked at.
FINE = 64


@dataclass(frozen=True)
class Tipping:
    """One value of an input at which the contrast changes sign, going up (`rises`) or down.

    `lower` to `upper` are the values at which the pointwise Monte Carlo interval holds 0, None where that reaches the
    end of the range; `clear` says that the sign is certain on both sides. Several crossings that one such stretch
    holds cannot be told apart and are one, with their number in `crossings`.
    """

    value: float
    lower: float | None
    upper: float | None
    rises: bool
    clear: bool
    crossings: int


@dataclass(frozen=True)
class Flips:
    """What one input does to the sign of a contrast over low..high, where others are held.

    `sign` is that at the low end (-1, 0, 1). `undecided` are stretches where the interval holds 0 and the estimate
    does not change sign over them, with the same open ends.
    """

    tipping: tuple[Tipping, ...]
    undecided: tuple[tuple[float | None, float | None], ...]
    sign: int
    low: float
    high: float


def find_flips(x: Floats, value: Floats, lower: Floats, upper: Floats) -> Flips:
    """Where `value` over `x` (ascending, [point]) crosses 0, with `lower`, `upper` its pointwise interval.

    Between points all three follow monotone cubics (PCHIP: Fritsch and Carlson 1980, SIAM J Numer Anal 17:238), which
    make no crossing of their own. A stretch of the range in which the interval holds 0 and over which the sign
    changes is one tipping value, its middle crossing. A missing limit (NaN) counts as the value itself.
    """
    x, value = np.asarray(x, float), np.asarray(value, float)
    lower = np.where(np.isfinite(lower), lower, value)
    upper = np.where(np.isfinite(upper), upper, value)
    if len(x) < 2 or not np.all(np.diff(x) > 0) or not np.all(np.isfinite(value)):
        raise ValueError(
            "a tipping value needs at least two ascending values of the input, each with an estimate"
        )
    from scipy.interpolate import PchipInterpolator

    curves = [PchipInterpolator(x, y) for y in (value, lower, upper)]
    share = np.arange(FINE) / FINE
    grid = np.append((x[:-1, None] + np.diff(x)[:, None] * share).ravel(), x[-1])
    middle, below, above = (
        _exact(curve(grid), y) for curve, y in zip(curves, (value, lower, upper), strict=True)
    )
    crossings = _crossings(grid, middle)
    stretches = _stretches(grid, (below <= 0) & (above >= 0), below, above)

    tipping, undecided = [], []
    used: set[int] = set()
    for first, last, start, end in stretches:
        inside = [k for k, (at, _) in enumerate(crossings) if first <= at <= last]
        used.update(inside)
        if len(inside) % 2:
            at, rises = crossings[inside[len(inside) // 2]]
            clear = start is not None and end is not None
            tipping.append(Tipping(at, start, end, rises, clear, len(inside)))
        else:
            undecided.append((start, end))
    for k, (at, rises) in enumerate(crossings):
        if k not in used:
            # the limits are missing, or equal to the value: no noise to speak of
            tipping.append(Tipping(at, at, at, rises, True, 1))
    return Flips(
        tuple(sorted(tipping, key=lambda t: t.value)),
        tuple(undecided),
        int(np.sign(value[0])),
        float(x[0]),
        float(x[-1]),
    )


def _exact(curve: Floats, y: Floats) -> Floats:
    """The curve on the grid, at the points themselves without rounding: an exact 0 stays one."""
    curve = np.array(curve)
    curve[::FINE] = y
    return curve


def _crossings(x: Floats, y: Floats) -> list[tuple[float, bool]]:
    """(place, upwards) of every change of sign; over a stretch of zeros its middle. Touching 0 is no crossing."""
    found = []
    held = np.flatnonzero(y)
    for i, j in pairwise(held):
        if y[i] * y[j] < 0:
            at = x[i] + (x[j] - x[i]) * y[i] / (y[i] - y[j]) if j == i + 1 else 0.5 * (x[i + 1] + x[j - 1])
            found.append((float(at), bool(y[j] > 0)))
    return found


def _stretches(
    x: Floats, holds: np.ndarray, below: Floats, above: Floats
) -> list[tuple[float, float, float | None, float | None]]:
    """(first, last, start, end) of each run of the grid in which the interval holds 0; None where the range ends it."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]]).astype(int)))
    found = []
    for i, after in zip(edges[::2], edges[1::2], strict=True):
        j = after - 1
        start = None if i == 0 else _limit(x, i - 1, i, below, above)
        end = None if j == len(x) - 1 else _limit(x, j + 1, j, below, above)
        first = float(x[0]) if start is None else start
        last = float(x[-1]) if end is None else end
        found.append((first, last, start, end))
    return found


def _limit(x: Floats, out: int, inside: int, below: Floats, above: Floats) -> float:
    """Where between two neighbours of the grid the limit on the side of 0 reaches it (linear: they are close)."""
    limit = below if below[out] > 0 else above
    share = limit[out] / (limit[out] - limit[inside])
    return float(x[out] + (x[inside] - x[out]) * share)
