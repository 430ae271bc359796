"""One arm at a time: what share, how much, how long, with the error that more subjects would remove."""

import math
from collections.abc import Iterator

from cartsim.analysis.accumulate import LEVELS, ArmTotals
from cartsim.analysis.columns import Row
from cartsim.analysis.endpoints import Endpoint
from cartsim.analysis.frame import Frame
from cartsim.analysis.incidence import Curve, aalen_johansen, counts_by_time, incidence_interval
from cartsim.analysis.intervals import normal_quantile, t_interval, wilson


def incidence_curve(totals: ArmTotals, column: str) -> Curve:
    """Cumulative incidence of the event timed in `column`, with death competing."""
    counts = counts_by_time([totals.values[column], totals.deaths[column]], totals.censored[column])
    return aalen_johansen(*counts)[0][0]


def proportion_sd(events: int, n: int) -> float | None:
    """Sample standard deviation (n - 1) of an indicator."""
    return math.sqrt(events * (n - events) / n / (n - 1)) if n > 1 else None


def standard_error(sd: float | None, n: int) -> float | None:
    """sd / sqrt(n), null without an sd."""
    return None if sd is None else sd / math.sqrt(n)


def outcome_rows(
    frame: Frame, endpoint: Endpoint, arm_id: str, totals: ArmTotals, days: tuple[float, ...]
) -> Iterator[Row]:
    """Yield the rows of one endpoint in one arm, as if subjects were independent units."""
    if endpoint.kind == "risk":
        row = frame.row(endpoint, arm_id, "proportion", endpoint.level)
        at_least = endpoint.at_least if endpoint.measure == "level" else 1
        yield _proportion(frame, row, totals.events((endpoint.measure, endpoint.column), at_least), totals.n)
        if endpoint.shares:
            yield from _shares(frame, endpoint, arm_id, totals)
    elif endpoint.kind == "mean":
        yield _mean(frame, frame.row(endpoint, arm_id, "mean", None), endpoint, totals)
    elif endpoint.kind == "median":
        yield _median(frame, frame.row(endpoint, arm_id, "median", 0.5), endpoint, totals)
    else:
        yield from _incidence(frame, endpoint, arm_id, totals, days)


def _proportion(frame: Frame, row: Row, events: int, n: int) -> Row:
    lower, upper = wilson(events, n, frame.confidence)
    sd = proportion_sd(events, n)
    return row | {
        "n_units": n,
        "n_events": events,
        "value": events / n if n else None,
        "sd_subject": sd,
        "mcse": standard_error(sd, n),
        "lower": lower,
        "upper": upper,
        "interval_method": "Wilson" if n else "none",
    }


def _shares(frame: Frame, endpoint: Endpoint, arm_id: str, totals: ArmTotals) -> Iterator[Row]:
    counts = totals.levels.get((endpoint.measure, endpoint.column), [0] * LEVELS)
    for grade, count in enumerate(counts):
        row = frame.row(endpoint, arm_id, "share", float(grade))
        named = row["estimand_id"].replace(endpoint.id, f"{(endpoint.syndrome or '').lower()}_grade", 1)
        row |= {"endpoint": named.split(".")[0], "estimand_id": named}
        yield _proportion(frame, row, int(count), totals.n)


def _mean(frame: Frame, row: Row, endpoint: Endpoint, totals: ArmTotals) -> Row:
    moments = totals.moments.get(endpoint.column)
    n = moments.count if moments else 0
    mean, sd = (moments.mean, moments.sd) if moments else (None, None)
    lower, upper = (None, None) if mean is None or sd is None else t_interval(mean, sd, n, frame.confidence)
    return row | {
        "n_units": n,
        "value": mean,
        "sd_subject": sd,
        "mcse": standard_error(sd, n),
        "lower": lower,
        "upper": upper,
        "interval_method": "t" if lower is not None else "none",
    }


def _median(frame: Frame, row: Row, endpoint: Endpoint, totals: ArmTotals) -> Row:
    held = totals.values.get(endpoint.column)
    value, (lower, upper) = held.median(frame.confidence) if held else (None, (None, None))
    n = held.count if held else 0
    width = None if lower is None or upper is None else upper - lower
    return row | {
        "n_units": n,
        "n_events": n if endpoint.conditioning else None,
        "value": value,
        # The order-statistic interval read as a normal one: a median has no sd of its own.
        "mcse": None if width is None else width / (2 * normal_quantile(frame.confidence)),
        "lower": lower,
        "upper": upper,
        "interval_method": "order statistics" if lower is not None else "none",
    }


def _incidence(
    frame: Frame, endpoint: Endpoint, arm_id: str, totals: ArmTotals, days: tuple[float, ...]
) -> Iterator[Row]:
    curve = incidence_curve(totals, endpoint.column) if totals.n else None
    for back, day in enumerate(days):
        row = frame.row(endpoint, arm_id, "cumulative incidence", day)
        if curve is None:
            yield row | {"n_units": 0, "n_events": 0, "value": None, "interval_method": "none"}
            continue
        value, se = curve.at(day)
        (lower, upper), method = incidence_interval(curve, day, frame.confidence)
        yield row | {
            "n_units": curve.n,
            "n_events": totals.events(("time", endpoint.column), len(days) - back),
            "value": value,
            "sd_subject": None if se is None else se * math.sqrt(curve.n),
            "mcse": se,
            "lower": lower,
            "upper": upper,
            "interval_method": method,
        }
