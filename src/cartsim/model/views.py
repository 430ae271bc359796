"""How records are handed to the clinic, compiled or not.

Compiled code reads a field of a structured array as an attribute; plain Python needs NumPy's record view to do the
same. This is the only place that knows the difference.
"""

import numpy as np

from cartsim.compiled import UNCOMPILED
from cartsim.model.state import CLINIC, pack_ranges


def as_records(array: np.ndarray) -> np.ndarray:
    """The same memory, with fields as attributes where Python itself runs the text."""
    return array.view(np.recarray) if UNCOMPILED else array


def make_clinic(
    par: np.ndarray, scale: np.ndarray, fever_grade: np.ndarray, needs_fever: np.ndarray, rules: np.ndarray,
    actions: np.ndarray, prophylaxis: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """One `CLINIC` record: parameters (PARAMETERS[1]), grading tables, and a compiled policy's three arrays.

    Raises `ValueError` when a policy has more rows than the record has slots.
    """
    clinic = np.zeros(1, CLINIC)
    clinic["par"] = par
    clinic["scale"] = scale
    clinic["fever_grade"] = fever_grade
    clinic["needs_fever"] = needs_fever
    for name, rows in (("rules", rules), ("actions", actions), ("prophylaxis", prophylaxis)):
        if len(rows) > clinic[name].shape[1]:
            raise ValueError(f"{len(rows)} {name} given, at most {clinic[name].shape[1]} fit")
        clinic[name][0, : len(rows)] = rows
    pack_ranges(clinic["rules"][0])
    clinic["n_rules"] = len(rules)
    clinic["n_prophylaxis"] = len(prophylaxis)
    return clinic
