"""What drugs do to the drives: linear amounts with exact updates, saturation read off algebraically (MODEL 2).

An amount is stored as it was at its last change and read at any later time by one exponential, so looking more
often never changes a bit. Only a dose changes an amount.
"""

import math

import numpy as np

from cartsim.compiled import compiled
from cartsim.model.pharmacokinetics import saturable
from cartsim.terms import PkModel

_LN2 = math.log(2.0)
_FREY = int(PkModel.FREY)


@compiled
def toci_concentration(p: np.record, c: np.record, t: float) -> float:
    """Tocilizumab in mg/L at `t` (days), infusions counted from their end; linear unless a model is switched on."""
    if c.toci_conc == 0.0 or t < c.toci_conc_t:
        return 0.0
    if p.pk_model:
        return saturable(p, c, t)[0]
    return c.toci_conc * math.exp(-p.toci_elimination * (t - c.toci_conc_t))


@compiled
def _decayed(
    slow: float, fast: float, since_d: float, halflife_d: float, onset_tau_d: float
) -> tuple[float, float]:
    """The two sums behind an amount that comes on fast and goes off slowly, `since_d` days later."""
    return slow * math.exp(-_LN2 / halflife_d * since_d), fast * math.exp(-since_d / onset_tau_d)


@compiled
def steroid_amount(p: np.record, c: np.record, t: float) -> float:
    """Steroid acting at `t`, mg dexamethasone equivalents: fast on, slow off."""
    if c.steroid_slow == 0.0 or t < c.steroid_t:
        return 0.0
    slow, fast = _decayed(c.steroid_slow, c.steroid_fast, t - c.steroid_t, p.steroid_slow_d, p.steroid_fast_d)
    return slow - fast


@compiled
def anakinra_amount(p: np.record, c: np.record, t: float) -> float:
    """Anakinra acting at `t`, mg."""
    if c.anakinra_slow == 0.0 or t < c.anakinra_t:
        return 0.0
    slow, fast = _decayed(
        c.anakinra_slow, c.anakinra_fast, t - c.anakinra_t, p.anakinra_slow_d, p.anakinra_fast_d
    )
    return slow - fast


@compiled
def add_tocilizumab(p: np.record, c: np.record, mg: float, t: float) -> None:
    """An infusion of `mg` has just ended at `t`."""
    if c.toci_conc == 0.0:
        c.toci_first_t = t
    else:
        c.toci_boost = c.toci_boost * p.toci_boost
    volume = p.toci_volume_l
    left = toci_concentration(p, c, t)
    if p.pk_model:
        volume = p.frey_volume_l if p.pk_model == _FREY else p.moes_volume_l
        c.toci_outer = saturable(p, c, t)[1] if c.toci_conc > 0.0 else 0.0
        c.pk_steps = 0
    c.toci_conc = left + mg / volume
    c.toci_conc_t = t
    c.drugged = 1
    c.regrade = 1


@compiled
def add_steroid(p: np.record, c: np.record, mg: float, t: float) -> None:
    """`mg` dexamethasone equivalents given at `t`."""
    if c.steroid_slow > 0.0:
        c.steroid_slow, c.steroid_fast = _decayed(
            c.steroid_slow, c.steroid_fast, t - c.steroid_t, p.steroid_slow_d, p.steroid_fast_d
        )
    c.steroid_slow += mg
    c.steroid_fast += mg
    c.steroid_t = t
    c.drugged = 1
    c.regrade = 1


@compiled
def add_anakinra(p: np.record, c: np.record, mg: float, t: float) -> None:
    """`mg` anakinra given at `t`."""
    if c.anakinra_slow > 0.0:
        c.anakinra_slow, c.anakinra_fast = _decayed(
            c.anakinra_slow, c.anakinra_fast, t - c.anakinra_t, p.anakinra_slow_d, p.anakinra_fast_d
        )
    c.anakinra_slow += mg
    c.anakinra_fast += mg
    c.anakinra_t = t
    c.drugged = 1
    c.regrade = 1


@compiled
def treated(
    p: np.record, s: np.record, c: np.record, t: float, x0: float, late: float, y0: float
) -> tuple[float, float, float, float, float]:
    """Drives under the drugs given so far: (support signs xS, fever xF, ICANS y, xD before the block, block).

    `late` is the untreated drive that the signs of support follow: x0 itself, or x0 some time ago.
    """
    steroid = 0.0
    amount = steroid_amount(p, c, t)
    if amount > 0.0:
        steroid = amount / (amount + p.steroid_a50_mg) * s.steroid_size
    anakinra = 0.0
    amount = anakinra_amount(p, c, t)
    if amount > 0.0:
        anakinra = amount / (amount + p.anakinra_b50_mg)
    drive = x0 - p.steroid_emax * steroid - p.anakinra_crs * anakinra
    support = late - p.steroid_emax * steroid - p.anakinra_crs * anakinra
    neuro = y0 - p.steroid_emax_n * steroid - p.anakinra_icans * anakinra
    concentration = toci_concentration(p, c, t)
    if concentration == 0.0:
        return support, drive, neuro, drive, 0.0
    occupancy = concentration / (concentration + p.toci_kd)
    since = t - c.toci_first_t
    block_support = occupancy * (1.0 - math.exp(-since / p.toci_on_support_d))
    block_fever = occupancy * (1.0 - math.exp(-since / p.toci_on_fever_d))
    effect = s.toci_effect * c.toci_boost
    support -= effect * s.toci_response * block_support
    # temperature saturates: under block, a severe drive must lose more than a mild one to be afebrile
    above = max(0.0, drive - p.toci_fever_from)
    shift = p.toci_fever_ratio * effect + p.toci_fever_compress * above
    fever = drive - s.toci_response * block_fever * shift
    return support, fever, neuro + p.ln_gamma * block_support, drive, block_support


@compiled
def tocilizumab_mg(p: np.record, weight_kg: float) -> float:
    """Labelled single dose in mg: by weight band, capped."""
    per_kg = p.toci_mg_per_kg_light if weight_kg < p.toci_light_kg else p.toci_mg_per_kg
    return min(per_kg * weight_kg, p.toci_cap_mg)
