"""A subject whose signs are written down hour by hour, walked through a policy by the real clinical text.

The bedside looks every hour and the drug is at hand, so a dose begins at the very hour at which the source's words
ask for it, and expected doses can be written from the source alone. Drugs change nothing of what is seen: the signs
are those of the test. Everything between sign and dose (grading, conditions, clocks, spacing, totals, regimens,
tapers, intensive care) is the compiled kernel, stopped at each change of signs to be given the next ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from clinic_builder import HOUR, NO_HAZARD, REGISTRY, clinic_of, make_par, make_subject

from cartsim.cohort import COHORT
from cartsim.drivers.batch import flush
from cartsim.model.begin import begin
from cartsim.model.course import DONE, FLUSH, NOTHING, REQUESTS, TOCILIZUMAB, advance, answer
from cartsim.model.state import CHANGE, COURSE, DOSE, EPISODE, LOG
from cartsim.model.views import as_records
from cartsim.policy.compile import CompiledPolicy, compile_policy
from cartsim.policy.library import load_policy
from cartsim.terms import BpSupport, Drug, Oxygen

#: (hour, drug, mg, rule id): one administration.
Given = tuple[float, str, float, str]
_AT_HAND = {
    "delay_ward_min_h": 0.0,
    "delay_ward_max_h": 0.0,
    "delay_home_h": 0.0,
    "ward_h": 1.0,
    "icu_h": 1.0,
    "clinic_h": 1.0,
    "home_h": 1.0,
    "skip": 0.0,
    "ramp_d": 1e-6,
}
#: A drive that moves by less than any threshold notices.
_FLAT = {"crs_ascent": 1e-9, "crs_decline": 1e-9, "icans_ascent": 1e-9, "icans_decline": 1e-9}
#: No drug acts: R, the steroid's size, and (through parameters) anakinra.
_INERT = {"toci_response": 0.0, "toci_effect": 0.0, "steroid_size": 0.0}
_SOON = 1e-6


@dataclass(frozen=True)
class Signs:
    """What a look finds from some hour on: fever is 38.9 degrees, or 39.8 where `hot` as well.

    `neuro` is the ICE level 0-4; any level above 0 is a wide event too.
    """

    fever: bool = False
    hot: bool = False
    bp: int = BpSupport.NONE
    oxygen: int = Oxygen.NONE
    liver: int = 0
    kidney: int = 0
    neuro: int = 0
    wide: bool = False


def walk(
    policy: str | Mapping[str, Any] | CompiledPolicy,
    signs: Sequence[tuple[float, Signs]],
    *,
    days: float = 30.0,
    product: str = "axi-cel",
    weight_kg: float = 70.0,
    subject: Mapping[str, Any] | None = None,
    stock: int | None = None,
) -> list[Given]:
    """Every administration by hour, drug and rule. `policy`: id of a ready one, a block as in a file, or compiled.

    `signs`: (hour since infusion, what is seen from then on), rising. `subject`: fields of COHORT for conditions on
    the subject, who is 40 years old, 70 kg, adherent and not frail unless said. `stock`: doses of tocilizumab on site,
    further requests stay open (None: as many as are asked for). Several pressors and a ventilator are seen in
    intensive care only, one look after the first need. A dose that falls due at the very hour of a look which raises
    it is given before the raised one: let the signs change between doses.
    """
    compiled = policy
    if not isinstance(compiled, CompiledPolicy):
        compiled = compile_policy(load_policy(compiled, REGISTRY), REGISTRY)
    par = make_par(product, anakinra_crs=0.0, anakinra_icans=0.0, **(NO_HAZARD | _AT_HAND))
    par["horizon_d"] = days
    clinic = clinic_of(par, compiled)
    cohort = np.zeros(1, COHORT)
    for name, value in {"adherent": 1, "age_years": 40, "weight_kg": weight_kg, **(subject or {})}.items():
        cohort[name] = value
    cd28 = REGISTRY.product(product).cd28
    subjects = make_subject(weight_kg=weight_kg, crs_peak=50.0, icans_peak=50.0, **_FLAT, **_INERT)
    course, log = np.zeros(1, COURSE), np.zeros(1, LOG)
    rows = [np.zeros(4096, kind) for kind in (EPISODE, DOSE, CHANGE)]
    count = np.zeros(3, np.int64)
    clinics, people, courses, logs = (as_records(one) for one in (clinic, subjects, course, log))
    records = [as_records(one) for one in rows]
    # a drive of 50 opens every window of `begin`; what is seen is set below
    begin(
        clinics[0], people[0], courses[0], logs[0],
        compiled.eligibility(cohort, cd28)[0], compiled.prophylaxis_mask(cohort, cd28)[0],
    )  # fmt: skip
    _show(subjects, clinic, Signs())
    stops = [(hour * HOUR - _SOON, now) for hour, now in signs] + [(days + 1.0, Signs())]
    for until, now in stops:
        ask = FLUSH
        while ask not in (NOTHING, DONE):
            ask = advance(clinics[0], people[0], courses[0], logs[0], until)
            if ask == TOCILIZUMAB and stock is not None:
                if stock == 0:
                    continue
                stock -= 1
            if ask & REQUESTS:
                answer(clinics[0], people[0], courses[0], logs[0], ask, float(course["t"][0]))
            elif ask == FLUSH:
                flush(logs[0], 0, count, *records)
        _show(subjects, clinic, now)
    flush(logs[0], 0, count, *records)
    assert (count <= 4096).all()
    return in_order(
        [
            (
                round(float(row["t_start"]) * 24, 3),
                Drug(int(row["drug"])).name.lower(),
                round(float(row["mg"]), 3),
                compiled.rule_names[int(row["rule_no"])],
            )
            for row in rows[1][: count[1]]
        ]
    )


def every(first_h: float, step_h: float, doses: int, drug: str, mg: float, rule: str) -> list[Given]:
    """`doses` administrations of one order, `step_h` apart."""
    return [(first_h + k * step_h, drug, mg, rule) for k in range(doses)]


def in_order(*parts: list[Given]) -> list[Given]:
    """Several orders as one list by hour, and by drug and rule within an hour."""
    return sorted((row for part in parts for row in part), key=lambda row: (row[0], row[1], row[3]))


def _between(thresholds: np.ndarray, level: int) -> float:
    """A drive at which exactly `level` of the rising thresholds are exceeded."""
    if level == 0:
        return float(thresholds[0]) - 5.0
    upper = thresholds[level] if level < thresholds.size else thresholds[-1] + 1.0
    return 0.5 * float(thresholds[level - 1] + upper)


def _show(subjects: np.ndarray, clinic: np.ndarray, now: Signs) -> None:
    """Set the subject's flat drives and offsets so that a look finds `now`."""
    p = clinic["par"][0]
    drive = (3.0 if now.hot else 1.0) if now.fever else -1.0
    subjects["crs_peak"] = drive
    levels = (("h", now.bp), ("o", now.oxygen), ("liver", now.liver), ("kidney", now.kidney))
    for axis, (name, level) in enumerate(levels):
        subjects["eps"][0, axis] = _between(np.atleast_1d(p[name]), int(level)) - drive
    if now.neuro or not now.wide:
        subjects["icans_peak"] = _between(p["n"], now.neuro)
    else:
        subjects["icans_peak"] = 0.5 * (float(p["n"][0]) + float(p["n_wide"]))
