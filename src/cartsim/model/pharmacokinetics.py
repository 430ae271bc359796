"""Tocilizumab with saturable elimination, as published: what is cleared a day grows less than the concentration does.

One or two compartments with linear and Michaelis-Menten elimination. There is no closed form, so concentrations are
followed in steps of fixed length counted from the last dose, by the classical Runge-Kutta method: they depend on the
doses alone, never on when anybody asked. What was reached last is remembered, which saves time and moves no bit.
"""

import numpy as np

from cartsim.compiled import compiled
from cartsim.terms import HOURS_PER_DAY, RUNGE_KUTTA, PkModel

_FREY = int(PkModel.FREY)


@compiled
def saturable(p: np.record, c: np.record, t: float) -> tuple[float, float]:
    """Concentrations (mg/L) in the central and the outer compartment at `t` (days), not before the last dose."""
    clearance, volume, vmax, km = p.moes_clearance, p.moes_volume_l, p.moes_vmax, p.moes_km
    exchange, outer_volume = 0.0, volume
    if p.pk_model == _FREY:
        clearance, volume, vmax, km = p.frey_clearance, p.frey_volume_l, p.frey_vmax, p.frey_km
        exchange, outer_volume = p.frey_exchange, p.frey_outer_l
    length = p.pk_step_h / HOURS_PER_DAY
    wanted = int((t - c.toci_conc_t) / length)
    # a reader of the past begins again at the dose
    if c.pk_steps > wanted or c.pk_steps == 0:
        c.pk_steps = 0
        c.pk_central = c.toci_conc
        c.pk_outer = c.toci_outer
    central = c.pk_central
    outer = c.pk_outer
    for k in range(c.pk_steps, wanted + 1):
        if k == wanted:
            c.pk_steps = wanted
            c.pk_central = central
            c.pk_outer = outer
            length = max(0.0, t - c.toci_conc_t - wanted * length)
        fall = 0.0
        rise = 0.0
        fall_sum = 0.0
        rise_sum = 0.0
        for ahead, weight in RUNGE_KUTTA:
            x = central + ahead * length * fall
            y = outer + ahead * length * rise
            across = exchange * (x - y)
            fall = -(clearance * x + vmax * x / (km + x) + across) / volume
            rise = across / outer_volume
            fall_sum += weight * fall
            rise_sum += weight * rise
        central += length * fall_sum
        outer += length * rise_sum
    return central, outer
