"""Why: `--set arms.early.policy.rules.g2_toci.give.max_doses=1` must change exactly what it names, typed as the
file would be, or be refused with the path that was meant. A what-if that silently changed nothing is worse than
an error.
"""

import copy
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from cartsim.errors import InvalidInput, Problem
from cartsim.scenario.models import ScenarioFile
from cartsim.scenario.shape import annotation_at, keys_of, models_in, nearest, wants_free_map, wants_text
from cartsim.yaml_text import Document, KeyPath, read_scalar

#: Keys that may be given as one word and hold that word under this name when written out as a map.
_SHORT_FORMS = {"policy": "extends", "product": "base"}


def apply_overrides(document: Document, overrides: Mapping[str, Any]) -> list[Problem]:
    """Change `document.data` in place (of a copy); returns the problems of paths that name nothing."""
    document.data = copy.deepcopy(document.data) if isinstance(document.data, dict) else {}
    problems = []
    for dotted_path, value in overrides.items():
        try:
            parts = dotted_path.split(".")
            if not all(parts):
                raise _NoSuchPathError("a path is keys joined by dots", "run.seed")
            path = _into_map(document.data, {ScenarioFile}, parts, value, ())
        except _NoSuchPathError as error:
            problems.append(Problem("--set", None, dotted_path, error.what, error.mend))
        except InvalidInput as error:
            problems += [Problem("--set", None, dotted_path, one.what, one.mend) for one in error.problems]
        else:
            document.overridden.add(path)
    return problems


class _NoSuchPathError(Exception):
    def __init__(self, what: str, mend: str | None) -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend


Models = set[type[BaseModel]]


def _into_map(here: dict[str, Any], models: Models, parts: list[str], value: Any, path: KeyPath) -> KeyPath:
    """Set `parts` below the map `here`, whose keys are those of `models` (any key where there is none)."""
    part, rest = parts[0], parts[1:]
    annotations = annotation_at(models, part)
    if models and not annotations:
        known = keys_of(models)
        meant = nearest(part, known)
        before = "".join(f"{step}." for step in path)
        raise _NoSuchPathError(
            f"unknown key `{part}`", f"{before}{meant}" if meant else f"one of: {', '.join(sorted(known))}"
        )
    if not rest:
        here[part] = _typed(value, annotations)
        return (*path, part)
    inner = here.get(part)
    if isinstance(inner, str) and part in _SHORT_FORMS:
        inner = {_SHORT_FORMS[part]: inner}
    here[part] = inner = inner if isinstance(inner, dict | list) else {}
    if wants_free_map(annotations) and isinstance(inner, dict):
        # Registry keys contain dots themselves: the rest of the path is one key.
        key = ".".join(rest)
        inner[key] = _typed(value, [])
        return (*path, part, key)
    below: Models = set().union(*(models_in(annotation) for annotation in annotations))
    if isinstance(inner, list):
        return _into_list(inner, below, rest, value, (*path, part))
    return _into_map(inner, below, rest, value, (*path, part))


def _into_list(items: list[Any], models: Models, parts: list[str], value: Any, path: KeyPath) -> KeyPath:
    """Items are named by their `id`, else counted from 0."""
    index = _index(items, parts[0])
    if len(parts) == 1:
        items[index] = _typed(value, [])
        return (*path, index)
    if not isinstance(items[index], dict):
        raise _NoSuchPathError(f"`{parts[0]}` is a plain value, nothing stands below it", None)
    return _into_map(items[index], models, parts[1:], value, (*path, index))


def _index(items: list[Any], part: str) -> int:
    ids = [str(item.get("id")) if isinstance(item, dict) else str(item) for item in items]
    if part in ids:
        return ids.index(part)
    if part.isdigit() and int(part) < len(items):
        return int(part)
    raise _NoSuchPathError(f"no item `{part}` in the list", nearest(part, ids) or f"one of: {', '.join(ids)}")


def _typed(value: Any, annotations: list[Any]) -> Any:
    if not isinstance(value, str):
        return value
    if annotations and wants_text(annotations):
        return None if value in ("null", "~") else value
    return read_scalar(value)
