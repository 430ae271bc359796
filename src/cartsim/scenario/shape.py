"""Why: a misspelt key or a bad `--set` path deserves the name that was meant. These few functions answer "which
keys may stand here?" from the models themselves, so that the answer cannot drift from what is accepted.
"""

import types
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to `name`, or None when nothing is close."""
    choices = sorted(known)
    by_lower = {choice.lower().replace("-", "_"): choice for choice in choices}
    close = get_close_matches(name.lower().replace("-", "_"), by_lower, n=1, cutoff=0.5)
    return by_lower[close[0]] if close else None


def leaves(annotation: Any) -> Iterator[Any]:
    """The plain types and models an annotation is made of; literals are given as `Literal[...]`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from leaves(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from leaves(part)
    else:
        yield annotation


def models_in(annotation: Any) -> set[type[BaseModel]]:
    """Models reachable through unions, lists and maps, without entering a model."""
    found: set[type[BaseModel]] = set()
    for leaf in leaves(annotation):
        if isinstance(leaf, type) and issubclass(leaf, BaseModel):
            found.add(leaf)
        elif get_origin(leaf) in (list, dict, tuple):
            for part in get_args(leaf):
                found |= models_in(part)
    return found


def field_name(model: type[BaseModel], key: str) -> str | None:
    """Name of the field that the file calls `key`."""
    for name, info in model.model_fields.items():
        if (info.alias or name) == key:
            return name
    return None


def keys_of(models: Iterable[type[BaseModel]]) -> set[str]:
    """Keys as they are written in the file."""
    return {info.alias or name for model in models for name, info in model.model_fields.items()}


def annotation_at(models: Iterable[type[BaseModel]], key: str) -> list[Any]:
    """Annotations of the field called `key` in those of the models that have it."""
    found = []
    for model in models:
        name = field_name(model, key)
        if name is not None:
            found.append(model.model_fields[name].annotation)
    return found


def step(models: set[type[BaseModel]], part: str | int) -> set[type[BaseModel]]:
    """Models that may stand at `part`; a list index or free key stays with the same models."""
    if isinstance(part, int):
        return models
    found = annotation_at(models, part)
    if not found:
        return models
    return set().union(*(models_in(annotation) for annotation in found))


def wants_text(annotations: Iterable[Any]) -> bool:
    """Whether only text (or null) may stand here, so that `--set id=7` means the text "7"."""
    kinds = [leaf for annotation in annotations for leaf in leaves(annotation) if leaf is not types.NoneType]
    return bool(kinds) and all(kind is str or get_origin(kind) is Literal for kind in kinds)


def wants_free_map(annotations: Iterable[Any]) -> bool:
    """Whether a map with free keys of plain values stands here (registry overrides: keys contain dots)."""
    return any(
        get_origin(leaf) is dict and get_args(leaf)[1] is not Any
        for annotation in annotations
        for leaf in leaves(annotation)
    )
