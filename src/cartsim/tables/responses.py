"""Why: what became of those who were treated, and the days that nobody wrote down, can be read from a course and its
logs. These are columns like those of adsl, made only where an endpoint asks for them.
"""

from collections.abc import Callable, Mapping

import numpy as np

from cartsim.tables.grades import died_of, with_death
from cartsim.tables.intervals import states_of
from cartsim.terms import Cause, Drug, Setting, Syndrome

#: Response of the FDA's analysis (Le, Oncologist 2018;23:943; CLINICAL C3): resolved within so many days of the first
#: dose, with at most so many doses, and no drug but tocilizumab and steroids.
RESPONSE_DAYS, RESPONSE_DOSES = 14.0, 2
SEVERE = 3
#: Codes of a share among some: not in question, no, yes.
_ASIDE, _NO, _YES = 0, 1, 2

Made = dict[str, np.ndarray]


def course_columns(courses: np.ndarray, severe_from: int = SEVERE) -> dict[str, Callable[[], np.ndarray]]:
    """Columns read from COURSE (n,) alone: {name: maker of (n,)}, days as float64 with NaN where there are none.

    `severe_from`: grade from which a CRS counts in the cost per CRS avoided.
    """
    crs = with_death(courses["peak_crs"], died_of(courses, Cause.CRS))
    icans = with_death(courses["peak_neuro"], died_of(courses, Cause.ICANS))
    hospital = courses["ward_days"] + courses["icu_days"]
    severe = crs >= SEVERE
    return {
        "severe_crs": lambda: (crs >= severe_from).astype("i1"),
        "severe_given_steroid": lambda: _among(severe, courses["steroid_doses"] > 0),
        "toci_reactive_doses": lambda: courses["toci_doses"] - courses["toci_prophylactic_doses"],
        "crs_icans_grade": lambda: np.minimum(crs, icans),
        "admitted": lambda: np.isfinite(courses["admit_t"]).astype("i1"),
        "stay_d": lambda: np.where(hospital > 0, hospital, np.nan),
        "days_alive_out": lambda: np.maximum(courses["end"] - hospital, 0.0),
    }


def treated_crs(courses: np.ndarray, episodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the CRS that the first tocilizumab was given in: is there one, bool (n,), and its last sign, days (n,).

    It is the last episode of an EPISODE log that had begun by then. NaN where it never ended in follow-up.
    """
    n, first = len(courses), courses["toci_t"]
    crs = episodes[episodes["syndrome"] == Syndrome.CRS]
    crs = crs[crs["t_start"] <= first[crs["row"]]]
    treated, end = np.zeros(n, bool), np.full(n, np.nan)
    treated[crs["row"]] = np.isfinite(first[crs["row"]])
    # episodes of a subject follow each other, so the last one stands
    end[crs["row"]] = np.where(crs["ongoing"] == 1, np.nan, crs["t_end"])
    return treated, end


def to_resolution(courses: np.ndarray, episodes: np.ndarray) -> np.ndarray:
    """Days (n,) from the first tocilizumab to the last sign of its CRS; 0 where that came before the drug did."""
    treated, end = treated_crs(courses, episodes)
    with np.errstate(invalid="ignore"):
        return np.where(treated, np.maximum(end - courses["toci_t"], 0.0), np.nan)


def response(courses: np.ndarray, episodes: np.ndarray, doses: np.ndarray) -> np.ndarray:
    """Response to the first tocilizumab, int8 (n,): 0 not treated, 1 no, 2 yes. Not resolved by the horizon is no."""
    n, first = len(courses), courses["toci_t"]
    treated, _ = treated_crs(courses, episodes)
    days = to_resolution(courses, episodes)
    # infinity where there was no first dose, so that no dose is compared with a missing number
    in_time = doses["t_start"] <= (first + RESPONSE_DAYS)[doses["row"]]
    reactive = (doses["drug"] == Drug.TOCILIZUMAB) & (doses["prophylactic"] == 0)
    given = np.bincount(doses["row"][reactive & in_time], minlength=n)
    other = np.bincount(doses["row"][(doses["drug"] == Drug.ANAKINRA) & in_time], minlength=n)
    return _among(treated, (days <= RESPONSE_DAYS) & (given <= RESPONSE_DOSES) & (other == 0))


def to_defervescence(courses: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """Days (n,) from the first tocilizumab to the first assessment without fever, from a CHANGE log.

    NaN where there was no fever when it was given, or it never went.
    """
    first = courses["toci_t"]
    states = states_of(courses, changes)
    row, after = states["row"], states["t"] > first[states["row"]]
    febrile = np.zeros(len(courses), bool)
    febrile[row[~after]] = states["fever"][~after] == 1  # rows are in time, so the last one stands
    gone = np.full(len(courses), np.inf)
    off = after & (states["fever"] == 0)
    np.minimum.at(gone, row[off], states["t"][off])
    with np.errstate(invalid="ignore"):
        return np.where(febrile & np.isfinite(first) & np.isfinite(gone), gone - first, np.nan)


def spans(courses: np.ndarray, changes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """States (CHANGE rows) that cover each subject's follow-up without a gap, and the end of each, days."""
    states = states_of(courses, changes)
    end = courses["end"][states["row"]]
    same = states["row"][1:] == states["row"][:-1]
    end[:-1] = np.where(same, states["t"][1:], end[:-1])
    return states, end


def watched_days(courses: np.ndarray, changes: np.ndarray, watch_d: float) -> np.ndarray:
    """Days (n,) alive and out of hospital in the first `watch_d` days after infusion."""
    states, end = spans(courses, changes)
    out = states["setting"] < Setting.WARD
    lasted = np.minimum(end, watch_d) - np.minimum(states["t"], watch_d)
    return np.bincount(states["row"], np.where(out, lasted, 0.0), len(courses))


def quality_lost(
    courses: np.ndarray,
    changes: np.ndarray,
    decrements: Mapping[str, Mapping[str, float]],
    alive: float | None,
    horizon_d: float,
) -> np.ndarray:
    """Quality-adjusted days lost (n,): time at each grade as seen, times what a day at it takes away.

    `decrements`: {crs or icans: {grade: decrement}}; those of both syndromes add up, to `alive` at most. With `alive`
    each day from a death to the horizon loses that much.
    """
    states, end = spans(courses, changes)
    per_day = np.zeros(len(states))
    for syndrome, by_grade in decrements.items():
        table = np.zeros(max(int(grade) for grade in by_grade) + 1)
        for grade, decrement in by_grade.items():
            table[int(grade)] = decrement
        seen = states[syndrome]
        per_day += np.where(seen < len(table), table[np.minimum(seen, len(table) - 1)], 0.0)
    per_day = np.minimum(per_day, 1.0 if alive is None else alive)
    lost = np.bincount(states["row"], per_day * (end - states["t"]), len(courses))
    if alive is not None:
        lost += np.where(courses["dead"] == 1, alive * (horizon_d - courses["end"]), 0.0)
    return lost


def _among(in_question: np.ndarray, yes: np.ndarray) -> np.ndarray:
    return np.where(in_question, np.where(yes, _YES, _NO), _ASIDE).astype("i1")
