"""Why: with many assumptions and few points one first asks which matter at all. Morris' elementary effects answer
with one step of every input from each of a few starting points, here without the effect that noise alone would show.
"""

import math
from dataclasses import dataclass

import numpy as np

from cartsim.sensitivity.products import Floats, mean_product, replicate_variance
from cartsim.sensitivity.resample import LEVEL, Estimate, Uniform, estimate, row_weights


@dataclass(frozen=True)
class MorrisEffects:
    """Of one input or group: mean effect, mean absolute effect, and spread of the effects over the trajectories."""

    mu: Estimate
    mu_star: Estimate
    sigma: Estimate


def morris_effects(
    effects: Floats,
    uniform: Uniform,
    *,
    noise: Floats | None = None,
    level: float = LEVEL,
) -> list[MorrisEffects]:
    """Mean, mean absolute value and spread of elementary effects [replicate, trajectory, input].

    After Morris (1991, Technometrics 33:161) and Campolongo et al. (2007, Environ Modell Softw 22:1509). Noise alone
    gives every effect some size and spread. The spread is taken across different replicates, which removes its part
    of it; for the size each replicate's effect takes its sign from the others, so that an input without effect has
    mean 0 (and one with a small effect is shrunk). With one replicate `noise`, the Monte Carlo variance of each
    effect [trajectory, input], does the same: as if the effect had been split into two halves of independent noise.
    """
    replicates, trajectories, inputs = effects.shape
    known = np.zeros((trajectories, inputs)) if noise is None else noise
    weights = row_weights(trajectories, uniform)
    everything = np.full((1, trajectories), 1 / trajectories)
    out = []
    for j in range(inputs):
        effect, shared = effects[:, :, j], known[:, j]
        pooled = effect.mean(axis=0)
        size = _size(effect, shared)

        def spread(w: Floats, effect: Floats = effect, shared: Floats = shared) -> Floats:
            mean = effect @ w.T
            of_mean = (w**2) @ shared
            inner = w @ mean_product(effect, effect, shared) - mean_product(mean, mean, of_mean)
            return inner * trajectories / max(1, trajectories - 1)

        found = float(spread(everything)[0])
        centred = effect - effect.mean(axis=1, keepdims=True)
        # weights of a resample count a trajectory twice, which sets noise against itself: w^2 above
        variance = estimate(
            found,
            spread(weights),
            replicate_variance(2 * centred * (pooled - pooled.mean())),
            trajectories,
            replicates,
            level,
        )
        out.append(
            MorrisEffects(
                estimate(
                    float(pooled.mean()),
                    weights @ pooled,
                    replicate_variance(effect),
                    trajectories,
                    replicates,
                    level,
                ),
                estimate(
                    float(size.mean()),
                    weights @ size,
                    replicate_variance(effect * np.sign(pooled)),
                    trajectories,
                    replicates,
                    level,
                ),
                _root(variance) if trajectories > 1 else Estimate(None, None, None, trajectories),
            )
        )
    return out


def _size(effect: Floats, shared: Floats) -> Floats:
    """Absolute effect of each trajectory; its mean is 0 where there is only noise. `effect` is [replicate, row]."""
    replicates = len(effect)
    if replicates > 1:
        others = effect.sum(axis=0) - effect
        return np.asarray((effect * np.sign(others)).mean(axis=0))
    from scipy.special import erf

    x, sd = effect[0], np.sqrt(shared)
    ratio = np.divide(x, sd, out=np.where(x < 0, -np.inf, np.inf), where=sd > 0)
    # mean of (x + sd z) sign(x - sd z) over a standard normal z: two halves whose noise is independent
    density = np.exp(-0.5 * np.minimum(ratio**2, 1e3)) / math.sqrt(2 * math.pi)
    return np.asarray(x * erf(ratio / math.sqrt(2)) - 2 * sd * density)


def _root(variance: Estimate) -> Estimate:
    """Standard deviation from a variance that chance may have made negative."""

    def root(x: float | None) -> float | None:
        return None if x is None else math.sqrt(max(0.0, x))

    return Estimate(root(variance.value), root(variance.lower), root(variance.upper), variance.n)
