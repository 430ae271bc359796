"""Why: a number is printed with as many digits as its interval deserves. `+0.0 (-0.0 to +0.0)` would hide a small
difference behind a sign that says nothing.
"""

import math
from typing import Any

#: More decimals than this say nothing about a simulated clinic.
MOST_DECIMALS = 3


def is_missing(value: Any) -> bool:
    """None, NaN and pandas' NA alike."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except TypeError:
        return True


def show_number(value: Any, form: str, sign: bool = False, decimals: int | None = None) -> str:
    """A number as the tables print it (shares in percent); an absent one is a dash, exactly nothing is 0."""
    if is_missing(value):
        return "–"
    number = 100 * float(value) if form == "percent" else float(value)
    if number == 0:
        return "0"
    places = decimals_of(value, form) if decimals is None else decimals
    # the format would keep the sign of what it rounds away
    number = round(number, places)
    return f"{number:{'+' if sign else ''}.{places}f}" if number else f"{0:.{places}f}"


def decimals_of(value: Any, form: str) -> int:
    """Decimals worth printing: two for small counts and days, else one."""
    return 1 if form in ("percent", "mg") or abs(float(value)) >= 10 else 2


def decimals_within(row: Any, form: str, steps: int = 1) -> int:
    """Decimals at which the interval of `row` is `steps` wide and what is not 0 does not read 0."""
    scale = 100 if form == "percent" else 1
    shown = [scale * float(row[name]) for name in ("value", "lower", "upper")]
    places = decimals_of(row["value"], form)
    while places < MOST_DECIMALS:
        step = 10.0**-places
        if not 0 < shown[2] - shown[1] < steps * step and not any(
            0 < abs(number) < step / 2 for number in shown
        ):
            break
        places += 1
    return places


def show_interval(row: Any, form: str, sign: bool = False) -> str:
    """`13.2 (12.6–13.9)`; percent sign and unit are left to the label. Identical arms give a plain 0."""
    value, lower, upper = row["value"], row["lower"], row["upper"]
    if is_missing(value) or is_missing(lower) or is_missing(upper):
        return show_number(value, form, sign)
    if sign and value == lower == upper == 0:
        return "0"
    # what a difference is about are its small digits
    places = decimals_within(row, form, 3 if sign else 1)
    low, high = show_number(lower, form, sign, places), show_number(upper, form, sign, places)
    dash = " to " if sign or low.startswith("-") else "–"
    return f"{show_number(value, form, sign, places)} ({low}{dash}{high})"


def show_ratio(value: Any) -> str:
    """A variance ratio: one decimal below 10, none above; a dash where a variance is nothing."""
    if is_missing(value) or math.isinf(float(value)):
        return "–"
    return f"{float(value):,.0f}" if float(value) >= 9.95 else f"{float(value):.1f}"
