"""Why: a model earns its keep only if it forecasts better than somebody who never heard of it. That somebody takes
the published cohorts that were fitted, pools what they say of the same endpoint by the same definition, and expects the
next cohort to be like them.

Taken literally (one share for everybody) that forecast is easily beaten, since cohorts of different products differ.
So there is a second one, which also expects the next cohort to differ from the pool as much as the pooled ones differ
among each other: of shares a beta-binomial with the intraclass correlation of the pooled cohorts (moments: Kleinman
1973, JASA 68:46), of days their standard deviation on top. With a single cohort to pool the two are the same.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from cartsim.evidence.target_rows import crs_scales
from cartsim.validate.trials import COUNTED, TAILS, binomial, quantile_of

if TYPE_CHECKING:
    from cartsim.calibrate.cohorts import Cohort
    from cartsim.evidence.targets import Target
    from cartsim.validate.predict import Forecast

Interval = tuple[float, float]
_MOST_ALIKE = 0.99
#: Endpoints whose number depends on the scale: an onset or a drug given does not.
_GRADED = ("crs_any", "crs_grade", "regrade")


def definition(target: "Target", cohort: "Cohort") -> tuple[object, ...]:
    """What must agree before two figures are figures of the same thing."""
    scale: tuple[str, ...] = ()
    if target.endpoint.startswith(_GRADED):
        scales = crs_scales(target.grading_crs)
        # of a comparison both scales count, of a grade that on which it is reported
        scale = scales if target.endpoint.startswith("regrade") else scales[:1]
    neuro = cohort.neuro if target.endpoint.startswith("ne_") else ""
    return target.endpoint, target.statistic, scale, neuro


@dataclass(frozen=True)
class Naive:
    """Naive 95 % intervals of each number of a figure: as if all cohorts had one share or median (`pooled`), and with
    their spread (`spread`). `cohorts`: how many rows were pooled."""

    pooled: tuple[Interval, ...]
    spread: tuple[Interval, ...]
    cohorts: int


def naive_forecast(
    target: "Target",
    forecasts: Sequence["Forecast"],
    fitted: Sequence["Target"],
    cohorts: Mapping[str, "Cohort"],
) -> Naive | None:
    """The naive forecast of a figure; None where no other fitted row says anything of it.

    `fitted`: the rows of use `fit`, of which the row itself is left out. A share: events and patients of those rows are
    added up, and a trial of the published size is Binomial with that share. Days: mean of their figures weighted by
    their denominators, and around it the chance of a trial of this size (`Forecast.chance`), which a naive forecaster
    could not know: it is lent to him.
    """
    own = definition(target, cohorts[target.cohort_id])
    alike = [
        row
        for row in fitted
        if row.id != target.id and row.denominator and definition(row, cohorts[row.cohort_id]) == own
    ]
    if not alike:
        return None
    sizes = np.array([row.denominator or 0 for row in alike], float)
    if target.statistic in COUNTED:
        n = target.denominator or 0
        unit = 1 if target.statistic == "count" else n
        events = np.array([published_events(row) for row in alike], float)
        pooled = _ends(binomial(n, events.sum() / sizes.sum()), unit)
        spread = _ends(beta_binomial(n, events.sum() / sizes.sum(), correlation(events, sizes)), unit)
        return Naive((pooled,), (spread,), len(alike))
    numbers = np.array([published_numbers(row) for row in alike])
    centres = np.average(numbers, axis=0, weights=sizes)
    around = NormalDist().inv_cdf(TAILS[1]) * (numbers.std(axis=0, ddof=1) if len(alike) > 1 else 0 * centres)
    chances = [forecast.chance or (0.0, 0.0) for forecast in forecasts]
    return Naive(
        tuple((float(c + low), float(c + high)) for c, (low, high) in zip(centres, chances, strict=True)),
        tuple(
            (float(c - math.hypot(low, more)), float(c + math.hypot(high, more)))
            for c, more, (low, high) in zip(centres, around, chances, strict=True)
        ),
        len(alike),
    )


def correlation(events: np.ndarray, sizes: np.ndarray) -> float:
    """How alike patients of one cohort are beyond what chance makes them, 0 to 1 (Kleinman 1973)."""
    share = events.sum() / sizes.sum()
    variance = share * (1 - share)
    more = len(sizes) - 1
    room = sizes.sum() - (sizes**2).sum() / sizes.sum() - more
    if not more or variance == 0 or room <= 0:
        return 0.0
    between = (sizes * (events / sizes - share) ** 2).sum()
    return float(np.clip((between - variance * more) / (variance * room), 0.0, _MOST_ALIKE))


def beta_binomial(n: int, share: float, alike: float) -> np.ndarray:
    """Probability of 0 .. n events where cohorts differ by the intraclass correlation `alike`."""
    from scipy.special import betaln

    if alike <= 0 or share in (0.0, 1.0):
        return binomial(n, share)
    a, b = share * (1 - alike) / alike, (1 - share) * (1 - alike) / alike
    x = np.arange(n + 1, dtype=float)
    log_choose = -np.log1p(n) - betaln(n - x + 1, x + 1)
    return np.asarray(np.exp(log_choose + betaln(x + a, n - x + b) - betaln(a, b)))


def _ends(distribution: np.ndarray, unit: int) -> Interval:
    lower, upper = (quantile_of(distribution, tail) for tail in TAILS)
    return lower / unit, upper / unit


def published_events(target: "Target") -> int:
    """Patients with the event: a published share is rounded, patients are whole."""
    assert target.value is not None and target.denominator is not None
    return round(target.value if target.statistic == "count" else target.value * target.denominator)


def published_numbers(target: "Target") -> tuple[float, ...]:
    """What was published: one number, of an interquartile range both quartiles."""
    if target.statistic == "iqr":
        assert target.low is not None and target.high is not None
        return target.low, target.high
    assert target.value is not None
    if target.statistic == "proportion":
        return (published_events(target) / (target.denominator or 1),)
    return (target.value,)
