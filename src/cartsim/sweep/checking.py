"""Why: a value that cannot be run, found at the four-thousandth point of a sweep, costs a night. Before anything runs,
every point of a sweep of moderate size is made, and of a large one enough points to meet every value of every axis.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cartsim.errors import InvalidInput, Problem
from cartsim.scenario.problems import show
from cartsim.sweep.rows import Tried
from cartsim.yaml_text import Document, KeyPath, read_yaml

if TYPE_CHECKING:
    from cartsim.sweep.points import Points

#: Up to this many points every one of them is made.
ALL_MADE = 2_000
#: Problems told at once.
TOLD = 12


def check_points(points: "Points", limit: int | None) -> None:
    """Raise `InvalidInput` for more points than `limit`, or with values that cannot be run and where they stand."""
    count, base = len(points), points.base
    if limit is not None and count > limit:
        raise InvalidInput(
            f"the sweep has {count:,} points, more than its limit of {limit:,}",
            where=base.file,
            why="the number of points is the product of the lengths of the axes"
            if _is_grid(points)
            else None,
            mend=f"--yes to run all of them, sweep.limit: {count}, or fewer points",
        )
    if base.sweep is None:
        points.arms(0)
        return
    rows = points.design.rows
    wanted: Iterable[int] = range(count)
    if count > ALL_MADE and isinstance(rows, Tried):
        wanted = sorted(set(rows.trials()))
    problems = _problems(points, wanted)
    if problems:
        many = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise InvalidInput(f"the sweep cannot be run as it is ({many})", problems=problems)


def _is_grid(points: "Points") -> bool:
    return points.design.method == "grid"


def _problems(points: "Points", wanted: Iterable[int]) -> list[Problem]:
    """Each fault once, with the first point that has it."""
    found: dict[tuple[str, str], Problem] = {}
    lines: Document | None = None
    for i in wanted:
        try:
            points.arms(i)
        except InvalidInput as error:
            lines = lines or _lines(points)
            for problem in error.problems or [Problem(None, None, "", error.what, error.mend)]:
                found.setdefault((problem.path, problem.what), _placed(points, i, problem, lines))
        if len(found) >= TOLD:
            break
    return list(found.values())


def _lines(points: "Points") -> Document:
    base = points.base
    document = Document(dict(base.data), base.file)
    if base.text is not None:
        document.lines = read_yaml(base.text, base.file)[0].lines
    return document


def _placed(points: "Points", i: int, problem: Problem, lines: Document) -> Problem:
    """A problem of a point at the axis (or row) that brings it."""
    settings = points.design.settings(i)
    path = next((one for one in settings if _concerns(one, problem.path)), None)
    if path is None:
        told = ", ".join(f"{one}: {show(value)}" for one, value in settings.items())
        return Problem(
            problem.file or points.base.file,
            problem.line,
            problem.path,
            f"{problem.what} (design point {i}: {told})",
            problem.mend,
        )
    sweep = points.base.sweep
    assert sweep is not None
    place: KeyPath = ("sweep", "axes", path)
    if sweep.rows is not None:
        place = ("sweep", "rows", i, path)
    elif sweep.file is not None:
        place = ("sweep", "file")
    what = f"{problem.what} (design point {i}, {path}: {show(settings[path])})"
    return Problem(points.base.file, lines.line(place), lines.spoken(place), what, problem.mend)


def _concerns(path: str, problem: str) -> bool:
    """Whether a problem at one place may come from a value at the other: it is there, in it, or around it."""
    return problem == path or problem.startswith(f"{path}.") or path.startswith(f"{problem}.")
