"""Why: one state of a subject has a different grade on each published scale, and every one of those numbers must be
checkable against its source. The tables stand in `data/grading.yaml`; here they become the arrays the clinic reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cartsim.terms import Axis, BpSupport, CrsScale

LEVELS = len(BpSupport)
AXIS_KEYS: dict[Axis, str] = {
    Axis.BP_SUPPORT: "bp_support",
    Axis.OXYGEN: "oxygen",
    Axis.LIVER: "liver",
    Axis.KIDNEY: "kidney",
}


@dataclass(frozen=True)
class GradingTables:
    """`scale` int8[scale, axis, level 0..5], levels an axis lacks repeat its last; `fever_grade` int8[scale, 2]
    (0 not treated, 1 treated IV in hospital); `needs_fever` int8[scale]: organ signs count only after fever."""

    scale: np.ndarray
    fever_grade: np.ndarray
    needs_fever: np.ndarray


def grading_tables(values: Mapping[str, Any]) -> GradingTables:
    """Tables of all CRS scales, from registry numbers by key; raises `KeyError` where one is missing."""
    scale = np.zeros((len(CrsScale), len(Axis), LEVELS), np.int8)
    fever = np.zeros((len(CrsScale), 2), np.int8)
    needs = np.zeros(len(CrsScale), np.int8)
    for name in CrsScale:
        prefix = f"grading.{name.name.lower()}"
        for axis, key in AXIS_KEYS.items():
            grades = [0, *values[f"{prefix}.{key}"]]
            scale[name, axis] = grades + [grades[-1]] * (LEVELS - len(grades))
        fever[name] = values[f"{prefix}.fever"]
        needs[name] = values[f"{prefix}.needs_fever"]
    for table in (scale, fever, needs):
        table.setflags(write=False)
    return GradingTables(scale, fever, needs)
