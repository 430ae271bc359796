"""A course whose rules look at biomarkers: the laboratory is kept as far as the course's next event, and no further.

Amounts of drug change at a course's own events alone, so whatever was sampled up to the next of them is known with the
drugs then in the body. Kept out of `advance`, so that courses without such rules neither wait for it nor compile it.
"""

import numpy as np

from cartsim.compiled import compiled
from cartsim.model.course import NOTHING, advance, peek
from cartsim.model.markers import follow_markers


@compiled
def advance_sampled(clinic: np.record, s: np.record, c: np.record, log: np.record, until: float) -> int:
    """`advance`, with every sample taken that the course may be asked about on its way."""
    while True:
        stop = min(until, peek(clinic, c))
        follow_markers(clinic.par, s, c, stop, 0)
        ask = advance(clinic, s, c, log, stop)
        if ask != NOTHING or stop == until or c.done:
            return ask
