"""Why: a run must be cut into pieces that can be done anywhere, in any order, twice or after a power cut, and still
add up to the same result. The cut depends on what is asked alone, never on who does it.

A *cell* is a range of subjects of one replicate of one design point, a *block* a few cells (one unit of work, one set
of files), a *box* a product of ranges. A run begins as one box; more subjects, replicates, points or arms append
boxes, so that what was done stays as it is.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cartsim.errors import InvalidInput

#: Rows (subjects times arms) of a block: enough to make files worth having, few enough to lose little when killed.
MOST_ROWS = 65_536
LEAST_ROWS = 8_192
#: ... and where each row is simulated under many parameter sets.
LEAST_ROWS_OF_SETS = 1_024
#: A run is cut into about this many blocks where it can be, so that several workers have something to do.
WANTED_BLOCKS = 16
#: Subjects of one cell are cut on multiples of this, for round numbers in the receipts.
ROUND = 1024

Range = tuple[int, int]


@dataclass(frozen=True)
class Cell:
    """Subjects `first .. first+count-1` of one replicate of one design point."""

    design_id: int
    replicate: int
    first: int
    count: int


@dataclass(frozen=True)
class Block:
    """One unit of work. `arms` are those whose rows are wanted; `number` is its place in the plan."""

    number: int
    arms: tuple[str, ...]
    cells: tuple[Cell, ...]

    @property
    def subjects(self) -> int:
        """Subjects simulated, each in every arm."""
        return sum(cell.count for cell in self.cells)

    @property
    def designs(self) -> Range:
        """First design point, and the one after the last."""
        return self.cells[0].design_id, self.cells[-1].design_id + 1

    def describe(self) -> list[list[int]]:
        """The cells as plain numbers: design_id, replicate, first subject, subjects."""
        return [[c.design_id, c.replicate, c.first, c.count] for c in self.cells]


@dataclass(frozen=True)
class Box:
    """Every combination of design points, replicates and subjects (half-open ranges) in some arms."""

    points: Range
    replicates: Range
    subjects: Range
    arms: tuple[str, ...]

    @property
    def cells(self) -> int:
        """Replicates of design points."""
        return _length(self.points) * _length(self.replicates)

    @property
    def count(self) -> int:
        """Subjects of one replicate."""
        return _length(self.subjects)

    def plain(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        return {
            "points": list(self.points),
            "replicates": list(self.replicates),
            "subjects": list(self.subjects),
            "arms": list(self.arms),
        }

    @classmethod
    def of(cls, plain: dict[str, Any]) -> "Box":
        """Read back what `plain` wrote."""
        points, replicates, subjects = (
            (int(plain[k][0]), int(plain[k][1])) for k in ("points", "replicates", "subjects")
        )
        return cls(points, replicates, subjects, tuple(plain["arms"]))


@dataclass(frozen=True)
class Plan:
    """The boxes of a run and how they are cut. `whole`: a replicate is one piece (subjects meet at a site)."""

    boxes: tuple[Box, ...]
    rows: int
    whole: bool = False

    @classmethod
    def new(
        cls,
        points: int,
        replicates: int,
        subjects: int,
        arms: Sequence[str],
        whole: bool = False,
        size: int | None = None,
        many_sets: bool = False,
    ) -> "Plan":
        """A run that begins. `size`: subjects of a block instead of the usual number; `many_sets`: each subject is
        simulated under many parameter sets, so that fewer of them make a block."""
        box = Box((0, points), (0, replicates), (0, subjects), tuple(arms))
        total = box.cells * max(box.count, 1) * len(arms)
        # a site costs some fifty times as much a subject, so there fewer make a block
        least, most = (1, LEAST_ROWS) if whole else (LEAST_ROWS, MOST_ROWS)
        if many_sets:
            least, most = min(least, LEAST_ROWS_OF_SETS), LEAST_ROWS
        rows = min(max(total // WANTED_BLOCKS, least), most)
        return cls((box,), rows if size is None else size * len(arms), whole)

    @property
    def points(self) -> int:
        """Design points covered so far."""
        return max(box.points[1] for box in self.boxes)

    @property
    def replicates(self) -> int:
        """Replicates covered so far."""
        return max(box.replicates[1] for box in self.boxes)

    @property
    def subjects(self) -> int:
        """Subjects of a replicate covered so far."""
        return max(box.subjects[1] for box in self.boxes)

    @property
    def arms(self) -> tuple[str, ...]:
        """Arms covered so far, in the order in which they came."""
        return tuple(dict.fromkeys(arm for box in self.boxes for arm in box.arms))

    @property
    def total(self) -> int:
        """Subjects to simulate over all cells, each counted once for all its arms."""
        return sum(box.cells * box.count for box in self.boxes)

    def extended(self, points: int, replicates: int, subjects: int, arms: Sequence[str]) -> "Plan":
        """The plan that covers these numbers too. Raises `InvalidInput` where one of them has become smaller."""
        for name, before, now in (
            ("design points", self.points, points),
            ("replicates", self.replicates, replicates),
            ("subjects", self.subjects, subjects),
        ):
            if now < before:
                raise InvalidInput(
                    f"a run can only grow: it has {before:,} {name}, and {now:,} are asked for",
                    mend="--fresh to start over, or --out with another folder",
                )
        had = self.arms
        new_arms = tuple(arm for arm in arms if arm not in had)
        p, r, s = self.points, self.replicates, self.subjects
        grown = [
            Box((0, p), (0, r), (0, s), new_arms),
            Box((0, p), (0, r), (s, subjects), had + new_arms),
            Box((0, p), (r, replicates), (0, subjects), had + new_arms),
            Box((p, points), (0, replicates), (0, subjects), had + new_arms),
        ]
        if self.whole and subjects > s:
            raise InvalidInput(
                "more subjects would change everybody's course: at a site they meet",
                mend="more replicates instead, or --fresh",
            )
        more = tuple(box for box in grown if box.cells and box.count and box.arms)
        return Plan(self.boxes + more, self.rows, self.whole)

    def blocks(self) -> Iterator[Block]:
        """Every block, in order; the same for the same plan."""
        number = 0
        for box in self.boxes:
            for cells in self._cut(box):
                yield Block(number, box.arms, cells)
                number += 1

    def count_blocks(self) -> int:
        """How many blocks there are."""
        return sum(self._blocks_in(box) for box in self.boxes)

    def _sizes(self, box: Box) -> tuple[int, int]:
        """(subjects of a cell, cells of a block)."""
        capacity = max(self.rows // max(len(box.arms), 1), 1)
        if self.whole or box.count <= capacity:
            return box.count, max(capacity // max(box.count, 1), 1)
        pieces = -(-box.count // capacity)
        size = -(-box.count // pieces)
        return (min(-(-size // ROUND) * ROUND, capacity) if capacity >= ROUND else size), 1

    def _blocks_in(self, box: Box) -> int:
        size, cells = self._sizes(box)
        pieces = -(-box.count // size) if box.count else 1
        return -(-box.cells // cells) if pieces == 1 else box.cells * pieces

    def _cut(self, box: Box) -> Iterator[tuple[Cell, ...]]:
        size, cells = self._sizes(box)
        held: list[Cell] = []
        low, high = box.subjects
        for design in range(*box.points):
            for replicate in range(*box.replicates):
                for first in range(low, max(high, low + 1), max(size, 1)):
                    held.append(Cell(design, replicate, first, min(size, high - first)))
                    if len(held) == cells:
                        yield tuple(held)
                        held = []
        if held:
            yield tuple(held)

    def plain(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        return {"boxes": [box.plain() for box in self.boxes], "rows": self.rows, "whole": self.whole}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> "Plan":
        """Read back what `plain` wrote."""
        return cls(tuple(Box.of(box) for box in plain["boxes"]), int(plain["rows"]), bool(plain["whole"]))


def block_id(key: str, block: Block, point_id: Callable[[int], str]) -> str:
    """12 hex digits that name a block by everything its files follow from.

    `key` stands for scenario, engine and evidence; design points enter by what is set in them (`point_id`) and by
    the number their rows carry.
    """
    points = {cell.design_id: point_id(cell.design_id) for cell in block.cells}
    text = json.dumps([key, list(block.arms), list(points.items()), block.describe()], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _length(span: Range) -> int:
    return span[1] - span[0]
