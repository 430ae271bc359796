"""Why: "the label, but tocilizumab at grade 1 after 24 h" should be one line, not a copied file that drifts.

Maps merge key by key, null deletes, anything else replaces. Two exceptions keep a rung sensible: an order of another
kind (`give` over `treat_as`, or another drug) replaces the order of the base whole.
"""

from collections.abc import Mapping
from typing import Any

from cartsim.errors import Problem
from cartsim.policy.problems import nearest


def merge_policy(base: Mapping[str, Any], patch: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """`patch` over `base`, and what it tries to delete that is not there. Rules of the base keep their place."""
    problems: list[Problem] = []
    merged = _merge(base, patch, (), problems)
    return merged, problems


def _merge(
    base: Mapping[str, Any], patch: Mapping[str, Any], path: tuple[str, ...], problems: list[Problem]
) -> dict[str, Any]:
    merged = {key: value for key, value in base.items() if not _gives_way(key, base, patch)}
    for key, value in patch.items():
        here = (*path, str(key))
        if value is None:
            if key not in base:
                mend = nearest(str(key), [str(one) for one in base])
                what = f"there is no `{key}` to delete"
                problems.append(Problem(None, None, ".".join(here), what, mend))
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merge(merged[key], value, here, problems)
        elif isinstance(value, Mapping):
            merged[key] = _without_nulls(value)
        else:
            merged[key] = value
    return merged


def _gives_way(key: str, base: Mapping[str, Any], patch: Mapping[str, Any]) -> bool:
    if key == "give":
        new = patch.get("give")
        other_drug = isinstance(new, Mapping) and new.get("drug", base["give"].get("drug")) != base[
            "give"
        ].get("drug")
        return other_drug or patch.get("treat_as") is not None
    if key == "treat_as":
        return patch.get("give") is not None
    if key == "cap_mg":
        # the cap of a dose in mg/kg goes with it
        return any(patch.get(one) is not None for one in ("mg", "schedule"))
    doses = {"mg", "mg_per_kg", "schedule"}
    return key in doses and any(patch.get(one) is not None for one in doses - {key})


def _without_nulls(value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_nulls(part) if isinstance(part, Mapping) else part
        for key, part in value.items()
        if part is not None
    }
