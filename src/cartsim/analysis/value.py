"""Why: "what does one severe CRS less cost?" is a ratio of two differences that rest on the same subjects. Its interval
needs their covariance, which is had from counts: cost, severe CRS, and a fixed sum of both are each summed exactly,
and the covariance follows from the three variances.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cartsim.analysis.crossed import Crossed
from cartsim.analysis.draw_rows import Totals
from cartsim.analysis.fixed import finish
from cartsim.analysis.fold import pool_replicates
from cartsim.analysis.held import Held, lay_out
from cartsim.analysis.intervals import Floats, t_quantile
from cartsim.analysis.more_endpoints import COST, COST_AND_SEVERE, QALD, SEVERE, WEIGHT
from cartsim.analysis.summary import Summary


@dataclass(frozen=True)
class Increment:
    """One arm against the reference at one design point, per subject; `avoided` is the reference minus the arm."""

    design_id: int
    arm_id: str
    n: int
    cost: float
    avoided: float
    var_cost: float  # of the means, not of subjects
    var_avoided: float
    covariance: float

    @property
    def ratio(self) -> float:
        """Incremental cost per severe CRS avoided, NaN where none is avoided."""
        return self.cost / self.avoided if self.avoided else np.nan

    def interval(self, level: float) -> tuple[float, float]:
        """Fieller's interval of the ratio; NaN where it has no bounds, the difference in effect being unclear."""
        if self.n < 2:
            return np.nan, np.nan
        t = float(t_quantile(self.n - 1, level))
        return fieller(self.cost, self.avoided, self.var_cost, self.var_avoided, self.covariance, t)


def fieller(
    over: float, under: float, var_over: float, var_under: float, covariance: float, t: float
) -> tuple[float, float]:
    """All ratios r with |over - r under| <= t standard errors of it (Fieller 1954); NaN unless that is an interval."""
    a = under**2 - t**2 * var_under
    b = over * under - t**2 * covariance
    c = over**2 - t**2 * var_over
    inside = b**2 - a * c
    if not a > 0 or not inside >= 0:
        return np.nan, np.nan
    return (b - np.sqrt(inside)) / a, (b + np.sqrt(inside)) / a


@dataclass(frozen=True)
class ArmMeans:
    """Means of one arm in one replicate; NaN where the run does not have them."""

    design_id: int
    replicate: int
    arm_id: str
    n: int
    cost: float
    qald: float
    severe: float


def arm_means(summary: Summary, tallies: pa.Table) -> list[ArmMeans]:
    """Cost, quality and effect of every arm in every replicate of the design points in folded `tallies`."""
    held = lay_out(tallies, summary.plan, summary.arms, contrasts=False)
    replicate = _replicates(tallies)
    _, mean, _ = finish(held.moments)
    found = []
    for cohort, design in enumerate(held.design.tolist()):
        for arm, arm_id in enumerate(summary.arms):
            cost, qald, severe = (_at(summary, mean, arm, name, cohort) for name in (COST, QALD, SEVERE))
            n = int(held.n[arm, cohort])
            found.append(ArmMeans(design, int(replicate[cohort]), arm_id, n, cost, qald, severe))
    return found


def increments(summary: Summary, tallies: pa.Table) -> list[Increment]:
    """Every other arm against the reference, by design point: subjects as pairs, or replicates of a site as units."""
    if not tallies.num_rows:
        return []
    if summary.frame.pooled:
        return _by_subject(
            summary, lay_out(pool_replicates(tallies), summary.plan, summary.arms, contrasts=True)
        )
    return _by_replicate(summary, lay_out(tallies, summary.plan, summary.arms, contrasts=True))


def increments_over_draws(
    summary: Summary, totals: Totals | None, draws: int, designs: range, means: Sequence[ArmMeans]
) -> list[Increment]:
    """`increments` of means over parameter sets.

    `totals` are sums of subjects over the sets; without them (replicates are the units) the differences of `means` over
    replicates, with the covariance between those.
    """
    if totals is None:
        return _of_replicates(summary, means)
    crossed = Crossed(summary)
    found = []
    for arm, arm_id in _others(summary):
        each = {
            name: totals.of(arm, crossed.place_of_mean(name), difference=True)
            for name in (COST, SEVERE, COST_AND_SEVERE)
        }
        for place, design in enumerate(designs):
            n = int(each[COST][0][place])
            cost, severe = (float(each[name][1][place]) / draws for name in (COST, SEVERE))
            of_cost, of_severe, of_both = (
                float(each[name][2][place] / draws) ** 2 / n if n else np.nan
                for name in (COST, SEVERE, COST_AND_SEVERE)
            )
            covariance = -(of_both - of_cost - WEIGHT**2 * of_severe) / (2 * WEIGHT)
            found.append(Increment(design, arm_id, n, cost, -severe, of_cost, of_severe, covariance))
    return sorted(found, key=lambda one: one.design_id)


def _of_replicates(summary: Summary, means: Sequence[ArmMeans]) -> list[Increment]:
    at = {(one.design_id, one.replicate, one.arm_id): one for one in means}
    found = []
    for design in sorted({one.design_id for one in means}):
        replicates = sorted({one.replicate for one in means if one.design_id == design})
        for _, arm_id in _others(summary):
            pairs = np.array(
                [
                    (new.cost - old.cost, old.severe - new.severe)
                    for new, old in (
                        (at[design, r, arm_id], at[design, r, summary.reference]) for r in replicates
                    )
                ]
            )
            found.append(_increment(design, arm_id, pairs[~np.isnan(pairs).any(axis=1)]))
    return found


def _increment(design: int, arm_id: str, pairs: Floats) -> Increment:
    """From (cost, avoided) of each unit, (n, 2)."""
    n = len(pairs)
    cost, avoided = pairs.mean(axis=0) if n else (np.nan, np.nan)
    spread = np.cov(pairs.T) / n if n > 1 else np.full((2, 2), np.nan)
    return Increment(
        design, arm_id, n, float(cost), float(avoided),
        float(spread[0, 0]), float(spread[1, 1]), float(spread[0, 1]),
    )  # fmt: skip


def _others(summary: Summary) -> list[tuple[int, str]]:
    return [(k, arm_id) for k, arm_id in enumerate(summary.arms) if arm_id != summary.reference]


def _by_subject(summary: Summary, held: Held) -> list[Increment]:
    count, mean, sd = finish(held.differences)
    found = []
    for cohort, design in enumerate(held.design.tolist()):
        for arm, arm_id in _others(summary):
            n = int(count[arm, summary.plan.means.index(COST), cohort])
            cost, severe = (_at(summary, mean, arm, name, cohort) for name in (COST, SEVERE))
            of_cost, of_severe, of_both = (
                _at(summary, sd, arm, name, cohort) ** 2 / n if n else np.nan
                for name in (COST, SEVERE, COST_AND_SEVERE)
            )
            # var(c + w s) = var(c) + w^2 var(s) + 2 w cov(c, s); what is avoided is -s
            covariance = -(of_both - of_cost - WEIGHT**2 * of_severe) / (2 * WEIGHT)
            found.append(Increment(design, arm_id, n, cost, -severe, of_cost, of_severe, covariance))
    return found


def _by_replicate(summary: Summary, held: Held) -> list[Increment]:
    _, mean, _ = finish(held.differences)
    found = []
    for design in np.unique(held.design).tolist():
        cohorts = np.flatnonzero(held.design == design)
        for arm, arm_id in _others(summary):
            pairs = np.array(
                [[_at(summary, mean, arm, name, k) for name in (COST, SEVERE)] for k in cohorts.tolist()]
            )
            pairs = pairs[~np.isnan(pairs).any(axis=1)] * (1.0, -1.0)
            found.append(_increment(design, arm_id, pairs))
    return found


def _at(summary: Summary, values: Floats, arm: int, name: str, cohort: int) -> float:
    means = summary.plan.means
    return float(values[arm, means.index(name), cohort]) if name in means else np.nan


def _replicates(tallies: pa.Table) -> NDArray[np.int64]:
    """Replicate of each cohort of a folded tally, in its order."""
    design, replicate = (tallies[name].to_numpy().astype(np.int64) for name in ("design_id", "replicate"))
    new = np.ones(len(design), bool)
    new[1:] = (design[1:] != design[:-1]) | (replicate[1:] != replicate[:-1])
    return np.asarray(replicate[new])
