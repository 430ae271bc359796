"""Why: "can this rule ever fire?" and "does the other one always fire with it?" are questions about ranges, asked by
the lint on compiled rows. Kept apart from the lint's wording, so that each can be read alone.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cartsim.model.state import ACTION
from cartsim.policy.compile import CompiledPolicy, covariates_of, looks_at_grade_1
from cartsim.policy.conditions import ANY, COVARIATE_NUMBERS, parse_number
from cartsim.terms import Axis

if TYPE_CHECKING:
    from cartsim.evidence.grading import GradingTables

RANGES = ("crs", "icans", "ne", "bp", "oxygen", "liver", "kidney", "neuro", "toci", "steroid", "anakinra")
#: Lower bounds: the smaller, the wider.
CLOCKS = (
    "for_d",
    "since_onset_d",
    "since_first_toci_d",
    "since_last_toci_d",
    "since_first_steroid_d",
    "awaiting_toci_d",
    "temperature_min",
)
FLAGS = ("fever", "improved")
_AXES = {Axis.BP_SUPPORT: "bp", Axis.OXYGEN: "oxygen", Axis.LIVER: "liver", Axis.KIDNEY: "kidney"}


def covers(compiled: CompiledPolicy, wide: int, narrow: int) -> bool:
    """True when rule row `wide` holds for every subject and state for which row `narrow` holds."""
    one, other = compiled.rules[wide], compiled.rules[narrow]
    if any(one[f"{key}_lo"] > other[f"{key}_lo"] or one[f"{key}_hi"] < other[f"{key}_hi"] for key in RANGES):
        return False
    if any(one[key] > other[key] for key in CLOCKS) or one["onset_before_d"] < other["onset_before_d"]:
        return False
    if any(one[key] not in (-1, other[key]) for key in FLAGS):
        return False
    if (one["marker_lo"] > other["marker_lo"]).any() or (one["marker_hi"] < other["marker_hi"]).any():
        return False
    if one["marker_within_d"] < other["marker_within_d"]:
        return False
    rules = list(compiled.policy.rules.values())
    first, second = rules[wide].when, rules[narrow].when
    if looks_at_grade_1(first) and not looks_at_grade_1(second):
        return False
    have = covariates_of(second)
    return all(key in have and _inside(key, have[key], value) for key, value in covariates_of(first).items())


def _inside(key: str, value: Any, outer: Any) -> bool:
    if key not in COVARIATE_NUMBERS:
        return bool(value == outer)
    low, high = parse_number(key, value, may_be_negative=True)
    outer_low, outer_high = parse_number(key, outer, may_be_negative=True)
    return outer_low <= low and high <= outer_high


def same_conditions(compiled: CompiledPolicy, first: int, second: int) -> bool:
    """True when two rule rows hold for the same subjects and states."""
    return covers(compiled, first, second) and covers(compiled, second, first)


def same_order(a: np.void, b: np.void) -> bool:
    """True when two ACTION rows give the same."""
    return all(np.array_equal(a[name], b[name]) for name in ACTION.names or ())


def possible_grades(row: np.void, scale: int, registry: Mapping[str, Any]) -> set[int] | None:
    """CRS grades that the row's sign levels allow; None where the registry has no grading tables."""
    grading = getattr(registry, "grading", None)
    if grading is None:
        return None
    tables = grading()
    low, high = 0, 0
    top = tables.scale.shape[2] - 1
    for axis, key in _AXES.items():
        levels = tables.scale[scale, axis, row[f"{key}_lo"] : min(int(row[f"{key}_hi"]), top) + 1]
        low, high = max(low, int(levels.min())), max(high, int(levels.max()))
    if row["fever"] != 0:
        high = max(high, int(tables.fever_grade[scale].max()))
    grades = set(range(low, high + 1))
    # where CRS must begin with fever, any signs alone are grade 0
    return grades | {0} if tables.needs_fever[scale] else grades


def _has(row: np.void, key: str) -> bool:
    return (row[f"{key}_lo"], row[f"{key}_hi"]) != ANY


def answers_crs(row: np.void, grade: int, scale: int, registry: Mapping[str, Any]) -> bool:
    """True when the rule looks at CRS and may fire at this grade."""
    looks = any(_has(row, key) for key in ("crs", *_AXES.values())) or row["fever"] >= 0
    if not looks or not row["crs_lo"] <= grade <= row["crs_hi"]:
        return False
    grades = possible_grades(row, scale, registry)
    return grades is None or grade in grades


def answers_neuro(row: np.void, key: str, grade: int) -> bool:
    """True when the rule looks at neurotoxicity and may fire at this grade of `key`."""
    looks = any(_has(row, one) for one in ("icans", "ne", "neuro"))
    return bool(looks and all(row[f"{one}_lo"] <= grade <= row[f"{one}_hi"] for one in (key, "neuro")))


def may_stop_at_once(row: np.void, action: np.void, scale: int, registry: Mapping[str, Any]) -> bool:
    """True when the rule may hold while its order's `until` is met, so that the order would not start."""
    if not action["has_until"]:
        return False
    least = {key: int(row[f"{key}_lo"]) for key in ("crs", "icans", "ne", "bp", "oxygen")}
    # the scored neurological level is at most either grade made from it
    for key in ("icans", "ne"):
        least[key] = max(least[key], int(row["neuro_lo"]))
    grades = possible_grades(row, scale, registry)
    grading = getattr(registry, "grading", None)
    if grades is not None and grading is not None:
        least["crs"] = max(least["crs"], min(grades - {0}, default=0) if _any_sign(row) else 0)
        if _highest_grade_at_stop(row, action, scale, grading()) < least["crs"]:
            return False
    return all(value <= int(action[f"until_{key}"]) for key, value in least.items())


def _any_sign(row: np.void) -> bool:
    return any(row[f"{key}_lo"] > 0 for key in _AXES.values())


def _highest_grade_at_stop(row: np.void, action: np.void, scale: int, tables: "GradingTables") -> int:
    """Highest CRS grade with blood pressure and oxygen support at or below what `until` asks for."""
    top = tables.scale.shape[2] - 1
    high = int(tables.fever_grade[scale].max())
    for axis, key in _AXES.items():
        limit = min(int(row[f"{key}_hi"]), top)
        if key in ("bp", "oxygen"):
            limit = min(limit, int(action[f"until_{key}"]))
        high = max(high, int(tables.scale[scale, axis, limit]))
    return high
