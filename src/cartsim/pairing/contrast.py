"""Why: a policy can only be the cause of what it says differently. This finds which rules two policies do not share,
and gives the same number to what they order alike, under whatever name.

What a policy can do at all, from the kernel: order drugs (`rules.walk_rules`), order intensive care (a rule's
`care: icu`), give by the clock (`course._give_prophylaxis`), carry out, taper, stop or withdraw an order
(`orders.check_stop`, `places.withdraw_dose`, which read grades on the policy's own scale), and lower the hazard of a
seizure (`levetiracetam`). Nothing else in a course reads a policy.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cartsim.arms import ReadyArm
from cartsim.pairing.events import DOSE, ENDINGS, SEIZURE, Events
from cartsim.policy.checks import target_of
from cartsim.policy.schema import Policy

#: Words about a rule that order nothing.
_ANNOTATIONS = ("source", "note", "replaces")
#: What stands for a rule where the whole policy is meant.
LEVETIRACETAM = "levetiracetam"


@dataclass(frozen=True)
class PolicyContrast:
    """How an arm's policy differs from the reference's; of each pair the arm's comes first.

    changed: bool by rule number, rules that the other policy does not have, or not in this order; content: int64 by
    rule number, what the rule orders (-1 nothing); levetiracetam: whether the flag differs; scale: whether the scale
    differs on which grades are read.
    """

    changed: tuple[np.ndarray, np.ndarray]
    content: tuple[np.ndarray, np.ndarray]
    levetiracetam: bool
    scale: bool

    def explains(self, side: int, events: Events) -> np.ndarray:
        """bool[n]: events that the difference of the policies accounts for, if nothing differed before them.

        An order (of a drug or of intensive care) and a dose by the clock are accounted for by a rule of their own that
        is not shared. Orders being the same, they are carried out and ended the same unless grades are read on
        another scale. A seizure is, where levetiracetam is given in one arm. A sign, a move or a death never is.
        """
        ruled = events.rule >= 0
        own = np.zeros(len(events.rule), bool)
        own[ruled] = self.changed[side][events.rule[ruled]]
        carried_out = ((events.kind == DOSE) & ~events.prophylactic) | np.isin(events.kind, ENDINGS)
        explained = np.where(carried_out, self.scale, own)
        return np.where(events.phase == SEIZURE, self.levetiracetam, explained)


def contrast_policies(arm: ReadyArm, reference: ReadyArm) -> PolicyContrast:
    """Compare two compiled policies rule by rule, by what they say and not by how their rules are called."""
    policies = (arm.policy.policy, reference.policy.policy)
    rules = [[_rule_text(policy, name) for name in policy.rules] for policy in policies]
    doses = [[_dose_text(policy, name) for name in policy.prophylaxis] for policy in policies]
    changed = [
        np.concatenate([_not_shared(rules[side], rules[1 - side]), _not_shared(doses[side], doses[1 - side])])
        for side in (0, 1)
    ]
    known: dict[bytes, int] = {}
    content = [_contents(side, known) for side in (arm, reference)]
    return PolicyContrast(
        changed=(changed[0], changed[1]),
        content=(content[0], content[1]),
        levetiracetam=policies[0].levetiracetam != policies[1].levetiracetam,
        scale=policies[0].scale != policies[1].scale,
    )


def _rule_text(policy: Policy, name: str) -> str:
    """All that a rule's doings depend on: conditions, order, scales, and who shares the order (it is spent for all)."""
    target = target_of(policy, name)
    shared = sorted(other for other in policy.rules if target_of(policy, other) == target)
    said = [policy.rules[one].model_dump(mode="json") for one in (name, target)]
    for one in said:
        for word in _ANNOTATIONS:
            one.pop(word, None)
    whole = [*said, shared if len(shared) > 1 else [], policy.scale, policy.neuro_scale]
    return json.dumps(whole, sort_keys=True)


def _dose_text(policy: Policy, name: str) -> str:
    said = policy.prophylaxis[name].model_dump(mode="json")
    return json.dumps({key: value for key, value in said.items() if key not in _ANNOTATIONS}, sort_keys=True)


def _not_shared(own: Sequence[str], other: Sequence[str]) -> np.ndarray:
    """bool[len(own)]: texts that the other list lacks; all, where what they share stands in another order."""
    shared = [text for text in own if text in other]
    if shared != [text for text in other if text in own]:
        return np.ones(len(own), bool)
    return np.array([text not in other for text in own], bool)


def _contents(arm: ReadyArm, known: dict[bytes, int]) -> np.ndarray:
    """int64 by rule number: equal where the compiled order and what it is for are, in all arms that share `known`."""
    clinic = arm.clinic[0]
    numbers = np.full(len(arm.policy.rule_names), -1, "i8")
    for rule in clinic["rules"][: int(clinic["n_rules"])]:
        if rule["action"] >= 0:
            action = clinic["actions"][rule["action"]]
            # field by field: the padding of an aligned record says nothing
            parts = [np.asarray(action[name]).tobytes() for name in action.dtype.names]
            order = b"".join([*parts, bytes([int(rule["syndrome"])])])
            numbers[rule["rule_no"]] = known.setdefault(order, len(known))
    return numbers
