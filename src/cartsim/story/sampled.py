"""Why: a rule on a biomarker looks at the newest result that the laboratory has reported, which is hours old. What that
was, and when it was taken, is what a reader needs to know.
"""

import math
from dataclasses import dataclass

import numpy as np

from cartsim.policy.conditions import SAMPLED
from cartsim.terms import HOURS_PER_DAY, MARKER_ROOM, TIME_SLACK_D, Marker


@dataclass(frozen=True)
class Result:
    """One value of the laboratory, and when the sample was taken (days since infusion)."""

    value: float
    taken_d: float


def newest(par: np.ndarray, course: np.ndarray, key: str, t_d: float) -> Result | None:
    """The newest result known at `t_d` for a condition of `SAMPLED`; None before the first.

    par: PARAMETERS[1]; course: COURSE[1] at `t_d`. The same sample that the kernel takes (`model.rules.markers_hold`).
    """
    marker: Marker = SAMPLED[key][0]
    every = float(par["marker_every_h"][0]) / HOURS_PER_DAY
    delay = float(par["marker_delay_h"][0][marker]) / HOURS_PER_DAY
    number = min(int(course["marker_sampled"][0]) - 1, math.floor((t_d - delay) / every + TIME_SLACK_D))
    if number < 0:
        return None
    return Result(float(course["marker_value"][0][number % MARKER_ROOM, marker]), number * every)
