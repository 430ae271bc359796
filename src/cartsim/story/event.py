"""Why: whatever happens to a subject has one form: when, what, by which rule, and the numbers behind the words."""

from dataclasses import dataclass, field
from typing import Any

from cartsim.story.verdicts import Verdict
from cartsim.story.words import clock

#: Kinds of an event, in the order in which they stand at one moment.
KINDS = (
    "infusion", "dose", "seizure", "assessment", "sample", "taper", "stop", "order", "wait", "move", "prompt dose",
    "prompt stop", "reaction", "death", "end",
)  # fmt: skip
PLACE_OF_KIND = {kind: place for place, kind in enumerate(KINDS)}


@dataclass(frozen=True)
class Event:
    """One thing that happened, `t_d` days after infusion. `verdicts`: the rules, at an assessment that walked them."""

    t_d: float
    kind: str
    text: str
    rule_id: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()

    def as_dict(self, why: bool = False) -> dict[str, Any]:
        """Plain data; with `why` all rules of an assessment, without it those that fired."""
        kind = self.kind.removeprefix("prompt ")
        plain = {
            "t_d": self.t_d,
            "clock": clock(self.t_d),
            "kind": kind,
            "text": self.text,
            "rule_id": self.rule_id,
        }
        told = [verdict.as_dict() for verdict in self.verdicts if why or verdict.fired]
        return plain | {"data": self.data} | ({"rules": told} if self.kind == "assessment" else {})
