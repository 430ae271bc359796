"""Latent peaks as levels: how bad it was, whoever looked and whenever.

"Helped" and "harmed" are read from these, because an observed peak also depends on when it was assessed.
"""

import math

import numpy as np

from cartsim.compiled import compiled
from cartsim.model.signs import level_of
from cartsim.model.state import LATENT
from cartsim.model.views import as_records


@compiled
def _fill(clinic: np.ndarray, subjects: np.ndarray, courses: np.ndarray, out: np.ndarray) -> None:
    p = clinic[0].par
    for i in range(courses.size):
        s = subjects[i]
        c = courses[i]
        row = out[i]
        x = c.max_support
        if x > -math.inf:
            row.level[0] = level_of(x + s.eps[0], p.h)
            row.level[1] = level_of(x + s.eps[1], p.o)
            row.level[2] = level_of(x + s.eps[2], p.liver)
            row.level[3] = level_of(x + s.eps[3], p.kidney)
        row.fever = 1 if c.max_fever > 0.0 else 0
        row.neuro = level_of(c.max_neuro, p.n)
        row.wide = 1 if c.max_neuro > p.n_wide else 0
        if p.wide_decline_ratio != 1.0:
            row.wide = c.wide_reached
        row.counts = 1 if row.fever or c.drugged else 0


def latent_peaks(clinic: np.ndarray, subjects: np.ndarray, courses: np.ndarray) -> np.ndarray:
    """`LATENT[n]` for finished courses."""
    out = np.zeros(len(courses), LATENT)
    _fill(as_records(clinic), as_records(subjects), as_records(courses), as_records(out))
    return out
