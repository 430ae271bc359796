"""The ASCO 2021 ladders as a user would code them: sixteen rules as `if`s, one after the other.

Written from the guideline's rows in CLINICAL B and the ready policy's text, not from the compiled rules, so that two
people's reading of the same page can be compared subject by subject.
"""

from typing import NamedTuple

HOUR = 1.0 / 24.0
#: Times in days carry rounding; a second is far above it and far below an assessment interval.
SLACK = 1e-9
FOREVER = -1
REPEATED_BOLUSES = 2


class Step(NamedTuple):
    """`doses` times `mg` every `every` days; FOREVER until something stops it."""

    mg: float
    every: float
    doses: int


class Regimen(NamedTuple):
    """A course of a steroid or of anakinra; one without `stop` is given once."""

    name: str
    drug: str
    steps: tuple[Step, ...]
    taper_from: int  # steps from here on follow when `stop` is met
    daily: float  # mg dexamethasone a day in the first step: the stronger course replaces the weaker
    stop: str | None = None  # the grade looked at ...
    stop_at: int = 0  # ... and the highest value at which to stop


def dexamethasone(
    name: str, mg: float, every_h: float, doses: int, taper: tuple[Step, ...] = (), stop: str | None = None
) -> Regimen:
    """A dexamethasone course, until grade 1 where a grade is named."""
    steps = (Step(mg, every_h / 24.0, doses), *taper)
    return Regimen(name, "dexamethasone", steps, 1, mg * 24.0 / every_h, stop, 1)


def pulse(name: str, first: Step) -> Regimen:
    """High-dose methylprednisolone with its fixed way down."""
    steps = (first, Step(250.0, 0.5, 4), Step(125.0, 0.5, 4), Step(60.0, 0.5, 4))
    daily = first.mg / first.every * METHYLPREDNISOLONE
    return Regimen(name, "methylprednisolone", steps, len(steps), daily)


METHYLPREDNISOLONE = 0.1875  # mg dexamethasone that equal 1 mg
RAPID = (Step(10.0, 1.0, 2),)
SLOW = (Step(10.0, 0.5, 4), Step(10.0, 1.0, 2), Step(4.0, 1.0, 2))
G2 = dexamethasone("crs 2", 10.0, 12.0, 2)
G3 = dexamethasone("crs 3", 10.0, 6.0, FOREVER, RAPID, "crs")
G4 = pulse("crs 4", Step(500.0, 0.5, 6))
ANAKINRA = Regimen(
    "anakinra", "anakinra", (Step(100.0, 0.25, FOREVER), Step(100.0, 0.5, 2)), 1, 400.0, "crs", 2
)
ICANS2 = dexamethasone("icans 2", 10.0, 12.0, 2)
ICANS2_AGAIN = dexamethasone("icans 2 again", 10.0, 12.0, FOREVER, SLOW, "icans")
ICANS2_CRS = dexamethasone("icans 2 with crs", 10.0, 12.0, FOREVER, SLOW, "icans")
ICANS3 = dexamethasone("icans 3", 10.0, 6.0, FOREVER, SLOW, "icans")
ICANS4 = pulse("icans 4", Step(1000.0, 1.0, 3))


def asco_2021(s, t: float) -> bool:
    """What the guideline says of subject `s` as assessed at `t`; True when it asks for intensive care."""
    crs, icans = s.crs, s.icans
    icu = False
    better = s.is_better(t)
    # since when grade 1 has lasted; only some clinicians act on it
    if crs != 1 or not s.adherent:
        s.grade1_since = None
    else:
        if s.grade1_since is None:
            s.grade1_since = t
        if t - s.grade1_since >= 3.0 - SLACK and not s.toci_doses:
            s.order_tocilizumab(t, better)
    if crs >= 2:
        s.order_tocilizumab(t, better)
    if crs == 2:
        if s.toci_doses >= 1 and s.bp >= REPEATED_BOLUSES and not better:
            s.order(G2, t)
        if t - s.first_toci >= 1.0 - SLACK and not better:
            s.order(G3, t)
            icu = True
    elif crs == 3:
        s.order(G3, t)
        icu = True
        if t - s.first_steroid >= 1.0 - SLACK and not better:
            s.order(G4, t)
    elif crs == 4:
        s.order(G4, t)
        icu = True
        if t - s.first_steroid >= 3.0 - SLACK and not better:
            s.order(ANAKINRA, t)
    if icans != 2 or crs:
        s.icans2_since = None
    if icans >= 2:
        if crs >= 1 and not s.toci_doses:
            s.order_tocilizumab(t, better)
        # with CRS the steroid waits for one dose of tocilizumab to fail
        toci_failed = t - s.first_toci >= 8.0 * HOUR - SLACK
        if icans == 2:
            if crs == 0:
                s.order(ICANS2, t)
                if s.icans2_since is None:
                    s.icans2_since = t
                if t - s.icans2_since >= 1.0 - SLACK:
                    s.order(ICANS2_AGAIN, t)
            elif toci_failed:
                s.order(ICANS2_CRS, t)
        elif icans == 3:
            if crs == 0 or toci_failed:
                s.order(ICANS3, t)
                icu = True
        else:
            s.order(ICANS4, t)
            icu = True
    return icu
