"""Why: what happened to a subject, row by row: episodes, administrations, the infusion, times to events,
and the grade at every moment, from which other endpoints can be derived without running anything again."""

from cartsim.record.baseline import YES
from cartsim.record.kinds import (
    CRS_STANDARD,
    F8,
    I1,
    I2,
    I4,
    SUBJECT_KEYS,
    WORD,
    Column,
    Table,
    added,
    key,
    may,
    must,
)
from cartsim.terms import Change, Drug, Reaction, Setting, Syndrome

SYNDROMES = tuple(s.name for s in Syndrome)
DRUGS = tuple(d.name for d in Drug)
SETTINGS = tuple(s.name for s in Setting)
STANDARDS = tuple(CRS_STANDARD.values())
#: MedDRA preferred-term text by Syndrome; codes are licensed and not shipped.
TERMS = (
    "Cytokine release syndrome",
    "Immune effector cell-associated neurotoxicity syndrome",
    "Neurotoxicity",
)
#: The same by Reaction, where a scenario asks for harms.
REACTION_TERMS = (
    "Infusion related reaction",
    "Hypersensitivity",
    "Neutropenia",
    "Alanine aminotransferase increased",
    "Infection",
    "Hyperglycaemia",
    "Psychiatric symptom",
    "Injection site reaction",
)
assert len(REACTION_TERMS) == len(Reaction)
RELATIONS = ("NOT RELATED", "RELATED")
OUTCOMES = ("RECOVERED/RESOLVED", "NOT RECOVERED/NOT RESOLVED", "FATAL")
INDICATIONS = (*SYNDROMES, "PROPHYLAXIS")
ROUTES = ("INTRAVENOUS", "SUBCUTANEOUS")
STUDY_DAY = "Infusion is study day 1, the day before is -1: there is no day 0."

ADAE = Table(
    "adae",
    "Adverse Events Analysis Dataset",
    (
        *SUBJECT_KEYS,
        key(
            "AESEQ", I2, "Sequence Number", "", "From 1 per subject: syndromes by start, then harms by start."
        ),
        must("AEDECOD", WORD, "Dictionary-Derived Term", values=(*TERMS, *REACTION_TERMS)),
        must("AETOXGR", WORD, "Standard Toxicity Grade", "", "", values=("1", "2", "3", "4", "5")),
        must("ATOXGRN", I1, "Analysis Toxicity Grade (N)", "", "Highest of the episode; 5 = fatal.", top=5),
        must("tox_std", WORD, "Grading standard", values=STANDARDS),
        must("t_start_d", F8, "First sign seen", "d", "Days since infusion."),
        must("t_max_d", F8, "First time at the highest grade", "d"),
        may("t_end_d", F8, "Last sign seen", "d", "Null when ongoing at the end of follow-up."),
        may("duration_d", F8, "Duration", "d", "t_end_d - t_start_d, continuous; not ADURN."),
        must("ASTDY", I2, "Analysis Start Relative Day", "d", STUDY_DAY),
        may("AENDY", I2, "Analysis End Relative Day", "d", STUDY_DAY),
        may("ADURN", I2, "Analysis Duration (N)", "d", "Calendar days, first and last included."),
        must("ADURU", WORD, "Analysis Duration Units", values=("DAYS",)),
        must("AEOUT", WORD, "Outcome of Adverse Event", values=OUTCOMES),
        may("AESDTH", WORD, "Results in Death", values=YES),
        may("AOCCFL", WORD, "1st Occurrence within Subject Flag", "", "First of this term.", values=YES),
        may(
            "CQ01NAM",
            WORD,
            "Customized Query 01 Name",
            "",
            "The syndrome, short; null for harms.",
            values=SYNDROMES,
        ),
        added("AEREL", WORD, "Causality", "", "To rel_drug. Null for syndromes.", values=RELATIONS),
        added("AESER", WORD, "Serious Event", "", "Null for syndromes.", values=("N", "Y")),
        added("rel_drug", WORD, "Drug it is related to", "", "", values=DRUGS),
        added(
            "rel_cmseq",
            I2,
            "Dose it is traced to",
            "",
            "CMSEQ in adcm; the first where doses share a reaction.",
        ),
        added("mistaken_icans", WORD, "Mistaken for ICANS", "", "ICANS as seen does not change.", values=YES),
    ),
    "One row per episode. ICANS and the wide neurologic event (NE) are different endpoints: never add them up. With "
    "a block `harms` also reactions to drugs and infections, which nobody grades: grade and length are drawn.",
    (("t_start_d", "t_max_d"), ("t_start_d", "t_end_d"), ("ASTDY", "AENDY")),
)

ADCM = Table(
    "adcm",
    "Concomitant Medications Analysis Dataset",
    (
        *SUBJECT_KEYS,
        key("CMSEQ", I2, "Sequence Number", "", "From 1 per subject, by start."),
        must("CMDECOD", WORD, "Standardized Medication Name", values=DRUGS),
        must("CMDOSE", F8, "Dose per Administration", "mg"),
        must("CMDOSU", WORD, "Dose Units", values=("mg",)),
        must("CMROUTE", WORD, "Route of Administration", values=ROUTES),
        must("CMINDC", WORD, "Indication", values=INDICATIONS),
        must("t_order_d", F8, "Ordered", "d", "Days since infusion; an order is not an administration."),
        must("t_start_d", F8, "Administration begins", "d"),
        may("t_end_d", F8, "Administration ends", "d"),
        must("ASTDY", I2, "Analysis Start Relative Day", "d", STUDY_DAY),
        may("AENDY", I2, "Analysis End Relative Day", "d", STUDY_DAY),
        must("rule_id", WORD, "Rule that ordered it", "", "Rule or prophylaxis entry of the arm's policy."),
        may("trigger_grade", I1, "Grade that triggered the order", "", "Null for prophylaxis.", top=5),
        must("dose_no", I2, "Dose number", "", "Within the subject's course of this drug or regimen."),
        must("prophylactic", I1, "Prophylactic", "", "1 yes, 0 no.", top=1),
    ),
    "One row per administration of tocilizumab, a steroid or anakinra.",
    (("t_order_d", "t_start_d", "t_end_d"),),
)

ADEX = Table(
    "adex",
    "Exposure Analysis Dataset",
    (
        *SUBJECT_KEYS,
        key("EXSEQ", I2, "Sequence Number"),
        must("EXTRT", WORD, "Name of Treatment"),
        must("EXDOSE", F8, "Dose", "10^6 cells", "See EXDOSU for per kg."),
        must("EXDOSU", WORD, "Dose Units", values=("10^6 CELLS", "10^6 CELLS/kg")),
        must("EXROUTE", WORD, "Route of Administration", values=ROUTES[:1]),
        must("t_start_d", F8, "Infusion begins", "d"),
        must("t_end_d", F8, "Infusion ends", "d"),
        must("EXSTDY", I2, "Study Day of Start of Treatment", "d", STUDY_DAY),
        must("EXENDY", I2, "Study Day of End of Treatment", "d", STUDY_DAY),
    ),
    "The CAR-T infusion, one row per subject.",
)

#: (PARAMCD, PARAM, what an event is, source table), in sort order.
PARAMETERS = (
    ("TTCRS", "Time to First CRS of Any Grade (days)", "CRS, ANY GRADE", "ADAE"),
    ("TTCRS3", "Time to First CRS of Grade 3 or More (days)", "CRS, GRADE 3 OR MORE", "ADSL"),
    ("TTICANS", "Time to First ICANS of Any Grade (days)", "ICANS, ANY GRADE", "ADAE"),
    ("TTICAN3", "Time to First ICANS of Grade 3 or More (days)", "ICANS, GRADE 3 OR MORE", "ADSL"),
    ("TTTOCI", "Time to First Tocilizumab for CRS (days)", "TOCILIZUMAB", "ADCM"),
    ("TTSTER", "Time to First Steroid (days)", "STEROID", "ADCM"),
    ("RESCRS", "Time from Onset to Resolution of CRS (days)", "CRS RESOLVED", "ADAE"),
    ("RESICANS", "Time from Onset to Resolution of ICANS (days)", "ICANS RESOLVED", "ADAE"),
    ("TTICU", "Time to First ICU Admission (days)", "ICU ADMISSION", "ADSL"),
    ("TTDISCH", "Time to Discharge (days)", "DISCHARGE", "ADSL"),
    ("OS", "Overall Survival (days)", "DEATH", "ADSL"),
)
EVTYPE = "0 censored, 1 event, 2 death before the event, 3 other competing event."

ADTTE = Table(
    "adtte",
    "Time-to-Event Analysis Dataset",
    (
        *SUBJECT_KEYS,
        key("PARAMCD", WORD, "Parameter Code", values=tuple(p[0] for p in PARAMETERS)),
        must("PARAM", WORD, "Parameter", values=tuple(p[1] for p in PARAMETERS)),
        must("AVAL", F8, "Analysis Value", "d", "From infusion; RESCRS and RESICANS from onset."),
        must("AVALU", WORD, "Analysis Value Unit", values=("DAYS",)),
        must("CNSR", I1, "Censor", "", "0 exactly when evtype is 1, else 1.", top=1),
        must("evtype", I1, "Event type", "", EVTYPE, top=3),
        must("EVNTDESC", WORD, "Event or Censoring Description"),
        must("SRCDOM", WORD, "Source Data", values=("ADAE", "ADCM", "ADSL")),
    ),
    "RESCRS and RESICANS have a row only with onset, TTDISCH only with an admission. RES* end with the last "
    "episode; death before it means never resolved.",
)


def _signs(suffix: str = "") -> tuple[Column, ...]:
    return (
        may("fever", I1, "Fever", "", f"1 yes, 0 no.{suffix}", top=1),
        may("bp_support", I1, "Haemodynamic support", "", f"terms.BpSupport.{suffix}", top=5),
        may("oxygen", I1, "Respiratory support", "", f"terms.Oxygen.{suffix}", top=4),
        may("liver", I1, "Liver toxicity", "", f"CTCAE grade.{suffix}", top=4),
        may("kidney", I1, "Kidney toxicity", "", f"CTCAE grade.{suffix}", top=4),
    )


GRADE_INTERVALS = Table(
    "grade_intervals",
    "Grade intervals",
    (
        *SUBJECT_KEYS,
        key("syndrome", WORD, "Syndrome", values=SYNDROMES),
        must("grade", I1, "Grade as seen", "", "0 included; death (5) has no length and no row.", top=4),
        key("t_start_d", F8, "Interval begins", "d", "Days since infusion."),
        must("t_end_d", F8, "Interval ends", "d", "Where the next begins, or the end of follow-up."),
        *_signs(" CRS rows only."),
        may(
            "neuro_level",
            I1,
            "Neurological level N",
            "",
            "0 ICE 10 to 4 unarousable. ICANS and NE rows.",
            top=4,
        ),
        may("seizure", I1, "Seizure", "", "1 yes, 0 no. ICANS rows only.", top=1),
        may("wide", I1, "Wide neurologic event", "", "1 yes, 0 no. NE rows only.", top=1),
        must("n_toci", I2, "Tocilizumab doses so far", "", "At the start of the interval."),
        must("steroid_on", I1, "On a steroid", "", "At the start of the interval.", top=1),
        must("setting", WORD, "Setting", "", "At the start of the interval.", values=SETTINGS),
        must("tox_std", WORD, "Grading standard", values=STANDARDS),
    ),
    "A row whenever the grade or a sign of the syndrome changes; intervals of a subject and syndrome touch, "
    "never overlap, and cover 0 to the end of follow-up.",
    (("t_start_d", "t_end_d"),),
)

EVENTS = Table(
    "events",
    "Event log",
    (
        *SUBJECT_KEYS,
        key("seq", I4, "Sequence number", "", "From 1 per subject, by time."),
        must("t_d", F8, "Time", "d", "Days since infusion; before it negative."),
        must("kind", WORD, "Kind of change", values=tuple(c.name for c in Change)),
        must("setting", WORD, "Setting after it", values=SETTINGS),
        *(
            Column(c.name, c.type, c.label, c.unit, c.description, nullable=False, top=c.top)
            for c in _signs()
        ),
        must("neuro_level", I1, "Neurological level N", top=4),
        must("wide", I1, "Wide neurologic event", "", "1 yes, 0 no.", top=1),
        must("seizure", I1, "Seizure", "", "1 yes, 0 no.", top=1),
        must("crs_grade", I1, "CRS grade, scenario's scale", top=5),
        must("icans_grade", I1, "ICANS grade", top=5),
        must("ne_grade", I1, "Neurologic event grade", top=5),
        must("n_toci", I2, "Tocilizumab doses so far"),
        must("steroid_on", I1, "On a steroid", "", "1 yes, 0 no.", top=1),
        may("rule_id", WORD, "Rule that fired"),
        may("drug", WORD, "Drug", values=DRUGS),
    ),
    "Every change of a course; written only when the scenario asks for it.",
)

SUBJECT_LOGS = (ADAE, ADCM, ADEX, ADTTE, GRADE_INTERVALS, EVENTS)
