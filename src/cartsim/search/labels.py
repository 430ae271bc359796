"""Why: a candidate is known by what is set in it, and a path of six parts is no name. What all paths share is left
out, and an axis that has a label is called by it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cartsim.sweep.designs import Design

#: Characters of a value in a label.
VALUE_WIDTH = 40


@dataclass(frozen=True)
class Candidate:
    """A design point: `settings` maps dotted paths to values, `label` says them to people."""

    design_id: int
    label: str
    settings: Mapping[str, Any]


def axis_names(design: Design, arm: str) -> dict[str, str]:
    """Path -> what to call it: the axis' own label, else the path without its beginning."""
    pairs = zip(design.paths, design.labels, strict=True)
    return {path: label if label != path else _short_path(path, arm) for path, label in pairs}


def make_candidate(design: Design, i: int, names: Mapping[str, str]) -> Candidate:
    """Design point `i` as a candidate."""
    settings = design.settings(i)
    label = ", ".join(f"{names[path]}: {show_value(value)}" for path, value in settings.items())
    return Candidate(i, label or "as in the scenario", settings)


def show_value(value: Any) -> str:
    """A setting in a few characters: a policy block by the policy it extends, an empty list as `none`."""
    if isinstance(value, dict) and isinstance(value.get("extends"), str):
        value = value["extends"]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return " + ".join(value) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_WIDTH else f"{text[: VALUE_WIDTH - 4].rstrip()} ..."


def _short_path(path: str, arm: str) -> str:
    return path.removeprefix(f"arms.{arm}.").removeprefix("policy.").removeprefix("rules.")
