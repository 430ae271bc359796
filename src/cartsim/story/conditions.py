"""Why: a rule fires when all of its conditions hold, and "it did not fire" is only an answer with the condition that
failed. The kernel decides in a few comparisons; here each condition is put in words beside what it was held against.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cartsim.policy.compile import covariates_of, looks_at_grade_1
from cartsim.policy.conditions import (
    COUNTS,
    COVARIATE_FLAGS,
    COVARIATE_NUMBERS,
    GRADES,
    LADDERS,
    SAMPLED,
    SIGNS,
    parse_at_least,
    parse_before,
    parse_count,
    parse_level,
    parse_number,
)
from cartsim.policy.schema import Covariates, When
from cartsim.story.sampled import newest
from cartsim.story.words import BP, ICE, OXYGEN, clock, lasting
from cartsim.terms import HOURS_PER_DAY, TIME_SLACK_D, Ask, Axis

_GRADE_FIELDS = {"crs": "crs_policy", "icans": "icans", "ne": "ne"}
_GRADE_WORDS = {"crs": "CRS", "icans": "ICANS", "ne": "neurologic event"}
_AXES = {"bp_support": Axis.BP_SUPPORT, "oxygen": Axis.OXYGEN, "liver": Axis.LIVER, "kidney": Axis.KIDNEY}
_DRUGS = {"toci_doses": "tocilizumab", "steroid_doses": "steroid", "anakinra_doses": "anakinra"}
_LEVELS = {
    "bp_support": ("no blood pressure support", *BP[1:]),
    "oxygen": ("no oxygen", *OXYGEN[1:]),
    "neuro": ICE,
}
_FLAGS = {
    "high_burden": ("high disease burden", "low disease burden"),
    "comorbid": ("older or comorbid", "not comorbid"),
    "prior_neuro": ("prior neurologic disease", "no prior neurologic disease"),
    "cd28": ("a CD28 product", "no CD28 product"),
}
#: What decides on grades and signs comes first, as in the kernel; then clocks and counts.
AT_ONCE = (*GRADES, *SIGNS, "fever", "temperature_c")


@dataclass(frozen=True)
class Condition:
    """One condition of a rule at one assessment: what the policy asks for, what there was, whether it held.

    `holds` is None where it was not decided: a condition that stands behind one that failed, or one unknown here.
    """

    key: str
    wanted: str
    found: str
    holds: bool | None

    def text(self) -> str:
        """`CRS 2 or more (CRS 3)`."""
        return f"{self.wanted} ({self.found})" if self.found else self.wanted


@dataclass(frozen=True)
class Seen:
    """What the rules of an assessment are held against: COURSE[1] as they met it, COHORT[1], PARAMETERS[1], and what
    the kernel said of temperature and improvement.
    """

    t_d: float
    course: np.ndarray
    cohort: np.ndarray
    cd28: bool
    temperature_c: float
    improved: bool
    par: np.ndarray


def conditions_of(when: When, seen: Seen, held_since: float | None) -> list[Condition]:
    """Every condition of a rule, those on the subject first, then in the order in which the kernel looks at them.

    held_since: since when all conditions on grades and signs hold (days), None where one of them does not.
    """
    said = when.said()
    found = list(covariate_conditions(when, seen.cohort, seen.cd28))
    for key in (
        *AT_ONCE,
        *(key for key in said if key not in AT_ONCE and key not in Covariates.model_fields),
    ):
        if key in said and key != "sampled_within_h":
            found.append(_one(key, said[key], seen, held_since))
    if when.sampled_within_h is not None:
        found.append(_fresh(when, seen))
    return found


def covariate_conditions(when: Covariates, cohort: np.ndarray, cd28: bool) -> Iterator[Condition]:
    """Conditions on what is known of the subject before infusion; adherence among them where it is asked for."""
    for key, value in covariates_of(when).items():
        if key in COVARIATE_FLAGS:
            has = cd28 if key == "cd28" else bool(cohort[key][0])
            yield Condition(key, _FLAGS[key][0 if value else 1], _FLAGS[key][0 if has else 1], has == value)
        else:
            label, unit = COVARIATE_NUMBERS.get(key, (key, ""))
            low, high = parse_number(key, value, may_be_negative=True)
            number = float(cohort[key][0])
            asked = f"{value[0]:g} to {value[1]:g}" if isinstance(value, list) else str(value)
            yield Condition(key, f"{label} {asked} {unit}".rstrip(), f"{number:,.4g}", low <= number <= high)
    if isinstance(when, When) and looks_at_grade_1(when):
        follows = bool(cohort["adherent"][0])
        yield Condition(
            "adherence",
            "grade 1 rungs are followed for this subject",
            "they are" if follows else "they are not: the adherence drawn for it",
            follows,
        )


def _one(key: str, value: Any, seen: Seen, held_since: float | None) -> Condition:
    if key in GRADES:
        return _grade(key, value, seen)
    if key in SIGNS:
        return _sign(key, value, seen)
    if key in COUNTS:
        return _count(key, value, seen)
    if key in SAMPLED:
        return _sampled(key, value, seen)
    teller = _OTHERS.get(key)
    return Condition(key, f"{key} {value}", "", None) if teller is None else teller(value, seen, held_since)


def _sampled(key: str, value: Any, seen: Seen) -> Condition:
    _, label, unit = SAMPLED[key]
    low, high = parse_number(key, value)
    asked = f"{value[0]:g} to {value[1]:g}" if isinstance(value, list) else str(value)
    result = newest(seen.par, seen.course, key, seen.t_d)
    if result is None:
        return Condition(key, f"{label} {asked} {unit}", "no result yet", False)
    found = f"{result.value:,.4g} {unit}, sampled on {clock(result.taken_d)}"
    return Condition(key, f"{label} {asked} {unit}", found, low <= result.value <= high)


def _fresh(when: When, seen: Seen) -> Condition:
    """How old results may be; of several the oldest counts."""
    least = (when.sampled_within_h or 0.0) / HOURS_PER_DAY
    named = [key for key in SAMPLED if getattr(when, key) is not None]
    results = [newest(seen.par, seen.course, key, seen.t_d) for key in named]
    taken = [result.taken_d for result in results if result is not None]
    wanted = f"sampled in the last {lasting(least)}"
    if len(taken) < len(named):
        return Condition("sampled_within_h", wanted, "no result yet", False)
    age = seen.t_d - min(taken)
    return Condition("sampled_within_h", wanted, f"{lasting(age)} ago", age <= least + TIME_SLACK_D)


def _grade(key: str, value: Any, seen: Seen) -> Condition:
    low, high = parse_level(key, value)
    grade = int(seen.course[_GRADE_FIELDS[key]][0])
    word = _GRADE_WORDS[key]
    wanted = f"no {word}" if high == 0 else f"{word} {_range(low, high, LADDERS[key].top)}"
    return Condition(key, wanted, f"{word} {grade}" if grade else f"no {word}", low <= grade <= high)


def _sign(key: str, value: Any, seen: Seen) -> Condition:
    low, high = parse_level(key, value)
    top = LADDERS[key].top
    if key == "neuro":
        level = int(seen.course["neuro"][0])
    else:
        level = int(seen.course["level"][0][_AXES[key]])
    words = _LEVELS.get(key) or (
        f"no {key} toxicity",
        *(f"{key} grade {grade}" for grade in range(1, top + 1)),
    )
    more = "or worse" if key == "neuro" else "or more"
    wanted = (
        words[low]
        if low == high
        else f"{words[low]} {more}"
        if high >= top
        else f"{words[low]} to {words[high]}"
    )
    return Condition(key, wanted, words[level], low <= level <= high)


def _count(key: str, value: Any, seen: Seen) -> Condition:
    low, high = parse_count(key, value)
    given = int(seen.course[key][0])
    drug = _DRUGS[key]
    wanted = f"no {drug} yet" if high == 0 else f"{_range(low, high, math.inf)} {drug} doses given"
    return Condition(key, wanted, str(given) if given else "none", low <= given <= high)


def _range(low: int, high: float, top: float) -> str:
    if low == high:
        return str(low)
    if high >= min(top, _MANY):
        return f"{low} or more"
    return f"at most {high:g}" if low == 0 else f"{low} to {high:g}"


#: A range of counts without an upper end is compiled as one up to the largest small integer.
_MANY = 32767


def _fever(value: Any, seen: Seen, _: float | None) -> Condition:
    fever = bool(seen.course["fever"][0])
    return Condition(
        "fever", "fever" if value else "no fever", "fever" if fever else "no fever", fever == value
    )


def _temperature(value: Any, seen: Seen, _: float | None) -> Condition:
    least = parse_at_least("temperature_c", value)
    return Condition(
        "temperature_c", f"temperature {least:g} °C or more", f"{seen.temperature_c:.1f} °C",
        seen.temperature_c >= least,
    )  # fmt: skip


def _persists(value: Any, seen: Seen, held_since: float | None) -> Condition:
    wanted = parse_at_least("for_h", value) / HOURS_PER_DAY
    if held_since is None:
        return Condition("for_h", f"all this for {lasting(wanted)}", "not now", False)
    lasted = seen.t_d - held_since
    found = f"for {lasting(lasted)}, since {clock(held_since)}"
    return Condition("for_h", f"all this for {lasting(wanted)}", found, lasted >= wanted - TIME_SLACK_D)


def _since(
    key: str, what: str, began: Callable[[np.ndarray], float | None]
) -> Callable[[Any, Seen, float | None], Condition]:
    """A condition "at least so long after"; `began` gives the time, None where it has not come."""

    def tell(value: Any, seen: Seen, _: float | None) -> Condition:
        least = parse_at_least(key, value) / HOURS_PER_DAY
        start = began(seen.course)
        wanted = f"{lasting(least)} {what}"
        if start is None:
            # "0 h after the onset" is compiled as no condition at all
            return Condition(key, wanted, "not so far", key == "since_onset_h" and least == 0.0)
        lasted = seen.t_d - start
        found = f"{lasting(lasted)}, {clock(start)}"
        return Condition(key, wanted, found, lasted >= least - TIME_SLACK_D)

    return tell


def _finite(name: str) -> Callable[[np.ndarray], float | None]:
    def began(course: np.ndarray) -> float | None:
        t = float(course[name][0])
        return t if math.isfinite(t) else None

    return began


def _onset(course: np.ndarray) -> float | None:
    return float(course["ep_start"][0][0]) if course["ep_open"][0][0] else None


def _last_toci(course: np.ndarray) -> float | None:
    return float(course["toci_last_t"][0]) if course["toci_doses"][0] else None


def _awaited(course: np.ndarray) -> float | None:
    return float(course["asked_toci_t"][0]) if int(course["waiting"][0]) & Ask.TOCILIZUMAB else None


def _began_before(value: Any, seen: Seen, _: float | None) -> Condition:
    limit = parse_before("onset_before_h", value) / HOURS_PER_DAY
    start = _onset(seen.course)
    found = "no CRS" if start is None else f"it began on {clock(start)}"
    wanted = f"CRS began before {clock(limit)}"
    return Condition("onset_before_h", wanted, found, start is not None and start < limit)


def _improved(value: Any, seen: Seen, _: float | None) -> Condition:
    words = ("not improved since the order", "improved since the order")
    return Condition("improved", words[bool(value)], words[seen.improved], seen.improved == value)


_OTHERS: dict[str, Callable[[Any, Seen, float | None], Condition]] = {
    "fever": _fever,
    "temperature_c": _temperature,
    "for_h": _persists,
    "since_onset_h": _since("since_onset_h", "after the onset of CRS", _onset),
    "onset_before_h": _began_before,
    "since_first_toci_h": _since("since_first_toci_h", "after the first tocilizumab", _finite("toci_t")),
    "since_last_toci_h": _since("since_last_toci_h", "after the last tocilizumab", _last_toci),
    "since_first_steroid_h": _since(
        "since_first_steroid_h", "after the first steroid", _finite("steroid_start_t")
    ),
    "awaiting_toci_h": _since("awaiting_toci_h", "of waiting for tocilizumab", _awaited),
    "improved": _improved,
}
