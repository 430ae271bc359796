"""Why: clinicians write these files, and ordinary YAML readers misread them without a word: a repeated key keeps
the last value, `no` turns false, `12:30` turns 750. This reader keeps to YAML 1.2, refuses the traps, and knows
the line of every key, so that whoever checks a value later can say where it stands.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from cartsim.errors import InvalidInput, Problem

KeyPath = tuple[str | int, ...]

MAX_DEPTH = 40
MAX_NODES = 200_000

_OLD_BOOLEANS = {"yes", "no", "on", "off", "y", "n"}
_NULLS = {"", "~", "null", "Null", "NULL"}
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+\Z")
_BASED = re.compile(r"[-+]?0[xob][0-9a-fA-F_]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_UNDERSCORE = re.compile(r"[-+]?[0-9][0-9_.]*_[0-9_.]*\Z")
_SIXTIES = re.compile(r"[-+]?[0-9]+(:[0-9]{1,2})+(\.[0-9]*)?\Z")
_COMMA = re.compile(r"[-+]?[0-9]+(,[0-9]+)+\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF|nan|NaN|NAN)\Z")


@dataclass
class Document:
    """Plain data read from one file, with the line (from 1) of every key path."""

    data: Any
    file: str | None = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    #: Paths set on the command line: what is wrong there is not the file's fault.
    overridden: set[KeyPath] = field(default_factory=set)
    #: Paths whose values were refused by the reader, so that nothing more need be said about them.
    trapped: set[KeyPath] = field(default_factory=set)

    def line(self, path: KeyPath) -> int | None:
        """Line of `path`, or of the nearest thing above it that stands in the file; None without a file."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None

    def problem(self, path: KeyPath, what: str, mend: str | None = None) -> Problem:
        """A `Problem` placed at `path`; items of a list are named by their `id` where they have one."""
        if any(path[:length] in self.overridden for length in range(1, len(path) + 1)):
            return Problem("--set", None, self.spoken(path), what, mend)
        return Problem(self.file, self.line(path), self.spoken(path), what, mend)

    def spoken(self, path: KeyPath) -> str:
        """`("arms", 0, "policy")` -> `arms.standard.policy`."""
        words: list[str] = []
        here = self.data
        for part in path:
            word = str(part)
            if isinstance(here, list) and isinstance(part, int) and part < len(here):
                here = here[part]
                name = here.get("id") if isinstance(here, dict) else None
                word = name if isinstance(name, str) and name else word
            else:
                here = here.get(str(part)) if isinstance(here, dict) else None
            words.append(word)
        return ".".join(words)


def read_yaml(
    text: str, file: str | None = None, plain_words: frozenset[KeyPath] = frozenset()
) -> tuple[Document, list[Problem]]:
    """Read one YAML 1.2 document.

    Returns the document and the traps found in it (repeated keys, YAML 1.1 words and numbers), so that a caller
    can report them together with its own findings. At the key paths in `plain_words` a bare `on` or `off` is an
    ordinary word. Raises `InvalidInput` where the text is no YAML at all, or empty.
    """
    return _Reader(file, plain_words).read(text)


def read_scalar(text: str) -> Any:
    """One value as it would be read from a file (`--set key=VALUE`); flow lists and maps are allowed.

    Raises `InvalidInput` with one problem per trap.
    """
    document, traps = _Reader(None, frozenset()).read(text, empty_is_null=True)
    if traps:
        raise InvalidInput("the value cannot be read", problems=traps)
    return document.data


class _Reader:
    def __init__(self, file: str | None, plain_words: frozenset[KeyPath]) -> None:
        self.document = Document(None, file)
        self.traps: list[tuple[KeyPath, int, str, str | None]] = []
        self.plain_words = plain_words
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.nodes = 0

    def read(self, text: str, empty_is_null: bool = False) -> tuple[Document, list[Problem]]:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError
        from ruamel.yaml.events import (
            DocumentEndEvent,
            DocumentStartEvent,
            StreamEndEvent,
            StreamStartEvent,
        )

        self._refuse_tabs(text)
        reader = YAML(typ="rt", pure=True)
        try:
            self.events = iter(reader.parse(text))
            frame = (StreamStartEvent, StreamEndEvent, DocumentEndEvent)
            found = False
            for event in self.events:
                if isinstance(event, frame):
                    continue
                if isinstance(event, DocumentStartEvent):
                    if found:
                        raise self._broken(event.start_mark.line + 1, "a second document (`---`) begins here")
                    found = True
                    continue
                self.document.lines[()] = event.start_mark.line + 1
                self.document.data = self._node(event, (), 0)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            why = " ".join(part for part in (error.context, error.problem) if part)
            raise self._broken(mark.line + 1 if mark else None, why or "not YAML") from None
        except YAMLError as error:
            raise self._broken(None, " ".join(str(error).split())) from None
        if not found and not empty_is_null:
            raise self._broken(1, "the file is empty")
        self.document.trapped = {path for path, *_ in self.traps}
        problems = [
            Problem(self.document.file, line, self.document.spoken(path), what, mend)
            for path, line, what, mend in self.traps
        ]
        return self.document, problems

    def _broken(self, line: int | None, why: str, mend: str | None = None) -> InvalidInput:
        problem = Problem(self.document.file, line, "", why, mend)
        return InvalidInput("the file cannot be read as YAML 1.2", problems=[problem])

    def _refuse_tabs(self, text: str) -> None:
        for number, line in enumerate(text.splitlines(), start=1):
            indent = line[: len(line) - len(line.lstrip(" \t"))]
            if "\t" in indent and line.strip():
                raise self._broken(number, "a tab in the indentation; YAML allows only spaces", "use spaces")

    def _trap(self, path: KeyPath, line: int, what: str, mend: str | None) -> None:
        self.traps.append((path, line, what, mend))

    def _node(self, event: Any, path: KeyPath, depth: int) -> Any:
        from ruamel.yaml.events import AliasEvent, MappingStartEvent, ScalarEvent, SequenceStartEvent

        line = event.start_mark.line + 1
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise self._broken(line, "the file is nested too deeply or holds too many values")
        if isinstance(event, AliasEvent):
            if event.anchor not in self.anchors:
                raise self._broken(line, f"alias *{event.anchor} stands inside, or before, its own anchor")
            value, weight = self.anchors[event.anchor]
            self.nodes += weight
            return value
        before = self.nodes
        tag = getattr(event, "tag", None)
        if tag is not None and not str(tag).startswith("tag:yaml.org,2002:") and str(tag) != "!":
            self._trap(path, line, f"tag {tag}: tags are not allowed", "write the plain value")
        if isinstance(event, ScalarEvent):
            plain = event.style in (None, "") and tag is None
            # the scanner marks the folds of `>` text with a bell, for those who write the file back
            text = event.value.replace("\a", "") if event.style == ">" else event.value
            value = self._plain(text, path, line) if plain else text
        elif isinstance(event, SequenceStartEvent):
            value = self._sequence(path, depth)
        elif isinstance(event, MappingStartEvent):
            value = self._mapping(path, depth)
        else:  # pragma: no cover - the parser gives no other event here
            raise self._broken(line, f"unexpected {type(event).__name__}")
        if getattr(event, "anchor", None):
            self.anchors[event.anchor] = (value, self.nodes - before)
        return value

    def _sequence(self, path: KeyPath, depth: int) -> list[Any]:
        from ruamel.yaml.events import SequenceEndEvent

        items: list[Any] = []
        for event in self.events:
            if isinstance(event, SequenceEndEvent):
                break
            here = (*path, len(items))
            self.document.lines[here] = event.start_mark.line + 1
            items.append(self._node(event, here, depth + 1))
        return items

    def _mapping(self, path: KeyPath, depth: int) -> dict[str, Any]:
        from ruamel.yaml.events import MappingEndEvent, ScalarEvent

        result: dict[str, Any] = {}
        for event in self.events:
            if isinstance(event, MappingEndEvent):
                break
            line = event.start_mark.line + 1
            if not isinstance(event, ScalarEvent):
                raise self._broken(line, "a key must be a single word", "write `key: value`")
            key = event.value
            here = (*path, key)
            if key == "<<" and event.style in (None, ""):
                self._trap(path, line, "merge key `<<` is not part of YAML 1.2", "write the keys out")
            value_event = next(self.events)
            if key in result:
                first = self.document.lines[here]
                self._trap(
                    here, line, f"key `{key}` is repeated (first on line {first})", "keep one of the two"
                )
                self._node(value_event, (*path, f"{key} (repeated)"), depth + 1)
                continue
            self.document.lines[here] = line
            result[key] = self._node(value_event, here, depth + 1)
        return result

    def _plain(self, text: str, path: KeyPath, line: int) -> Any:
        """An unquoted scalar by the rules of YAML 1.2 (core schema), traps reported."""
        if text in _NULLS:
            return None
        if text in _BOOLEANS:
            return _BOOLEANS[text]
        if text.lower() in _OLD_BOOLEANS:
            if path not in self.plain_words:
                truth = "true" if text.lower() in ("yes", "on", "y") else "false"
                self._trap(
                    path,
                    line,
                    f"got bare `{text}`, which YAML readers take for different things",
                    f'{truth}, or "{text}" in quotes if the word is meant',
                )
            return text
        if _INTEGER.match(text):
            return int(text)
        if _LEADING_ZERO.match(text) or _BASED.match(text):
            self._trap(path, line, f"got `{text}`; numbers are written in plain decimals", None)
            return 0
        if _UNDERSCORE.match(text):
            mended = text.replace("_", "")
            self._trap(path, line, f"got `{text}`; an underscore is not part of a number", mended)
            return float(mended) if _FLOAT.match(mended) else 0
        if _FLOAT.match(text):
            return float(text)
        if _SIXTIES.match(text):
            self._trap(
                path,
                line,
                f"got `{text}`, which some YAML readers take for a number to the base of 60",
                "give the number in the unit that the key names, such as 12.5",
            )
            return 0
        if _COMMA.match(text):
            self._trap(path, line, f"got `{text}`; a comma is not part of a number", text.replace(",", "."))
            return 0
        if _NOT_FINITE.match(text):
            self._trap(path, line, f"got `{text}`; a finite number is needed", None)
            return 0
        return text
