"""Why: what is written for a person to read again must pass the strict reader, which refuses half of what an
ordinary YAML writer leaves unquoted. Every text is therefore quoted unless it is a plain word.
"""

import json
import re
from typing import Any

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*\Z")
_RESERVED = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}


def dump_yaml(data: Any) -> str:
    """Plain data (maps, lists, text, numbers, null) as YAML 1.2 text that `read_yaml` reads back unchanged."""
    return "\n".join(_block(data, 0)) + "\n"


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        plain = _PLAIN.match(value) and value.lower() not in _RESERVED
        return value if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value)


def _block(value: Any, depth: int) -> list[str]:
    pad = "  " * depth
    lines: list[str] = []
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            lines += _entry(f"{pad}{_scalar(str(key))}:", inner, depth)
    elif isinstance(value, list) and value:
        for inner in value:
            if isinstance(inner, dict) and inner:
                item = _block(inner, depth + 1)
                lines += [f"{pad}- {item[0].lstrip()}", *item[1:]]
            else:
                lines += _entry(f"{pad}-", inner, depth)
    else:
        lines.append(pad + _flow(value))
    return lines


def _entry(head: str, inner: Any, depth: int) -> list[str]:
    nested = isinstance(inner, dict | list) and inner
    short = isinstance(inner, list) and not any(isinstance(item, dict | list) for item in inner)
    if nested and not short:
        return [head, *_block(inner, depth + 1)]
    return [f"{head} {_flow(inner)}"]


def _flow(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_scalar(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{}"
    return _scalar(value)
