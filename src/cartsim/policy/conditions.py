"""Why: a clinician writes `crs: ">=2"` or `bp_support: ">=high_dose_pressor"`, compiled code compares two integers.

This is the one place where the first becomes the second, so that schema, lint, table and compiler cannot read
the same words differently. All ranges are inclusive; a strict `<` on a continuous value moves to the next float.
"""

import math
import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from cartsim.terms import BpSupport, Marker, Oxygen

#: "Anything" for a small integer of a compiled row.
ANY = (0, 127)
ANY_COUNT = (0, 32767)

_BOUND = re.compile(r"\s*(>=|<=|>|<)\s*(\S.*?)\s*\Z")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")


class ConditionError(ValueError):
    """A condition that cannot be read: what is wrong, and what to write instead."""

    def __init__(self, what: str, mend: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend


@dataclass(frozen=True)
class Ladder:
    """An ordinal quantity that rules may look at: levels run from 0 (none) to `top`."""

    label: str
    top: int
    names: tuple[str, ...] = ()

    def level_text(self, level: int) -> str:
        """`2` or `repeated boluses`."""
        return self.names[level].replace("_", " ") if self.names else str(level)


def _names(levels: type[BpSupport] | type[Oxygen]) -> tuple[str, ...]:
    return tuple(level.name.lower() for level in levels)


LADDERS: dict[str, Ladder] = {
    "crs": Ladder("CRS grade", 5),
    "icans": Ladder("ICANS grade", 5),
    "ne": Ladder("neurologic event grade", 5),
    "bp_support": Ladder("blood pressure support", int(max(BpSupport)), _names(BpSupport)),
    "oxygen": Ladder("oxygen support", int(max(Oxygen)), _names(Oxygen)),
    "liver": Ladder("liver toxicity grade", 4),
    "kidney": Ladder("kidney toxicity grade", 4),
    "neuro": Ladder("neuro level", 4),
}
GRADES = ("crs", "icans", "ne")
SIGNS = ("bp_support", "oxygen", "liver", "kidney", "neuro")
COUNTS = ("toci_doses", "steroid_doses", "anakinra_doses")
#: Conditions "at least this many hours since ...".
SINCE = (
    "since_onset_h",
    "since_first_toci_h",
    "since_last_toci_h",
    "since_first_steroid_h",
    "awaiting_toci_h",
)
COVARIATE_FLAGS = ("high_burden", "comorbid", "prior_neuro", "cd28")
COVARIATE_NUMBERS: dict[str, tuple[str, str]] = {
    "age_years": ("age", "years"),
    "weight_kg": ("weight", "kg"),
    "ferritin_ng_per_ml": ("ferritin", "ng/mL"),
    "crp_mg_per_l": ("CRP", "mg/L"),
    "ldh_u_per_l": ("LDH", "U/L"),
    "platelets_1e9_per_l": ("platelets", "x10^9/L"),
    "easix": ("EASIX", ""),
    "risk": ("risk score z", ""),
}
#: Conditions on the newest sample that the laboratory has reported, after infusion.
SAMPLED: dict[str, tuple[Marker, str, str]] = {
    "sampled_il6_pg_per_ml": (Marker.IL6, "IL-6", "pg/mL"),
    "sampled_crp_mg_per_l": (Marker.CRP, "CRP", "mg/L"),
    "sampled_ferritin_ng_per_ml": (Marker.FERRITIN, "ferritin", "ng/mL"),
    "sampled_temperature_c": (Marker.TEMPERATURE, "temperature", "C"),
}


def parse_level(key: str, value: Any, scale: str | None = None) -> tuple[int, int]:
    """Inclusive range of a grade or sign level: `2`, `">=2"`, `[1, 2]`, `high_flow`, `">=high_flow"`.

    Raises `ConditionError` naming the range of the scale.
    """
    ladder = LADDERS[key]
    if isinstance(value, list):
        if len(value) != 2:
            raise ConditionError(f"{_show(value)}: a range is two levels", "[1, 2]")
        lo, hi = (_level(ladder, key, part, scale) for part in value)
    elif isinstance(value, str) and (bound := _BOUND.match(value)):
        sign, word = bound.groups()
        level = _level(ladder, key, _number_or_word(word), scale)
        lo, hi = {
            ">=": (level, ladder.top),
            ">": (level + 1, ladder.top),
            "<=": (0, level),
            "<": (0, level - 1),
        }[sign]
    else:
        lo = hi = _level(ladder, key, value, scale)
    if lo > hi:
        raise ConditionError(f"{_show(value)} holds no {ladder.label}", f"a range within 0-{ladder.top}")
    return lo, hi


def _level(ladder: Ladder, key: str, value: Any, scale: str | None) -> int:
    on = f" of {scale}" if scale and key == "crs" else ""
    start = 1 if key in GRADES else 0
    run = f"{ladder.label}s{on} run {start}-{ladder.top}" if start else f"levels run 0-{ladder.top}"
    if key in GRADES:
        run += " (0 is none, 5 is death)"
    if isinstance(value, str) and ladder.names:
        if value in ladder.names:
            return ladder.names.index(value)
        near = get_close_matches(value, ladder.names, 1)
        known = ", ".join(ladder.names)
        raise ConditionError(f"{value!r} is no level of {key}; levels are {known}", near[0] if near else None)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConditionError(
            f"got {_show(value)}; {key} takes a whole number, a bound or a range: {run}", '2, ">=2" or [1, 2]'
        )
    if not 0 <= value <= ladder.top:
        raise ConditionError(f"{ladder.label} {value} does not exist: {run}", None)
    return value


def parse_count(key: str, value: Any) -> tuple[int, int]:
    """Inclusive range of doses given so far: `0`, `">=1"`, `[1, 2]`."""
    parts = value if isinstance(value, list) else None
    if parts is not None and len(parts) == 2 and all(_whole(part) for part in parts):
        lo, hi = parts
    elif _whole(value):
        lo = hi = value
    elif isinstance(value, str) and (bound := _BOUND.match(value)) and bound.group(2).isdigit():
        sign, count = bound.group(1), int(bound.group(2))
        top = ANY_COUNT[1]
        lo, hi = {">=": (count, top), ">": (count + 1, top), "<=": (0, count), "<": (0, count - 1)}[sign]
    else:
        raise ConditionError(f"got {_show(value)}; {key} takes a number of doses", '1, ">=1" or [1, 2]')
    if not 0 <= lo <= hi <= ANY_COUNT[1]:
        raise ConditionError(f"{_show(value)} holds no number of doses")
    return lo, hi


def parse_number(key: str, value: Any, may_be_negative: bool = False) -> tuple[float, float]:
    """Inclusive range of a continuous covariate: `">=500"`, `"<30"`, `[18, 65]`; -inf or inf where open."""
    if isinstance(value, list) and len(value) == 2 and all(_finite(part) for part in value):
        lo, hi = float(value[0]), float(value[1])
    elif isinstance(value, str) and (bound := _BOUND.match(value)) and _NUMBER.match(bound.group(2)):
        sign, number = bound.group(1), float(bound.group(2))
        lo, hi = {
            ">=": (number, math.inf),
            ">": (math.nextafter(number, math.inf), math.inf),
            "<=": (-math.inf, number),
            "<": (-math.inf, math.nextafter(number, -math.inf)),
        }[sign]
    else:
        raise ConditionError(
            f"got {_show(value)}; {key} takes a bound or a range", '">=500", "<30" or [18, 65]'
        )
    if lo > hi:
        raise ConditionError(f"{_show(value)} is empty: the first number is above the second")
    if not may_be_negative and any(math.isfinite(end) and end < 0 for end in (lo, hi)):
        raise ConditionError(f"got {_show(value)}; {key} cannot be negative")
    return lo, hi


def parse_at_least(key: str, value: Any) -> float:
    """Hours (or degrees C) at or above which a condition holds: `24` or `">=24"`."""
    if isinstance(value, str) and (bound := _BOUND.match(value)) and _NUMBER.match(bound.group(2)):
        if bound.group(1) != ">=":
            raise ConditionError(
                f"got {_show(value)}; {key} is always a lower bound", f'">={bound.group(2)}"'
            )
        value = float(bound.group(2))
    if not _finite(value):
        raise ConditionError(f"got {_show(value)}; {key} takes a number or a lower bound", '24 or ">=24"')
    if value < 0:
        raise ConditionError(f"got {_show(value)}; {key} cannot be negative")
    return float(value)


def parse_before(key: str, value: Any) -> float:
    """Hours below which a condition holds: `72` or `"<72"`."""
    if isinstance(value, str) and (bound := _BOUND.match(value)) and _NUMBER.match(bound.group(2)):
        if bound.group(1) != "<":
            raise ConditionError(
                f"got {_show(value)}; {key} is always an upper bound", f'"<{bound.group(2)}"'
            )
        value = float(bound.group(2))
    if not _finite(value):
        raise ConditionError(f"got {_show(value)}; {key} takes a number or an upper bound", '72 or "<72"')
    if value <= 0:
        raise ConditionError(f"got {_show(value)}; {key} must be above 0")
    return float(value)


def parse_stop(key: str, value: Any, scale: str | None = None) -> int:
    """Highest level at which an order may stop: `1`, `"<=1"`, `none`, `"<=low_flow"`."""
    lo, hi = parse_level(key, value, scale)
    if lo not in (0, hi):
        raise ConditionError(f"got {_show(value)}; `until` is an upper bound", f'"<={hi}"')
    return hi


def _number_or_word(word: str) -> int | str:
    return int(word) if word.isdigit() else word


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _show(value: Any) -> str:
    return repr(value)
