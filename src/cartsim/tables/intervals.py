"""Why: the grade at every moment. Transition plots, day-by-day bars and any endpoint nobody thought of come from
intervals that touch and cover the whole follow-up; ADaM has no home for them."""

import numpy as np
import pyarrow as pa

from cartsim.record.subject_tables import DRUGS, SETTINGS, SYNDROMES
from cartsim.tables.columns import Identity, build, floats, ints, key_columns, number_within, words
from cartsim.tables.occurrences import standard_words
from cartsim.terms import Axis, Change, Setting, Syndrome

_GRADE = {Syndrome.CRS: "crs", Syndrome.ICANS: "icans", Syndrome.NE: "ne"}


def grade_intervals(who: Identity, cohort: np.ndarray, courses: np.ndarray, changes: np.ndarray) -> pa.Table:
    """Table grade_intervals of one arm of one block, from the log of changes (CHANGE; by row, then time).

    Each subject starts at grade 0 at time 0 (what was logged before counts as the state then). The last of
    several changes at one moment stands; a change at the end of follow-up has no length and no row.
    """
    states = states_of(courses, changes)
    pieces, ends, kinds = [], [], []
    for syndrome in Syndrome:
        kept = states[_is_new(states, syndrome)]
        end = courses["end"][kept["row"]]
        same_subject = kept["row"][1:] == kept["row"][:-1]
        end[:-1] = np.where(same_subject, kept["t"][1:], end[:-1])
        pieces.append(kept)
        ends.append(end)
        kinds.append(np.full(len(kept), syndrome, "i1"))
    s, kind, end = np.concatenate(pieces), np.concatenate(kinds), np.concatenate(ends)
    order = np.argsort(s["row"].astype("i8") * len(Syndrome) + kind, kind="stable")
    s, kind, end = s[order], kind[order], end[order]
    grade = np.choose(kind, [s[_GRADE[syndrome]] for syndrome in Syndrome])
    crs, icans, ne = kind == Syndrome.CRS, kind == Syndrome.ICANS, kind == Syndrome.NE
    return build(
        "grade_intervals",
        key_columns(who, cohort["subject"], s["row"])
        | _levels(s, crs)
        | {
            "syndrome": words(kind, SYNDROMES),
            "grade": ints(grade, "i1"),
            "t_start_d": floats(s["t"]),
            "t_end_d": floats(end),
            "neuro_level": ints(s["neuro"], "i1", icans | ne),
            "seizure": ints(s["seizure"], "i1", icans),
            "wide": ints(s["wide"], "i1", ne),
            "n_toci": ints(s["toci_doses"], "i2"),
            "steroid_on": ints(s["steroid_on"], "i1"),
            "setting": words(s["setting"], SETTINGS),
            "tox_std": words(*standard_words(who, kind)),
        },
    )


def events(who: Identity, cohort: np.ndarray, changes: np.ndarray) -> pa.Table:
    """Table events of one arm of one block: every logged change; give only some rows to write a sample."""
    c, row = changes, changes["row"]
    return build(
        "events",
        key_columns(who, cohort["subject"], row)
        | _levels(c, None)
        | {
            "seq": ints(number_within(row), "i4"),
            "t_d": floats(c["t"]),
            "kind": words(c["kind"], tuple(k.name for k in Change)),
            "setting": words(c["setting"], tuple(k.name for k in Setting)),
            "neuro_level": ints(c["neuro"], "i1"),
            "wide": ints(c["wide"], "i1"),
            "seizure": ints(c["seizure"], "i1"),
            "crs_grade": ints(c["crs"], "i1"),
            "icans_grade": ints(c["icans"], "i1"),
            "ne_grade": ints(c["ne"], "i1"),
            "n_toci": ints(c["toci_doses"], "i2"),
            "steroid_on": ints(c["steroid_on"], "i1"),
            "rule_id": words(c["rule_no"], who.rule_names),
            "drug": words(c["drug"], DRUGS),
        },
    )


def _levels(s: np.ndarray, where: np.ndarray | None) -> dict[str, pa.Array]:
    level = s["level"]
    return {
        "fever": ints(s["fever"], "i1", where),
        "bp_support": ints(level[:, Axis.BP_SUPPORT], "i1", where),
        "oxygen": ints(level[:, Axis.OXYGEN], "i1", where),
        "liver": ints(level[:, Axis.LIVER], "i1", where),
        "kidney": ints(level[:, Axis.KIDNEY], "i1", where),
    }


def states_of(courses: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """CHANGE rows with a well state at time 0 before each subject's own, one per moment, before the end."""
    n = len(courses)
    row = changes["row"]
    states = np.zeros(n + len(changes), changes.dtype)
    # Row k of the log moves down by one for each subject up to and including its own.
    place = np.arange(len(changes)) + row + 1
    is_log = np.zeros(len(states), bool)
    is_log[place] = True
    states[is_log] = changes
    states["row"][~is_log] = np.arange(n)
    states["setting"][~is_log] = _first_setting(n, row, changes["setting"])
    states["t"] = np.maximum(states["t"], 0.0)
    stands = np.ones(len(states), bool)
    stands[:-1] = (states["row"][1:] != states["row"][:-1]) | (states["t"][1:] > states["t"][:-1])
    stands &= states["t"] < courses["end"][states["row"]]
    return states[stands]


def _first_setting(n: int, row: np.ndarray, setting: np.ndarray) -> np.ndarray:
    first = np.full(n, Setting.HOME, "i1")
    first[row[::-1]] = setting[::-1]
    return first


def _is_new(s: np.ndarray, syndrome: Syndrome) -> np.ndarray:
    """bool: first state of a subject, or another grade or sign of this syndrome than the state before."""
    new = np.ones(len(s), bool)
    new[1:] = s["row"][1:] != s["row"][:-1]
    watched = {
        Syndrome.CRS: [s["crs"], s["fever"], *s["level"].T],
        Syndrome.ICANS: [s["icans"], s["neuro"], s["seizure"]],
        Syndrome.NE: [s["ne"], s["wide"]],
    }
    for values in watched[syndrome]:
        new[1:] |= values[1:] != values[:-1]
    return new
