"""Why: claims and face-validity checks come down to a few figures (a share, a median, a ratio of risks, a correlation),
and a figure that is to be believed comes with its Monte Carlo interval. Everything here works on plain arrays.
"""

from dataclasses import dataclass

import numpy as np

from cartsim.analysis.intervals import (
    log_risk_ratio,
    normal_quantile,
    number_needed,
    paired_risk_difference,
    wilson,
)
from cartsim.analysis.medians import median_ranks

NAN = float("nan")
#: Steps of Newton's method; a logistic curve in one covariate needs fewer than ten.
NEWTON_STEPS = 50


@dataclass(frozen=True)
class Figure:
    """A number with its 95 % Monte Carlo interval and the subjects behind it; NaN where there is none."""

    value: float
    lower: float = NAN
    upper: float = NAN
    n: int = 0


NOTHING = Figure(NAN)


def share(among: np.ndarray, yes: np.ndarray) -> Figure:
    """Share of `yes` (n,) among those with `among` (n,), with Wilson's interval."""
    n = int(among.sum())
    if n == 0:
        return NOTHING
    events = int((among & yes).sum())
    lower, upper = wilson(events, n)
    return Figure(events / n, float(lower), float(upper), n)


def median(values: np.ndarray) -> Figure:
    """Median with its interval from order statistics; NaN is left out, infinity ("never") is a value."""
    kept = np.sort(values[~np.isnan(values)])
    n = len(kept)
    if n == 0:
        return NOTHING
    low, high = (int(rank) for rank in median_ranks(n))
    middle = kept[(n - 1) // 2], kept[n // 2]
    value = middle[0] if middle[0] == middle[1] else (middle[0] + middle[1]) / 2
    ends = (kept[low - 1], kept[high - 1]) if low else (NAN, NAN)
    return Figure(float(value), float(ends[0]), float(ends[1]), n)


def quartiles(values: np.ndarray) -> tuple[float, float]:
    """Lower and upper quartile, as order statistics so that infinity may be one of them; NaN where nothing is left."""
    kept = values[~np.isnan(values)]
    if len(kept) == 0:
        return NAN, NAN
    low, high = np.quantile(kept, [0.25, 0.75], method="inverted_cdf")
    return float(low), float(high)


def risk_ratio(new: np.ndarray, reference: np.ndarray) -> Figure:
    """Ratio of the risks of the same subjects in two arms (bool (n,) each), with the paired interval."""
    both, only_new, only_reference = _pairs(new, reference)
    value, _, (low, high) = log_risk_ratio(both, only_new, only_reference)
    return Figure(float(np.exp(value)), float(np.exp(low)), float(np.exp(high)), len(new))


def risk_difference(new: np.ndarray, reference: np.ndarray) -> Figure:
    """Difference of the risks of the same subjects, with the paired interval (Tango where pairs are few)."""
    n = len(new)
    if n == 0:
        return NOTHING
    _, only_new, only_reference = _pairs(new, reference)
    (low, high), _ = paired_risk_difference(only_new, only_reference, n)
    return Figure((only_new - only_reference) / n, float(low), float(high), n)


def needed_to_treat(new: np.ndarray, reference: np.ndarray) -> Figure:
    """Subjects treated for each event avoided; NaN unless the interval of the difference lies wholly below 0."""
    difference = risk_difference(new, reference)
    if not difference.upper < 0:
        return Figure(NAN, n=difference.n)
    value, (low, high) = number_needed(difference.value, (difference.lower, difference.upper))
    return Figure(float(value), float(low), float(high), difference.n)


def rank_correlation(x: np.ndarray, y: np.ndarray) -> Figure:
    """Spearman's rank correlation where both are known, with Fisher's interval."""
    known = np.isfinite(x) & np.isfinite(y)
    n = int(known.sum())
    if n < 4:
        return NOTHING
    from scipy.stats import rankdata

    first, second = rankdata(x[known]), rankdata(y[known])
    if first.std() == 0 or second.std() == 0:
        return Figure(NAN, n=n)
    rho = float(np.corrcoef(first, second)[0, 1])
    half = normal_quantile() / np.sqrt(n - 3)
    z = np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12))
    return Figure(rho, float(np.tanh(z - half)), float(np.tanh(z + half)), n)


def odds_ratio(x: np.ndarray, event: np.ndarray) -> Figure:
    """Odds ratio per unit of `x` from a logistic curve in `x` alone, with Wald's interval.

    NaN where all or none have the event, or `x` does not vary.
    """
    n = len(x)
    y = event.astype(np.float64)
    if n == 0 or y.min() == y.max() or np.ptp(x) == 0:
        return Figure(NAN, n=n)
    terms = np.column_stack([np.ones(n), x - x.mean()])
    beta = np.array([np.log(y.mean() / (1 - y.mean())), 0.0])
    for _ in range(NEWTON_STEPS):
        p = 1 / (1 + np.exp(-(terms @ beta)))
        information = (terms * (p * (1 - p))[:, None]).T @ terms
        step = np.linalg.solve(information, terms.T @ (y - p))
        beta = beta + step
        if np.abs(step).max() < 1e-10:
            break
    se = float(np.sqrt(np.linalg.inv(information)[1, 1]))
    half = normal_quantile() * se
    value, low, high = (float(np.exp(beta[1] + shift)) for shift in (0.0, -half, half))
    return Figure(value, low, high, n)


def regrading(among: np.ndarray, other: np.ndarray, first: np.ndarray) -> tuple[float, float, float]:
    """Shares of events (bool (n,)) that scale `other` grades the same as, lower than and higher than `first`."""
    n = int(among.sum())
    if n == 0:
        return NAN, NAN, NAN
    a, b = other[among], first[among]
    return float((a == b).mean()), float((a < b).mean()), float((a > b).mean())


def _pairs(new: np.ndarray, reference: np.ndarray) -> tuple[int, int, int]:
    return int((new & reference).sum()), int((new & ~reference).sum()), int((~new & reference).sum())
