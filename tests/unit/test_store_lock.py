"""One writer a folder, several shards that know of each other, and nobody kept out by the dead."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cartsim.errors import Unreachable
from cartsim.store import Place, lock
from cartsim.store.disk import WRITING
from cartsim.store.lock import hold

HOLDER = """
import sys
from cartsim.store import Place, hold
with hold(Place.of(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def second_process(folder: Path, who: str) -> Iterator[subprocess.Popen[str]]:
    """Somebody else who holds the folder until its input closes."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), who],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.communicate(timeout=30)


@pytest.fixture(params=["system", "object"])
def place(request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A folder locked by the operating system, or as an object store is."""
    if request.param == "object":
        monkeypatch.setattr(lock, "fcntl", None)
    return Place.of(tmp_path / "run")


def locks(place: Place) -> list[str]:
    return [name for name in place.listing() if name.startswith(".lock")]


@pytest.mark.parametrize("second", ["run", "merge", "compact", "shard-0of3"])
def test_another_process_is_kept_out(tmp_path: Path, second: str) -> None:
    folder = tmp_path / "run"
    with second_process(folder, "run") as process:
        with pytest.raises(Unreachable, match="in use") as caught, hold(Place.of(folder), second):
            pass
        assert caught.value.exit_code == 6 and f"process {process.pid}" in str(caught.value)
        assert "`run`" in str(caught.value)
    with hold(Place.of(folder), second):
        pass
    assert list(tmp_path.iterdir()) == []


def test_shards_share_and_exclude_everybody_else(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with second_process(folder, "shard-0of3"):
        with hold(Place.of(folder), "shard-1of3"), pytest.raises(Unreachable), hold(Place.of(folder), "run"):
            pass
        for who, says in (("run", "a shard"), ("merge", "a shard"), ("shard-0of3", "`shard-0of3`, process")):
            with pytest.raises(Unreachable, match=says), hold(Place.of(folder), who):
                pass
    with hold(Place.of(folder)):
        pass


def test_a_killed_holder_keeps_nobody_out(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with second_process(folder, "run") as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
        with hold(Place.of(folder)):
            pass
    assert not folder.exists()


def test_within_one_process_too(place: Place) -> None:
    with hold(place), pytest.raises(Unreachable, match="in use"), hold(place):
        pass
    with hold(place, "shard-0of2"), hold(place, "shard-1of2"):
        for who in ("run", "shard-0of2"):
            with pytest.raises(Unreachable), hold(place, who):
                pass
    assert locks(place) == []


def test_files_stay_and_an_empty_folder_goes(place: Place, tmp_path: Path) -> None:
    with hold(place):
        assert len(locks(place)) == 1 and place.names() == []
    assert locks(place) == []
    with pytest.raises(ZeroDivisionError), hold(place):
        place.write_text("a", "x")
        raise ZeroDivisionError
    assert place.names() == ["a"] and locks(place) == []


def test_removing_everything_keeps_the_lock(place: Place) -> None:
    with hold(place):
        place.write_text("a/b", "x")
        place.delete_all()
        assert place.names() == []
        with pytest.raises(Unreachable), hold(place):
            pass


def test_who_is_alone_sweeps_and_a_shard_does_not(place: Place) -> None:
    assert place.local is not None
    place.write_text("adsl/a", "x")
    left = place.local / "adsl" / f".b.1-ab{WRITING}"
    left.write_text("half")
    with hold(place, "shard-0of2"):
        assert left.exists()
    with hold(place):
        assert not left.exists()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(Unreachable, match="make the output folder"),
        hold(Place.of(tmp_path / "file" / "run")),
    ):
        pass


def test_a_lock_object_is_touched_and_one_left_behind_counts_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "fcntl", None)
    monkeypatch.setattr(lock, "BEAT_S", 0.1)
    place = Place.of(tmp_path)
    dead = ".lock/run.dead"
    place.write_text(dead, "{}")
    begin = time.time()
    with pytest.raises(Unreachable, match="in use"), hold(place):
        pass
    os.utime(tmp_path / dead, (begin - 100, begin - 100))
    with hold(place):
        assert not place.exists(dead)
        [own] = locks(place)
        first = place.listing()[own][1]
        while place.listing()[own][1] == first:
            assert time.time() < begin + 20
            time.sleep(0.05)
    assert locks(place) == []


def test_who_was_replaced_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "fcntl", None)
    monkeypatch.setattr(lock, "BEAT_S", 0.05)
    place = Place.of(tmp_path)
    with hold(place) as held:
        held.check()
        [own] = locks(place)
        place.delete(own)
        begin = time.time()
        while not held.lost:
            assert time.time() < begin + 20
            time.sleep(0.02)
        with pytest.raises(Unreachable, match="taken over"):
            held.check()


def test_of_many_who_come_at_once_at_most_one_is_in(place: Place) -> None:
    inside, worst, entered = [], [], []
    gate = threading.Barrier(6)

    def come() -> None:
        gate.wait()
        try:
            with hold(place):
                inside.append(1)
                worst.append(len(inside))
                entered.append(1)
                time.sleep(0.02)
                inside.pop()
        except Unreachable:
            pass

    threads = [threading.Thread(target=come) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(worst, default=1) == 1
    with hold(place):
        pass
