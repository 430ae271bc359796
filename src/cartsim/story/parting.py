"""Why: beside each other two courses are the same until one policy does something else. Where that is, and by which
rule, is what a reader looks for first.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cartsim.pairing.check import make_pair
from cartsim.pairing.compare import Kind, Parting, Side, compare
from cartsim.pairing.contrast import PolicyContrast, contrast_policies
from cartsim.pairing.words import NOTHING, event_text, rule_word
from cartsim.story.lives import Life
from cartsim.story.words import clock

_CAUSES = {Kind.NONE: "none", Kind.POLICY: "policy", Kind.MODEL: "model", Kind.LEAK: "leak"}
SITE = "site"


@dataclass(frozen=True)
class Difference:
    """The first difference of two courses: when (None: none, or before infusion), what on each side, and why.

    cause: none, policy (with `rule_id` of arm `rule_arm`), model (numbers of an arm's own), site (beds and doses that
    others have), or leak (a fault of cartsim).
    """

    t_d: float | None
    texts: tuple[str, str]
    cause: str
    rule_id: str | None = None
    rule_arm: str | None = None

    @property
    def none(self) -> bool:
        """Whether the two courses are the same."""
        return self.cause == "none"

    def text(self, arms: tuple[str, str]) -> str:
        """One sentence, with the arms' names."""
        if self.none:
            return "the same course"
        when = "before infusion" if self.t_d is None else clock(self.t_d)
        why = {
            "policy": f"; by rule {self.rule_id} of arm {self.rule_arm}",
            "model": "; by numbers that an arm has of its own",
            "site": "; no rule of its own: others at the site have taken or left a bed or a dose",
            "leak": "; by no rule: a fault of cartsim, see --check-pairing",
        }.get(self.cause, "")
        return f"{when}: {self.texts[0]} ({arms[0]}), {self.texts[1]} ({arms[1]}){why}"

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        clocked = None if self.t_d is None else clock(self.t_d)
        return {
            "t_d": self.t_d, "clock": clocked, "first": self.texts[0], "second": self.texts[1],
            "cause": self.cause, "rule_id": self.rule_id, "rule_arm": self.rule_arm,
        }  # fmt: skip


def part(one: Life, other: Life) -> Difference:
    """The first event in which two arms of a subject differ, and the rule that accounts for it."""
    pair = make_pair(one.arm, other.arm)
    parting = compare(_side(one), _side(other), pair.contrast, pure=not pair.numbers)
    cause = _CAUSES[Kind(int(parting.kind[0]))]
    if cause == "leak" and one.infused_d is not None:
        cause = SITE
    if cause in ("leak", "model", SITE) and parting.field[0]:
        name = str(parting.field[0])
        values = tuple(f"{name} {_value(life, name)}" for life in (one, other))
        return Difference(_time(parting), (values[0], values[1]), cause)
    rule, holder = int(parting.rule[0]), (one, other)[max(int(parting.of[0]), 0)].arm
    named = cause == "policy"
    return Difference(
        _time(parting),
        _texts(parting, one, other),
        cause,
        rule_word(holder, rule) if named else None,
        holder.id if named else None,
    )


def part_without(one: Life, other: Life, rule_id: str) -> Difference:
    """The first difference of two courses under one policy, of which `rule_id` is closed to the second."""
    contrast = contrast_policies(one.arm, one.arm)
    parting = compare(_side(one), _side(other), _silent(contrast))
    cause = "none" if Kind(int(parting.kind[0])) == Kind.NONE else "policy"
    blamed = (rule_id, one.arm.id) if cause == "policy" else (None, None)
    return Difference(_time(parting), _texts(parting, one, other), cause, *blamed)


def _silent(contrast: PolicyContrast) -> PolicyContrast:
    everything = tuple(np.ones(len(changed), bool) for changed in contrast.changed)
    return PolicyContrast(
        (everything[0], everything[1]), contrast.content, contrast.levetiracetam, contrast.scale
    )


def _side(life: Life) -> Side:
    return Side(life.ran.cohort, life.ran.subjects, life.ran.block)


def _time(parting: Parting) -> float | None:
    t = float(parting.t[0])
    return None if np.isnan(t) else t


def _texts(parting: Parting, one: Life, other: Life) -> tuple[str, str]:
    places = (int(parting.here[0]), int(parting.there[0]))
    told = [
        NOTHING if place < 0 else event_text(life.arm, events, place, amount=True)
        for life, events, place in zip((one, other), parting.events, places, strict=True)
    ]
    return told[0], told[1]


def _value(life: Life, name: str) -> str:
    for array in (life.ran.cohort, life.ran.subjects, life.course):
        if name in (array.dtype.names or ()):
            return " ".join(str(value) for value in np.ravel(array[name][0]).tolist())
    return ""
