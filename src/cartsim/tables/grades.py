"""Why: only levels are simulated; what they are called on each of five scales is derived here, once for what the
bedside saw and once for what was there (MODEL 3: a scale is a lookup, grade = worst axis)."""

import numpy as np

from cartsim.tables.columns import Identity
from cartsim.terms import Axis, Cause, CrsScale

DEATH_GRADE = 5
SEIZURE_GRADE = 3


def died_of(courses: np.ndarray, cause: Cause) -> np.ndarray:
    """bool[n]: dead of that cause."""
    return (courses["dead"] == 1) & (courses["cause"] == cause)


def with_death(grade: np.ndarray, fatal: np.ndarray) -> np.ndarray:
    """int8[n]: grade 5 where the syndrome was fatal."""
    return np.where(fatal, DEATH_GRADE, grade).astype("i1")


def observed_crs(who: Identity, courses: np.ndarray) -> dict[CrsScale, np.ndarray]:
    """Peak CRS grade as seen, int8[n] by scale; the worst axis at its peak, death included."""
    gated = courses["peak_level"].copy()
    gated[:, : courses["peak_gated"].shape[1]] = courses["peak_gated"]
    fever, treated_iv = courses["fever_seen"] == 1, courses["iv_fever_seen"] == 1
    fatal = died_of(courses, Cause.CRS)
    return {
        s: with_death(
            _worst(who, s, gated if who.needs_fever[s] else courses["peak_level"], fever, treated_iv), fatal
        )
        for s in CrsScale
    }


def latent_crs(
    who: Identity, subjects: np.ndarray, courses: np.ndarray, latent: np.ndarray
) -> dict[CrsScale, np.ndarray]:
    """Peak CRS grade of the latent course, int8[n] by scale.

    Where a scale asks for fever, levels count only in subjects who had it, or a drug that masks it.
    """
    fever, treated_iv = latent["fever"] == 1, subjects["iv_fever"] == 1
    gated = np.where(latent["counts"][:, None] == 1, latent["level"], 0)
    fatal = died_of(courses, Cause.CRS)
    return {
        s: with_death(
            _worst(who, s, gated if who.needs_fever[s] else latent["level"], fever, treated_iv), fatal
        )
        for s in CrsScale
    }


def latent_icans(courses: np.ndarray, latent: np.ndarray) -> np.ndarray:
    """Peak latent ICANS grade, int8[n]: level N, lifted by a seizure, 5 when fatal."""
    seized = np.isfinite(courses["seizure_t"]) & (courses["seizure_t"] <= courses["end"])
    grade = np.maximum(latent["neuro"], np.where(seized, SEIZURE_GRADE, 0))
    return with_death(grade, died_of(courses, Cause.ICANS))


def latent_ne(courses: np.ndarray, latent: np.ndarray) -> np.ndarray:
    """Peak latent grade of the wide neurologic event, int8[n]: max(1, N) while there is one, 5 when fatal."""
    grade = np.where(latent["wide"] == 1, np.maximum(1, latent["neuro"]), 0)
    return with_death(grade, died_of(courses, Cause.ICANS))


def _worst(
    who: Identity, scale: CrsScale, level: np.ndarray, fever: np.ndarray, treated_iv: np.ndarray
) -> np.ndarray:
    by_fever = who.fever_grade[scale]
    grade = np.where(fever, np.where(treated_iv, by_fever[1], by_fever[0]), 0)
    for axis in Axis:
        grade = np.maximum(grade, who.scale[scale, axis][level[:, axis]])
    return grade
