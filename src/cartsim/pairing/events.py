"""Why: two courses can only be compared event by event if the events of each stand in one order that says what could
have caused what, also among those at the same moment. Times are days since infusion.

The order at one moment is the kernel's own (`model.course._KINDS`, `model.bedside.assess`): doses ordered before it,
a seizure, the signs seen, orders that end, drugs ordered, intensive care ordered, moves, doses ordered at this very
moment (where pharmacy needs no time), death or end. Orders of one assessment stand by what they order, not by the
place of their rule in the file: two policies that order the same say so in any order.
"""

from dataclasses import dataclass

import numpy as np

from cartsim.drivers.batch import Block
from cartsim.terms import Change

#: Kind of an administration, beside the codes of `Change`; and of an order for intensive care.
DOSE, ICU_ORDER = 64, 65

EARLIER_DOSE, SEIZURE, SIGNS, ENDING, DRUG_ORDER, CARE_ORDER, MOVE, PROMPT_DOSE, FINISH = range(9)
_PHASE = {
    Change.INFUSION: SIGNS,
    Change.SIGNS: SIGNS,
    Change.ORDER: DRUG_ORDER,
    Change.ADMIT: MOVE,
    Change.ICU_IN: MOVE,
    Change.ICU_OUT: MOVE,
    Change.DISCHARGE: MOVE,
    Change.SEIZURE: SEIZURE,
    Change.STEROID_TAPER: ENDING,
    Change.STEROID_STOP: ENDING,
    Change.ANAKINRA_STOP: ENDING,
    Change.DEATH: FINISH,
    Change.END: FINISH,
}
_PHASE_OF = np.array([_PHASE[kind] for kind in Change], "i8")

#: Kinds of a regimen's end, whenever in its moment it comes.
ENDINGS = tuple(int(kind) for kind, phase in _PHASE.items() if phase == ENDING)

#: What a row of the log of changes shows of the subject, a byte each.
STATE = (
    "setting", "fever", "bp_support", "oxygen", "liver", "kidney", "neuro", "wide", "seizure", "crs", "icans", "ne",
    "steroid_on", "toci_doses",
)  # fmt: skip
_STATE_BYTES = 16
#: Columns of `Events.key`: two events are the same when all of them are.
KEY = ("t", "what", "content", "state", "more state", "mg", "t_order", "t_end")
_T, _WHAT, _CONTENT, _STATE_AT, _MG, _T_ORDER, _T_END = 0, 1, 2, 3, 5, 6, 7


@dataclass
class Events:
    """Events of one arm of a block, by subject and in causal order.

    row: int64[n], the subject's place in the block; t: float64[n]; phase, kind, drug: int64[n]; rule: int64[n], index
    into the policy's rule names or -1; prophylactic: bool[n]; mg: float64[n]; state: uint8[n, 16] by `STATE`; key:
    int64[n, 8], equal exactly where the events are.
    """

    row: np.ndarray
    t: np.ndarray
    phase: np.ndarray
    kind: np.ndarray
    drug: np.ndarray
    rule: np.ndarray
    prophylactic: np.ndarray
    mg: np.ndarray
    state: np.ndarray
    key: np.ndarray


def events_of(block: Block, content: np.ndarray) -> Events:
    """Events of a block that was run with `want_doses` and `want_changes` 2.

    content: int64[rules], what each rule orders, numbered alike in the arms that are compared. Rule ids, trigger
    grades and indications are labels and take no part in the key: the same dose under another name is the same event.
    """
    changes, doses = block.changes, block.doses
    n, m = len(changes), len(doses)
    row = np.concatenate([changes["row"], doses["row"]]).astype("i8")
    rule = np.concatenate([changes["rule_no"], doses["rule_no"]]).astype("i8")
    drug = np.concatenate([changes["drug"], doses["drug"]]).astype("i8")
    t = np.concatenate([changes["t"], doses["t_start"]]) + 0.0
    kind = np.full(n + m, DOSE, "i8")
    kind[:n] = changes["kind"]
    phase = np.full(n + m, EARLIER_DOSE, "i8")
    phase[:n] = _phases(changes)
    phase[n:][(doses["t_order"] >= doses["t_start"]) & (doses["prophylactic"] == 0)] = PROMPT_DOSE
    care = (kind == Change.ORDER) & (drug < 0)
    kind[care], phase[care] = ICU_ORDER, CARE_ORDER
    # a dose comes before the end of the regimen that it completes
    within = np.concatenate([np.arange(n) + m, np.arange(m)])
    ordered = phase == DRUG_ORDER
    within[ordered] = content[rule[ordered]]
    state = np.zeros((n + m, _STATE_BYTES), "u1")
    state[:n] = _state_bytes(changes)
    # whether a steroid is on depends on which of the orders of one assessment was written first
    state[(phase == DRUG_ORDER) | (phase == CARE_ORDER), STATE.index("steroid_on")] = 0
    prophylactic = np.zeros(n + m, bool)
    prophylactic[n:] = doses["prophylactic"] == 1
    mg = np.zeros(n + m)
    mg[n:] = doses["mg"]
    key = np.zeros((n + m, len(KEY)), "i8")
    key[:, _T] = t.view("i8")
    key[:, _WHAT] = (kind << 8) | np.where(care, 0, drug & 0xFF)
    key[ordered, _CONTENT] = within[ordered]
    key[n:, _CONTENT] = doses["dose_no"] * 2 + doses["prophylactic"]
    key[:, _STATE_AT:_MG] = state.view("i8")
    key[:, _MG] = mg.view("i8")
    key[n:, _T_ORDER] = (doses["t_order"] + 0.0).view("i8")
    key[n:, _T_END] = (doses["t_end"] + 0.0).view("i8")
    order = np.lexsort((within, phase, t, row))
    return Events(
        row[order],
        t[order],
        phase[order],
        kind[order],
        drug[order],
        rule[order],
        prophylactic[order],
        mg[order],
        state[order],
        key[order],
    )


def _phases(changes: np.ndarray) -> np.ndarray:
    """int64[n]: phase of each row of the log of changes, which is in the order of writing."""
    phase = _PHASE_OF[changes["kind"]]
    n = len(changes)
    first = np.ones(n, bool)
    first[1:] = (changes["row"][1:] != changes["row"][:-1]) | (changes["t"][1:] != changes["t"][:-1])
    begins = np.maximum.accumulate(np.where(first, np.arange(n), 0))
    ordered = np.concatenate([[0], np.cumsum((phase > ENDING) & (phase < FINISH))])
    # a single dose given where it is ordered ends its regimen after the order, not before
    late = (phase == ENDING) & (ordered[:-1] > ordered[begins])
    return np.where(late, PROMPT_DOSE, phase)


def _state_bytes(changes: np.ndarray) -> np.ndarray:
    state = np.zeros((len(changes), _STATE_BYTES), "u1")
    state[:, 0] = changes["setting"]
    state[:, 1] = changes["fever"]
    state[:, 2:6] = changes["level"]
    for place, name in enumerate(STATE[6:13], 6):
        state[:, place] = changes[name]
    state[:, 13:15] = changes["toci_doses"].astype("<u2").view("u1").reshape(-1, 2)
    return state


def first_difference(arm: Events, reference: Events, subjects: int) -> tuple[np.ndarray, np.ndarray]:
    """(int64[subjects], int64[subjects]): the first event in which each subject's courses differ, as a place in the
    events of the arm and of the reference; -1 where that side has no such event, both -1 where nothing differs.
    """
    counts = [np.bincount(side.row, minlength=subjects) for side in (arm, reference)]
    starts = [np.cumsum(count) - count for count in counts]
    shared = np.minimum(*counts)
    row = np.repeat(np.arange(subjects), shared)
    within = np.arange(len(row)) - np.repeat(np.cumsum(shared) - shared, shared)
    differ = (arm.key[starts[0][row] + within] != reference.key[starts[1][row] + within]).any(axis=1)
    place = np.where(counts[0] == counts[1], -1, shared)
    hits = np.flatnonzero(differ)[::-1]
    place[row[hits]] = within[hits]
    here, there = (
        np.where((place >= 0) & (place < count), start + place, -1)
        for start, count in zip(starts, counts, strict=True)
    )
    _keep_the_earlier(arm, reference, here, there)
    return here, there


def _keep_the_earlier(arm: Events, reference: Events, here: np.ndarray, there: np.ndarray) -> None:
    """Where the two events do not answer each other, the later one is no part of the difference: set it to -1."""
    both = np.flatnonzero((here >= 0) & (there >= 0))
    i, j = here[both], there[both]
    sooner = (arm.t[i] < reference.t[j]) | (
        (arm.t[i] == reference.t[j]) & (arm.phase[i] < reference.phase[j])
    )
    later = (arm.t[i] > reference.t[j]) | ((arm.t[i] == reference.t[j]) & (arm.phase[i] > reference.phase[j]))
    # an event that the other side has too, only after one of its own, is no difference
    sooner |= ~later & _comes_next(arm, i, reference, j)
    later |= ~sooner & _comes_next(reference, j, arm, i)
    there[both[sooner]] = -1
    here[both[later]] = -1


def _comes_next(one: Events, i: np.ndarray, other: Events, j: np.ndarray) -> np.ndarray:
    after = np.minimum(i + 1, len(one.row) - 1)
    return (one.row[after] == one.row[i]) & (one.key[after] == other.key[j]).all(axis=1)
