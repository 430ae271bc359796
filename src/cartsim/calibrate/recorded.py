"""Why: a trial writes whole days down and a simulation sees a subject every few hours; both are coarser than what
happened. Rounding as a trial does, and the smooth quantile that a fit needs, stand here side by side.
"""

from collections.abc import Sequence

import numpy as np

#: Hours between looks in every cohort, as days.
LOOK_D = 0.25


def whole_day(days: np.ndarray) -> np.ndarray:
    """The nearest whole day since infusion."""
    return np.floor(days + 0.5)


def spread_quantiles(values: np.ndarray, at: Sequence[float], width: float = LOOK_D) -> list[float]:
    """Quantiles `at` of days seen at looks `width` apart, each value spread evenly over the look around it.

    So a quantile moves a little whenever one subject does, and not by a whole look now and then. Where a share of
    exactly `at` lies on either side of a gap: the middle of the gap. NaN where there is no value.
    """
    if not len(values):
        return [float("nan")] * len(at)
    ordered = np.sort(values)
    edges = np.sort(np.concatenate([ordered - 0.5 * width, ordered + 0.5 * width]))
    before = np.concatenate([[0.0], np.cumsum(ordered)])

    def area(shift: float) -> np.ndarray:
        """Sum over values of how far each edge lies beyond value + shift."""
        count = np.searchsorted(ordered + shift, edges, side="right")
        return count * (edges - shift) - before[count]

    share = (area(-0.5 * width) - area(0.5 * width)) / (width * len(ordered))
    wanted = np.asarray(at, float)
    after = np.interp(wanted, share, edges)
    ahead = -np.interp(-wanted, -share[::-1], -edges[::-1])
    return [float(one) for one in 0.5 * (after + ahead)]
