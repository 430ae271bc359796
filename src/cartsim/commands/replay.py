"""Why: a story is read from top to bottom by somebody who was not there: whom it is about, what happened and when,
what it came to. Two arms stand beside each other from where they part, and what they share is told once.
"""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from cartsim.commands.terminal import make_console, make_table, wrap
from cartsim.record.kinds import CRS_STANDARD
from cartsim.story.conditions import AT_ONCE
from cartsim.story.ending import Ending, other_rows, peak_rows
from cartsim.story.event import Event
from cartsim.story.reason import COUNTERFACTUAL, Reason, dose_text
from cartsim.story.retold import Story, is_told, story_head
from cartsim.story.source import Address, Source
from cartsim.story.tell import Course
from cartsim.story.verdicts import CARE, HELD_BACK, NOT_MET, Verdict
from cartsim.story.words import clock, lasting
from cartsim.terms import DISCLAIMER, CrsScale

if TYPE_CHECKING:
    from rich.console import Console

#: `day 30 00:00` and a gap.
MARGIN = 14
#: Two columns of sentences need this much.
ASIDE = 90
LATENT = (
    "Latent: the worst grade of the course itself, read on a fixed grid of hours whoever looks. An assessment "
    "can miss it, or see more between two points of the grid."
)
_GRADES = ("crs", "icans", "ne")


@dataclass(frozen=True)
class Moment:
    """What is printed at one time: paragraphs; `cell` of one column."""

    t_d: float
    paragraphs: tuple[str, ...]


def print_story(story: Story) -> None:
    """A story on stdout: one arm as a list of moments, two beside each other, more as a table."""
    console = make_console()
    width = console.width
    lines = [*_heading(story.source, story.address, width), wrap(story.patient[0], width), ""]
    if len(story.courses) == 1:
        lines += _arm_lines(story.courses[0], width)
        lines += _listed(moments(story.courses[0].events, story.why), width)
    elif len(story.courses) == 2:
        lines += list(_aside(story, width))
    else:
        lines += list(_many(story, width))
    lines += ["", *_endings(story.endings, [c.life.arm.identity.arm_label for c in story.courses], console)]
    lines += ["", wrap(story.stored.text(), width), wrap(DISCLAIMER, width)]
    _print(lines)


def print_reason(reason: Reason) -> None:
    """Why a dose was given, on stdout."""
    console = make_console()
    width = console.width
    lines = _heading(reason.source, reason.address, width)
    lines += ["", wrap(dose_text(reason), width), *_rule_lines(reason, width), ""]
    lines += [*_ordered(reason, width), "", *_without(reason, console)]
    lines += ["", wrap(reason.stored.text(), width), wrap(DISCLAIMER, width)]
    _print(lines)


def _print(lines: Sequence[str]) -> None:
    print("\n".join(line.rstrip() for text in lines for line in text.split("\n")), flush=True)


def _heading(source: Source, address: Address, width: int) -> list[str]:
    head = story_head(source, address)
    numbers = [f"subject {head['subject']}"]
    numbers += [f"replicate {head['replicate']}"] if source.replicates > 1 else []
    if head["settings"]:
        settings = ", ".join(f"{path} = {_short(value)}" for path, value in head["settings"].items())
        numbers.append(f"design point {head['design_id']} ({settings})")
    numbers.append(f"seed {head['seed']}")
    lines = [wrap(f"{head['title']}: {', '.join(numbers)}", width)]
    if source.changed:
        lines.append(
            wrap(f"CAUTION, told by another engine than the run's: {'; '.join(source.changed)}", width)
        )
    return lines


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _arm_lines(course: Course, width: int) -> list[str]:
    policy = course.life.arm.policy.policy
    lines = [f"Arm “{course.life.arm.identity.arm_label}” ({course.life.arm.id}), policy {policy.id}"]
    lines[0] += f", which reads CRS on {CRS_STANDARD[CrsScale[policy.scale.upper()]]}"
    note = "Times are days and hours:minutes since infusion; after “:” the grades; in [ ] the rule and why it held."
    return [wrap(lines[0], width), wrap(note, width), ""]


def moments(events: Sequence[Event], why: bool, cut_d: float | None = None) -> list[Moment]:
    """Events as they are printed: by time, doses of a running course joined; none is joined across `cut_d`."""
    told = [event for event in events if why or is_told(event)]
    found: list[Moment] = []
    waiting: list[Event] = []
    for t_d, group in groupby(told, key=lambda event: event.t_d):
        here = list(group)
        # samples lie on a schedule of their own: they are told beside what else is
        if all(event.kind == "sample" for event in here):
            continue
        follows = len(here) == 1 and _continues(waiting, here[0]) and cut_d != t_d
        if not follows:
            found += _joined(waiting)
            waiting = []
        if len(here) == 1 and here[0].kind == "dose":
            waiting.append(here[0])
        else:
            found.append(Moment(t_d, tuple(line for event in here for line in _paragraphs(event, why))))
    return found + _joined(waiting)


def _continues(waiting: Sequence[Event], event: Event) -> bool:
    keys = ("drug", "mg", "t_order_d", "prophylactic")
    return (
        bool(waiting)
        and event.kind == "dose"
        and event.rule_id == waiting[-1].rule_id
        and all(event.data[key] == waiting[-1].data[key] for key in keys)
    )


def _joined(doses: Sequence[Event]) -> list[Moment]:
    """One line for a dose, one for those that follow it at an even pace."""
    if not doses:
        return []
    first, *others = doses
    found = [Moment(first.t_d, (first.text,))]
    if len(others) == 1:
        found.append(Moment(others[0].t_d, (others[0].text,)))
    elif others:
        last = others[-1]
        pace = lasting((last.t_d - first.t_d) / len(others))
        head = others[0].text.partition(", dose ")[0]
        numbers = f"doses {others[0].data['dose_no']} to {last.data['dose_no']}"
        text = f"{head}, {numbers}, every {pace} until {clock(last.t_d)} [{last.rule_id}]"
        found.append(Moment(others[0].t_d, (text,)))
    return found


def _paragraphs(event: Event, why: bool) -> list[str]:
    lines = [event.text]
    return lines + (list(_rules(event.verdicts)) if why else [])


def _rules(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """What rules said that ordered nothing; those that ask for another grade in one line."""
    other_grade = []
    for verdict in verdicts:
        failed = verdict.failed
        if failed is not None and failed.key in _GRADES:
            other_grade.append(verdict.rule_id)
        elif verdict.outcome == NOT_MET:
            yield f"  no {verdict.rule_id}: {verdict.why_not()}"
        elif verdict.outcome == HELD_BACK:
            yield f"  {verdict.rule_id} holds, and orders nothing: {verdict.why_not()}"
        elif verdict.outcome == CARE:
            yield f"  {verdict.rule_id} holds: intensive care"
    if other_grade:
        yield f"  no {', '.join(other_grade)}: other grades"


def _listed(told: Sequence[Moment], width: int) -> list[str]:
    lines = []
    for moment in told:
        when = clock(moment.t_d)
        for number, line in enumerate(_wrapped(moment.paragraphs, width - MARGIN)):
            lines.append(f"{'' if number else when:>{MARGIN - 2}}  {line}")
    return lines


def _wrapped(paragraphs: Sequence[str], width: int) -> list[str]:
    lines: list[str] = []
    for text in paragraphs:
        indent = " " * (len(text) - len(text.lstrip()))
        lines += textwrap.wrap(text, width, subsequent_indent=f"{indent}  ", break_on_hyphens=False)
    return lines


def _aside(story: Story, width: int) -> Iterator[str]:
    """Two arms: what they share once, then from the first difference on beside each other."""
    difference = next(one for one in story.differences if one is not None)
    first = 1 - story.reference
    names = [course.life.arm.identity.arm_label for course in story.courses]
    for course in story.courses:
        yield _arm_lines(course, width)[0]
    yield _arm_lines(story.courses[0], width)[1]
    yield ""
    cut = difference.t_d
    sides = [moments(course.events, story.why, cut) for course in story.courses]
    shared = 0
    while shared < min(map(len, sides)) and sides[0][shared] == sides[1][shared]:
        if cut is not None and sides[0][shared].t_d >= cut:
            break
        shared += 1
    if shared:
        yield "in both arms"
        yield from _listed(sides[0][:shared], width)
    if difference.none and all(len(side) == shared for side in sides):
        yield wrap("no difference: both arms are the same course for this subject", width)
        return
    yield ""
    if first == 1:
        difference = replace(difference, texts=(difference.texts[1], difference.texts[0]))
    yield wrap(f">>> first difference, {difference.text((names[0], names[1]))}", width)
    yield ""
    yield from _columns([side[shared:] for side in sides], names, width)


def _columns(sides: Sequence[Sequence[Moment]], names: Sequence[str], width: int) -> Iterator[str]:
    each = (max(width, ASIDE) - MARGIN - 3) // 2
    yield f"{'':{MARGIN}}{names[0][:each]:<{each}} | {names[1][:each]}"
    yield f"{'':{MARGIN}}{'-' * each}-+-{'-' * each}"
    by_time = [{moment.t_d: moment.paragraphs for moment in side} for side in sides]
    for t_d in sorted({t for side in by_time for t in side}):
        cells = [_wrapped(side.get(t_d, ()), each) for side in by_time]
        for number in range(max(map(len, cells))):
            left, right = (cell[number] if number < len(cell) else "" for cell in cells)
            yield f"{'' if number else clock(t_d):>{MARGIN - 2}}  {left:<{each}} | {right}"


def _many(story: Story, width: int) -> Iterator[str]:
    """More than two arms: where each parts from the reference."""
    reference = story.courses[story.reference].life.arm.identity.arm_label
    yield wrap(f"{len(story.courses)} arms; first difference of each from “{reference}”", width)
    for course, difference in zip(story.courses, story.differences, strict=True):
        if difference is not None:
            label = course.life.arm.identity.arm_label
            yield wrap(f"  {label}: {difference.text(('here', reference))}", width, "    ")
    yield wrap("One course in full: --arm ARM; two beside each other: --arm ARM --arm ARM.", width)


def _endings(endings: Sequence[Ending], labels: Sequence[str], console: "Console") -> list[str]:
    peaks, others = peak_rows(endings), other_rows(endings)
    head = ["Worst grade as seen", *(labels if len(labels) > 1 else [""])]
    table = make_table([wrap(text, 24, "") for text in head])
    for row in (*peaks, *others):
        table.add_row(*row)
    with console.capture() as captured:
        console.print(table)
    lines = captured.get().rstrip("\n").split("\n")
    if any("latent" in cell for row in peaks for cell in row):
        lines += ["", wrap(LATENT, console.width)]
    return lines


def _rule_lines(reason: Reason, width: int) -> list[str]:
    rule = reason.rule
    mark = "" if rule.verified else " (not verified against the primary text)"
    kind = "Dose by the clock" if rule.prophylactic else "Rule"
    lines = [f"{kind} {rule.rule_id} of {rule.policy_id}{mark}", f"  orders: {rule.orders}"]
    lines += [f"  (the order of {rule.shares}, which it shares)"] if rule.shares else []
    lines += [f"  source: {rule.source}"] if rule.source else []
    lines += [f"  note: {rule.note}"] if rule.note else []
    return [wrap(line, width, "    ") for line in lines]


def _ordered(reason: Reason, width: int) -> list[str]:
    t_order = reason.dose.data["t_order_d"]
    if reason.verdict is None:
        lines = [f"Due on {clock(t_order)} whatever is seen"]
    else:
        lines = [f"Ordered on {clock(t_order)}, {reason.setting}"]
        lines += [f"  seen: {reason.seen.text}"] if reason.seen is not None else []
        lines += [f"  {reason.verdict.reason}"] if reason.verdict.reason else []
    for condition in reason.conditions:
        lines.append(f"  {'holds' if condition.holds else 'FAILS'}: {condition.text()}")
    since = reason.verdict.held_since_d if reason.verdict is not None else None
    if since is not None and any(condition.key in AT_ONCE for condition in reason.conditions):
        lines.append(
            f"  what it asks of grades and signs has held since {clock(since)} ({lasting(t_order - since)})"
        )
    for other in reason.others:
        did = other.reason or ("ordered too" if other.order else "intensive care")
        lines.append(f"  held at the same assessment: {other.rule_id} ({did})")
    return [wrap(line, width, "    ") for line in lines]


def _without(reason: Reason, console: "Console") -> list[str]:
    lines = [wrap(f"Without {reason.rule.rule_id} ({COUNTERFACTUAL})", console.width)]
    if reason.without.none:
        return [*lines, "  nothing would have been different"]
    difference = reason.without
    when = "" if difference.t_d is None else f"{clock(difference.t_d)}: "
    told = f"  first difference, {when}{difference.texts[0]} (as it was), {difference.texts[1]} (without)"
    lines.append(wrap(told, console.width, "    "))
    return [*lines, "", *_endings(reason.endings, ["as it was", f"without {reason.rule.rule_id}"], console)]
