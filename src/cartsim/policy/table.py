"""Why: a clinician signs a grid of grades and times, not a list of rules. This turns the second into the first, in
words, with every rung's id beside it and a star at what nobody checked against its source.
"""

import textwrap
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from cartsim.policy.checks import target_of
from cartsim.policy.conditions import (
    COUNTS,
    COVARIATE_NUMBERS,
    LADDERS,
    SAMPLED,
    SIGNS,
    parse_at_least,
    parse_before,
    parse_count,
    parse_level,
    parse_number,
    parse_stop,
)
from cartsim.policy.courses import schedules, tapers
from cartsim.policy.schema import Covariates, Give, Policy, Prophylactic, Rule, Until, When
from cartsim.terms import DISCLAIMER

COLUMNS = ("", "at onset", "after time", "not improved", "limits")
_FLAGS = {
    "high_burden": ("high burden", "low burden"),
    "comorbid": ("older or comorbid", "not comorbid"),
    "prior_neuro": ("prior neurological disease", "no prior neurological disease"),
    "cd28": ("CD28 product", "not a CD28 product"),
}
#: Neurological level in the words of the bedside score.
_ICE = ("ICE 10", "ICE 7-9", "ICE 3-6", "ICE 0-2", "unarousable")
_CLOCK_WORDS = {
    "since_onset_h": "{:g} h after CRS onset",
    "since_first_toci_h": "{:g} h after first tocilizumab",
    "since_last_toci_h": "{:g} h after last tocilizumab",
    "since_first_steroid_h": "{:g} h after first steroid",
    "awaiting_toci_h": "tocilizumab awaited for {:g} h",
}


def decision_table(policy: Policy) -> list[list[str]]:
    """Header and rows: CRS 1-4, CRS by signs, ICANS (or NE) 1-4, prophylaxis. Cells list `order [rule id]`."""
    neuro = "ne" if policy.neuro_scale == "ctcae" else "icans"
    keys = ["crs", neuro]
    keys += [
        key
        for key in ("icans", "ne")
        if key != neuro and any(_key_of(r) == key for r in policy.rules.values())
    ]
    rows = [list(COLUMNS)]
    for key in keys:
        label = {"crs": f"CRS ({policy.scale})", "icans": "ICANS", "ne": "NE (CTCAE)"}[key]
        for grade in range(1, 5):
            names = [
                name for name, rule in policy.rules.items() if _key_of(rule) == key and _at(rule, key, grade)
            ]
            rows.append([f"{label} {grade}", *_cells(policy, names, key)])
        if key == "crs":
            signs = [name for name, rule in policy.rules.items() if _key_of(rule) is None]
            if signs:
                rows.append(["CRS, by signs", *_cells(policy, signs, None)])
    if policy.prophylaxis:
        doses = [
            f"{_prophylaxis_text(dose)} {_tag(policy, name)}" for name, dose in policy.prophylaxis.items()
        ]
        rows.append(["Prophylaxis", "", "\n".join(doses), "", ""])
    return rows


def render_table(policy: Policy, width: int = 132) -> str:
    """The table as text, with source, unverified rungs and the disclaimer; `width` in characters."""
    lines = [f"{policy.id}: {policy.title}".rstrip(": ")]
    if policy.source is not None:
        doi = f", doi {policy.source.doi}" if policy.source.doi else ""
        lines += textwrap.wrap(f"Source: {policy.source.citation}{doi}", width)
    neuro = "ICANS (ASTCT 2019)" if policy.neuro_scale == "astct2019" else "neurologic events (CTCAE)"
    lines.append(f"CRS grades on {policy.scale}; {neuro}. Status: {policy.status.replace('_', ' ')}.")
    lines += textwrap.wrap(f"Approximation: {policy.approximates}", width) if policy.approximates else []
    lines += ["", *_grid(decision_table(policy), width), ""]
    for line in _named_courses(policy):
        lines += textwrap.wrap(line, width, subsequent_indent="  ")
    if policy.unverified:
        rungs = ", ".join(path.partition(".")[2] for path in policy.unverified)
        lines += textwrap.wrap(f"* not verified against the primary text: {rungs}", width)
    return "\n".join([*lines, DISCLAIMER])


def order_text(give: Give) -> str:
    """The order in words, without its limits."""
    route = f" {give.route}" if give.route else ""
    if give.schedule is not None:
        return f"{give.drug}{route}, schedule {give.schedule}"
    every = f" every {give.every_h:g} h" if give.every_h is not None and (give.max_doses or 2) > 1 else ""
    return f"{give.drug} {_dose(give)}{route}{every}"


def limits_text(give: Give) -> str:
    """Repeats, number of doses, stop condition and taper in words; empty where there is none."""
    parts = []
    if give.repeat_h is not None:
        parts.append(f"repeat after {give.repeat_h:g} h" + (" while not improved" if give.while_ else ""))
    elif give.drug == "tocilizumab":
        parts.append("one dose")
    if give.max_doses is not None:
        parts.append(f"at most {give.max_doses} dose{'s' if give.max_doses > 1 else ''}")
    if give.until is not None:
        parts.append("until " + ", ".join(_stop_words(give.until)))
    if isinstance(give.taper, str) and give.taper != "none":
        parts.append(f"{give.taper} taper")
    elif give.taper not in (None, "none"):
        parts.append(
            "taper " + ", ".join(f"{s.mg:g} mg q{s.every_h:g}h x{s.doses}" for s in give.taper_steps() or [])
        )
    return "; ".join(parts)


def _named_courses(policy: Policy) -> Iterator[str]:
    """What the schedules and tapers are that the table calls by name, each once."""
    told = set()
    for rule in policy.rules.values():
        give = rule.give
        if give is None:
            continue
        named = []
        if give.schedule is not None:
            named.append((give.schedule, schedules()[give.schedule]["steps"], ""))
        if isinstance(give.taper, str) and give.taper != "none":
            weight = " (at the reference weight)" if give.mg_per_kg is not None else ""
            named.append((f"{give.taper} taper", tapers()[give.taper][give.drug], weight))
        for name, steps, weight in named:
            doses = ", then ".join(f"{s['mg']:g} mg every {s['every_h']:g} h x {s['doses']}" for s in steps)
            line = f"{name}: {give.drug} {doses}{weight}"
            if line not in told:
                told.add(line)
                yield line


def _dose(order: Give | Prophylactic) -> str:
    if order.mg_per_kg is not None:
        cap = order.cap_mg if isinstance(order, Give) else None
        return f"{order.mg_per_kg:g} mg/kg" + (f" (at most {cap:g} mg)" if cap is not None else "")
    return f"{order.mg:g} mg" if order.mg is not None else "labelled dose"


def _stop_words(until: Until) -> Iterator[str]:
    for key, value in until.model_dump().items():
        ladder, level = LADDERS[key], parse_stop(key, value)
        if ladder.names:
            yield f"no {ladder.label}" if level == 0 else f"{ladder.label} at most {ladder.level_text(level)}"
        else:
            yield f"{key.upper()} <= {level}" if level else f"no {key.upper()}"


def _key_of(rule: Rule) -> str | None:
    """Which rows a rule belongs to: neurotoxicity before CRS, None for signs alone."""
    for key in ("icans", "ne", "crs"):
        if getattr(rule.when, key) is not None:
            return key
    return "icans" if rule.when.neuro is not None else None


def _at(rule: Rule, key: str, grade: int) -> bool:
    value = getattr(rule.when, key)
    if value is None:
        return True
    low, high = parse_level(key, value)
    return low <= grade <= high


def _cells(policy: Policy, names: list[str], key: str | None) -> list[str]:
    cells: dict[str, list[str]] = {column: [] for column in COLUMNS[1:]}
    for name in names:
        rule = policy.rules[name]
        target = policy.rules[target_of(policy, name)]
        orders = [order_text(target.give)] if target.give is not None else []
        orders += ["intensive care"] if "icu" in (rule.care, target.care) else []
        conditions = ", ".join(_condition_words(rule.when, key))
        text = " + ".join(orders) + (f" if {conditions}" if conditions else "")
        cells[_column(rule.when)].append(f"{text} {_tag(policy, name)}")
        limits = limits_text(target.give) if target.give is not None else ""
        line = f"{limits} [{target_of(policy, name)}]"
        if limits and line not in cells["limits"]:
            cells["limits"].append(line)
    return ["\n".join(lines) for lines in cells.values()]


def _column(when: When) -> str:
    said = when.said()
    if when.improved is False or {"since_first_toci_h", "since_last_toci_h", "since_first_steroid_h"} & set(
        said
    ):
        return "not improved"
    if {"for_h", "since_onset_h", "awaiting_toci_h"} & set(said):
        return "after time"
    return "at onset"


def _tag(policy: Policy, name: str) -> str:
    star = any(path.split(".")[1:2] == [name] for path in policy.unverified)
    return f"[{name}{'*' if star else ''}]"


def _condition_words(when: When, row_key: str | None) -> Iterator[str]:
    """Conditions in words, but for the grade that the row already says."""
    said = when.said()
    for key in ("crs", "icans", "ne"):
        if key in said and key != row_key:
            low, high = parse_level(key, said[key])
            yield f"{'NE' if key == 'ne' else key.upper()} {_range_words(low, high, LADDERS[key].top)}"
    for key in SIGNS:
        if key in said:
            ladder = LADDERS[key]
            low, high = parse_level(key, said[key])
            named = _ICE if key == "neuro" else [ladder.level_text(level) for level in range(ladder.top + 1)]
            start, end = named[low], named[high]
            above = "or worse" if key == "neuro" else "or more"
            words = (
                start if low == high else f"{start} {above}" if high == ladder.top else f"{start} to {end}"
            )
            yield words if key == "neuro" else f"{ladder.label}: {words}"
    if when.fever is not None:
        yield "fever" if when.fever else "no fever"
    if when.temperature_c is not None:
        yield f"temperature >= {parse_at_least('temperature_c', when.temperature_c):g} C"
    for key, (_, label, unit) in SAMPLED.items():
        if key in said:
            value = said[key]
            text = f"{value[0]:g}-{value[1]:g}" if isinstance(value, list) else str(value)
            yield f"sampled {label} {text} {unit}"
    if when.sampled_within_h is not None:
        yield f"sample at most {when.sampled_within_h:g} h old"
    if when.for_h is not None:
        yield f"lasting {parse_at_least('for_h', when.for_h):g} h"
    for key, words in _CLOCK_WORDS.items():
        if key in said:
            yield words.format(parse_at_least(key, said[key]))
    if when.onset_before_h is not None:
        yield f"CRS began before {parse_before('onset_before_h', when.onset_before_h):g} h"
    for key in COUNTS:
        if key in said:
            low, high = parse_count(key, said[key])
            yield f"{key.replace('_', ' ').replace('toci', 'tocilizumab')} {_range_words(low, high, 32767)}"
    if when.improved is not None:
        yield "improved" if when.improved else "not improved"
    yield from _covariate_words(said)


def _covariate_words(said: Mapping[str, Any]) -> Iterator[str]:
    for key, value in said.items():
        if key in _FLAGS:
            yield _FLAGS[key][0 if value else 1]
        elif key in COVARIATE_NUMBERS:
            label, unit = COVARIATE_NUMBERS[key]
            parse_number(key, value, may_be_negative=True)
            text = f"{value[0]:g}-{value[1]:g}" if isinstance(value, list) else str(value)
            yield f"{label} {text} {unit}".rstrip()


def _range_words(low: int, high: int, top: int) -> str:
    if low == high:
        return str(low)
    if high >= top:
        return f">= {low}"
    return f"<= {high}" if low == 0 else f"{low}-{high}"


def _prophylaxis_text(dose: Prophylactic) -> str:
    text = (
        f"{dose.drug} {_dose(dose)}{f' {dose.route}' if dose.route else ''}: {_times_words(dose.times_h())}"
    )
    conditions: list[str] = []
    for covariates, word in ((dose.when, " and "), (dose.when_any, " or ")):
        if isinstance(covariates, Covariates):
            conditions.append(word.join(_covariate_words(covariates.said())))
    return text + (f", if {'; '.join(conditions)}" if conditions else "")


def _times_words(times: list[float]) -> str:
    """Each time, or the interval where four or more follow one another evenly."""
    gaps = {later - earlier for earlier, later in pairwise(times)}
    if len(times) >= 4 and len(gaps) == 1:
        return f"every {gaps.pop():g} h from {_hour_words(times[0])} on, {len(times)} doses"
    return ", ".join(_hour_words(hours) for hours in times)


def _hour_words(hours: float) -> str:
    return f"{abs(hours):g} h {'before' if hours < 0 else 'after'} infusion" if hours else "infusion"


def _grid(rows: list[list[str]], width: int) -> list[str]:
    first = max(len(row[0]) for row in rows)
    each = max(16, (width - first - 3 * (len(rows[0]) - 1)) // (len(rows[0]) - 1))
    lines = []
    for place, row in enumerate(rows):
        wrapped = [[row[0]]]
        for cell in row[1:]:
            parts = [textwrap.wrap(line, each, subsequent_indent="  ") for line in cell.split("\n")]
            wrapped.append([line for part in parts for line in part] or ["-" if place else ""])
        for number in range(max(len(cell) for cell in wrapped)):
            cells = [cell[number] if number < len(cell) else "" for cell in wrapped]
            sizes = [first] + [each] * (len(cells) - 1)
            lines.append(
                " | ".join(text.ljust(size) for text, size in zip(cells, sizes, strict=True)).rstrip()
            )
        lines.append("-+-".join("-" * size for size in [first] + [each] * (len(row) - 1)))
    return lines
