"""Why: from points spread over all inputs at once one can still rank the inputs: how far the target moves, in
standard deviations of its rank, when an input moves by one of its own and the others stay.
"""

import numpy as np

from cartsim.sensitivity.products import Floats, mean_product
from cartsim.sensitivity.resample import LEVEL, Estimate, Uniform, estimate, row_weights


def rank_regression(
    x: Floats, y: Floats, uniform: Uniform, level: float = LEVEL
) -> tuple[list[Estimate], Estimate]:
    """Standardised rank regression coefficients of each input, and the share of rank variance they explain.

    `x` [point, input], `y` [replicate, point]. Ranks of the mean over replicates (Iman and Conover 1979, Technometrics
    21:499); intervals by resampling points. Right for monotone effects that add up. Monte Carlo noise shrinks all
    coefficients alike: see `reliability`. Raises ValueError with no more points than inputs plus one, or where inputs
    move together so that their coefficients cannot be told apart.
    """
    from scipy.stats import rankdata

    points, inputs = x.shape
    if points < inputs + 3:
        raise ValueError(f"{points} points cannot rank {inputs} inputs")
    data = np.column_stack([rankdata(x, axis=0), rankdata(y.mean(axis=0))]) / points - 0.5
    if np.linalg.matrix_rank(data[:, :-1] - data[:, :-1].mean(axis=0), tol=1e-9 * points) < inputs:
        raise ValueError("some inputs move together in this design")
    if np.ptp(data[:, -1]) == 0:
        return [Estimate(None, None, None, points)] * inputs, Estimate(None, None, None, points)
    products = (data[:, :, None] * data[:, None, :]).reshape(points, -1)

    def fit(weights: Floats) -> Floats:
        means = weights @ data
        second = (weights @ products).reshape(-1, inputs + 1, inputs + 1)
        cov = second - means[:, :, None] * means[:, None, :]
        sd = np.sqrt(np.maximum(np.diagonal(cov, axis1=1, axis2=2), 0.0))
        safe = np.where(sd > 0, sd, 1.0)
        cor = cov / (safe[:, :, None] * safe[:, None, :])
        lone = cor[:, :inputs, :inputs] + 1e-12 * np.eye(inputs)
        slopes = np.linalg.solve(lone, cor[:, :inputs, inputs:])[:, :, 0]
        slopes[(sd == 0).any(axis=1)] = np.nan
        return np.column_stack([slopes, (slopes * cor[:, :inputs, inputs]).sum(axis=1)])

    found = fit(np.full((1, points), 1 / points))[0]
    drawn = fit(row_weights(points, uniform))
    made = [estimate(float(found[j]), drawn[:, j], 0.0, points, len(y), level) for j in range(inputs + 1)]
    return made[:-1], made[-1]


def reliability(y: Floats, noise: Floats | None = None) -> float | None:
    """Share of the spread of y [replicate, point] between points that is not Monte Carlo noise, None if unknown.

    `noise` [point] is the Monte Carlo variance of a single replicate's value, used where there is only one.
    """
    replicates, points = y.shape
    if points < 2 or (replicates == 1 and noise is None):
        return None
    centred = y - y.mean(axis=1, keepdims=True)
    shared = 0.0 if noise is None else noise
    kept = float(mean_product(centred, centred, shared).mean())
    seen = float((centred.mean(axis=0) ** 2).mean())
    return None if seen == 0 else min(1.0, max(0.0, kept / seen))
