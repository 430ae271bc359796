"""Why: "one at a time" and every tornado need to know where a number stands when nothing moves it, and that may be in
the scenario, in the policy it names, or in the evidence registry.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cartsim.scenario.resolve import Scenario


def base_value(scenario: "Scenario", path: str) -> Any:
    """What the scenario has at a dotted path, defaults and registry included; None where there is nothing."""
    from cartsim.evidence.registry import load_registry
    from cartsim.evidence.spread import registry_key

    key = registry_key(path, scenario.product.id)
    if key is not None:
        parts = path.split(".")
        arm = next((arm for arm in scenario.arms if arm.id == parts[1]), None) if parts[0] == "arms" else None
        overrides = scenario.registry_overrides(arm)
        return overrides[key] if key in overrides else load_registry().numbers().get(key)
    if path == "product":
        return scenario.product.id
    here: Any = scenario.resolved()
    for part in path.split("."):
        here = _below(here, part)
    return here


def _below(here: Any, part: str) -> Any:
    if isinstance(here, dict):
        return here.get(part)
    if isinstance(here, list):
        for item in here:
            if isinstance(item, dict) and item.get("id") == part:
                return item
        return here[int(part)] if part.isdigit() and int(part) < len(here) else None
    return None
