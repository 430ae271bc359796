"""Why: a figure on the wrong scale, without its denominator or in percent would be fitted without a word, so every
row of a target file passes these checks, and each fault says what was meant to be there."""

import difflib
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cartsim.evidence.reader import read_evidence

DATA = Path(__file__).parent / "targets"
#: Columns that a target file must have; others (`costim`) may be there.
COLUMNS = (
    "cohort_id", "patient_set", "use", "trial", "product", "indication", "n", "n_denominator", "grading_crs",
    "grading_icans", "policy", "endpoint", "statistic", "value", "low", "high", "unit", "citation", "doi",
    "verified", "source_note",
)  # fmt: skip
USES = ("fit", "predict_same", "predict_new", "recalled", "context", "never")
#: Uses whose rows are never simulated.
IDLE = ("context", "never")
STATISTICS = ("proportion", "median", "iqr", "range", "mean", "count", "risk_ratio", "p_value", "note")
#: What a row that is simulated may state of each kind of endpoint.
STATISTICS_OF = {"share": ("proportion",), "days": ("median", "iqr", "mean"), "events": ("count",)}
UNIT_OF = {"share": "fraction", "days": "day", "events": "event"}
_NUMBERS = ("n", "n_denominator", "value", "low", "high")
_COUNTS = ("n", "n_denominator")
_PAIRS = ("iqr", "range")

Row = dict[str, str]
Fault = tuple[str, str | None]  # what is wrong, and what to write


@cache
def _endpoints() -> Mapping[str, Any]:
    return read_evidence((DATA / "endpoints.yaml").read_text(encoding="utf-8"), "endpoints.yaml").data


@cache
def _scales() -> Mapping[str, Any]:
    return read_evidence((DATA / "scales.yaml").read_text(encoding="utf-8"), "scales.yaml").data


@cache
def endpoint_kinds() -> dict[str, str]:
    """Endpoint -> share, days, events, or aside for what is not simulated."""
    data = _endpoints()
    kinds = {name: kind for kind in STATISTICS_OF for name in data[kind]}
    return kinds | dict.fromkeys(data["aside"], "aside")


def endpoint_words(name: str) -> tuple[str, str]:
    """(among, definition) of an endpoint that is simulated. Raises `KeyError`."""
    entry = _endpoints()[endpoint_kinds()[name]][name]
    return entry["among"], entry["is"]


def crs_scales(words: str) -> tuple[str, ...]:
    """Scales that `grading_crs` names, the one that is reported first. Raises `KeyError`."""
    return tuple(_scales()["crs"][words])


def neuro_scales(words: str) -> tuple[str, ...]:
    """`wide`, `icans` or both, as `grading_icans` names them. Raises `KeyError`."""
    return tuple(_scales()["neuro"][words])


def read_numbers(row: Row) -> tuple[dict[str, float | None], list[Fault]]:
    """Numbers of a row (None where the cell is empty, or a note), and what is no number."""
    numbers: dict[str, float | None] = {}
    faults: list[Fault] = []
    for key in _NUMBERS:
        numbers[key] = None
        if not row[key] or (key == "value" and row["statistic"] == "note"):
            continue
        try:
            value = float(row[key])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            faults.append((f"{key} is {row[key]!r}; a number is needed", None))
        elif key in _COUNTS and (value < 1 or value != int(value)):
            faults.append((f"{key} is {row[key]}; a whole number of patients is needed", None))
        else:
            numbers[key] = value
    return numbers, faults


def check_row(row: Row, numbers: Mapping[str, float | None]) -> list[Fault]:
    """What is wrong with a row, apart from cells that are no numbers."""
    faults: list[Fault] = [
        (f"{key} is empty", None) for key in ("cohort_id", "patient_set", "citation") if not row[key]
    ]
    faults += _named(row, "use", USES)
    faults += _named(row, "statistic", STATISTICS)
    if row["verified"] not in ("yes", "no"):
        faults.append(
            (f"verified is {row['verified']!r}; yes or no is needed", "no, until it was read in the source")
        )
    kind = endpoint_kinds().get(row["endpoint"])
    if kind is None:
        faults.append((f"unknown endpoint `{row['endpoint']}`", _nearest(row["endpoint"], endpoint_kinds())))
    faults += _check_values(row, numbers)
    if row["use"] in USES and row["use"] not in IDLE:
        faults += _check_active(row, numbers, kind)
    return [*faults, *_check_scales(row, kind)]


def _named(row: Row, key: str, known: tuple[str, ...]) -> list[Fault]:
    if row[key] in known:
        return []
    return [(f"unknown {key} `{row[key]}`", _nearest(row[key], known) or f"one of: {', '.join(known)}")]


def _check_values(row: Row, numbers: Mapping[str, float | None]) -> list[Fault]:
    faults: list[Fault] = []
    low, value, high = numbers["low"], numbers["value"], numbers["high"]
    if row["statistic"] == "proportion":
        for key in ("value", "low", "high"):
            number = numbers[key]
            if number is not None and not 0 <= number <= 1:
                mend = f"{number / 100:g}, if {number:g} per cent is meant" if 1 < number <= 100 else None
                faults.append((f"{key} is {number:g}; a proportion is between 0 and 1", mend))
    if low is not None and high is not None and low > high:
        faults.append((f"low is {low:g} and high is {high:g}", "the lower one as low"))
    denominator = numbers["n_denominator"]
    if row["statistic"] == "count" and value is not None and denominator is not None and value > denominator:
        faults.append((f"a count of {value:g} among {denominator:g}", None))
    return faults


def _check_active(row: Row, numbers: Mapping[str, float | None], kind: str | None) -> list[Fault]:
    faults: list[Fault] = []
    use, statistic = row["use"], row["statistic"]
    if numbers["n_denominator"] is None and not row["n_denominator"]:
        mend = "how many patients the figure is of; or use context, where nobody published it"
        faults.append((f"n_denominator is missing, and a row of use {use} is weighed by it", mend))
    wanted = ("low", "high") if statistic in _PAIRS else ("value",)
    faults += [
        (f"{key} is missing; a {statistic} needs it", None)
        for key in wanted
        if numbers[key] is None and not row[key]
    ]
    if kind is None:
        return faults
    if kind == "aside":
        faults.append((f"`{row['endpoint']}` is not simulated", "use context or never"))
    elif statistic in STATISTICS and statistic not in STATISTICS_OF[kind]:
        told = " or ".join(STATISTICS_OF[kind])
        why = "; a range depends on how many patients there were" if statistic == "range" else ""
        faults.append((f"a {statistic} of `{row['endpoint']}` cannot be a target{why}", told))
    elif row["unit"] != UNIT_OF[kind]:
        faults.append((f"unit is {row['unit']!r}", UNIT_OF[kind]))
    return faults


def _check_scales(row: Row, kind: str | None) -> list[Fault]:
    """A scale must be known, be one that the cohort used, and be one that the endpoint can be read on."""
    faults: list[Fault] = []
    used: list[str] = []
    for key, group in (("grading_crs", "crs"), ("grading_icans", "neuro")):
        known = _scales()[group]
        if row[key] not in known:
            names = [name for name in known if name]
            faults.append(
                (f"unknown scale `{row[key]}` in {key}", _nearest(row[key], names) or ", ".join(names))
            )
        else:
            used += known[row[key]]
    own = _scales()["cohorts"].get(row["cohort_id"])
    strangers = [] if own is None else [scale for scale in used if scale not in own]
    if strangers:
        told = ", ".join(own) or "none"
        faults.append((f"{row['cohort_id']} did not use the scale {strangers[0]}", f"its scales: {told}"))
    if faults or kind in (None, "aside") or row["use"] in IDLE:
        return faults
    for prefix, scale, column in (("ne_", "wide", "CTCAE"), ("icans_", "icans", "ASTCT 2019")):
        if row["endpoint"].startswith(prefix) and scale not in used:
            faults.append(
                (
                    f"`{row['endpoint']}` cannot be read on {row['grading_icans']!r}",
                    f"grading_icans: {column}",
                )
            )
    if row["endpoint"].startswith("crs_grade") and not crs_scales(row["grading_crs"]):
        faults.append((f"`{row['endpoint']}` needs the scale it was graded on", "grading_crs"))
    if kind == "events" and len(crs_scales(row["grading_crs"])) < 2:
        faults.append((f"`{row['endpoint']}` compares two scales", "grading_crs: Lee vs Penn"))
    return faults


def _nearest(word: str, known: Any) -> str | None:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return near[0] if near else None
