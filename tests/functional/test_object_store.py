"""A run in an object store is the run in a folder: blocks, lock, compaction, merging; and what fails there is said
within seconds. The store is a local server of the S3 protocol.
"""

import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from store_builder import IDENTITY, MADE, write_run, write_some

import cartsim
from cartsim import store
from cartsim.commands.folder import prepare_folder
from cartsim.errors import InvalidInput, Mismatch, OutputBroken, Unreachable
from cartsim.store import Place, lock
from cartsim.store.manifest import find_manifest

TABLES = ("adsl", "adcm", "tallies", "outcomes")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """host:port of a server with the bucket `runs`."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        credentials(patch)
        from pyarrow.fs import S3FileSystem

        made = S3FileSystem(
            endpoint_override=f"{host}:{port}", scheme="http", region="us-east-1", allow_bucket_creation=True
        )
        made.create_dir("runs")
    yield f"{host}:{port}"
    moto.stop()


def credentials(patch: pytest.MonkeyPatch) -> None:
    patch.setenv("AWS_ACCESS_KEY_ID", "key")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials(monkeypatch)


@pytest.fixture
def place(server: str, request) -> Place:
    """An empty place of the test's own."""
    return Place.of(f"s3://runs/{request.node.name}", endpoint=f"http://{server}", region="us-east-1")


def hashes(place: Place) -> dict[str, str]:
    manifest = store.read_manifest(place)
    return {t["name"]: t["content_hash"] for t in manifest["tables"] + manifest["internal_tables"]}


def test_files_go_in_and_out(place: Place) -> None:
    place.reach()
    assert place.names() == [] and place.find("a") is None and place.size("a") is None
    place.write_text("a/b.txt", "Grad ≥ 3")
    place.write_bytes("c.bin", b"\x00\xff" * 6_000_000)
    assert place.read_text("a/b.txt") == "Grad ≥ 3" and len(place.read_bytes("c.bin")) == 12_000_000
    assert place.names() == ["a/b.txt", "c.bin"] and place.names("a") == ["a/b.txt"]
    assert place.size("c.bin") == 12_000_000 and place.names("nowhere") == []
    assert place.find_all(["a/b.txt", "nothing"]) == {"a/b.txt": "Grad ≥ 3".encode(), "nothing": None}
    with pytest.raises(Unreachable, match="missing"):
        place.read_bytes("nothing")
    with place.writing("d") as file:
        file.write_text("from a file")
    with pytest.raises(ZeroDivisionError), place.writing("d") as file:
        file.write_text("half")
        raise ZeroDivisionError
    assert place.read_text("d") == "from a file"
    travelled = pickle.loads(pickle.dumps(place))
    travelled.delete("d")
    travelled.delete("d")
    assert travelled == place and place.names() == ["a/b.txt", "c.bin"]
    place.delete_all()
    assert place.names() == []


def test_a_run_is_the_same_as_in_a_folder(place: Place, tmp_path: Path) -> None:
    local = write_run(tmp_path / "run", 32)
    write_run(place, 32)
    assert place.names() == local.names()
    for name in [name for name in place.names() if name != "manifest.json"]:
        assert place.read_bytes(name) == local.read_bytes(name), name
    store.verify(place)
    assert hashes(place) == hashes(local)
    assert store.read_receipts(place) == store.read_receipts(local)
    for name in TABLES:
        assert store.read_table(place, name).equals(store.read_table(local, name))
    assert store.read_table(place.uri, "adsl", ["subject"], design_id=0).num_rows == 192
    assert store.read_provenance(place, "adsl")["seed"] == 7


def test_damage_is_found(place: Place) -> None:
    write_run(place, 48)
    receipts = list(store.read_receipts(place).values())
    data = place.read_bytes(receipts[0].tables[0].path)
    place.write_bytes(receipts[0].tables[0].path, data[:-5])
    with pytest.raises(OutputBroken, match="block 0"):
        store.check_blocks(place, receipts)
    with pytest.raises(Mismatch):
        store.verify(place)
    with pytest.raises(OutputBroken, match="damaged"):
        store.read_table(place, "adsl")
    place.write_text(receipts[1].path, "{torn")
    with pytest.raises(OutputBroken, match="torn"):
        store.read_receipts(place)
    store.drop_block(place, receipts[0])
    assert not [name for name in place.names() if receipts[0].id in name]


def test_compaction(place: Place) -> None:
    write_run(place, 16)
    said, rows = hashes(place), store.read_table(place, "adcm")
    store.compact(place)
    store.verify(place)
    assert hashes(place) == said and store.read_table(place, "adcm").equals(rows)
    assert len(place.names()) == 7
    with pytest.raises(Unreachable, match="final"):
        store.write_partial(place, IDENTITY, {})


def test_shards_from_folders_and_buckets_are_merged(place: Place, tmp_path: Path) -> None:
    whole = write_run(tmp_path / "whole", 16)
    shards = [Place.of(tmp_path / "a"), Place.of(tmp_path / "b"), place.beside(f"{place.name}-c")]
    for k, shard in enumerate(shards):
        store.write_partial(shard, IDENTITY, {"plan": {"size": 16}})
        write_some(shard, 16, numbers=range(k, 6, 3))
    receipts = store.merge(place, shards)
    assert receipts == store.read_receipts(whole) == store.merge(tmp_path / "back", [place])
    store.write_complete(place, MADE, {}, receipts.values())
    store.verify(place)


HOLDER = """
import sys
from cartsim.store import Place, hold
with hold(Place.of(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_processes_on_one_bucket(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, place.uri, "shard-0of2"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "held\n"
    with store.hold(place, "shard-1of2") as held:
        held.check()
        assert place.names() == []
    time.sleep(lock._AT_THE_DOOR_S)
    for who in ("run", "shard-0of2"):
        with pytest.raises(Unreachable, match=f"process {process.pid}"), store.hold(place, who):
            pass
    process.kill()
    process.communicate(timeout=30)
    # nobody touches the lock of the dead any more; the store's clock counts whole seconds
    monkeypatch.setattr(lock, "STALE_S", 2.0)
    time.sleep(3.5)
    with store.hold(place):
        assert len(place.listing(".lock")) == 1
    assert place.listing(".lock") == {}


def test_folders_are_judged_as_on_a_disk(place: Place, probe) -> None:
    scenario = cartsim.load_scenario(probe(50))
    identity = store.Identity.of(
        store.Provenance(**MADE.__dict__ | {"scenario_sha256": scenario.hash(), "seed": 20261122}), {}
    )
    assert prepare_folder(place.uri, scenario) == place
    store.write_partial(place, identity, {})
    assert prepare_folder(place.uri, scenario) == place
    store.start_over(place)
    assert find_manifest(place) is None and place.names() == []
    place.write_text("thesis.txt", "precious")
    with pytest.raises(InvalidInput, match="other files"):
        prepare_folder(place, scenario)


def timed(act, says: str) -> float:
    begin = time.monotonic()
    with pytest.raises(Unreachable, match=says) as caught:
        act()
    assert caught.value.exit_code == 6 and caught.value.mend and "AWS Error" not in str(caught.value)
    return time.monotonic() - begin


def test_a_bucket_that_does_not_exist(server: str, probe) -> None:
    place = Place.of("s3://nowhere/run", endpoint=f"http://{server}", region="us-east-1")
    scenario = cartsim.load_scenario(probe(50))
    for act in (place.reach, lambda: place.write_text("a", "b"), lambda: prepare_folder(place, scenario)):
        assert timed(act, "no (such )?bucket") < 10


def test_an_endpoint_where_nothing_listens(probe) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = Place.of("s3://runs/run", endpoint=f"http://127.0.0.1:{port}", region="us-east-1")
    scenario = cartsim.load_scenario(probe(50))
    took = [
        timed(act, "does not answer")
        for act in (
            place.reach,
            place.names,
            lambda: place.write_text("a", "b"),
            lambda: place.find("a"),
            lambda: find_manifest(place),
            lambda: prepare_folder(place, scenario),
        )
    ]
    print([round(t, 1) for t in took])
    assert max(took) < 12


def test_an_endpoint_that_takes_calls_and_never_answers(probe) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = Place.of(
            "s3://runs/run", endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}", region="us-east-1"
        )
        scenario = cartsim.load_scenario(probe(50))
        took = timed(lambda: prepare_folder(place, scenario), "does not answer")
    print(round(took, 1))
    assert took < 15
