"""Why: the same run in other blocks gives other bytes, but must hold the same rows. The content hash says so: it
depends on the rows of each stream in key order, not on parts, row groups, block size or dictionaries.

Each row is encoded with a fixed width, column by column in declared order: integers and floats little-endian
(a missing float is the one quiet NaN, a missing integer is 0 with its validity byte 0), words as the first eight
bytes of their sha256 (missing: zeros). The columns that name the stream head its hash; STUDYID and USUBJID are
made of the keys and left out. A table's hash is the sha256 over its streams, sorted.
"""

import hashlib
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cartsim.errors import OutputBroken
from cartsim.record import STREAM
from cartsim.record import table as declared
from cartsim.record.check import sort_keys, stream_runs
from cartsim.record.kinds import Column, Table

_DERIVED = ("STUDYID", "USUBJID")
#: Rows packed at once: few enough to stay in the processor's cache.
_ROWS = 2048


class ContentHash:
    """Running content hash of one table; `add` parts in the order in which they are written."""

    def __init__(self, name: str) -> None:
        self._spec = declared(name)
        self._columns = [c for c in self._spec.columns if c.name not in (*STREAM, *_DERIVED)]
        self._dtype = _row_dtype(self._columns)
        self._streams: dict[tuple[Any, ...], _Stream] = {}
        self._words: dict[str | None, bytes] = {None: bytes(8)}

    def add(self, data: pa.Table) -> None:
        """Take in some rows. Raises OutputBroken when they do not follow those of their stream."""
        if not data.num_rows:
            return
        packed = {c.name: self._encode(c, data[c.name]) for c in self._columns}
        keys = sort_keys(self._spec, data) if self._spec.streamed else []
        runs = stream_runs(data) if self._spec.streamed else [((), 0, data.num_rows)]
        for name, start, stop in runs:
            stream = self._streams.setdefault(name, _Stream())
            if keys:
                stream.follow(self._spec, name, [k[start] for k in keys], [k[stop - 1] for k in keys])
            for a in range(start, stop, _ROWS):
                b = min(a + _ROWS, stop)
                rows = np.empty(b - a, self._dtype)
                for c in self._columns:
                    values, valid = packed[c.name]
                    rows[c.name] = values[a:b]
                    if c.name + "?" in self._dtype.fields:  # type: ignore[operator]
                        rows[c.name + "?"] = 1 if valid is None else valid[a:b]
                stream.sha.update(rows.view(np.uint8).data)
            stream.rows += stop - start

    def hexdigest(self) -> str:
        """sha256 over the table's name, columns and streams."""
        head = [self._spec.name, [[c.name, str(c.type)] for c in self._spec.columns]]
        if not self._spec.streamed:
            bodies = [[list(k), s.rows, s.sha.hexdigest()] for k, s in self._streams.items()]
        else:
            bodies = sorted([list(k), s.rows, s.sha.hexdigest()] for k, s in self._streams.items())
        return hashlib.sha256(json.dumps([head, bodies]).encode()).hexdigest()

    def _encode(self, column: Column, values: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray | None]:
        if pa.types.is_dictionary(column.type):
            return np.concatenate([self._digests(c) for c in values.chunks]), None
        if pa.types.is_string(column.type):
            return np.concatenate([self._digests(c.dictionary_encode()) for c in values.chunks]), None
        if pa.types.is_floating(column.type):
            return values.to_numpy() if not values.null_count else pc.fill_null(
                values, np.nan
            ).to_numpy(), None
        if not values.null_count:
            return values.to_numpy(), None
        return pc.fill_null(values, 0).to_numpy(), values.is_valid().to_numpy()

    def _digests(self, chunk: pa.DictionaryArray) -> np.ndarray:
        codes = (
            chunk.indices if not chunk.indices.null_count else chunk.indices.fill_null(len(chunk.dictionary))
        )
        of_word = b"".join(self._digest(word) for word in (*chunk.dictionary.to_pylist(), None))
        return np.frombuffer(of_word, "<u8")[codes.to_numpy()]

    def _digest(self, word: str | None) -> bytes:
        if word not in self._words:
            self._words[word] = hashlib.sha256(str(word).encode()).digest()[:8]
        return self._words[word]


class _Stream:
    """Rows of one arm so far: their hash, and the last key, which the next must exceed."""

    def __init__(self) -> None:
        self.sha = hashlib.sha256()
        self.rows = 0
        self.last: list[Any] | None = None

    def follow(self, spec: Table, name: tuple[Any, ...], first: list[Any], last: list[Any]) -> None:
        if self.last is not None and not self.last < first:
            raise OutputBroken(
                f"rows of {spec.name} are not in key order",
                f"{spec.name} {'/'.join(map(str, name))}",
                f"a part begins at {first[0]} after one that ended at {self.last[0]}",
                "write the blocks of subjects in ascending order, each once",
            )
        self.last = last


def _row_dtype(columns: list[Column]) -> np.dtype:
    fields: list[tuple[str, str]] = []
    for c in columns:
        if pa.types.is_dictionary(c.type) or pa.types.is_string(c.type):
            fields.append((c.name, "<u8"))
            continue
        fields.append((c.name, np.dtype(c.type.to_pandas_dtype()).newbyteorder("<").str))
        if c.nullable and not pa.types.is_floating(c.type):
            fields.append((c.name + "?", "u1"))
    return np.dtype(fields)
