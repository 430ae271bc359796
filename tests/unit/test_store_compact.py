"""Compacting changes files and nothing else, and may be killed at any moment."""

from pathlib import Path

import pandas
import pyarrow.parquet as pq
import pytest
from store_builder import IDENTITY, MADE, tallies, write_run, write_some

from cartsim import store
from cartsim.errors import CartsimError, Mismatch, OutputBroken, Unreachable
from cartsim.store import Place, compact, files
from cartsim.store.manifest import find_manifest

TABLES = ("adsl", "adcm", "tallies", "outcomes")


def hashes(place: Place) -> dict[str, str]:
    manifest = store.read_manifest(place)
    return {t["name"]: t["content_hash"] for t in manifest["tables"] + manifest["internal_tables"]}


def test_rows_their_order_and_hashes_stay(tmp_path: Path) -> None:
    place = write_run(tmp_path / "run", 7)
    before, said = {name: store.read_table(place, name) for name in TABLES}, hashes(place)
    receipts = store.read_receipts(place)
    footer = store.read_provenance(place, "adcm")
    manifest = compact(place)
    assert manifest["compacted"] and manifest == store.read_manifest(place)
    store.verify(place)
    assert place.names() == [
        "adcm/part-00000.parquet", "adsl/part-00000.parquet", "blocks.json", "manifest.json", "outcomes.parquet",
        "scenario.resolved.yaml", "tallies/part-00000.parquet",
    ]  # fmt: skip
    assert hashes(place) == said
    for name in TABLES:
        assert store.read_table(place, name).to_pylist() == before[name].to_pylist()
        assert store.content_hash(place, name) == said[name]
    assert store.read_receipts(place) == receipts
    assert store.read_provenance(place, "adcm") == footer
    assert len(pandas.read_parquet(tmp_path / "run" / "adsl")) == 192
    again = {name: place.read_bytes(name) for name in place.names()}
    compact(place)
    assert again == {name: place.read_bytes(name) for name in place.names()}


def test_parts_and_row_groups_have_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = __import__("cartsim.store.compact", fromlist=["compact"])
    monkeypatch.setattr(module, "PART_ROWS", 100)
    monkeypatch.setattr(files, "GROUP_ROWS", 30)
    place = write_run(tmp_path / "run", 8)
    said = hashes(place)
    manifest = compact(place)
    [adsl] = [t for t in manifest["tables"] if t["name"] == "adsl"]
    assert [f["rows"] for f in adsl["files"]] == [112, 80]
    assert [f["path"] for f in adsl["files"]] == ["adsl/part-00000.parquet", "adsl/part-00001.parquet"]
    with pq.ParquetFile(tmp_path / "run" / "adsl" / "part-00000.parquet") as file:
        assert [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)] == [32, 32, 32, 16]
    assert hashes(place) == said
    store.verify(place)
    monkeypatch.setattr(module, "PART_ROWS", 524_288)
    monkeypatch.setattr(module, "PART_BYTES", 1)
    monkeypatch.setattr(files, "GROUP_ROWS", 96)
    other = write_run(tmp_path / "other", 48)
    assert len(compact(other)["tables"][0]["files"]) == 2


def test_a_compacted_run_is_final(tmp_path: Path) -> None:
    place = write_run(tmp_path / "run", 48)
    compact(place)
    with pytest.raises(Unreachable, match="final") as caught:
        store.write_partial(place, IDENTITY, {})
    assert "--out" in caught.value.mend
    with pytest.raises(Unreachable, match="final"):
        store.merge(tmp_path / "other", [place])
    store.verify(place)


def test_only_a_finished_and_whole_run_is_compacted(tmp_path: Path) -> None:
    place = Place.of(tmp_path / "run")
    with pytest.raises(Unreachable, match="no manifest"):
        compact(place)
    store.write_partial(place, IDENTITY, {})
    receipts = write_some(place, 48)
    with pytest.raises(Unreachable, match="partial"):
        compact(place)
    place = write_run(tmp_path / "run", 48)
    part = receipts[0].tables[0].path
    data = place.read_bytes(part)
    place.write_bytes(part, data[:-9])
    with pytest.raises(OutputBroken, match="block 0"):
        compact(place)
    with store.hold(place), pytest.raises(Unreachable, match="in use"):
        compact(place)


def test_rows_that_are_not_those_of_the_manifest_stop_it(tmp_path: Path) -> None:
    """A file of the right length with other rows: nothing is removed."""
    place = write_run(tmp_path / "run", 48)
    name = "tallies/part-00001-000000000002.parquet"
    candidates = (files.encode("tallies", tallies(first, 48), MADE) for first in range(49, 90))
    wrong = next(data for data in candidates if len(data) == place.size(name))
    right = place.read_bytes(name)
    place.write_bytes(name, wrong)
    with pytest.raises(Mismatch, match="tallies"):
        compact(place)
    place.write_bytes(name, right)
    store.verify(place)
    compact(place)
    store.verify(place)


class Killed(BaseException):
    """As if the process were gone: nothing that catches errors catches it."""


def test_a_kill_at_any_write_or_removal_leaves_a_run_that_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = hashes(write_run(tmp_path / "whole", 32))
    steps = {"left": 0}

    def killing(method):
        def act(self: Place, *arguments: object) -> object:
            if steps["left"] == 0:
                raise Killed
            steps["left"] -= 1
            return method(self, *arguments)

        return act

    survived = 0
    while True:
        place = write_run(tmp_path / f"run{survived}", 32)
        with monkeypatch.context() as patch:
            for name in ("write_bytes", "delete", "writing"):
                patch.setattr(Place, name, killing(getattr(Place, name)))
            steps["left"] = survived
            try:
                compact(place)
                break
            except Killed:
                survived += 1
        assert hashes(place) == said
        for name in TABLES:
            assert store.content_hash(place, name) == said[name]
        if not find_manifest(place).get("compacted"):
            # it may also go on as if nothing had happened
            assert len(store.read_receipts(place)) == 3
            store.check_blocks(place, store.read_receipts(place).values(), deep=True)
        compact(place)
        store.verify(place)
        assert len(place.names()) == 7 and hashes(place) == said
    print(f"killed at {survived} moments")
    assert survived > 12


def test_a_full_disk_leaves_the_run_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = write_run(tmp_path / "run", 32)
    before = {name: place.read_bytes(name) for name in place.names()}

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, "write_table", full)
        with pytest.raises(CartsimError, match="no space is left") as caught:
            compact(place)
    assert caught.value.exit_code == 6
    assert before == {name: place.read_bytes(name) for name in place.names()}
