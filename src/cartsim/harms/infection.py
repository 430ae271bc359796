"""Why: an excess of infections is an excess over those that come anyway, and these come with CRS. Here is the hazard
of a subject's own course; what drugs add stands on it.

The cumulative hazard without CRS is `hazard * (t / window) ** shape`, steep in the first days. From when CRS is first
seen at the grade of a step it grows `step_hr` times as fast, from the second step on that much again. On the scale
`u = (t / window) ** shape` it is made of three straight lines, so that it is inverted exactly.
"""

import numpy as np

from cartsim.harms.numbers import Infection


class InfectionClock:
    """Cumulative hazard of infection of some subjects (`row` indexes them) as their course has it."""

    def __init__(self, numbers: Infection, courses: np.ndarray) -> None:
        self.numbers = numbers
        first, second = (courses["crs_ge_t"][:, grade - 1] for grade in numbers.step_grades)
        self._first = self._scale(first)
        self._second = np.maximum(self._scale(second), self._first)

    def cumulative(self, row: np.ndarray, t_d: np.ndarray) -> np.ndarray:
        """Hazard gathered from infusion to `t_d`; 0 before it."""
        u, first, second = self._scale(t_d), self._first[row], self._second[row]
        ratio = self.numbers.step_hr
        middle = np.minimum(u, second) - np.minimum(u, first)
        late = u - np.minimum(u, second)
        return np.asarray(self.numbers.hazard * (np.minimum(u, first) + ratio * (middle + ratio * late)))

    def when(self, row: np.ndarray, gathered: np.ndarray) -> np.ndarray:
        """Days since infusion at which so much hazard has gathered; infinite where it never will."""
        numbers, ratio = self.numbers, self.numbers.step_hr
        if numbers.hazard <= 0:
            return np.full(len(row), np.inf)
        first, second = self._first[row], self._second[row]
        x = gathered / numbers.hazard
        # a step that is never taken lies at infinity
        with np.errstate(invalid="ignore"):
            after_first = first + (x - first) / ratio
            knee = np.where(np.isfinite(second), first + ratio * (second - first), np.inf)
            after_second = second + (x - knee) / ratio**2
        u = np.where(x <= first, x, np.where(x <= knee, after_first, after_second))
        return np.asarray(numbers.window_d * u ** (1.0 / numbers.shape))

    def _scale(self, t_d: np.ndarray) -> np.ndarray:
        return np.asarray((np.maximum(t_d, 0.0) / self.numbers.window_d) ** self.numbers.shape)
