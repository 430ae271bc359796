"""Why: a condition such as `">=2"` or `[1, 2]` is one value in the file, of a kind that no ordinary type describes.
These are the types of such values: each is checked as it is read, kept as it was written, and described for editors.
"""

import math
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from cartsim.policy.conditions import (
    ConditionError,
    parse_at_least,
    parse_before,
    parse_count,
    parse_level,
    parse_number,
    parse_stop,
)


def refuse(what: str, mend: str | None = None) -> PydanticCustomError:
    """A validation error that carries its own advice."""
    return PydanticCustomError("policy", "{what}", {"what": what, "mend": mend})


def _checked(parse: Callable[..., Any], takes_scale: bool = False) -> AfterValidator:
    def check(value: Any, info: ValidationInfo) -> Any:
        if value is None:
            return value
        scale = (info.context or {}).get("scale") if takes_scale else None
        try:
            if takes_scale:
                parse(info.field_name, value, scale)
            else:
                parse(info.field_name, value)
        except ConditionError as error:
            raise refuse(error.what, error.mend) from None
        return value

    return AfterValidator(check)


def _risk(key: str, value: Any) -> tuple[float, float]:
    return parse_number(key, value, may_be_negative=True)


_LEVEL_JSON = WithJsonSchema(
    {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "array", "minItems": 2, "maxItems": 2}]}
)
_BOUND_JSON = WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}]})
_RANGE_JSON = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
        ]
    }
)

Level = Annotated[Any, _checked(parse_level, takes_scale=True), _LEVEL_JSON]
Count = Annotated[Any, _checked(parse_count), _LEVEL_JSON]
AtLeast = Annotated[Any, _checked(parse_at_least), _BOUND_JSON]
Before = Annotated[Any, _checked(parse_before), _BOUND_JSON]
Number = Annotated[Any, _checked(parse_number), _RANGE_JSON]
SignedNumber = Annotated[Any, _checked(_risk), _RANGE_JSON]
Stop = Annotated[Any, _checked(parse_stop, takes_scale=True), _LEVEL_JSON]


def _times(value: Any) -> Any:
    times = value if isinstance(value, list) else [value]
    if not times or not all(
        isinstance(time, int | float) and not isinstance(time, bool) and math.isfinite(time) for time in times
    ):
        raise refuse(f"got {value!r}; at_h takes hours from infusion", "-1 or [-1, 24, 48]")
    if any(not -168 <= time <= 24 * 90 for time in times):
        raise refuse(f"got {value!r}; at_h runs from -168 to 2160 hours from infusion")
    if len(set(times)) != len(times):
        raise refuse(f"got {value!r}; a time is repeated")
    return value


Times = Annotated[
    Any,
    AfterValidator(_times),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}}]}),
]
