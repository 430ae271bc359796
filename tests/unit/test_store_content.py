"""The content hash: the same rows give the same hash in any order and any parts, anything else another one."""

import hashlib
import json
import struct
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from store_builder import ARMS, fake, tallies

from cartsim import record
from cartsim.store import content
from cartsim.store.content import NOTHING, add_sums, content_digest, content_sums, row_hashes

WORDS = ("AE", "ÄÖ", "", "a", "b")


def digest(name: str, *parts: pa.Table) -> str:
    return content_digest(name, *(content_sums(name, part) for part in parts))


def changed(table: pa.Table, column: str, values: list) -> pa.Table:
    i = table.schema.names.index(column)
    field = table.schema.field(column)
    plain = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    return table.set_column(i, field, pa.array(values, plain).cast(field.type))


def random_table(name: str, rng: np.random.Generator, n: int) -> pa.Table:
    """Values of few levels, so that near-collisions abound; nothing is checked against the declaration."""
    arrays = []
    for c in record.table(name).columns:
        missing = rng.random(n) < 0.2 if c.nullable else np.zeros(n, bool)
        if pa.types.is_dictionary(c.type) or pa.types.is_string(c.type):
            values = [WORDS[k] for k in rng.integers(0, len(WORDS), n)]
            arrays.append(pa.array(values, pa.string(), mask=missing).cast(c.type))
        elif pa.types.is_floating(c.type):
            arrays.append(pa.array(rng.choice([0.0, -1.0, 1.0, 2.0, 0.5], n), c.type, mask=missing))
        else:
            arrays.append(pa.array(rng.integers(0, 4, n), c.type, mask=missing))
    return pa.Table.from_arrays(arrays, schema=record.schema(name))


def test_order_parts_chunks_and_dictionaries_do_not_matter() -> None:
    rng = np.random.default_rng(20261122)
    for name in ("adsl", "adcm", "adtte", "events", "outcomes", "contrasts", "tallies", "ward_waits"):
        for n in (1, 2, 7, 1030):
            table = random_table(name, rng, n)
            whole = digest(name, table)
            mixed = table.take(rng.permutation(n))
            cut = int(rng.integers(0, n + 1))
            assert digest(name, mixed) == whole
            assert digest(name, mixed.slice(cut), table.slice(0, 0), mixed.slice(0, cut)) == whole
            chunks = pa.concat_tables([mixed.slice(cut), mixed.slice(0, cut)])
            assert digest(name, chunks) == digest(name, chunks.unify_dictionaries()) == whole


@pytest.mark.parametrize(
    "column", ["AGE", "TRT01PN", "SEX", "t_death_d", "DTHADY", "DTHFL", "subject", "arm_id"]
)
def test_every_kind_of_change_is_seen(column: str) -> None:
    table = fake("adsl", "early", 0, 5)
    values = table[column].to_pylist()
    words = {"SEX": ("M", "F"), "DTHFL": ("Y", None), "arm_id": ("early", "late")}
    if column in words:
        first, second = words[column]
        values[4] = second if values[4] == first else first
    else:
        values[4] = (values[4] or 0) + 1
    assert digest("adsl", table) != digest("adsl", changed(table, column, values))


def test_single_bits_and_missing_values_are_seen_everywhere() -> None:
    """Each bit of a value of each column of each table, and its absence, give hashes of their own in both lanes."""
    rng = np.random.default_rng(5)
    tried = 0
    for spec in record.TABLES.values():
        row = random_table(spec.name, rng, 1)
        seen = [row_hashes(spec.name, row)]
        for c in spec.columns:
            if c.name in ("STUDYID", "USUBJID"):
                continue
            others = list(_alternatives(row.schema.field(c.name), row[c.name][0].as_py()))
            copies = row.take([0] * len(others))
            seen.append(row_hashes(spec.name, changed(copies, c.name, others)))
        lanes = np.concatenate(seen, axis=1)
        assert [len(np.unique(lane)) for lane in lanes] == [lanes.shape[1]] * 2, spec.name
        tried += lanes.shape[1] - 1
    print(f"{tried} single changes")
    assert tried > 5_000


def _alternatives(field: pa.Field, value: object) -> list:
    found: list = [None] if field.nullable and value is not None else []
    if pa.types.is_dictionary(field.type) or pa.types.is_string(field.type):
        return [*found, *(w for w in WORDS if w != value)]
    if pa.types.is_floating(field.type):
        bits = np.array([value if value is not None else 3.0]).view("u8") ^ (
            np.uint64(1) << np.arange(64, dtype="u8")
        )
        return [*found, *(x for x in bits.view("f8").tolist() if np.isfinite(x) and x != value)]
    width = field.type.bit_width
    plain = np.array([value or 0]).astype(f"i{width // 8}")
    flipped = plain.view(f"u{width // 8}") ^ (1 << np.arange(width, dtype="u8")).astype(f"u{width // 8}")
    more = [0] if value is None else []
    return [*found, *more, *flipped.view(plain.dtype).tolist()]


def test_values_may_not_change_places() -> None:
    """Between two rows of a column and between two columns of a row, over many random tables of few levels."""
    rng = np.random.default_rng(11)
    by_row = by_column = 0
    for _ in range(400):
        table = random_table("adtte", rng, 4)
        before = digest("adtte", table)
        for name in ("AVAL", "PARAMCD", "CNSR", "subject"):
            values = table[name].to_pylist()
            if values[0] != values[1]:
                others = [c for c in table.column_names if c not in (name, "STUDYID", "USUBJID")]
                if any(table[c][0].as_py() != table[c][1].as_py() for c in others):
                    by_row += 1
                    assert (
                        digest("adtte", changed(table, name, [values[1], values[0], *values[2:]])) != before
                    )
        a, b = ("design_id", "replicate") if rng.random() < 0.5 else ("PARAMCD", "PARAM")
        if table[a].to_pylist() != table[b].to_pylist():
            by_column += 1
            swapped = changed(changed(table, a, table[b].to_pylist()), b, table[a].to_pylist())
            assert digest("adtte", swapped) != before
    print(f"{by_row} swaps of rows, {by_column} of columns")
    assert by_row > 1_000 and by_column > 300


def test_rows_dropped_doubled_or_moved_between_arms_are_seen() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        n = int(rng.integers(2, 12))
        table = random_table("adcm", rng, n)
        row = int(rng.integers(0, n))
        rest = table.take([k for k in range(n) if k != row])
        one = table.slice(row, 1)
        before = digest("adcm", table)
        assert before not in (
            digest("adcm", rest),
            digest("adcm", table, one),
            digest("adcm", table, one, one),
        )
        if not rest.slice(0, 1).equals(one):
            assert digest("adcm", rest, rest.slice(0, 1)) != before


def test_zero_has_one_sign_and_missing_is_neither_zero_nor_empty() -> None:
    table = fake("adtte", "early", 0, 2)
    zeros = [0.0] * 4
    assert digest("adtte", changed(table, "AVAL", zeros)) == digest(
        "adtte", changed(table, "AVAL", [-0.0] * 4)
    )
    adsl = fake("adsl", "early", 1, 1)
    assert len({digest("adsl", changed(adsl, "DTHADY", [v])) for v in (None, 0, 1)}) == 3
    assert len({digest("adsl", changed(adsl, "t_death_d", [v])) for v in (None, 0.0, 1.0)}) == 3
    assert len({digest("adsl", changed(adsl, "DTHFL", [v])) for v in (None, "", "Y")}) == 3


def test_two_rows_never_share_a_hash() -> None:
    """A hundred thousand rows that differ in their smallest key alone, in both lanes."""
    table = fake("adsl", "early", 0, 1)
    many = changed(table.take([0] * 100_000), "subject", list(range(100_000)))
    lanes = row_hashes("adsl", many)
    assert [len(np.unique(lane)) for lane in lanes] == [100_000, 100_000]
    ones = np.unpackbits(lanes.view("u1")).mean()
    print(f"share of bits set {ones:.5f}")
    # 12.8 million fair bits: beyond 4.9 standard errors with probability 1e-6
    assert abs(ones - 0.5) < 4.9 * 0.5 / np.sqrt(12.8e6)


def test_a_change_of_one_bit_moves_half_of_the_hash() -> None:
    """Each of the 63 words of adsl, through the values of its columns."""
    rng = np.random.default_rng(8)
    n = 4_000
    table = random_table("adsl", rng, n)
    before = row_hashes("adsl", table)
    share = []
    for name in ("AGE", "subject", "TRT01PN", "kidney_max", "risk"):
        values = table[name].to_pylist()
        after = row_hashes("adsl", changed(table, name, [v + 1 for v in values]))
        share.append(np.unpackbits((before ^ after).view("u1")).mean())
    print([round(float(s), 4) for s in share])
    # 512,000 fair bits each, five times
    assert all(abs(s - 0.5) < 5.2 * 0.5 / np.sqrt(n * 128) for s in share)


def test_names_and_columns_of_the_table_count() -> None:
    assert content_digest("adsl", NOTHING) != content_digest("adcm", NOTHING)
    assert content_digest("adsl") == content_digest("adsl", NOTHING)


def test_added_columns_count_only_where_they_hold_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty, they give the hash of the table as it was declared without them; filled, another one."""
    rng = np.random.default_rng(3)
    plain = record.table("adae")
    extra = [c.name for c in plain.columns if c.added]
    assert len(extra) > 2
    filled = random_table("adae", rng, 50)
    empty = filled
    for name in extra:
        empty = changed(empty, name, [None] * 50)
    before, without = digest("adae", empty), empty.drop_columns(extra)
    assert digest("adae", filled) != before
    assert (row_hashes("adae", filled) != row_hashes("adae", empty)).any(axis=0).sum() > 45

    older = replace(plain, columns=tuple(c for c in plain.columns if not c.added))
    monkeypatch.setattr(content, "declared", {"adae": older}.__getitem__)
    content._layout.cache_clear()
    assert digest("adae", without) == before


def test_sums_add_up_modulo_two_to_the_64() -> None:
    assert add_sums((1, 2**64 - 1, 5), (2, 3, 2**64 - 5)) == (3, 2, 0)
    assert add_sums() == NOTHING
    parts = [content_sums("tallies", tallies(k, 3)) for k in range(4)]
    assert add_sums(*parts) == add_sums(add_sums(*parts[:2]), add_sums(*parts[2:]))


def test_pieces_of_work_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.concat_tables([fake("adsl", arm, 0, 700) for arm in ARMS])
    before = content_sums("adsl", table)
    for rows in (1, 13, 100_000):
        monkeypatch.setattr(content, "_ROWS", rows)
        assert content_sums("adsl", table) == before


def test_the_recipe_is_the_one_that_is_written_down() -> None:
    """A second programme of it, row by row in plain integers; manifests of older runs stand on it."""
    rng = np.random.default_rng(21)
    for name in ("adsl", "adcm", "adtte", "tallies", "contrasts"):
        table = random_table(name, rng, 20)
        by_hand = [plain_hash(name, row) for row in table.to_pylist()]
        assert row_hashes(name, table).T.tolist() == by_hand
    rows, first, second = content_sums(name, table)
    assert first == sum(lanes[0] for lanes in by_hand) % 2**64
    assert second == sum(lanes[1] for lanes in by_hand) % 2**64
    head = [name, [[c.name, str(c.type)] for c in record.table(name).columns if not c.added]]
    text = json.dumps([head, [rows, first, second]])
    assert digest(name, table) == hashlib.sha256(text.encode()).hexdigest()


def plain_hash(name: str, row: dict) -> list[int]:
    eights, smaller, flags = b"", {4: b"", 2: b"", 1: b""}, b""
    for c in record.table(name).columns:
        value = row[c.name]
        if c.name in ("STUDYID", "USUBJID") or c.added:
            continue
        if pa.types.is_dictionary(c.type) or pa.types.is_string(c.type):
            eights += bytes(8) if value is None else hashlib.sha256(value.encode()).digest()[:8]
        elif pa.types.is_floating(c.type):
            eights += struct.pack("<d", float("nan") if value is None else value + 0.0)
        else:
            width = c.type.bit_width // 8
            data = (value or 0).to_bytes(width, "little", signed=True)
            if width == 8:
                eights += data
            else:
                smaller[width] += data
            if c.nullable:
                flags += b"\0" if value is None else b"\1"
    data = eights + b"".join(smaller.values()) + flags
    words = struct.unpack(f"<{-(-len(data) // 8)}Q", data + bytes(-len(data) % 8))
    n = len(words)
    numbers = struct.unpack(f"<{3 * n}Q", hashlib.shake_256(b"cartsim content").digest(24 * n))
    mixed = [splitmix(word ^ key) for word, key in zip(words, numbers, strict=False)]
    weights = [[number | 1 for number in numbers[n * k : n * (k + 1)]] for k in (1, 2)]
    sums = [sum(m * w for m, w in zip(mixed, own, strict=True)) for own in weights]
    for c in record.table(name).columns:
        if c.added and row[c.name] is not None:
            key, *own = struct.unpack("<3Q", hashlib.shake_256(f"cartsim {c.name}".encode()).digest(24))
            for lane in (0, 1):
                sums[lane] += splitmix(plain_word(row[c.name]) ^ key) * (own[lane] | 1)
    return [splitmix(total % 2**64) for total in sums]


def plain_word(value: object) -> int:
    if isinstance(value, str):
        return int.from_bytes(hashlib.sha256(value.encode()).digest()[:8], "little")
    if isinstance(value, float):
        return struct.unpack("<Q", struct.pack("<d", value + 0.0))[0]
    assert isinstance(value, int)
    return value % 2**64


def splitmix(x: int) -> int:
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)
