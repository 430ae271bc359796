"""What is ordered for one subject and given to it, for the plain SimPy reference (MODEL 4, CLINICAL B)."""

from dataclasses import dataclass, field
from math import floor, inf

from benchmarks.plain_body import HOME, SLACK, Body
from benchmarks.plain_policy import Regimen

LOW_DOSE_PRESSOR, LOW_FLOW = 3, 1


@dataclass(slots=True, eq=False)
class Treated(Body):
    """A body, what was seen of it last, and the orders under way."""

    delay_u: float = 0.0
    # what was seen last
    fever: bool = False
    bp: int = 0
    oxygen: int = 0
    neuro: int = 0
    crs: int = 0
    icans: int = 0
    ne: int = 0
    cool_since: float = inf
    # what "improved" is measured against
    better_grade: int | None = None
    better_bp: int = 0
    better_oxygen: int = 0
    # orders under way
    toci_start: float = inf
    toci_done: float = inf
    toci_last: float = -inf
    steroid: Regimen | None = None
    steroid_step: int = 0
    steroid_given: int = 0
    steroid_begun: bool = False
    steroid_next: float = inf
    covered_until: float = -inf
    covered_daily: float = 0.0
    anakinra: Regimen | None = None
    anakinra_step: int = 0
    anakinra_given: int = 0
    anakinra_next: float = inf
    spent: set = field(default_factory=set)
    # written down
    toci_doses: int = 0
    toci_mg: float = 0.0
    first_toci: float = inf
    steroid_doses: int = 0
    steroid_mg: float = 0.0
    steroid_days: int = 0
    steroid_last_day: int | None = None
    first_steroid: float = inf
    anakinra_doses: int = 0
    anakinra_mg: float = 0.0

    def delay(self) -> float:
        """Days from order to drug."""
        n = self.numbers
        if self.setting == HOME:
            return n.delay_home_h / 24.0
        return (n.delay_ward_min_h + (n.delay_ward_max_h - n.delay_ward_min_h) * self.delay_u) / 24.0

    def is_better(self, t: float) -> bool:
        """Improved since the last order: a lower grade, or cool for a while with little and no more support."""
        if self.better_grade is None:
            return False
        n = self.numbers
        if self.crs <= self.better_grade - n.improved_grades:
            return True
        if t - self.cool_since < n.improved_afebrile_h / 24.0 - SLACK:
            return False
        if self.bp >= LOW_DOSE_PRESSOR or self.oxygen > LOW_FLOW:
            return False
        return self.bp <= self.better_bp and self.oxygen <= self.better_oxygen

    def remember(self) -> None:
        """What "improved" is measured against from now on."""
        self.better_grade, self.better_bp, self.better_oxygen = self.crs, self.bp, self.oxygen

    def order_tocilizumab(self, t: float, better: bool) -> None:
        """One labelled dose, unless better, at least 8 h after the last and at most four in all."""
        n = self.numbers
        if self.toci_start < inf or self.toci_done < inf or self.toci_doses >= n.toci_max_doses:
            return
        if self.toci_doses:
            if better or t - self.toci_last < 8.0 / 24.0 - SLACK:
                return
            if t + self.delay() - self.toci_last < n.toci_spacing_h / 24.0 - SLACK:
                return
        self.toci_start = t + self.delay()
        self.remember()

    def order(self, regimen: Regimen, t: float) -> None:
        """Start a regimen unless it is spent or one at least as strong is running; a taper always yields."""
        if regimen.name in self.spent or self.is_stop_met(regimen):
            return
        if regimen.drug == "anakinra":
            if self.anakinra is not None and self.anakinra_step < self.anakinra.taper_from:
                return
            self.anakinra, self.anakinra_step, self.anakinra_given = regimen, 0, 0
            self.anakinra_next = t + self.delay()
        else:
            start = t + self.delay()
            # the last dose of a course that has just ended still covers the time to its next, had there been one
            if start < self.covered_until - SLACK and regimen.daily <= self.covered_daily:
                return
            running = self.steroid
            in_force = running is not None and self.steroid_step < running.taper_from
            if in_force and regimen.daily <= running.daily:
                return
            self.steroid, self.steroid_step, self.steroid_given = regimen, 0, 0
            self.steroid_begun = False
            self.steroid_next = start
        if self.better_grade is None:
            self.remember()

    def give_steroid(self, t: float) -> None:
        """The next dose of the steroid regimen."""
        regimen = self.steroid
        mg, every, doses = regimen.steps[self.steroid_step]
        if regimen.drug == "methylprednisolone":
            mg *= self.numbers.methylpred_to_dex
        self.take_steroid(mg, t)
        self.steroid_doses += 1
        self.steroid_mg += mg
        self.first_steroid = min(self.first_steroid, t)
        if floor(t) != self.steroid_last_day:
            self.steroid_days += 1
            self.steroid_last_day = floor(t)
        self.steroid_next = t + every
        self.steroid_begun = True
        self.steroid_given += 1
        if self.steroid_given == doses:
            self.steroid_step += 1
            self.steroid_given = 0
            if self.steroid_step == len(regimen.steps):
                self.covered_until, self.covered_daily = self.steroid_next, mg / every
                self.end_steroid(regimen.stop is None)

    def end_steroid(self, is_spent: bool) -> None:
        """The regimen is over."""
        if is_spent:
            self.spent.add(self.steroid.name)
        self.steroid, self.steroid_next = None, inf

    def give_anakinra(self, t: float) -> None:
        """The next dose of the anakinra regimen."""
        steps = self.anakinra.steps
        mg, every, doses = steps[self.anakinra_step]
        self.take_anakinra(mg, t)
        self.anakinra_doses += 1
        self.anakinra_mg += mg
        self.anakinra_next = t + every
        self.anakinra_given += 1
        if self.anakinra_given == doses:
            self.anakinra_step += 1
            self.anakinra_given = 0
            if self.anakinra_step == len(steps):
                self.anakinra, self.anakinra_next = None, inf

    def start_tocilizumab(self, t: float) -> None:
        """An infusion begins."""
        self.toci_start, self.toci_last = inf, t
        self.toci_done = t + self.numbers.toci_infusion_h / 24.0
        self.toci_doses += 1
        self.toci_mg += self.labelled_dose()
        self.first_toci = min(self.first_toci, t)

    def end_tocilizumab(self, t: float) -> None:
        """The infusion is in."""
        self.toci_done = inf
        self.take_tocilizumab(self.labelled_dose(), t)

    def is_stop_met(self, regimen: Regimen) -> bool:
        """The grade that the regimen is given for has fallen far enough."""
        if regimen.stop is None:
            return False
        return (self.crs if regimen.stop == "crs" else self.icans) <= regimen.stop_at

    def check_stops(self) -> None:
        """Taper or stop where the stop condition is met."""
        running = self.steroid
        if running is not None and self.steroid_step < running.taper_from and self.is_stop_met(running):
            if running.taper_from < len(running.steps) and self.steroid_begun:
                self.steroid_step, self.steroid_given = running.taper_from, 0
            else:
                self.end_steroid(False)
        running = self.anakinra
        if running is not None and self.anakinra_step < running.taper_from and self.is_stop_met(running):
            if self.anakinra_given:
                self.anakinra_step, self.anakinra_given = running.taper_from, 0
            else:
                self.anakinra, self.anakinra_next = None, inf
