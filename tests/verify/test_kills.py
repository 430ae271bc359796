"""Twenty times killed at a random moment, twenty times gone on with: the result is that of a run left in peace."""

import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from killable import Attempt, Killable, kill

from cartsim import store
from cartsim.study import finish

pytestmark = pytest.mark.verify

KILLS = 20
SCENARIO = {
    "schema": "cartsim/scenario/1",
    "id": "kills",
    "title": "Killed",
    "product": "axi-cel",
    "population": {"subjects": 6_000},
    "arms": [{"id": "standard", "policy": "asco_2021"}, {"id": "severe", "policy": "severe_only"}],
    "run": {"seed": 11},
    "outputs": {"tables": ["adsl", "adae"]},
}
#: Subjects of a block: small, so that there is always something under way.
BLOCK = 250
BLOCKS = 24
UNTIL = "contrast.crs_ge3.severe-standard.halfwidth <= 0.006"


@pytest.fixture(scope="module")
def killable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killable]:
    process = Killable(tmp_path_factory.mktemp("killable"))
    yield process
    process.close()


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps(SCENARIO, indent=1) + "\n")
    return path


@pytest.fixture
def moments(request: pytest.FixtureRequest) -> np.random.Generator:
    return np.random.default_rng([20261122, *request.node.name.encode()])


def done(out: Path) -> int:
    return len(list((out / "blocks").glob("*.json")))


def manifest(out: Path) -> dict[str, Any]:
    return json.loads((out / "manifest.json").read_text())


def is_complete(out: Path) -> bool:
    return (out / "manifest.json").exists() and manifest(out)["status"] == "complete"


def wait_for_blocks(attempt: Attempt, out: Path, count: int) -> None:
    while attempt.alive and done(out) < count:
        time.sleep(0.002)


def assert_same_run(out: Path, whole: Path, aside: tuple[str, ...] = ("manifest.json",)) -> None:
    """Every file of one, byte by byte as in the other, and none besides.

    Manifests tell the time, and the footers of what `finish` made have the resolved scenario instead of its file.
    """
    files = [sorted(p.relative_to(o).as_posix() for p in o.rglob("*") if p.is_file()) for o in (out, whole)]
    assert files[0] == files[1]
    for name in files[0]:
        if name not in aside:
            assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    said = [manifest(o) for o in (out, whole)]
    assert said[0]["status"] == said[1]["status"] == "complete"
    assert [t["content_hash"] for t in said[0]["tables"]] == [t["content_hash"] for t in said[1]["tables"]]
    store.verify(out)


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_twenty_kills_change_nothing(
    killable: Killable, scenario: Path, tmp_path: Path, moments: np.random.Generator, executor: str
) -> None:
    """While blocks are written, and while results are made of them; with processes, a worker and then the parent."""
    options = {"workers": 2, "executor": executor, "block": BLOCK}
    whole, out = tmp_path / "whole", tmp_path / "run0"
    attempt = killable.start(scenario, whole, **options)
    wait_for_blocks(attempt, whole, BLOCKS)
    begin = time.monotonic()
    assert attempt.wait() == 0
    ending_s = time.monotonic() - begin
    killed, of_workers, after = 0, 0, []
    while killed + of_workers < KILLS:
        attempt = killable.start(scenario, out, **options)
        before = done(out)
        if before < BLOCKS:
            # in every fourth attempt from its start, else from the moment it writes
            early = moments.uniform() < 0.25
            wait_for_blocks(attempt, out, before + (0 if early else 1))
            time.sleep(moments.uniform(0.0, 0.3 if early else 0.06))
            if workers := attempt.children():
                of_workers += kill(moments.choice(workers))
                time.sleep(moments.uniform(0.0, 0.06))
        else:
            time.sleep(moments.uniform(0.0, 1.2 * ending_s))
        killed += attempt.kill()
        after.append(done(out))
        if is_complete(out):
            # it was through before it could be killed, so another run takes the kills that are left
            assert_same_run(out, whole)
            out = tmp_path / f"run{len(after)}"
    print(f"{executor}: killed {killed} times, {of_workers} workers besides, blocks after each: {after}")
    killable.run(scenario, out, **options)
    assert_same_run(out, whole)


def test_twenty_kills_of_a_run_that_seeks_a_precision(
    killable: Killable, scenario: Path, tmp_path: Path, moments: np.random.Generator
) -> None:
    """It looks as often, finds the same each time, and stops with as many subjects for the same reason."""
    options = {"workers": 2, "executor": "threads", "block": BLOCK, "until": [UNTIL], "floor": 1000}
    whole, out = tmp_path / "whole", tmp_path / "run"
    begin = time.monotonic()
    killable.run(scenario, whole, **options)
    length_s = time.monotonic() - begin
    until = manifest(whole)["until"]
    assert until["reached"] and len(until["looks"]) > 2

    def check() -> None:
        assert manifest(out)["until"] == until and manifest(out)["plan"] == manifest(whole)["plan"]
        assert_same_run(out, whole)

    killed, after = 0, []
    while killed < KILLS:
        attempt = killable.start(scenario, out, **options)
        time.sleep(moments.uniform(0.0, 0.15 * length_s))
        killed += attempt.kill()
        after.append(done(out))
        if is_complete(out):
            check()
            out = tmp_path / f"run{len(after)}"
    killable.run(scenario, out, **options)
    check()
    print(f"killed {killed} times in runs of {length_s:.1f} s, blocks after each: {after}; {until['looks']}")


def test_killed_shards_of_one_folder_are_merged(
    killable: Killable, scenario: Path, tmp_path: Path, moments: np.random.Generator
) -> None:
    """Three shards write at once; one after the other is killed and started again."""
    whole, out = tmp_path / "whole", tmp_path / "run"
    options = {"workers": 1, "block": BLOCK}
    killable.run(scenario, whole, **options)
    running = {i: killable.start(scenario, out, shard=f"{i}/3", **options) for i in range(3)}
    killed = 0
    for number in range(12):
        time.sleep(moments.uniform(0.0, 0.15))
        shard = number % 3
        killed += running[shard].kill()
        running[shard] = killable.start(scenario, out, shard=f"{shard}/3", **options)
    for attempt in running.values():
        assert attempt.wait() == 0, killable.said.read_text()
    print(f"three shards killed {killed} times")
    assert killed >= 6 and done(out) == BLOCKS
    finish(out)
    assert_same_run(out, whole, ("manifest.json", "outcomes.parquet", "contrasts.parquet"))


def test_kills_while_a_run_is_begun_again(
    killable: Killable, scenario: Path, tmp_path: Path, moments: np.random.Generator
) -> None:
    """`fresh` removes what is there; killed while it does, it leaves a folder that is still known as a run's."""
    whole, out = tmp_path / "whole", tmp_path / "run"
    options = {"workers": 2, "executor": "threads", "block": BLOCK, "fresh": True}
    killable.run(scenario, whole, **options)
    left = []
    for _ in range(6):
        shutil.copytree(whole, out, dirs_exist_ok=True)
        attempt = killable.start(scenario, out, **options)
        while attempt.alive and done(out) == BLOCKS:
            time.sleep(0.0005)
        time.sleep(moments.uniform(0.0, 0.02))
        assert attempt.kill()
        left.append(len([p for p in out.rglob("*") if p.is_file()]))
        # whatever is left is taken for a run, and nothing of it for one of the new blocks
        attempt = killable.start(scenario, out, **options)
        wait_for_blocks(attempt, out, BLOCKS)
        assert attempt.kill(), killable.said.read_text()
    print(f"files left each time: {left}")
    killable.run(scenario, out, **options)
    assert_same_run(out, whole)
