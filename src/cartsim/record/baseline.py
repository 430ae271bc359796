"""Why: adsl is the parent of every subject table, one row per virtual subject and arm, and by far the widest:
who the subject was, how bad it got on every scale, how long, and what it took."""

from cartsim.record.harm_columns import HARM_COLUMNS
from cartsim.record.kinds import F8, I1, I2, I4, SUBJECT_KEYS, TEXT, WORD, Column, Table, added, may, must
from cartsim.terms import CrsScale

CAUSES = ("CRS", "ICANS", "OTHER")
#: ADaM wording of the same causes.
CAUSE_TEXT = ("CYTOKINE RELEASE SYNDROME", "NEUROTOXICITY", "OTHER")
YES = ("Y",)

WHO = (
    added(
        "source_id",
        TEXT,
        "Patient in the cohort file",
        "",
        "Its `id`; null where the subject is drawn throughout.",
    ),
    must("AGE", F8, "Age", "year", "Age at infusion, continuous."),
    must("SEX", WORD, "Sex", values=("M", "F")),
    must("WEIGHTBL", F8, "Baseline Weight", "kg"),
    must("TRT01P", WORD, "Planned Treatment for Period 01", "", "The arm's label."),
    must(
        "TRT01PN", I2, "Planned Treatment for Period 01 (N)", "", "The arm's number, from 1, scenario order."
    ),
    must("TRT01A", WORD, "Actual Treatment for Period 01", "", "As planned: nobody changes arm."),
    must("SAFFL", WORD, "Safety Population Flag", "", "Y: every subject is infused.", values=YES),
    may("DTHFL", WORD, "Subject Death Flag", values=YES),
    may("DTHADY", I2, "Relative Day of Death", "d", "Study day: infusion is day 1, there is no day 0."),
    may("DTHCAUS", WORD, "Cause of Death", values=CAUSE_TEXT),
    must("EOSSTT", WORD, "End of Study Status", "", "", values=("COMPLETED", "DISCONTINUED")),
    must("product", WORD, "CAR-T product"),
    must("high_burden", I1, "High disease burden", "", "1 yes, 0 no.", top=1),
    must("ldh_u_per_l", F8, "Baseline LDH", "U/L"),
    must("ferritin_ng_per_ml", F8, "Baseline ferritin", "ng/mL"),
    must("crp_mg_per_l", F8, "Baseline CRP", "mg/L"),
    must("platelets_1e9_per_l", F8, "Baseline platelets", "10^9/L"),
    must("creatinine_mg_per_dl", F8, "Baseline creatinine", "mg/dL"),
    must("easix", F8, "Baseline EASIX", "", "LDH x creatinine / platelets."),
    must("prior_neuro", I1, "Prior neurological disease", "", "1 yes, 0 no.", top=1),
    must("cell_dose_1e6", F8, "Cell dose", "10^6 cells", "Per kg where the product is dosed so (see adex)."),
    added(
        "neuro_tool",
        WORD,
        "Instrument of ICANS levels, unless ICE",
        "",
        "CAPD under 12 years, where levels 1 and 2 are CAPD 1-8 and 3 is 9 or more; null: ICE.",
        values=("CAPD",),
    ),
    must("risk", F8, "Latent risk", "", "Standard normal score through which the covariates act."),
)

GRADE = "0 none, 1-4, 5 death from this syndrome."
OBSERVED = f"Highest grade seen at an assessment. {GRADE}"
LATENT = f"Highest grade of the latent course, whether or not anybody looked. {GRADE}"


def _grade(name: str, label: str, description: str) -> Column:
    return must(name, I1, label, "", description, top=5)


GRADES = (
    _grade("crs_max_grade", "Peak CRS grade, scenario's scale", OBSERVED),
    _grade("icans_max_grade", "Peak ICANS grade", f"{OBSERVED} ASTCT 2019; never pooled with ne_*."),
    _grade("ne_max_grade", "Peak neurologic event grade", f"{OBSERVED} Wide CTCAE event."),
    *(_grade(f"crs_max_{s.name.lower()}", f"Peak CRS grade, {s.name.lower()}", OBSERVED) for s in CrsScale),
    *(_grade(f"crs_latent_{s.name.lower()}", f"Latent peak CRS, {s.name.lower()}", LATENT) for s in CrsScale),
    _grade("icans_latent", "Latent peak ICANS grade", LATENT),
    _grade("ne_latent", "Latent peak neurologic event grade", LATENT),
    must("bp_support_max", I1, "Highest haemodynamic support seen", "", "terms.BpSupport.", top=5),
    must("oxygen_max", I1, "Highest respiratory support seen", "", "terms.Oxygen.", top=4),
    must("liver_max", I1, "Highest liver toxicity seen", "", "CTCAE grade.", top=4),
    must("kidney_max", I1, "Highest kidney toxicity seen", "", "CTCAE grade.", top=4),
    must("fever_seen", I1, "Fever was seen", "", "1 yes, 0 no; background fever counts.", top=1),
)

FIRST = "Days since infusion at the first assessment that showed it; null when never."
SPAN = "First to last sign of each episode, summed over episodes, continuous; null without an episode."
WARD = "0 where there was none."

COURSE = (
    *(
        may(f"t_{name}_d", F8, f"First {label}", "d", FIRST)
        for name, label in (
            ("crs", "CRS of any grade"),
            ("crs_ge2", "CRS of grade 2 or more"),
            ("crs_ge3", "CRS of grade 3 or more"),
            ("crs_ge4", "CRS of grade 4 or more"),
            ("icans", "ICANS of any grade"),
            ("icans_ge2", "ICANS of grade 2 or more"),
            ("icans_ge3", "ICANS of grade 3 or more"),
            ("ne", "neurologic event of any grade"),
            ("ne_ge3", "neurologic event, grade 3 or more"),
        )
    ),
    may("t_crs_peak_d", F8, "First time at peak CRS grade", "d", FIRST),
    may("t_icans_peak_d", F8, "First time at peak ICANS grade", "d", FIRST),
    may("crs_duration_d", F8, "CRS duration", "d", SPAN),
    may("icans_duration_d", F8, "ICANS duration", "d", SPAN),
    may("ne_duration_d", F8, "Neurologic event duration", "d", SPAN),
    may("crs_first_duration_d", F8, "Duration of the first CRS episode", "d"),
    may(
        "t_crs_end_d", F8, "End of the last CRS episode", "d", "Null when still open at the end of follow-up."
    ),
    may(
        "t_icans_end_d",
        F8,
        "End of the last ICANS episode",
        "d",
        "Null when still open at the end of follow-up.",
    ),
    must("crs_days_ge2", F8, "Days at CRS grade 2 or more", "d", "Over everyone: 0 without CRS."),
    must("icans_days_ge2", F8, "Days at ICANS grade 2 or more", "d", "Over everyone: 0 without ICANS."),
    must("toci_doses", I2, "Tocilizumab doses", "", "All, prophylactic ones included."),
    must("toci_prophylactic_doses", I2, "Prophylactic tocilizumab doses"),
    must("toci_mg", F8, "Tocilizumab, total", "mg"),
    may("t_toci_d", F8, "First tocilizumab for CRS", "d", "Prophylactic doses do not count."),
    must("steroid_doses", I4, "Steroid doses"),
    must("steroid_mg_dex_eq", F8, "Steroid, total", "mg", "Dexamethasone equivalents."),
    must("steroid_days", I4, "Days with a steroid dose", "d"),
    may("t_steroid_d", F8, "First steroid", "d"),
    must("anakinra_doses", I4, "Anakinra doses"),
    must("anakinra_mg", F8, "Anakinra, total", "mg"),
    must("vasopressor", I1, "Any vasopressor", "", "1 yes, 0 no.", top=1),
    must("oxygen_any", I1, "Any oxygen", "", "1 yes, 0 no.", top=1),
    must("ventilated", I1, "Ventilated", "", "1 yes, 0 no.", top=1),
    must("icu", I1, "Admitted to an ICU", "", "1 yes, 0 no.", top=1),
    must("ward_days", F8, "Days on the ward", "d", WARD),
    must("icu_days", F8, "Days in the ICU", "d", WARD),
    must("hospital_days", F8, "Days in hospital", "d", "Ward and ICU."),
    must("vent_days", F8, "Days on a ventilator", "d", WARD),
    may("t_icu_d", F8, "First ICU admission", "d"),
    may("t_admit_d", F8, "First admission", "d", "May precede infusion."),
    may("t_discharge_d", F8, "First discharge", "d"),
    may("t_death_d", F8, "Death", "d"),
    may("death_cause", WORD, "Cause of death", values=CAUSES),
    must("t_followup_d", F8, "End of follow-up", "d", "Horizon or death."),
    must("assessments", I4, "Assessments"),
)

ADSL = Table(
    "adsl",
    "Subject-Level Analysis Dataset",
    (*SUBJECT_KEYS, *WHO, *GRADES, *COURSE, *HARM_COLUMNS),
    "One row per virtual subject and arm. Days are since infusion (day 0) unless the name says study day.",
)
