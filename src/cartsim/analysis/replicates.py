"""How replicates become one number where subjects may not be pooled.

Within a batch run the subject is the unit of replication. Subjects of one ward wait for the same beds, and points of
one Sobol' scramble know of each other, so there the whole replicate is the unit, and one replicate has no interval.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cartsim.analysis.frame import Line
from cartsim.analysis.intervals import CODE, Floats, t_interval
from cartsim.analysis.numbers import Numbers

#: What a difference between arms is a difference of.
ARM_SUMMARIES = {
    "risk difference": ("proportion", "cumulative incidence"),
    "mean difference": ("mean",),
    "difference of medians": ("median",),
}


class Replicates:
    """Which cohorts are replicates of the same design point. Cohorts of a point follow each other."""

    def __init__(self, design: NDArray[np.integer]) -> None:
        """Take the design point of each cohort (cohorts,)."""
        self.design, first, sizes = np.unique(design, return_index=True, return_counts=True)
        #: For the first, second, ... replicate: the points that have one, and its cohort.
        self._turns = [
            (np.flatnonzero(sizes > turn), first[sizes > turn] + turn)
            for turn in range(int(sizes.max(initial=0)))
        ]

    def total(self, values: Floats) -> Floats:
        """Sum of (rows, cohorts) over the replicates of each point (rows, points), missing values left out.

        Summed one replicate after the other with the rounding errors carried along (Neumaier 1974), so that a point
        has the same sum beside any others.
        """
        total = np.zeros((len(values), len(self.design)))
        lost = np.zeros_like(total)
        for points, cohorts in self._turns:
            x = np.nan_to_num(values[:, cohorts], nan=0.0, posinf=np.inf, neginf=-np.inf)
            before = total[:, points]
            after = before + x
            lost[:, points] += np.where(
                np.abs(before) >= np.abs(x), (before - after) + x, (x - after) + before
            )
            total[:, points] = after
        return total + lost

    def count(self, wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many replicates of each point are `wanted` (rows, cohorts) -> (rows, points)."""
        return self.total(wanted.astype(np.float64)).astype(np.int64)

    def every(self, wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether all replicates of a point are `wanted`."""
        return self.count(~wanted) == 0

    def mean(self, values: Floats) -> Floats:
        """Mean of the values that there are, NaN where there is none."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.total(values) / self.count(~np.isnan(values)))

    def variance(self, values: Floats) -> Floats:
        """Sample variance (n - 1) over replicates, NaN below two."""
        n, mean = self.count(~np.isnan(values)), self.mean(values)
        away = np.full(values.shape, np.nan)
        for points, cohorts in self._turns:
            away[:, cohorts] = (values[:, cohorts] - mean[:, points]) ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(n > 1, self.total(away) / (n - 1), np.nan)


def over_replicates(
    replicates: Replicates, lines: Sequence[Line], numbers: Numbers, confidence: float, *, contrasts: bool
) -> Numbers:
    """Combine the same statistics of several replicates: mean of the values, t interval over replicates.

    One replicate leaves value and counts, and null for everything that would need a second.
    """
    out = Numbers(len(lines), len(replicates.design), contrasts=contrasts)
    rows = np.arange(len(lines))
    values = numbers.floats["value"]
    n, mean, variance = (
        replicates.count(~np.isnan(values)),
        replicates.mean(values),
        replicates.variance(values),
    )
    sd = np.sqrt(variance)
    out.put(rows, n_units=n, value=mean)
    out.put(rows, sd_subject=np.sqrt(replicates.mean(numbers.floats["sd_subject"] ** 2)))
    for name in set(numbers.counts) - {"n_units"}:
        held = numbers.counts[name]
        total = replicates.total(np.maximum(held, 0).astype(np.float64)).astype(np.int64)
        out.put(rows, **{name: np.where(replicates.every(held >= 0), total, -1)})
    for name in ("harm_lower", "harm_upper") if contrasts else ():
        out.put(rows, **{name: replicates.mean(numbers.floats[name])})
    same = replicates.every(numbers.codes["interval_method"] == CODE["identical rows"]) & (n > 1)
    known = (sd > 0) | same
    lower, upper = (np.where(known, x, np.nan) for x in t_interval(mean, sd, n, confidence))
    if not contrasts:  # no share lies outside 0 and 1, and no day, dose or count below 0
        share = [line.summary in ("proportion", "share", "cumulative incidence") for line in lines]
        lower = np.maximum(0.0, lower)
        upper = np.where(np.array(share)[:, None], np.minimum(1.0, upper), upper)
    method = np.where(known, CODE["t over replicates"], CODE["none"])
    with np.errstate(divide="ignore", invalid="ignore"):
        out.put(rows, mcse=sd / np.sqrt(n), lower=lower, upper=upper)
    out.put(rows, interval_method=np.where(same, CODE["identical rows"], method))
    return out


def compare_unpaired(
    replicates: Replicates,
    lines: Sequence[Line],
    combined: Numbers,
    arm_lines: Sequence[Line],
    arm_values: Floats,
    reference: str,
    confidence: float,
) -> None:
    """Fill what pairing saved: variance ratio and unpaired interval, from the arms' values over replicates.

    `arm_values` are the outcome rows' values (arm lines, cohorts).
    """
    at = {(line.arm_id, line.summary, line.place): k for k, line in enumerate(arm_lines)}
    found = [
        (k, at[line.arm_id, summary, line.place], at[reference, summary, line.place])
        for k, line in enumerate(lines)
        for summary in ARM_SUMMARIES.get(line.summary, ())
        if (line.arm_id, summary, line.place) in at and (reference, summary, line.place) in at
    ]
    if not found:
        return
    rows, new, old = np.array(found).T
    both = np.where(np.isnan(arm_values[new] + arm_values[old]), np.nan, 0.0)
    n = replicates.count(~np.isnan(both))
    unpaired = replicates.variance(arm_values[new] + both) + replicates.variance(arm_values[old] + both)
    paired = replicates.variance(arm_values[new] - arm_values[old])
    value = combined.floats["value"][rows]
    known = ~np.isnan(value)
    lower, upper = t_interval(value, np.sqrt(unpaired), n, confidence)
    with np.errstate(divide="ignore", invalid="ignore"):
        combined.put(rows, variance_ratio=np.where(known & (paired > 0), unpaired / paired, np.nan))
    wide = known & (unpaired > 0)
    combined.put(
        rows, unpaired_lower=np.where(wide, lower, np.nan), unpaired_upper=np.where(wide, upper, np.nan)
    )
