"""Why: what a clinician would recognise in a course, as figures of simulated arms: how soon a response shows, in which
order signs come, what a taper leaves behind, what the laboratory finds. Expectations are not here but in `face.py`.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from cartsim.cells import Ran
from cartsim.claims.face_settings import MARKERS_EVERY_H, TAPER_H
from cartsim.claims.figures import (
    NOTHING,
    Figure,
    median,
    odds_ratio,
    quartiles,
    rank_correlation,
    regrading,
    share,
)
from cartsim.claims.moments import (
    calendar_days,
    first_time,
    highest_after,
    place_at,
    sampled,
)
from cartsim.claims.settings import Arms, column
from cartsim.tables.grades import died_of
from cartsim.tables.intervals import states_of
from cartsim.tables.responses import spans, to_defervescence
from cartsim.terms import HOURS_PER_DAY, Axis, BpSupport, Cause, Marker, Syndrome

#: A figure with what else a reader wants to know of it.
Told = tuple[Figure, str]
#: Days after which toxicity counts as late.
LATE_D = 14.0
SEVERE = 3


def _states(ran: Ran) -> np.ndarray:
    return states_of(ran.block.courses, ran.block.changes)


def _responders(ran: Ran) -> np.ndarray:
    """Those in whom tocilizumab has its whole effect, and who were given it for CRS."""
    return (ran.subjects["toci_response"] == 1.0) & np.isfinite(ran.block.courses["toci_t"])


def hours_to_defervescence(ran: Ran) -> Told:
    """Median hours from the first tocilizumab to the first look without fever, of responders febrile when given."""
    states, given = _states(ran), ran.block.courses["toci_t"]
    place = place_at(states, given)
    febrile = _responders(ran) & (place >= 0) & (states["fever"][place] == 1)
    days = to_defervescence(ran.block.courses, ran.block.changes)
    # never within follow-up is a long time, not a missing one
    hours = np.where(np.isnan(days), np.inf, days * HOURS_PER_DAY)[febrile]
    by = ", ".join(f"{(hours <= h).mean():.0%} by {h} h" for h in (12, 24, 48)) if len(hours) else ""
    return median(hours), by


def share_afebrile(ran: Ran, after_h: float) -> Told:
    """Share of responders febrile when given tocilizumab who are without fever `after_h` hours later."""
    states, given = _states(ran), ran.block.courses["toci_t"]
    before, after = place_at(states, given), place_at(states, given + after_h / HOURS_PER_DAY)
    febrile = _responders(ran) & (before >= 0) & (states["fever"][before] == 1)
    alive = ran.block.courses["end"] > given + after_h / HOURS_PER_DAY
    return share(febrile & alive, states["fever"][after] == 0), ""


def hours_off_support(ran: Ran) -> Told:
    """Median hours from the first tocilizumab to the first look without blood-pressure support, of responders who were
    on a vasopressor when it was given; beside it the hours until no vasopressor is needed."""
    states, given = _states(ran), ran.block.courses["toci_t"]
    support = states["level"][:, Axis.BP_SUPPORT]
    place = place_at(states, given)
    pressor = _responders(ran) & (place >= 0) & (support[place] >= BpSupport.LOW_DOSE_PRESSOR)
    after = np.where(pressor, given, np.inf)
    off, weaned = (
        (first_time(states, seen, len(given), after)[pressor] - given[pressor]) * HOURS_PER_DAY
        for seen in (support == 0, support < BpSupport.LOW_DOSE_PRESSOR)
    )
    by = ", ".join(f"{(off <= h).mean():.0%} by {h} h" for h in (12, 24, 48)) if len(off) else ""
    return median(off), f"{by}; off vasopressors at {median(weaned).value:.0f} h" if by else ""


def fever_to_hypotension(ran: Ran) -> Told:
    """Median days from the onset of CRS (its fever) to the first blood-pressure support, of those who had both."""
    states, onset = _states(ran), ran.block.courses["crs_ge_t"][:, 0]
    low = first_time(states, states["level"][:, Axis.BP_SUPPORT] > 0, len(onset))
    return _lag(onset, low)


def fever_to_peak(ran: Ran) -> Told:
    """Median days from the onset of CRS to the middle of the time at its highest grade; beside it to its first day.

    The first day cannot be what was published: 41 % of that cohort stayed at grade 1, which would put the lower
    quartile at 0, and it was 2.
    """
    courses = ran.block.courses
    states, end = spans(courses, ran.block.changes)
    highest, row = courses["peak_crs"][states["row"]], states["row"]
    at = (states["crs"] == highest) & (highest > 0)
    days, middle = (end - states["t"])[at], ((end + states["t"]) / 2)[at]
    total = np.bincount(row[at], days, ran.count)
    moment = np.bincount(row[at], days * middle, ran.count)
    with np.errstate(invalid="ignore"):
        peak = np.where(total > 0, moment / total, np.nan)
    figure, beside = _lag(courses["crs_ge_t"][:, 0], peak)
    first = _lag(courses["crs_ge_t"][:, 0], courses["crs_peak_t"])[0]
    return figure, f"{beside}; to its first day {first.value:.1f} d" if beside else ""


def crs_to_icans(ran: Ran) -> Told:
    """Median days from the onset of CRS to that of ICANS, of those who had both."""
    courses = ran.block.courses
    return _lag(courses["crs_ge_t"][:, 0], courses["icans_ge_t"][:, 0])


def icans_to_peak(ran: Ran) -> Told:
    """Median days from the onset of ICANS to its highest grade."""
    courses = ran.block.courses
    return _lag(courses["icans_ge_t"][:, 0], courses["icans_peak_t"])


def icans_without_crs(ran: Ran) -> Told:
    """Share of those with ICANS in whom no CRS was seen."""
    courses = ran.block.courses
    return share(courses["peak_neuro"] > 0, courses["peak_crs"] == 0), ""


def icans_duration(ran: Ran) -> Told:
    """Median calendar days with ICANS, first and last included."""
    days = calendar_days(ran.block.episodes, Syndrome.ICANS, ran.count)
    return median(days), _between(days)


def _lag(start: np.ndarray, end: np.ndarray) -> Told:
    both = np.isfinite(start) & np.isfinite(end)
    days = end[both] - start[both]
    return median(days), _between(days)


def _between(days: np.ndarray) -> str:
    low, high = quartiles(days)
    return "" if np.isnan(low) else f"quartiles {low:.1f} and {high:.1f}"


def rebounds(arms: Arms, grade: str) -> dict[str, np.ndarray]:
    """Rise of the grade after the end of the full steroid course above the one then in force: taper -> (n,).

    `grade`: field of the log of changes. Those who die in any arm are left out of all, as -1.
    """
    found: dict[str, np.ndarray] = {}
    alive = np.logical_and.reduce([ran.block.courses["dead"] == 0 for ran in arms.values()])
    for name, ran in arms.items():
        states = _states(ran)
        stop = np.full(ran.count, TAPER_H / HOURS_PER_DAY)
        place = place_at(states, stop)
        rise = highest_after(states, states[grade], ran.count, stop) - states[grade][place]
        found[name] = np.where(alive, rise, -1)
    return found


def taper_order(arms: Arms, grade: str) -> Told:
    """Share of subjects in whom the slower taper leaves a larger rebound than a faster one."""
    rise = rebounds(arms, grade)
    counted = rise["slow"] >= 0
    worse = (rise["slow"] > rise["rapid"]) | (rise["rapid"] > rise["none"])
    figure = share(counted, worse)
    if not figure.n:
        return figure, ""
    seen = ", ".join(f"{name} {(rise[name][counted] > 0).mean():.1%}" for name in ("none", "rapid", "slow"))
    return figure, f"rises again, by taper: {seen}"


def marker_ratio(ran: Ran, marker: Marker, after_h: float) -> Told:
    """Median ratio of a marker `after_h` hours after the start of tocilizumab to the last sample before it."""
    given, n = ran.block.courses["toci_t"], ran.count
    before, after = (
        sampled(ran.block.samples, marker, MARKERS_EVERY_H, n, given + hours / HOURS_PER_DAY)
        for hours in (0.0, after_h)
    )
    return _ratio(after, before)


def marker_beside_untreated(arms: Arms, marker: Marker, after_h: float) -> Told:
    """Median ratio of a marker `after_h` hours after the start of tocilizumab to that of the same subject untreated."""
    at = arms["one"].block.courses["toci_t"] + after_h / HOURS_PER_DAY
    treated, untreated = (
        sampled(arms[name].block.samples, marker, MARKERS_EVERY_H, len(at), at)
        for name in ("one", "untreated")
    )
    return _ratio(treated, untreated)


def _ratio(new: np.ndarray, old: np.ndarray) -> Told:
    ratio = new / old
    known = ratio[~np.isnan(ratio)]
    return median(ratio), f"above 1 in {(known > 1).mean():.0%}" if len(known) else ""


def onset_severity(settings: Mapping[str, Ran]) -> Told:
    """The largest (least negative) rank correlation of CRS onset with its ASTCT grade within a product."""
    found: dict[str, Figure] = {}
    for name, ran in settings.items():
        onset = ran.block.courses["crs_ge_t"][:, 0]
        with_crs = np.isfinite(onset)
        grade = column(ran, "crs_max_astct2019")
        found[name] = rank_correlation(onset[with_crs], grade[with_crs].astype(np.float64))
    known = {name: figure for name, figure in found.items() if not np.isnan(figure.value)}
    if not known:
        return NOTHING, ""
    listed = ", ".join(f"{name.replace('_', '-')} {figure.value:.2f}" for name, figure in known.items())
    return max(known.values(), key=lambda figure: figure.value), listed


def late_onset(rans: Iterable[Ran], field: str) -> Told:
    """Share of all subjects whose first CRS or ICANS (COURSE field `field`) is seen after day 14."""
    onset = np.concatenate([ran.block.courses[field][:, 0] for ran in rans])
    return share(np.ones(len(onset), bool), np.isfinite(onset) & (onset > LATE_D)), ""


def deaths(ran: Ran, cause: Cause, by_d: float) -> Told:
    """Share of all subjects who die of CRS or of ICANS within `by_d` days."""
    courses = ran.block.courses
    return share(np.ones(ran.count, bool), died_of(courses, cause) & (courses["end"] <= by_d)), ""


def easix_odds_ratio(ran: Ran) -> Told:
    """Odds ratio of CRS or ICANS of grade 3 or more per doubling of EASIX before infusion."""
    severe = (column(ran, "crs_max_grade") >= SEVERE) | (column(ran, "icans_max_grade") >= SEVERE)
    return odds_ratio(np.log2(ran.cohort["easix"]), severe), f"severe in {severe.mean():.0%}"


def regrading_order(ran: Ran, scale: str, events: int) -> Told:
    """By how much "same" leads "lower", or "lower" leads "higher", when Penn events are graded on another scale.

    The smaller of the two leads, as a share of events; `events`: published ones, for the counts beside it.
    """
    penn = column(ran, "crs_max_penn")
    among = penn > 0
    same, lower, higher = regrading(among, column(ran, f"crs_max_{scale}"), penn)
    counts = ", ".join(
        f"{name} {value * events:.0f}"
        for name, value in (("same", same), ("lower", lower), ("higher", higher))
    )
    return Figure(min(same - lower, lower - higher), n=int(among.sum())), f"of {events}: {counts}"
