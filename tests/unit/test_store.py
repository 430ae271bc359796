"""Runs are stored whole or not at all, and say what they hold whatever the size of blocks."""

import json
from pathlib import Path

import duckdb
import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cartsim import record, store
from cartsim.errors import Mismatch, OutputBroken, Unreachable
from cartsim.store import files
from cartsim.store.content import ContentHash
from cartsim.store.writer import RunWriter

MADE = store.Provenance(
    "timing", "id: timing\n", "a" * 64, 7, "0.1.0", None, {"numpy": "2"}, "b" * 64, {"assumed": 2}
)
ARMS = ("standard", "early")


def fake(name: str, arm: str, first: int, n: int) -> pa.Table:
    """Two rows per subject (one in adsl) of values that depend on arm, column and subject only."""
    spec = record.table(name)
    each = 1 if name == "adsl" else 2
    subject = np.repeat(np.arange(first, first + n), each)
    arrays = []
    for j, c in enumerate(spec.columns):
        seed = subject * 31 + np.tile(np.arange(each), n) * 17 + j + 1000 * ARMS.index(arm)
        missing = (seed % 5 == 0) if c.nullable and not c.key else np.zeros(len(seed), bool)
        if c.name in ("scenario_id", "arm_id", "USUBJID"):
            text = {"scenario_id": "timing", "arm_id": arm}.get(c.name)
            values = [text or f"timing-{arm}-{s:07d}" for s in subject]
        elif c.name == "subject":
            values = subject
        elif c.name in ("design_id", "replicate"):
            values = np.zeros(len(seed), int)
        elif c.name.endswith("SEQ"):
            values = np.tile(np.arange(1, each + 1), n)
        elif c.name.startswith("t_") or c.name in ("ASTDY", "AENDY"):
            values = np.full(len(seed), 3) if c.name != "t_end_d" else seed % 7 + 4
        elif pa.types.is_dictionary(c.type):
            options = c.values or ("x", "y", "z")
            values = [options[s % len(options)] for s in seed]
        elif pa.types.is_floating(c.type):
            values = np.sin(seed)
        else:
            values = seed % ((c.top or 9) + 1)
        arrays.append(pa.array(values, c.type.value_type if pa.types.is_dictionary(c.type) else c.type, mask=missing)
                      .cast(c.type))  # fmt: skip
    return pa.Table.from_arrays(arrays, schema=spec.schema)


def write(out: Path, block: int, total: int = 96, tables: tuple[str, ...] = ("adsl", "adcm")) -> Path:
    with RunWriter(out, tables, MADE) as run:
        for first in range(0, total, block):
            for arm in ARMS:
                for name in tables:
                    run.append(name, fake(name, arm, first, min(block, total - first)))
        run.write_text("scenario.resolved.yaml", "id: timing\n")
    return out


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    out = write(tmp_path / "run", 96)
    got = store.read_table(out, "adcm")
    assert got.schema.equals(record.schema("adcm"))
    assert got.to_pylist() == [r for arm in ARMS for r in fake("adcm", arm, 0, 96).to_pylist()]
    record.check("adcm", got)
    assert store.read_table(out, "adsl", ["arm_id", "AGE"]).num_columns == 2


def test_tables_made_without_the_declared_notes_are_stored_with_them(tmp_path: Path) -> None:
    made = fake("adsl", "early", 0, 4)
    plain = pa.table({name: made[name] for name in made.schema.names})
    with RunWriter(tmp_path / "run", ["adsl"], MADE) as run:
        run.append("adsl", plain)
    field = pq.read_schema(tmp_path / "run" / "adsl" / "part-00000.parquet").field("AGE")
    assert not field.nullable and field.metadata[b"unit"] == b"year"


def test_rows_lie_block_by_block_and_arm_by_arm(tmp_path: Path) -> None:
    rows = store.read_table(write(tmp_path / "run", 48), "adsl")
    assert (
        rows["arm_id"].to_pylist() == ["standard"] * 48 + ["early"] * 48 + ["standard"] * 48 + ["early"] * 48
    )
    assert rows["subject"].to_pylist() == [*range(48), *range(48), *range(48, 96), *range(48, 96)]


def test_the_content_hash_does_not_depend_on_blocks_parts_or_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = set()
    for block in (96, 48, 32, 7):
        monkeypatch.setattr(files, "GROUP_ROWS", block * 3)
        monkeypatch.setattr(files, "PART_ROWS", block * 4)
        out = write(tmp_path / f"run{block}", block)
        manifest = store.read_manifest(out)
        said = tuple(t["content_hash"] for t in manifest["tables"])
        assert said == (store.content_hash(out, "adsl"), store.content_hash(out, "adcm"))
        hashes.add(said)
    assert len(list((tmp_path / "run7" / "adcm").iterdir())) > 1
    assert len(hashes) == 1


@pytest.mark.parametrize("column", ["AGE", "TRT01PN", "SEX", "t_death_d", "DTHADY", "DTHFL", "subject"])
def test_the_content_hash_sees_every_kind_of_change(column: str) -> None:
    table = fake("adsl", "early", 0, 5)
    i = table.schema.names.index(column)
    values = table[column].to_pylist()
    match column:
        case "SEX":
            values[4] = "M" if values[4] == "F" else "F"
        case "DTHFL":
            values[4] = None if values[4] else "Y"
        case _:
            values[4] = (values[4] or 0) + 1
    other = table.set_column(i, table.schema.field(column), pa.array(values, table.schema.field(column).type))
    digests = []
    for made in (table, other):
        content = ContentHash("adsl")
        content.add(made)
        digests.append(content.hexdigest())
    assert digests[0] != digests[1]


def test_null_and_zero_hash_differently() -> None:
    table = fake("adsl", "early", 1, 1)
    field = table.schema.field("DTHADY")
    i = table.schema.names.index("DTHADY")
    digests = set()
    for value in (None, 0):
        content = ContentHash("adsl")
        content.add(table.set_column(i, field, pa.array([value], field.type)))
        digests.add(content.hexdigest())
    assert len(digests) == 2


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a", 48), write(tmp_path / "b", 48)
    for path in sorted(first.rglob("*.parquet")):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()


def test_provenance_is_in_every_footer_and_holds_no_time(tmp_path: Path) -> None:
    out = write(tmp_path / "run", 96)
    for name in ("adsl", "adcm"):
        made = store.read_provenance(out, name)
        assert made["table"] == name and made["scenario_text"] == "id: timing\n" and made["seed"] == 7
        assert made["evidence_sha256"] == "b" * 64 and "Hypothesis tool" in made["disclaimer"]
        assert not {"created", "finished", "host"} & set(made)
    shape = json.loads(pq.read_schema(out / "adsl" / "part-00000.parquet").metadata[b"metadata_json"])
    assert shape["itemGroupOID"] == "IG.ADSL"
    age = next(c for c in shape["columns"] if c["name"] == "AGE")
    assert (age["label"], age["dataType"]) == ("Age", "double")


def test_the_manifest_lists_every_file_and_verify_finds_damage(tmp_path: Path) -> None:
    out = write(tmp_path / "run", 96)
    manifest = store.read_manifest(out)
    assert manifest["status"] == "complete" and manifest["created"] <= manifest["finished"]
    assert [(t["name"], t["rows"]) for t in manifest["tables"]] == [("adsl", 192), ("adcm", 384)]
    assert [f["path"] for f in manifest["files"]] == ["scenario.resolved.yaml"]
    store.verify(out)
    (out / "scenario.resolved.yaml").write_text("id: other\n")
    with pytest.raises(Mismatch, match="scenario"):
        store.verify(out)


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), RunWriter(tmp_path / "run", ["adsl"], MADE) as run:
        run.append("adsl", fake("adsl", "early", 0, 8))
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_broken_table_stops_the_run_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputBroken), RunWriter(tmp_path / "run", ["adsl"], MADE) as run:
        run.append("adsl", fake("adsl", "early", 0, 8).drop_columns(["AGE"]))
    assert list(tmp_path.iterdir()) == []


def test_a_block_written_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputBroken, match="key order"), RunWriter(tmp_path / "run", ["adsl"], MADE) as run:
        run.append("adsl", fake("adsl", "early", 0, 8))
        run.append("adsl", fake("adsl", "standard", 0, 8))
        run.append("adsl", fake("adsl", "early", 7, 8))


def test_tables_without_rows_still_have_their_columns(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with RunWriter(out, ["adcm", "outcomes"], MADE):
        pass
    assert store.read_table(out, "adcm").schema.equals(record.schema("adcm"))
    assert store.read_table(out, "outcomes").num_rows == 0
    assert (out / "outcomes.parquet").is_file()
    with pytest.raises(Unreachable, match="adae"):
        store.read_table(out, "adae")


def test_an_older_run_is_replaced_and_anything_else_is_left_alone(tmp_path: Path) -> None:
    out = write(tmp_path / "run", 96)
    write(out, 96, tables=("adsl",))
    assert not (out / "adcm").exists() and [p.name for p in tmp_path.iterdir()] == ["run"]
    mine = tmp_path / "thesis"
    mine.mkdir()
    (mine / "chapter.txt").write_text("precious")
    with pytest.raises(Unreachable, match="not a run"):
        RunWriter(mine, ["adsl"], MADE)
    assert (mine / "chapter.txt").read_text() == "precious"


def test_a_failed_run_leaves_the_older_one(tmp_path: Path) -> None:
    out = write(tmp_path / "run", 96)
    with pytest.raises(ZeroDivisionError), RunWriter(out, ["adsl"], MADE):
        raise ZeroDivisionError
    store.verify(out)


def test_a_file_in_the_way_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(Unreachable, match="not a folder"):
        RunWriter(tmp_path / "run", ["adsl"], MADE)
    with pytest.raises(Unreachable, match="cannot be written"):
        RunWriter(tmp_path / "run" / "below", ["adsl"], MADE)


def test_a_full_disk_is_unreachable_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: pq.ParquetWriter, *args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with (
        pytest.raises(Unreachable, match="No space left") as caught,
        RunWriter(tmp_path / "r", ["adsl"], MADE) as run,
    ):
        run.append("adsl", fake("adsl", "early", 0, 8))
    assert caught.value.exit_code == 6
    assert list(tmp_path.iterdir()) == []


def test_a_real_full_device_is_unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "part_path", lambda folder, spec, number: Path("/dev/full"))
    with pytest.raises(Unreachable), RunWriter(tmp_path / "r", ["outcomes"], MADE):
        pass
    assert list(tmp_path.iterdir()) == []


def test_pandas_and_duckdb_open_it_without_us(tmp_path: Path) -> None:
    out = write(tmp_path / "run", 32)
    frame = pandas.read_parquet(out / "adsl")
    assert len(frame) == 192 and set(frame["arm_id"]) == set(ARMS)
    answer = duckdb.sql(
        f"SELECT arm_id, count(*) FROM '{out}/adsl/*.parquet' GROUP BY arm_id ORDER BY arm_id"
    )
    assert answer.fetchall() == [("early", 96), ("standard", 96)]
