"""Why: a table that breaks its declaration must not reach the disk, where somebody would believe it."""

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cartsim.errors import OutputBroken
from cartsim.record.catalogue import table as declared
from cartsim.record.kinds import STREAM, Column, Table


def check(name: str, data: pa.Table) -> None:
    """Raise OutputBroken unless `data` is a valid part of table `name`.

    Checked: exact schema and column order; nulls only where allowed; no NaN or infinity; codelists; grade
    ranges; times in order; primary keys unique (streamed tables: strictly ascending within each stream).
    """
    spec = declared(name)
    _check_schema(spec, data.schema)
    for column in spec.columns:
        _check_values(spec, column, data[column.name])
    for chain in spec.in_order:
        for before, after in pairwise(chain):
            late = pc.greater(data[before], data[after])
            if pc.any(late).as_py():
                row = pc.index(late, True).as_py()
                raise _broken(spec, after, f"is before {before} in row {row}: {_row(spec, data, row)}")
    if (
        name == "adtte"
        and not pc.all(pc.equal(pc.equal(data["CNSR"], 0), pc.equal(data["evtype"], 1)), min_count=0).as_py()
    ):
        raise _broken(spec, "CNSR", "must be 0 exactly where evtype is 1")
    if spec.streamed:
        _check_ascending(spec, data)
    else:
        _check_unique(spec, data)


def sort_keys(spec: Table, data: pa.Table) -> list[np.ndarray]:
    """The primary key columns below the stream, as numbers that sort the way the table is sorted."""
    return [_ranks(spec.column(name), data[name]) for name in spec.keys if name not in STREAM]


def codes(column: pa.ChunkedArray) -> np.ndarray:
    """Numbers that are equal where the values of a key column are; dictionaries are unified first."""
    if not pa.types.is_dictionary(column.type):
        return column.to_numpy()
    column = column.unify_dictionaries()
    return (
        np.concatenate([c.indices.to_numpy() for c in column.chunks])
        if column.num_chunks
        else np.empty(0, "i4")
    )


def stream_runs(data: pa.Table) -> list[tuple[tuple[Any, ...], int, int]]:
    """Consecutive rows of one stream: ((scenario_id, design_id, replicate, arm_id), first row, row after)."""
    if not data.num_rows:
        return []
    names = [name for name in STREAM if name in data.schema.names]
    changed = np.zeros(data.num_rows - 1, bool)
    for name in names:
        values = codes(data[name])
        changed |= values[1:] != values[:-1]
    edges = [0, *(np.flatnonzero(changed) + 1).tolist(), data.num_rows]
    return [(tuple(data[name][a].as_py() for name in names), a, b) for a, b in pairwise(edges)]


def ascending(keys: list[np.ndarray]) -> np.ndarray:
    """bool[n - 1]: whether each row's key is greater than the one before it."""
    n = len(keys[0])
    greater, equal = np.zeros(max(n - 1, 0), bool), np.ones(max(n - 1, 0), bool)
    for values in keys:
        greater |= equal & (values[1:] > values[:-1])
        equal &= values[1:] == values[:-1]
    return greater


def _check_schema(spec: Table, found: pa.Schema) -> None:
    want = spec.schema
    if found.names != want.names:
        missing = [n for n in want.names if n not in found.names]
        extra = [n for n in found.names if n not in want.names]
        raise _broken(spec, None, f"columns differ: missing {missing}, extra {extra}, or another order")
    for w, f in zip(want, found, strict=True):
        if not f.type.equals(w.type):
            raise _broken(spec, w.name, f"is {f.type}, must be {w.type}")


def _check_values(spec: Table, column: Column, values: pa.ChunkedArray) -> None:
    if not column.nullable and values.null_count:
        raise _broken(spec, column.name, f"has {values.null_count} nulls and must have none")
    if pa.types.is_floating(column.type) and not pc.all(pc.is_finite(values), min_count=0).as_py():
        raise _broken(spec, column.name, "holds NaN or infinity; what is missing must be null")
    if column.values:
        used = {v for chunk in values.chunks for v in chunk.dictionary.to_pylist()}
        if not used <= set(column.values):
            raise _broken(
                spec, column.name, f"holds {sorted(used - set(column.values))}, not in its codelist"
            )
    if column.top is not None and len(values) > values.null_count:
        span = pc.min_max(values).as_py()
        if span["min"] < 0 or span["max"] > column.top:
            raise _broken(spec, column.name, f"runs {span['min']}..{span['max']}, must be 0..{column.top}")


def _check_ascending(spec: Table, data: pa.Table) -> None:
    if data.num_rows < 2:
        return
    fine = ascending(sort_keys(spec, data))
    for _, start, _ in stream_runs(data)[1:]:
        fine[start - 1] = True
    if not fine.all():
        row = int(np.argmin(fine)) + 1
        raise _broken(
            spec, None, f"primary key repeated or out of order in row {row}: {_row(spec, data, row)}"
        )


def _check_unique(spec: Table, data: pa.Table) -> None:
    if data.num_rows < 2:
        return
    ranks = [_places(data[name]) for name in spec.keys]
    order = np.lexsort(ranks[::-1])
    same = np.ones(len(order) - 1, bool)
    for values in ranks:
        ordered = values[order]
        same &= ordered[1:] == ordered[:-1]
    if same.any():
        row = int(order[int(np.argmax(same))])
        raise _broken(spec, None, f"primary key repeated: {_row(spec, data, row)}")


def _places(values: pa.ChunkedArray) -> np.ndarray:
    """Small whole numbers that are equal where the values are; missing ones are equal to each other."""
    if pa.types.is_integer(values.type) and not values.null_count:
        found = values.to_numpy()
        return found - found.min() if len(found) else found
    coded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    whole = coded.unify_dictionaries()
    return np.concatenate([chunk.indices.fill_null(-1).to_numpy() for chunk in whole.chunks])


def _ranks(column: Column, values: pa.ChunkedArray) -> np.ndarray:
    if not pa.types.is_dictionary(column.type):
        return values.to_numpy()
    order = {value: i for i, value in enumerate(column.values)}
    parts = [
        np.array([order.get(v, -1) for v in c.dictionary.to_pylist()] or [-1], "i4")[c.indices.to_numpy()]
        for c in values.chunks
    ]
    return np.concatenate(parts) if parts else np.empty(0, "i4")


def _row(spec: Table, data: pa.Table, row: int) -> str:
    return ", ".join(f"{name}={data[name][row].as_py()}" for name in spec.keys)


def _broken(spec: Table, column: str | None, why: str) -> OutputBroken:
    where = spec.name if column is None else f"{spec.name}.{column}"
    return OutputBroken(
        f"table {spec.name} breaks its declaration", where, f"{where} {why}" if column else why,
        "this is a fault of cartsim, not of the scenario: please report it",
    )  # fmt: skip
