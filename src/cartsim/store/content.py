"""Why: the same run cut into other blocks, or done by other workers, gives other files but must hold the same rows.
The content hash says so: it depends on the rows of a table as a set with repeats, not on their order, parts, row
groups or dictionaries, and it adds up, so that blocks can be hashed where they are made.

Each row becomes two 64-bit numbers; a table's sums of them (modulo 2^64) and its number of rows are what blocks hand
over. A row is laid out in 64-bit words, column by column in declared order: a float takes one (-0.0 as 0.0, missing as
the one quiet NaN), a word one (the first eight bytes of its sha256, missing 0), smaller values share one, a byte beside
those that may be missing. Each word is scrambled by a bijection of its own, the words are weighed by odd constants into
two lanes, and each lane is scrambled again, so that values may not change places between rows or columns unseen.
Columns that were added later (`Column.added`) have a word each beside these, with constants made of their name; where
they hold nothing they add nothing, so that tables without them and with empty ones are the same content.

Strength: two lanes of 64 bits against chance. Tables that differ agree with a probability of about 2^-128, those that
differ in a single word of a single row never. It is no protection from somebody who looks for a collision: files have
their sha256 for that. STUDYID and USUBJID are made of the keys and left out.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cartsim.record import table as declared
from cartsim.record.kinds import Column

#: (rows, first lane, second lane): adds up over parts.
Sums = tuple[int, int, int]
NOTHING: Sums = (0, 0, 0)

_DERIVED = ("STUDYID", "USUBJID")
#: Rows scrambled at once: few enough to stay in the processor's cache.
_ROWS = 1024
_WORD = 8
_ALL = (1 << 64) - 1
# Multipliers of the finaliser of SplitMix64 (Steele, Lea, Flood 2014, doi 10.1145/2660193.2660195).
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def content_sums(name: str, data: pa.Table) -> Sums:
    """Sums of the row hashes of some rows of table `name`, whose schema must be the declared one."""
    if not data.num_rows:
        return NOTHING
    lanes = row_hashes(name, data)
    first, second = (int(lane.sum(dtype=np.uint64)) for lane in lanes)
    return data.num_rows, first, second


def add_sums(*sums: Sums) -> Sums:
    """The sums of parts taken together."""
    rows, first, second = (sum(part) for part in zip(*sums, strict=True)) if sums else NOTHING
    return rows, first & _ALL, second & _ALL


def content_digest(name: str, *sums: Sums) -> str:
    """sha256 over the table's name, columns and the sums of its parts."""
    head = [name, [[c.name, str(c.type)] for c in declared(name).columns if not c.added]]
    return hashlib.sha256(json.dumps([head, list(add_sums(*sums))]).encode()).hexdigest()


def row_hashes(name: str, data: pa.Table) -> np.ndarray:
    """uint64[2, n]: the two lanes of each row."""
    layout = _layout(name)
    n = data.num_rows
    values = [(slot, *_encode(slot.column, data[slot.column.name])) for slot in layout.slots]
    extra = _added_lanes(name, data)
    lanes = np.empty((2, n), np.uint64)
    words = np.empty((layout.words, _ROWS), np.uint64)
    scratch = np.empty_like(words)
    for start in range(0, n, _ROWS):
        stop = min(start + _ROWS, n)
        size = stop - start
        words[layout.shared] = 0
        for slot, column, valid in values:
            row = words[slot.word, :size].view(slot.kind).reshape(size, -1)
            row[:, slot.at] = column[start:stop]
            if slot.valid is not None:
                flags = words[slot.valid[0], :size].view("u1").reshape(size, -1)
                flags[:, slot.valid[1]] = 1 if valid is None else valid[start:stop]
        w, s = words[:, :size], scratch[:, :size]
        w ^= layout.keys
        _scramble(w, s)
        for lane in range(2):
            np.multiply(w, layout.weights[lane], out=s)
            total = lanes[lane, start:stop]
            np.add.reduce(s, axis=0, out=total)
            if extra is not None:
                total += extra[lane, start:stop]
            _scramble(total, s[0])
    return lanes


def _added_lanes(name: str, data: pa.Table) -> np.ndarray | None:
    """uint64[2, n]: what added columns put into each lane before it is scrambled; None where all are empty."""
    lanes: np.ndarray | None = None
    for column in declared(name).columns:
        values = data[column.name]
        if not column.added or values.null_count == len(values):
            continue
        encoded, _ = _encode(column, values)
        whole = encoded.astype("<i8") if encoded.dtype.kind == "i" else encoded
        words = whole.view("<u8").copy()
        key, *weights = np.frombuffer(hashlib.shake_256(f"cartsim {column.name}".encode()).digest(24), "<u8")
        words ^= key
        _scramble(words, np.empty_like(words))
        words[values.is_null().to_numpy()] = 0
        if lanes is None:
            lanes = np.zeros((2, len(words)), np.uint64)
        for lane, weight in zip(lanes, weights, strict=True):
            lane += words * (weight | np.uint64(1))
    return lanes


@dataclass(frozen=True)
class _Slot:
    """Where a column lies in a row: its word, its place there in units of its own type, and its validity byte."""

    column: Column
    kind: str
    word: int
    at: int
    valid: tuple[int, int] | None


@dataclass(frozen=True)
class _Layout:
    slots: tuple[_Slot, ...]
    words: int
    #: Words that several columns share; they may have bytes that no column fills.
    shared: slice
    keys: np.ndarray
    weights: np.ndarray


@cache
def _layout(name: str) -> _Layout:
    """Columns of eight bytes first, then the smaller ones by falling size, then validity bytes."""
    columns = [c for c in declared(name).columns if c.name not in _DERIVED and not c.added]
    byte: dict[str, int] = {}
    flag: dict[str, int] = {}
    end = 0
    for column in sorted(columns, key=lambda c: -_width(c)):
        byte[column.name] = end
        end += _width(column)
    for column in columns:
        if column.nullable and not _says_missing(column):
            flag[column.name] = end
            end += 1
    slots = []
    for column in columns:
        at, width = byte[column.name], _width(column)
        kind = "<u8" if _is_word(column) else np.dtype(column.type.to_pandas_dtype()).newbyteorder("<").str
        valid = divmod(flag[column.name], _WORD) if column.name in flag else None
        slots.append(_Slot(column, kind, at // _WORD, at % _WORD // width, valid))
    whole = sum(_width(c) == _WORD for c in columns)
    words = -(-end // _WORD)
    numbers = np.frombuffer(hashlib.shake_256(b"cartsim content").digest(words * 3 * _WORD), "<u8")
    keys, weights = numbers[:words, None], (numbers[words:] | np.uint64(1)).reshape(2, words, 1)
    return _Layout(tuple(slots), words, slice(whole, words), keys, weights)


def _width(column: Column) -> int:
    return _WORD if _is_word(column) else column.type.bit_width // 8


def _is_word(column: Column) -> bool:
    return pa.types.is_dictionary(column.type) or pa.types.is_string(column.type)


def _says_missing(column: Column) -> bool:
    return _is_word(column) or pa.types.is_floating(column.type)


def _scramble(values: np.ndarray, scratch: np.ndarray) -> None:
    """SplitMix64's finaliser in place: every bit of the input moves every bit of the output."""
    for shift, factor in ((30, _MIX[0]), (27, _MIX[1]), (31, None)):
        np.right_shift(values, np.uint64(shift), out=scratch)
        np.bitwise_xor(values, scratch, out=values)
        if factor is not None:
            np.multiply(values, factor, out=values)


def _encode(column: Column, values: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray | None]:
    """(values, validity or None): what the bytes of a column are made of."""
    if _is_word(column):
        chunks = values.chunks
        if pa.types.is_string(column.type):
            chunks = [chunk.dictionary_encode() for chunk in chunks]
        return np.concatenate([_digests(chunk) for chunk in chunks]), None
    if pa.types.is_floating(column.type):
        floats = (pc.fill_null(values, np.nan) if values.null_count else values).to_numpy()
        return floats + 0.0, None
    if not values.null_count:
        return values.to_numpy(), None
    return pc.fill_null(values, 0).to_numpy(), values.is_valid().to_numpy()


def _digests(chunk: Any) -> np.ndarray:
    missing = len(chunk.dictionary)
    codes = chunk.indices.fill_null(missing) if chunk.indices.null_count else chunk.indices
    digests = np.array([*map(_digest, chunk.dictionary.to_pylist()), 0], "<u8")
    return digests[codes.to_numpy()]


@cache
def _digest(word: str | None) -> int:
    return 0 if word is None else int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
