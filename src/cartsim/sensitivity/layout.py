"""Why: indices compare points that belong together (a base row, a trajectory). Which those are is read from the
design's own roles, and a point that failed takes its whole row with it, counted and told, never silently.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cartsim.errors import InvalidInput
from cartsim.sensitivity.products import Floats
from cartsim.sensitivity.tornado import Setting

BASE, SWAPPED, OTHER = "A", "AB:", "B"
#: Number of a trajectory; its members stand in order.
TRAJECTORY = re.compile(r"T?(\d+)(?::\d+)?")
MEND = "run the sweep again with --fresh; roles in design.parquet must be those that the sweep wrote"


@dataclass(frozen=True)
class Layout:
    """The points of a sweep: one role and one setting of every input a point, both in the order of design_id.

    `base` is the scenario's own setting where it has one, `groups` the inputs that are judged together.
    """

    method: str
    ids: tuple[int, ...]
    roles: tuple[str | None, ...]
    columns: Mapping[str, Sequence[Setting]]
    base: Mapping[str, Setting]
    groups: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.ids)


def saltelli_rows(layout: Layout) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    """Names of the inputs or groups, and the positions of A, AB_1 .. AB_k, B of every base row: [row, k + 2].

    Raises `InvalidInput` where the roles are not those of such a design.
    """
    rows: list[dict[str, int]] = []
    for position, role in enumerate(layout.roles):
        if role == BASE:
            rows.append({})
        if role is None or not rows or role in rows[-1]:
            raise _misplaced(layout, position, "A, AB:<input> for every input, and B for each base row")
        rows[-1][role] = position
    names = tuple(role for role in rows[0] if role.startswith(SWAPPED)) if rows else ()
    wanted = {BASE, OTHER, *names}
    for number, row in enumerate(rows):
        if set(row) != wanted or len(wanted) < 3:
            raise InvalidInput(
                "the design is not a whole number of base rows",
                where=f"design.parquet, base row {number + 1}",
                why=f"it has the roles {', '.join(row)}",
                mend=MEND,
            )
    positions = np.array([[row[role] for role in (BASE, *names, OTHER)] for row in rows], dtype=np.intp)
    return tuple(name.removeprefix(SWAPPED) for name in names), positions


@dataclass(frozen=True)
class Trajectories:
    """Steps of a Morris design by input or group, all [trajectory, input]: points before and after, direction.

    The direction is -1 where the input's number falls, else 1. `single[input]` says that it is one number, so that
    direction means something.
    """

    names: tuple[str, ...]
    before: NDArray[np.intp]
    after: NDArray[np.intp]
    direction: Floats
    single: tuple[bool, ...]


def morris_steps(layout: Layout) -> Trajectories:
    """Which step of each trajectory moved which input or group. Raises `InvalidInput` where they are not one each."""
    paths: dict[int, list[int]] = {}
    for position, role in enumerate(layout.roles):
        match = TRAJECTORY.fullmatch(role or "")
        if match is None:
            raise _misplaced(layout, position, "the number of its trajectory")
        paths.setdefault(int(match[1]), []).append(position)
    members = {path: name for name, group in layout.groups.items() for path in group}
    names = tuple(dict.fromkeys(members.get(path, path) for path in layout.columns))
    before = np.empty((len(paths), len(names)), dtype=np.intp)
    after, direction = before.copy(), np.ones(before.shape)
    for row, (number, path) in enumerate(paths.items()):
        moved = [_moved(layout, members, i, j) for i, j in pairwise(path)]
        seen = [name for name, _ in moved if name is not None]
        left = [name for name in names if name not in seen]
        if len(path) != len(names) + 1 or len(set(seen)) != len(seen) or "" in seen:
            raise InvalidInput(
                "a trajectory does not move every input once",
                where=f"design.parquet, trajectory {number}",
                mend=MEND,
            )
        for (name, sign), i, j in zip(moved, path[:-1], path[1:], strict=True):
            # a step that ends on the same setting (whole numbers) has no effect, whichever input it was
            column = names.index(left.pop(0) if name is None else name)
            before[row, column], after[row, column], direction[row, column] = i, j, sign
    return Trajectories(names, before, after, direction, tuple(_is_single(layout, name) for name in names))


def _moved(layout: Layout, members: Mapping[str, str], i: int, j: int) -> tuple[str | None, float]:
    """(input or group, direction) of one step; None where no setting changed, "" where several inputs did."""
    changed = [path for path, settings in layout.columns.items() if settings[i] != settings[j]]
    names = {members.get(path, path) for path in changed}
    if len(names) != 1:
        return ("" if names else None), 1.0
    old, new = (layout.columns[changed[0]][k] for k in (i, j))
    falls = _is_number(old) and _is_number(new) and float(new or 0) < float(old or 0)
    return names.pop(), -1.0 if falls else 1.0


def _is_single(layout: Layout, name: str) -> bool:
    return name in layout.columns and all(_is_number(s) for s in layout.columns[name])


def _is_number(setting: Setting) -> bool:
    return isinstance(setting, int | float) and not isinstance(setting, bool)


def numeric_inputs(layout: Layout) -> tuple[list[str], list[str]]:
    """(inputs that are numbers and vary, inputs that vary but are not numbers)."""
    varied = [path for path, settings in layout.columns.items() if len(set(settings)) > 1]
    numbers = [path for path in varied if all(_is_number(s) for s in layout.columns[path])]
    return numbers, [path for path in varied if path not in numbers]


def matrix(layout: Layout, inputs: Sequence[str], points: NDArray[np.intp]) -> Floats:
    """Settings of the named inputs at the given positions: [point, input]."""
    return np.array([[float(layout.columns[path][i] or 0) for path in inputs] for i in points])


def _misplaced(layout: Layout, position: int, wanted: str) -> InvalidInput:
    return InvalidInput(
        f"a point of the design has the role {layout.roles[position]!r}",
        where=f"design.parquet, design_id {layout.ids[position]}",
        why=f"a design of this method has {wanted}",
        mend=MEND,
    )
