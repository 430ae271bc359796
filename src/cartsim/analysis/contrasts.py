"""The same subjects under two policies: the difference, what pairing saved, who was helped and who was harmed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cartsim.analysis.endpoints import Endpoint
from cartsim.analysis.fixed import finish
from cartsim.analysis.fold import LESS, MORE
from cartsim.analysis.frame import Frame, Line
from cartsim.analysis.held import Held
from cartsim.analysis.intervals import (
    CODE,
    UniformBlock,
    frechet_harm,
    log_risk_ratio,
    number_needed,
    paired_risk_difference,
    t_interval,
    unpaired_risk_difference,
    variance_ratio_risk,
    welch_interval,
)
from cartsim.analysis.medians import BOOTSTRAP_UP_TO, median_difference_bootstrap, paired_rank_interval
from cartsim.analysis.numbers import Numbers
from cartsim.analysis.outcomes import medians, proportion, standard_error
from cartsim.analysis.plan import Plan

#: Printed wherever helped and harmed are.
JOINT_CAVEAT = (
    "Joint outcomes under two policies cannot be observed. Shared draws and one-directional drug effects push harm "
    "towards zero; only the margins can be checked against data. Harm bounds are those of the margins alone."
)


class _Pair(NamedTuple):
    """An event in two arms: a feature at level `low` or above; `day` is a report day's place or -1."""

    row: int
    arm: int
    feature: int
    low: int
    adverse: bool
    time: int = -1
    day: int = -1


class _Statistic(NamedTuple):
    row: int
    arm: int
    place: int


class ContrastRows:
    """The rows of one design point, each arm minus (or over) the reference, and their numbers over many cohorts.

    Endpoints that condition on a post-infusion event are described by arm and not contrasted.
    """

    def __init__(
        self,
        frame: Frame,
        endpoints: Sequence[Endpoint],
        arms: Sequence[str],
        reference: str,
        plan: Plan,
        *,
        bootstrap: bool,
    ) -> None:
        self._frame, self._plan, self._bootstrap = frame, plan, bootstrap
        self._reference = arms.index(reference)
        self._values = tuple(sorted({*plan.medians, *plan.times}))
        self.lines: list[Line] = []
        self.differences: list[_Pair] = []
        self.ratios: list[_Pair] = []
        self.helped: list[_Pair] = []
        self.harmed: list[_Pair] = []
        self.means: list[_Statistic] = []
        self.medians: list[_Statistic] = []
        for arm, arm_id in enumerate(arms):
            for endpoint in endpoints if arm_id != reference else ():
                if endpoint.contrastable:
                    self._add(endpoint, arm, arm_id)

    def _line(self, endpoint: Endpoint, arm_id: str, summary: str, level: float | None) -> int:
        self.lines.append(Line(endpoint, arm_id, summary, level, endpoint.id))
        return len(self.lines) - 1

    def _add(self, endpoint: Endpoint, arm: int, arm_id: str) -> None:
        plan, column = self._plan, endpoint.column
        if endpoint.kind == "mean":
            row = self._line(endpoint, arm_id, "mean difference", None)
            self.means.append(_Statistic(row, arm, plan.means.index(column)))
        elif endpoint.kind == "median":
            row = self._line(endpoint, arm_id, "difference of medians", 0.5)
            self.medians.append(_Statistic(row, arm, self._values.index(column)))
        elif endpoint.kind == "incidence":
            feature, time = plan.levels.index(("time", column)), plan.times.index(column)
            for k, day in enumerate(plan.days):
                row = self._line(endpoint, arm_id, "risk difference", day)
                low = len(plan.days) - k
                self.differences.append(_Pair(row, arm, feature, low, endpoint.adverse, time, k))
        else:
            feature = plan.levels.index((endpoint.measure, column))
            low = endpoint.at_least if endpoint.measure == "level" else 1
            wanted = [("risk difference", self.differences), ("log risk ratio", self.ratios)]
            if endpoint.helped_harmed:
                wanted += [("helped", self.helped), ("harmed", self.harmed)]
            for summary, held in wanted:
                row = self._line(endpoint, arm_id, summary, endpoint.level)
                held.append(_Pair(row, arm, feature, low, endpoint.adverse))

    def numbers(self, held: Held, uniform_block: UniformBlock | None) -> Numbers:
        """Return every number, (rows, cohorts), with subjects as paired units."""
        out = Numbers(len(self.lines), len(held.design), contrasts=True)
        # Subjects at or above a level in the reference and at or above another in this arm.
        above = np.cumsum(held.joint[..., ::-1, :], axis=-2)[..., ::-1, :]
        above = np.cumsum(above[..., ::-1], axis=-1)[..., ::-1]
        if self.differences:
            self._put_differences(out, held, above)
        if self.ratios:
            self._put_ratios(out, held, above)
        if self.helped:
            self._put_helped(out, held, above)
        if self.means:
            self._put_means(out, held)
        if self.medians:
            self._put_medians(out, held, uniform_block)
        return out

    @staticmethod
    def _counts(pairs: Sequence[_Pair], above: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """Rows, arms, and subjects with the event (in both arms, the new arm only, the reference only)."""
        rows, arm, feature, low = np.array([pair[:4] for pair in pairs]).T
        both = above[arm, feature, :, low, low]
        new, old = above[arm, feature, :, 0, low], above[arm, feature, :, low, 0]
        return rows, arm, both, new - both, old - both

    def _put_differences(self, out: Numbers, held: Held, above: NDArray[np.int64]) -> None:
        rows, arm, both, n01, n10 = self._counts(self.differences, above)
        n, same = held.n[arm], held.identical[arm]
        level = self._frame.confidence
        k1, k0 = both + n01, both + n10
        (lower, upper), method = paired_risk_difference(n01, n10, n, identical=same, level=level)
        with np.errstate(divide="ignore", invalid="ignore"):
            value, p1, p0 = (n01 - n10) / n, k1 / n, k0 / n
            sd = np.sqrt(np.maximum(0.0, (n01 + n10) / n - value**2) * n / (n - 1))
        sd = np.where(n > 1, sd, np.nan)
        adverse = np.array([pair.adverse for pair in self.differences])[:, None]
        needed, (needed_lower, needed_upper) = number_needed(value, (lower, upper))
        harm = frechet_harm(p1, p0)
        unpaired = unpaired_risk_difference(k1, k0, n, level)
        floats = {
            "value": value,
            "sd_subject": sd,
            "mcse": standard_error(sd, n),
            "lower": lower,
            "upper": upper,
            "variance_ratio": variance_ratio_risk(n01, n10, k1, k0, n),
            "unpaired_lower": unpaired[0],
            "unpaired_upper": unpaired[1],
            "harm_lower": np.where(adverse, harm[0], np.nan),
            "harm_upper": np.where(adverse, harm[1], np.nan),
            "nnt": np.where(adverse, needed, np.nan),
            "nnt_lower": np.where(adverse, needed_lower, np.nan),
            "nnt_upper": np.where(adverse, needed_upper, np.nan),
        }
        kind = np.where(np.isnan(floats["nnt"]), -1, np.where(value < 0, 0, 1))
        # Pairs can be counted only while everyone is followed.
        left = self._unfollowed(held)
        out.put(rows, **{name: np.where(left, np.nan, x) for name, x in floats.items()})
        out.put(rows, n_units=n, n_events=np.where(left, -1, k1))
        out.put(rows, n01=np.where(left, -1, n01), n10=np.where(left, -1, n10))
        cut = CODE["none: censored before the day"]
        out.put(rows, interval_method=np.where(left, cut, method), nnt_kind=np.where(left, -1, kind))

    def _unfollowed(self, held: Held) -> NDArray[np.bool_]:
        """Whether anyone of either arm was censored before the day, (differences, cohorts)."""
        left = np.zeros((len(self.differences), len(held.design)), np.bool_)
        timed = [k for k, pair in enumerate(self.differences) if pair.day >= 0]
        if timed:
            arm, time, day = np.array(
                [(p.arm, p.time, p.day) for p in (self.differences[k] for k in timed)]
            ).T
            both = held.unfollowed[arm, time, :, day] + held.unfollowed[self._reference, time, :, day]
            left[timed] = both > 0
        return left

    def _put_ratios(self, out: Numbers, held: Held, above: NDArray[np.int64]) -> None:
        rows, arm, both, n01, n10 = self._counts(self.ratios, above)
        value, se, (lower, upper) = log_risk_ratio(both, n01, n10, self._frame.confidence)
        same = held.identical[arm] & ~np.isnan(value)
        lower, upper = np.where(same, 0.0, lower), np.where(same, 0.0, upper)
        method = np.where(same, CODE["identical rows"], CODE["paired log"])
        method = np.where(np.isnan(lower), CODE["none"], method)
        out.put(
            rows, n_units=held.n[arm], n_events=both + n01, value=value, mcse=se, lower=lower, upper=upper
        )
        out.put(rows, interval_method=method, n10=n10, n01=n01)

    def _put_helped(self, out: Numbers, held: Held, above: NDArray[np.int64]) -> None:
        _, arm, both, n01, n10 = self._counts(self.helped, above)
        n = held.n[arm]
        same = held.identical[arm] & (n > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            harm = frechet_harm((both + n01) / n, (both + n10) / n)
        for pairs, count in ((self.helped, n10), (self.harmed, n01)):
            rows = [pair.row for pair in pairs]
            columns = proportion(count, n, self._frame.confidence)
            for name in ("lower", "upper"):
                columns[name] = np.where(same, 0.0, columns[name])
            columns["interval_method"] = np.where(same, CODE["identical rows"], columns["interval_method"])
            out.put(rows, **columns, n10=n10, n01=n01)
        out.put([pair.row for pair in self.harmed], harm_lower=harm[0], harm_upper=harm[1])

    def _put_means(self, out: Numbers, held: Held) -> None:
        rows, arm, place = np.array(self.means).T
        level = self._frame.confidence
        n, mean, sd = (x[arm, place] for x in finish(held.differences))
        less, more = held.changed[arm, place, :, LESS], held.changed[arm, place, :, MORE]
        _, means, sds = finish(held.moments)
        mean1, mean0, sd1, sd0 = (x[a, place] for x in (means, sds) for a in (arm, self._reference))
        known = ~(np.isnan(sd) | np.isnan(sd1) | np.isnan(sd0))
        same = held.identical[arm] & known
        spread = known & ~same & (sd > 0)
        lower, upper = (np.where(spread, x, np.nan) for x in t_interval(mean, sd, n, level))
        lower, upper = np.where(same, 0.0, lower), np.where(same, 0.0, upper)
        unpaired = welch_interval(mean1, sd1, mean0, sd0, n, level)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(spread, (sd1**2 + sd0**2) / sd**2, np.nan)
        out.put(
            rows,
            n_units=n,
            n01=more,
            n10=less,
            value=mean,
            sd_subject=sd,
            mcse=standard_error(sd, n),
            lower=lower,
            upper=upper,
            interval_method=np.where(
                same, CODE["identical rows"], np.where(spread, CODE["paired t"], CODE["none"])
            ),
            variance_ratio=ratio,
            unpaired_lower=np.where(known, unpaired[0], np.nan),
            unpaired_upper=np.where(known, unpaired[1], np.nan),
        )

    def _put_medians(self, out: Numbers, held: Held, uniform_block: UniformBlock | None) -> None:
        rows, arm, place = np.array(self.medians).T
        by_arm = medians(held)
        value = by_arm[arm, place] - by_arm[self._reference, place]
        known = ~np.isnan(value)
        columns = {name: np.full(value.shape, np.nan) for name in ("mcse", "lower", "upper")}
        unknown = CODE["none"] if self._bootstrap else CODE["none: not bootstrapped in a sweep"]
        method = np.where(known, unknown, CODE["none"])
        same = held.identical[arm] & known
        for column in columns.values():
            column[same] = 0.0
        method[same] = CODE["identical rows"]
        for k, cohort in np.argwhere(known & ~same) if self._plan.paired_medians else ():
            statistic = self.medians[k]
            pairs = held.pairs.series(statistic.arm, self._values[statistic.place], int(cohort))
            se, (lower, upper), code = self._resample(*pairs, uniform_block)
            columns["mcse"][k, cohort] = se
            if upper > lower:  # medians on a grid that hardly ever move: no width is not certainty
                columns["lower"][k, cohort], columns["upper"][k, cohort] = lower, upper
                method[k, cohort] = code
        n = np.where(known, held.values.n[arm, place], 0)
        out.put(rows, n_units=n, value=value, interval_method=method, **columns)

    def _resample(
        self,
        old: NDArray[np.float64],
        new: NDArray[np.float64],
        count: NDArray[np.int64],
        uniform_block: UniformBlock | None,
    ) -> tuple[float, tuple[float, float], int]:
        level = self._frame.confidence
        if int(count.sum()) > BOOTSTRAP_UP_TO:
            return *paired_rank_interval(new, old, count, level), CODE["paired order statistics"]
        if uniform_block is None:
            return np.nan, (np.nan, np.nan), CODE["none"]
        found = median_difference_bootstrap(new, old, uniform_block, count=count, level=level)
        return *found, CODE["bootstrap"]
