"""A made-up cohort for the tests of the analysis: adsl columns with shared draws, arms milder by a shift."""

import zlib

import numpy as np

from cartsim.analysis.endpoints import columns_needed, standard_endpoints
from cartsim.analysis.summary import Summary
from cartsim.analysis.tally import fold, tally

ENDPOINTS = standard_endpoints("lee2014")
LEVEL_COLUMNS = {e.column: e for e in ENDPOINTS if e.measure == "level"}


def cohort(n, shift=0.0, seed=1):
    """Columns that the endpoints read: shared draws in every arm, `shift` makes everything milder."""
    out = {}
    for name in columns_needed(ENDPOINTS):
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        z = rng.normal(size=n) - shift
        if name in LEVEL_COLUMNS:
            out[name] = np.digitize(z, [-0.5, 0.5, 1.5, 2.5]).astype(np.int8)
        elif name == "t_death_d":
            out[name] = np.where(z > 2, np.round(4 * (10 + z)) / 4, np.nan)
        elif name.endswith("duration_d") or (name.startswith("t_") and name != "t_followup_d"):
            out[name] = np.where(z > 0, np.round(4 * (2 + z)) / 4, np.nan)
        else:
            out[name] = np.maximum(z, 0.0) * 3
    out["t_followup_d"] = np.where(np.isnan(out["t_death_d"]), 30.0, out["t_death_d"])
    return out


def cut(arms, part):
    """The same rows of every arm."""
    return {arm: {name: values[part] for name, values in columns.items()} for arm, columns in arms.items()}


def tallied(summary, arms, design_id=0, replicate=0, chunk=None):
    """The tally of one cohort, counted in chunks."""
    n = len(next(iter(arms.values()))["t_followup_d"])
    spans = [slice(start, start + chunk) for start in range(0, n, chunk)] if chunk else [slice(0, n)]
    return fold(
        tally(
            summary.plan,
            np.full(len(range(*part.indices(n))), design_id, np.int32),
            np.full(len(range(*part.indices(n))), replicate, np.int32),
            cut(arms, part),
            summary.reference,
            summary.arms,
        )
        for part in spans
    )


def fed(arms, chunk=None, **options):
    """A question about these arms, the first as the reference, and the tally that answers it."""
    summary = Summary(ENDPOINTS, list(arms), next(iter(arms)), 30.0, scenario_id="test", **options)
    return summary, tallied(summary, arms, chunk=chunk)
