"""Shards are put together once each, and only when they are pieces of one run."""

import json
from pathlib import Path

import pytest
from store_builder import IDENTITY, MADE, write_run, write_some

from cartsim import store
from cartsim.errors import InvalidInput, Mismatch, OutputBroken, Unreachable
from cartsim.store import Place, merge
from cartsim.store.blocks import BlockFailure, Receipt
from cartsim.store.manifest import MANIFEST, find_manifest


def shard(folder: Path, numbers: range, identity: store.Identity = IDENTITY, size: int = 16) -> Place:
    place = Place.of(folder)
    store.write_partial(place, identity, {"plan": {"size": size}, "shard": str(numbers)})
    place.write_text("scenario.resolved.yaml", "id: timing\n")
    write_some(place, size, numbers=numbers)
    return place


def three(tmp_path: Path) -> list[Place]:
    return [shard(tmp_path / f"shard{k}", range(k, 6, 3)) for k in range(3)]


def test_three_shards_are_the_run_in_one_piece(tmp_path: Path) -> None:
    whole = write_run(tmp_path / "whole", 16)
    out = Place.of(tmp_path / "out")
    receipts = merge(out, three(tmp_path))
    assert receipts == store.read_receipts(whole) and list(receipts) == list(store.read_receipts(whole))
    manifest = find_manifest(out)
    assert manifest["status"] == "partial" and "shard" not in manifest and manifest["plan"] == {"size": 16}
    made = store.write_complete(out, MADE, {}, receipts.values())
    by_name = {t["name"]: t for t in store.read_manifest(whole)["tables"]}
    assert all(t["content_hash"] == by_name[t["name"]]["content_hash"] for t in made["tables"])
    for name in [n for n in whole.names() if n.startswith(("adsl", "adcm", "tallies", "blocks"))]:
        assert out.read_bytes(name) == whole.read_bytes(name)
    assert out.read_text("scenario.resolved.yaml") == "id: timing\n"
    store.verify(out)


def test_shards_in_any_order_twice_and_overlapping_count_once(tmp_path: Path) -> None:
    shards = [*three(tmp_path), shard(tmp_path / "again", range(1, 5))]
    first = merge(tmp_path / "a", shards)
    assert merge(tmp_path / "b", [*reversed(shards), shards[0]]) == first and len(first) == 6
    assert merge(tmp_path / "a", shards) == first
    assert merge(tmp_path / "a", []) == merge(tmp_path / "a", [tmp_path / "a"]) == first


def test_a_shared_folder_takes_what_is_missing(tmp_path: Path) -> None:
    shards = three(tmp_path)
    receipts = merge(shards[0], shards)
    assert len(receipts) == 6 and receipts == store.read_receipts(shards[0])


def test_merging_what_has_come_in_since(tmp_path: Path) -> None:
    shards = three(tmp_path)
    assert len(merge(tmp_path / "out", shards[:2])) == 4
    assert len(merge(tmp_path / "out", shards[2:])) == 6


def test_a_finished_run_that_gets_blocks_is_partial_again(tmp_path: Path) -> None:
    shards = three(tmp_path)
    out = Place.of(tmp_path / "out")
    store.write_complete(out, MADE, {"plan": {"size": 16}}, merge(out, shards[:1]).values())
    merge(out, shards[:1])
    assert find_manifest(out)["status"] == "complete"
    merge(out, shards)
    assert find_manifest(out)["status"] == "partial" and "tables" not in find_manifest(out)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"scenario_sha256": "c" * 64}, "scenario"),
        ({"seed": 8}, "seed [78] -> [78]"),
        ({"sources": {"model/course.py": "ffff"}}, "model/course.py"),
        ({"dependencies": {"numpy": "3"}}, "numpy [23] -> [23]"),
        ({"evidence_sha256": "c" * 64}, "evidence"),
    ],
)
def test_pieces_of_another_run_are_refused(tmp_path: Path, changed: dict, says: str) -> None:
    shards = three(tmp_path)
    other = shard(tmp_path / "other", range(1), store.Identity(**IDENTITY.__dict__ | changed))
    for places in ([*shards, other], [other, *shards]):
        with pytest.raises(InvalidInput, match=says) as caught:
            merge(tmp_path / "out", places)
        assert caught.value.exit_code == 3
    assert not (tmp_path / "out").exists()
    merge(tmp_path / "out", shards)
    with pytest.raises(InvalidInput):
        merge(tmp_path / "out", [other])


def test_another_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="plan"):
        merge(tmp_path / "out", [*three(tmp_path), shard(tmp_path / "other", range(1), size=32)])


def test_one_block_with_two_results_is_a_mismatch(tmp_path: Path) -> None:
    shards = three(tmp_path)
    other = shard(tmp_path / "other", range(0))
    made = write_some(Place.of(tmp_path / "x"), 15, numbers=range(1))[0]
    for table in made.tables:
        other.copy_from(Place.of(tmp_path / "x"), table.path)
    marker = Receipt(made.number, made.id, ([0, 0, 0, 16],), made.tables)
    other.write_text(marker.path, json.dumps(marker.plain()))
    with pytest.raises(Mismatch, match="block 0") as caught:
        merge(tmp_path / "out", [*shards, other])
    assert caught.value.exit_code == 7 and not (tmp_path / "out").exists()


def test_one_number_with_two_blocks_is_refused(tmp_path: Path) -> None:
    shards = three(tmp_path)
    other = shard(tmp_path / "other", range(0))
    [made] = write_some(Place.of(tmp_path / "x"), 16, numbers=range(1))
    store.write_block(other, 0, "f" * 12, {}, MADE, made.cells)
    with pytest.raises(InvalidInput, match="cut into other blocks"):
        merge(tmp_path / "out", [*shards, other])


def test_a_damaged_block_is_not_copied(tmp_path: Path) -> None:
    shards = three(tmp_path)
    receipt = next(iter(store.read_receipts(shards[1]).values()))
    path = receipt.tables[0].path
    data = shards[1].read_bytes(path)
    shards[1].write_bytes(path, data[:-1] + b"x")
    with pytest.raises(OutputBroken, match="not the file"):
        merge(tmp_path / "out", shards)
    shards[1].write_bytes(path, data[:-1])
    with pytest.raises(OutputBroken, match="block 1"):
        merge(tmp_path / "out", shards)
    assert receipt.id not in store.read_receipts(Place.of(tmp_path / "out"))
    shards[1].write_bytes(path, data)
    assert len(merge(tmp_path / "out", shards)) == 6


def test_failures_travel_until_somebody_has_done_the_block(tmp_path: Path) -> None:
    shards = three(tmp_path)
    failures = [BlockFailure(n, f"{n + 1:012x}", 7, (), "boom", "Traceback") for n in (0, 7)]
    for failure in failures:
        store.write_failure(shards[2], failure)
    merge(tmp_path / "out", shards)
    assert store.read_failures(Place.of(tmp_path / "out")) == failures[1:]


def test_folders_of_somebody_else_stay_as_they_are(tmp_path: Path) -> None:
    shards = three(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(InvalidInput, match="other files"):
        merge(tmp_path / "mine", shards)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    with pytest.raises(Unreachable, match="no manifest"):
        merge(tmp_path / "out", [*shards, tmp_path / "nowhere"])
    with pytest.raises(InvalidInput, match="nothing to merge"):
        merge(tmp_path / "out", [])
    assert not (tmp_path / "out" / MANIFEST).exists()
