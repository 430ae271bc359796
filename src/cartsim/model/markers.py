"""What a laboratory would find: IL-6, CRP, ferritin, temperature, tocilizumab, at any hour of a course (MODEL 6).

CRP and ferritin lag behind what drives them, so they are followed hour by hour from infusion: each hour is read once,
at its middle, with the drugs then in the body. Samples lie on whole hours. So how often anybody samples, how long the
course is followed and who else is in the cohort change no value. Nothing here acts back on the course.
"""

import math

import numpy as np

from cartsim.compiled import compiled
from cartsim.model.disease import ramp, untreated_crs, untreated_support
from cartsim.model.drugs import (
    add_anakinra,
    add_steroid,
    add_tocilizumab,
    toci_concentration,
    treated,
)
from cartsim.model.signs import lowered_c, temperature_c
from cartsim.model.state import COURSE, SAMPLE
from cartsim.model.views import as_records
from cartsim.terms import HOURS_PER_DAY, MARKER_ROOM, Drug, Marker

_IL6 = int(Marker.IL6)
_CRP = int(Marker.CRP)
_FERRITIN = int(Marker.FERRITIN)
_TEMPERATURE = int(Marker.TEMPERATURE)
_TOCILIZUMAB = int(Marker.TOCILIZUMAB)
_OCCUPANCY = int(Marker.OCCUPANCY)
_TOCI = int(Drug.TOCILIZUMAB)
_METHYLPRED = int(Drug.METHYLPREDNISOLONE)
_ANAKINRA = int(Drug.ANAKINRA)


@compiled
def inflammation(p: np.record, s: np.record, c: np.record, t: float) -> tuple[float, float, float, float]:
    """(xS, xF, xD, block) at `t` under the drugs given so far, wherever the course is."""
    x0 = untreated_crs(s, t, ramp(p, t))
    late = untreated_support(p, s, t) if p.support_lag_d > 0.0 else x0
    if not c.drugged:
        return late, x0, x0, 0.0
    support, fever, _, drive, block = treated(p, s, c, t, x0, late, x0)
    return support, fever, drive, block


@compiled
def body_temperature(p: np.record, s: np.record, c: np.record, t: float, fever: float) -> float:
    """Degrees C at `t`: the fever drive, a fever of another cause, antipyretics, the daily swing."""
    temperature = temperature_c(p, fever)
    if s.other_fever_start <= t < s.other_fever_end:
        temperature = max(temperature, p.other_fever_temp)
    if c.antipyretic and t > c.antipyretic_t:
        temperature = lowered_c(p, temperature)
    return temperature + p.temp_daily * math.cos(2.0 * math.pi * (t - p.temp_daily_peak_h / HOURS_PER_DAY))


@compiled
def _follow_hour(p: np.record, s: np.record, c: np.record) -> None:
    """CRP and ferritin one hour on, towards what the middle of the hour asks for."""
    support, _, drive, block = inflammation(p, s, c, (c.marker_hour + 0.5) / HOURS_PER_DAY)
    intensity = math.exp(p.crp_slope * support)
    rise = p.crp_rise * intensity / (p.crp_half + intensity)
    # the liver makes CRP at the word of IL-6: a blocked receptor stops it in those too whose signs do not respond
    aim = s.crp_base + rise * (1.0 - p.crp_block * block)
    c.crp = aim + (c.crp - aim) * math.exp(-p.crp_turnover / HOURS_PER_DAY)
    aim = s.ferritin_base * (1.0 + p.ferritin_rise * math.exp(p.ferritin_slope * drive))
    c.ferritin = aim + (c.ferritin - aim) * math.exp(-p.ferritin_turnover / HOURS_PER_DAY)
    c.marker_hour += 1


@compiled
def _sample(p: np.record, s: np.record, c: np.record, value: np.ndarray) -> None:
    """Everything that can be measured at the hour reached, in the order and units of `Marker`."""
    t = c.marker_hour / HOURS_PER_DAY
    _, fever, drive, block = inflammation(p, s, c, t)
    concentration = toci_concentration(p, c, t)
    il6 = p.il6_base + p.il6_rise * math.exp(p.il6_slope * drive) * (1.0 + p.il6_block * block)
    value[_IL6] = min(il6, p.il6_cap)
    value[_CRP] = c.crp
    value[_FERRITIN] = c.ferritin
    value[_TEMPERATURE] = body_temperature(p, s, c, t, fever)
    value[_TOCILIZUMAB] = concentration
    value[_OCCUPANCY] = concentration / (concentration + p.toci_kd)


@compiled
def follow_markers(p: np.record, s: np.record, c: np.record, t: float, before: int) -> None:
    """Follow to `t` and take every sample due by then; `before`: a drug enters the body at `t`, of which a sample
    taken at `t` is to know.

    To be called before an amount changes, and before a sample is looked at.
    """
    every = int(p.marker_every_h)
    if c.marker_sampled == 0:
        c.crp = s.crp_base
        c.ferritin = s.ferritin_base
    while True:
        at = c.marker_hour / HOURS_PER_DAY
        if c.marker_hour == c.marker_sampled * every:
            if at > t or (before and at == t):
                return
            _sample(p, s, c, c.marker_value[c.marker_sampled % MARKER_ROOM])
            c.marker_sampled += 1
        if (c.marker_hour + 0.5) / HOURS_PER_DAY > t:
            return
        _follow_hour(p, s, c)


@compiled
def _collect(c: np.record, row: int, kept: int, every: int, out: np.ndarray, count: int) -> int:
    """Samples `kept` onwards, as long as the course remembers them, into `out`."""
    while kept < c.marker_sampled:
        out[count].row = row
        out[count].hour = kept * every
        for k in range(c.marker_value.shape[1]):
            out[count].value[k] = c.marker_value[kept % MARKER_ROOM, k]
        kept += 1
        count += 1
    return count


@compiled
def _give_again(p: np.record, s: np.record, c: np.record, dose: np.record) -> None:
    """A logged dose enters the body, as it did in the course."""
    if dose.drug == _TOCI:
        add_tocilizumab(p, c, dose.mg, dose.t_end)
    elif dose.drug == _ANAKINRA:
        add_anakinra(p, c, dose.mg, dose.t_end)
    else:
        equivalent = dose.mg * p.methylpred_to_dex if dose.drug == _METHYLPRED else dose.mg
        add_steroid(p, c, equivalent * s.steroid_scale, dose.t_end)


@compiled
def _sample_all(
    clinics: np.ndarray, subjects: np.ndarray, ends: np.ndarray, lowered_from: np.ndarray, doses: np.ndarray,
    scratch: np.ndarray, blank: np.ndarray, out: np.ndarray,
) -> int:  # fmt: skip
    p = clinics[0].par
    every = int(p.marker_every_h)
    count = 0
    k = 0
    for i in range(subjects.size):
        s = subjects[i]
        scratch[0] = blank[0]
        c = scratch[0]
        c.toci_boost = 1.0
        c.antipyretic = 1
        c.antipyretic_t = lowered_from[i]
        kept = 0
        end = ends[i]
        while kept * every / HOURS_PER_DAY <= end:
            # to the next sample, or to a dose before it
            t = kept * every / HOURS_PER_DAY
            if k < doses.size and doses[k].row == i and doses[k].t_end <= t:
                follow_markers(p, s, c, doses[k].t_end, 1)
                _give_again(p, s, c, doses[k])
                k += 1
                continue
            follow_markers(p, s, c, t, 0)
            count = _collect(c, i, kept, every, out, count)
            kept = c.marker_sampled
        while k < doses.size and doses[k].row == i:
            k += 1
    return count


def sample_markers(
    clinic: np.ndarray, subjects: np.ndarray, courses: np.ndarray, doses: np.ndarray
) -> np.ndarray:
    """`SAMPLE[k]` of finished courses: every `marker_every_h` hours from infusion to the end of follow-up, by row.

    `doses` is the whole log of the courses (DOSE): the biomarkers are those of the drugs that were given.
    """
    every = int(clinic["par"]["marker_every_h"][0])
    room = int(np.sum(np.floor(courses["end"] * HOURS_PER_DAY / every) + 2))
    out = np.zeros(room, SAMPLE)
    order = np.lexsort((doses["t_end"], doses["row"]))
    lowered_from = np.where(courses["antipyretic"] > 0, courses["antipyretic_t"], np.inf)
    used = _sample_all(
        as_records(clinic), as_records(subjects), np.ascontiguousarray(courses["end"]), lowered_from,
        as_records(doses[order]), as_records(np.zeros(1, COURSE)), as_records(np.zeros(1, COURSE)),
        as_records(out),
    )  # fmt: skip
    return out[:used]
