"""Why: one row per subject and arm, from the covariates it started with and the summary its course kept."""

import numpy as np
import pyarrow as pa

from cartsim.record import table
from cartsim.record.baseline import CAUSE_TEXT, CAUSES
from cartsim.record.harm_columns import HARM_COLUMNS
from cartsim.tables.columns import Identity, build, floats, ints, key_columns, same, words, yes
from cartsim.tables.days import study_day
from cartsim.tables.measures import Columns, measures
from cartsim.terms import CAPD_BELOW_Y

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


def adsl(
    who: Identity,
    cohort: np.ndarray,
    subjects: np.ndarray,
    courses: np.ndarray,
    latent: np.ndarray,
    measured: Columns | None = None,
    source_ids: pa.Array | None = None,
) -> pa.Table:
    """Table adsl of one arm of one block: one row per row of `courses`, in that order.

    cohort: COHORT; subjects: SUBJECT; courses: COURSE; latent: LATENT; all of one length. `measured` is what
    `measures` gave for all columns, where that is at hand; `source_ids` are ids in the user's own cohort.
    Columns and units are declared in record.baseline.
    """
    if measured is None:
        measured = measures(who, subjects, courses, latent)
    n = len(courses)
    columns = key_columns(who, cohort["subject"])
    columns |= _who(who, cohort, n)
    spec = table("adsl")
    for name in (column.name for column in HARM_COLUMNS if column.name not in measured):
        columns[name] = ints(np.zeros(n, "i1"), "i1", np.zeros(n, bool))
    for name, values in measured.items():
        type_ = spec.column(name).type
        whole = pa.types.is_integer(type_)
        columns[name] = ints(values, type_.to_pandas_dtype()) if whole else floats(values)
    dead = courses["dead"] == 1
    columns["DTHFL"] = yes(dead)
    columns["DTHADY"] = ints(study_day(measured["t_death_d"]), "i2")
    cause = courses["cause"] - 1
    columns["DTHCAUS"] = words(cause, CAUSE_TEXT, dead)
    columns["death_cause"] = words(cause, CAUSES, dead)
    columns["source_id"] = pa.nulls(n, pa.string()) if source_ids is None else source_ids
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
        "neuro_tool": words(np.zeros(n, "i4"), ("CAPD",), cohort["age_years"] < CAPD_BELOW_Y),
    } | {name: floats(cohort[name]) for name in _BASELINE}
