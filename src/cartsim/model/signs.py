"""From drives to what a bedside could measure: ordinal levels per organ, temperature, neurological level.

Only levels are ever stored, so that any grading scale can be computed later from the same signs (MODEL 3).
"""

import math

import numpy as np

from cartsim.compiled import compiled
from cartsim.model.disease import wide_lead


@compiled
def level_of(drive: float, thresholds: np.ndarray) -> int:
    """How many of the rising `thresholds` lie below `drive`."""
    level = 0
    for k in range(thresholds.size):
        if not drive > thresholds[k]:
            break
        level += 1
    return level


@compiled
def support_threshold(p: np.record, s: np.record) -> float:
    """The lowest CRS drive at which anything shows: fever, or the first level of any axis."""
    low = min(0.0, p.h[0] - s.eps[0])
    low = min(low, p.o[0] - s.eps[1])
    low = min(low, p.liver[0] - s.eps[2])
    return min(low, p.kidney[0] - s.eps[3])


@compiled
def is_wide(p: np.record, s: np.record, t: float, neuro: float) -> bool:
    """Whether the ICANS drive `neuro` at `t` goes with a wide neurologic event; ICANS always is one."""
    if p.wide_decline_ratio == 1.0:
        return neuro > p.n_wide
    return neuro > p.n[0] or neuro + wide_lead(p, s, t) > p.n_wide


@compiled
def temperature_c(p: np.record, fever_drive: float) -> float:
    """Body temperature; 38.0 degrees where the fever drive is 0."""
    if fever_drive == -math.inf:
        return p.temp_base
    return p.temp_base + p.temp_rise / (1.0 + math.exp(-p.temp_slope * (fever_drive - p.temp_mid)))


@compiled
def lowered_c(p: np.record, temperature: float) -> float:
    """A temperature as measured under scheduled antipyretics; they do not cool who has no fever."""
    return max(min(temperature, p.temp_base), temperature - p.antipyretic_lowers_c)
