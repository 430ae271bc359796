"""Why: an index without an interval invites a ranking of noise. Rows of the design are drawn again and again; the
draws are addressed by whoever calls, so that the same run gives the same interval.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from cartsim.sensitivity.products import Floats

#: (n, occurrence) -> n uniforms in [0, 1); the caller addresses them (as in `analysis.intervals`).
Uniform = Callable[[int, int], Floats]
LEVEL = 0.95
REPEATS = 1000
#: An interval is withheld where more than this share of the resamples gave no index (nothing varied).
MOST_UNDEFINED = 0.01


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; all None where it cannot be had, `n` the rows (base rows, trajectories, points)."""

    value: float | None
    lower: float | None
    upper: float | None
    n: int


def row_weights(rows: int, uniform: Uniform, repeats: int = REPEATS) -> Floats:
    """How often each of `rows` rows is drawn in each bootstrap resample, over `rows`: [repeats, rows]."""
    weights = np.empty((repeats, rows))
    for k in range(repeats):
        picked = np.minimum((uniform(rows, k) * rows).astype(np.intp), rows - 1)
        weights[k] = np.bincount(picked, minlength=rows)
    return weights / rows


def estimate(
    value: float,
    resampled: Floats,
    extra: float,
    rows: int,
    replicates: int,
    level: float = LEVEL,
) -> Estimate:
    """Percentile interval over rows (Efron 1979), widened by the variance `extra` that replicates add.

    The bootstrap's own spread is that of n - 1 in n and takes no account of how few rows or replicates it comes
    from; both are mended by one factor, with Student's t at Satterthwaite's degrees of freedom (1946, Biometrics
    2:110). The skew of the bootstrap is kept.
    """
    held = resampled[np.isfinite(resampled)]
    if not math.isfinite(value) or rows < 2 or len(held) < (1 - MOST_UNDEFINED) * len(resampled):
        return Estimate(value if math.isfinite(value) else None, None, None, rows)
    from scipy.special import stdtrit

    tail = (1 - level) / 2
    spread = float(held.var(ddof=1)) * rows / (rows - 1)
    total = spread + extra
    if total == 0:
        return Estimate(value, value, value, rows)
    parts = spread**2 / (rows - 1) + (extra**2 / (replicates - 1) if replicates > 1 else 0.0)
    wider = float(stdtrit(total**2 / parts, 1 - tail)) / NormalDist().inv_cdf(1 - tail)
    low, high = np.quantile(held, [tail, 1 - tail])
    if high > low:
        scale = wider * math.sqrt(total / float(held.var(ddof=1)))
        below, above = scale * max(0.0, value - float(low)), scale * max(0.0, float(high) - value)
    else:
        below = above = wider * math.sqrt(total) * NormalDist().inv_cdf(1 - tail)
    return Estimate(value, value - below, value + above, rows)
