"""Why: reactions to drugs are adverse events like any others. They join table adae behind the syndromes, whose rows
they leave as they were, and become flags of a subject for adsl and the endpoints."""

from collections.abc import Collection

import numpy as np
import pyarrow as pa

from cartsim.record.harm_columns import harm_columns
from cartsim.record.kinds import NEURO_STANDARD
from cartsim.record.subject_tables import DRUGS, OUTCOMES, REACTION_TERMS, RELATIONS, SYNDROMES
from cartsim.tables.columns import (
    Identity,
    build,
    floats,
    ints,
    key_columns,
    number_within,
    same,
    words,
    yes,
)
from cartsim.tables.days import calendar_days, study_day
from cartsim.terms import HarmSource, NeuroScale, Reaction

#: CTCAE 5.0, in the words of the record.
_STANDARD = NEURO_STANDARD[NeuroScale.CTCAE]
_SEVERE = 3
_GRADES = ("1", "2", "3", "4", "5")


def no_relation(n: int) -> dict[str, pa.Array]:
    """The columns of adae that only harms fill, for `n` rows of syndromes."""
    nowhere, nothing = np.zeros(n, bool), np.zeros(n, "i8")
    return {
        "AEREL": words(nothing, RELATIONS, nowhere),
        "AESER": words(nothing, ("N", "Y"), nowhere),
        "rel_drug": words(nothing, DRUGS, nowhere),
        "rel_cmseq": ints(nothing, "i2", nowhere),
        "mistaken_icans": yes(nowhere),
    }


def join_harms(
    syndromes: pa.Table,
    row: np.ndarray,
    who: Identity,
    cohort: np.ndarray,
    courses: np.ndarray,
    harms: np.ndarray,
) -> pa.Table:
    """Table adae with reactions behind each subject's syndromes.

    syndromes: adae of episodes, of the subjects `row` (ascending); harms: HARM, by `row`, then time.
    """
    before = np.bincount(row, minlength=len(cohort))
    reactions = _rows(who, cohort, courses, harms, before)
    order = np.argsort(np.concatenate([row, harms["row"]]), kind="stable")
    return pa.concat_tables([syndromes, reactions]).unify_dictionaries().combine_chunks().take(order)


def harm_measures(
    harms: np.ndarray, n: int, drugs: Collection[str], wanted: Collection[str] | None
) -> dict[str, np.ndarray]:
    """{adsl column: int8[n]} of what `drugs` can fill. harms: HARM; `wanted` leaves out the others."""
    reaction, source = harms["reaction"], harms["source"]
    related = source != HarmSource.BACKGROUND
    severe = harms["grade"] >= _SEVERE
    infection = reaction == Reaction.INFECTION
    infused = (reaction == Reaction.INFUSION_REACTION) | (reaction == Reaction.HYPERSENSITIVITY)
    masks = {
        "drug_reaction_ge3": related & severe,
        "toci_reaction": infused,
        "mistaken_icans": harms["mistaken"] == 1,
        "infection": infection,
        "severe_infection": infection & severe,
        "drug_infection": infection & related,
    } | {
        kind.name.lower(): reaction == kind
        for kind in Reaction
        if kind not in (Reaction.INFECTION, Reaction.INFUSION_REACTION)
    }
    found = {}
    for name in harm_columns(drugs):
        if wanted is not None and name not in wanted:
            continue
        if name == "drug_reactions":
            kinds = np.unique(harms["row"][related].astype("i8") * len(Reaction) + reaction[related])
            found[name] = np.bincount(kinds // len(Reaction), minlength=n).astype("i1")
        else:
            found[name] = (np.bincount(harms["row"][masks[name]], minlength=n) > 0).astype("i1")
    return found


def _rows(
    who: Identity, cohort: np.ndarray, courses: np.ndarray, harms: np.ndarray, before: np.ndarray
) -> pa.Table:
    row, reaction, n = harms["row"], harms["reaction"].astype("i8"), len(harms)
    _, first = np.unique(row.astype("i8") * len(Reaction) + reaction, return_index=True)
    is_first = np.zeros(n, bool)
    is_first[first] = True
    ongoing = harms["t_end"] > courses["end"][row]
    end = np.where(ongoing, np.nan, harms["t_end"])
    start_day, end_day = study_day(harms["t_start"]), study_day(end)
    related = harms["source"] != HarmSource.BACKGROUND
    return build(
        "adae",
        key_columns(who, cohort["subject"], row)
        | {
            "AESEQ": ints(before[row] + number_within(row), "i2"),
            "AEDECOD": words(reaction, REACTION_TERMS),
            "AETOXGR": words(harms["grade"] - 1, _GRADES),
            "ATOXGRN": ints(harms["grade"], "i1"),
            "tox_std": same(_STANDARD, n),
            "t_start_d": floats(harms["t_start"]),
            "t_max_d": floats(harms["t_start"]),
            "t_end_d": floats(end),
            "duration_d": floats(end - harms["t_start"]),
            "ASTDY": ints(start_day, "i2"),
            "AENDY": ints(end_day, "i2"),
            "ADURN": ints(calendar_days(start_day, end_day), "i2"),
            "ADURU": same("DAYS", n),
            "AEOUT": words(ongoing.astype("i8"), OUTCOMES),
            "AESDTH": yes(np.zeros(n, bool)),
            "AOCCFL": yes(is_first),
            "CQ01NAM": words(np.zeros(n, "i8"), SYNDROMES, np.zeros(n, bool)),
            "AEREL": words(related.astype("i8"), RELATIONS),
            "AESER": words(harms["serious"], ("N", "Y")),
            "rel_drug": words(harms["drug"], DRUGS),
            "rel_cmseq": ints(harms["cmseq"], "i2", related),
            "mistaken_icans": yes(harms["mistaken"] == 1),
        },
    )
