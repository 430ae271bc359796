"""Why: a claim is about something that happened to some of the subjects. Here is what each word of the list of claims
means in a simulated arm: who is in question, and the event or the days.
"""

from collections.abc import Callable, Mapping

import numpy as np

from cartsim.cells import Ran
from cartsim.claims.settings import column
from cartsim.tables.responses import response, to_resolution, treated_crs

SEVERE = 3
#: Who is in question and what happened to them: bool (n,), and bool events or float days (n,).
Variable = Callable[[Ran], tuple[np.ndarray, np.ndarray]]


def _reached(name: str, grade: int) -> Variable:
    def read(ran: Ran) -> tuple[np.ndarray, np.ndarray]:
        return np.ones(ran.count, bool), column(ran, name) >= grade

    return read


def _response(ran: Ran) -> tuple[np.ndarray, np.ndarray]:
    """Of those given tocilizumab for CRS: resolved in 14 days after at most two doses (the FDA's definition)."""
    code = response(ran.block.courses, ran.block.episodes, ran.block.doses)
    return code > 0, code == 2


def _resolution(ran: Ran) -> tuple[np.ndarray, np.ndarray]:
    """Days from the first tocilizumab to the last sign of its CRS; infinity where it never ended in follow-up."""
    treated, _ = treated_crs(ran.block.courses, ran.block.episodes)
    days = to_resolution(ran.block.courses, ran.block.episodes)
    return treated, np.where(np.isnan(days), np.inf, days)


def _given_steroid(ran: Ran) -> np.ndarray:
    return column(ran, "steroid_doses") > 0


VARIABLES: Mapping[str, Variable] = {
    "crs_ge2": _reached("crs_max_grade", 2),
    "crs_ge3": _reached("crs_max_grade", SEVERE),
    "icans_any": _reached("icans_max_grade", 1),
    "icans_ge3": _reached("icans_max_grade", SEVERE),
    "tocilizumab_response": _response,
    "tocilizumab_to_resolution_d": _resolution,
    "severe_given_steroid": lambda ran: (column(ran, "crs_max_grade") >= SEVERE, _given_steroid(ran)),
    "tocilizumab_and_steroid": lambda ran: (column(ran, "toci_doses") > 0, _given_steroid(ran)),
    "icans_without_crs": lambda ran: (column(ran, "icans_max_grade") >= 1, column(ran, "crs_max_grade") == 0),
}
