"""Why: how a table lies on disk is decided once: compression, encodings, the size of parts and row groups
(docs/decisions/0002-store.md has the measurements)."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cartsim.record import dataset_json
from cartsim.record import table as declared
from cartsim.record.kinds import Table

#: Rows gathered before a row group is written; a larger part is one row group of its own.
GROUP_ROWS = 65_536
#: A part is closed when it holds this many rows.
PART_ROWS = 524_288


class PartWriter:
    """Parts of one table in one folder; not safe for several threads at once."""

    def __init__(self, folder: Path, name: str, provenance: bytes) -> None:
        self._spec = declared(name)
        self._folder = folder
        self._schema = self._spec.schema.with_metadata(
            {b"cartsim": provenance, b"metadata_json": dataset_json(name).encode()}
        )
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._writer: pq.ParquetWriter | None = None
        self._part_rows = 0
        self.paths: list[Path] = []
        self.rows: list[int] = []

    def add(self, data: pa.Table) -> None:
        """Take in rows; they reach the disk with their row group."""
        # Nullability and notes of the columns are the declared ones, whoever made the table.
        self._pending.append(pa.Table.from_arrays(data.columns, schema=self._schema))
        self._pending_rows += data.num_rows
        if self._pending_rows >= GROUP_ROWS:
            self._flush()
            if self._part_rows >= PART_ROWS:
                self._close_part()

    def close(self) -> None:
        """Write what is left; a table without rows still has one file, which holds its columns."""
        if self._pending_rows or not self.paths:
            self._flush()
        self._close_part()

    def abandon(self) -> None:
        """Let go of the open file, whatever state it is in."""
        self._pending = []
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            except (OSError, pa.ArrowException):
                return

    def _flush(self) -> None:
        data = pa.concat_tables(self._pending) if self._pending else self._schema.empty_table()
        self._pending, self._pending_rows = [], 0
        if self._writer is None:
            path = part_path(self._folder, self._spec, len(self.paths))
            path.parent.mkdir(exist_ok=True)
            self.paths.append(path)
            self._writer = pq.ParquetWriter(path, self._schema, **_options(self._spec))
            self._part_rows = 0
        self._writer.write_table(data, row_group_size=max(1, data.num_rows))
        self._part_rows += data.num_rows

    def _close_part(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()
            self.rows.append(self._part_rows)


def part_path(folder: Path, spec: Table, number: int) -> Path:
    """Where a part of a table lies in a run's folder."""
    return (
        folder / spec.name / f"part-{number:05d}.parquet"
        if spec.streamed
        else folder / f"{spec.name}.parquet"
    )


def parts_of(folder: Path, name: str) -> list[Path]:
    """The files of a table in a run's folder, in order; empty when there are none."""
    spec = declared(name)
    if spec.streamed:
        return sorted((folder / name).glob("part-*.parquet"))
    path = part_path(folder, spec, 0)
    return [path] if path.exists() else []


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _options(spec: Table) -> dict[str, Any]:
    # Measured in docs/decisions/0002-store.md: dictionaries of floats cost twice the time and more space than
    # none; USUBJID never repeats within adsl, and elsewhere zstd sees its repeats.
    fields = list(spec.schema)
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": [f.name for f in fields if pa.types.is_dictionary(f.type)],
        "column_encoding": {f.name: "BYTE_STREAM_SPLIT" for f in fields if pa.types.is_floating(f.type)},
        "write_statistics": [k for k in spec.keys if pa.types.is_integer(spec.column(k).type)],
    }
