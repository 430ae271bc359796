"""Why: "how much of the answer's spread comes from this assumption?" Sobol' indices say it for an input alone (first
order) and with everything it interacts with (total), here without the share that is only Monte Carlo noise.
"""

import math
from dataclasses import dataclass

import numpy as np

from cartsim.sensitivity.products import Floats, mean_product, replicate_variance
from cartsim.sensitivity.resample import LEVEL, Estimate, Uniform, estimate, row_weights


@dataclass(frozen=True)
class SobolIndices:
    """First-order and total indices by input or group, in the order of the design; `variance` is the target's."""

    first: tuple[Estimate, ...]
    total: tuple[Estimate, ...]
    variance: Estimate


def sobol_indices(
    a: Floats,
    b: Floats,
    ab: Floats,
    uniform: Uniform,
    *,
    noise: tuple[Floats, Floats, Floats] | None = None,
    level: float = LEVEL,
) -> SobolIndices:
    """Indices from the values at A, B [replicate, row] and AB [replicate, row, input] (A with that input from B).

    First order after Saltelli et al. (2010, Comput Phys Commun 181:259), mean of B (AB - A); total after Jansen
    (1999, Comput Phys Commun 117:35), half the mean of (A - AB)^2; both over the variance of A and B together. Every
    square and product is taken across different replicates. With one replicate the Monte Carlo variances `noise`
    (of A, B, AB, [row] and [row, input]) are subtracted instead, which takes the errors of different points to be
    independent: under common random numbers it removes too much. Estimates may leave 0 to 1; they are not clipped.
    """
    replicates, rows = a.shape
    inputs = ab.shape[2]
    var_a, var_b, var_ab = noise or (np.zeros(rows), np.zeros(rows), np.zeros((rows, inputs)))
    # Products of uncentred values have the same mean and far more variance.
    centre = np.concatenate([a, b, ab.reshape(replicates, -1)], axis=1).mean(axis=1)
    a, b, ab = a - centre[:, None], b - centre[:, None], ab - centre[:, None, None]
    step = ab - a[:, :, None]

    squares = 0.5 * (mean_product(a, a, var_a) + mean_product(b, b, var_b))
    alone = mean_product(np.broadcast_to(b[:, :, None], step.shape), step)
    jointly = 0.5 * mean_product(step, step, var_a[:, None] + var_ab)
    middles = 0.5 * (a + b)
    # The mean of A and B holds noise too, the less the more rows there are.
    mean_noise = float((var_a + var_b).mean()) / (4 * rows) if replicates == 1 else 0.0

    def ratios(weights: Floats) -> tuple[Floats, Floats, Floats]:
        mean = middles @ weights.T
        variance = weights @ squares - mean_product(mean, mean, 0.0 if replicates > 1 else mean_noise)
        safe = np.where(variance > 0, variance, np.nan)[:, None]
        return weights @ alone / safe, weights @ jointly / safe, variance

    whole = ratios(np.full((1, rows), 1 / rows))
    drawn = ratios(row_weights(rows, uniform))
    cells = _cells(a, b, step, (whole[0][0], whole[1][0], float(whole[2][0])))
    by_kind = []
    for found, resampled, influence in zip(whole[:2], drawn[:2], cells[:2], strict=True):
        by_kind.append(
            tuple(
                estimate(
                    float(found[0, j]),
                    resampled[:, j],
                    replicate_variance(influence[:, :, j]) if math.isfinite(found[0, j]) else 0.0,
                    rows,
                    replicates,
                    level,
                )
                for j in range(inputs)
            )
        )
    variance = estimate(float(whole[2][0]), drawn[2], replicate_variance(cells[2]), rows, replicates, level)
    return SobolIndices(by_kind[0], by_kind[1], variance)


def _cells(
    a: Floats, b: Floats, step: Floats, found: tuple[Floats, Floats, float]
) -> tuple[Floats, Floats, Floats]:
    """What each replicate and row contributes to the three estimates, to first order (delta method)."""
    first, total, variance = found
    mean_a, mean_b, mean_step = a.mean(axis=0), b.mean(axis=0), step.mean(axis=0)
    spread = a * mean_a + b * mean_b
    alone = b[:, :, None] * mean_step + mean_b[:, None] * step
    jointly = step * mean_step
    over = variance if variance > 0 else math.nan
    return (
        (alone - first * spread[:, :, None]) / over,
        (jointly - total * spread[:, :, None]) / over,
        spread,
    )
