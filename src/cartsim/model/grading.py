"""Grades are pure functions of signs: a scale is a small table, so one cohort can be read on every scale.

Grade 5 is death and never a threshold; it is set where outcomes are written.
"""

import numpy as np

from cartsim.compiled import compiled


@compiled
def crs_grade(clinic: np.record, scale: int, fever: int, iv: int, counts: int, level: np.ndarray) -> int:
    """CRS grade 0-4: the worst axis.

    `iv` says that fever is being treated IV in hospital; `counts` that organ signs may count on a scale that asks
    for fever first (fever was seen, or a drug that masks it was given).
    """
    grade = clinic.fever_grade[scale, iv] if fever else 0
    if counts or not clinic.needs_fever[scale]:
        for axis in range(level.size):
            grade = max(grade, clinic.scale[scale, axis, level[axis]])
    return grade


@compiled
def icans_grade(p: np.record, neuro: int, seizure: int) -> int:
    """ASTCT ICANS grade 0-4 from the neurological level; a clinical seizure makes it at least grade 3."""
    return max(neuro, int(p.seizure_grade)) if seizure else neuro


@compiled
def wide_grade(neuro: int, wide: int) -> int:
    """Grade of the wide CTCAE neurologic event: at least 1 while there is one."""
    return max(1, neuro) if wide else 0
