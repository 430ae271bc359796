"""Why: the registry is edited by hand, and ordinary YAML readers keep the last of two equal keys without a word.
This reader takes YAML 1.2 only, refuses repeated keys, and says file and line of whatever is wrong.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from cartsim.errors import InvalidInput, Problem
from cartsim.evidence.entries import (
    CorrelationEntry,
    DistributionEntry,
    Entry,
    NumberEntry,
    PopulationInfo,
    ProductInfo,
)

DATA = Path(__file__).parent / "data"
Key = tuple[str, ...]
#: What kind of entry a mapping is, by the key that only this kind has.
FORMS: dict[str, type[NumberEntry] | type[DistributionEntry] | type[CorrelationEntry]] = {
    "value": NumberEntry,
    "dist": DistributionEntry,
    "pairs": CorrelationEntry,
}
INFOS: dict[str, type[BaseModel]] = {"product": ProductInfo, "population": PopulationInfo}

_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass
class EvidenceFile:
    """Plain data of one file, and the line (from 1) of each key."""

    name: str
    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[Key, int] = field(default_factory=dict)

    def problem(self, key: Key, what: str) -> Problem:
        """A `Problem` at a key."""
        return Problem(self.name, self.lines.get(key), ".".join(key), what)


def read_files(folder: Path = DATA) -> tuple[dict[str, Entry], dict[str, BaseModel]]:
    """Entries by dotted key, and `info` blocks by `product.<id>` or `population.<id>`, of all files in `folder`.

    A top block `common` maps the last part of a key to fields shared by all entries with that last part, in any
    file; the entry's own fields win. Raises `InvalidInput` with every problem found.
    """
    files = [
        read_evidence(path.read_text(encoding="utf-8"), path.name) for path in sorted(folder.glob("*.yaml"))
    ]
    entries: dict[str, Entry] = {}
    infos: dict[str, BaseModel] = {}
    problems: list[Problem] = []
    common: dict[str, dict[str, Any]] = {}
    for file in files:
        for leaf, fields in file.data.pop("common", {}).items():
            if leaf in common:
                problems.append(file.problem(("common", leaf), "the key stands in two files"))
            common[leaf] = fields
    for file in files:
        for key, block in _blocks(file.data, ()):
            owner, dotted = ".".join(key[:-1]), ".".join(key)
            if dotted in entries or (key[-1] == "info" and owner in infos):
                problems.append(file.problem(key, "the key stands in two files"))
                continue
            try:
                if not isinstance(block, dict):
                    raise ValueError(f"{block!r} is not an entry")
                if key[-1] == "info":
                    infos[owner] = INFOS[key[0]].model_validate(block)
                else:
                    entries[dotted] = build_entry({**common.get(key[-1], {}), **block})
            except (ValidationError, KeyError, ValueError, TypeError) as error:
                problems.extend(file.problem(key, what) for what in _reasons(error))
    if problems:
        raise InvalidInput("the evidence registry cannot be loaded", problems=problems)
    return entries, infos


def build_entry(block: Mapping[str, Any]) -> Entry:
    """The entry a mapping describes; raises `ValidationError` or `ValueError`."""
    for name, form in FORMS.items():
        if name in block:
            return form.model_validate(block)
    raise ValueError(f"an entry needs one of: {', '.join(FORMS)}")


def read_evidence(text: str, name: str) -> EvidenceFile:
    """One YAML 1.2 document that is a mapping; raises `InvalidInput` on bad YAML and on repeated keys.

    Built from the parser's events: half the time of a full loader, and every key keeps its line.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError
    from ruamel.yaml.events import MappingStartEvent, NodeEvent

    file = EvidenceFile(name)
    try:
        events = iter(YAML(typ="safe", pure=True).parse(text))
        first = next((event for event in events if isinstance(event, NodeEvent)), None)
        if not isinstance(first, MappingStartEvent):
            raise _unreadable(name, 1, "not a mapping")
        file.data = _Builder(file, events).mapping(())
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _unreadable(
            name, mark.line + 1 if mark else None, error.problem or error.context or ""
        ) from None
    return file


class _Builder:
    def __init__(self, file: EvidenceFile, events: Iterator[Any]) -> None:
        self.file = file
        self.events = events
        self.anchors: dict[str, Any] = {}

    def mapping(self, above: Key) -> dict[str, Any]:
        from ruamel.yaml.events import MappingEndEvent, ScalarEvent

        out: dict[str, Any] = {}
        for event in self.events:
            if isinstance(event, MappingEndEvent):
                break
            line = event.start_mark.line + 1
            if not isinstance(event, ScalarEvent):
                raise _unreadable(self.file.name, line, "a key must be a word")
            key = (*above, event.value)
            if event.value in out:
                raise _unreadable(self.file.name, line, f"the key {'.'.join(key)} is repeated")
            self.file.lines[key] = line
            out[event.value] = self.node(next(self.events), key)
        return out

    def node(self, event: Any, key: Key) -> Any:
        from ruamel.yaml.events import AliasEvent, MappingStartEvent, ScalarEvent, SequenceEndEvent

        if isinstance(event, AliasEvent):
            return self.anchors[event.anchor]
        value: Any
        if isinstance(event, ScalarEvent):
            value = event.value if event.style else _scalar(event.value)
        elif isinstance(event, MappingStartEvent):
            value = self.mapping(key)
        else:
            value = []
            for item in self.events:
                if isinstance(item, SequenceEndEvent):
                    break
                value.append(self.node(item, key))
        if event.anchor:
            self.anchors[event.anchor] = value
        return value


def _scalar(text: str) -> Any:
    if _NUMBER.match(text):
        return float(text)
    return _WORDS.get(text, text)


def _blocks(node: Mapping[str, Any], above: Key) -> Iterator[tuple[Key, Any]]:
    """Entries and `info` blocks with their keys; a mapping of nothing but mappings is a level of the key."""
    for name, child in node.items():
        key = (*above, name)
        if (
            name == "info"
            or not isinstance(child, dict)
            or any(not isinstance(v, dict) for v in child.values())
        ):
            yield key, child
        else:
            yield from _blocks(child, key)


def _unreadable(name: str, line: int | None, what: str) -> InvalidInput:
    problem = Problem(name, line, "", " ".join(what.split()) or "not YAML")
    return InvalidInput("the evidence file cannot be read", problems=[problem])


def _reasons(error: Exception) -> list[str]:
    if isinstance(error, ValidationError):
        return [
            " ".join([".".join(map(str, item["loc"])), item["msg"]]).strip().removeprefix("Value error, ")
            for item in error.errors()
        ]
    return [str(error)]
