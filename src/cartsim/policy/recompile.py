"""Why: a sweep over "for how many hours" compiles thousands of policies that differ in one rung. Rows of rungs that
are the very same objects as in a policy compiled before, with the same drug numbers, are taken over from it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cartsim.policy.checks import target_of
from cartsim.policy.compile import CompiledPolicy, action_row, compile_policy, rule_row
from cartsim.policy.schema import Policy


class Watched(Mapping[str, Any]):
    """A mapping that remembers what was read from it."""

    def __init__(self, inner: Mapping[str, Any]) -> None:
        self.inner = inner
        self.read: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        value = self.inner[key]
        self.read[key] = value
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self.inner)

    def __len__(self) -> int:
        return len(self.inner)


@dataclass(frozen=True)
class Made:
    """A compiled policy, and the drug numbers that each of its orders was made with."""

    compiled: CompiledPolicy
    orders: Mapping[str, Mapping[str, Any]]  # rule -> registry key -> value

    @property
    def reads(self) -> tuple[str, ...]:
        """Registry keys that the policy depends on."""
        return tuple(sorted({key for numbers in self.orders.values() for key in numbers}))


def make_policy(policy: Policy, numbers: Mapping[str, Any], like: Made | None = None) -> Made:
    """`compile_policy`, taking over from `like` what is the same; `numbers` are registry numbers by key."""
    if like is not None and _same_shape(policy, like.compiled.policy):
        return _recompile(policy, numbers, like)
    compiled = compile_policy(policy, numbers)
    orders = {}
    for name, rule in policy.rules.items():
        if rule.give is not None:
            watched = Watched(numbers)
            action_row(rule.give, watched)
            orders[name] = watched.read
    return Made(compiled, orders)


def _same_shape(policy: Policy, other: Policy) -> bool:
    """Rules in the same order with an order of their own or without, the same doses by the clock, the same scales."""
    return (
        policy.prophylaxis is other.prophylaxis
        and (policy.scale, policy.neuro_scale) == (other.scale, other.neuro_scale)
        and list(policy.rules) == list(other.rules)
        and all(
            (a is b) or ((a.give is None) == (b.give is None) and a.treat_as == b.treat_as)
            for a, b in zip(policy.rules.values(), other.rules.values(), strict=True)
        )
    )


def _recompile(policy: Policy, numbers: Mapping[str, Any], like: Made) -> Made:
    old = like.compiled.policy.rules
    changed = {name for name, rule in policy.rules.items() if rule is not old[name]}
    rules, actions, orders = like.compiled.rules.copy(), like.compiled.actions.copy(), dict(like.orders)
    for place, name in enumerate(orders):
        rule = policy.rules[name]
        if rule.give is None or (
            name not in changed and all(numbers[key] == value for key, value in orders[name].items())
        ):
            continue
        watched = Watched(numbers)
        actions[place] = action_row(rule.give, watched)[0]
        orders[name] = watched.read
    for place, name in enumerate(policy.rules if changed else ()):
        # a rung reads the care of the rung that it is treated as
        if name in changed or target_of(policy, name) in changed:
            rules[place] = rule_row(policy, name, place, int(like.compiled.rules["action"][place]))[0]
    return Made(replace(like.compiled, policy=policy, rules=rules, actions=actions), orders)
