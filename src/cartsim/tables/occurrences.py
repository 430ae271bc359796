"""Why: episodes and administrations in the shape safety programmers know (OCCDS): one row each, in order of
time within the subject."""

import numpy as np
import pyarrow as pa

from cartsim.record.kinds import CRS_STANDARD, NEURO_STANDARD
from cartsim.record.subject_tables import DRUGS, INDICATIONS, OUTCOMES, ROUTES, SYNDROMES, TERMS
from cartsim.tables.columns import (
    Identity,
    build,
    floats,
    in_order,
    ints,
    key_columns,
    number_within,
    same,
    words,
    yes,
)
from cartsim.tables.days import calendar_days, study_day
from cartsim.tables.grades import with_death
from cartsim.tables.reactions import join_harms, no_relation
from cartsim.terms import Cause, CrsScale, Drug, NeuroScale, Syndrome

#: Grade 5 of the wide neurologic event is the same death as that of ICANS.
_CAUSE_OF = np.array([Cause.CRS, Cause.ICANS, Cause.ICANS])
_PROPHYLAXIS = INDICATIONS.index("PROPHYLAXIS")
#: Anakinra goes under the skin, everything else into a vein (CLINICAL C, D).
_ROUTE_OF = np.array([int(drug == Drug.ANAKINRA) for drug in Drug])


def standards(who: Identity) -> tuple[str, str, str]:
    """Grading standard by Syndrome."""
    crs = CRS_STANDARD[CrsScale(who.crs_scale)]
    return crs, NEURO_STANDARD[NeuroScale.ASTCT2019], NEURO_STANDARD[NeuroScale.CTCAE]


def adae(
    who: Identity,
    cohort: np.ndarray,
    courses: np.ndarray,
    episodes: np.ndarray,
    harms: np.ndarray | None = None,
) -> pa.Table:
    """Table adae of one arm of one block: one row per episode (EPISODE; `row` indexes `courses`), then those of `harms`
    (HARM; None where a scenario does not ask).

    An episode is FATAL, and grade 5, when the subject died of its syndrome and it is the last of its kind.
    Ongoing episodes have no end.
    """
    order = in_order(episodes["row"], episodes["t_start"], episodes["syndrome"])
    e = episodes if order is None else episodes[order]
    row, syndrome, n = e["row"], e["syndrome"].astype("i8"), len(e)
    kind = row.astype("i8") * len(Syndrome) + syndrome
    _, first = np.unique(kind, return_index=True)
    _, last = np.unique(kind[::-1], return_index=True)
    is_first, is_last = np.zeros(n, bool), np.zeros(n, bool)
    is_first[first], is_last[n - 1 - last] = True, True
    cause = np.where(courses["dead"] == 1, courses["cause"], Cause.ALIVE)[row]
    fatal = is_last & (cause == _CAUSE_OF[syndrome])
    ongoing = e["ongoing"] == 1
    grade = with_death(e["grade"], fatal)
    # What ended in death ended: the last sign is the death.
    end = np.where(fatal, courses["end"][row], np.where(ongoing, np.nan, e["t_end"]))
    start_day, end_day = study_day(e["t_start"]), study_day(end)
    syndromes = build(
        "adae",
        key_columns(who, cohort["subject"], row)
        | no_relation(n)
        | {
            "AESEQ": ints(number_within(row), "i2"),
            "AEDECOD": words(syndrome, TERMS),
            "AETOXGR": words(grade - 1, ("1", "2", "3", "4", "5")),
            "ATOXGRN": ints(grade, "i1"),
            "tox_std": words(*standard_words(who, syndrome)),
            "t_start_d": floats(e["t_start"]),
            "t_max_d": floats(np.where(fatal, end, e["t_max"])),
            "t_end_d": floats(end),
            "duration_d": floats(end - e["t_start"]),
            "ASTDY": ints(start_day, "i2"),
            "AENDY": ints(end_day, "i2"),
            "ADURN": ints(calendar_days(start_day, end_day), "i2"),
            "ADURU": same("DAYS", n),
            "AEOUT": words(np.where(fatal, 2, ongoing), OUTCOMES),
            "AESDTH": yes(fatal),
            "AOCCFL": yes(is_first),
            "CQ01NAM": words(syndrome, SYNDROMES),
        },
    )
    return syndromes if harms is None else join_harms(syndromes, row, who, cohort, courses, harms)


def adcm(who: Identity, cohort: np.ndarray, doses: np.ndarray) -> pa.Table:
    """Table adcm of one arm of one block: one row per administration (DOSE; `row` indexes `cohort`)."""
    order = in_order(doses["row"], doses["t_start"])
    d = doses if order is None else doses[order]
    row, drug, n = d["row"], d["drug"], len(d)
    prophylactic = d["prophylactic"] == 1
    return build(
        "adcm",
        key_columns(who, cohort["subject"], row)
        | {
            "CMSEQ": ints(number_within(row), "i2"),
            "CMDECOD": words(drug, DRUGS),
            "CMDOSE": floats(d["mg"]),
            "CMDOSU": same("mg", n),
            "CMROUTE": words(_ROUTE_OF[drug], ROUTES),
            "CMINDC": words(np.where(prophylactic, _PROPHYLAXIS, d["syndrome"]), INDICATIONS),
            "t_order_d": floats(d["t_order"]),
            "t_start_d": floats(d["t_start"]),
            "t_end_d": floats(d["t_end"]),
            "ASTDY": ints(study_day(d["t_start"]), "i2"),
            "AENDY": ints(study_day(d["t_end"]), "i2"),
            "rule_id": words(d["rule_no"], who.rule_names),
            "trigger_grade": ints(d["grade"], "i1", ~prophylactic),
            "dose_no": ints(d["dose_no"], "i2"),
            "prophylactic": ints(prophylactic, "i1"),
        },
    )


def standard_words(who: Identity, syndrome: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    # The same standard may grade two syndromes; a dictionary holds each word once.
    names = standards(who)
    unique = tuple(dict.fromkeys(names))
    return np.array([unique.index(name) for name in names])[syndrome], unique
