"""Why: a loss that is a sum of squares tells with its derivatives where its floor is and how wide it is there. Each
cohort depends on its own product's scores and the shared ones, so most of the derivatives need not be simulated.

Simulated shares are steps (one subject more or less), so differences are taken over a width that moves dozens of
subjects: half a posterior standard deviation, as far as it is known.
"""

from dataclasses import dataclass

import numpy as np

from cartsim.calibrate.crew import Crew, data_loss

#: Width of a difference in scores: at first, at least, at most; and in posterior standard deviations.
STEP, STEP_LEAST, STEP_MOST, STEP_PART = 0.15, 0.04, 0.5, 0.5
#: No score moves further than this in one step.
TRUST = 0.8
#: Damping, and parts of the step, that are tried.
DAMPINGS = (0.0, 0.1, 0.5, 2.0, 8.0, 32.0)
LENGTHS = (1.0, 0.5, 0.25)
#: Scores are rounded to this many decimals, so that the last bit of a matrix product stays where it is.
DECIMALS = 7


@dataclass(frozen=True)
class Slope:
    """Residuals and their derivatives at a point: r [rows], J [rows, size]."""

    z: np.ndarray
    residuals: np.ndarray
    jacobian: np.ndarray

    @property
    def loss(self) -> float:
        """|r|^2 + |z|^2."""
        return float(self.residuals @ self.residuals + self.z @ self.z)

    def precision(self) -> np.ndarray:
        """Gauss-Newton precision of the scores, [size, size]: J'J of the data and 1 of the prior."""
        return self.jacobian.T @ self.jacobian + np.eye(len(self.z))

    def covariance(self) -> np.ndarray:
        """Laplace covariance of the scores."""
        found = np.linalg.inv(self.precision())
        return (found + found.T) / 2


def settle(z: np.ndarray) -> np.ndarray:
    """Scores as they are kept."""
    return np.round(z, DECIMALS) + 0.0


def first_steps(size: int) -> np.ndarray:
    """Widths of differences where nothing is known yet."""
    return np.full(size, STEP)


def next_steps(slope: Slope) -> np.ndarray:
    """Widths of differences that suit the curvature found."""
    return settle(np.clip(STEP_PART * np.sqrt(np.diag(slope.covariance())), STEP_LEAST, STEP_MOST))


def find_slope(crew: Crew, z: np.ndarray, steps: np.ndarray) -> Slope:
    """Residuals and central differences of widths `steps` at `z`."""
    groups = crew.problem.groups
    asked: list[tuple[int, np.ndarray]] = [(number, z) for number in range(len(groups))]
    places: list[tuple[int, int]] = []
    for number, group in enumerate(groups):
        for place in group.reads:
            for side in (1.0, -1.0):
                moved = z.copy()
                moved[place] += side * steps[place]
                asked.append((number, moved))
            places.append((number, place))
    made = crew.groups(asked)
    starts = np.cumsum([0, *(group.rows for group in groups)])
    jacobian = np.zeros((int(starts[-1]), crew.problem.size))
    for pair, (number, place) in enumerate(places):
        up, down = made[len(groups) + 2 * pair], made[len(groups) + 2 * pair + 1]
        rows = slice(int(starts[number]), int(starts[number + 1]))
        jacobian[rows, place] = (up - down) / (2 * steps[place])
    residuals = np.concatenate(made[: len(groups)]) if groups else np.zeros(0)
    return Slope(z, residuals, jacobian)


def step_down(crew: Crew, slope: Slope) -> tuple[np.ndarray, float]:
    """One step of Levenberg and Marquardt: (scores, loss); the same scores where no step helps.

    Many dampings and lengths are tried at once, which costs little beside the derivatives, and the lowest loss wins.
    """
    gradient = slope.jacobian.T @ slope.residuals + slope.z
    precision = slope.precision()
    scale = np.diag(np.diag(precision))
    candidates = []
    for damping in DAMPINGS:
        move = -np.linalg.solve(precision + damping * scale, gradient)
        for length in LENGTHS:
            part = length * move
            whole = part * min(1.0, TRUST / max(float(np.abs(part).max()), TRUST))
            candidates += [settle(slope.z + whole), settle(slope.z + np.clip(part, -TRUST, TRUST))]
    candidates = list({z.tobytes(): z for z in candidates}.values())
    losses = [
        data_loss(parts) + float(z @ z) for z, parts in zip(candidates, crew.whole(candidates), strict=True)
    ]
    best = int(np.argmin(losses))
    return (candidates[best], losses[best]) if losses[best] < slope.loss else (slope.z, slope.loss)
