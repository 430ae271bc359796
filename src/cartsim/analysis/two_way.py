"""Why: with the same units under every parameter set, units and sets make a two-way table, and its analysis of variance
separates what more subjects would remove from what they would not (STATISTICS 1). Between minus within would be wrong
here: the sets share their subjects.

D[i, m] is what unit i (a subject, or a replicate) shows under set m. Everything takes arrays that broadcast.
"""

import numpy as np

from cartsim.analysis.intervals import LEVEL, Floats, Interval, wilson

_quiet = np.errstate(divide="ignore", invalid="ignore")


@_quiet
def mean_variance(var_of_set: Floats, axis: int) -> Floats:
    """Mean over sets of the variance between units: its root is `sd_subject`."""
    return np.asarray(var_of_set.mean(axis=axis))


@_quiet
def se_of_parameters(
    value_of_set: Floats, mean_var: Floats, var_of_mean: Floats, n: Floats, sets: int, axis: int
) -> Floats:
    """sqrt(max(0, (MS_draw - MS_residual) / n)) of the table D[i, m], without the table.

    `value_of_set` is the mean over units of each set (sets along `axis`), `mean_var` the mean over sets of the variance
    between units, `var_of_mean` the variance between units of their means over sets, all with n - 1. NaN below two
    units or sets.
    """
    if sets < 2:
        return np.full(np.shape(mean_var), np.nan)
    between = value_of_set.var(axis=axis, ddof=1)  # MS_draw / n
    residual = sets * (mean_var - var_of_mean) / (sets - 1)
    found = np.sqrt(np.maximum(0.0, between - residual / n))
    return np.where(n > 1, found, np.nan)


def interval_of_sets(value_of_set: Floats, axis: int, level: float = LEVEL) -> Interval:
    """What the middle `level` of the sets give (linear between order statistics); NaN with fewer than two values."""
    tails = [(1 - level) / 2, 1 - (1 - level) / 2]
    known = (~np.isnan(value_of_set)).sum(axis=axis) > 1
    safe = np.where(np.expand_dims(known, axis), value_of_set, 0.0)
    lower, upper = np.nanquantile(safe, tails, axis=axis)
    return np.where(known, lower, np.nan), np.where(known, upper, np.nan)


@_quiet
def mean_of_sets(value_of_set: Floats, axis: int) -> Floats:
    """Mean over the sets that have a value, NaN where none has."""
    known = ~np.isnan(value_of_set)
    return np.asarray(np.where(known, value_of_set, 0.0).sum(axis=axis) / known.sum(axis=axis))


@_quiet
def wilson_of_sets(p: Floats, var_of_mean: Floats, n: Floats, level: float = LEVEL) -> Interval:
    """Score interval of a share that is a mean over sets: Wilson's for as many subjects as would vary like that.

    Averaged over sets a subject is no longer 0 or 1, so its variance is below p (1 - p). Where nobody varies at all, it
    is the interval of `n` subjects.
    """
    like = np.where(var_of_mean > 0, p * (1 - p) * n / var_of_mean, n)
    return wilson(p * like, np.where(np.isnan(p), 0.0, like), level)


@_quiet
def discordant_subjects(n01: Floats, n10: Floats, var_of_mean: Floats, n: Floats) -> Floats:
    """How many subjects a paired difference rests on: Kish's effective number of the subjects' mean differences.

    `n01`, `n10` are mean counts of a set; with a single set it is the number of discordant pairs.
    """
    pairs, mean = n01 + n10, (n01 - n10) / n
    squares = (n - 1) * var_of_mean + n * mean**2
    return np.where(squares > 0, pairs**2 / squares, 0.0)


@_quiet
def alike(n01: Floats, n10: Floats, var_of_mean: Floats, n: Floats) -> Floats:
    """By which factor more subjects of a single set would show a difference as precisely as means over sets do."""
    single = (n01 + n10) / n - ((n01 - n10) / n) ** 2
    return np.where((var_of_mean > 0) & (single > 0), single * n / (n - 1) / var_of_mean, 1.0)
