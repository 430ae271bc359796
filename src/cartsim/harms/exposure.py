"""Why: reactions are asked of doses and of days, the log has administrations. Doses are numbered here by drug and put
together by calendar day (day 0 begins with the infusion), each with its place in table adcm."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cartsim.terms import Drug, HarmSource

#: Days before infusion that have numbers of their own; earlier ones share the first.
DAYS_BEFORE = 64
_SOURCE = np.zeros(len(Drug), "i1")
_SOURCE[Drug.TOCILIZUMAB] = HarmSource.TOCILIZUMAB
_SOURCE[[Drug.DEXAMETHASONE, Drug.METHYLPREDNISOLONE]] = HarmSource.STEROID
_SOURCE[Drug.ANAKINRA] = HarmSource.ANAKINRA


@dataclass(frozen=True)
class Given:
    """Doses or days of exposure of one source, by subject and time; all arrays of one length.

    `number` is part of the address of random numbers: 1, 2, ... for doses, the day for days. `cmseq` and `drug` are
    those of the dose, or of the first one of the day; `mg` are dexamethasone equivalents for steroids.
    """

    source: HarmSource
    row: np.ndarray
    number: np.ndarray
    start: np.ndarray
    mg: np.ndarray
    cmseq: np.ndarray
    drug: np.ndarray

    def where(self, mask: np.ndarray) -> "Given":
        """Those for which `mask` holds, or at the given places."""
        names = ("row", "number", "start", "mg", "cmseq", "drug")
        return Given(self.source, *(getattr(self, name)[mask] for name in names))

    @property
    def day(self) -> np.ndarray:
        """Days since infusion, whole; of days of exposure."""
        return self.number - DAYS_BEFORE


def doses_by_source(doses: np.ndarray, mg: np.ndarray) -> Callable[[HarmSource], Given]:
    """Doses of any one source out of all of some subjects (DOSE, and their mg in equivalents)."""
    order = np.lexsort((doses["t_start"], doses["row"]))
    row, drug, start = (doses[name][order] for name in ("row", "drug", "t_start"))
    row, mg, cmseq, of = row.astype("i8"), mg[order], _within(row), _SOURCE[drug]

    def doses_of(source: HarmSource) -> Given:
        mine = np.flatnonzero(of == source)
        own = row[mine]
        return Given(source, own, _within(own), start[mine], mg[mine], cmseq[mine], drug[mine])

    return doses_of


def days_of(doses: Given, least_mg: float = 0.0) -> Given:
    """Calendar days on which the doses of the day came to at least `least_mg`."""
    day = np.maximum(np.floor(doses.start).astype("i8"), -DAYS_BEFORE)
    new = np.ones(len(day), bool)
    new[1:] = (doses.row[1:] != doses.row[:-1]) | (day[1:] != day[:-1])
    first = np.flatnonzero(new)
    total = np.add.reduceat(doses.mg, first) if len(first) else doses.mg[:0]
    days = doses.where(first)
    days = Given(doses.source, days.row, day[first] + DAYS_BEFORE, days.start, total, days.cmseq, days.drug)
    return days.where(total >= least_mg)


def nth_of(days: Given, n: int) -> Given:
    """The n-th of the days of each subject that has so many."""
    return days.where(_within(days.row) == n)


def _within(rows: np.ndarray) -> np.ndarray:
    """1, 2, 3, ... within each run of equal `rows`."""
    index = np.arange(len(rows))
    new = np.ones(len(rows), bool)
    new[1:] = rows[1:] != rows[:-1]
    starts = np.flatnonzero(new)
    return index - np.repeat(starts, np.diff(starts, append=len(rows))) + 1
