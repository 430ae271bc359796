"""Outcomes and contrasts of a run under many parameter sets: means over the sets, with the three uncertainties apart.

    over = OverDraws(summary, draws=100, designs=range(1))
    over.outcomes(rows), over.contrasts(rows)      # rows: draw_tallies of one population

Shares and means over everybody are crossed with the sets by the formulas of `two_way.py`. For the rest (medians, what
is said of those with an event, ratios) the sets are summarised one by one; their Monte Carlo error is bounded by the
mean error of a set, since the error of a mean is never larger than the mean of the errors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cartsim.analysis.columns import CONTRAST_TYPES, OUTCOME_TYPES
from cartsim.analysis.counts import Ints
from cartsim.analysis.crossed import Crossed
from cartsim.analysis.draw_rows import DrawColumns, DrawRows, Totals
from cartsim.analysis.frame import Line
from cartsim.analysis.intervals import (
    TANGO_BELOW,
    Floats,
    normal_quantile,
    number_needed,
    paired_tango,
    t_interval,
)
from cartsim.analysis.numbers import Numbers, write_table
from cartsim.analysis.summary import Summary
from cartsim.analysis.two_way import (
    alike,
    discordant_subjects,
    interval_of_sets,
    mean_of_sets,
    mean_variance,
    se_of_parameters,
    wilson_of_sets,
)

#: Names of methods, as codes of column `interval_method`.
METHODS = (
    "none",
    "Wilson over draws",
    "t over draws",
    "identical rows",
    "Tango score over draws",
    "paired Wald over draws",
    "paired t over draws",
    "at most: mean error of a draw",
    "t over replicates, crossed with draws",
)
CODE = {name: code for code, name in enumerate(METHODS)}
SHARES = ("proportion", "share", "cumulative incidence", "helped", "harmed")
_MORE = ("se_parameter", "param_lower", "param_upper")


@dataclass(frozen=True)
class _Crossed:
    """Of each row (designs, rows): units, and the variance between units of their means over sets; NaN where a row is
    not crossed with the sets. `value` is exact where it is known from sums."""

    n: Floats
    variance: Floats
    value: Floats


class OverDraws:
    """Answers of consecutive design points over parameter sets."""

    def __init__(self, summary: Summary, draws: int, designs: range) -> None:
        self._summary, self._draws, self._designs = summary, draws, designs
        self._level = summary.frame.confidence
        self._units = "subject" if summary.frame.pooled else "replicate"

    @cached_property
    def _crossed(self) -> Crossed:
        return Crossed(self._summary)

    def outcomes(self, rows: DrawRows) -> pa.Table:
        """Columns of `columns.OUTCOME_TYPES`, rows as `Summary.outcomes` has them."""
        held = rows.outcomes
        lines = self._summary.outcome_rows.lines
        numbers = _numbers(len(lines), len(self._designs), contrasts=False)
        crossed = self._cross(rows, held, lines, self._crossed.of_outcomes, None)
        self._fill(numbers, held, crossed, _codes(lines, "Wilson over draws", "t over draws"), lines)
        return self._table(numbers, OUTCOME_TYPES, self._summary.outcome_columns)

    def contrasts(self, rows: DrawRows) -> pa.Table:
        """Columns of `columns.CONTRAST_TYPES`, rows as `Summary.contrasts` has them."""
        held = rows.contrasts
        lines = self._summary.contrast_rows.lines
        numbers = _numbers(len(lines), len(self._designs), contrasts=True)
        crossed = self._cross(rows, held, lines, self._crossed.of_contrasts, rows.totals)
        codes = _codes(lines, "Wilson over draws", "paired t over draws")
        for k, line in enumerate(lines):
            if line.summary == "risk difference":
                codes[k] = CODE["paired Wald over draws"]
        self._fill(numbers, held, crossed, codes, lines)
        self._fill_contrasts(numbers, held, crossed, rows.totals, lines)
        return self._table(numbers, CONTRAST_TYPES, self._summary.contrast_columns)

    def _table(
        self,
        numbers: Numbers,
        types: Mapping[str, pa.DataType],
        static: Mapping[str, Sequence[str | float | None]],
    ) -> pa.Table:
        return write_table(types, static, numbers, np.asarray(self._designs))

    def _cross(
        self, rows: DrawRows, held: DrawColumns, lines: Sequence[Line], places: Ints, paired: Totals | None
    ) -> _Crossed:
        """Units and variances of the rows that are crossed with the sets."""
        if self._units == "replicate":
            return _Crossed(held.replicates(), held.variance_of_mean(), held.value_over_all())
        empty = np.full((len(self._designs), len(lines)), np.nan)
        if rows.totals is None:
            return _Crossed(empty, empty, empty)
        found = _Crossed(empty.copy(), empty.copy(), empty.copy())
        arms = {arm_id: k for k, arm_id in enumerate(self._summary.arms)}
        for k, line in enumerate(lines):
            if places[k] < 0:
                continue
            n, mean, sd = rows.totals.of(arms[line.arm_id], int(places[k]), difference=paired is not None)
            # a subject that has no value under some set is not crossed with all of them
            whole = (n == rows.totals.subjects) & (n > 0)
            found.n[:, k] = np.where(whole, n, np.nan)
            found.variance[:, k] = np.where(whole, (sd / self._draws) ** 2, np.nan)
            found.value[:, k] = np.where(whole, mean / self._draws, np.nan)
        return found

    def _fill(
        self, numbers: Numbers, held: DrawColumns, crossed: _Crossed, codes: Ints, lines: Sequence[Line]
    ) -> None:
        """What outcomes and contrasts have in common."""
        level, by_set = self._level, held.mean("value")
        is_crossed = ~np.isnan(crossed.n)
        value = np.where(is_crossed, crossed.value, mean_of_sets(by_set, 1))
        with np.errstate(divide="ignore", invalid="ignore"):
            mcse = np.sqrt(crossed.variance / crossed.n)
        between = (
            held.variance_of_set() if self._units == "replicate" else self._variances(held, crossed, lines)
        )
        se = se_of_parameters(by_set, mean_variance(between, 1), crossed.variance, crossed.n, self._draws, 1)
        lower, upper, code = self._interval(value, mcse, crossed, codes, lines)
        # the rest: the mean error of a set is at least the error of the mean
        most = mean_of_sets(np.where(np.isnan(by_set), np.nan, held.mean("mcse")), 1)
        z = normal_quantile(level)
        known = ~is_crossed & (most > 0)
        share = np.array([line.summary in SHARES for line in lines])
        ratio = np.array([line.summary not in ("log risk ratio", "difference of medians") for line in lines])
        low, high = value - z * most, value + z * most
        low = np.where(ratio & ~np.array([_signed(line) for line in lines]), np.maximum(0.0, low), low)
        high = np.where(share, np.minimum(1.0, high), high)
        mcse = np.where(is_crossed, mcse, most)
        lower, upper = np.where(known, low, lower), np.where(known, high, upper)
        code = np.where(known, CODE["at most: mean error of a draw"], code)
        same = held.identical & ~np.isnan(value)
        lower, upper = np.where(same, 0.0, lower), np.where(same, 0.0, upper)
        code = np.where(same, CODE["identical rows"], code)
        code = np.where(np.isnan(lower), CODE["none"], code)
        sd = np.sqrt(mean_of_sets(np.where(is_crossed[:, None], between, held.mean("sd_subject") ** 2), 1))
        param_lower, param_upper = interval_of_sets(by_set, 1, level)
        units = mean_of_sets(held.mean("n_units"), 1)
        every = range(len(lines))
        floats = {
            "value": value, "sd_subject": sd, "mcse": mcse, "se_parameter": np.where(is_crossed, se, np.nan),
            "lower": lower, "upper": upper, "param_lower": param_lower, "param_upper": param_upper,
        }  # fmt: skip
        for name, x in floats.items():
            numbers.put(every, **{name: x.T})
        n = crossed.n if self._units == "replicate" else units
        numbers.put(every, n_units=np.rint(np.nan_to_num(n)).astype(np.int64).T, interval_method=code.T)

    @staticmethod
    def _variances(held: DrawColumns, crossed: _Crossed, lines: Sequence[Line]) -> Floats:
        """Variance between subjects under each set, with n - 1: (designs, sets, rows)."""
        squares = held.mean("sd_subject") ** 2
        # incidences come with that of Aalen and Johansen, which divides by n
        timed = np.array([line.summary == "cumulative incidence" for line in lines])
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.where(timed, crossed.n / (crossed.n - 1), 1.0)
        return squares * factor[:, None, :]

    def _interval(
        self, value: Floats, mcse: Floats, crossed: _Crossed, codes: Ints, lines: Sequence[Line]
    ) -> tuple[Floats, Floats, NDArray[np.int64]]:
        """Monte Carlo interval of rows that are crossed with the sets, NaN for the others."""
        n, level = crossed.n, self._level
        sd = np.sqrt(crossed.variance)
        lower, upper = t_interval(value, sd, np.nan_to_num(n), level)
        if self._units == "replicate":
            shares = np.array([line.summary in SHARES for line in lines])
            below = np.array([_signed(line) for line in lines])
            lower = np.where(sd > 0, np.where(below, lower, np.maximum(0.0, lower)), np.nan)
            upper = np.where(sd > 0, np.where(shares, np.minimum(1.0, upper), upper), np.nan)
            return lower, upper, np.full(value.shape, CODE["t over replicates, crossed with draws"])
        code = np.broadcast_to(codes, value.shape).copy()
        share, wald = code == CODE["Wilson over draws"], code == CODE["paired Wald over draws"]
        low, high = wilson_of_sets(value, crossed.variance, n, level)
        lower, upper = np.where(share, low, lower), np.where(share, high, upper)
        half = normal_quantile(level) * mcse
        lower = np.where(wald, np.maximum(-1.0, value - half), lower)
        upper = np.where(wald, np.minimum(1.0, value + half), upper)
        flat = (code == CODE["paired t over draws"]) & ~(sd > 0)
        return np.where(flat, np.nan, lower), np.where(flat, np.nan, upper), code

    def _fill_contrasts(
        self,
        numbers: Numbers,
        held: DrawColumns,
        crossed: _Crossed,
        totals: Totals | None,
        lines: Sequence[Line],
    ) -> None:
        """Few discordant pairs, what pairing saved, bounds of harm, numbers needed."""
        level, floats = self._level, numbers.floats
        difference = np.array([line.summary == "risk difference" for line in lines])
        if totals is not None:
            b, c = (mean_of_sets(held.mean(name), 1) for name in ("n01", "n10"))
            value, n = floats["value"].T, crossed.n
            like = alike(b, c, crossed.variance, n)
            few = difference & ~np.isnan(n) & ~held.identical
            few &= discordant_subjects(b, c, crossed.variance, n) < TANGO_BELOW
            more = like[few]
            low, high = paired_tango(b[few] * more, c[few] * more, n[few] * more, level)
            floats["lower"].T[few] = np.fmin(low, value[few])
            floats["upper"].T[few] = np.fmax(high, value[few])
            numbers.codes["interval_method"].T[few] = CODE["Tango score over draws"]
            self._fill_unpaired(numbers, crossed, totals, lines)
        for name in ("harm_lower", "harm_upper"):
            numbers.put(range(len(lines)), **{name: mean_of_sets(held.mean(name), 1).T})
        # a number needed must stand whichever set is true and however few subjects were run
        least = np.fmin(floats["lower"], floats["param_lower"])
        most = np.fmax(floats["upper"], floats["param_upper"])
        known = ~np.isnan(floats["lower"]) & ~np.isnan(floats["param_lower"])
        adverse = np.array([line.summary == "risk difference" and line.endpoint.adverse for line in lines])
        needed, ends = number_needed(floats["value"], (least, most))
        for name, x in (("nnt", needed), ("nnt_lower", ends[0]), ("nnt_upper", ends[1])):
            floats[name][:] = np.where(known & adverse[:, None], x, np.nan)
        kind = np.where(floats["value"] < 0, 0, 1)
        numbers.codes["nnt_kind"][:] = np.where(np.isnan(floats["nnt"]), -1, kind)

    def _fill_unpaired(
        self, numbers: Numbers, crossed: _Crossed, totals: Totals, lines: Sequence[Line]
    ) -> None:
        arms = {arm_id: k for k, arm_id in enumerate(self._summary.arms)}
        reference = arms[self._summary.reference]
        for k, line in enumerate(lines):
            place = int(self._crossed.of_contrasts[k])
            if place < 0 or line.summary not in ("risk difference", "mean difference"):
                continue
            apart = sum(
                (totals.of(arm, place, difference=False)[2] / self._draws) ** 2
                for arm in (arms[line.arm_id], reference)
            )
            paired, value = crossed.variance[:, k], numbers.floats["value"][k]
            with np.errstate(divide="ignore", invalid="ignore"):
                numbers.floats["variance_ratio"][k] = np.where(paired > 0, apart / paired, np.nan)
                half = normal_quantile(self._level) * np.sqrt(apart / crossed.n[:, k])
            known = apart > 0
            numbers.floats["unpaired_lower"][k] = np.where(known, value - half, np.nan)
            numbers.floats["unpaired_upper"][k] = np.where(known, value + half, np.nan)


def _signed(line: Line) -> bool:
    """Whether a statistic may lie below 0."""
    return "difference" in line.summary or line.summary == "log risk ratio"


def _codes(lines: Sequence[Line], share: str, mean: str) -> Ints:
    return np.array([CODE[share] if line.summary in SHARES else CODE[mean] for line in lines])


def _numbers(rows: int, designs: int, *, contrasts: bool) -> Numbers:
    numbers = Numbers(rows, designs, contrasts=contrasts)
    numbers.floats |= {name: np.full(numbers.shape, np.nan) for name in _MORE}
    numbers.words["interval_method"] = METHODS
    return numbers
