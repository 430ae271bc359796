"""What is seen of one subject and done about it, for the plain SimPy reference (MODEL 3, 4)."""

from bisect import bisect_left
from dataclasses import dataclass, field
from math import floor, inf

from benchmarks.plain_body import HOME, ICU, SLACK, WARD, Body
from benchmarks.plain_policy import Regimen, asco_2021

HIGH_DOSE_PRESSOR, CPAP, VENTILATOR = 4, 3, 4
LOW_DOSE_PRESSOR, LOW_FLOW = 3, 1
CRS = 0
# ASTCT 2019: grade of each level of blood pressure support and of oxygen
BP_GRADE = (0, 2, 2, 3, 3, 4)
OXYGEN_GRADE = (0, 2, 3, 4, 4)


def _never() -> list[float]:
    return [inf] * 4


@dataclass(slots=True, eq=False)
class Subject(Body):
    """One subject under care: state, orders, and what is written down. Lists by syndrome: CRS, ICANS, wide event."""

    adherent: bool = True
    iv_fever: int = 0
    bg_from: float = inf
    bg_to: float = -inf
    delay_u: float = 0.0
    cause_u: float = 0.0
    # what was seen last
    fever: bool = False
    bp: int = 0
    oxygen: int = 0
    neuro: int = 0
    crs: int = 0
    icans: int = 0
    ne: int = 0
    fever_began: bool = False
    seizure_seen: bool = False
    crs_seen: float = -inf
    neuro_seen: float = -inf
    cool_since: float = inf
    grade1_since: float | None = None
    icans2_since: float | None = None
    episode_start: list = field(default_factory=lambda: [None, None, None])
    episode_last: list = field(default_factory=lambda: [0.0, 0.0, 0.0])
    # what "improved" is measured against
    better_grade: int | None = None
    better_bp: int = 0
    better_oxygen: int = 0
    # where and when
    anchor: float = 0.0
    step: int = 1
    next_assessment: float = 0.0
    last: float = 0.0
    setting_since: float = 0.0
    icu_need: float = -inf
    end: float = inf
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
    events: int = 0
    assessments: int = 0
    peak_crs: int = 0
    peak_icans: int = 0
    peak_ne: int = 0
    crs_peak_t: float = inf
    icans_peak_t: float = inf
    crs_first: list = field(default_factory=_never)  # first time at grade >= 1, 2, 3, 4
    icans_first: list = field(default_factory=_never)
    ne_first: list = field(default_factory=_never)
    peak_level: tuple = (0, 0, 0, 0)
    peak_counted: tuple = (0, 0)
    fever_seen: bool = False
    iv_fever_seen: bool = False
    durations: list = field(default_factory=lambda: [0.0, 0.0, 0.0])
    first_duration: list = field(default_factory=lambda: [None, None, None])
    severe_days: float = 0.0
    icans2_days: float = 0.0
    vent_days: float = 0.0
    ward_days: float = 0.0
    icu_days: float = 0.0
    icu_first: float = inf
    discharge: float = inf
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
    cause: str | None = None

    def __post_init__(self) -> None:
        """Admitted for the infusion; the first assessment is one interval later."""
        Body.__post_init__(self)
        self.end = self.numbers.horizon_d
        self.next_assessment = self.numbers.ward_h / 24.0

    # --- what is ordered and given

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

    # --- an assessment

    def assess(self, t: float) -> None:
        """Signs, grades, notes, rules, place, and when to look again."""
        self.assessments += 1
        self.book_days(t)
        self.look(t)
        self.write_down(t)
        self.check_stops()
        icu_ordered = False
        if self.crs or self.icans or self.ne:
            icu_ordered = asco_2021(self, t)
        else:
            self.grade1_since = self.icans2_since = None
        self.find_place(t, icu_ordered)
        if self.setting == HOME and self.is_over(t):
            self.next_assessment = inf
            return
        n = self.numbers
        hours = n.ward_h if self.setting == WARD else n.icu_h if self.setting == ICU else n.home_h
        self.step += 1
        self.next_assessment = self.anchor + self.step * (hours / 24.0)

    def book_days(self, t: float) -> None:
        """Time spent in what the last assessment saw."""
        spent = t - self.last
        if self.crs > 1:
            self.severe_days += spent
        if self.icans > 1:
            self.icans2_days += spent
        if self.oxygen == VENTILATOR:
            self.vent_days += spent
        self.last = t

    def look(self, t: float) -> None:
        """Read the signs and grade them."""
        n = self.numbers
        fever = wide = False
        bp = oxygen = liver = kidney = neuro = 0
        sick, confused = self.crs_from <= t <= self.crs_to, self.neuro_from <= t <= self.neuro_to
        if sick or confused:
            x = heat = self.untreated_crs(t) if sick else -inf
            y = self.untreated_icans(t) if confused else -inf
            if self.drugged:
                x, heat, y = self.treated(t, x, y)
            fever = heat > 0.0
            eps_bp, eps_oxygen, eps_liver, eps_kidney = self.eps
            bp = bisect_left(n.h, x + eps_bp)
            oxygen = bisect_left(n.o, x + eps_oxygen)
            liver = bisect_left(n.liver, x + eps_liver)
            kidney = bisect_left(n.kidney, x + eps_kidney)
            if self.setting != ICU:
                bp = min(bp, HIGH_DOSE_PRESSOR)
                oxygen = min(oxygen, CPAP)
            neuro = bisect_left(n.n, y)
            wide = y > n.n_wide
        if self.bg_from <= t < self.bg_to:
            fever = True
        seizure = False
        if self.seizure <= t and not self.seizure_seen:
            seizure = self.seizure_seen = True
        self.fever, self.bp, self.oxygen, self.neuro = fever, bp, oxygen, neuro
        crs = 0
        if fever:
            crs = 1
            self.fever_began = self.fever_seen = True
            if self.iv_fever and self.setting != HOME:
                self.iv_fever_seen = True
        if bp or oxygen or liver or kidney:
            # ASTCT: organ signs are CRS once there was fever, or a drug that hides it
            if self.fever_began or self.drugged:
                crs = max(crs, BP_GRADE[bp], OXYGEN_GRADE[oxygen])
                a, b = self.peak_counted
                self.peak_counted = max(a, bp), max(b, oxygen)
            a, b, c, d = self.peak_level
            self.peak_level = max(a, bp), max(b, oxygen), max(c, liver), max(d, kidney)
        self.crs = crs
        self.icans = max(neuro, 3) if seizure else neuro
        self.ne = max(1, neuro) if wide else 0

    def write_down(self, t: float) -> None:
        """Peaks, first times and episodes."""
        crs, icans, ne = self.crs, self.icans, self.ne
        if crs:
            self.crs_seen = t
            if crs > self.peak_crs:
                self.crs_first[self.peak_crs : crs] = [t] * (crs - self.peak_crs)
                self.peak_crs, self.crs_peak_t = crs, t
        if icans > self.peak_icans:
            self.icans_first[self.peak_icans : icans] = [t] * (icans - self.peak_icans)
            self.peak_icans, self.icans_peak_t = icans, t
        if ne > self.peak_ne:
            self.ne_first[self.peak_ne : ne] = [t] * (ne - self.peak_ne)
            self.peak_ne = ne
        if self.neuro > self.numbers.discharge_neuro:
            self.neuro_seen = t
        if self.fever:
            self.cool_since = inf
        elif self.cool_since == inf:
            self.cool_since = t
        well_since = t - self.numbers.crs_end_h / 24.0 + SLACK
        for kind, grade in enumerate((crs, icans, ne)):
            if grade:
                if self.episode_start[kind] is None:
                    self.episode_start[kind] = t
                self.episode_last[kind] = t
            elif self.episode_start[kind] is not None and self.episode_last[kind] <= well_since:
                self.close_episode(kind, self.episode_last[kind])

    def close_episode(self, kind: int, end: float) -> None:
        """An episode lasts from its first to its last sign."""
        lasted = end - self.episode_start[kind]
        self.durations[kind] += lasted
        if self.first_duration[kind] is None:
            self.first_duration[kind] = lasted
        self.episode_start[kind] = None
        if kind == CRS:
            self.fever_began = False

    # --- where the subject is

    def move(self, setting: int, t: float) -> None:
        """To another setting, whose clock of assessments starts now."""
        if self.setting == WARD:
            self.ward_days += t - self.setting_since
        elif self.setting == ICU:
            self.icu_days += t - self.setting_since
        self.setting, self.setting_since = setting, t
        self.anchor, self.step = t, 0

    def find_place(self, t: float, icu_ordered: bool) -> None:
        """ICU, ward or home after an assessment."""
        n = self.numbers
        need = icu_ordered or self.bp >= n.icu_bp or self.oxygen >= n.icu_oxygen or self.neuro >= n.icu_neuro
        if need:
            self.icu_need = t
        well_since = max(self.crs_seen, self.neuro_seen)
        may_go = t >= n.min_stay_d - SLACK and t - well_since >= n.discharge_clear_h / 24.0 - SLACK
        if self.setting == ICU:
            if not need and t - self.icu_need >= n.icu_out_h / 24.0 - SLACK:
                self.move(HOME if may_go else WARD, t)
        elif need:
            self.icu_first = min(self.icu_first, t)
            self.move(ICU, t)
        elif self.setting == WARD:
            if may_go:
                self.move(HOME, t)
        elif self.crs or self.icans > n.discharge_neuro:
            self.move(WARD, t)
        if self.setting == HOME and self.setting_since == t:
            self.discharge = min(self.discharge, t)

    def is_over(self, t: float) -> bool:
        """At home, nothing running, and no sign can come any more."""
        return (
            t > self.crs_to
            and t > self.neuro_to
            and t >= self.bg_to
            and (self.seizure == inf or self.seizure_seen)
            and self.steroid is None
            and self.anakinra is None
            and self.episode_start == [None, None, None]
        )

    def finish(self, t: float, died: bool) -> None:
        """End of follow-up by horizon or death: close what is open."""
        self.end = t
        self.follow_peaks(t)
        self.book_days(t)
        for kind, start in enumerate(self.episode_start):
            if start is not None:
                over = t - self.episode_last[kind] >= self.numbers.crs_end_h / 24.0 - SLACK
                self.close_episode(kind, self.episode_last[kind] if over else t)
        if died:
            mark = self.cause_u * (self.hazard_crs + self.hazard_icans + self.numbers.hazard_background * t)
            if mark < self.hazard_crs:
                self.cause = "CRS"
            else:
                self.cause = "ICANS" if mark < self.hazard_crs + self.hazard_icans else "OTHER"
        self.move(HOME, t)
