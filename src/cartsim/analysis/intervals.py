"""Intervals for one number at a time, chosen so that small counts do not lie.

Shared draws make two arms agree in nearly every subject, so a contrast often rests on a handful of discordant
pairs. Textbook normal intervals fail exactly there (Wald covers 64 % at one expected discordant pair), hence score
and exact intervals. Nothing is ever returned as NaN: an interval that does not exist is `(None, None)`.
"""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float | None, float | None]
#: (n, occurrence) -> n uniforms in [0, 1); whoever calls addresses the draws, so that results repeat.
UniformBlock = Callable[[int, int], NDArray[np.float64]]
NONE: Interval = (None, None)
LEVEL = 0.95
#: Below this many discordant pairs the score interval replaces Wald (STATISTICS 2).
TANGO_BELOW = 50


def normal_quantile(level: float = LEVEL) -> float:
    """Return z such that a standard normal lies within +-z with probability `level`."""
    return NormalDist().inv_cdf(0.5 + level / 2)


def t_quantile(df: int, level: float = LEVEL) -> float:
    """Return t such that Student's t with `df` degrees of freedom lies within +-t with probability `level`."""
    from scipy.special import stdtrit

    return float(stdtrit(df, 0.5 + level / 2))


def wilson(events: int, n: int, level: float = LEVEL) -> Interval:
    """Score interval of a proportion (Wilson 1927)."""
    if n == 0:
        return NONE
    z = normal_quantile(level)
    p = events / n
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # At a bound the formula is exact in the reals; rounding must not leave 1e-19 there.
    lower = 0.0 if events == 0 else (centre - half) / scale
    upper = 1.0 if events == n else (centre + half) / scale
    return lower, upper


def exact_binomial(events: int, n: int, level: float = LEVEL) -> Interval:
    """Exact interval of a proportion (Clopper and Pearson 1934), for published n."""
    if n == 0:
        return NONE
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    lower = 0.0 if events == 0 else float(betaincinv(events, n - events + 1, tail))
    upper = 1.0 if events == n else float(betaincinv(events + 1, n - events, 1 - tail))
    return lower, upper


def paired_wald(n01: int, n10: int, n: int, level: float = LEVEL) -> Interval:
    """Wald interval of a paired risk difference; `n01` events in the new arm only, `n10` in the reference only."""
    if n == 0:
        return NONE
    difference = (n01 - n10) / n
    half = normal_quantile(level) * math.sqrt(max(0.0, (n01 + n10) / n - difference**2) / n)
    return max(-1.0, difference - half), min(1.0, difference + half)


def paired_tango(n01: int, n10: int, n: int, level: float = LEVEL) -> Interval:
    """Score interval of a paired risk difference (Tango 1998, Stat Med 17:891), by bisection."""
    if n == 0:
        return NONE
    z = normal_quantile(level)

    def score(difference: float) -> float:
        # The nuisance parameter is the reference-only probability that fits best at this difference.
        a = 2.0 * n
        b = -n01 - n10 + (2 * n - n01 + n10) * difference
        c = -n10 * difference * (1 - difference)
        q = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
        variance = n * (2 * q + difference * (1 - difference))
        gap = n01 - n10 - n * difference
        if variance <= 0:
            return math.copysign(math.inf, gap) if gap else 0.0
        return gap / math.sqrt(variance)

    estimate = (n01 - n10) / n
    lower = -1.0 if estimate == -1 else _bisect(lambda d: score(d) - z, -1.0, estimate)
    upper = 1.0 if estimate == 1 else _bisect(lambda d: score(d) + z, estimate, 1.0)
    return lower, upper


def _bisect(falling: Callable[[float], float], left: float, right: float) -> float:
    """Return the zero of a falling function to the last representable bit or 200 halvings."""
    for _ in range(200):
        middle = 0.5 * (left + right)
        if middle in (left, right):
            break
        if falling(middle) > 0:
            left = middle
        else:
            right = middle
    return 0.5 * (left + right)


def paired_risk_difference(
    n01: int, n10: int, n: int, *, identical: bool = False, level: float = LEVEL
) -> tuple[Interval, str]:
    """Interval of a paired risk difference and the name of the method.

    `identical` says that the arms' rows agree in every column: only then may the width be exactly zero.
    """
    if n == 0:
        return NONE, "none"
    if identical:
        return (0.0, 0.0), "identical rows"
    if n01 + n10 < TANGO_BELOW:
        return paired_tango(n01, n10, n, level), "Tango score"
    return paired_wald(n01, n10, n, level), "paired Wald"


def unpaired_risk_difference(events1: int, events0: int, n: int, level: float = LEVEL) -> Interval:
    """Interval of a risk difference as if the arms were independent, from Wilson limits (Newcombe 1998, method 10)."""
    (l1, u1), (l0, u0) = wilson(events1, n, level), wilson(events0, n, level)
    if l1 is None or u1 is None or l0 is None or u0 is None:
        return NONE
    p1, p0 = events1 / n, events0 / n
    difference = p1 - p0
    return difference - math.hypot(p1 - l1, u0 - p0), difference + math.hypot(u1 - p1, p0 - l0)


def log_risk_ratio(
    both: int, n01: int, n10: int, level: float = LEVEL
) -> tuple[float | None, float | None, Interval]:
    """Paired log risk ratio, its standard error and interval.

    SE^2 = (b + c) / [(a + b)(a + c)] with a events in both arms, b = `n01`, c = `n10`; all null when a margin is 0,
    and the interval null when no pair is discordant (a zero standard error is then no knowledge).
    """
    new, reference = both + n01, both + n10
    if new == 0 or reference == 0:
        return None, None, NONE
    value = math.log(new / reference)
    se = math.sqrt((n01 + n10) / (new * reference))
    if se == 0:
        return value, se, NONE
    half = normal_quantile(level) * se
    return value, se, (value - half, value + half)


def variance_ratio_risk(n01: int, n10: int, events1: int, events0: int, n: int) -> float | None:
    """What pairing saved: unpaired over paired variance of the risk difference; null when no pair is discordant."""
    if n == 0 or n01 + n10 == 0:
        return None
    p1, p0 = events1 / n, events0 / n
    paired = (n01 + n10) / n - (p1 - p0) ** 2
    return (p1 * (1 - p1) + p0 * (1 - p0)) / paired if paired > 0 else None


def t_interval(mean: float, sd: float, n: int, level: float = LEVEL) -> Interval:
    """Student interval of a mean (of paired differences, or of one arm); null below two units."""
    if n < 2:
        return NONE
    half = t_quantile(n - 1, level) * sd / math.sqrt(n)
    return mean - half, mean + half


def welch_interval(
    mean1: float, sd1: float, mean0: float, sd0: float, n: int, level: float = LEVEL
) -> Interval:
    """Interval of a difference of means as if the two arms of `n` subjects were independent (Welch 1947)."""
    if n < 2:
        return NONE
    v1, v0 = sd1**2 / n, sd0**2 / n
    if v1 + v0 == 0:
        return NONE
    df = (v1 + v0) ** 2 * (n - 1) / (v1**2 + v0**2)
    from scipy.special import stdtrit

    half = float(stdtrit(df, 0.5 + level / 2)) * math.sqrt(v1 + v0)
    return mean1 - mean0 - half, mean1 - mean0 + half


def number_needed(difference: float, interval: Interval) -> tuple[float | None, Interval]:
    """Return 1 / |risk difference| with its interval; null unless the interval of the difference excludes 0."""
    lower, upper = interval
    if lower is None or upper is None or lower <= 0 <= upper:
        return None, NONE
    first, second = sorted((1 / abs(lower), 1 / abs(upper)))
    return 1 / abs(difference), (first, second)


def frechet_harm(p_new: float, p_reference: float) -> tuple[float, float]:
    """Bounds of P(event under the new arm, none under the reference) from the margins alone (Frechet 1951)."""
    return max(0.0, p_new - p_reference), min(p_new, 1 - p_reference)


def median_ranks(n: int, level: float = LEVEL) -> tuple[int, int] | None:
    """Ranks (from 1) of the order statistics that hold the median with at least `level`; null when n is too small."""
    from scipy.special import bdtr

    tail = (1 - level) / 2
    rank = max(0, int(n / 2 - normal_quantile(level) * math.sqrt(n) / 2) - 2)
    while bdtr(rank, n, 0.5) <= tail:
        rank += 1
    while rank > 0 and bdtr(rank - 1, n, 0.5) > tail:
        rank -= 1
    # `rank` values can be left out below; P(Binomial <= rank - 1) <= tail.
    return (rank, n + 1 - rank) if rank >= 1 else None


def median_difference_bootstrap(
    new: NDArray[np.float64],
    reference: NDArray[np.float64],
    uniform_block: UniformBlock,
    *,
    replicates: int = 500,
    level: float = LEVEL,
) -> tuple[float | None, Interval]:
    """Standard error and percentile interval of median(new) - median(reference), resampling subjects (Efron 1979).

    `new` and `reference` hold one value a subject in the same order (n,). `uniform_block(n, occurrence)` returns n
    uniforms in [0, 1) for bootstrap replicate `occurrence`; the caller addresses them, so the interval repeats.
    """
    n = len(new)
    if n < 2:
        return None, NONE
    order1, order0 = np.argsort(new, kind="stable"), np.argsort(reference, kind="stable")
    sorted1, sorted0 = new[order1], reference[order0]
    middle = np.array([(n - 1) // 2, n // 2]) + 1
    differences = np.empty(replicates)
    for k in range(replicates):
        picked = np.minimum((uniform_block(n, k) * n).astype(np.intp), n - 1)
        weight = np.bincount(picked, minlength=n)
        at1 = np.searchsorted(np.cumsum(weight[order1]), middle)
        at0 = np.searchsorted(np.cumsum(weight[order0]), middle)
        differences[k] = sorted1[at1].mean() - sorted0[at0].mean()
    tail = (1 - level) / 2
    lower, upper = np.quantile(differences, [tail, 1 - tail])
    return float(differences.std(ddof=1)), (float(lower), float(upper))
