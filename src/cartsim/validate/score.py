"""Why: a model that says "between 0 and 100 %" is never wrong, so being inside is counted together with how wide the
interval was, and both beside a forecast that needs no model (STATISTICS 5).

The interval score (Gneiting and Raftery 2007) is the width plus 2/alpha times the distance by which the published
number is missed: low is good, and nothing is gained by an interval that is not one's own. So that shares and days can
be averaged it is divided by a width that no forecast can move. Of a share: the 95 % interval of a binomial at the
published size, at (events + 1/2)/(n + 1), so that 0 of n has a width too. Of days: 2 * 1.96 * hypot(0.15 days, 0.3 d),
the error that the calibration grants a published median (MODEL 7). Below 1 means better than that.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import TYPE_CHECKING

from cartsim.validate.naive import Interval, naive_forecast, published_events, published_numbers
from cartsim.validate.predict import Forecast, Prediction
from cartsim.validate.trials import COUNTED, TAILS, binomial, quantile_of

if TYPE_CHECKING:
    from cartsim.calibrate.cohorts import Cohort
    from cartsim.evidence.targets import Target

ALPHA = 0.05
#: Tiers that are scored, in the order in which they are told.
SCORED = ("fit", "predict_same", "predict_new")
#: Error granted to a published median: a share of it, and days (MODEL 7).
DAY_SHARE, DAY_LEAST = 0.15, 0.3
#: A median of onset or duration is met within so many days or this share of it.
WITHIN_D, WITHIN_SHARE = 0.5, 0.15
#: What is recorded in whole days is not known better than that.
WHOLE_DAY = 1.0
_ALMOST = 1e-9


@dataclass(frozen=True)
class Number:
    """One published number beside its forecast, all in the unit of the row (a count in events).

    `scale`: width by which scores are divided; `known_width`: width of the interval if the parameters were known.
    `naive` and `spread` (see `naive`) are None where no fitted row says anything of the endpoint.
    """

    published: float
    exact: Interval | None
    value: float
    lower: float
    upper: float
    scale: float
    known_width: float
    naive: Interval | None
    spread: Interval | None

    @property
    def inside(self) -> bool:
        """Whether the published number is in the predictive interval; never where nothing was predicted."""
        return holds((self.lower, self.upper), self.published)

    @property
    def score(self) -> float:
        """Interval score over the scale; NaN where nothing was predicted."""
        return interval_score(self.lower, self.upper, self.published) / self.scale

    @property
    def naive_score(self) -> float | None:
        """The same of the naive forecast."""
        return None if self.naive is None else interval_score(*self.naive, self.published) / self.scale

    @property
    def spread_score(self) -> float | None:
        """The same of the naive forecast with the spread between cohorts."""
        return None if self.spread is None else interval_score(*self.spread, self.published) / self.scale

    @property
    def width_ratio(self) -> float:
        """Width of the predictive interval over that with known parameters, both no finer than they can be seen."""
        return max(self.upper - self.lower, self._finest) / max(self.known_width, self._finest)

    @property
    def _finest(self) -> float:
        return WHOLE_DAY if self.exact is None else 0.0


@dataclass(frozen=True)
class Row:
    """A target, its forecast and what became of it. `contrast`: its cohort was treated by another policy than the
    fitted cohorts of its product, so the forecast is one of a policy too."""

    target: "Target"
    numbers: tuple[Number, ...]
    contrast: bool
    draws: int

    @property
    def tier(self) -> str:
        """The frozen split: fit, predict_same, predict_new or recalled."""
        return self.target.use

    @property
    def scored(self) -> bool:
        """Recalled rows are shown and never scored."""
        return self.tier in SCORED

    @property
    def inside(self) -> bool:
        """Of an interquartile range both quartiles."""
        return all(number.inside for number in self.numbers)

    @property
    def score(self) -> float:
        """Mean over the row's numbers."""
        return fmean(number.score for number in self.numbers)

    @property
    def naive_score(self) -> float | None:
        """Mean over the row's numbers; None without a naive forecast."""
        return _mean_of_all([number.naive_score for number in self.numbers])

    @property
    def spread_score(self) -> float | None:
        """Mean over the row's numbers; None without a naive forecast."""
        return _mean_of_all([number.spread_score for number in self.numbers])

    @property
    def width_ratio(self) -> float:
        """Mean over the row's numbers."""
        return fmean(number.width_ratio for number in self.numbers)

    @property
    def is_time(self) -> bool:
        """Whether it is a median of onset or duration."""
        return self.target.statistic == "median" and self.target.endpoint.endswith(("_onset", "_duration"))

    @property
    def within(self) -> bool:
        """Whether a median of onset or duration is met within half a day or 15 %."""
        number = self.numbers[0]
        return (
            abs(number.value - number.published) <= max(WITHIN_D, WITHIN_SHARE * number.published) + _ALMOST
        )


def _mean_of_all(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None


def interval_score(lower: float, upper: float, published: float, alpha: float = ALPHA) -> float:
    """Width plus 2/alpha times the distance by which the interval misses (Gneiting and Raftery 2007, JASA 102:359)."""
    return (upper - lower) + 2 / alpha * (max(lower - published, 0.0) + max(published - upper, 0.0))


def holds(interval: Interval, published: float) -> bool:
    """Whether an interval holds a number, ends included."""
    return interval[0] - _ALMOST <= published <= interval[1] + _ALMOST


def binomial_width(events: int, n: int) -> float:
    """Width of the 95 % interval of a binomial of `n` at (events + 1/2)/(n + 1), in events."""
    distribution = binomial(n, (events + 0.5) / (n + 1))
    lower, upper = (quantile_of(distribution, tail) for tail in TAILS)
    return float(upper - lower)


def day_width(published: float) -> float:
    """Width of the 95 % interval that the calibration grants a published number of days."""
    z = NormalDist().inv_cdf(1 - ALPHA / 2)
    return 2 * z * math.hypot(DAY_SHARE * published, DAY_LEAST)


def make_rows(
    predictions: Sequence[Prediction], cohorts: Mapping[str, "Cohort"], fitted: Sequence["Target"]
) -> list[Row]:
    """The rows of a report, in the order of the predictions; `fitted` are all targets of use `fit`."""
    policies: dict[str, set[str]] = {}
    for target in fitted:
        cohort = cohorts[target.cohort_id]
        policies.setdefault(cohort.scenario.product.id, set()).add(_policy(cohort))
    return [
        Row(
            prediction.target,
            _numbers(prediction, fitted, cohorts),
            _is_contrast(cohorts[prediction.target.cohort_id], policies),
            prediction.draws,
        )
        for prediction in predictions
    ]


def _policy(cohort: "Cohort") -> str:
    return cohort.scenario.arms[0].policy.id


def _is_contrast(cohort: "Cohort", policies: Mapping[str, set[str]]) -> bool:
    fitted = policies.get(cohort.scenario.product.id)
    return fitted is not None and _policy(cohort) not in fitted


def _numbers(
    prediction: Prediction, fitted: Sequence["Target"], cohorts: Mapping[str, "Cohort"]
) -> tuple[Number, ...]:
    target = prediction.target
    naive = naive_forecast(target, prediction.forecasts, fitted, cohorts)
    none: Sequence[Interval | None] = [None] * len(prediction.forecasts)
    make = _share if target.statistic in COUNTED else _days
    return tuple(
        make(target, published, forecast, pooled, spread)
        for published, forecast, pooled, spread in zip(
            published_numbers(target),
            prediction.forecasts,
            naive.pooled if naive else none,
            naive.spread if naive else none,
            strict=True,
        )
    )


def _share(
    target: "Target", published: float, forecast: Forecast, naive: Interval | None, spread: Interval | None
) -> Number:
    from cartsim.analysis.intervals import exact_binomial

    n, events = target.denominator or 0, published_events(target)
    unit = n if target.statistic == "count" else 1
    lower, upper = (float(end) * unit for end in exact_binomial(events, n))
    width = binomial_width(events, n) / n * unit
    value, low, high = forecast.value * unit, forecast.lower * unit, forecast.upper * unit
    return Number(published, (lower, upper), value, low, high, width, width, naive, spread)


def _days(
    target: "Target", published: float, forecast: Forecast, naive: Interval | None, spread: Interval | None
) -> Number:
    below, above = forecast.chance or (0.0, 0.0)
    value, low, high = forecast.value, forecast.lower, forecast.upper
    return Number(published, None, value, low, high, day_width(published), above - below, naive, spread)
