"""Why: a value made from finitely many subjects is the truth plus Monte Carlo noise, and squares of noise do not
average out: they would pass for sensitivity. Replicates have independent noise, so the product of two different ones
has the right mean, whatever noise the points of one replicate share (they share a lot: the same virtual subjects).
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def mean_product(x: Floats, y: Floats, shared: Floats | float = 0.0) -> Floats:
    """Estimate E[x] E[y] without the noise that x and y share within a replicate.

    `x` and `y` are [replicate, ...]; the mean is over all pairs of different replicates. With one replicate the known
    covariance of their errors, `shared` (variance where x is y), is subtracted instead.
    """
    count = len(x)
    if count == 1:
        return np.asarray(x[0] * y[0] - shared)
    mixed = x.sum(axis=0) * y.sum(axis=0) - (x * y).sum(axis=0)
    return np.asarray(mixed / (count * (count - 1)))


def replicate_variance(cells: Floats) -> float:
    """Variance that few replicates leave in the mean of `cells` [replicate, row], beyond what the rows show.

    All points of a replicate hold the same subjects, so an unlucky cohort moves every row alike, and resampling rows
    cannot see it. Between-replicate minus residual mean square of the two-way table, as for parameter draws
    (Cornfield and Tukey 1956, Ann Math Stat 27:907). 0 with one replicate, where it cannot be known.
    """
    replicates, rows = cells.shape
    if replicates < 2 or rows < 2:
        return 0.0
    by_replicate = cells.mean(axis=1)
    rest = cells - by_replicate[:, None] - cells.mean(axis=0) + cells.mean()
    between = rows * float(by_replicate.var(ddof=1))
    residual = float((rest**2).sum()) / ((replicates - 1) * (rows - 1))
    return max(0.0, between - residual) / (rows * replicates)
