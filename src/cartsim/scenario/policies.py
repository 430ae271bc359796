"""Why: an arm's policy is a policy and the prophylaxis modules added to it. A sweep over one number of one rung asks
for thousands that differ in that number, and only that rung needs to be read and checked again.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from cartsim.policy.courses import dose_faults
from cartsim.policy.library import load_policy
from cartsim.policy.schema import Policy, Rule
from cartsim.yaml_text import KeyPath

if TYPE_CHECKING:
    from cartsim.evidence.registry import Registry

#: Policies kept; one more, and all are forgotten, which costs time and nothing else.
KEPT = 256
Change = tuple[KeyPath, Any]


def policy_block(policy: str | Mapping[str, Any], added: Sequence[str]) -> str | dict[str, Any]:
    """What `load_policy` is given for an arm: its policy with the modules of `prophylaxis` joined in."""
    if not added:
        return policy if isinstance(policy, str) else dict(policy)
    block: dict[str, Any] = {"extends": policy} if isinstance(policy, str) else dict(policy)
    earlier = block.get("add") or []
    return block | {"add": [*(earlier if isinstance(earlier, list) else []), *added]}


class Policies:
    """Policies of arms that were changed in a few places."""

    def __init__(self, registry: "Registry") -> None:
        self._registry = registry
        self._known: dict[str, Policy] = {}
        #: One policy for every way of changing an arm, whatever the numbers were.
        self._patterns: dict[str, Policy] = {}

    def policy(self, number: int, arm: Mapping[str, Any], changes: Sequence[Change]) -> Policy:
        """The policy of arm `number`, whose plain data after `changes` (paths from the arm down) is `arm`.

        Raises `InvalidInput` as `load_policy` does.
        """
        key = json.dumps([number, [[*path, value] for path, value in changes]])
        if key in self._known:
            return self._known[key]
        if len(self._known) >= KEPT:
            self._known.clear()
        pattern = json.dumps(
            [number, [[*path, None if _is_number(value) else [value]] for path, value in changes]]
        )
        like = self._patterns.get(pattern)
        policy = None if like is None else self._renumbered(like, changes)
        if policy is None:
            policy = load_policy(policy_block(arm["policy"], arm.get("prophylaxis") or []), self._registry)
            self._patterns[pattern] = policy
        self._known[key] = policy
        return policy

    def _renumbered(self, like: Policy, changes: Sequence[Change]) -> Policy | None:
        """`like` with other numbers in its rungs; None where that is not all that changes, or a number is refused."""
        blocks: dict[str, dict[str, Any]] = {}
        for path, value in changes:
            if not _is_number(value):
                continue
            if len(path) < 4 or path[:2] != ("policy", "rules") or path[2] not in like.rules:
                return None
            name = str(path[2])
            if name not in blocks:
                blocks[name] = copy.deepcopy(like.rules[name].model_dump(by_alias=True))
            here: Any = blocks[name]
            for part in path[3:-1]:
                here = here.get(part) if isinstance(here, dict) else None
            if not isinstance(here, dict) or not _is_number(here.get(path[-1])):
                return None
            here[path[-1]] = value
        try:
            rules = {
                name: Rule.model_validate(block, context={"scale": like.scale})
                for name, block in blocks.items()
            }
        except ValidationError:
            return None
        for rule in rules.values():
            if rule.give is not None and dose_faults(rule.give, rule.when, self._registry):
                return None
        return like.model_copy(update={"rules": {**like.rules, **rules}})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
