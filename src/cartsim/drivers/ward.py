"""The SimPy driver: the same clinical text where beds, ICU beds and doses are scarce.

A subject is a SimPy process. With nothing outstanding its course jumps straight to its next request; while it waits
the course goes on, assessed where the subject really is and treated with what there is. With unlimited capacity
every subject table equals the batch driver's bit for bit.
"""

import heapq
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy

from cartsim.compiled import compiled
from cartsim.draws import study_key, uniforms
from cartsim.drivers.batch import Block
from cartsim.model.begin import begin
from cartsim.model.course import DONE, FLUSH, NOTHING, REQUESTS, advance, answer, peek
from cartsim.model.laboratory import advance_sampled
from cartsim.model.state import CHANGE, COURSE, DOSE, EPISODE, LOG
from cartsim.model.views import as_records
from cartsim.terms import HOURS_PER_DAY, Ask, Decision

WARD, ICU, DOSES = "ward_bed", "icu_bed", "tocilizumab"
_DESK_OF = {int(Ask.WARD_BED): WARD, int(Ask.ICU_BED): ICU, int(Ask.TOCILIZUMAB): DOSES}
_RELEASES = {int(Ask.RELEASE_WARD): WARD, int(Ask.RELEASE_ICU): ICU}
_CANCELS = {
    int(Ask.CANCEL_WARD): int(Ask.WARD_BED),
    int(Ask.CANCEL_ICU): int(Ask.ICU_BED),
    int(Ask.CANCEL_TOCILIZUMAB): int(Ask.TOCILIZUMAB),
}
# a sick subject goes before one whose infusion can be put off, however long that one has waited
_URGENT, _ELECTIVE = 0, 1


@dataclass(frozen=True)
class Site:
    """Capacity (None: unlimited) and arrivals; times on the site's clock, days from its opening."""

    beds: int | None
    icu_beds: int | None
    tocilizumab_doses: int | None
    arrivals_d: np.ndarray  # float64[subjects], non-decreasing
    restock_every_d: float | None = None
    restock_doses: int = 0


@dataclass
class Wait:
    """One request as the desk saw it; NaN `granted_d` was never granted."""

    resource: str
    subject: int
    asked_d: float
    granted_d: float = math.nan
    withdrawn_d: float = math.nan


@dataclass
class WardRun:
    """Subject results in cohort order, and what the site saw."""

    block: Block
    infusion_d: np.ndarray  # site clock
    waits: list[Wait]
    occupancy: list[tuple[str, float, int, int]]  # resource, time, in use (or left in stock), waiting
    end_d: float = 0.0


class Desk:
    """Gives out one scarce thing in the order of (urgency, time asked, subject).

    Requests made at the same moment are settled together, after all of them are in, so that the order in which
    processes happen to run decides nothing.
    """

    def __init__(self, env: simpy.Environment, name: str, capacity: int | None, returns: bool) -> None:
        self.env = env
        self.name = name
        self.free = math.inf if capacity is None else capacity
        self.returns = returns
        self.used = 0
        self.queue: list[tuple[int, float, int, simpy.Event, Wait]] = []
        self.round: simpy.Event | None = None
        self.waits: list[Wait] = []
        self.levels: list[tuple[str, float, int, int]] = []

    def ask(self, subject: int, urgency: int) -> tuple[simpy.Event, simpy.Event]:
        """(event of the grant, event after which this moment's requests are settled)."""
        grant = self.env.event()
        wait = Wait(self.name, subject, self.env.now)
        self.waits.append(wait)
        heapq.heappush(self.queue, (urgency, self.env.now, subject, grant, wait))
        return grant, self._settle_soon()

    def cancel(self, grant: simpy.Event) -> None:
        """Withdraw a request; what was granted at this very moment goes back unused."""
        if grant.triggered:
            grant.value.granted_d, grant.value.withdrawn_d = math.nan, self.env.now
            self.used -= 1
            self.free += 1
            self._settle_soon()
            return
        for entry in self.queue:
            if entry[3] is grant:
                entry[4].withdrawn_d = self.env.now
                self.queue.remove(entry)
                heapq.heapify(self.queue)
                self._note()
                return

    def give_back(self, units: int = 1) -> None:
        """A bed is free again, or new doses have come."""
        self.free += units
        if self.returns:
            self.used -= units
        self._settle_soon()

    def _settle_soon(self) -> simpy.Event:
        if self.round is None:
            self.round = self.env.timeout(0)
            self.round.callbacks.append(self._settle)
        return self.round

    def _settle(self, _: simpy.Event) -> None:
        self.round = None
        while self.queue and self.free > 0:
            *_, grant, wait = heapq.heappop(self.queue)
            self.free -= 1
            self.used += 1
            wait.granted_d = self.env.now
            grant.succeed(wait)
        self._note()

    def _note(self) -> None:
        row = (self.name, self.env.now, self.used, len(self.queue))
        if self.levels and self.levels[-1][1] == self.env.now:
            self.levels[-1] = row
        elif not self.levels or self.levels[-1][2:] != row[2:]:
            self.levels.append(row)


@compiled
def _begin(
    clinics: np.ndarray, subjects: np.ndarray, courses: np.ndarray, logs: np.ndarray, i: int, eligible: np.uint64,
    prophylaxis_mask: np.uint64,
) -> float:  # fmt: skip
    begin(clinics[0], subjects[i], courses[i], logs[0], eligible, prophylaxis_mask)
    return courses[i].t


@compiled
def _advance(
    clinics: np.ndarray, subjects: np.ndarray, courses: np.ndarray, logs: np.ndarray, i: int, until: float
) -> tuple[int, float]:
    ask = advance(clinics[0], subjects[i], courses[i], logs[0], until)
    return ask, courses[i].t


@compiled
def _advance_sampled(
    clinics: np.ndarray, subjects: np.ndarray, courses: np.ndarray, logs: np.ndarray, i: int, until: float
) -> tuple[int, float]:
    ask = advance_sampled(clinics[0], subjects[i], courses[i], logs[0], until)
    return ask, courses[i].t


@compiled
def _answer(
    clinics: np.ndarray, subjects: np.ndarray, courses: np.ndarray, logs: np.ndarray, i: int, ask: int,
    granted_at: float,
) -> None:  # fmt: skip
    answer(clinics[0], subjects[i], courses[i], logs[0], ask, granted_at)


@compiled
def _peek(clinics: np.ndarray, courses: np.ndarray, i: int) -> float:
    return peek(clinics[0], courses[i])


@dataclass
class _Pending:
    """A request outstanding: when it was asked on the course's clock, and its grant."""

    asked_at: float
    grant: simpy.Event
    desk: Desk


@dataclass
class Ward:
    """One arm of one replicate at one site."""

    clinic: np.ndarray
    subjects: np.ndarray
    eligible: np.ndarray
    prophylaxis_mask: np.ndarray
    site: Site
    env: simpy.Environment = field(default_factory=simpy.Environment)

    def __post_init__(self) -> None:
        n = len(self.subjects)
        self.courses = np.zeros(n, COURSE)
        self.log = np.zeros(1, LOG)
        self.infusion_d = np.full(n, math.nan)
        self.rows: dict[str, list[np.ndarray]] = {"episodes": [], "doses": [], "changes": []}
        self.inpatient = not bool(self.clinic["par"]["outpatient"][0])
        self.desks = {
            WARD: Desk(self.env, WARD, self.site.beds, returns=True),
            ICU: Desk(self.env, ICU, self.site.icu_beds, returns=True),
            DOSES: Desk(self.env, DOSES, self.site.tocilizumab_doses, returns=False),
        }
        self._args = (
            as_records(self.clinic),
            as_records(self.subjects),
            as_records(self.courses),
            as_records(self.log),
        )

    def run(self) -> WardRun:
        """Run until every subject's follow-up has ended."""
        everyone = [self.env.process(self._live(i)) for i in range(len(self.subjects))]
        if self.site.restock_every_d and self.site.restock_doses:
            self.env.process(self._restock(self.site.restock_every_d, self.site.restock_doses))
        self.env.run(until=simpy.AllOf(self.env, everyone))
        kinds = {"episodes": EPISODE, "doses": DOSE, "changes": CHANGE}
        logs = []
        for name, kind in kinds.items():
            rows = np.concatenate(self.rows[name]) if self.rows[name] else np.zeros(0, kind)
            # a subject's own rows are in order; the site interleaves subjects
            logs.append(rows[np.argsort(rows["row"], kind="stable")])
        waits = [wait for desk in self.desks.values() for wait in desk.waits]
        levels = [row for desk in self.desks.values() for row in desk.levels]
        block = Block(self.courses, *logs).sampled(self.clinic, self.subjects)
        return WardRun(block, self.infusion_d, waits, levels, self.env.now)

    def _restock(self, every_d: float, doses: int) -> Generator[simpy.Event, Any, None]:
        while True:
            yield self.env.timeout(every_d)
            self.desks[DOSES].give_back(doses)

    def _live(self, i: int) -> Generator[simpy.Event, Any, None]:
        """One subject: arrive, be infused once there is a bed, then follow the course's own clock."""
        yield self.env.timeout(float(self.site.arrivals_d[i]))
        if self.inpatient:
            grant, _ = self.desks[WARD].ask(int(self.subjects["subject"][i]), _ELECTIVE)
            yield grant
        first = _begin(*self._args, i, self.eligible[i], self.prophylaxis_mask[i])
        self._flush(i)
        infusion = self.env.now - first
        self.infusion_d[i] = infusion
        pending: dict[int, _Pending] = {}
        go_on = _advance_sampled if self.clinic["par"]["want_markers"][0] else _advance
        while True:
            until = _peek(self._args[0], self._args[2], i) if pending else math.inf
            if pending and until < math.inf:
                yield from self._wait(i, infusion + until, infusion, pending)
                if self.env.now < infusion + until:
                    continue  # woken by a grant, which may have changed what comes next
            ask, at = go_on(*self._args, i, until)
            self._flush(i)
            if ask in (NOTHING, FLUSH):
                continue
            if infusion + at > self.env.now:
                yield self.env.timeout(infusion + at - self.env.now)
            if ask == DONE:
                return
            yield from self._obey(i, ask, at, pending)

    def _wait(
        self, i: int, target: float, infusion: float, pending: dict[int, _Pending]
    ) -> Generator[simpy.Event, Any, None]:
        """Wait for the course's next own event or a grant, and tell the course of every grant."""
        if target > self.env.now and not any(p.grant.triggered for p in pending.values()):
            clock = self.env.timeout(target - self.env.now)
            yield simpy.AnyOf(self.env, [clock, *(p.grant for p in pending.values())])
        for ask in sorted(pending):
            request = pending[ask]
            # a request that the course has withdrawn meanwhile is for its cancel word to settle
            if request.grant.triggered and int(self.courses["waiting"][i]) & ask:
                del pending[ask]
                granted_at = max(self.env.now - infusion, request.asked_at)
                _answer(*self._args, i, ask, granted_at)
                self._flush(i)

    def _obey(
        self, i: int, ask: int, at: float, pending: dict[int, _Pending]
    ) -> Generator[simpy.Event, Any, None]:
        """Carry out one word of the course."""
        if ask & REQUESTS:
            desk = self.desks[_DESK_OF[ask]]
            grant, settled = desk.ask(int(self.subjects["subject"][i]), _URGENT)
            yield settled
            if grant.triggered:
                _answer(*self._args, i, ask, at)
                self._flush(i)
            else:
                pending[ask] = _Pending(at, grant, desk)
        elif ask in _RELEASES:
            self.desks[_RELEASES[ask]].give_back()
        elif ask in _CANCELS:
            request = pending.pop(_CANCELS[ask])
            request.desk.cancel(request.grant)

    def _flush(self, i: int) -> None:
        for name, rows in self.rows.items():
            used = int(self.log[f"n_{name}"][0])
            if used:
                taken = self.log[name][0, :used].copy()
                taken["row"] = i
                rows.append(taken)
                self.log[f"n_{name}"] = 0


def run_ward(
    clinic: np.ndarray, subjects: np.ndarray, eligible: np.ndarray, prophylaxis_mask: np.ndarray, site: Site
) -> WardRun:
    """Every subject of one arm and replicate through one site."""
    return Ward(clinic, subjects, eligible, prophylaxis_mask, site).run()


def arrivals_every(hours: float, count: int) -> np.ndarray:
    """One arrival every `hours`, the first at opening; days."""
    return np.arange(count) * (hours / HOURS_PER_DAY)


def arrivals_listed(at_h: Sequence[float], count: int) -> np.ndarray:
    """Arrivals on a schedule in hours; after its end it is repeated with its own length plus its mean gap."""
    times = np.sort(np.asarray(at_h, dtype=float)) / HOURS_PER_DAY
    if not len(times):
        raise ValueError("an arrival schedule needs at least one time")
    gap = (times[-1] - times[0]) / max(len(times) - 1, 1) or 1.0
    length = times[-1] - times[0] + gap
    rounds = np.arange(count) // len(times)
    return times[np.arange(count) % len(times)] + rounds * length


def arrivals_poisson(per_day: float, count: int, seed: int, replicate: int, first: int = 0) -> np.ndarray:
    """Poisson arrivals: each subject's gap has an address, so more subjects change no earlier arrival; days."""
    gaps = uniforms(study_key(seed, replicate), np.arange(first, first + count), Decision.ARRIVAL)
    return np.cumsum(-np.log(gaps) / per_day)
