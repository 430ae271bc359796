"""Blocks are whole or have not been; a run says what it holds, whatever its blocks."""

import json
from pathlib import Path

import duckdb
import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from store_builder import (
    ARMS,
    IDENTITY,
    MADE,
    SOURCES,
    block_tables,
    fake,
    outcomes,
    tallies,
    write_run,
    write_some,
)

from cartsim import record, store
from cartsim.errors import Mismatch, OutputBroken, Unreachable
from cartsim.store.blocks import BlockFailure, read_markers
from cartsim.store.manifest import MANIFEST, find_manifest


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    place = write_run(tmp_path / "run", 96)
    got = store.read_table(place, "adcm")
    assert got.schema.equals(record.schema("adcm"))
    assert got.to_pylist() == [r for arm in ARMS for r in fake("adcm", arm, 0, 96).to_pylist()]
    record.check("adcm", got)
    assert store.read_table(tmp_path / "run", "adsl", ["arm_id", "AGE"]).column_names == ["arm_id", "AGE"]
    assert store.read_table(place, "outcomes").to_pylist() == outcomes(0).to_pylist()
    assert store.read_table(place, "tallies").to_pylist() == tallies(0, 96).to_pylist()


def test_one_design_point_is_read_alone(tmp_path: Path) -> None:
    place = store.Place.of(tmp_path / "run")
    store.write_partial(place, IDENTITY, {})
    receipts = []
    for number, designs in enumerate(((0, 1), (2, 3))):
        parts = [block_tables(0, 4, ("adsl",), d) for d in designs]
        made = {name: pa.concat_tables([p[name] for p in parts]) for name in parts[0]}
        receipts.append(store.write_block(place, number, f"{number:012x}", made, MADE, []))
    store.write_complete(place, MADE, {}, receipts)
    assert set(store.read_table(place, "adsl", design_id=2)["design_id"].to_pylist()) == {2}
    some = store.read_table(place, "adsl", ["subject"], design_id=(1, 3))
    assert some.num_rows == 16 and some.column_names == ["subject"]
    assert store.read_table(place, "adsl", design_id=9).num_rows == 0
    assert [t.num_rows for t in store.read_parts(place, "tallies", design_id=(0, 2))] == [8]


def test_tables_made_without_the_declared_notes_are_stored_with_them(tmp_path: Path) -> None:
    made = fake("adsl", "early", 0, 4)
    plain = pa.table({name: made[name] for name in made.schema.names})
    place = store.Place.of(tmp_path)
    [table] = store.write_block(place, 0, "0" * 12, {"adsl": plain}, MADE, []).tables
    field = pq.read_schema(tmp_path / table.path).field("AGE")
    assert not field.nullable and field.metadata[b"unit"] == b"year"


def test_content_hashes_do_not_depend_on_blocks(tmp_path: Path) -> None:
    said = set()
    for size in (96, 48, 32, 7):
        place = write_run(tmp_path / f"run{size}", size)
        tables = store.read_manifest(place)["tables"]
        said.add(tuple(t["content_hash"] for t in tables))
        assert [store.content_hash(place, t["name"]) for t in tables] == [t["content_hash"] for t in tables]
    assert len(said) == 1


def test_two_who_do_a_block_write_the_same_bytes(tmp_path: Path) -> None:
    first, second = (store.Place.of(tmp_path / name) for name in "ab")
    assert write_some(first, 48) == write_some(second, 48)
    assert first.names() == second.names() and len(first.names()) == 8
    assert all(first.read_bytes(name) == second.read_bytes(name) for name in first.names())


def test_receipts_are_read_back_in_the_order_of_the_plan(tmp_path: Path) -> None:
    place = store.Place.of(tmp_path)
    store.write_block(place, 100_000, "b" * 12, block_tables(48, 4), MADE, [[0, 0, 48, 4]])
    made = write_some(place, 48)
    assert list(store.read_receipts(place).values())[:2] == made
    assert [r.number for r in store.read_receipts(place).values()] == [0, 1, 100_000]
    assert made[0].rows == 2 * 48 + 4 * 48 + 4 and made[0].table("adae") is None


def test_provenance_is_in_every_footer_and_holds_no_time(tmp_path: Path) -> None:
    place = write_run(tmp_path / "run", 48)
    for name in ("adsl", "adcm", "tallies", "outcomes"):
        made = store.read_provenance(place, name)
        assert made["table"] == name and made["scenario_text"] == "id: timing\n" and made["seed"] == 7
        assert made["evidence_sha256"] == "b" * 64 and "Hypothesis tool" in made["disclaimer"]
        assert not {"created", "finished", "host"} & set(made)
    path = next((tmp_path / "run" / "adsl").iterdir())
    shape = json.loads(pq.read_schema(path).metadata[b"metadata_json"])
    assert shape["itemGroupOID"] == "IG.ADSL"
    age = next(c for c in shape["columns"] if c["name"] == "AGE")
    assert (age["label"], age["dataType"]) == ("Age", "double")


def test_the_manifest_lists_every_file_and_verify_finds_damage(tmp_path: Path) -> None:
    place = write_run(tmp_path / "run", 48)
    manifest = store.read_manifest(place)
    assert manifest["status"] == "complete" and manifest["created"] <= manifest["finished"]
    assert [(t["name"], t["rows"]) for t in manifest["tables"]] == [
        ("adsl", 192),
        ("adcm", 384),
        ("outcomes", 2),
    ]
    assert [(t["name"], t["rows"]) for t in manifest["internal_tables"]] == [("tallies", 8)]
    assert [f["path"] for f in manifest["files"]] == ["scenario.resolved.yaml"]
    assert manifest["sources"] == SOURCES and manifest["plan"] == {"size": 48}
    store.verify(place)
    listed = [f["path"] for t in manifest["tables"] + manifest["internal_tables"] for f in t["files"]]
    for name in [*listed, "scenario.resolved.yaml"]:
        data = place.read_bytes(name)
        place.write_bytes(name, data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(Mismatch, match=name):
            store.verify(place)
        place.write_bytes(name, data)
    store.verify(place)


def test_a_partial_run_is_not_read_by_accident(tmp_path: Path) -> None:
    place = store.Place.of(tmp_path / "run")
    with pytest.raises(Unreachable, match="no manifest"):
        store.read_manifest(place)
    store.write_partial(place, IDENTITY, {})
    write_some(place, 32, numbers=range(2))
    with pytest.raises(Unreachable, match="partial"):
        store.read_table(place, "adsl")
    assert store.read_table(place, "adsl", partial=True).num_rows == 128
    assert store.read_manifest(place, partial=True)["status"] == "partial"


def test_the_time_of_the_beginning_is_kept(tmp_path: Path) -> None:
    place = write_run(tmp_path / "run", 48)
    begun = store.read_manifest(place)["created"]
    store.write_partial(place, IDENTITY, {"plan": {"size": 48}})
    assert find_manifest(place)["created"] == begun and find_manifest(place)["status"] == "partial"
    assert store.write_complete(place, MADE, {}, store.read_receipts(place).values())["created"] == begun


def test_parts_of_a_killed_block_do_not_stay_in_a_finished_run(tmp_path: Path) -> None:
    """A killed block leaves files without a marker; folders of parts are read with a glob."""
    place = store.Place.of(tmp_path / "run")
    store.write_partial(place, IDENTITY, {})
    receipts = write_some(place, 48)
    place.write_bytes("adsl/part-00001-ffffffffffff.parquet", place.read_bytes(receipts[0].tables[0].path))
    store.write_complete(place, MADE, {}, receipts)
    assert len(pandas.read_parquet(tmp_path / "run" / "adsl")) == 192


def test_a_broken_table_leaves_no_marker(tmp_path: Path) -> None:
    place = store.Place.of(tmp_path)
    made = block_tables(0, 8)
    with pytest.raises(OutputBroken):
        store.write_block(
            place, 0, "0" * 12, made | {"adcm": made["adcm"].drop_columns(["CMDOSE"])}, MADE, []
        )
    assert store.read_receipts(place) == {}


def test_rows_that_come_twice_in_a_block_are_refused(tmp_path: Path) -> None:
    place = store.Place.of(tmp_path)
    pieces = [fake("adsl", arm, first, 8) for first in (0, 8) for arm in ARMS]
    store.write_block(place, 0, "0" * 12, {"adsl": pa.concat_tables(pieces)}, MADE, [])
    again = pa.concat_tables([*pieces, fake("adsl", ARMS[0], 15, 8)])
    with pytest.raises(OutputBroken, match="key order"):
        store.write_block(place, 1, "1" * 12, {"adsl": again}, MADE, [])
    twice = pa.concat_tables([tallies(0, 4), tallies(0, 4)])
    with pytest.raises(OutputBroken, match="repeated"):
        store.write_block(place, 1, "1" * 12, {"tallies": twice}, MADE, [])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"not json",
        lambda data: b"[]",
        lambda data: b"\xff\xfe\x00",
        lambda data: data.replace(b'"rows": 96', b'"rows": 95'),
        lambda data: data.replace(b'"number": 1', b'"number": 0'),
    ],
)
def test_a_spoiled_marker_names_its_block(tmp_path: Path, spoil) -> None:
    place = store.Place.of(tmp_path)
    receipts = write_some(place, 48)
    data = place.read_bytes(receipts[1].path)
    assert spoil(data) != data
    place.write_bytes(receipts[1].path, spoil(data))
    with pytest.raises(OutputBroken, match="00001-000000000002") as caught:
        store.read_receipts(place)
    assert caught.value.exit_code == 4 and "--retry" in caught.value.mend
    kept, broken = read_markers(place)
    assert list(kept.values()) == receipts[:1] and list(broken) == [receipts[1].path]


def test_a_marker_under_another_name_is_not_a_second_block(tmp_path: Path) -> None:
    place = store.Place.of(tmp_path)
    [receipt, *_] = write_some(place, 48)
    place.write_bytes("blocks/00007-aaaaaaaaaaaa.json", place.read_bytes(receipt.path))
    with pytest.raises(OutputBroken, match="00007-aaaaaaaaaaaa"):
        store.read_receipts(place)


def test_damaged_files_are_found_and_the_block_can_be_dropped(tmp_path: Path) -> None:
    place = store.Place.of(tmp_path)
    receipts = write_some(place, 48)
    store.check_blocks(place, receipts, deep=True)
    path = receipts[1].tables[0].path
    data = place.read_bytes(path)
    place.write_bytes(path, data[:-4] + b"PAR2")
    assert store.damaged(place, receipts[1]) is None
    assert "not the file" in store.damaged(place, receipts[1], deep=True)
    place.write_bytes(path, data[:100])
    with pytest.raises(OutputBroken, match=r"block 1.*100 bytes") as caught:
        store.check_blocks(place, receipts)
    assert caught.value.exit_code == 4 and "--retry" in caught.value.mend
    place.delete(path)
    assert "missing" in store.damaged(place, receipts[1])
    store.drop_block(place, receipts[1])
    assert list(store.read_receipts(place).values()) == receipts[:1]
    assert not [name for name in place.names() if receipts[1].id in name]


def test_a_damaged_table_is_said_plainly_on_reading(tmp_path: Path) -> None:
    place = write_run(tmp_path / "run", 96)
    [file] = store.read_manifest(place)["tables"][0]["files"]
    data = place.read_bytes(file["path"])
    for spoiled in (b"", data[:200], data[:500] + bytes(1000) + data[1500:]):
        place.write_bytes(file["path"], spoiled)
        with pytest.raises(OutputBroken, match="damaged"):
            store.read_table(place, "adsl")
    place.delete(file["path"])
    with pytest.raises(Unreachable, match="adsl"):
        store.read_table(place, "adsl")


def test_failures_are_listed_until_the_block_is_done(tmp_path: Path) -> None:
    place = store.Place.of(tmp_path)
    failure = BlockFailure(1, f"{2:012x}", 7, ([0, 0, 48, 48],), "MemoryError: no room", "Traceback ...")
    store.write_failure(place, failure)
    place.write_text("failures/00009-cccccccccccc.json", "{torn")
    assert store.read_failures(place) == [failure]
    write_some(place, 48)
    assert store.read_failures(place) == []


def test_results_are_written_in_pieces(tmp_path: Path) -> None:
    place = store.Place.of(tmp_path)
    with store.ResultWriter(place, "outcomes", MADE) as writer:
        for design_id in range(5):
            writer.append(outcomes(design_id))
            assert place.names() == []
    assert writer.receipt is not None and writer.receipt.rows == 10
    assert (
        pq.read_table(tmp_path / "outcomes.parquet")["design_id"].to_pylist()
        == np.repeat(range(5), 2).tolist()
    )
    again = store.Place.of(tmp_path / "again")
    with store.ResultWriter(again, "outcomes", MADE) as whole:
        whole.append(pa.concat_tables([outcomes(d) for d in range(5)]))
    assert whole.receipt.content == writer.receipt.content


@pytest.mark.parametrize(
    "rows", [outcomes(0), pa.concat_tables([outcomes(2), outcomes(2)]), outcomes(2).drop_columns(["value"])]
)
def test_results_that_come_twice_or_are_broken_leave_the_old_file(tmp_path: Path, rows: pa.Table) -> None:
    place = store.Place.of(tmp_path)
    place.write_text("outcomes.parquet", "older")
    with pytest.raises(OutputBroken), store.ResultWriter(place, "outcomes", MADE) as writer:
        writer.append(outcomes(0))
        writer.append(rows)
    assert place.read_text("outcomes.parquet") == "older" and len(list(tmp_path.iterdir())) == 1


def test_results_without_rows_still_have_their_columns(tmp_path: Path) -> None:
    place = store.Place.of(tmp_path)
    with store.ResultWriter(place, "contrasts", MADE):
        pass
    assert pq.read_table(tmp_path / "contrasts.parquet").schema.equals(record.schema("contrasts"))


def test_differences_of_identity_are_said_in_words() -> None:
    def changed(**more: object) -> list[str]:
        return store.identity_difference(IDENTITY, store.Identity(**IDENTITY.__dict__ | more))

    assert changed() == []
    assert changed(seed=8) == ["seed 7 -> 8"]
    assert changed(dependencies={"numpy": "3"}) == ["numpy 2 -> 3"]
    assert "model/course.py" in changed(sources={"model/course.py": "x"})[0]
    assert "evidence" in changed(evidence_sha256="c" * 64)[0]
    assert "scenario" in changed(scenario_sha256="c" * 64)[0]
    other = store.Identity(**IDENTITY.__dict__ | {"scenario_sha256": "c" * 64})
    assert store.identity_difference(IDENTITY, other, scenario=False) == []
    older = store.Identity(**IDENTITY.__dict__ | {"sources": {}})
    assert "did not record" in store.identity_difference(older, IDENTITY)[0]


def test_identity_survives_the_manifest(tmp_path: Path) -> None:
    place = store.Place.of(tmp_path)
    store.write_partial(place, IDENTITY, {})
    assert store.Identity.stored(find_manifest(place)) == IDENTITY
    made = store.Identity.of(MADE)
    assert {"model/course.py", "draws.py"} <= set(made.sources)
    assert not any(name.startswith(("commands/", "report/", "cli.py")) for name in made.sources)


def test_a_manifest_of_somebody_else_is_not_read(tmp_path: Path) -> None:
    place = store.Place.of(tmp_path)
    for text in ("{}", "[1]", "{torn", '{"files": []}'):
        place.write_text(MANIFEST, text)
        with pytest.raises(OutputBroken, match="manifest"):
            store.read_manifest(place)


def test_starting_over_removes_the_run(tmp_path: Path) -> None:
    place = write_run(tmp_path / "run", 48)
    place.write_text("maximum_grades.svg", "<svg/>")
    with store.hold(place):
        store.start_over(place)
        assert place.names() == []
    assert list(tmp_path.iterdir()) == []


def test_starting_over_keeps_what_somebody_put_there(tmp_path: Path) -> None:
    place = write_run(tmp_path / "run", 48)
    own = ("notes.md", "figures/crs.svg", "adsl/mine.parquet", "table1.png")
    for name in own:
        place.write_text(name, "mine")
    with store.hold(place):
        store.start_over(place)
        assert set(place.names()) == set(own)


def test_pandas_and_duckdb_open_it_without_us(tmp_path: Path) -> None:
    write_run(tmp_path / "run", 32)
    frame = pandas.read_parquet(tmp_path / "run" / "adsl")
    assert len(frame) == 192 and set(frame["arm_id"]) == set(ARMS)
    answer = duckdb.sql(
        f"SELECT arm_id, count(*) FROM '{tmp_path}/run/adsl/*.parquet' GROUP BY arm_id ORDER BY arm_id"
    )
    assert answer.fetchall() == [("early", 96), ("standard", 96)]
