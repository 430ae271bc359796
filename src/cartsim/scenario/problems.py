"""Why: what the models find wrong must reach a clinician as "line 14, this key, this value, this rule", not as
the vocabulary of a validation library.
"""

from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from cartsim.errors import TYPES_NEEDED, Problem
from cartsim.scenario.shape import annotation_at, keys_of, leaves, models_in, nearest, step
from cartsim.yaml_text import Document, KeyPath

_NOT_YET: dict[KeyPath, str] = {
    ("trial",): "trials are not supported yet; only `trial: null` is accepted",
    (
        "population",
        "file",
    ): "reading the cohort from a file is not supported yet; describe it by distributions",
}

_NEEDED = TYPES_NEEDED | {
    "finite_number": "a finite number is needed",
    "string_pattern_mismatch": "only letters, digits, `_` and `-` are allowed, beginning with a letter or digit",
}


def show(value: Any) -> str:
    """A value as the file would write it, shortened."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def find_problems(error: ValidationError, model: type[BaseModel], document: Document) -> list[Problem]:
    """One problem per place in the file, in the order of the file."""
    found: dict[KeyPath, Problem] = {}
    meant: set[KeyPath] = set()
    for fault in error.errors(include_url=False):
        path, models = _path(fault["loc"], model, document.data)
        what, mend = _explain(fault, path, models)
        if path in found and fault["type"] in _NEEDED:
            # Another branch of a union failed at the same place: name both needs once.
            first = found[path]
            need = _NEEDED[fault["type"]]
            if need not in first.what:
                text = f"{first.what.removesuffix(' is needed')}, or {need}"
                found[path] = Problem(first.file, first.line, first.path, text, first.mend)
            continue
        found.setdefault(path, document.problem(path, what, mend))
        if fault["type"] == "extra_forbidden" and mend:
            meant.add((*path[:-1], mend))
    # A misspelt key that was needed is one problem, not two.
    kept = [one for path, one in found.items() if path not in meant]
    return sorted(kept, key=lambda problem: problem.line or 0)


def _path(
    loc: tuple[int | str, ...], model: type[BaseModel], data: Any
) -> tuple[KeyPath, set[type[BaseModel]]]:
    """Path in the file (union tags left out) and the models that may stand at its parent."""
    path: list[str | int] = []
    models: set[type[BaseModel]] = {model}
    parents = models
    here = data
    for part in loc:
        known = isinstance(part, str) and part in keys_of(models)
        inside = (isinstance(here, dict) and part in here) or (
            isinstance(here, list) and isinstance(part, int)
        )
        if not known and not inside:
            models = {one for one in models if _tag(one) == part} or models
            continue
        if models or isinstance(part, str):  # a word in a list is a choice of the list's own key
            parents = models
        models = step(models, part)
        path.append(part)
        if isinstance(here, dict):
            here = here.get(str(part))
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
        else:
            here = None
    return tuple(path), parents


def _tag(model: type[BaseModel]) -> str:
    """The value of `dist` that chooses this model, or its name."""
    info = model.model_fields.get("dist")
    return str(get_args(info.annotation)[0]) if info is not None else model.__name__


def _explain(fault: Any, path: KeyPath, models: set[type[BaseModel]]) -> tuple[str, str | None]:
    kind = fault["type"]
    context = fault.get("ctx", {})
    got = f"got {show(fault['input'])}; "
    key = str(path[-1]) if path else "the file"
    if path in _NOT_YET:
        return _NOT_YET[path], None
    if kind == "extra_forbidden":
        meant = nearest(key, keys_of(models))
        allowed = ", ".join(sorted(keys_of(models)))
        return f"unknown key `{key}`", meant or f"one of: {allowed}"
    if kind == "missing":
        return f"key `{key}` is missing", _example(key, models)
    if kind in ("literal_error", "enum"):
        options = context.get("expected", "").replace("'", "")
        in_list = isinstance(path[-1], int) and len(path) > 1
        choices = [str(option) for option in _options(str(path[-2]) if in_list else key, models)]
        close = nearest(str(fault["input"]), choices) if isinstance(fault["input"], str) else None
        mend = close if in_list else f"{key}: {close}"
        return f"{got}must be {options}", mend if close else None
    bounds = {
        "greater_than": ("above", "gt"),
        "greater_than_equal": ("at least", "ge"),
        "less_than": ("below", "lt"),
        "less_than_equal": ("at most", "le"),
    }
    if kind in bounds:
        word, name = bounds[kind]
        return f"{got}must be {word} {context[name]:g}", None
    if kind == "too_short":
        return f"{got}at least {context['min_length']} is needed", None
    if kind == "string_too_short":
        return f"{got}must not be empty", None
    if kind == "string_too_long":
        return f"{got}at most {context['max_length']} characters are allowed", None
    if kind == "value_error":
        return str(context["error"]), None
    if kind in _NEEDED:
        return got + _NEEDED[kind], None
    message = str(fault["msg"])
    return got + message[:1].lower() + message[1:], None


def _options(key: str, models: set[type[BaseModel]]) -> list[Any]:
    return [
        value
        for annotation in annotation_at(models, key)
        for leaf in leaves(annotation)
        for part in (get_args(leaf) or (leaf,))
        for value in (get_args(part) or (part,))
        if isinstance(value, str)
    ]


def _example(key: str, models: set[type[BaseModel]]) -> str | None:
    if key == "schema":
        return "schema: cartsim/scenario/1"
    found = [one for annotation in annotation_at(models, key) for one in models_in(annotation)]
    if found:
        return f"{key}: with " + ", ".join(sorted(keys_of(found)))
    return f"add `{key}: ...`"
