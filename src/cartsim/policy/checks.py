"""Why: some faults show only when a whole policy is seen: a rung treated as one that does not exist, a circle, a
dose above the limit, more rules than the compiled clinic has room for. They stop a policy from loading.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from cartsim.errors import Problem
from cartsim.policy.courses import dose_faults
from cartsim.policy.problems import nearest
from cartsim.policy.schema import Policy, Rule
from cartsim.terms import MAX_PROPHYLAXIS, MAX_RULES


def check_policy(policy: Policy, registry: Mapping[str, Any]) -> list[Problem]:
    """Problems of a policy that passed the schema; empty when it may be compiled."""
    return [
        *_sizes(policy),
        *_references(policy),
        *_circles(policy),
        *_doses(policy, registry),
        *_unverified(policy),
    ]


def target_of(policy: Policy, rule_id: str) -> str:
    """The rule whose order `rule_id` gives, following `treat_as`; the chain must be sound."""
    seen = rule_id
    while (target := policy.rules[seen].treat_as) is not None:
        seen = target
    return seen


def _problem(path: str, what: str, mend: str | None = None) -> Problem:
    return Problem(None, None, path, what, mend)


def _sizes(policy: Policy) -> Iterator[Problem]:
    if len(policy.rules) > MAX_RULES:
        yield _problem(
            "rules", f"{len(policy.rules)} rules; at most {MAX_RULES} are possible", "merge some rungs"
        )
    times = sum(len(dose.times_h()) for dose in policy.prophylaxis.values())
    if times > MAX_PROPHYLAXIS:
        yield _problem("prophylaxis", f"{times} prophylactic doses; at most {MAX_PROPHYLAXIS} are possible")


def _references(policy: Policy) -> Iterator[Problem]:
    for name, rule in policy.rules.items():
        for key in ("treat_as", "replaces"):
            target = getattr(rule, key)
            if target is None or target in policy.rules:
                continue
            others = [one for one in policy.rules if one != name]
            mend = nearest(target, others) or f"one of: {', '.join(others)}"
            yield _problem(f"rules.{name}.{key}", f"there is no rule `{target}`", mend)


def _circles(policy: Policy) -> Iterator[Problem]:
    for name in policy.rules:
        chain = [name]
        while True:
            rule: Rule | None = policy.rules.get(chain[-1])
            target = rule.treat_as if rule is not None else None
            if target is None:
                break
            if target == name:
                circle = " -> ".join([*chain, target])
                yield _problem(
                    f"rules.{name}.treat_as", f"treat_as goes in a circle: {circle}", "give: in one of them"
                )
            if target in chain:
                break
            chain.append(target)


def _doses(policy: Policy, registry: Mapping[str, Any]) -> Iterator[Problem]:
    for name, rule in policy.rules.items():
        if rule.give is not None:
            for key, what, mend in dose_faults(rule.give, rule.when, registry):
                yield _problem(f"rules.{name}.give.{key}", what, mend)
    for name, dose in policy.prophylaxis.items():
        for key, what, mend in dose_faults(dose, dose.when, registry):
            yield _problem(f"prophylaxis.{name}.{key}", what, mend)


def _unverified(policy: Policy) -> Iterator[Problem]:
    for position, path in enumerate(policy.unverified):
        if not is_rung(policy, path):
            known = [f"rules.{name}" for name in policy.rules] + [
                f"prophylaxis.{name}" for name in policy.prophylaxis
            ]
            yield _problem(f"unverified.{position}", f"there is no rung `{path}`", nearest(path, known))


def is_rung(policy: Policy, path: str) -> bool:
    """True when `path` (`rules.<id>` or `prophylaxis.<id>`, perhaps with more behind) names a rung."""
    head, _, rest = path.partition(".")
    name = rest.split(".")[0]
    return (head == "rules" and name in policy.rules) or (
        head == "prophylaxis" and name in policy.prophylaxis
    )
