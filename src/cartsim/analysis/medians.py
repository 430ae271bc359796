"""Medians from counts of values: their intervals by rank, and that of a difference between arms of the same subjects.

Days of an episode stand on an assessment grid, where a formula with a density has nothing to work on; ranks and
resampling do not ask for one. Where the grid is so coarse that no limit ever moves, the interval is NaN: no width
is not certainty.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cartsim.analysis.intervals import LEVEL, UniformBlock, normal_quantile

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
#: Above this many subjects the difference of medians takes its interval from ranks instead of the bootstrap.
BOOTSTRAP_UP_TO = 40_960
#: Normal quantiles of each rank in the interval of large cohorts.
NODES = 256
NAN = float("nan")


def median_ranks(n: ArrayLike, level: float = LEVEL) -> tuple[Ints, Ints]:
    """Ranks (from 1) of the order statistics that hold the median with at least `level`; 0 when n is too small."""
    from scipy.special import bdtr

    sizes, which = np.unique(np.asarray(n, np.int64), return_inverse=True)
    tail = (1 - level) / 2
    rank = np.maximum(0, (sizes / 2 - normal_quantile(level) * np.sqrt(sizes) / 2).astype(np.int64) - 2)
    # `rank` values can be left out below while P(Binomial <= rank - 1) <= tail.
    while (low := bdtr(rank.astype(np.float64), sizes, 0.5) <= tail).any():
        rank = rank + low
    while (high := (rank > 0) & (bdtr(rank - 1.0, sizes, 0.5) > tail)).any():
        rank = rank - high
    lower, upper = rank, np.where(rank > 0, sizes + 1 - rank, 0)
    return lower[which].reshape(np.shape(n))[()], upper[which].reshape(np.shape(n))[()]


def median_difference_bootstrap(
    new: Floats,
    reference: Floats,
    uniform_block: UniformBlock,
    *,
    count: Ints | None = None,
    replicates: int = 500,
    level: float = LEVEL,
) -> tuple[float, tuple[float, float]]:
    """Standard error and percentile interval of median(new) - median(reference), resampling subjects (Efron 1979).

    `new` and `reference` (k,) are the paired values that occur, `count` (k,) how often (once when null).
    `uniform_block(n, occurrence)` returns n uniforms in [0, 1) for bootstrap replicate `occurrence`, the i-th for the
    i-th subject drawn; the caller addresses them, so the interval repeats.
    """
    pair_of = np.repeat(np.arange(len(new)), 1 if count is None else count)
    n = len(pair_of)
    if n < 2:
        return NAN, (NAN, NAN)
    order1, order0 = np.argsort(new, kind="stable"), np.argsort(reference, kind="stable")
    sorted1, sorted0 = new[order1], reference[order0]
    middle = np.array([(n - 1) // 2, n // 2]) + 1
    differences = np.empty(replicates)
    for k in range(replicates):
        picked = np.minimum((uniform_block(n, k) * n).astype(np.intp), n - 1)
        weight = np.bincount(pair_of[picked], minlength=len(new))
        at1 = np.searchsorted(np.cumsum(weight[order1]), middle)
        at0 = np.searchsorted(np.cumsum(weight[order0]), middle)
        differences[k] = sorted1[at1].mean() - sorted0[at0].mean()
    tail = (1 - level) / 2
    lower, upper = np.quantile(differences, [tail, 1 - tail])
    return float(differences.std(ddof=1)), (float(lower), float(upper))


def paired_rank_interval(
    new: Floats, reference: Floats, count: Ints, level: float = LEVEL
) -> tuple[float, tuple[float, float]]:
    """Standard error and interval of median(new) - median(reference) in large cohorts, without drawing anything.

    What resampling subjects comes to as they grow many: each resampled median is the value at a rank, and the ranks
    of both arms are jointly normal, with sd sqrt(n)/2 and the correlation of "at or below the median" in the two
    arms. The distribution is summed over a grid of NODES x NODES equally likely pairs of ranks, so it holds on an
    assessment grid too. Arguments as for `median_difference_bootstrap`; NaN below two subjects.
    """
    from scipy.special import ndtri

    n = int(count.sum())
    if n < 2:
        return NAN, (NAN, NAN)
    m1, m0 = (_at_ranks(x, count, np.array([(n + 1) // 2, n // 2 + 1])).mean() for x in (new, reference))
    below1, below0 = new <= m1, reference <= m0
    p1, p0 = float(count[below1].sum()) / n, float(count[below0].sum()) / n
    both = float(count[below1 & below0].sum()) / n
    spread = p1 * (1 - p1) * p0 * (1 - p0)
    correlation = min(1.0, max(-1.0, (both - p1 * p0) / spread**0.5)) if spread > 0 else 0.0
    z = ndtri((np.arange(NODES) + 0.5) / NODES)
    first, second = np.repeat(z, NODES), np.tile(z, NODES)
    second = correlation * first + (1 - correlation**2) ** 0.5 * second
    resampled = [
        _at_ranks(x, count, np.clip(np.ceil(0.5 * (n + shift * n**0.5)), 1, n))
        for x, shift in ((new, first), (reference, second))
    ]
    differences = resampled[0] - resampled[1]
    tail = (1 - level) / 2
    lower, upper = np.quantile(differences, [tail, 1 - tail])
    return float(differences.std()), (float(lower), float(upper))


def _at_ranks(values: Floats, count: Ints, ranks: NDArray[Any]) -> Floats:
    """Values of some ranks (from 1) among `values` (k,), each there `count` times."""
    order = np.argsort(values, kind="stable")
    return values[order][np.searchsorted(np.cumsum(count[order]), ranks)]
