"""Why: a cohort of a hundred patients is itself a matter of chance, so a simulated figure can only be held against a
published one after it has been given the chance of a trial of the same size (STATISTICS 5).

Each parameter set has simulated subjects of its own. A trial takes as many of them as were published, without putting
one back, so it is a trial of new patients under that parameter set: neither more nor less uncertain, whatever the
number of subjects (drawing from Binomial(n, share simulated) would add the Monte Carlo error of that share to every
interval). Only where there are fewer subjects than the trial had are they put back.

Shares need no random numbers: the number of events in such a trial has a known distribution, and its average over
parameter sets is the predictive one. For medians and quartiles trials are drawn, at addresses made of the figure, the
parameter set and the number of the trial, so that no other figure, worker or order can move them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cartsim.draws import name_counter, uniforms
from cartsim.terms import Decision

if TYPE_CHECKING:
    from cartsim.calibrate.endpoints import Sample
    from cartsim.evidence.targets import Target

Key = tuple[np.uint64, np.uint64]
#: Trials drawn of each parameter set, for medians and quartiles.
TRIALS = 10
TAILS = (0.025, 0.975)
#: Quantiles of the days that a statistic is made of.
QUANTILES: Mapping[str, tuple[float, ...]] = {"median": (0.5,), "iqr": (0.25, 0.75)}
#: Statistics that are a number of events out of a known number of subjects, and those of days.
COUNTED = ("proportion", "count")
DAYS = (*QUANTILES, "mean")
_ALMOST = 1e-12


@dataclass(frozen=True)
class Counted:
    """Events among the subjects in a denominator, under one parameter set."""

    events: int
    among: int


@dataclass(frozen=True)
class Timed:
    """A figure of recorded days (one number, of an interquartile range two): `whole` of all subjects with the event,
    `trials` [trial, number] of trials of the published size (NaN where nobody had the event)."""

    whole: np.ndarray
    trials: np.ndarray


def counted(target: "Target", sample: "Sample") -> Counted:
    """What a trial of a proportion draws from; of a count, everybody, since its total is the cohort."""
    events = int(np.count_nonzero(sample.values[sample.among]))
    among = len(sample.among) if target.statistic == "count" else int(np.count_nonzero(sample.among))
    return Counted(events, among)


def events_distribution(drawn: Sequence[Counted], n: int) -> np.ndarray:
    """Probability of 0 .. n events in a trial of `n`, averaged over parameter sets; empty where nobody was in any
    denominator."""
    known = [one for one in drawn if one.among > 0]
    if not known:
        return np.empty(0)
    events = np.array([one.events for one in known], float)[:, None]
    among = np.array([one.among for one in known], float)[:, None]
    x = np.arange(n + 1, dtype=float)[None, :]
    rest = among - events
    possible = (x <= events) & (n - x <= rest)
    taken = (
        _log_choose(events, np.minimum(x, events))
        + _log_choose(rest, np.clip(n - x, 0, rest))
        - _log_choose(np.maximum(among, n), np.float64(n))
    )
    each = np.where(among >= n, np.exp(np.where(possible, taken, -np.inf)), binomial(n, events / among))
    return np.asarray((each / each.sum(axis=1, keepdims=True)).mean(axis=0))


def binomial(n: int, share: float | np.ndarray) -> np.ndarray:
    """Probability of 0 .. n events; `share` broadcasts against the events, which are last."""
    from scipy.special import xlog1py, xlogy

    x = np.arange(n + 1, dtype=float)
    with np.errstate(divide="ignore"):
        return np.asarray(np.exp(_log_choose(np.float64(n), x) + xlogy(x, share) + xlog1py(n - x, -share)))


def _log_choose(m: np.ndarray | np.float64, k: np.ndarray | np.float64) -> np.ndarray:
    from scipy.special import betaln

    return np.asarray(-np.log1p(m) - betaln(m - k + 1, k + 1))


def quantile_of(distribution: np.ndarray, at: float) -> int:
    """Fewest events that are not exceeded with probability `at`."""
    return int(np.searchsorted(np.cumsum(distribution), at - _ALMOST))


def timed(target: "Target", sample: "Sample", draw: int, key: Key) -> Timed:
    """Trials of the published size under parameter set `draw`; `key` is that of the study.

    Where the row's denominator is smaller than the cohort, a trial takes the cohort and keeps those with the event, so
    that their number varies as it would; where it is not, those with the event are the cohort.
    """
    size, everybody = trial_size(target)
    pool = np.arange(len(sample.among)) if everybody else np.flatnonzero(sample.among)
    days = np.where(sample.among, sample.recorded, np.nan)
    found = np.full((TRIALS, numbers_in(target.statistic)), np.nan)
    for trial in range(TRIALS if len(pool) else 0):
        place = name_counter(f"{target.id}/{draw}/{trial}")
        us = uniforms(key, np.arange(max(size, len(pool))), Decision.BOOTSTRAP, place)
        if size <= len(pool):
            chosen = np.argpartition(us, size - 1)[:size]
        else:
            chosen = (us * len(pool)).astype(np.int64)
        found[trial] = figure_of(days[pool[chosen]], target.statistic)
    return Timed(figure_of(days[pool], target.statistic), found)


def trial_size(target: "Target") -> tuple[int, bool]:
    """Subjects a trial takes, and whether it takes them from everybody (else from those with the event)."""
    known = target.denominator
    assert known is not None
    if target.n is not None and target.n > known:
        return target.n, True
    return known, False


def numbers_in(statistic: str) -> int:
    """How many numbers a figure is: two quartiles, else one."""
    return len(QUANTILES.get(statistic, (0,)))


def figure_of(days: np.ndarray, statistic: str) -> np.ndarray:
    """The numbers of a figure from the days of those who have any; NaN where nobody has."""
    held = np.sort(days[~np.isnan(days)])
    if not len(held):
        return np.full(numbers_in(statistic), np.nan)
    return np.array(
        [held.mean()] if statistic == "mean" else [_quantile(held, at) for at in QUANTILES[statistic]]
    )


def _quantile(ordered: np.ndarray, at: float) -> float:
    """Between the two neighbours in proportion, as usual; infinity ("never") is a number of days too."""
    place = (len(ordered) - 1) * at
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    return float(below if below == above else below + (place % 1) * (above - below))
