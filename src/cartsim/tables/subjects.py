"""Why: one row per subject and arm, from the covariates it started with and the summary its course kept."""

import numpy as np
import pyarrow as pa

from cartsim.record.baseline import CAUSE_TEXT, CAUSES
from cartsim.tables.columns import Identity, build, floats, ints, key_columns, same, words, yes
from cartsim.tables.days import study_day
from cartsim.tables.grades import (
    died_of,
    latent_crs,
    latent_icans,
    latent_ne,
    observed_crs,
    with_death,
)
from cartsim.terms import Axis, BpSupport, Cause, CrsScale, Oxygen, Syndrome

_BASELINE = (
    "ldh_u_per_l",
    "ferritin_ng_per_ml",
    "crp_mg_per_l",
    "platelets_1e9_per_l",
    "creatinine_mg_per_dl",
    "easix",
    "cell_dose_1e6",
    "risk",
)
#: adsl column: COURSE field holding a time or a total.
_FLOATS = {
    "t_crs_peak_d": "crs_peak_t",
    "t_icans_peak_d": "icans_peak_t",
    "crs_days_ge2": "days_ge2",
    "icans_days_ge2": "days_icans_ge2",
    "toci_mg": "toci_mg_total",
    "t_toci_d": "toci_t",
    "steroid_mg_dex_eq": "steroid_mg",
    "t_steroid_d": "steroid_start_t",
    "anakinra_mg": "anakinra_mg",
    "ward_days": "ward_days",
    "icu_days": "icu_days",
    "vent_days": "vent_days",
    "t_icu_d": "icu_t",
    "t_admit_d": "admit_t",
    "t_discharge_d": "discharge_t",
    "t_followup_d": "end",
}
_COUNTS = {
    "toci_doses": "i2",
    "toci_prophylactic_doses": "i2",
    "steroid_doses": "i4",
    "steroid_days": "i4",
    "anakinra_doses": "i4",
    "assessments": "i4",
}
_FIRST_SEEN = {
    "t_crs_d": ("crs_ge_t", 0),
    "t_crs_ge2_d": ("crs_ge_t", 1),
    "t_crs_ge3_d": ("crs_ge_t", 2),
    "t_crs_ge4_d": ("crs_ge_t", 3),
    "t_icans_d": ("icans_ge_t", 0),
    "t_icans_ge2_d": ("icans_ge_t", 1),
    "t_icans_ge3_d": ("icans_ge_t", 2),
    "t_ne_d": ("ne_ge_t", 0),
    "t_ne_ge3_d": ("ne_ge_t", 2),
}


def adsl(
    who: Identity, cohort: np.ndarray, subjects: np.ndarray, courses: np.ndarray, latent: np.ndarray
) -> pa.Table:
    """Table adsl of one arm of one block: one row per row of `courses`, in that order.

    cohort: COHORT; subjects: SUBJECT; courses: COURSE; latent: LATENT; all of one length. Columns and
    units are declared in record.baseline.
    """
    n = len(courses)
    columns = key_columns(who, cohort["subject"])
    columns |= _who(who, cohort, n)
    columns |= _grades(who, subjects, courses, latent)
    columns |= {name: floats(courses[field]) for name, field in _FLOATS.items()}
    columns |= {name: ints(courses[name], dtype) for name, dtype in _COUNTS.items()}
    columns |= {name: floats(courses[field][:, i]) for name, (field, i) in _FIRST_SEEN.items()}
    columns |= _durations(courses)
    columns["hospital_days"] = floats(courses["ward_days"] + courses["icu_days"])
    columns["icu"] = ints(np.isfinite(courses["icu_t"]), "i1")
    dead = courses["dead"] == 1
    death_t = np.where(dead, courses["end"], np.nan)
    columns["DTHFL"] = yes(dead)
    columns["DTHADY"] = ints(study_day(death_t), "i2")
    cause = courses["cause"] - 1
    columns["DTHCAUS"] = words(cause, CAUSE_TEXT, dead)
    columns["death_cause"] = words(cause, CAUSES, dead)
    columns["t_death_d"] = floats(death_t)
    columns["EOSSTT"] = words(dead, ("COMPLETED", "DISCONTINUED"))
    return build("adsl", columns)


def adex(who: Identity, cohort: np.ndarray) -> pa.Table:
    """Table adex: the infusion of each subject, at time 0."""
    n = len(cohort)
    zero = np.zeros(n)
    return build(
        "adex",
        key_columns(who, cohort["subject"])
        | {
            "EXSEQ": ints(np.ones(n), "i2"),
            "EXTRT": same(who.product_name, n),
            "EXDOSE": floats(cohort["cell_dose_1e6"]),
            "EXDOSU": same(who.dose_unit, n),
            "EXROUTE": same("INTRAVENOUS", n),
            "t_start_d": floats(zero),
            "t_end_d": floats(zero),
            "EXSTDY": ints(study_day(zero), "i2"),
            "EXENDY": ints(study_day(zero), "i2"),
        },
    )


def _who(who: Identity, cohort: np.ndarray, n: int) -> dict[str, pa.Array]:
    return {
        "AGE": floats(cohort["age_years"]),
        "SEX": words(1 - cohort["male"], ("M", "F")),
        "WEIGHTBL": floats(cohort["weight_kg"]),
        "TRT01P": same(who.arm_label, n),
        "TRT01PN": ints(np.full(n, who.arm_no), "i2"),
        "TRT01A": same(who.arm_label, n),
        "SAFFL": same("Y", n),
        "product": same(who.product_id, n),
        "high_burden": ints(cohort["high_burden"], "i1"),
        "prior_neuro": ints(cohort["prior_neuro"], "i1"),
    } | {name: floats(cohort[name]) for name in _BASELINE}


def _grades(
    who: Identity, subjects: np.ndarray, courses: np.ndarray, latent: np.ndarray
) -> dict[str, pa.Array]:
    crs_death, neuro_death = died_of(courses, Cause.CRS), died_of(courses, Cause.ICANS)
    seen, there = observed_crs(who, courses), latent_crs(who, subjects, courses, latent)
    level = courses["peak_level"]
    numbers = {
        "crs_max_grade": with_death(courses["peak_crs"], crs_death),
        "icans_max_grade": with_death(courses["peak_neuro"], neuro_death),
        "ne_max_grade": with_death(courses["peak_ne"], neuro_death),
        "icans_latent": latent_icans(courses, latent),
        "ne_latent": latent_ne(courses, latent),
        "bp_support_max": level[:, Axis.BP_SUPPORT],
        "oxygen_max": level[:, Axis.OXYGEN],
        "liver_max": level[:, Axis.LIVER],
        "kidney_max": level[:, Axis.KIDNEY],
        "fever_seen": courses["fever_seen"],
        "vasopressor": level[:, Axis.BP_SUPPORT] >= BpSupport.LOW_DOSE_PRESSOR,
        "oxygen_any": level[:, Axis.OXYGEN] >= Oxygen.LOW_FLOW,
        "ventilated": level[:, Axis.OXYGEN] >= Oxygen.VENTILATOR,
    }
    for s in CrsScale:
        numbers[f"crs_max_{s.name.lower()}"] = seen[s]
        numbers[f"crs_latent_{s.name.lower()}"] = there[s]
    return {name: ints(values, "i1") for name, values in numbers.items()}


def _durations(courses: np.ndarray) -> dict[str, pa.Array]:
    first_seen = {
        Syndrome.CRS: courses["crs_ge_t"][:, 0],
        Syndrome.ICANS: courses["icans_ge_t"][:, 0],
        Syndrome.NE: courses["ne_ge_t"][:, 0],
    }
    columns = {
        f"{s.name.lower()}_duration_d": floats(courses["duration_sum"][:, s], np.isfinite(first_seen[s]))
        for s in Syndrome
    }
    had_crs = np.isfinite(first_seen[Syndrome.CRS])
    columns["crs_first_duration_d"] = floats(courses["duration_first"][:, Syndrome.CRS], had_crs)
    for s in (Syndrome.CRS, Syndrome.ICANS):
        columns[f"t_{s.name.lower()}_end_d"] = floats(courses["last_end_t"][:, s])
    return columns
