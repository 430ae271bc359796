"""A run on a Dask cluster is the same run: a real scheduler and real workers, one of them killed in the middle; and
whatever can be wrong with a cluster is said plainly, before or while it works."""

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dask_cluster import Cluster, wait_until

from cartsim.compiled import PACKAGE
from cartsim.errors import Mismatch, Unreachable
from cartsim.sweep.executors import WORKER_DIED, cluster, make_executor

HERE = str(Path(__file__).parent)
HIDE_CARTSIM = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "cartsim":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Hidden())
"""


@dataclass(frozen=True)
class Square:
    """A task is a number; odd things happen at some of them. `folder` shows what was begun, and by whom."""

    folder: str = ""
    seconds: float = 0.0
    fails_at: int = -1
    dies_at: int = -1

    def __call__(self, x: int) -> tuple[int, int]:
        if self.folder:
            Path(self.folder, f"{x}-{os.getpid()}").touch()
        time.sleep(self.seconds)
        if x == self.fails_at:
            raise ValueError(f"no square of {x}")
        if x == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return x * x, os.getpid()


def give_function(x: int) -> Callable[[], int]:
    return lambda: x


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Cluster]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    made = Cluster(folder, HERE)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(autouse=True)
def findable() -> Iterator[None]:
    """Workers unpickle by import, so this file must be known by its name. Logs of a lost scheduler are not news."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "test_dask", sys.modules[__name__])
        for thing in (Square, give_function):
            patch.setattr(thing, "__module__", "test_dask")
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        yield


def test_a_run_survives_the_death_of_a_worker(dask: Cluster, tmp_path: Path) -> None:
    """30 tasks, two workers; one is killed, a third joins late; one task raises, one gives what cannot travel."""
    first, _ = dask.add_worker(), dask.add_worker()
    third = None
    with closing(make_executor("dask", scheduler=str(dask.file))) as executor:
        wait_until(lambda: executor.workers == 2)
        read: list[int] = []
        tasks = (read.append(x) or x for x in range(30))
        done = []
        for number, one in enumerate(executor.run(Square(seconds=0.1, fails_at=17), tasks), 1):
            done.append(one)
            assert len(read) - number <= 2 * max(executor.workers, 2)
            if number == 6:
                first.kill()
                third = dask.add_worker()
                # few tasks are ahead, so most of them wait for it
                dask.wait_for_workers(3)
        again = list(executor.run(give_function, range(2)))
    failure = next(d.failure for d in done if d.task == 17)
    assert failure is not None and (failure.kind, failure.message) == ("ValueError", "no square of 17")
    assert "in __call__" in failure.traceback
    results = {d.task: d.result for d in done if d.failure is None}
    assert {task: r[0] for task, r in results.items()} == {x: x * x for x in range(30) if x != 17}
    assert len(done) == 30
    who = Counter(r[1] for r in results.values())
    assert len(who) == 3 and who[third.pid] > 0, "the late worker was meant to be given the work"
    assert all(d.failure is not None and "pickle" in d.failure.message for d in again)


def test_a_task_that_kills_its_workers_fails_alone(dask: Cluster) -> None:
    """Tasks that lay on the same workers are tried again by themselves, and come through."""
    for _ in range(5):
        dask.add_worker()
    with closing(make_executor("dask", scheduler=str(dask.file))) as executor:
        wait_until(lambda: executor.workers == 5)
        done = {d.task: d for d in executor.run(Square(seconds=0.02, dies_at=4), range(24))}
    failure = done.pop(4).failure
    assert failure is not None and (failure.kind, failure.attempts) == (WORKER_DIED, 2)
    assert [done[x].result[0] for x in sorted(done)] == [x * x for x in range(24) if x != 4]


def test_an_interrupted_run_leaves_nothing_behind(dask: Cluster, tmp_path: Path) -> None:
    """What has not begun is dropped; the scheduler and its workers go on for whoever comes next."""
    dask.add_worker()
    with closing(make_executor("dask", scheduler=str(dask.file))) as executor:
        with pytest.raises(KeyboardInterrupt):
            for _ in executor.run(Square(str(tmp_path), seconds=0.2), range(50)):
                raise KeyboardInterrupt
        begun = time.monotonic()
    assert time.monotonic() - begun < 2.0
    time.sleep(0.6)
    assert len(list(tmp_path.glob("*-*"))) <= 3
    with closing(make_executor("dask", scheduler=str(dask.file))) as executor:
        assert [d.result[0] for d in executor.run(Square(), [7])] == [49]


def test_a_scheduler_that_dies_ends_the_run(dask: Cluster) -> None:
    dask.add_worker()
    with closing(make_executor("dask", scheduler=str(dask.file))) as executor:
        run = executor.run(Square(seconds=0.05), range(1000))
        next(run)
        dask.scheduler.kill()
        with pytest.raises(Unreachable, match="the Dask scheduler is gone"):
            list(run)


def test_workers_without_cartsim_are_told(dask: Cluster, tmp_path: Path) -> None:
    (tmp_path / "hide.py").write_text(HIDE_CARTSIM, "utf-8")
    dask.add_worker("--preload", str(tmp_path / "hide.py"))
    with pytest.raises(Unreachable, match="cartsim cannot be imported on worker tcp://"):
        make_executor("dask", scheduler=str(dask.file))


def test_workers_with_another_cartsim_are_refused(dask: Cluster, tmp_path: Path) -> None:
    """Those that are there are asked at once; one that joins later tells with its first task."""
    copy = tmp_path / "src" / "cartsim"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / "model" / "disease.py").open("a", encoding="utf-8") as file:
        file.write("# edited\n")
    good = dask.add_worker()
    with closing(make_executor("dask", scheduler=str(dask.file))) as executor:
        dask.add_worker(first=str(copy.parent))
        wait_until(lambda: executor.workers == 2)
        with pytest.raises(Mismatch, match="files of cartsim") as error:
            list(executor.run(Square(seconds=0.05), range(50)))
        assert error.value.exit_code == 7
    good.kill()
    with pytest.raises(Mismatch, match="has not the environment of this computer") as error:
        make_executor("dask", scheduler=str(dask.file))
    assert "files of cartsim" in str(error.value)


def test_a_cluster_without_workers_is_not_waited_for_for_ever(
    dask: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Unreachable, match=r"has had no worker for 0\.3 s"):
        cluster.ClusterExecutor(str(dask.file), patience_s=0.3)
    worker = dask.add_worker()
    executor = cluster.ClusterExecutor(str(dask.file))
    with closing(executor):
        monkeypatch.setattr(executor, "patience_s", 0.3)
        run = executor.run(Square(seconds=0.05), range(1000))
        next(run)
        worker.kill()
        with pytest.raises(Unreachable, match="has had no worker"):
            list(run)


@pytest.mark.parametrize(
    "kind", ["nobody", "silent", "not dask", "no host", "no port", "no file", "other file"]
)
def test_a_scheduler_that_cannot_be_reached(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "REACH_S", 1.0)
    other = tmp_path / "other.json"
    other.write_text("[1, 2]", "utf-8")
    web = [sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        here = f"tcp://127.0.0.1:{bound.getsockname()[1]}"
        if kind == "silent":
            bound.listen()
        address = {
            "nobody": here,
            "silent": here,
            "no host": "tcp://no-such-host.invalid:8786",
            "no port": "tcp://127.0.0.1",
            "no file": str(tmp_path / "none.json"),
            "other file": str(other),
        }
        begun = time.monotonic()
        if kind == "not dask":
            server = subprocess.Popen(
                web,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )
            try:
                assert server.stdout is not None
                address[kind] = "tcp://127.0.0.1:" + server.stdout.readline().split("port ")[1].split()[0]
                with pytest.raises(Unreachable) as error:
                    make_executor("dask", scheduler=address[kind])
            finally:
                server.kill()
                server.communicate()
        else:
            with pytest.raises(Unreachable) as error:
                make_executor("dask", scheduler=address[kind])
    assert time.monotonic() - begun < 10.0
    assert error.value.exit_code == 6 and error.value.where == address[kind] and error.value.mend
