"""Why: `--set arms.early.policy.rules.g2_toci.give.max_doses=1` must change exactly what it names, typed as the
file would be, or be refused with the path that was meant. A what-if that silently changed nothing is worse than
an error. The points of a sweep are set by the same rules.
"""

import copy
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from cartsim.errors import InvalidInput, Problem
from cartsim.scenario.models import ScenarioFile
from cartsim.scenario.shape import annotation_at, keys_of, models_in, nearest, wants_free_map, wants_text
from cartsim.yaml_text import Document, KeyPath, read_scalar

#: Keys that may be given as one word and hold that word under this name when written out as a map.
_SHORT_FORMS = {"policy": "extends", "product": "base"}

Models = frozenset[type[BaseModel]]


class NoSuchPath(Exception):
    """A path that names nothing: what is wrong with it, and the path that was perhaps meant."""

    def __init__(self, what: str, mend: str | None) -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend


def apply_overrides(document: Document, overrides: Mapping[str, Any], plain: bool = False) -> list[Problem]:
    """Change `document.data` in place (of a copy); returns the problems of paths that name nothing.

    Text values are read as the file would read them; with `plain` they are text.
    """
    document.data = copy.deepcopy(document.data) if isinstance(document.data, dict) else {}
    problems = []
    for dotted_path, value in overrides.items():
        try:
            document.data, path = set_path(document.data, dotted_path, value, plain)
        except NoSuchPath as error:
            problems.append(Problem("--set", None, dotted_path, error.what, error.mend))
        except InvalidInput as error:
            problems += [Problem("--set", None, dotted_path, one.what, one.mend) for one in error.problems]
        else:
            document.overridden.add(path)
    return problems


def set_path(
    data: Mapping[str, Any], dotted_path: str, value: Any, plain: bool = True
) -> tuple[dict[str, Any], KeyPath]:
    """A copy of a scenario's plain data with one value set, and where that is; what is not touched is shared.

    Raises `NoSuchPath`, and `InvalidInput` for text that cannot be read.
    """
    parts = dotted_path.split(".")
    if not all(parts):
        raise NoSuchPath("a path is keys joined by dots", "run.seed")
    setter = _Setter(value, plain)
    changed = dict(data)
    return changed, setter.into_map(changed, frozenset({ScenarioFile}), parts, ())


class _Setter:
    """One value on its way down: every map and list it passes is copied, so that nothing else changes."""

    def __init__(self, value: Any, plain: bool) -> None:
        self.value = value
        self.plain = plain
        self.deletes = False  # inside a policy written out in full, null takes a key away

    def into_map(self, here: dict[str, Any], models: Models, parts: list[str], path: KeyPath) -> KeyPath:
        """Set `parts` below the map `here`, whose keys are those of `models` (any key where there is none)."""
        part, rest = parts[0], parts[1:]
        annotations, below, free = _allowed(models, part)
        if models and not annotations:
            known = keys_of(models)
            meant = nearest(part, known)
            before = "".join(f"{step}." for step in path)
            raise NoSuchPath(
                f"unknown key `{part}`",
                f"{before}{meant}" if meant else f"one of: {', '.join(sorted(known))}",
            )
        if not rest:
            self._put(here, part, annotations)
            return (*path, part)
        inner = here.get(part)
        if isinstance(inner, str) and part in _SHORT_FORMS:
            inner = {_SHORT_FORMS[part]: inner}
        here[part] = inner = inner.copy() if isinstance(inner, dict | list) else {}
        if free and isinstance(inner, dict):
            # Registry keys contain dots themselves: the rest of the path is one key.
            self._put(inner, ".".join(rest), ())
            return (*path, part, ".".join(rest))
        if part == "policy" and models:
            self.deletes = isinstance(inner, dict) and bool(inner) and "extends" not in inner
        if isinstance(inner, list):
            return self._into_list(inner, below, rest, (*path, part))
        return self.into_map(inner, below, rest, (*path, part))

    def _into_list(self, items: list[Any], models: Models, parts: list[str], path: KeyPath) -> KeyPath:
        """Items are named by their `id`, else counted from 0."""
        index = _index(items, parts[0])
        if len(parts) == 1:
            items[index] = self._typed(())
            return (*path, index)
        if not isinstance(items[index], dict):
            raise NoSuchPath(f"`{parts[0]}` is a plain value, nothing stands below it", None)
        items[index] = inner = dict(items[index])
        return self.into_map(inner, models, parts[1:], (*path, index))

    def _put(self, here: dict[str, Any], key: str, annotations: tuple[Any, ...]) -> None:
        value = self._typed(annotations)
        if value is not None or not self.deletes:
            here[key] = value
        elif here.pop(key, None) is None:
            raise NoSuchPath(f"there is no `{key}` to delete", nearest(key, here))

    def _typed(self, annotations: tuple[Any, ...]) -> Any:
        if self.plain or not isinstance(self.value, str):
            return self.value
        if annotations and wants_text(annotations):
            return None if self.value in ("null", "~") else self.value
        return read_scalar(self.value)


@lru_cache(maxsize=512)
def _allowed(models: Models, part: str) -> tuple[tuple[Any, ...], Models, bool]:
    """Annotations of a key, the models below it, and whether a map with keys of its own stands there."""
    annotations = annotation_at(models, part)
    below: set[type[BaseModel]] = set()
    for annotation in annotations:
        below |= models_in(annotation)
    return tuple(annotations), frozenset(below), wants_free_map(annotations)


def _index(items: list[Any], part: str) -> int:
    # a number is no name: in [1, 2] the item `1` is the second
    ids = [
        str(item.get("id")) if isinstance(item, dict) else item if isinstance(item, str) else str(place)
        for place, item in enumerate(items)
    ]
    if part in ids:
        return ids.index(part)
    if part.isdigit() and int(part) < len(items):
        return int(part)
    raise NoSuchPath(f"no item `{part}` in the list", nearest(part, ids) or f"one of: {', '.join(ids)}")
