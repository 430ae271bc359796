"""Why: a design of a million points must not be a million rows in memory. Each kind of design knows how to tell row
`i`; what a row says is {place of a path: value}, and a path that is left out stays as the scenario has it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from cartsim.evidence.spread import Spread
from cartsim.scenario.canonical import plain_text
from cartsim.scenario.sweep_block import Axis


class Rows(Protocol):
    """Rows of a design, by number."""

    def __len__(self) -> int: ...

    def row(self, i: int) -> dict[int, Any]:
        """Settings of row `i`: place of a path -> value."""
        ...

    def role(self, i: int) -> str | None:
        """What row `i` is for, where rows differ in that."""
        ...


@runtime_checkable
class Tried(Protocol):
    """Rows that know which of them show every value."""

    def trials(self) -> Iterator[int]:
        """Rows that together have every value of every axis (of a range: its lowest and highest)."""
        ...


@dataclass(frozen=True)
class Grid:
    """Every combination of the levels of the axes; the last axis runs fastest."""

    levels: tuple[tuple[Any, ...], ...]

    def __len__(self) -> int:
        return math.prod(len(level) for level in self.levels)

    def row(self, i: int) -> dict[int, Any]:
        """Settings of row `i`, from the digits of `i` in the mixed base of the axes' lengths."""
        chosen = []
        for level in reversed(self.levels):
            i, digit = divmod(i, len(level))
            chosen.append(level[digit])
        return dict(enumerate(reversed(chosen)))

    def role(self, i: int) -> str | None:
        """Rows of a grid are all alike."""
        return None

    def trials(self) -> Iterator[int]:
        """Every level of every axis, with the first levels of the others."""
        stride = 1
        for level in reversed(self.levels):
            yield from (stride * digit for digit in range(len(level)))
            stride *= len(level)


@dataclass(frozen=True)
class Listed:
    """Rows written out: a list, a zip, one axis at a time."""

    rows: tuple[dict[int, Any], ...]

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, i: int) -> dict[int, Any]:
        """Settings of row `i`."""
        return self.rows[i]

    def role(self, i: int) -> str | None:
        """Rows of a list are all alike."""
        return None

    def trials(self) -> Iterator[int]:
        """The first row with each value of each path."""
        seen: set[tuple[int, str]] = set()
        for i, row in enumerate(self.rows):
            new = {(place, plain_text(value)) for place, value in row.items()} - seen
            if new:
                seen |= new
                yield i


@dataclass(frozen=True, eq=False)
class Cube:
    """Points of the unit cube, float64[row, axis], and what a coordinate is on each axis.

    `cycle` has the roles of the rows that belong together, over and over; `{n}` there is the number of the round.
    """

    unit: np.ndarray
    axes: tuple[Axis | Spread, ...]
    cycle: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.unit)

    def row(self, i: int) -> dict[int, Any]:
        """Settings of row `i`."""
        coordinates = zip(self.axes, self.unit[i].tolist(), strict=True)
        return {
            place: axis.quantile(u) if isinstance(axis, Spread) else axis.at(u)
            for place, (axis, u) in enumerate(coordinates)
        }

    def role(self, i: int) -> str | None:
        """`A`, `AB:<input>`, `B`, or a trajectory's number."""
        if not self.cycle:
            return None
        turn, place = divmod(i, len(self.cycle))
        return self.cycle[place].replace("{n}", str(turn))

    def trials(self) -> Iterator[int]:
        """The rows with the lowest and the highest coordinate of each axis, and the first with each value of a list."""
        for place, axis in enumerate(self.axes):
            column = self.unit[:, place]
            yield int(column.argmin())
            yield int(column.argmax())
            if isinstance(axis, Axis) and axis.values is not None:
                count = len(axis.values)
                chosen = np.minimum((column * count).astype(int), count - 1)
                yield from np.unique(chosen, return_index=True)[1].tolist()
