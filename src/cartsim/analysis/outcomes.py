"""One arm at a time: what share, how much, how long, with the error that more subjects would remove."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cartsim.analysis.endpoints import Endpoint
from cartsim.analysis.fixed import finish
from cartsim.analysis.frame import Frame, Line
from cartsim.analysis.held import Held
from cartsim.analysis.incidence import Curve, curve_of, incidence_interval, log_log_interval
from cartsim.analysis.intervals import CODE, Floats, normal_quantile, t_interval, wilson
from cartsim.analysis.medians import median_ranks
from cartsim.analysis.numbers import Numbers
from cartsim.analysis.plan import LEVELS, Plan

Ints = NDArray[np.int64]


class _Share(NamedTuple):
    """Subjects at level `low` to `high` of a feature, among those at level `among` or above."""

    row: int
    arm: int
    feature: int
    low: int
    high: int
    among: int = 0


class _Statistic(NamedTuple):
    """A mean or a median: where its column stands among the plan's."""

    row: int
    arm: int
    place: int
    conditioned: bool


class _Incidence(NamedTuple):
    row: int
    arm: int
    feature: int
    low: int
    time: int
    day: int


class OutcomeRows:
    """The rows of one design point, in reporting order, and the numbers of them over many cohorts."""

    def __init__(self, frame: Frame, endpoints: Sequence[Endpoint], arms: Sequence[str], plan: Plan) -> None:
        self._frame, self._plan = frame, plan
        self._values = tuple(sorted({*plan.medians, *plan.times}))
        self.lines: list[Line] = []
        self.shares: list[_Share] = []
        self.means: list[_Statistic] = []
        self.medians: list[_Statistic] = []
        self.incidences: list[_Incidence] = []
        for arm, arm_id in enumerate(arms):
            for endpoint in endpoints:
                self._add(endpoint, arm, arm_id)

    def _line(
        self, endpoint: Endpoint, arm_id: str, summary: str, level: float | None, name: str = ""
    ) -> int:
        self.lines.append(Line(endpoint, arm_id, summary, level, name or endpoint.id))
        return len(self.lines) - 1

    def _add(self, endpoint: Endpoint, arm: int, arm_id: str) -> None:
        plan, column = self._plan, endpoint.column
        if endpoint.kind == "mean":
            row = self._line(endpoint, arm_id, "mean", None)
            self.means.append(_Statistic(row, arm, plan.means.index(column), False))
        elif endpoint.kind == "median":
            row = self._line(endpoint, arm_id, "median", 0.5)
            place = self._values.index(column)
            self.medians.append(_Statistic(row, arm, place, endpoint.conditioning is not None))
        elif endpoint.kind == "incidence":
            feature, time = plan.levels.index(("time", column)), plan.times.index(column)
            for k, day in enumerate(plan.days):
                row = self._line(endpoint, arm_id, "cumulative incidence", day)
                self.incidences.append(_Incidence(row, arm, feature, len(plan.days) - k, time, k))
        else:
            feature = plan.levels.index((endpoint.measure, column))
            low = endpoint.at_least if endpoint.measure == "level" else 1
            row = self._line(endpoint, arm_id, "proportion", endpoint.level)
            self.shares.append(_Share(row, arm, feature, low, LEVELS - 1, endpoint.among))
            for grade in range(LEVELS) if endpoint.shares else ():
                name = f"{(endpoint.syndrome or '').lower()}_grade"
                row = self._line(endpoint, arm_id, "share", float(grade), name)
                self.shares.append(_Share(row, arm, feature, grade, grade))

    def numbers(self, held: Held) -> Numbers:
        """Return every number, (rows, cohorts), as if subjects were independent units."""
        out = Numbers(len(self.lines), len(held.design), contrasts=False)
        # Subjects at each level or above, nobody above the last.
        above = np.zeros((*held.levels.shape[:-1], LEVELS + 1), np.int64)
        above[..., :-1] = np.cumsum(held.levels[..., ::-1], axis=-1)[..., ::-1]
        if self.shares:
            rows, arm, feature, low, high, among = np.array(self.shares).T
            events = above[arm, feature, :, low] - above[arm, feature, :, high + 1]
            n = np.where(among[:, None] > 0, above[arm, feature, :, among], held.n[arm])
            out.put(rows, **proportion(events, n, self._frame.confidence))
        if self.means:
            self._put_means(out, held)
        if self.medians:
            self._put_medians(out, held)
        if self.incidences:
            self._put_incidences(out, held, above)
        return out

    def _put_means(self, out: Numbers, held: Held) -> None:
        rows, arm, place, _ = np.array(self.means).T
        n, mean, sd = (x[arm, place] for x in finish(held.moments))
        lower, upper = t_interval(mean, sd, n, self._frame.confidence)
        method = np.where(np.isnan(lower), CODE["none"], CODE["t"])
        out.put(
            rows, n_units=n, value=mean, sd_subject=sd, mcse=standard_error(sd, n), lower=lower, upper=upper
        )
        out.put(rows, interval_method=method)

    def _put_medians(self, out: Numbers, held: Held) -> None:
        rows, arm, place, conditioned = np.array(self.medians).T
        level = self._frame.confidence
        n = held.values.n[arm, place]
        value = medians(held)[arm, place]
        lower, upper = (held.values.ranked(rank)[arm, place] for rank in median_ranks(held.values.n, level))
        out.put(
            rows,
            n_units=n,
            n_events=np.where(conditioned[:, None], n, -1),
            value=value,
            # The order-statistic interval read as a normal one: a median has no sd of its own.
            mcse=(upper - lower) / (2 * normal_quantile(level)),
            lower=lower,
            upper=upper,
            interval_method=np.where(np.isnan(lower), CODE["none"], CODE["order statistics"]),
        )

    def _put_incidences(self, out: Numbers, held: Held, above: Ints) -> None:
        rows, arm, feature, low, time, day = np.array(self.incidences).T
        events, n = above[arm, feature, :, low], held.n[arm]
        columns = proportion(events, n, self._frame.confidence)
        # Followed by everyone, incidence is a plain share: no product of hazards, no rounding.
        p = columns["value"]
        with np.errstate(divide="ignore", invalid="ignore"):
            columns["mcse"] = np.sqrt(p * (1 - p) / n)
            columns["sd_subject"] = columns["mcse"] * np.sqrt(n)
        inside = (p > 0) & (p < 1)
        lower, upper = log_log_interval(p, columns["mcse"], self._frame.confidence)
        columns["lower"] = np.where(inside, lower, columns["lower"])
        columns["upper"] = np.where(inside, upper, columns["upper"])
        method = CODE["Aalen-Johansen, log-log"]
        columns["interval_method"] = np.where(inside, method, columns["interval_method"])
        left = held.unfollowed[arm, time, :, day] > 0
        for k, cohort in np.argwhere(left):
            found = self._censored(held, self.incidences[k], int(cohort))
            for name, number in found.items():
                columns[name][k, cohort] = number
        out.put(rows, n_events=events, **{name: x for name, x in columns.items() if name != "n_events"})

    def _censored(self, held: Held, which: _Incidence, cohort: int) -> dict[str, float]:
        """Numbers of one incidence where somebody left before the day: Aalen-Johansen, if its times were kept."""
        found = dict.fromkeys(("value", "mcse", "sd_subject", "lower", "upper"), np.nan)
        day, n = self._plan.days[which.day], int(held.n[which.arm, cohort])
        curve = cohort_curve(held, self._plan, which.arm, which.time, cohort)
        if curve is None or curve.n != n:
            return found | {"interval_method": CODE["none: censored before the day"]}
        value, se = curve.at(day)
        (lower, upper), method = incidence_interval(curve, day, self._frame.confidence)
        numbers = (value, se, se * np.sqrt(n), lower, upper)
        return dict(zip(found, numbers, strict=True)) | {"interval_method": CODE[method]}


def cohort_curve(held: Held, plan: Plan, arm: int, time: int, cohort: int) -> Curve | None:
    """Cumulative incidence with death competing, of one cohort; null where the times were not counted."""
    if not plan.curves:
        return None
    name = plan.times[time]
    tables = [
        (key, count)
        for key, _, count in (v.series(arm, name, cohort) for v in (held.values, held.deaths, held.censored))
    ]
    return curve_of(*tables)


def medians(held: Held) -> Floats:
    """Median of every series of values, (arms, features, cohorts)."""
    n = held.values.n
    return 0.5 * (held.values.ranked((n + 1) // 2) + held.values.ranked(n // 2 + 1))


def proportion(events: Ints, n: Ints, level: float) -> dict[str, NDArray[Any]]:
    """Columns of a share, with Wilson's interval."""
    lower, upper = wilson(events, n, level)
    sd = proportion_sd(events, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = events / n
    return {
        "n_units": n,
        "n_events": events,
        "value": value,
        "sd_subject": sd,
        "mcse": standard_error(sd, n),
        "lower": lower,
        "upper": upper,
        "interval_method": np.where(n > 0, CODE["Wilson"], CODE["none"]),
    }


@np.errstate(divide="ignore", invalid="ignore")
def proportion_sd(events: Ints, n: Ints) -> Floats:
    """Sample standard deviation (n - 1) of an indicator, NaN below two subjects."""
    return np.where(n > 1, np.sqrt(events * (n - events) / n / (n - 1)), np.nan)


@np.errstate(divide="ignore", invalid="ignore")
def standard_error(sd: Floats, n: Ints) -> Floats:
    """sd / sqrt(n), NaN without an sd."""
    return np.asarray(sd / np.sqrt(n))
