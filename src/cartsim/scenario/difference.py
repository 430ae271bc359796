"""Why: whoever is told that a run belongs to another scenario wants to know which key, not which hash."""

from collections.abc import Mapping
from textwrap import shorten
from typing import Any

#: Differences shown before "and n more".
SHOWN = 4


def scenario_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """How two resolved scenarios differ: `key: old -> new`, a few keys and how many more; empty when they do not."""
    if before.get("id") != now.get("id"):
        return [f"the run is of {before.get('id')}, and this is {now.get('id')}"]
    old, new = flatten(before), flatten(now)
    # where a cohort file lies is no difference, what it holds is
    keys = (old.keys() | new.keys()) - {"population.file"}
    changed = sorted(key for key in keys if old.get(key) != new.get(key))
    shown = [f"{key}: {_short(old.get(key))} -> {_short(new.get(key))}" for key in changed[:SHOWN]]
    return shown + ([f"and {len(changed) - SHOWN} more keys"] if len(changed) > SHOWN else [])


def flatten(data: Any, path: str = "") -> dict[str, Any]:
    """{dotted key: plain value}; items of a list go by their `id`, else by number."""
    if isinstance(data, Mapping):
        items = [(str(key), value) for key, value in data.items()]
    elif isinstance(data, list):
        items = [
            (str(item.get("id", number)) if isinstance(item, dict) else str(number), item)
            for number, item in enumerate(data)
        ]
    else:
        return {path: data}
    flat: dict[str, Any] = {}
    for key, value in items:
        flat |= flatten(value, f"{path}.{key}" if path else key)
    return flat


def _short(value: Any) -> str:
    return shorten(str(value), 40, placeholder=" ...")
