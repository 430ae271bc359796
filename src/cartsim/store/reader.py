"""Why: everything after the run works from what is stored, and can make sure that it is what was written."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cartsim.errors import Mismatch, OutputBroken, Unreachable
from cartsim.record import schema
from cartsim.store.blocks import RETRY, read_receipts
from cartsim.store.content import Sums, add_sums, content_digest, content_sums
from cartsim.store.manifest import COMPLETE, listed_files, read_manifest, table_entry
from cartsim.store.place import Place
from cartsim.store.remote import fault


def parts_of(where: Place | Path | str, name: str, partial: bool = False) -> list[str]:
    """The files of a table in the order of the plan; with `partial` those of the blocks done so far.

    Raises `Unreachable` when there is no such run, or the run does not have the table.
    """
    place = Place.of(where)
    manifest = read_manifest(place, partial)
    if manifest.get("status") == COMPLETE:
        entry = table_entry(manifest, name)
        paths = [file["path"] for file in entry["files"]] if entry else []
    else:
        found = [receipt.table(name) for receipt in read_receipts(place).values()]
        paths = [table.path for table in found if table is not None]
    if not paths:
        raise Unreachable(f"no table {name} in this run", place.text, None, "list it under outputs: tables:")
    return paths


def read_parts(
    where: Place | Path | str,
    name: str,
    columns: list[str] | None = None,
    design_id: int | tuple[int, int] | None = None,
    partial: bool = False,
) -> Iterator[pa.Table]:
    """The row groups of a table, one after the other: bounded memory. Arguments as in `read_table`."""
    place = Place.of(where)
    for path in parts_of(place, name, partial):
        yield from groups_of(place, path, columns, design_id)


def read_table(
    where: Place | Path | str,
    name: str,
    columns: list[str] | None = None,
    design_id: int | tuple[int, int] | None = None,
    partial: bool = False,
) -> pa.Table:
    """One table of a run, parts in the order of the plan, dictionaries unified.

    `design_id` keeps one design point, or those of a half-open range (first, one after the last); row groups without
    them are not read. Columns, types, units and labels are declared in `cartsim.record`. Raises `Unreachable` when the
    run does not have the table or, unless `partial`, is not finished; `OutputBroken` for a damaged file.
    """
    parts = list(read_parts(where, name, columns, design_id, partial))
    wanted = schema(name) if columns is None else pa.schema([schema(name).field(c) for c in columns])
    if not parts:
        return wanted.empty_table()
    data = pa.concat_tables(parts).unify_dictionaries()
    return data.replace_schema_metadata(schema(name).metadata)


def read_provenance(where: Place | Path | str, name: str) -> dict[str, Any]:
    """What the footer of a table's first part says about the run."""
    place = Place.of(where)
    return json.loads(footer_of(place, parts_of(place, name)[0]))


def footer_of(place: Place, path: str) -> bytes:
    """The provenance in the footer of a file, as it stands there."""
    with _opened(place, path) as file:
        return bytes(file.schema_arrow.metadata[b"cartsim"])


def content_hash(where: Place | Path | str, name: str) -> str:
    """Content hash of a stored table, computed from its rows: the same for any blocks, parts or order."""
    return content_digest(name, stored_sums(Place.of(where), name, parts_of(where, name)))


def stored_sums(place: Place, name: str, paths: list[str]) -> Sums:
    """`content_sums` of the rows in some files."""
    return add_sums(*(content_sums(name, group) for path in paths for group in groups_of(place, path)))


def verify(where: Place | Path | str) -> None:
    """Raise `Mismatch` unless every file of a finished run is the one its manifest names.

    Raises `OutputBroken` for a marker that cannot be read.
    """
    place = Place.of(where)
    manifest = read_manifest(place)
    entries = [*manifest.get("tables", ()), *manifest.get("internal_tables", ())]
    for file in [file for entry in entries for file in entry["files"]] + manifest.get("files", []):
        data = place.find(file["path"])
        if data is None or hashlib.sha256(data).hexdigest() != file["sha256"]:
            raise Mismatch(
                "a file is not the one that was written",
                place.where(file["path"]),
                "it is missing" if data is None else "its sha256 differs from the manifest",
                "run again with --fresh, or take the file from a copy of the run",
            )
    counted = listed_files(manifest)
    if not manifest.get("compacted"):
        lost = {t.path for receipt in read_receipts(place).values() for t in receipt.tables} - counted
        if lost:
            raise Mismatch(
                "a block is not in the manifest", place.where(sorted(lost)[0]), None, "run the scenario again"
            )


def groups_of(
    place: Place,
    path: str,
    columns: list[str] | None = None,
    design_id: int | tuple[int, int] | None = None,
) -> Iterator[pa.Table]:
    """The row groups of one file, restricted as in `read_table`."""
    import pyarrow.compute as pc

    span = (design_id, design_id + 1) if isinstance(design_id, int) else design_id
    wanted = columns if columns is None or span is None else [*dict.fromkeys([*columns, "design_id"])]
    with _opened(place, path) as file:
        for number in range(file.num_row_groups):
            if span is not None and not _may_hold(file.metadata.row_group(number), span):
                continue
            data = file.read_row_group(number, columns=wanted)
            if span is not None:
                ids = data["design_id"]
                data = data.filter(pc.and_(pc.greater_equal(ids, span[0]), pc.less(ids, span[1])))
            yield data if columns is None else data.select(columns)


def _may_hold(group: Any, span: tuple[int, int]) -> bool:
    for i in range(group.num_columns):
        column = group.column(i)
        if column.path_in_schema == "design_id" and column.is_stats_set and column.statistics.has_min_max:
            return bool(column.statistics.min < span[1] and column.statistics.max >= span[0])
    return True


@contextmanager
def _opened(place: Place, path: str) -> Iterator[Any]:
    """A Parquet file of a place; what is wrong with it is said in plain words."""
    try:
        with place.open(path) as source, pq.ParquetFile(source) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        away = fault(str(error)) if place.local is None else None
        if away is not None:
            raise Unreachable("cannot read a file", place.where(path), *away) from error
        raise OutputBroken(
            "a file of the run is damaged", place.where(path), str(error).partition("\n")[0],
            RETRY,
        ) from error  # fmt: skip
