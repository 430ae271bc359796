"""Why: how a table lies on disk is decided once: compression, encodings, row groups, names
(docs/decisions/0002-store.md has the measurements)."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cartsim.errors import OutputBroken
from cartsim.record import check, dataset_json
from cartsim.record import table as declared
from cartsim.record.kinds import Table
from cartsim.store.content import NOTHING, Sums, add_sums, content_sums
from cartsim.store.disk import plain_words
from cartsim.store.place import Place
from cartsim.store.provenance import Provenance

#: Rows of a row group of a block, and rows gathered before one is written where several tables make a file.
GROUP_ROWS = 65_536


@dataclass(frozen=True)
class TableReceipt:
    """One file of a table: where it lies, how long it is, what it holds."""

    name: str
    path: str
    rows: int
    bytes: int
    sha256: str
    #: The two lanes of `content_sums`.
    content: tuple[int, int]

    @property
    def sums(self) -> Sums:
        """What the file adds to the content hash of its table."""
        return self.rows, *self.content

    def file(self) -> dict[str, object]:
        """Its line in a manifest."""
        return {"path": self.path, "rows": self.rows, "bytes": self.bytes, "sha256": self.sha256}

    def plain(self) -> dict[str, object]:
        """Plain data; 64-bit numbers as hexadecimal, since JSON readers round large ones."""
        return {"name": self.name, **self.file(), "content": [f"{lane:016x}" for lane in self.content]}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> "TableReceipt":
        """Read back what `plain` wrote."""
        first, second = (int(lane, 16) for lane in plain["content"])
        return cls(
            str(plain["name"]), str(plain["path"]), int(plain["rows"]), int(plain["bytes"]),
            str(plain["sha256"]), (first, second),
        )  # fmt: skip


def _schema(name: str, provenance: bytes) -> pa.Schema:
    """The declared schema with both footers."""
    return declared(name).schema.with_metadata(
        {b"cartsim": provenance, b"metadata_json": dataset_json(name).encode()}
    )


def encode(name: str, data: pa.Table, provenance: Provenance) -> bytes:
    """A checked table as a Parquet file; the same rows give the same bytes. Raises `OutputBroken`."""
    sink = io.BytesIO()
    try:
        # Nullability and notes of the columns are the declared ones, whoever made the table.
        noted = pa.Table.from_arrays(data.columns, schema=_schema(name, provenance.footer(name)))
        with pq.ParquetWriter(sink, noted.schema, **options(declared(name))) as writer:
            writer.write_table(noted, row_group_size=GROUP_ROWS)
    except pa.ArrowException as error:
        raise OutputBroken("a table cannot be encoded", name, str(error)) from error
    return sink.getvalue()


class FileWriter:
    """One Parquet file written from several tables with bounded memory; nothing stands there before `close`.

    Use as a context manager: leaving it normally closes, an exception drops the file.
    """

    def __init__(self, place: Place, name: str, provenance: bytes, path: str) -> None:
        """`provenance` is the footer. Raises `Unreachable` where the file cannot be written."""
        self.name, self.path = name, path
        self._schema = _schema(name, provenance)
        self._where = place.where(path)
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._sums = NOTHING
        #: Set by `close`.
        self.receipt: TableReceipt | None = None
        with ExitStack() as stack:
            self._file = stack.enter_context(place.writing(path))
            with self._storage():
                self._writer = pq.ParquetWriter(self._file, self._schema, **options(declared(name)))
            self._stack = stack.pop_all()

    def append(self, data: pa.Table) -> None:
        """Add rows; they reach the disk with their row group."""
        self._sums = add_sums(self._sums, content_sums(self.name, data))
        self._pending.append(pa.Table.from_arrays(data.columns, schema=self._schema))
        self._pending_rows += data.num_rows
        if self._pending_rows >= GROUP_ROWS:
            self._flush()

    @property
    def rows(self) -> int:
        """Rows taken in so far."""
        return self._sums[0]

    @property
    def bytes(self) -> int:
        """Bytes written so far, without rows that wait for their row group."""
        return self._file.stat().st_size

    def close(self) -> TableReceipt:
        """Write what is left and put the file in its place."""
        if self.receipt is None:
            with self._stack, self._storage():
                if self._pending_rows or not self.rows:
                    self._flush()
                self._writer.close()
                with self._file.open("rb") as file:
                    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                rows, first, second = self._sums
                receipt = TableReceipt(self.name, self.path, rows, self.bytes, sha256, (first, second))
            self.receipt = receipt
        return self.receipt

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        elif self.receipt is None:
            with suppress(OSError, pa.ArrowException):
                self._writer.close()
            self._stack.__exit__(kind, error, trace)

    def _flush(self) -> None:
        data = pa.concat_tables(self._pending) if self._pending else self._schema.empty_table()
        self._pending, self._pending_rows = [], 0
        with self._storage():
            self._writer.write_table(data, row_group_size=max(data.num_rows, 1))

    @contextmanager
    def _storage(self) -> Iterator[None]:
        try:
            with plain_words("write a file", self._where):
                yield
        except pa.ArrowException as error:
            raise OutputBroken("a table cannot be encoded", self._where, str(error)) from error


class ResultWriter(FileWriter):
    """`<name>.parquet` (outcomes, contrasts), written from several groups of design points.

    Each group is checked by itself: keys are unique within it, and its design points come after those before it.

    >>> with ResultWriter(place, "outcomes", provenance) as writer:   # doctest: +SKIP
    ...     writer.append(of_the_first_hundred_points)
    >>> writer.receipt                                                # doctest: +SKIP
    """

    def __init__(self, place: Place, name: str, provenance: Provenance) -> None:
        super().__init__(place, name, provenance.footer(name), f"{name}.parquet")
        self._last: int | None = None

    def append(self, data: pa.Table) -> None:
        """Add rows. Raises `OutputBroken` for rows that break the table's declaration or come again."""
        check(self.name, data)
        if data.num_rows:
            span = pc.min_max(data["design_id"]).as_py()
            if self._last is not None and span["min"] <= self._last:
                raise OutputBroken(
                    f"design points of {self.name} are not in order", f"{self.name} design_id {span['min']}",
                    f"they come after design point {self._last}", "this is a fault of cartsim: please report it",
                )  # fmt: skip
            self._last = span["max"]
        super().append(data)


def options(spec: Table) -> dict[str, Any]:
    """How `pyarrow.parquet.ParquetWriter` is to write a table."""
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
