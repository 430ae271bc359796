"""Why: a simulated figure may stand beside a published one only if both count the same thing among the same people, in
days recorded the same way. Every name that a target row may use is defined here, with its denominator.

Recording (MODEL 4, 7): onset in whole days is the nearest day since infusion; a duration counts the first and the last
calendar day, and the window that ends an episode adds nothing to it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cartsim.calibrate.reading import Reading
from cartsim.calibrate.recorded import spread_quantiles, whole_day
from cartsim.evidence.target_rows import endpoint_kinds, endpoint_words
from cartsim.terms import BpSupport, Oxygen, Syndrome

if TYPE_CHECKING:
    from cartsim.calibrate.cohorts import Cohort
    from cartsim.calibrate.simulate import Simulated
    from cartsim.evidence.targets import Target

SEVERE, LIFE_THREATENING, DEAD = 3, 4, 5
LATE_D, EARLY_D = 14.0, 7.0
YES = 2  # code of a response
QUARTILES = (0.25, 0.75)

Made = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Sample:
    """One figure of simulated subjects, arrays (n,): who is in its denominator, and events (bool) or days.

    `recorded` are the whole days that a trial would write down; for events it is `values`.
    """

    among: np.ndarray
    values: np.ndarray
    recorded: np.ndarray


@dataclass(frozen=True)
class Endpoint:
    """A name of a target row. `kind`: share, days or events; `logs` that the simulation must keep for it."""

    name: str
    kind: str
    among: str
    definition: str
    logs: tuple[str, ...]
    make: Callable[[Reading], Made]  # (values, recorded)


def _event(test: Callable[[Reading], np.ndarray]) -> Callable[[Reading], Made]:
    def make(r: Reading) -> Made:
        found = test(r)
        return found, found

    return make


def _moment(time: Callable[[Reading], np.ndarray]) -> Callable[[Reading], Made]:
    """Days since infusion, recorded as the nearest whole day."""

    def make(r: Reading) -> Made:
        days = time(r)
        return days, whole_day(days)

    return make


def _lag(
    start: Callable[[Reading], np.ndarray], end: Callable[[Reading], np.ndarray]
) -> Callable[[Reading], Made]:
    """Days between two moments, recorded as the difference of their whole days."""

    def make(r: Reading) -> Made:
        first, last = start(r), end(r)
        with np.errstate(invalid="ignore"):
            return last - first, whole_day(last) - whole_day(first)

    return make


def _level(column: str, least: int) -> Callable[[Reading], np.ndarray]:
    return lambda r: r.col(column) >= least


def _grade(of: str, low: int, high: int | None = None) -> Callable[[Reading], np.ndarray]:
    """Highest grade between `low` and `high`, both included (None: no upper end)."""

    def test(r: Reading) -> np.ndarray:
        grade = getattr(r, of)
        return (grade >= low) & (grade <= (DEAD if high is None else high))

    return test


def _regraded(compare: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[[Reading], np.ndarray]:
    """Of those with CRS by the second scale: how the first one compares."""

    def test(r: Reading) -> np.ndarray:
        new, old = (r.crs_on(scale) for scale in r.scales)
        return (old >= 1) & compare(new, old)

    return test


def _first_of_both(r: Reading) -> np.ndarray:
    return np.fmin(r.col("t_crs_d"), r.ne_start)


def _icu_stay(r: Reading) -> Made:
    return r.courses["icu_days"] + r.col("icu_stays"), r.col("icu_calendar_days")


def _fever_days(r: Reading) -> Made:
    first, last = r.col("t_fever_d"), r.col("t_fever_last_d")
    with np.errstate(invalid="ignore"):
        return last - first + 1.0, np.floor(last) - np.floor(first) + 1.0


def _resolved(r: Reading) -> np.ndarray:
    return np.isfinite(r.courses["last_end_t"][:, Syndrome.CRS])


#: Denominators.
AMONG: Mapping[str, Callable[[Reading], np.ndarray]] = {
    "treated": lambda r: np.ones(r.n, bool),
    "crs": lambda r: r.has_crs,
    "severe_crs": lambda r: (r.crs >= SEVERE) & (r.crs < DEAD),
    "grade4_crs": lambda r: r.has_crs & np.isfinite(r.courses["crs_ge_t"][:, LIFE_THREATENING - 1]),
    "crs_then_tocilizumab": lambda r: (
        r.has_crs & (r.courses["toci_t"] >= r.courses["crs_ge_t"][:, 0]) & np.isfinite(r.courses["toci_t"])
    ),
    "crs_and_icans": lambda r: r.has_crs & (r.icans >= 1) & np.isfinite(r.col("t_icans_d")),
    "tocilizumab": lambda r: r.has_crs & (r.toci > 0),
    "ne": lambda r: r.ne >= 1,
    "icans": lambda r: (r.icans >= 1) & np.isfinite(r.col("t_icans_d")),
    "icu": lambda r: r.has_crs & (r.col("icu") == 1),
    "fever": lambda r: r.has_crs & np.isfinite(r.col("t_fever_d")),
    "fever_then_hypotension": lambda r: r.has_crs & np.isfinite(r.col("t_bp_after_fever_d")),
}

_CRS_START = "t_crs_d"
_SHARES: dict[str, Callable[[Reading], np.ndarray]] = {
    "crs_any": _grade("crs", 1),
    **{f"crs_grade{k}{end}": _grade("crs", k, k) for k in range(1, DEAD) for end in ("", "_of_crs")},
    "crs_grade5": _grade("crs", DEAD),
    "crs_grade34": _grade("crs", SEVERE, LIFE_THREATENING),
    "crs_grade_ge3": _grade("crs", SEVERE),
    "crs_grade_ge3_of_crs": _grade("crs", SEVERE),
    "crs_grade_ge4": _grade("crs", LIFE_THREATENING),
    "crs_onset_ge_day4_of_crs": lambda r: whole_day(r.col(_CRS_START)) >= 4,
    "crs_onset_ge_day6_of_crs": lambda r: whole_day(r.col(_CRS_START)) >= 6,
    "crs_resolved_of_crs": _resolved,
    "new_onset_crs_after_day14": lambda r: r.col(_CRS_START) > LATE_D,
    "new_onset_icans_after_day14": lambda r: r.col("t_icans_d") > LATE_D,
    **dict.fromkeys(("fever_of_crs", "fever_among_crs"), _level("fever_seen", 1)),
    **dict.fromkeys(
        ("hypotension", "hypotension_of_crs", "hypotension_among_crs"),
        _level("bp_support_max", BpSupport.ONE_BOLUS),
    ),
    "vasopressor_use": _level("bp_support_max", BpSupport.LOW_DOSE_PRESSOR),
    **dict.fromkeys(
        ("high_dose_vasopressor_use", "high_dose_vasopressor_of_crs"),
        _level("bp_support_max", BpSupport.HIGH_DOSE_PRESSOR),
    ),
    **dict.fromkeys(
        ("hypoxia", "hypoxia_among_crs", "oxygen_use", "oxygen_of_crs"), _level("oxygen_max", Oxygen.LOW_FLOW)
    ),
    **dict.fromkeys(
        ("intubation", "intubation_of_crs", "mechanical_ventilation"), _level("oxygen_max", Oxygen.VENTILATOR)
    ),
    **dict.fromkeys(("icu_admission", "icu_admission_of_crs"), _level("icu", 1)),
    **dict.fromkeys(("tocilizumab_use", "tocilizumab_use_of_crs"), lambda r: r.toci > 0),
    "tocilizumab_use_crs": lambda r: r.given_for(steroid=False, crs=True),
    "tocilizumab_use_ne": lambda r: r.given_for(steroid=False, crs=False),
    "tocilizumab_1dose_of_crs": lambda r: r.toci == 1,
    "tocilizumab_2doses_of_crs": lambda r: r.toci == 2,
    "tocilizumab_3doses_of_crs": lambda r: r.toci >= 3,
    "tocilizumab_ge2_doses_of_tocilizumab": lambda r: r.toci >= 2,
    **dict.fromkeys(
        ("tocilizumab_or_steroid_use", "tocilizumab_or_steroid_of_crs"), lambda r: (r.toci > 0) | r.steroid
    ),
    **dict.fromkeys(
        ("corticosteroid_use", "corticosteroid_use_of_crs", "corticosteroid_of_tocilizumab"),
        lambda r: r.steroid,
    ),
    "corticosteroid_use_crs": lambda r: r.given_for(steroid=True, crs=True),
    "corticosteroid_use_ne": lambda r: r.given_for(steroid=True, crs=False),
    "no_anticytokine_therapy_of_crs": lambda r: (r.toci == 0) & (r.col("anakinra_doses") == 0),
    "anticytokine_of_crs": lambda r: (r.toci > 0) | (r.col("anakinra_doses") > 0),
    "anakinra_use": _level("anakinra_doses", 1),
    "response_14d_max2doses": lambda r: r.col("toci_response") == YES,
    "ne_any": _grade("ne", 1),
    "ne_any_ctcae_expert": lambda r: r.col("ne_max_grade") >= 1,
    "ne_grade3": _grade("ne", SEVERE, SEVERE),
    "ne_grade4": _grade("ne", LIFE_THREATENING, LIFE_THREATENING),
    "ne_grade5": _grade("ne", DEAD),
    "ne_grade_ge3": _grade("ne", SEVERE),
    "ne_grade_ge4": _grade("ne", LIFE_THREATENING),
    **dict.fromkeys(("ne_without_crs", "ne_without_crs_of_ne"), lambda r: (r.ne >= 1) & ~r.has_crs),
    "crs_before_ne": lambda r: (r.ne >= 1) & r.has_crs & (r.col(_CRS_START) <= r.ne_start),
    "ne_after_crs_resolution": lambda r: (r.ne >= 1) & r.has_crs & (r.ne_start > r.crs_end),
    "first_crs_or_ne_within_7d": lambda r: _first_of_both(r) <= EARLY_D,
    **dict.fromkeys(("icans_any", "icans_any_astct"), _grade("icans", 1)),
    "icans_grade1": _grade("icans", 1, 1),
    "icans_grade_ge3": _grade("icans", SEVERE),
    **{f"icans_grade{k}_of_icans": _grade("icans", k, k) for k in range(1, DEAD)},
    "icans_without_crs_of_icans": lambda r: ~r.has_crs,
}
_EVENTS = {
    "regrade_concordant_events": _regraded(np.equal),
    "regrade_lower_events": _regraded(np.less),
    "regrade_higher_events": _regraded(np.greater),
}
_DAYS: dict[str, Callable[[Reading], Made]] = {
    "crs_onset": _moment(lambda r: r.col(_CRS_START)),
    **dict.fromkeys(("crs_duration", "crs_duration_grade34"), lambda r: r.days_of(Syndrome.CRS)),
    "crs_resolution_after_infusion": _moment(lambda r: r.crs_end),
    "crs_onset_to_first_tocilizumab": _lag(lambda r: r.col(_CRS_START), lambda r: r.courses["toci_t"]),
    "crs_onset_to_grade4": _lag(
        lambda r: r.col(_CRS_START), lambda r: r.courses["crs_ge_t"][:, LIFE_THREATENING - 1]
    ),
    "fever_onset": _moment(lambda r: r.col("t_fever_d")),
    "fever_duration": _fever_days,
    "fever_to_hypotension": _lag(lambda r: r.col("t_fever_d"), lambda r: r.col("t_bp_after_fever_d")),
    "fever_onset_to_peak_crs": _lag(lambda r: r.col("t_fever_d"), lambda r: r.col("t_crs_peak_d")),
    "icu_admission_time": _moment(lambda r: r.col("t_icu_d")),
    "icu_stay": _icu_stay,
    "ne_onset": _moment(lambda r: r.ne_start),
    "ne_duration": lambda r: r.ne_days(),
    "ne_resolution_after_infusion": _moment(lambda r: r.ne_end),
    "icans_onset": _moment(lambda r: r.col("t_icans_d")),
    "icans_duration": lambda r: r.days_of(Syndrome.ICANS),
    "crs_onset_to_icans_onset": _lag(lambda r: r.col(_CRS_START), lambda r: r.col("t_icans_d")),
    "icans_onset_to_peak_icans": _lag(lambda r: r.col("t_icans_d"), lambda r: r.col("t_icans_peak_d")),
}
_LOGS = {
    **dict.fromkeys(
        ("fever_onset", "fever_duration", "fever_to_hypotension", "fever_onset_to_peak_crs", "icu_stay"),
        ("changes",),
    ),
    **dict.fromkeys(("crs_duration", "crs_duration_grade34", "ne_duration", "icans_duration"), ("episodes",)),
    **dict.fromkeys(
        ("tocilizumab_use_crs", "tocilizumab_use_ne", "corticosteroid_use_crs", "corticosteroid_use_ne"),
        ("episodes", "doses"),
    ),
    "response_14d_max2doses": ("episodes", "doses"),
}


def _registry() -> dict[str, Endpoint]:
    makers = {name: _event(test) for name, test in (_SHARES | _EVENTS).items()} | _DAYS
    kinds = endpoint_kinds()
    return {
        name: Endpoint(name, kind, *endpoint_words(name), _LOGS.get(name, ()), makers[name])
        for name, kind in kinds.items()
        if kind != "aside"
    }


#: Every endpoint that is simulated, by name.
ENDPOINTS: Mapping[str, Endpoint] = _registry()


def logs_of(name: str) -> tuple[str, ...]:
    """Logs that a simulation must keep for an endpoint. Raises `KeyError`."""
    return ENDPOINTS[name].logs


def sample(target: "Target", cohort: "Cohort", simulated: "Simulated") -> Sample:
    """One row of the targets, read from simulated subjects of its cohort.

    Raises `KeyError` for an endpoint that is not simulated, `ValueError` where a log was not kept.
    """
    endpoint = ENDPOINTS[target.endpoint]
    reading = Reading(target, cohort, simulated)
    among = AMONG[endpoint.among](reading)
    values, recorded = endpoint.make(reading)
    if endpoint.kind == "days":
        # a row on a second scale may count people whom the bedside's scale never graded: they have no time
        among = among & np.isfinite(values)
    return Sample(among, values, recorded)


def estimate(target: "Target", found: Sample) -> float | tuple[float, float]:
    """What is compared with the published figure: a share of those in the denominator, the expected count at the
    published n, a median, mean or the two quartiles of days. NaN where nobody is in the denominator."""
    values = found.values[found.among]
    if target.statistic == "iqr":
        low, high = spread_quantiles(values, QUARTILES)
        return low, high
    if not len(values):
        return float("nan")
    if target.statistic == "median":
        return spread_quantiles(values, (0.5,))[0]
    share = float(np.mean(values))
    if target.statistic == "count":
        n = target.denominator or target.n
        assert n is not None
        return n * share
    return share
