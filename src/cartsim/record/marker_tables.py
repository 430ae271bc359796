"""Why: laboratory values and temperature at the scenario's sampling times, in the shape that ADaM has for findings
(BDS): one row a parameter and time, the baseline beside every value."""

from cartsim.record.baseline import YES
from cartsim.record.kinds import F8, I2, I4, SUBJECT_KEYS, WORD, Column, Table, key, may, must
from cartsim.record.subject_tables import STUDY_DAY

#: (PARAMCD, PARAM, unit, PARCAT1, marker of the scenario or None for what is known at baseline only), in sort order.
LABORATORY = (
    ("IL6", "Interleukin 6 (pg/mL)", "pg/mL", "CYTOKINES", "il6"),
    ("CRP", "C Reactive Protein (mg/L)", "mg/L", "CHEMISTRY", "crp"),
    ("FERRITIN", "Ferritin (ng/mL)", "ng/mL", "CHEMISTRY", "ferritin"),
    ("TOCICONC", "Tocilizumab Concentration (mg/L)", "mg/L", "PHARMACOKINETICS", "tocilizumab"),
    ("TOCIOCC", "IL-6 Receptor Occupancy (share)", "share", "PHARMACOKINETICS", "tocilizumab"),
    ("LDH", "Lactate Dehydrogenase (U/L)", "U/L", "CHEMISTRY", None),
    ("PLAT", "Platelets (10^9/L)", "10^9/L", "HEMATOLOGY", None),
    ("CREAT", "Creatinine (mg/dL)", "mg/dL", "CHEMISTRY", None),
    ("EASIX", "EASIX: LDH x Creatinine / Platelets", "", "SCORES", None),
    ("MEASIX", "m-EASIX: LDH x CRP (mg/dL) / Platelets", "", "SCORES", None),
)
VITAL_SIGNS = (("TEMP", "Temperature (C)", "C", "VITAL SIGNS", "temperature"),)
#: What stands where a score has no unit.
NO_UNIT = "1"


def units(parameters: tuple[tuple[str, str, str, str, str | None], ...]) -> tuple[str, ...]:
    """The unit of each parameter."""
    return tuple(p[2] or NO_UNIT for p in parameters)


def _findings(parameters: tuple[tuple[str, str, str, str, str | None], ...], unit: str) -> tuple[Column, ...]:
    return (
        *SUBJECT_KEYS,
        key("PARAMCD", WORD, "Parameter Code", values=tuple(p[0] for p in parameters)),
        key("ATPTN", I4, "Analysis Timepoint (N)", "h", "Whole hours since infusion."),
        must("PARAM", WORD, "Parameter", values=tuple(p[1] for p in parameters)),
        must("PARCAT1", WORD, "Parameter Category 1", values=tuple(dict.fromkeys(p[3] for p in parameters))),
        must("AVAL", F8, "Analysis Value", "", f"In the unit of {unit}."),
        must("BASE", F8, "Baseline Value", "", "The value at infusion (ATPTN 0)."),
        must("CHG", F8, "Change from Baseline", "", "AVAL - BASE."),
        may("ABLFL", WORD, "Baseline Record Flag", "", "Y at infusion.", values=YES),
        must("ADY", I2, "Analysis Relative Day", "d", STUDY_DAY),
        must(unit, WORD, "Standard Units", "", "", values=tuple(dict.fromkeys(units(parameters)))),
    )


ADLB = Table(
    "adlb",
    "Laboratory Analysis Dataset",
    _findings(LABORATORY, "LBSTRESU"),
    "Biomarkers at every sampling time up to the end of follow-up; LDH, platelets, creatinine and the two scores at "
    "baseline only. Written when the scenario asks for `outputs.biomarkers`. Values of the latent course, without "
    "assay error.",
)
ADVS = Table(
    "advs",
    "Vital Signs Analysis Dataset",
    _findings(VITAL_SIGNS, "VSSTRESU"),
    "Body temperature at every sampling time up to the end of follow-up, fever of another cause included.",
)
MARKER_TABLES = (ADLB, ADVS)
