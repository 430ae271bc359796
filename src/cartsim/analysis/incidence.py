"""How many have had it by day t, when death can come first.

One minus Kaplan-Meier answers a question about subjects who cannot die; with death competing it overstates. The
estimators here take counts by exact time, so tied times (assessments share a grid) are treated as ties, and blocks
of subjects merge by adding counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cartsim.analysis.intervals import LEVEL, Interval, normal_quantile, wilson

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
#: Distinct values, rising, and how often each occurs, both (k,).
Counts = tuple[Floats, Ints]


@dataclass(frozen=True)
class Curve:
    """A step function with its standard error; `times` rise, the value holds from its time on, 0 (or 1) before."""

    times: Floats
    value: Floats
    se: Floats
    at_risk: Ints  # just before each time
    start: float  # value before the first time
    n: int
    censored_before: Ints  # censored strictly before each time

    def at(self, day: float) -> tuple[float, float]:
        """Value and standard error at `day`; NaN when nobody was ever at risk."""
        if self.n == 0:
            return float("nan"), float("nan")
        k = int(np.searchsorted(self.times, day, side="right")) - 1
        return (self.start, 0.0) if k < 0 else (float(self.value[k]), float(self.se[k]))


def counts_by_time(causes: Sequence[Counts], censored: Counts) -> tuple[Floats, Ints, Ints]:
    """Distinct times (k,), events by cause (causes, k), censored (k,)."""
    tables = [*causes, censored]
    times = np.unique(np.concatenate([t for t, _ in tables]))
    counts = np.zeros((len(tables), len(times)), np.int64)
    for row, (t, c) in zip(counts, tables, strict=True):
        row[np.searchsorted(times, t)] = c
    return times, counts[:-1], counts[-1]


def tally_events(time: Floats, evtype: NDArray[np.integer], causes: int = 2) -> tuple[Floats, Ints, Ints]:
    """Counts by time of a plain (time, evtype) table, evtype 0 censored and 1.. a cause (SAVVY coding)."""
    coded = np.asarray(evtype)
    held = [
        np.unique(np.asarray(time, np.float64)[coded == k], return_counts=True) for k in range(causes + 1)
    ]
    return counts_by_time(held[1:], held[0])


def curve_of(events: Counts, deaths: Counts, censored: Counts) -> "Curve":
    """Cumulative incidence of an event with death competing, from the counts by time of each."""
    return aalen_johansen(*counts_by_time([events, deaths], censored))[0][0]


def _at_risk(events: Ints, censored: Ints) -> Ints:
    leaving = events + censored
    return leaving.sum() - np.concatenate([[0], np.cumsum(leaving)[:-1]]).astype(np.int64)


def _hazards(events: Ints, risk: Ints) -> tuple[Floats, Floats]:
    """Survival after each time, and the Greenwood increments d / (n (n - d)), 0 where everyone left."""
    safe = np.maximum(risk, 1)
    survival: Floats = np.cumprod(1.0 - events / safe, dtype=np.float64)
    rest = safe * np.maximum(risk - events, 0)
    greenwood: Floats = np.divide(events, rest, out=np.zeros(len(events)), where=rest > 0)
    return survival, greenwood


def _share(count: Ints, events: Ints, censored: Ints) -> Floats:
    """`count` as a share of everyone: exact while nobody was censored, where products and sums of hazards round."""
    return count / max(int((events + censored).sum()), 1)


def kaplan_meier(times: Floats, events: Ints, censored: Ints) -> Curve:
    """Survival curve with Greenwood's standard error; use only where death cannot compete, or is the event."""
    risk = _at_risk(events, censored)
    survival, greenwood = _hazards(events, risk)
    before = np.concatenate([[0], np.cumsum(censored)[:-1]]).astype(np.int64)
    survival = np.where(before == 0, _share(risk - events, events, censored), survival)
    se = survival * np.sqrt(np.cumsum(greenwood))
    return Curve(times, survival, se, risk, 1.0, int((events + censored).sum()), before)


def aalen_johansen(times: Floats, by_cause: Ints, censored: Ints) -> tuple[list[Curve], Curve]:
    """Cumulative incidence of each cause and event-free survival; together they are 1 at every time.

    Exact with ties: all events at a time share the risk set, censoring at that time comes after. Standard error by
    the delta method (Marubini and Valsecchi 1995, eq. 10.12); without censoring it is the binomial one.
    """
    everything = by_cause.sum(axis=0)
    survival = kaplan_meier(times, everything, censored)
    risk = np.maximum(survival.at_risk, 1)
    just_before = np.concatenate([[1.0], survival.value[:-1]])[: len(times)]
    _, greenwood = _hazards(everything, survival.at_risk)
    curves = []
    for d in by_cause:
        value = np.cumsum(just_before * d / risk)
        own = just_before**2 * (risk - d) * d / risk.astype(np.float64) ** 3
        cross = just_before * d / risk.astype(np.float64) ** 2
        # (F - F_j)^2 expanded, so that one pass of cumulative sums serves every time.
        spread = (
            value**2 * np.cumsum(greenwood)
            - 2 * value * np.cumsum(greenwood * value)
            + np.cumsum(greenwood * value**2)
        )
        shared = value * np.cumsum(cross) - np.cumsum(cross * value)
        variance = np.maximum(spread + np.cumsum(own) - 2 * shared, 0.0)
        # Rounding would leave "everyone" a last bit below 1, with an interval from 0 to 1.
        share, complete = _share(np.cumsum(d), everything, censored), survival.censored_before == 0
        value = np.maximum.accumulate(np.where(complete, share, value))
        variance = np.where(complete, share * (1 - share) / max(survival.n, 1), variance)
        curves.append(
            Curve(
                times, value, np.sqrt(variance), survival.at_risk, 0.0, survival.n, survival.censored_before
            )
        )
    return curves, survival


def log_log_interval(value: ArrayLike, se: ArrayLike, level: float = LEVEL) -> Interval:
    """Interval of a probability on the log(-log) scale, which stays inside 0 to 1; NaN at 0 and 1."""
    p, spread = np.asarray(value, np.float64), np.asarray(se, np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inside = (p > 0) & (p < 1) & (spread > 0)
        factor = np.exp(normal_quantile(level) * spread / (p * np.log(p)))
        first = np.where(inside, p**factor, np.nan)
        second = np.where(inside, p ** (1 / factor), np.nan)
    return np.minimum(first, second)[()], np.maximum(first, second)[()]


def incidence_interval(curve: Curve, day: float, level: float = LEVEL) -> tuple[Interval, str]:
    """Interval of a cumulative incidence at `day` and its method; Wilson at 0 or 1 while nobody was censored."""
    value, se = curve.at(day)
    nothing = np.array(np.nan)
    if np.isnan(value):
        return (nothing, nothing), "none"
    if 0 < value < 1 and se > 0:
        return log_log_interval(value, se, level), "Aalen-Johansen, log-log"
    k = int(np.searchsorted(curve.times, day, side="right"))
    censored = int(curve.censored_before[k - 1]) if k else 0
    if censored:
        return (nothing, nothing), "none"
    return wilson(round(value * curve.n), curve.n, level), "Wilson"
