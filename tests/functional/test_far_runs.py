"""Whole runs on a cluster and in an object store: the same hashes as at home, also after a worker was killed, after an
interruption and as a longer run; and what cannot be reached is said within seconds.
"""

import json
import shlex
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dask_cluster import Cluster

import cartsim
from cartsim.cli import main
from cartsim.store.place import Place

BASE: dict[str, Any] = {
    "schema": "cartsim/scenario/1",
    "id": "far",
    "title": "Far from home",
    "product": "axi-cel",
    "population": {"subjects": 700},
    "arms": [
        {"id": "standard", "policy": "asco_2021"},
        {"id": "severe", "policy": "severe_only"},
    ],
    "run": {"seed": 5, "replicates": 2},
    "outputs": {"tables": ["adsl", "adcm"]},
}
LARGER = BASE | {"population": {"subjects": 1000}, "run": {"seed": 5, "replicates": 3}}
BLOCK = 150
#: In a worker: it writes its first block and is killed before anybody hears of it.
DIES_AFTER_A_BLOCK = """
import os, signal
from cartsim.sweep.session import WriteBlock

def last(self, block, real=WriteBlock.__call__):
    real(self, block)
    os.kill(os.getpid(), signal.SIGKILL)

# a worker reads this file twice
if WriteBlock.__call__.__name__ != "last":
    WriteBlock.__call__ = last
"""


def hashes(place: Place) -> dict[str, str]:
    manifest = json.loads(place.read_text("manifest.json"))
    assert manifest["status"] == "complete"
    return {t["name"]: t["content_hash"] for t in manifest["tables"]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The run in a local folder, done by one thread."""
    out = tmp_path_factory.mktemp("home") / "run"
    cartsim.run(BASE, out, block=BLOCK, executor="inline")
    return Place.of(out)


@pytest.fixture(scope="module", autouse=True)
def _credentials() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server of the S3 protocol with the bucket `runs`."""
    from pyarrow.fs import S3FileSystem

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    store = S3FileSystem(
        endpoint_override=f"{host}:{port}", scheme="http", region="us-east-1", allow_bucket_creation=True
    )
    store.create_dir("runs")
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture
def bucket(endpoint: str, request: pytest.FixtureRequest) -> Place:
    """An empty place of the test's own."""
    return Place.of(f"s3://runs/{request.node.name}/run", endpoint=endpoint, region="us-east-1")


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "cluster").mkdir()
    made = Cluster(tmp_path / "cluster")
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def nobody() -> Iterator[str]:
    """host:port where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def scenario_file(folder: Path, scenario: dict[str, Any] = BASE) -> str:
    path = folder / f"scenario{scenario['population']['subjects']}.json"
    path.write_text(json.dumps(scenario, indent=1) + "\n")
    return str(path)


def test_workers_of_a_cluster_write_the_run_themselves(
    home: Place, bucket: Place, dask: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers, one killed when its first block is written; then the one that is left writes to a bucket."""
    (tmp_path / "dies.py").write_text(DIES_AFTER_A_BLOCK)
    doomed = dask.add_worker("--preload", str(tmp_path / "dies.py"))
    dask.add_worker()
    dask.wait_for_workers(2)
    written: list[str] = []
    write = Place.write_bytes
    monkeypatch.setattr(
        Place, "write_bytes", lambda self, name, data: (written.append(name), write(self, name, data))[1]
    )
    out = Place.of(tmp_path / "run")
    for place in (out, bucket):
        study = cartsim.run(BASE, place, block=BLOCK, executor="dask", scheduler=str(dask.file))
        assert hashes(place) == hashes(home)
        assert study.outcomes.equals(cartsim.run(BASE).outcomes)
        assert doomed.wait(timeout=10) == -signal.SIGKILL
    blocks = [name for name in home.names() if name.startswith("blocks/") or "/part-" in name]
    assert len(blocks) == 4 * 10 and not set(blocks) & set(written)
    for name in blocks:
        assert out.read_bytes(name) == bucket.read_bytes(name) == home.read_bytes(name), name


def test_a_run_in_a_bucket(
    home: Place, bucket: Place, endpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Begun as half of it, gone on with, made longer, all from the command line."""
    there = [bucket.text, "--endpoint", endpoint, "--region", "us-east-1"]
    small, large = scenario_file(tmp_path), scenario_file(tmp_path, LARGER)
    cartsim.run(BASE, bucket, shard="0/2", block=BLOCK)
    capsys.readouterr()
    assert main(["status", *there, "--json"]) == 5
    state = json.loads(capsys.readouterr().out)
    assert (state["status"], state["blocks"], state["done"]) == ("partial", 10, 5), state
    words = shlex.split(state["go_on"])
    assert Place.of(words[words.index("--out") + 1]) == bucket
    kept = {name: at for name, (_, at) in bucket.listing("blocks").items()}
    assert main(["run", small, "--out", *there, "--quiet"]) == 0
    assert hashes(bucket) == hashes(home)
    assert bucket.names() == home.names()
    after = bucket.listing("blocks")
    assert kept == {name: after[name][1] for name in kept}, "what was done was done again"
    assert main(["status", *there]) == 0
    assert main(["run", large, "--out", *there, "--quiet"]) == 3
    assert "--extend" in capsys.readouterr().err
    assert main(["run", large, "--out", *there, "--quiet", "--extend"]) == 0
    cartsim.run(LARGER, tmp_path / "larger")
    assert hashes(bucket) == hashes(Place.of(tmp_path / "larger"))


def test_an_interruption_loses_no_block(home: Place, bucket: Place) -> None:
    def interrupt(progress: Any) -> None:
        if progress.done >= 4 * BLOCK:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cartsim.run(BASE, bucket, block=BLOCK, progress=interrupt)
    assert len(bucket.names("blocks")) >= 4
    assert [name for name in bucket.listing() if name.startswith(".")] == [], "no lock is left"
    cartsim.run(BASE, bucket)
    assert hashes(bucket) == hashes(home)


def test_two_prefixes_are_merged(home: Place, bucket: Place, endpoint: str) -> None:
    shards = [bucket.beside(name) for name in ("a", "b")]
    for index, shard in enumerate(shards):
        cartsim.run(BASE, shard, shard=f"{index}/2", block=BLOCK)
    names = [place.text for place in (bucket, *shards)]
    assert main(["merge", *names, "--endpoint", endpoint, "--region", "us-east-1", "--quiet"]) == 0
    assert hashes(bucket) == hashes(home)


def test_an_endpoint_that_does_not_answer(
    nobody: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--endpoint", f"http://{nobody}", "--region", "us-east-1"]
    commands = {
        "run": ["run", scenario_file(tmp_path), "--quiet", "--out", "s3://runs/run"],
        "status": ["status", "s3://runs/run"],
        "merge": ["merge", "s3://runs/run", "s3://runs/a"],
    }
    for command in commands.values():
        begin = time.monotonic()
        assert main([*command, *options]) == 6, command
        took = time.monotonic() - begin
        said = capsys.readouterr().err
        print(command[0], f"{took:.1f} s")
        assert took < 12.0 and "does not answer" in said and "s3://runs/" in said, said
        assert "Traceback" not in said and "AWS Error" not in said


def test_a_bucket_that_does_not_exist(
    endpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin = time.monotonic()
    command = ["run", scenario_file(tmp_path), "--quiet", "--out", "s3://nowhere/run"]
    assert main([*command, "--endpoint", endpoint, "--region", "us-east-1"]) == 6
    assert time.monotonic() - begin < 12.0
    said = capsys.readouterr().err
    assert "no bucket nowhere" in said and "make the bucket" in said


def test_a_scheduler_that_does_not_answer(
    nobody: str, home: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It costs nothing but the attempt: the same folder can be run otherwise."""
    path, out = scenario_file(tmp_path), str(tmp_path / "run")
    begin = time.monotonic()
    command = ["run", path, "--quiet", "--out", out]
    assert main([*command, "--executor", "dask", "--scheduler", f"tcp://{nobody}"]) == 6
    assert time.monotonic() - begin < 12.0
    said = capsys.readouterr().err
    assert "no Dask scheduler answers" in said and nobody in said and "Traceback" not in said
    assert main(command) == 0
    assert hashes(Place.of(out)) == hashes(home)
