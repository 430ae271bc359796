"""Why: two settings that mean the same must be recognised as the same, in whatever order or notation they stand."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def plain_text(value: Any) -> str:
    """Canonical JSON: keys sorted (but for rules of a policy, which are walked in order), 24.0 written as 24."""
    return json.dumps(_canonical(value, True), separators=(",", ":"), ensure_ascii=False)


def settings_id(settings: Mapping[str, Any]) -> str:
    """Sixteen hex digits of a point's settings."""
    return hashlib.blake2b(plain_text(settings).encode(), digest_size=8).hexdigest()


def _canonical(value: Any, sort: bool) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, Mapping):
        keys = sorted(value) if sort else value
        return {key: _canonical(value[key], key != "rules") for key in keys}
    if isinstance(value, list | tuple):
        return [_canonical(inner, True) for inner in value]
    return value
