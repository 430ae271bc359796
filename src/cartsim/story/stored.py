"""Why: a story is worth something only if it is the one behind the stored numbers. Every column of every row that the
run wrote of the subject is held against what was simulated now, to the last bit; only the rows needed are read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cartsim.arms import tables_wanted
from cartsim.errors import Mismatch, OutputBroken, Unreachable
from cartsim.store.manifest import COMPLETE
from cartsim.store.place import Place
from cartsim.store.reader import parts_of
from cartsim.story.lives import Life, rows_of
from cartsim.story.source import Address, Source


@dataclass(frozen=True)
class Agreement:
    """What came of the comparison: rows compared by table, the first difference (None where all agree), and a remark
    where there was nothing to compare with.
    """

    rows: dict[str, int]
    difference: str | None = None
    remark: str | None = None

    def text(self) -> str:
        """One sentence."""
        if self.difference is not None:
            return f"differs from the stored rows: {self.difference}"
        if not self.rows:
            return self.remark or "nothing is stored to compare with"
        told = ", ".join(f"{name} {count}" for name, count in self.rows.items())
        return f"agrees with the stored rows in every column (rows: {told})"

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"agrees": self.difference is None and bool(self.rows), **vars(self)}


def compare_stored(source: Source, address: Address, lives: Sequence[Life]) -> Agreement:
    """Hold the rows of some lives against those of the run. Raises `Mismatch` for the first difference, unless the
    story is wanted all the same (`source.forced`): then the difference is told.
    """
    if source.place is None or source.manifest is None:
        return Agreement({}, remark="simulated from the scenario: no run to compare with")
    scenario = source.points.scenario(address.design)
    names = tables_wanted(scenario)
    if not names:
        return Agreement({}, remark="the run wrote no tables of subjects: nothing to compare with")
    complete = source.manifest.get("status") == COMPLETE
    counts = dict.fromkeys(names, 0)
    made = [rows_of(scenario, life) for life in lives]
    for name in names:
        stored = stored_rows(source, name, address)
        for life, tables in zip(lives, made, strict=True):
            rows = _of_arm(stored, life.arm.id)
            if name == "adsl" and not rows.num_rows and not complete:
                return Agreement(
                    {}, remark="the run has not come to this subject yet: nothing to compare with"
                )
            found = first_difference(tables[name], rows)
            if found is not None:
                return _differs(source, life, f"{name}, {found}")
            counts[name] += rows.num_rows
    return Agreement({name: count for name, count in counts.items() if count})


def _differs(source: Source, life: Life, difference: str) -> Agreement:
    if source.forced:
        return Agreement({}, difference)
    raise Mismatch(
        "the subject's course is not the one that the run stored",
        where=f"subject {life.subject}, arm {life.arm.id}: {difference}",
        why="the run and this cartsim name the same sources: its files were changed, or the machine computes otherwise",
        mend="`cartsim.store.verify` on the run, or a new run; --force to be told the story all the same",
    )


def stored_rows(source: Source, name: str, address: Address) -> pa.Table:
    """Rows of one subject, in every arm, in one table of the run; none where it has no such table or row."""
    place = source.place
    assert place is not None
    wanted = [
        ("design_id", "==", address.design), ("replicate", "==", address.replicate),
        ("subject", "==", address.subject),
    ]  # fmt: skip
    parts = [_read(place, path, wanted) for path in _paths(source, place, name, address)]
    found = [part for part in parts if part.num_rows]
    return pa.concat_tables(found) if found else pa.table({})


def _of_arm(rows: pa.Table, arm_id: str) -> pa.Table:
    return rows.filter(pc.equal(rows["arm_id"].cast(pa.string()), arm_id)) if rows.num_rows else rows


def _read(place: Place, path: str, wanted: list[tuple[str, str, Any]]) -> pa.Table:
    try:
        # row groups whose statistics exclude the subject are not read
        with place.open(path) as file:
            return pq.read_table(file, filters=wanted)
    except (pa.ArrowException, OSError) as error:
        raise OutputBroken(
            "a file of the run cannot be read", place.where(path), str(error).partition("\n")[0],
            "run again with --retry: damaged blocks are run again, the others kept",
        ) from error  # fmt: skip


def _paths(source: Source, place: Place, name: str, address: Address) -> list[str]:
    """Files that may hold the rows: those of the blocks that cover the subject, unless the run was compacted."""
    try:
        paths = parts_of(place, name, partial=True)
    except Unreachable:
        return []
    plan = source.plan
    if plan is None or (source.manifest or {}).get("compacted"):
        return paths
    numbers = {
        f"part-{block.number:05d}-"
        for block in plan.blocks()
        if any(_covers(cell, address) for cell in block.cells)
    }
    return [path for path in paths if any(f"/{number}" in path for number in numbers)]


def _covers(cell: Any, address: Address) -> bool:
    return (
        cell.design_id == address.design
        and cell.replicate == address.replicate
        and cell.first <= address.subject < cell.first + cell.count
    )


def first_difference(made: pa.Table, stored: pa.Table) -> str | None:
    """The first cell in which two tables differ by a bit, in words; None where they are the same."""
    if made.num_rows != stored.num_rows:
        return f"{stored.num_rows} rows stored, {made.num_rows} simulated now"
    if not made.num_rows:
        return None
    if made.column_names != stored.column_names:
        return f"columns stored are {', '.join(stored.column_names)}"
    for row, (one, other) in enumerate(zip(made.to_pylist(), stored.to_pylist(), strict=True), 1):
        for name, now, before in _cells(one, other):
            if now != before:
                return f"row {row}, column {name}: stored {other[name]}, now {one[name]}"
    return None


def _cells(one: dict[str, Any], other: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name, value in one.items():
        yield name, _bits(value), _bits(other[name])


def _bits(value: Any) -> Any:
    """A number as what tells it from every other: 0.0 is not -0.0."""
    return value.hex() if isinstance(value, float) else value
