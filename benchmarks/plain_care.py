"""What is seen of one subject, written down and decided, for the plain SimPy reference (MODEL 3, 4)."""

from bisect import bisect_left
from dataclasses import dataclass, field
from math import inf

from benchmarks.plain_body import HOME, ICU, SLACK, WARD, Body
from benchmarks.plain_orders import Treated
from benchmarks.plain_policy import asco_2021

HIGH_DOSE_PRESSOR, CPAP, VENTILATOR = 4, 3, 4
CRS = 0
# ASTCT 2019: grade of each level of blood pressure support and of oxygen
BP_GRADE = (0, 2, 2, 3, 3, 4)
OXYGEN_GRADE = (0, 2, 3, 4, 4)


def _never() -> list[float]:
    return [inf] * 4


@dataclass(slots=True, eq=False)
class Subject(Treated):
    """One subject under care: state, and what is written down. Lists by syndrome: CRS, ICANS, wide event."""

    adherent: bool = True
    iv_fever: int = 0
    bg_from: float = inf
    bg_to: float = -inf
    cause_u: float = 0.0
    fever_began: bool = False
    seizure_seen: bool = False
    crs_seen: float = -inf
    neuro_seen: float = -inf
    grade1_since: float | None = None
    icans2_since: float | None = None
    episode_start: list = field(default_factory=lambda: [None, None, None])
    episode_last: list = field(default_factory=lambda: [0.0, 0.0, 0.0])
    # where and when
    anchor: float = 0.0
    step: int = 1
    next_assessment: float = 0.0
    last: float = 0.0
    setting_since: float = 0.0
    icu_need: float = -inf
    end: float = inf
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
    cause: str | None = None

    def __post_init__(self) -> None:
        """Admitted for the infusion; the first assessment is one interval later."""
        Body.__post_init__(self)
        self.end = self.numbers.horizon_d
        self.next_assessment = self.numbers.ward_h / 24.0

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
            if n.support_lag_d and sick:
                x = self.untreated_support(t)
            y = self.untreated_icans(t) if confused else -inf
            if self.drugged:
                x, heat, y = self.treated(t, x, heat, y)
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
            lead = self.wide_lead(t) if n.wide_decline_ratio != 1.0 else 0.0
            wide = neuro > 0 or y + lead > n.n_wide
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
