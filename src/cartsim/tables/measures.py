"""Why: outcomes need a few dozen numbers of each subject, whether or not adsl is written. They are read from the
engine's arrays here, once, for the summary and for adsl alike, so that the two can never disagree."""

from collections.abc import Callable, Collection, Mapping
from functools import partial

import numpy as np

from cartsim.tables.columns import Identity
from cartsim.tables.grades import (
    died_of,
    latent_crs,
    latent_icans,
    latent_ne,
    observed_crs,
    with_death,
)
from cartsim.terms import Axis, BpSupport, Cause, CrsScale, Oxygen, Syndrome

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
_COUNTS = (
    "toci_doses",
    "toci_prophylactic_doses",
    "steroid_doses",
    "steroid_days",
    "anakinra_doses",
    "assessments",
    "fever_seen",
)
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
_LEVELS = {
    "bp_support_max": Axis.BP_SUPPORT,
    "oxygen_max": Axis.OXYGEN,
    "liver_max": Axis.LIVER,
    "kidney_max": Axis.KIDNEY,
}
_SUPPORT = {
    "vasopressor": (Axis.BP_SUPPORT, BpSupport.LOW_DOSE_PRESSOR),
    "oxygen_any": (Axis.OXYGEN, Oxygen.LOW_FLOW),
    "ventilated": (Axis.OXYGEN, Oxygen.VENTILATOR),
}
_FIRST_OF = {Syndrome.CRS: "crs_ge_t", Syndrome.ICANS: "icans_ge_t", Syndrome.NE: "ne_ge_t"}

Columns = dict[str, np.ndarray]


def measures(
    who: Identity,
    subjects: np.ndarray,
    courses: np.ndarray,
    latent: np.ndarray,
    wanted: Collection[str] | None = None,
) -> Columns:
    """{adsl column: values[n]} of the numeric columns that a course decides, in the units of adsl.

    subjects: SUBJECT; courses: COURSE; latent: LATENT; all of one length. Times that never came are NaN; counts,
    grades and flags are integers. `wanted` leaves out the others (a name that is no measure is ignored).
    """
    found: Columns = {}
    makers = _makers(who, subjects, courses, latent)
    for name in makers if wanted is None else [name for name in makers if name in wanted]:
        found[name] = makers[name]()
    return found


def _makers(
    who: Identity, subjects: np.ndarray, courses: np.ndarray, latent: np.ndarray
) -> Mapping[str, Callable[[], np.ndarray]]:
    level = courses["peak_level"]
    makers: dict[str, Callable[[], np.ndarray]] = {}
    for name, field in _FLOATS.items():
        makers[name] = partial(_times, courses[field])
    for name in _COUNTS:
        makers[name] = partial(courses.__getitem__, name)
    for name, (field, i) in _FIRST_SEEN.items():
        makers[name] = partial(_times, courses[field][:, i])
    for name, axis in _LEVELS.items():
        makers[name] = partial(level.__getitem__, (slice(None), axis))
    for name, (axis, least) in _SUPPORT.items():
        makers[name] = partial(_reached, level[:, axis], least)
    for syndrome, field in _FIRST_OF.items():
        first, total = courses[field][:, 0], courses["duration_sum"][:, syndrome]
        makers[f"{syndrome.name.lower()}_duration_d"] = partial(_spans, first, total)
    first, total = courses["crs_ge_t"][:, 0], courses["duration_first"][:, Syndrome.CRS]
    makers["crs_first_duration_d"] = partial(_spans, first, total)
    for syndrome in (Syndrome.CRS, Syndrome.ICANS):
        makers[f"t_{syndrome.name.lower()}_end_d"] = partial(_times, courses["last_end_t"][:, syndrome])
    makers |= _grades(who, subjects, courses, latent)
    makers["hospital_days"] = lambda: courses["ward_days"] + courses["icu_days"]
    makers["icu"] = lambda: np.isfinite(courses["icu_t"]).astype("i1")
    makers["t_death_d"] = lambda: np.where(courses["dead"] == 1, courses["end"], np.nan)
    return makers


def _grades(
    who: Identity, subjects: np.ndarray, courses: np.ndarray, latent: np.ndarray
) -> dict[str, Callable[[], np.ndarray]]:
    cache: dict[str, dict[CrsScale, np.ndarray]] = {}

    def crs(view: str, scale: CrsScale) -> np.ndarray:
        if view not in cache:
            seen = view == "max"
            cache[view] = observed_crs(who, courses) if seen else latent_crs(who, subjects, courses, latent)
        return cache[view][scale]

    makers: dict[str, Callable[[], np.ndarray]] = {
        "crs_max_grade": lambda: with_death(courses["peak_crs"], died_of(courses, Cause.CRS)),
        "icans_max_grade": lambda: with_death(courses["peak_neuro"], died_of(courses, Cause.ICANS)),
        "ne_max_grade": lambda: with_death(courses["peak_ne"], died_of(courses, Cause.ICANS)),
        "icans_latent": lambda: latent_icans(courses, latent),
        "ne_latent": lambda: latent_ne(courses, latent),
    }
    for scale in CrsScale:
        makers[f"crs_max_{scale.name.lower()}"] = partial(crs, "max", scale)
        makers[f"crs_latent_{scale.name.lower()}"] = partial(crs, "latent", scale)
    return makers


def _times(values: np.ndarray) -> np.ndarray:
    """NaN where a time never came (the engine writes infinity)."""
    return np.where(np.isfinite(values), values, np.nan)


def _spans(first: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Days of those who had any, NaN for the others."""
    return np.where(np.isfinite(first), total, np.nan)


def _reached(level: np.ndarray, least: int) -> np.ndarray:
    return (level >= least).astype("i1")
