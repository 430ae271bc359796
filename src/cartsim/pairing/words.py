"""Why: whoever reads of a difference wants to read what happened, in the words of the bedside and with the rule's id,
not codes.
"""

from typing import Any

import numpy as np

from cartsim.arms import ReadyArm
from cartsim.pairing.compare import FLAG, Kind, Parting, Side
from cartsim.pairing.contrast import LEVETIRACETAM
from cartsim.pairing.events import DOSE, DRUG_ORDER, ENDINGS, ICU_ORDER, STATE, Events
from cartsim.policy.checks import target_of
from cartsim.policy.table import order_text
from cartsim.terms import Change, Drug, Setting

NOTHING = "nothing at that time"
_KINDS = {
    Change.INFUSION: "infusion",
    Change.SIGNS: "signs",
    Change.ADMIT: "admission",
    Change.ICU_IN: "moved into intensive care",
    Change.ICU_OUT: "moved out of intensive care",
    Change.DISCHARGE: "discharge",
    Change.SEIZURE: "seizure",
    Change.STEROID_TAPER: "steroid taper begins",
    Change.STEROID_STOP: "steroid ends",
    Change.ANAKINRA_STOP: "anakinra ends",
    Change.DEATH: "death",
    Change.END: "end of follow-up",
}
_TOCI_BYTES = len(STATE) - 1


def rule_word(arm: ReadyArm, rule: int) -> str:
    """The id of a rule, or the flag that `FLAG` stands for."""
    return LEVETIRACETAM if rule == FLAG else arm.policy.rule_names[rule]


def describe(
    parting: Parting, arms: tuple[ReadyArm, ReadyArm], sides: tuple[Side, Side]
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """(texts, here, there): what differed on each side; int64[n] places in `texts`, -1 where nothing differed.

    Differences that read the same share a text, so that the work is by kind of difference and not by subject.
    """
    texts: dict[str, int] = {}
    codes = (np.full(len(parting.kind), -1, "i8"), np.full(len(parting.kind), -1, "i8"))
    policy = np.flatnonzero(parting.kind == Kind.POLICY)
    pairs = _pairs(parting, policy)
    unique, inverse = np.unique(pairs, axis=0, return_index=False, return_inverse=True)
    inverse = inverse.reshape(-1)
    for number, pair in enumerate(unique):
        who = policy[inverse == number]
        for side in (0, 1):
            text = _policy_text(parting, arms[side], side, int(who[0]), bool(pair[-1]))
            codes[side][who] = texts.setdefault(text, len(texts))
    for who in np.flatnonzero((parting.kind == Kind.LEAK) | (parting.kind == Kind.MODEL)).tolist():
        for side, text in enumerate(_leak_texts(parting, arms, sides, who)):
            codes[side][who] = texts.setdefault(text, len(texts))
    return list(texts), *codes


def _pairs(parting: Parting, who: np.ndarray) -> np.ndarray:
    """int64[n, 9] equal where two differences read the same: kind, drug, rule and amount on each side, amounts told."""
    places = (parting.here[who], parting.there[who])
    columns = []
    for side, place in zip(parting.events, places, strict=True):
        columns += [np.where(place >= 0, values[place], -1) for values in (side.kind, side.drug, side.rule)]
        columns.append(np.where(place >= 0, side.key[place, 5], -1) if len(side.row) else place)
    amounts = (columns[0] == DOSE) & (columns[4] == DOSE) & (columns[1] == columns[5])
    columns[3], columns[7] = np.where(amounts, columns[3], 0), np.where(amounts, columns[7], 0)
    return np.stack([*columns, amounts.astype("i8")], axis=1)


def _policy_text(parting: Parting, arm: ReadyArm, side: int, who: int, amount: bool) -> str:
    place = int((parting.here, parting.there)[side][who])
    return NOTHING if place < 0 else event_text(arm, parting.events[side], place, amount)


def event_text(arm: ReadyArm, events: Events, place: int, amount: bool = False) -> str:
    """One event in words, after the id of its rule where it has one; `amount`: with the mg of a dose."""
    kind, rule, drug = int(events.kind[place]), int(events.rule[place]), int(events.drug[place])
    head = f"{arm.policy.rule_names[rule]}: " if rule >= 0 else ""
    if kind == ICU_ORDER:
        return f"{head}intensive care ordered"
    if kind == DOSE:
        mg = f" {events.mg[place]:.10g} mg" if amount else ""
        prophylaxis = " as prophylaxis" if events.prophylactic[place] else ""
        return f"{head}{Drug(drug).name.lower()}{mg} given{prophylaxis}"
    if events.phase[place] == DRUG_ORDER:
        policy = arm.policy.policy
        give = policy.rules[target_of(policy, arm.policy.rule_names[rule])].give
        return f"{head}{Drug(drug).name.lower() if give is None else order_text(give)} ordered"
    if kind in ENDINGS:
        return f"{head}{_KINDS[Change(kind)]}"
    return _KINDS[Change(kind)]


def _leak_texts(
    parting: Parting, arms: tuple[ReadyArm, ReadyArm], sides: tuple[Side, Side], who: int
) -> tuple[str, str]:
    name = parting.field[who]
    if name:
        one, other = (_value(side, name, who, np.isnan(parting.t[who])) for side in sides)
        return f"{name} {one}", f"{name} {other}"
    places = (int(parting.here[who]), int(parting.there[who]))
    both = min(places) >= 0
    states = [_state(events, place) for events, place in zip(parting.events, places, strict=True)]
    found = []
    for side in (0, 1):
        if places[side] < 0:
            found.append(NOTHING)
            continue
        text = event_text(arms[side], parting.events[side], places[side], amount=True)
        shown = {
            k: v for k, v in states[side].items() if (v != states[1 - side].get(k) if both else v != "0")
        }
        found.append(f"{text} ({', '.join(f'{k} {v}' for k, v in shown.items())})" if shown else text)
    return found[0], found[1]


def _state(events: Events, place: int) -> dict[str, str]:
    """What the log shows of the subject at an event; of a dose, when it was ordered."""
    if place < 0:
        return {}
    if events.kind[place] == DOSE:
        return {"ordered": f"day {events.key[place, 6:7].view('f8')[0]:.10g}"}
    row = [int(value) for value in events.state[place]]
    state = dict(zip(STATE[:_TOCI_BYTES], row, strict=False))
    state[STATE[_TOCI_BYTES]] = row[_TOCI_BYTES] + 256 * row[_TOCI_BYTES + 1]
    words = {name: str(value) for name, value in state.items()}
    words["setting"] = Setting(state["setting"]).name.lower()
    return words


def _value(side: Side, name: str, who: int, before: bool) -> str:
    arrays = (side.cohort, side.subjects) if before else (side.block.courses,)
    for array in arrays:
        if name in (array.dtype.names or ()):
            value: Any = array[name][who]
            return " ".join(repr(part) for part in np.ravel(value).tolist())
    return ""
