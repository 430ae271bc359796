"""The same subjects under two policies: the difference, what pairing saved, who was helped and who was harmed."""

import math
from collections.abc import Iterator

import numpy as np

from cartsim.analysis.accumulate import ArmTotals, PairedValues, PairTotals
from cartsim.analysis.columns import Row
from cartsim.analysis.endpoints import Endpoint
from cartsim.analysis.frame import Frame
from cartsim.analysis.intervals import (
    NONE,
    Interval,
    UniformBlock,
    frechet_harm,
    log_risk_ratio,
    median_difference_bootstrap,
    number_needed,
    paired_risk_difference,
    t_interval,
    unpaired_risk_difference,
    variance_ratio_risk,
    welch_interval,
    wilson,
)
from cartsim.analysis.outcomes import proportion_sd, standard_error

#: Printed wherever helped and harmed are.
JOINT_CAVEAT = (
    "Joint outcomes under two policies cannot be observed. Shared draws and one-directional drug effects push harm "
    "towards zero; only the margins can be checked against data. Harm bounds are those of the margins alone."
)


def contrast_rows(
    frame: Frame,
    endpoint: Endpoint,
    arm_id: str,
    reference_arm: str,
    new: ArmTotals,
    reference: ArmTotals,
    pair: PairTotals,
    days: tuple[float, ...],
    uniform_block: UniformBlock | None,
) -> Iterator[Row]:
    """Yield the rows of one endpoint: `arm_id` minus (or over) the reference, subjects as paired units.

    Endpoints that condition on a post-infusion event are described by arm and not contrasted.
    """
    if not endpoint.contrastable:
        return
    feature = (endpoint.measure, endpoint.column)
    if endpoint.kind == "risk":
        at_least = endpoint.at_least if endpoint.measure == "level" else 1
        both, n01, n10 = pair.discordant(feature, at_least)
        rows = [
            _risk_difference(frame, endpoint, arm_id, endpoint.level, both, n01, n10, new.n, pair.identical)
        ]
        rows.append(_log_risk_ratio(frame, endpoint, arm_id, both, n01, n10, new.n, pair.identical))
        if endpoint.helped_harmed:
            rows += _helped_harmed(frame, endpoint, arm_id, both, n01, n10, new.n, pair.identical)
    elif endpoint.kind == "incidence":
        rows = []
        for back, day in enumerate(days):
            both, n01, n10 = pair.discordant(feature, len(days) - back)
            if _all_followed(endpoint, day, new, reference):
                row = _risk_difference(frame, endpoint, arm_id, day, both, n01, n10, new.n, pair.identical)
            else:
                row = frame.row(endpoint, arm_id, "risk difference", day)
                row |= {"n_units": new.n, "value": None, "interval_method": "none: censored before the day"}
            rows.append(row)
    elif endpoint.kind == "mean":
        rows = [_mean_difference(frame, endpoint, arm_id, new, reference, pair)]
    else:
        rows = [_median_difference(frame, endpoint, arm_id, new, reference, pair, uniform_block)]
    for row in rows:
        yield row | {"reference_arm": reference_arm}


def _risk_difference(
    frame: Frame,
    endpoint: Endpoint,
    arm_id: str,
    level: float | None,
    both: int,
    n01: int,
    n10: int,
    n: int,
    identical: bool,
) -> Row:
    row = frame.row(endpoint, arm_id, "risk difference", level)
    if n == 0:
        return row | {
            "n_units": 0,
            "n_events": 0,
            "value": None,
            "n01": 0,
            "n10": 0,
            "interval_method": "none",
        }
    difference = (n01 - n10) / n
    events1, events0 = both + n01, both + n10
    interval, method = paired_risk_difference(n01, n10, n, identical=identical, level=frame.confidence)
    sd = math.sqrt(max(0.0, (n01 + n10) / n - difference**2) * n / (n - 1)) if n > 1 else None
    unpaired = unpaired_risk_difference(events1, events0, n, frame.confidence)
    nnt, (nnt_lower, nnt_upper) = number_needed(difference, interval) if endpoint.adverse else (None, NONE)
    harm = frechet_harm(events1 / n, events0 / n) if endpoint.adverse else NONE
    return row | {
        "n_units": n,
        "n_events": events1,
        "value": difference,
        "sd_subject": sd,
        "mcse": standard_error(sd, n),
        "lower": interval[0],
        "upper": interval[1],
        "interval_method": method,
        "n10": n10,
        "n01": n01,
        "variance_ratio": variance_ratio_risk(n01, n10, events1, events0, n),
        "unpaired_lower": unpaired[0],
        "unpaired_upper": unpaired[1],
        "harm_lower": harm[0],
        "harm_upper": harm[1],
        "nnt": nnt,
        "nnt_lower": nnt_lower,
        "nnt_upper": nnt_upper,
        "nnt_kind": None if nnt is None else "NNT" if difference < 0 else "NNH",
    }


def _all_followed(endpoint: Endpoint, day: float, *arms: ArmTotals) -> bool:
    """Whether nobody was censored before `day`, so that incidence is a plain share and pairs can be counted."""
    held = [totals.censored[endpoint.column] for totals in arms if totals.n]
    return all(censored.count == 0 or censored.order_statistic(1) >= day for censored in held)


def _log_risk_ratio(
    frame: Frame, endpoint: Endpoint, arm_id: str, both: int, n01: int, n10: int, n: int, identical: bool
) -> Row:
    value, se, interval = log_risk_ratio(both, n01, n10, frame.confidence)
    if identical and value is not None:
        interval = (0.0, 0.0)
    return frame.row(endpoint, arm_id, "log risk ratio", endpoint.level) | {
        "n_units": n,
        "n_events": both + n01,
        "value": value,
        "mcse": se,
        "lower": interval[0],
        "upper": interval[1],
        "interval_method": "none" if interval[0] is None else "identical rows" if identical else "paired log",
        "n10": n10,
        "n01": n01,
    }


def _helped_harmed(
    frame: Frame, endpoint: Endpoint, arm_id: str, both: int, n01: int, n10: int, n: int, identical: bool
) -> list[Row]:
    harm = frechet_harm((both + n01) / n, (both + n10) / n) if n else NONE
    rows = []
    for summary, count in (("helped", n10), ("harmed", n01)):
        lower, upper = (0.0, 0.0) if identical and n else wilson(count, n, frame.confidence)
        sd = proportion_sd(count, n)
        rows.append(
            frame.row(endpoint, arm_id, summary, endpoint.level)
            | {
                "n_units": n,
                "n_events": count,
                "value": count / n if n else None,
                "sd_subject": sd,
                "mcse": standard_error(sd, n),
                "lower": lower,
                "upper": upper,
                "interval_method": "none" if n == 0 else "identical rows" if identical else "Wilson",
                "n10": n10,
                "n01": n01,
                "harm_lower": harm[0] if summary == "harmed" else None,
                "harm_upper": harm[1] if summary == "harmed" else None,
            }
        )
    return rows


def _mean_difference(
    frame: Frame, endpoint: Endpoint, arm_id: str, new: ArmTotals, reference: ArmTotals, pair: PairTotals
) -> Row:
    row = frame.row(endpoint, arm_id, "mean difference", None)
    paired = pair.differences.get(endpoint.column)
    if paired is None or paired.mean is None:
        return row | {"n_units": 0, "value": None, "interval_method": "none"}
    n, mean, sd = paired.count, paired.mean, paired.sd
    m1, m0 = new.moments[endpoint.column], reference.moments[endpoint.column]
    interval: Interval = NONE
    unpaired: Interval = NONE
    ratio = None
    method = "none"
    if sd is not None and m1.sd is not None and m0.sd is not None:
        unpaired = welch_interval(m1.mean or 0.0, m1.sd, m0.mean or 0.0, m0.sd, n, frame.confidence)
        if pair.identical:
            interval, method = (0.0, 0.0), "identical rows"
        elif sd > 0:
            interval, method = t_interval(mean, sd, n, frame.confidence), "paired t"
            ratio = (m1.sd**2 + m0.sd**2) / sd**2
    return row | {
        "n_units": n,
        "value": mean,
        "sd_subject": sd,
        "mcse": standard_error(sd, n),
        "lower": interval[0],
        "upper": interval[1],
        "interval_method": method,
        "variance_ratio": ratio,
        "unpaired_lower": unpaired[0],
        "unpaired_upper": unpaired[1],
    }


def _median_difference(
    frame: Frame,
    endpoint: Endpoint,
    arm_id: str,
    new: ArmTotals,
    reference: ArmTotals,
    pair: PairTotals,
    uniform_block: UniformBlock | None,
) -> Row:
    row = frame.row(endpoint, arm_id, "difference of medians", 0.5)
    held1, held0 = new.values.get(endpoint.column), reference.values.get(endpoint.column)
    m1 = held1.median()[0] if held1 else None
    m0 = held0.median()[0] if held0 else None
    if held1 is None or m1 is None or m0 is None:
        return row | {"n_units": 0, "value": None, "interval_method": "none"}
    se, interval, method = _median_interval(frame, pair.medians[endpoint.column], m1 - m0, uniform_block)
    if pair.identical:
        se, interval, method = 0.0, (0.0, 0.0), "identical rows"
    return row | {
        "n_units": held1.count,
        "value": m1 - m0,
        "mcse": se,
        "lower": interval[0],
        "upper": interval[1],
        "interval_method": method,
    }


def _median_interval(
    frame: Frame, paired: PairedValues, value: float, uniform_block: UniformBlock | None
) -> tuple[float | None, Interval, str]:
    if not paired.raw:
        k = len(paired.sections)
        centre = math.fsum(paired.sections) / k
        sd = math.sqrt(math.fsum((d - centre) ** 2 for d in paired.sections) / (k - 1))
        if sd == 0:
            return 0.0, NONE, "none"
        return sd / math.sqrt(k), t_interval(value, sd, k, frame.confidence), "sub-blocks, t"
    if uniform_block is None:
        return None, NONE, "none"
    new = np.concatenate([pair[0] for pair in paired.raw])
    reference = np.concatenate([pair[1] for pair in paired.raw])
    se, interval = median_difference_bootstrap(new, reference, uniform_block, level=frame.confidence)
    if se == 0:
        return se, NONE, "none"  # medians on a grid that never moved: no width is not certainty
    return se, interval, "none" if interval[0] is None else "bootstrap"
