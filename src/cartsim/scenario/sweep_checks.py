"""Why: a sweep that moves a key which is not there, or one that may not move, would run for hours and answer nothing.
Everything that can be seen without making a point is said here, with the line it stands on.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cartsim.errors import Problem
from cartsim.scenario.canonical import plain_text
from cartsim.scenario.overrides import NoSuchPath, set_path
from cartsim.scenario.problems import show
from cartsim.scenario.shape import nearest
from cartsim.scenario.sweep_block import SAMPLED, SENSITIVITY, Axis, SweepBlock
from cartsim.yaml_text import Document, KeyPath

if TYPE_CHECKING:
    from cartsim.policy.schema import Policy

Said = tuple[str, str, str | None]
#: What may not move, by the first keys of the path, and why. The longest match counts.
_FIXED: dict[str, tuple[str, str | None]] = {
    "schema": ("it names the format of the file", None),
    "id": ("it names the run", None),
    "title": ("it changes no number", None),
    "study": ("the block holds texts too", "study.horizon_days"),
    "study.question": ("it changes no number", None),
    "study.context_of_use": ("it changes no number", None),
    "population": (
        "every point has the same number of subjects",
        "one of its keys, such as population.weight_kg",
    ),
    "population.subjects": (
        "every point has the same subjects, so that points can be compared",
        "--subjects",
    ),
    **{
        f"population.{key}": ("every point has the same patients, so that points can be compared", None)
        for key in ("file", "sample", "missing", "sha256")
    },
    "arms": ("every point has the same arms", "one arm's policy, prophylaxis, levers, behaviour or model"),
    "reference": ("contrasts of all points are against the same arm", None),
    "site": (
        "it decides which driver runs, which is the same for all points",
        "one of its keys, such as site.beds",
    ),
    "run": (
        "every point has the same seed and replicates, so that points share their subjects",
        "run.replicates",
    ),
    "sweep": ("a sweep cannot change itself", None),
    "trial": ("trials are not supported yet", None),
    "outputs": ("every point writes the same tables", None),
    "subgroups": ("every point reports the same subgroups", None),
}
_MAY_MOVE = ("population.", "site.", "study.horizon_days")
_ARM_MAY_MOVE = ("policy", "prophylaxis", "model", "levers", "behaviour")


def check_sweep(
    document: Document, block: SweepBlock, product: str, policies: Sequence["Policy"]
) -> list[Problem]:
    """Problems of a sweep in a scenario that has no others; `product` and `policies` are those it names."""
    here: KeyPath = ("sweep",)
    problems = [document.problem((*here, *path), what, mend) for path, what, mend in _method_faults(block)]
    if problems:
        return problems
    checker = PathChecker(document.data, product, policies)
    if block.method == "list":
        return _check_rows(document, block.rows or [], checker)
    for path, what, mend in checker.problems(list(block.axes)):
        problems.append(document.problem((*here, "axes", path), what, mend))
    for path, axis in block.axes.items():
        for key, what, mend in _axis_faults(block, path, axis, product):
            place: KeyPath = (*here, "axes", path, *((key,) if key else ()))
            problems.append(document.problem(place, what, mend))
    if not problems:
        problems += [
            document.problem((*here, *path), what, mend) for path, what, mend in _joint_faults(block)
        ]
    return problems


class PathChecker:
    """Whether dotted paths name something in a scenario that a sweep may move."""

    def __init__(self, data: Mapping[str, Any], product: str, policies: Sequence["Policy"]) -> None:
        self.data = data
        self.product = product
        self.policies = policies

    def problems(self, paths: Sequence[str]) -> Iterator[Said]:
        """(path, what is wrong, what to write) of each path that cannot be used."""
        places: dict[KeyPath, str] = {}
        for path in paths:
            try:
                place = set_path(self.data, path, 0)[1]
            except NoSuchPath as error:
                yield path, error.what, error.mend
                continue
            fault = self._refused(path, place) or self._unknown(path, place) or _clash(path, place, places)
            if fault is not None:
                yield path, *fault
            places.setdefault(place, path)

    def _refused(self, path: str, place: KeyPath) -> tuple[str, str | None] | None:
        if place[0] == "arms" and len(place) > 2:
            if place[2] not in _ARM_MAY_MOVE:
                return (
                    f"`{place[2]}` of an arm cannot be swept: it is a name",
                    "its policy, prophylaxis, levers, behaviour or model",
                )
            return None
        keys = ".".join(str(part) for part in place)
        if keys not in _FIXED and keys.startswith(_MAY_MOVE):
            if place[0] == "site" and not self.data.get("site"):
                return "the scenario has no site", "site: {arrivals: {every_h: 24}} in the scenario"
            return None
        why = _FIXED.get(keys) or _FIXED.get(str(place[0]))
        return (f"`{path}` cannot be swept: {why[0]}", why[1]) if why is not None else None

    def _unknown(self, path: str, place: KeyPath) -> tuple[str, str | None] | None:
        """A registry key or a rung of a policy that does not exist: the models allow any key there."""
        from cartsim.evidence.registry import load_registry
        from cartsim.evidence.spread import registry_key

        key = registry_key(path, self.product)
        if key is not None:
            numbers = load_registry().numbers()
            if key not in numbers:
                prefix = f"product.{self.product}." if path.startswith("product.") else ""
                known = [name.removeprefix(prefix) for name in numbers if name.startswith(prefix)]
                short = key.removeprefix(prefix)
                head = path.removesuffix(short)
                meant = nearest(short, known)
                what = f"unknown registry key `{short}`"
                return what, f"{head}{meant}" if meant else "a key that `cartsim evidence` lists"
        if (
            place[0] == "arms"
            and place[2] == "policy"
            and len(place) > 5
            and place[3] in ("rules", "prophylaxis")
        ):
            policy = self.policies[int(place[1])]
            rungs = policy.rules if place[3] == "rules" else policy.prophylaxis
            if place[4] not in rungs:
                meant = nearest(str(place[4]), rungs)
                before, after = path.split(f".{place[4]}.", 1)
                mend = f"{before}.{meant}.{after}" if meant else f"one of: {', '.join(rungs)}"
                return f"the policy of the arm has no rung `{place[4]}`", mend
        return None


def _clash(path: str, place: KeyPath, places: Mapping[KeyPath, str]) -> tuple[str, str | None] | None:
    for other, name in places.items():
        if other == place:
            return f"`{name}` is the same key", "keep one of the two"
        if other[: len(place)] == place:
            return f"`{name}` is a part of it and would be overwritten", f"put `{path}` before it"
    return None


def repeated_rows(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, int]]:
    """(earlier, later) numbers of rows with equal settings."""
    seen: dict[str, int] = {}
    for number, row in enumerate(rows):
        text = plain_text(row)
        if text in seen:
            yield seen[text], number
        seen.setdefault(text, number)


def _check_rows(document: Document, rows: Sequence[Mapping[str, Any]], checker: PathChecker) -> list[Problem]:
    first = {path: number for number, row in reversed(list(enumerate(rows))) for path in row}
    paths = list(dict.fromkeys(path for row in rows for path in row))
    problems = [
        document.problem(("sweep", "rows", first[path], path), what, mend)
        for path, what, mend in checker.problems(paths)
    ]
    for earlier, later in repeated_rows(rows):
        what = f"the same settings as row {earlier} (counted from 0)"
        problems.append(document.problem(("sweep", "rows", later), what, "leave one of the two out"))
    return problems


def _method_faults(block: SweepBlock) -> Iterator[tuple[KeyPath, str, str | None]]:
    """Keys that a method needs, and keys that mean nothing to it."""
    method = block.method
    if method == "list":
        if (block.rows is None) == (block.file is None):
            both = (
                "both rows and file are given" if block.rows is not None else "neither rows nor file is given"
            )
            yield (), f"{both}; a list is one of the two", "rows: [{population.weight_kg: 60}]"
        unwanted = ["axes"]
    else:
        if not block.axes:
            yield ("axes",), f"{method} needs axes", "axes: {model.overrides.tocilizumab.effect: [0.8, 1.2]}"
        unwanted = ["rows", "file"]
    if method in SAMPLED:
        if block.points is None:
            yield ("points",), f"{method} needs the number of points", "points: 256"
    else:
        unwanted += ["points", "seed"]
    if method not in SENSITIVITY:
        unwanted.append("groups")
    for key in unwanted:
        if getattr(block, key):
            yield (key,), f"`{key}` means nothing to {method}", None


def _axis_faults(block: SweepBlock, path: str, axis: Axis, product: str) -> Iterator[Said]:
    ranged = axis.low is not None or axis.high is not None
    ways = {"values": axis.values, "a range": ranged, "evidence": axis.evidence}
    given = [name for name, there in ways.items() if there]
    if len(given) != 1:
        got = " and ".join(given) or "none of them"
        yield "", f"got {got}; an axis is one of values, a range (low, high) or evidence", "[0.8, 1.2]"
        return
    if axis.values is not None:
        texts = [plain_text(value) for value in axis.values]
        for number, text in enumerate(texts):
            if text in texts[:number]:
                yield "", f"the value {show(axis.values[number])} is repeated", "name it once"
        if axis.steps is not None:
            yield "steps", "steps belong to a range, not to values", None
    elif ranged:
        yield from _range_faults(block, axis)
    else:
        yield from _evidence_faults(block, path, product)


def _range_faults(block: SweepBlock, axis: Axis) -> Iterator[Said]:
    if axis.low is None or axis.high is None:
        yield "", "a range has two ends", "{low: 0.4, high: 0.8}"
        return
    if axis.low >= axis.high:
        yield "", f"low is {axis.low:g} and high is {axis.high:g}; low must be below high", None
    if axis.scale == "log" and axis.low <= 0:
        yield "low", f"got {axis.low:g}; a log scale begins above 0", None
    if axis.scale == "whole" and not (axis.low.is_integer() and axis.high.is_integer()):
        yield "scale", "whole numbers need whole ends", None
    if block.method in ("grid", "zip") and axis.steps is None and axis.scale != "whole":
        yield "", f"a {block.method} takes single values; the range has no steps", "steps: 5"
    if block.method in SAMPLED and axis.steps is not None:
        yield "steps", f"{block.method} takes points of its own along a range", None


def _evidence_faults(block: SweepBlock, path: str, product: str) -> Iterator[Said]:
    from cartsim.evidence.registry import load_registry
    from cartsim.evidence.spread import find_spread, registry_key

    key = registry_key(path, product)
    if block.method in ("grid", "zip"):
        yield "", f"a {block.method} takes single values, and the evidence leaves a range open", "[0.8, 1.2]"
    elif key is None:
        yield "", "it is no number of the evidence registry", "{low: 0.4, high: 0.8}"
    elif path.startswith("product.") and "product" in block.axes:
        yield "", "the product moves too, and its evidence with it", "{low: 0.4, high: 0.8}"
    elif find_spread(load_registry(), key) is None:
        yield "", f"the evidence registry has no range for `{key}`", "{low: 0.4, high: 0.8}"


def _joint_faults(block: SweepBlock) -> Iterator[tuple[KeyPath, str, str | None]]:
    """What can only be seen when the axes are seen together."""
    if block.method == "zip":
        lengths = {path: len(axis.in_order()) for path, axis in block.axes.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{path}: {length}" for path, length in lengths.items())
            what = f"axes of a zip must be equally long, and are {told}"
            yield ("axes",), what, "method: grid, for every combination"
            return
        columns = [axis.in_order() for axis in block.axes.values()]
        rows = [dict(zip(block.axes, row, strict=True)) for row in zip(*columns, strict=True)]
        for first, later in repeated_rows(rows):
            yield ("axes",), f"points {first} and {later} are the same", "leave one of the two out"
    named: dict[str, str] = {}
    for name, members in block.groups.items():
        for place, path in enumerate(members):
            where: KeyPath = ("groups", name, place)
            if path not in block.axes:
                yield where, f"`{path}` is no axis of this sweep", nearest(path, block.axes)
            elif path in named:
                yield where, f"`{path}` is in `{named[path]}` already", "name it once"
            named.setdefault(path, name)
    judged = {named.get(path, f"axis {path}") for path in block.axes}
    if block.method in SENSITIVITY and len(judged) < 2:
        yield ("axes",), f"{block.method} compares inputs, and this is one", "a second axis, or method: lhs"
