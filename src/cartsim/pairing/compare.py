"""Why: the check itself, for one block of subjects in an arm and the reference: where do the two part, and is the event
at which they part one that the policies account for? Arrays throughout: most subjects of two policies do part.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from cartsim.drivers.batch import Block
from cartsim.pairing.baseline import baseline_fields, differing_field, summary_fields
from cartsim.pairing.contrast import PolicyContrast
from cartsim.pairing.events import SEIZURE, Events, events_of, first_difference


class Kind(IntEnum):
    """What stands behind a subject's first difference; words in `record.pairing_table`."""

    NONE = 0
    POLICY = 1
    MODEL = 2
    LEAK = 3


#: Rule code where the policies' `levetiracetam` is meant and no rule.
FLAG = -2


@dataclass
class Side:
    """One arm of a block as it ran: COHORT[n], SUBJECT[n] and what the driver left, logs with `want_changes` 2."""

    cohort: np.ndarray
    subjects: np.ndarray
    block: Block


@dataclass
class Parting:
    """First differences of a block, a row a subject.

    kind: int8 by `Kind`; t: float64, NaN where there is no time (none, or before the first event); here, there: int64,
    places in the events of the arm and the reference, -1 for no event; rule: int64, index into the rule names of the
    side `of` (0 arm, 1 reference, -1 neither), `FLAG` for levetiracetam, -1 for none; field: names of what differs
    where no event does ("" elsewhere).
    """

    kind: np.ndarray
    t: np.ndarray
    here: np.ndarray
    there: np.ndarray
    rule: np.ndarray
    of: np.ndarray
    field: np.ndarray
    events: tuple[Events, Events]


def compare(arm: Side, reference: Side, contrast: PolicyContrast, pure: bool = True) -> Parting:
    """First difference of every subject. `pure` is False where the arm has registry numbers of its own: then baseline
    values may differ, and what no policy accounts for is the model's doing and no leak.
    """
    n = len(arm.subjects)
    events = (events_of(arm.block, contrast.content[0]), events_of(reference.block, contrast.content[1]))
    here, there = first_difference(*events, n)
    parted = (here >= 0) | (there >= 0)
    t = np.full(n, np.nan)
    t[there >= 0] = events[1].t[there[there >= 0]]
    t[here >= 0] = events[0].t[here[here >= 0]]
    rule, of = _causes(events, (here, there), contrast, t)
    kind = np.where(parted, np.where(of >= 0, Kind.POLICY, Kind.LEAK if pure else Kind.MODEL), Kind.NONE)
    parting = Parting(kind.astype("i1"), t, here, there, rule, of, np.full(n, "", object), events)
    _look_at_summaries(parting, arm, reference, contrast, pure)
    _look_at_baseline(parting, arm, reference, pure)
    return parting


def _causes(
    events: tuple[Events, Events],
    places: tuple[np.ndarray, np.ndarray],
    contrast: PolicyContrast,
    t: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """(rule, of): the rule that accounts for each subject's first difference, and whose policy it is in.

    Before all the rule of the differing event itself; else one that acted in the same step of the same assessment: a
    rule that both policies share is kept from ordering by one that they do not.
    """
    rule = np.full(len(t), -1, "i8")
    of = np.full(len(t), -1, "i8")
    phase = np.full(len(t), -1, "i8")
    for side, place in zip(events, places, strict=True):
        phase[place >= 0] = side.phase[place[place >= 0]]
    explained = [contrast.explains(number, side) for number, side in enumerate(events)]
    for number, (side, place) in enumerate(zip(events, places, strict=True)):
        who = np.flatnonzero((place >= 0) & (of < 0))
        who = who[explained[number][place[who]]]
        _blame(rule, of, number, side, who, place[who])
    for number, side in enumerate(events):
        beside = explained[number] & (side.t == t[side.row]) & (side.phase == phase[side.row])
        at = np.flatnonzero(beside & (of[side.row] < 0))[::-1]
        _blame(rule, of, number, side, side.row[at], at)
    return rule, of


def _blame(
    rule: np.ndarray, of: np.ndarray, number: int, side: Events, who: np.ndarray, place: np.ndarray
) -> None:
    rule[who] = np.where(side.phase[place] == SEIZURE, FLAG, side.rule[place])
    of[who] = number


def _look_at_summaries(
    parting: Parting, arm: Side, reference: Side, contrast: PolicyContrast, pure: bool
) -> None:
    """Courses without a differing event must have the same latent peaks, hazards, doses, days and counts."""
    alike = np.flatnonzero(parting.kind == Kind.NONE)
    one, other = arm.block.courses[alike], reference.block.courses[alike]
    # a policy that looks at samples has empty assessments made too
    looks_alike = bool(one["marker_sampled"].any() == other["marker_sampled"].any())
    compared = summary_fields(one, contrast.levetiracetam, pure and looks_alike)
    found, names = differing_field(one, other, compared)
    differ = found >= 0
    parting.field[alike[differ]] = np.array(names, object)[found[differ]]
    parting.t[alike[differ]] = one["end"][differ]
    parting.kind[alike[differ]] = Kind.LEAK if pure else Kind.MODEL


def _look_at_baseline(parting: Parting, arm: Side, reference: Side, pure: bool) -> None:
    """Covariates and drawn constants; a difference there comes before every event."""
    for one, other in ((arm.cohort, reference.cohort), (arm.subjects, reference.subjects)):
        found, names = differing_field(one, other, baseline_fields(one, pure))
        differ = np.flatnonzero((found >= 0) & ~((parting.kind == Kind.LEAK) & np.isnan(parting.t)))
        parting.kind[differ] = Kind.LEAK
        parting.field[differ] = np.array(names, object)[found[differ]]
        parting.t[differ] = np.nan
        parting.rule[differ] = parting.of[differ] = parting.here[differ] = parting.there[differ] = -1
