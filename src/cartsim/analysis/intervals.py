"""Intervals chosen so that small counts do not lie, for any number of results at once.

Shared draws make two arms agree in nearly every subject, so a contrast often rests on a handful of discordant
pairs. Textbook normal intervals fail exactly there (Wald covers 64 % at one expected discordant pair), hence score
and exact intervals. Everything takes arrays that broadcast, or single numbers; NaN stands for an interval that does
not exist, and tables turn it into null.
"""

from collections.abc import Callable
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]
Interval: TypeAlias = tuple[Floats, Floats]
#: (n, occurrence) -> n uniforms in [0, 1); whoever calls addresses the draws, so that results repeat.
UniformBlock = Callable[[int, int], NDArray[np.float64]]
LEVEL = 0.95
#: Below this many discordant pairs the score interval replaces Wald (STATISTICS 2).
TANGO_BELOW = 50
#: Names of methods, as codes of column `interval_method`.
METHODS = (
    "none",
    "Wilson",
    "t",
    "order statistics",
    "Aalen-Johansen, log-log",
    "identical rows",
    "Tango score",
    "paired Wald",
    "paired log",
    "paired t",
    "bootstrap",
    "paired order statistics",
    "t over replicates",
    "none: censored before the day",
    "none: not bootstrapped in a sweep",
)
CODE = {name: code for code, name in enumerate(METHODS)}

_quiet = np.errstate(divide="ignore", invalid="ignore", over="ignore")


def normal_quantile(level: float = LEVEL) -> float:
    """Return z such that a standard normal lies within +-z with probability `level`."""
    return NormalDist().inv_cdf(0.5 + level / 2)


def t_quantile(df: ArrayLike, level: float = LEVEL) -> Floats:
    """Return t such that Student's t with `df` degrees of freedom lies within +-t with probability `level`."""
    from scipy.special import stdtrit

    # The inverse is slow and cohorts of a sweep share their size.
    distinct, which = np.unique(np.asarray(df, np.float64), return_inverse=True)
    return _plain(stdtrit(distinct, 0.5 + level / 2)[which].reshape(np.shape(df)))


def _plain(x: ArrayLike) -> Floats:
    """Float array, or a plain number where all arguments were."""
    out: Floats = np.asarray(x, np.float64)[()]
    return out


def _floats(*values: ArrayLike) -> list[Floats]:
    return [np.asarray(value, np.float64) for value in values]


@_quiet
def wilson(events: ArrayLike, n: ArrayLike, level: float = LEVEL) -> Interval:
    """Score interval of a proportion (Wilson 1927)."""
    k, m = _floats(events, n)
    z = normal_quantile(level)
    p = k / m
    centre = p + z * z / (2 * m)
    half = z * np.sqrt(p * (1 - p) / m + z * z / (4 * m * m))
    scale = 1 + z * z / m
    # At a bound the formula is exact in the reals; rounding must not leave 1e-19 there.
    lower = np.where(k == 0, 0.0, (centre - half) / scale)
    upper = np.where(k == m, 1.0, (centre + half) / scale)
    return _plain(np.where(m == 0, np.nan, lower)), _plain(np.where(m == 0, np.nan, upper))


def exact_binomial(events: ArrayLike, n: ArrayLike, level: float = LEVEL) -> Interval:
    """Exact interval of a proportion (Clopper and Pearson 1934), for published n."""
    from scipy.special import betaincinv

    k, m = _floats(events, n)
    tail = (1 - level) / 2
    lower = np.where(k == 0, 0.0, betaincinv(k, m - k + 1, tail))
    upper = np.where(k == m, 1.0, betaincinv(k + 1, m - k, 1 - tail))
    return _plain(np.where(m == 0, np.nan, lower)), _plain(np.where(m == 0, np.nan, upper))


@_quiet
def paired_wald(n01: ArrayLike, n10: ArrayLike, n: ArrayLike, level: float = LEVEL) -> Interval:
    """Wald interval of a paired risk difference; `n01` events in the new arm only, `n10` in the reference only."""
    b, c, m = _floats(n01, n10, n)
    difference = (b - c) / m
    half = normal_quantile(level) * np.sqrt(np.maximum(0.0, (b + c) / m - difference**2) / m)
    return _plain(np.maximum(-1.0, difference - half)), _plain(np.minimum(1.0, difference + half))


def paired_tango(n01: ArrayLike, n10: ArrayLike, n: ArrayLike, level: float = LEVEL) -> Interval:
    """Score interval of a paired risk difference (Tango 1998, Stat Med 17:891), by bisection to the last bit."""
    b, c, m = np.broadcast_arrays(*_floats(n01, n10, n))
    # Each triple of counts is solved once: below 50 discordant pairs there are at most 1275 of one cohort size.
    which = np.zeros(b.size, np.int64)
    for x in (b, c, m):
        values, own = np.unique(x.ravel(), return_inverse=True)
        which = np.unique(which * len(values) + own, return_inverse=True)[1]
    first = np.zeros(int(which.max(initial=-1)) + 1, np.int64)
    first[which] = np.arange(b.size)
    b1, c1, m1 = (x.ravel()[first] for x in (b, c, m))
    lower, upper = _tango(b1, c1, m1, normal_quantile(level))
    return _plain(lower[which].reshape(b.shape)), _plain(upper[which].reshape(b.shape))


@_quiet
def _tango(n01: Floats, n10: Floats, n: Floats, z: float) -> Interval:
    def score(difference: Floats) -> Floats:
        # The nuisance parameter is the reference-only probability that fits best at this difference.
        a = 2.0 * n
        b = -n01 - n10 + (2 * n - n01 + n10) * difference
        c = -n10 * difference * (1 - difference)
        q = (np.sqrt(np.maximum(0.0, b * b - 4 * a * c)) - b) / (2 * a)
        variance = n * (2 * q + difference * (1 - difference))
        gap = n01 - n10 - n * difference
        beyond = np.where(gap == 0, 0.0, np.copysign(np.inf, gap))
        return np.where(variance <= 0, beyond, gap / np.sqrt(np.abs(variance)))

    estimate = (n01 - n10) / n
    end = np.ones_like(estimate)
    lower = _bisect(lambda d: score(d) - z, -end, estimate)
    upper = _bisect(lambda d: score(d) + z, estimate, end)
    nobody = np.where(n == 0, np.nan, 0.0)
    return np.where(estimate == -1, -1.0, lower) + nobody, np.where(estimate == 1, 1.0, upper) + nobody


def _bisect(falling: Callable[[Floats], Floats], left: Floats, right: Floats) -> Floats:
    """Return the zeros of falling functions to the last representable bit or 200 halvings."""
    for _ in range(200):
        middle = 0.5 * (left + right)
        moving = (middle != left) & (middle != right)
        if not moving.any():
            break
        above = falling(middle) > 0
        left, right = np.where(moving & above, middle, left), np.where(moving & ~above, middle, right)
    return 0.5 * (left + right)


def paired_risk_difference(
    n01: ArrayLike, n10: ArrayLike, n: ArrayLike, *, identical: ArrayLike = False, level: float = LEVEL
) -> tuple[Interval, NDArray[np.int64]]:
    """Interval of a paired risk difference and the codes of the methods (`METHODS`).

    `identical` says that the arms' rows agree in every column: only then may the width be exactly zero.
    """
    b, c, m = _floats(n01, n10, n)
    b, c, m, same = np.broadcast_arrays(b, c, m, np.asarray(identical, np.bool_))
    few = (b + c < TANGO_BELOW) & ~same & (m > 0)
    method = np.where(few, CODE["Tango score"], CODE["paired Wald"])
    method = np.where(same, CODE["identical rows"], method)
    method = np.where(m == 0, CODE["none"], method)
    limits = [np.array(limit) for limit in paired_wald(b, c, m, level)]
    for limit, score in zip(limits, paired_tango(b[few], c[few], m[few], level), strict=True):
        limit[few] = score
        limit[same & (m > 0)] = 0.0
    return (_plain(limits[0]), _plain(limits[1])), method[()]


@_quiet
def unpaired_risk_difference(
    events1: ArrayLike, events0: ArrayLike, n: ArrayLike, level: float = LEVEL
) -> Interval:
    """Interval of a risk difference as if the arms were independent, from Wilson limits (Newcombe 1998, method 10)."""
    (l1, u1), (l0, u0) = wilson(events1, n, level), wilson(events0, n, level)
    k1, k0, m = _floats(events1, events0, n)
    p1, p0 = k1 / m, k0 / m
    difference = p1 - p0
    return (
        _plain(difference - np.hypot(p1 - l1, u0 - p0)),
        _plain(difference + np.hypot(u1 - p1, p0 - l0)),
    )


@_quiet
def log_risk_ratio(
    both: ArrayLike, n01: ArrayLike, n10: ArrayLike, level: float = LEVEL
) -> tuple[Floats, Floats, Interval]:
    """Paired log risk ratio, its standard error and interval.

    SE^2 = (b + c) / [(a + b)(a + c)] with a events in both arms, b = `n01`, c = `n10`; all NaN when a margin is 0,
    and the interval NaN when no pair is discordant (a zero standard error is then no knowledge).
    """
    a, b, c = _floats(both, n01, n10)
    new, reference = a + b, a + c
    known = (new > 0) & (reference > 0)
    value = np.where(known, np.log(new / reference), np.nan)
    se = np.where(known, np.sqrt((b + c) / (new * reference)), np.nan)
    half = np.where(se == 0, np.nan, normal_quantile(level) * se)
    return _plain(value), _plain(se), (_plain(value - half), _plain(value + half))


@_quiet
def variance_ratio_risk(
    n01: ArrayLike, n10: ArrayLike, events1: ArrayLike, events0: ArrayLike, n: ArrayLike
) -> Floats:
    """What pairing saved: unpaired over paired variance of the risk difference; NaN when no pair is discordant."""
    b, c, k1, k0, m = _floats(n01, n10, events1, events0, n)
    p1, p0 = k1 / m, k0 / m
    paired = (b + c) / m - (p1 - p0) ** 2
    ratio = (p1 * (1 - p1) + p0 * (1 - p0)) / paired
    return _plain(np.where((b + c > 0) & (paired > 0), ratio, np.nan))


@_quiet
def t_interval(mean: ArrayLike, sd: ArrayLike, n: ArrayLike, level: float = LEVEL) -> Interval:
    """Student interval of a mean (of paired differences, or of one arm); NaN below two units."""
    centre, spread, m = _floats(mean, sd, n)
    half = np.where(m < 2, np.nan, t_quantile(np.maximum(m - 1, 1), level) * spread / np.sqrt(m))
    return _plain(centre - half), _plain(centre + half)


@_quiet
def welch_interval(
    mean1: ArrayLike, sd1: ArrayLike, mean0: ArrayLike, sd0: ArrayLike, n: ArrayLike, level: float = LEVEL
) -> Interval:
    """Interval of a difference of means as if the two arms of `n` subjects were independent (Welch 1947)."""
    from scipy.special import stdtrit

    m1, s1, m0, s0, m = _floats(mean1, sd1, mean0, sd0, n)
    v1, v0 = s1**2 / m, s0**2 / m
    df = (v1 + v0) ** 2 * (m - 1) / (v1**2 + v0**2)
    half = stdtrit(df, 0.5 + level / 2) * np.sqrt(v1 + v0)
    half = np.where((m < 2) | (v1 + v0 == 0), np.nan, half)
    return _plain(m1 - m0 - half), _plain(m1 - m0 + half)


@_quiet
def number_needed(difference: ArrayLike, interval: tuple[ArrayLike, ArrayLike]) -> tuple[Floats, Interval]:
    """Return 1 / |risk difference| with its interval; NaN unless the interval of the difference excludes 0."""
    d, lower, upper = _floats(difference, *interval)
    known = (lower > 0) | (upper < 0)
    first, second = np.where(known, 1 / np.abs(lower), np.nan), np.where(known, 1 / np.abs(upper), np.nan)
    value = np.where(known, 1 / np.abs(d), np.nan)
    return _plain(value), (_plain(np.minimum(first, second)), _plain(np.maximum(first, second)))


def frechet_harm(p_new: ArrayLike, p_reference: ArrayLike) -> Interval:
    """Bounds of P(event under the new arm, none under the reference) from the margins alone (Frechet 1951)."""
    p1, p0 = _floats(p_new, p_reference)
    return _plain(np.maximum(0.0, p1 - p0)), _plain(np.minimum(p1, 1 - p0))
