"""How replicates become one row where subjects may not be pooled.

Within a batch run the subject is the unit of replication. Subjects of one ward wait for the same beds, and points of
one Sobol' scramble know of each other, so there the whole replicate is the unit, and one replicate has no interval.
"""

import math
from collections.abc import Sequence

from cartsim.analysis.columns import Row
from cartsim.analysis.intervals import t_interval

#: Columns in which two rows of different replicates are the same statistic.
STATISTIC = ("arm_id", "estimand_id", "level")
#: What a difference between arms is a difference of.
ARM_SUMMARIES = {
    "risk difference": ("proportion", "cumulative incidence"),
    "mean difference": ("mean",),
    "difference of medians": ("median",),
}
Values = dict[tuple[object, ...], list[float | None]]


def over_replicates(per_replicate: Sequence[Sequence[Row]], confidence: float) -> list[Row]:
    """Combine the same statistics of several replicates: mean of the values, t interval over replicates.

    One replicate leaves value and counts, and null for everything that would need a second.
    """
    grouped: dict[tuple[object, ...], list[Row]] = {}
    for rows in per_replicate:
        for row in rows:
            grouped.setdefault(tuple(row[name] for name in STATISTIC), []).append(row)
    return [_combine(rows, confidence) for rows in grouped.values()]


def _combine(rows: Sequence[Row], confidence: float) -> Row:
    out = dict(rows[0])
    for name in ("lower", "upper", "unpaired_lower", "unpaired_upper", "variance_ratio", "mcse"):
        out[name] = None
    for name in ("nnt", "nnt_lower", "nnt_upper", "nnt_kind"):
        out.pop(name, None)
    for name in ("n_events", "n10", "n01"):
        held = [row.get(name) for row in rows]
        out[name] = None if None in held else sum(held)
    for name in ("harm_lower", "harm_upper"):
        out[name] = _mean([row.get(name) for row in rows])
    values = [row["value"] for row in rows if row["value"] is not None]
    spread = [row["sd_subject"] ** 2 for row in rows if row.get("sd_subject") is not None]
    out["n_units"] = len(values)
    out["value"] = _mean(values)
    out["sd_subject"] = math.sqrt(math.fsum(spread) / len(spread)) if spread else None
    out["interval_method"] = "none"
    if len(values) > 1:
        sd = math.sqrt(math.fsum((v - out["value"]) ** 2 for v in values) / (len(values) - 1))
        out["mcse"] = sd / math.sqrt(len(values))
        identical = all(row["interval_method"] == "identical rows" for row in rows)
        if sd > 0 or identical:
            lower, upper = t_interval(out["value"], sd, len(values), confidence)
            out["lower"], out["upper"] = _possible(out, lower, upper)
            out["interval_method"] = "identical rows" if identical else "t over replicates"
    return out


def _possible(row: Row, lower: float | None, upper: float | None) -> tuple[float | None, float | None]:
    """No share lies outside 0 and 1, and no mean or median of a day, dose or count below 0."""
    if lower is None or upper is None or "reference_arm" in row:
        return lower, upper
    is_share = row["summary"] in ("proportion", "share", "cumulative incidence")
    return max(0.0, lower), min(1.0, upper) if is_share else upper


def _mean(values: Sequence[float | None]) -> float | None:
    held = [v for v in values if v is not None]
    return math.fsum(held) / len(held) if held else None


def arm_values(per_replicate: Sequence[Sequence[Row]]) -> Values:
    """Outcome values of every replicate, in order, by arm, endpoint, scale, view, level and summary."""
    values: Values = {}
    for rows in per_replicate:
        for row in rows:
            values.setdefault(_place(row, row["arm_id"], row["summary"]), []).append(row["value"])
    return values


def compare_unpaired(rows: Sequence[Row], values: Values, confidence: float) -> None:
    """Fill what pairing saved: variance ratio and unpaired interval, from the arms' values over replicates."""
    for row in rows:
        for summary in ARM_SUMMARIES.get(row["summary"], ()):
            new = values.get(_place(row, row["arm_id"], summary))
            old = values.get(_place(row, row["reference_arm"], summary))
            if new is None or old is None or row["value"] is None:
                continue
            both = [(a, b) for a, b in zip(new, old, strict=True) if a is not None and b is not None]
            if len(both) < 2:
                continue
            unpaired = _variance([a for a, _ in both]) + _variance([b for _, b in both])
            paired = _variance([a - b for a, b in both])
            row["variance_ratio"] = unpaired / paired if paired > 0 else None
            if unpaired > 0:
                sd = math.sqrt(unpaired)
                row["unpaired_lower"], row["unpaired_upper"] = t_interval(
                    row["value"], sd, len(both), confidence
                )


def _place(row: Row, arm_id: object, summary: object) -> tuple[object, ...]:
    return arm_id, row["endpoint"], row["scale"], row["view"], row["level"], summary


def _variance(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1)
