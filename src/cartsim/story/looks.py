"""Why: what a rule saw, and since when, stands in no log. The course is therefore walked once more from one assessment
to the next, by the kernel itself, and looked into on the way: stopping a course changes no bit of it.
"""

import math
from dataclasses import dataclass

import numpy as np

from cartsim.errors import CartsimError
from cartsim.model.bedside import look
from cartsim.model.begin import begin
from cartsim.model.course import DONE, NOTHING, REQUESTS, advance, answer, peek
from cartsim.model.laboratory import advance_sampled
from cartsim.model.state import LOG
from cartsim.model.views import as_records
from cartsim.story.lives import Life
from cartsim.terms import Ask

_DESK_OF = {int(Ask.WARD_BED): "WARD_BED", int(Ask.ICU_BED): "ICU_BED", int(Ask.TOCILIZUMAB): "TOCILIZUMAB"}
_CANCELS = {
    int(Ask.CANCEL_WARD): int(Ask.WARD_BED),
    int(Ask.CANCEL_ICU): int(Ask.ICU_BED),
    int(Ask.CANCEL_TOCILIZUMAB): int(Ask.TOCILIZUMAB),
}

#: How far each log of a course has filled; nobody reads them here.
_COUNTS = [name for name in LOG.names or () if name.startswith("n_")]


@dataclass(frozen=True)
class Look:
    """One assessment at `t_d`: COURSE[1] just before it (doses of that very moment given) and just after it."""

    t_d: float
    before: np.ndarray
    after: np.ndarray
    temperature_c: float


def walk(life: Life) -> list[Look]:
    """Every assessment of a life, in order (those skipped because nothing could be seen did not happen).

    Raises `CartsimError` should the course not be the one that the driver ran.
    """
    walker = _Walker(life)
    looks = walker.run()
    if not _same(walker.course, life.course):
        raise CartsimError(
            "a course that was walked step by step is not the one that was run",
            where=f"subject {life.subject}, arm {life.arm.id}",
            mend="report it with the scenario: this is a fault of cartsim",
        )
    return looks


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return all(
        np.array_equal(one[name], other[name], equal_nan=one[name].dtype.kind == "f")
        for name in one.dtype.names or ()
    )


@dataclass
class _Request:
    asked_at: float
    granted_d: float


class _Walker:
    """The driver of one course. At a site it gives what the desks gave, when they gave it."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.clinic = as_records(life.arm.clinic)[0]
        self.warm = as_records(_with_temperature(life.arm.clinic))[0]
        self.subject = as_records(life.ran.subjects)[0]
        self.course = np.zeros(1, life.course.dtype)
        self.log = np.zeros(1, LOG)
        self.pending: dict[int, _Request] = {}
        self.waits = {
            name: iter([wait for wait in life.waits if wait.resource == name]) for name in _DESK_OF.values()
        }
        self.infused_d = life.infused_d
        self.now = 0.0
        self.advance = advance_sampled if life.arm.par["want_markers"][0] else advance

    def run(self) -> list[Look]:
        course = self.course
        begin(*self._records(course), self.life.eligible[0], self.life.mask[0])
        if self.infused_d is not None:
            self.now = self.infused_d + float(course["t"][0])
            if int(course["has_ward_bed"][0]):
                # the bed that the infusion waited for
                next(self.waits["WARD_BED"])
        looks: list[Look] = []
        ready: tuple[float, np.ndarray] | None = None
        while True:
            until = self._settle() if self.pending else math.inf
            if until is None:
                continue
            at = float(course["next_assessment"][0])
            if at > until or at == math.inf:
                ask = self._go(until)
            elif ready is None or ready[0] != at:
                ask = self._go(math.nextafter(at, -math.inf))
                if ask == NOTHING:
                    ready = at, self._just_before(at)
            else:
                seen = int(course["assessments"][0])
                ask = self._go(at)
                if int(course["assessments"][0]) > seen:
                    looks.append(Look(at, ready[1], course.copy(), self._temperature(ready[1], at)))
                    ready = None
            if ask == DONE:
                return looks
            self._obey(ask)

    def _records(self, course: np.ndarray) -> tuple[np.record, np.record, np.record, np.record]:
        return self.clinic, self.subject, as_records(course)[0], as_records(self.log)[0]

    def _go(self, until: float) -> int:
        ask = int(self.advance(*self._records(self.course), until))
        for name in _COUNTS:
            self.log[name] = 0
        if self.infused_d is not None:
            self.now = max(self.now, self.infused_d + float(self.course["t"][0]))
        return ask

    def _obey(self, ask: int) -> None:
        at = float(self.course["t"][0])
        if ask in _CANCELS:
            self.pending.pop(_CANCELS[ask])
        elif ask & REQUESTS and self.infused_d is None:
            answer(*self._records(self.course), ask, at)
        elif ask & REQUESTS:
            wait = next(self.waits[_DESK_OF[ask]])
            if wait.granted_d == wait.asked_d:
                answer(*self._records(self.course), ask, at)
            else:
                self.pending[ask] = _Request(at, math.inf if wait.granted_d is None else wait.granted_d)

    def _settle(self) -> float | None:
        """How far the course may run while something is awaited; None once it was told of a grant."""
        until = float(peek(self.clinic, as_records(self.course)[0]))
        if until == math.inf or self.infused_d is None:
            return until
        granted = min(request.granted_d for request in self.pending.values())
        if granted > self.infused_d + until:
            return until
        self.now = max(self.now, granted)
        for ask in sorted(self.pending):
            request = self.pending[ask]
            if request.granted_d <= self.now and int(self.course["waiting"][0]) & ask:
                del self.pending[ask]
                at = max(self.now - self.infused_d, request.asked_at)
                answer(*self._records(self.course), ask, at)
        return until if self.now >= self.infused_d + until else None

    def _just_before(self, at: float) -> np.ndarray:
        """The course at `at`, with all that comes before the assessment of that moment and without it."""
        course = self.course.copy()
        if at >= float(course["end"][0]):
            return course
        course["next_assessment"] = math.inf
        log = np.zeros(1, LOG)
        while True:
            ask = int(self.advance(self.clinic, self.subject, as_records(course)[0], as_records(log)[0], at))
            if ask & REQUESTS and self.infused_d is None:
                answer(self.clinic, self.subject, as_records(course)[0], as_records(log)[0], ask, at)
            elif ask in (NOTHING, DONE):
                return course

    def _temperature(self, before: np.ndarray, at: float) -> float:
        return float(look(self.warm["par"], self.subject, as_records(before.copy())[0], at)[1])


def _with_temperature(clinic: np.ndarray) -> np.ndarray:
    warm = clinic.copy()
    warm["par"]["want_temperature"] = 1.0
    return warm
