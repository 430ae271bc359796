"""Exact sums of quantities, so that a mean is the same number however the subjects were cut into blocks.

Floating-point sums depend on the order of adding, whole numbers do not. A quantity x is therefore read as
q = rint(x * 2^26), which moves it by at most 7.5e-9 of its unit; n, sum q and sum q^2 are kept as limbs of 32 bits
(what overflows a limb is carried when tallies are folded) and finished in Python's unbounded integers.
"""

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cartsim.analysis.counts import NO_KEY, Counted, Floats, Groups, Ints
from cartsim.errors import InvalidInput

SCALE_BITS = 26
#: Quantities below this (in their own unit) are summed exactly.
LARGEST = 2**20 - 1
#: Subjects of one chunk: sums of q < 2^46 over them stay below 2^63.
MOST_ROWS = 131_072
#: Limbs of one quantity: n, two of the sum, four of the sum of squares.
LIMBS = 7
_HALF, _LIMB, _THIRD = 23, 32, 20
_MASK = (1 << _LIMB) - 1


#: Whole numbers q (n,), 0 where a value is missing; and which are present, null when all are.
Quantities: TypeAlias = tuple[Ints, NDArray[np.bool_] | None]


def quantise(name: str, values: NDArray[np.generic]) -> Quantities:
    """Return values (n,) as quanta. Raises InvalidInput when one is too large for exact sums."""
    x = np.asarray(values, np.float64)
    present = x == x
    every = bool(present.all())
    if not every:
        x = np.where(present, x, 0.0)
    _check_range(name, x, LARGEST)
    return np.rint(x * 2.0**SCALE_BITS).astype(np.int64), None if every else present


def subtract(name: str, new: Quantities, old: Quantities) -> Quantities:
    """Return the paired differences new - old, missing where either is. Raises as `quantise` does."""
    q = new[0] - old[0]
    _check_range(name, q, LARGEST << SCALE_BITS)
    if new[1] is None and old[1] is None:
        return q, None
    both = np.ones(len(q), np.bool_)
    for _, present in (new, old):
        if present is not None:
            both &= present
    return np.where(both, q, 0), both


def _check_range(name: str, x: NDArray[Any], limit: int) -> None:
    if len(x) and max(float(x.max()), -float(x.min())) >= limit:
        raise InvalidInput(
            f"column {name!r} holds a value, or a difference between arms, of {LARGEST:,} or more",
            why="means are summed exactly only below that",
            mend="a larger unit for this column, or look for a runaway value in the scenario",
        )


def count_moments(groups: Groups, q: Ints, present: NDArray[np.bool_] | None) -> Counted:
    """Rows of limbs: n, sum and sum of squares of q (n,) in each group. At most MOST_ROWS subjects at a time."""
    if len(q) > MOST_ROWS:
        raise ValueError(f"at most {MOST_ROWS:,} subjects are summed at a time, got {len(q):,}")
    n = groups.sizes if present is None else groups.sum(present)
    high, low = q >> _HALF, q & ((1 << _HALF) - 1)
    whole = groups.sum(q)
    squares, cross, rest = groups.sum(high * high), groups.sum(high * low), np.zeros(len(groups), np.int64)
    if low.any():
        rest = groups.sum(low * low)
    limbs = np.zeros((len(groups), LIMBS), np.int64)
    limbs[:, 0] = n
    limbs[:, 1], limbs[:, 2] = whole & _MASK, whole >> _LIMB
    # q^2 = high^2 2^46 + high low 2^24 + low^2, each sum below 2^63; moved to its place by limbs.
    for total, shift in ((squares, 2 * _HALF), (cross, _HALF + 1), (rest, 0)):
        _add_shifted(limbs[:, 3:], total, shift)
    carry(limbs)
    group = np.repeat(np.arange(len(groups)), LIMBS)
    key = np.tile(np.arange(LIMBS, dtype=np.float64), len(groups))
    return group, key, np.full(len(group), NO_KEY), limbs.ravel()


def total_limbs(totals: Ints, present: Ints) -> Ints:
    """Limbs (quantities, LIMBS) of n, sum and sum of squares of totals (quantities, n) of many quanta each.

    `present` (quantities,) is what n is taken to be. Totals are below 2^60, and at most MOST_ROWS subjects are summed
    at a time; other than `count_moments`, whose quantities are below 2^46.
    """
    if totals.shape[1] > MOST_ROWS:
        raise ValueError(f"at most {MOST_ROWS:,} subjects are summed at a time, got {totals.shape[1]:,}")
    limbs = np.zeros((len(totals), LIMBS), np.int64)
    mask = (1 << _THIRD) - 1
    high, middle, low = totals >> 2 * _THIRD, (totals >> _THIRD) & mask, totals & mask
    # each product is below 2^40, so that sums of them over the subjects fit
    products = [
        np.einsum("ij,ij->i", a, b).tolist()
        for a, b in ((high, high), (high, middle), (high, low), (middle, middle), (middle, low), (low, low))
    ]
    sums = totals.astype(object).sum(axis=1) if _may_overflow(totals) else totals.sum(axis=1)
    for k, (hh, hm, hl, mm, ml, ll) in enumerate(zip(*products, strict=True)):
        whole = int(sums[k])
        square = (
            (hh << 4 * _THIRD)
            + (hm << 3 * _THIRD + 1)
            + (2 * hl + mm << 2 * _THIRD)
            + (ml << _THIRD + 1)
            + ll
        )
        limbs[k, :3] = present[k], whole & _MASK, whole >> _LIMB
        limbs[k, 3:] = [square >> _LIMB * place & _MASK for place in range(3)] + [square >> 3 * _LIMB]
    return limbs


def _may_overflow(totals: Ints) -> bool:
    return bool(totals.size) and float(np.abs(totals).max()) * totals.shape[1] >= 2.0**62


def _add_shifted(limbs: Ints, total: Ints, shift: int) -> None:
    """Add total * 2^shift to limbs (groups, 4), in pieces of 32 bits so that nothing overflows."""
    first, bits = divmod(shift, _LIMB)
    for piece, value in enumerate((total & _MASK, total >> _LIMB)):
        shifted = value << bits  # at most 31 + 32 bits
        limbs[:, first + piece] += shifted & _MASK
        limbs[:, first + piece + 1] += shifted >> _LIMB


def carry(limbs: Ints) -> None:
    """Bring limbs (groups, LIMBS) to their one form in place: each within 32 bits, the rest carried upwards."""
    for low in (1, 3, 4, 5):
        limbs[:, low + 1] += limbs[:, low] >> _LIMB
        limbs[:, low] &= _MASK


def finish(limbs: Ints) -> tuple[Ints, Floats, Floats]:
    """Return n, mean and sample sd (n - 1) of limbs (..., LIMBS), NaN where there is none.

    Mean and variance are correctly rounded quotients of whole numbers.
    """
    flat = limbs.reshape(-1, LIMBS)
    mean, sd = np.full(len(flat), np.nan), np.full(len(flat), np.nan)
    for k, (n, s0, s1, q0, q1, q2, q3) in enumerate(flat.tolist()):
        if n:
            total = s0 + (s1 << 32)
            mean[k] = total / (n << SCALE_BITS)
            if n > 1:
                squares = q0 + (q1 << 32) + (q2 << 64) + (q3 << 96)
                sd[k] = math.sqrt((n * squares - total * total) / (n * (n - 1) << 2 * SCALE_BITS))
    shape = limbs.shape[:-1]
    return limbs[..., 0], mean.reshape(shape), sd.reshape(shape)
