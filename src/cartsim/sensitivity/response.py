"""Why: a design that moves all inputs at once has no point at which only one has moved. What one input would do by
itself is read from a smooth response fitted to all points, and is called that wherever it is shown.
"""

from dataclasses import dataclass

import numpy as np

from cartsim.sensitivity.products import Floats
from cartsim.sensitivity.resample import LEVEL

#: A richer form is fitted only with this many points for each of its terms.
POINTS_A_TERM = 3


@dataclass(frozen=True)
class Response:
    """A polynomial in inputs scaled to -1..1: its form, coefficients, their covariance and how well it fits.

    `explained` is the adjusted R^2: it falls short of 1 by misfit and by Monte Carlo noise alike.
    """

    form: str  # linear, quadratic (with squares), full quadratic (with products too)
    low: Floats
    high: Floats
    coefficients: Floats
    covariance: Floats
    df: int
    explained: float

    def predict(self, x: Floats, shared: float = 0.0, level: float = LEVEL) -> tuple[Floats, Floats, Floats]:
        """Fitted value with its pointwise interval at `x` [point, input].

        `shared` is the variance of an error that all points have in common, of which no residual can know.
        """
        from scipy.special import stdtrit

        terms = _terms(_scaled(x, self.low, self.high), self.form)
        value = terms @ self.coefficients
        se = np.sqrt(np.maximum(0.0, ((terms @ self.covariance) * terms).sum(axis=1)) + shared)
        half = float(stdtrit(self.df, 0.5 + level / 2)) * se
        return value, value - half, value + half


def fit_response(x: Floats, y: Floats) -> Response:
    """Least squares of the mean over replicates of `y` [replicate, point] on `x` [point, input].

    The richest form that the number of points bears. Raises ValueError where even a plane has too few points.
    """
    low, high = x.min(axis=0), x.max(axis=0)
    scaled, mean = _scaled(x, low, high), y.mean(axis=0)
    for form in ("full quadratic", "quadratic", "linear"):
        terms = _terms(scaled, form)
        points, count = terms.shape
        if points >= POINTS_A_TERM * count and np.linalg.matrix_rank(terms) == count:
            break
    else:
        raise ValueError(f"{len(x)} points are too few for a response in {x.shape[1]} inputs")
    inverse = np.linalg.inv(terms.T @ terms)
    coefficients = inverse @ terms.T @ mean
    left = float(((mean - terms @ coefficients) ** 2).sum())
    df = points - count
    spread = float(((mean - mean.mean()) ** 2).sum())
    explained = 1 - (left / df) / (spread / (points - 1)) if spread > 0 else 0.0
    return Response(form, low, high, coefficients, inverse * left / df, df, explained)


def _scaled(x: Floats, low: Floats, high: Floats) -> Floats:
    width = np.where(high > low, high - low, 1.0)
    return np.asarray(2 * (x - low) / width - 1)


def _terms(x: Floats, form: str) -> Floats:
    columns = [np.ones((len(x), 1)), x]
    if form != "linear":
        columns.append(x**2)
    if form == "full quadratic":
        i, j = np.triu_indices(x.shape[1], 1)
        columns.append(x[:, i] * x[:, j])
    return np.concatenate(columns, axis=1)
