"""The table of counts itself: its columns, its kinds of rows, its one order, and how several become one.

Two tables that count the same subjects are equal to the last byte, whatever blocks they came from, because rows,
words and limbs of sums have a single form. Folding is mostly copying: a block holds whole cohorts but for its ends.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cartsim.analysis.counts import NO_KEY, Floats, Ints
from cartsim.analysis.fixed import LIMBS, carry

WORD = pa.dictionary(pa.int32(), pa.string())
TALLY = pa.schema(
    [
        pa.field("design_id", pa.int32(), nullable=False),
        pa.field("replicate", pa.int32(), nullable=False),
        pa.field("arm_id", WORD, nullable=False),
        pa.field("kind", WORD, nullable=False),
        pa.field("feature", WORD, nullable=False),
        pa.field("key", pa.float64(), nullable=False),
        pa.field("key2", pa.float64()),
        pa.field("count", pa.int64(), nullable=False),
    ]
)
#: Kinds of rows: what `feature` names; what `key` (and `key2`) are.
SUBJECTS = "subjects"  # nothing; 0
LEVEL = "level"  # a measure and column; level
JOINT = "joint level"  # the same; level in the reference, level in this arm
VALUE = "value"  # a column; its value
PAIR = "pair"  # a column; value in the reference, value in this arm
MOMENT = "moment"  # a column; limb (see fixed.py)
DIFFERENCE = "difference moment"  # a column, this arm minus the reference; limb
CHANGED = "changed"  # a column; LESS or MORE under this arm than under the reference
TOTAL = "total over draws"  # what is asked of a subject (crossed.py); limb of the sum over parameter sets
TOTAL_DIFFERENCE = "difference over draws"  # the same, this arm minus the reference; limb
DIFFERING = "differing"  # nothing; 0: subjects whose rows differ from the reference's in any column read
UNFOLLOWED = "censored before"  # a time; a report day
DEATH, CENSORED = "death first", "censored first"  # a time; day of death, or last day seen, without the event

LESS, MORE = 0, 1

_WORDS = ("arm_id", "kind", "feature")
#: Codes of the three words, and the texts they stand for.
Words = list[tuple[NDArray[np.int64], list[str]]]


def fold(tables: Iterable[pa.Table]) -> pa.Table:
    """Return the sum of tallies: one row a key, by design, replicate, arm, kind, feature, key, key2 (words by letter).

    Any order or partition of the same subjects gives an equal table, and folding a folded table leaves it alone.
    """
    held = [table for table in tables if table.num_rows]
    if not held:
        return TALLY.empty_table()
    words = [_join_words([table[name] for table in held]) for name in _WORDS]
    design, replicate, key, key2, count = (
        np.concatenate([_plain(table, name) for table in held])
        for name in ("design_id", "replicate", "key", "key2", "count")
    )
    return build(design, replicate, words, key, key2, count)


def build(
    design: NDArray[Any],
    replicate: NDArray[Any],
    words: Words,
    key: NDArray[Any],
    key2: NDArray[Any],
    count: NDArray[Any],
) -> pa.Table:
    """Return the table of these rows (n,), put in order, equal keys added up; `key2` is NO_KEY where there is none."""
    series = _series(design, replicate, words)
    if not (series[1:] >= series[:-1]).all():
        order = np.argsort(series, kind="stable")
        design, replicate, series, key, key2, count = (
            x[order] for x in (design, replicate, series, key, key2, count)
        )
        words = [(codes[order], texts) for codes, texts in words]
    same = series[1:] == series[:-1]
    rising = (key[1:] > key[:-1]) | ((key[1:] == key[:-1]) & (key2[1:] > key2[:-1]))
    broken = np.flatnonzero(same & ~rising)
    if len(broken):
        # Only series that came from several blocks are sorted again; their rows already stand together.
        member = np.concatenate([[0], np.cumsum(~same)])
        again = np.zeros(member[-1] + 1, np.bool_)
        again[member[broken]] = True
        rows = np.flatnonzero(again[member])
        inner = rows[np.lexsort((key2[rows], key[rows], member[rows]))]
        key[rows], key2[rows], count[rows] = key[inner], key2[inner], count[inner]
        new = np.ones(len(series), np.bool_)
        new[1:] = ~same | (key[1:] != key[:-1]) | (key2[1:] != key2[:-1])
        first = np.flatnonzero(new)
        count = np.add.reduceat(count, first)
        design, replicate, key, key2 = (x[first] for x in (design, replicate, key, key2))
        words = [(codes[first], texts) for codes, texts in words]
        _carry_all(words[1], count)
    return _table(design, replicate, words, key, key2, count)


def pool_replicates(table: pa.Table) -> pa.Table:
    """Return the tally with all replicates of a design point as one cohort, numbered 0."""
    if not table.num_rows or not np.any(table["replicate"].to_numpy()):
        return table
    zero = pa.array(np.zeros(table.num_rows, np.int32))
    return fold([table.set_column(1, TALLY.field("replicate"), zero)])


def no_subjects(designs: Sequence[int], arm_id: str) -> pa.Table:
    """Return a tally which says that these design points hold nobody, so that they have rows all the same."""
    n = len(designs)
    words: Words = [(np.zeros(n, np.int64), [text]) for text in (arm_id, SUBJECTS, "")]
    nothing = np.zeros(n, np.int64)
    return build(np.asarray(designs), nothing, words, np.zeros(n), np.full(n, NO_KEY), nothing)


def _plain(table: pa.Table, name: str) -> NDArray[Any]:
    column = table[name]
    if name == "key2":
        column = column.fill_null(NO_KEY)
    return np.asarray(column.to_numpy())


def word_codes(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str]]:
    """Codes of a column of words and its texts, one dictionary whatever the chunks."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    whole = column.unify_dictionaries().combine_chunks()
    return whole.indices.to_numpy(zero_copy_only=False).astype(np.int64), whole.dictionary.to_pylist()


def _join_words(columns: Sequence[pa.ChunkedArray]) -> tuple[NDArray[np.int64], list[str]]:
    parts = [word_codes(column) for column in columns]
    used = [np.flatnonzero(np.bincount(codes, minlength=len(own))) for codes, own in parts]
    texts = sorted({own[k] for which, (_, own) in zip(used, parts, strict=True) for k in which})
    at = {text: k for k, text in enumerate(texts)}
    return np.concatenate([np.array([at.get(t, -1) for t in own])[codes] for codes, own in parts]), texts


def _series(design: NDArray[Any], replicate: NDArray[Any], words: Words) -> Ints:
    """One number for what a row belongs to, rising in the table's order: design, replicate, arm, kind, feature."""
    number: Ints = np.zeros(len(design), np.int64)
    room = 1
    for codes, size in (
        (design, None),
        (replicate, None),
        *((codes, len(texts)) for codes, texts in words),
    ):
        if size is None:
            size = int(codes.max()) + 1
        if room * size >= 2**63:
            number = np.unique(number, return_inverse=True)[1].astype(np.int64)
            room = int(number.max()) + 1
        number = number * size + codes
        room *= size
    return number


def _carry_all(kinds: tuple[NDArray[np.int64], list[str]], count: Ints) -> None:
    """Bring the limbs of sums, which stand together, to their one form, in place."""
    codes, texts = kinds
    sums = [k for k, text in enumerate(texts) if text in (MOMENT, DIFFERENCE, TOTAL, TOTAL_DIFFERENCE)]
    rows = np.flatnonzero(np.isin(codes, sums))
    if len(rows):
        limbs = count[rows].reshape(-1, LIMBS)
        carry(limbs)
        count[rows] = limbs.ravel()


def _table(
    design: NDArray[Any],
    replicate: NDArray[Any],
    words: Words,
    key: Floats,
    key2: Floats,
    count: Ints,
) -> pa.Table:
    coded = [
        pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(texts, pa.string()))
        for codes, texts in words
    ]
    columns = [
        pa.array(design, pa.int32()),
        pa.array(replicate, pa.int32()),
        *coded,
        pa.array(key),
        pa.array(key2, mask=key2 == NO_KEY),
        pa.array(count, pa.int64()),
    ]
    return pa.table(columns, schema=TALLY)
