"""Why: whoever wrote a policy must read "this rule, this key, this is wrong, write that", not the vocabulary of a
validation library. Pydantic's errors become `Problem`s here, misspelt keys with the nearest key that exists.
"""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from cartsim.errors import TYPES_NEEDED, Problem
from cartsim.policy.schema import (
    Covariates,
    DrugName,
    Give,
    NeuroScaleName,
    Policy,
    Prophylactic,
    Rule,
    ScaleName,
    Source,
    Status,
    TaperStep,
    Until,
    When,
)

_CHILDREN: dict[str, type[BaseModel]] = {
    "when": When,
    "when_any": Covariates,
    "give": Give,
    "until": Until,
    "taper": TaperStep,
    "source": Source,
}
_CHOICES: dict[str, tuple[str, tuple[str, ...]]] = {
    "drug": ("drug", get_args(DrugName)),
    "scale": ("CRS scale", get_args(ScaleName)),
    "neuro_scale": ("neuro scale", get_args(NeuroScaleName)),
    "status": ("status", get_args(Status)),
}
_UNITS = {"h", "mg", "c", "kg", "years"}
#: What people write for a key that has its unit in the name.
_UNITLESS = {
    "dose": "mg",
    "dosage": "mg",
    "amount": "mg",
    "interval": "every_h",
    "temperature": "temperature_c",
    "ferritin": "ferritin_ng_per_ml",
    "crp": "crp_mg_per_l",
    "ldh": "ldh_u_per_l",
    "platelets": "platelets_1e9_per_l",
}
_NEEDED = TYPES_NEEDED | {
    "string_pattern_mismatch": "an id is lower-case letters, digits and `_`, beginning with a letter",
}


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known word closest to `name`, or None."""
    close = get_close_matches(str(name).lower().replace("-", "_"), sorted(known), 1, 0.6)
    return close[0] if close else None


def keys_of(model: type[BaseModel]) -> list[str]:
    """Keys of a model as the file writes them."""
    return [info.alias or name for name, info in model.model_fields.items()]


def model_at(path: Sequence[str | int], root: type[BaseModel] = Policy) -> type[BaseModel] | None:
    """The model whose keys may stand in the map at `path`; None inside a list of numbers or beside it all."""
    if not path:
        return root
    head, *rest = path
    if head == "source" and not rest:
        return Source
    if head not in ("rules", "prophylaxis") or not rest:
        return None
    inner = [part for part in rest[1:] if not isinstance(part, int)]
    if not inner:
        return Rule if head == "rules" else Prophylactic
    if head == "prophylaxis" and inner[-1] == "when":
        return Covariates
    return _CHILDREN.get(str(inner[-1]))


def find_problems(error: ValidationError, root: type[BaseModel] = Policy) -> list[Problem]:
    """One problem per place, without file or line: whoever knows the file adds them."""
    found: dict[str, Problem] = {}
    misspelt, missing = set(), set()
    for fault in error.errors(include_url=False):
        path = tuple(part for part in fault["loc"] if part != "[key]")
        what, mend = _explain(fault, path, root)
        dotted = ".".join(str(part) for part in path)
        found.setdefault(dotted, Problem(None, None, dotted, what, mend))
        if fault["type"] == "extra_forbidden":
            misspelt.add(".".join(str(part) for part in (*path[:-1], mend)))
        elif fault["type"] == "missing":
            missing.add(dotted)
    # a misspelt key that is needed would otherwise be told twice
    return [problem for dotted, problem in found.items() if dotted not in misspelt & missing]


def unknown_key(key: str, model: type[BaseModel] | None) -> tuple[str, str | None]:
    """What to say about a key that does not exist here: a missing unit, or the nearest key."""
    keys = keys_of(model) if model is not None else []
    with_unit = [one for one in keys if re.sub(rf"_({'|'.join(_UNITS)})$", "", one) == key and one != key]
    if _UNITLESS.get(key) in keys:
        with_unit = [_UNITLESS[key]]
    if with_unit:
        return f"key `{key}` has no unit", with_unit[0]
    if key.startswith("add") or key.startswith("extend"):
        return f"unknown key `{key}`", "`extends` and `add` stand at the top of a policy"
    close = nearest(key, keys)
    return f"unknown key `{key}`", close or (f"one of: {', '.join(keys)}" if keys else None)


def _explain(fault: Any, path: tuple[str | int, ...], root: type[BaseModel]) -> tuple[str, str | None]:
    kind, context = fault["type"], fault.get("ctx", {})
    key = str(path[-1]) if path else "the policy"
    got = f"got {_show(fault['input'])}; "
    if kind == "policy":
        return str(context["what"]), context["mend"]
    if kind == "extra_forbidden":
        return unknown_key(key, model_at(path[:-1], root))
    if kind == "missing":
        return f"key `{key}` is missing", _example(key)
    if kind == "literal_error" and key in _CHOICES:
        label, choices = _CHOICES[key]
        given = str(fault["input"])
        return f"unknown {label} {_show(fault['input'])}", nearest(
            given, choices
        ) or f"one of: {', '.join(choices)}"
    if kind == "literal_error":
        return f"{got}must be {context['expected']}", None
    if kind in ("greater_than", "greater_than_equal"):
        bound = context.get("gt", context.get("ge"))
        word = "above" if kind == "greater_than" else "at least"
        return f"{got}{key} must be {word} {bound:g}", None
    if kind in ("less_than", "less_than_equal"):
        return f"{got}{key} must be at most {context.get('le', context.get('lt')):g}", None
    return got + _NEEDED.get(kind, str(fault["msg"])), None


def _example(key: str) -> str:
    if key in _CHOICES:
        return f"{key}: with one of {', '.join(_CHOICES[key][1])}"
    return {"when": 'when: {crs: ">=2"}', "at_h": "at_h: -1", "prophylaxis": "prophylaxis:"}.get(
        key, f"{key}: ..."
    )


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
