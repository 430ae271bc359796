"""Every executor does every task once, holds few of them, keeps errors apart, survives the death of a worker, and
leaves when it is told to."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cartsim.errors import InvalidInput, Unreachable
from cartsim.sweep.executors import WORKER_DIED, Executor, cores, make_executor
from cartsim.sweep.shards import Shard, parse_shard

LOCAL = ("inline", "threads", "processes")
#: Processes find the works below by the name of this file.
HERE = str(Path(__file__).parent)


@dataclass(frozen=True)
class Square:
    """A task is a number; odd things happen at some of them. `folder` remembers across processes."""

    folder: str = ""
    fails_at: int = -1
    dies_once_at: int = -1
    dies_at: int = -1
    seconds: float = 0.0

    def __call__(self, x: int) -> int:
        if self.folder:
            Path(self.folder, f"{x}-{os.getpid()}-{threading.get_ident()}").touch()
        time.sleep(self.seconds)
        if x == self.fails_at:
            raise ValueError(f"no square of {x}")
        if x == self.dies_at or (x == self.dies_once_at and len(tries(self.folder, x)) == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        return x * x


class Unpicklable(Exception):
    """An error that does not survive a journey between processes."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


def tries(folder: str | Path, x: int) -> list[Path]:
    """Who began this task."""
    return list(Path(folder).glob(f"{x}-*"))


def alive(process: int) -> bool:
    """True until every thread of the process has ended; what is left then is its exit code."""
    try:
        ended = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        return not ended or len(os.listdir(f"/proc/{process}/task")) > 1
    except OSError:
        return False


def wait_until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that another process does."""
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:
        time.sleep(0.01)


def raise_unpicklable(x: int) -> int:
    raise Unpicklable("one", "two")


def give_function(x: int) -> Callable[[], int]:
    return lambda: x


def give_up(x: int) -> int:
    raise SystemExit(3)


def tell_process(x: int) -> tuple[int, str | None, bool]:
    deaf = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    return os.getpid(), os.environ.get("OMP_NUM_THREADS"), deaf


class Unloadable:
    """A work that a worker cannot take up."""

    def __call__(self, x: int) -> int:
        return x

    def __reduce__(self) -> tuple[Any, ...]:
        return os.listdir, ("/no/such/folder",)


@pytest.fixture(scope="module", autouse=True)
def findable() -> Iterator[None]:
    """Workers unpickle by import, so this folder must be on their path and this file known by its name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        patch.setitem(sys.modules, "test_executors", sys.modules[__name__])
        for thing in (
            Square,
            Unpicklable,
            Unloadable,
            raise_unpicklable,
            give_function,
            give_up,
            tell_process,
        ):
            patch.setattr(thing, "__module__", "test_executors")
        yield


@pytest.fixture(params=LOCAL)
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    with closing(make_executor(request.param, 1 if request.param == "inline" else 2)) as made:
        yield made


@pytest.fixture
def processes() -> Iterator[Any]:
    with closing(make_executor("processes", 2)) as made:
        yield made


def test_every_task_is_done_once(executor: Executor) -> None:
    done = list(executor.run(Square(), range(50)))
    assert sorted(d.task for d in done) == list(range(50))
    assert all(d.result == d.task**2 and d.failure is None for d in done)


def test_nothing_to_do(executor: Executor) -> None:
    assert list(executor.run(Square(), [])) == []


def test_an_error_stays_with_its_task(executor: Executor) -> None:
    done = {d.task: d for d in executor.run(Square(fails_at=4), range(10))}
    assert {task: d.result for task, d in done.items() if d.failure is None} == {
        x: x * x for x in range(10) if x != 4
    }
    failure = done[4].failure
    assert failure is not None and done[4].result is None
    assert (failure.kind, failure.message, failure.attempts) == ("ValueError", "no square of 4", 1)
    assert "in __call__" in failure.traceback


def test_an_error_that_cannot_travel_is_told_all_the_same(executor: Executor) -> None:
    (done,) = executor.run(raise_unpicklable, [0])
    assert done.failure is not None and done.failure.kind == "Unpicklable"


@pytest.mark.parametrize("name", ["threads", "processes"])
def test_a_task_that_exits_takes_no_worker_with_it(name: str) -> None:
    with closing(make_executor(name, 1)) as executor:
        kinds = [d.failure.kind for d in executor.run(give_up, range(3)) if d.failure]
    assert kinds == ["SystemExit"] * 3


def test_an_executor_serves_several_runs_and_works(executor: Executor) -> None:
    for work in (Square(), Square(fails_at=0)):
        assert sum(d.failure is None for d in executor.run(work, range(5))) == 5 - (work.fails_at == 0)


def test_tasks_are_read_as_workers_become_ready(executor: Executor) -> None:
    read: list[int] = []

    def tasks() -> Iterator[int]:
        for x in range(1000):
            read.append(x)
            yield x

    ahead = []
    for number, _ in enumerate(executor.run(Square(), tasks()), 1):
        ahead.append(len(read) - number)
    assert len(read) == 1000 and max(ahead) <= 2 * executor.workers


def test_an_error_while_reading_tasks_is_the_callers(executor: Executor) -> None:
    def tasks() -> Iterator[int]:
        yield 1
        raise KeyError("no such block")

    with pytest.raises(KeyError, match="no such block"):
        list(executor.run(Square(), tasks()))
    assert [d.result for d in executor.run(Square(), [3])] == [9]


@pytest.mark.parametrize("name", ["threads", "processes"])
def test_results_come_in_the_order_of_ending(name: str) -> None:
    with closing(make_executor(name, 2)) as executor:
        list(executor.run(time.sleep, [0.01, 0.01]))
        assert [d.task for d in executor.run(time.sleep, [0.5, 0.01, 0.02])] == [0.01, 0.02, 0.5]


@pytest.mark.parametrize("name", ["threads", "processes"])
def test_workers_are_used_side_by_side(name: str, tmp_path: Path) -> None:
    with closing(make_executor(name, 2)) as executor:
        list(executor.run(Square(str(tmp_path), seconds=0.05), range(20)))
    who = Counter(path.name.split("-", 1)[1] for path in tmp_path.iterdir())
    assert len(who) == 2 and min(who.values()) >= 5, who


@pytest.mark.parametrize("name", ["threads", "processes"])
def test_leaving_early_drops_what_has_not_begun(name: str, tmp_path: Path) -> None:
    with closing(make_executor(name, 2)) as executor:
        run = executor.run(Square(str(tmp_path), seconds=0.2), range(100))
        next(run)
        begun = time.monotonic()
        run.close()
        assert time.monotonic() - begun < 2.0
        left = len(list(tmp_path.iterdir()))
        time.sleep(0.5)
        assert len(list(tmp_path.iterdir())) == left <= 5
        assert [d.result for d in executor.run(Square(), [5])] == [25], "of use after an interrupted run"


def test_a_killed_worker_costs_one_attempt(processes: Any, tmp_path: Path) -> None:
    done = list(processes.run(Square(str(tmp_path), dies_once_at=3), range(12)))
    assert sorted(d.result for d in done) == [x * x for x in range(12)]
    begun = Counter(path.name.split("-")[0] for path in tmp_path.iterdir())
    assert begun == {str(x): 1 + (x == 3) for x in range(12)}, "another task was done again"


def test_a_task_that_kills_every_worker_fails_alone(tmp_path: Path) -> None:
    with closing(make_executor("processes", 2, retries=1)) as executor:
        done = {d.task: d for d in executor.run(Square(str(tmp_path), dies_at=3), range(12))}
    failure = done.pop(3).failure
    assert failure is not None and failure.kind == WORKER_DIED
    assert failure.attempts == 2 == len(tries(tmp_path, 3))
    assert "signal 9" in failure.message
    assert all(d.failure is None and d.result == x * x for x, d in done.items())


def test_an_idle_worker_that_dies_costs_nothing(tmp_path: Path) -> None:
    with closing(make_executor("processes", 1, retries=0)) as executor:
        (first,) = executor.run(tell_process, [0])
        os.kill(first.result[0], signal.SIGKILL)
        wait_until(lambda: not alive(first.result[0]))
        (second,) = executor.run(tell_process, [0])
    assert second.failure is None and second.result[0] != first.result[0]


def test_workers_are_deaf_to_ctrl_c_and_hold_one_thread(
    processes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    (done,) = processes.run(tell_process, [0])
    process, threads, deaf = done.result
    assert process != os.getpid() and threads == "1" and deaf
    assert os.environ["OMP_NUM_THREADS"] == "7", "ours to borrow, not to keep"


def test_workers_stay_for_the_next_run(processes: Any) -> None:
    first = {d.result[0] for d in processes.run(tell_process, range(8))}
    assert {d.result[0] for d in processes.run(tell_process, range(8))} <= first


def test_a_result_that_cannot_travel_is_a_failure(processes: Any) -> None:
    (done,) = processes.run(give_function, [0])
    assert done.failure is not None and "pickle" in done.failure.message


def test_a_work_that_cannot_be_taken_up_is_a_failure(processes: Any) -> None:
    (done,) = processes.run(Unloadable(), [0])
    assert done.failure is not None and done.failure.kind == "FileNotFoundError"


def test_a_work_that_cannot_be_sent_is_refused_at_once(processes: Any) -> None:
    with pytest.raises((pickle.PicklingError, AttributeError)):
        list(processes.run(lambda x: x, [0]))


def test_workers_that_do_not_start_end_the_run(tmp_path: Path) -> None:
    """A script without the usual guard starts itself again in every worker."""
    script = tmp_path / "script.py"
    script.write_text(
        "from cartsim.sweep.executors import make_executor\n"
        "print(list(make_executor('processes', 2).run(abs, range(3))))\n",
        "utf-8",
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1 and "worker processes do not start" in done.stderr
    assert '__name__ == "__main__"' in done.stderr


PARENT = """
import os, sys, time
sys.path.insert(0, {here!r})
from test_executors import Square
from cartsim.sweep.executors import make_executor
if __name__ == "__main__":
    executor = make_executor("processes", 2)
    try:
        list(executor.run(Square({folder!r}, seconds=30.0), range(100)))
    except KeyboardInterrupt:
        begun = time.monotonic()
        executor.close()
        print("left after", time.monotonic() - begun)
"""


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_workers_go_with_their_parent(sign: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C in a terminal reaches parent and workers alike; SIGKILL reaches the parent alone."""
    script, folder = tmp_path / "parent.py", tmp_path / "begun"
    folder.mkdir()
    script.write_text(PARENT.format(here=HERE, folder=str(folder)), "utf-8")
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_until(lambda: len(list(folder.iterdir())) >= 2)
        workers = [int(path.name.split("-")[1]) for path in folder.iterdir()]
        assert len(set(workers)) == 2 and all(map(alive, workers))
        if sign == signal.SIGINT:
            os.killpg(parent.pid, sign)
        else:
            os.kill(parent.pid, sign)
        out, err = parent.communicate(timeout=10)
        wait_until(lambda: not any(map(alive, workers)), seconds=3)
        assert not any(map(alive, workers))
        assert sign == signal.SIGKILL or ("left after" in out and "Traceback" not in err), err
    finally:
        if parent.poll() is None:
            parent.kill()
            parent.wait()


def test_closing_twice_is_harmless(executor: Executor) -> None:
    list(executor.run(Square(), range(3)))
    executor.close()
    executor.close()


def test_executors_are_made_by_name() -> None:
    for name in LOCAL:
        with closing(make_executor(name)) as executor:
            assert executor.workers == (1 if name == "inline" else cores())
    with closing(make_executor("threads", 3)) as executor:
        assert executor.workers == 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"name": "thread"}, "inline, threads, processes, dask"),
        ({"name": "dask"}, "--scheduler"),
        ({"name": "threads", "scheduler": "tcp://host:1"}, "no scheduler"),
        ({"name": "threads", "workers": -1}, "workers: -1"),
        ({"name": "processes", "retries": -1}, "retries: -1"),
    ],
)
def test_what_cannot_be_made_is_refused(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput) as error:
        make_executor(**arguments)
    assert told in str(error.value)


def test_dask_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(Unreachable) as error:
        make_executor("dask", scheduler="tcp://127.0.0.1:1")
    assert error.value.exit_code == 6 and "pip install 'cartsim[dask]'" in str(error.value)


@pytest.mark.parametrize("text", ["0/1", "0/8", "7/8", " 3 / 8 "])
def test_a_shard_is_read(text: str) -> None:
    index, count = (int(part) for part in text.split("/"))
    assert parse_shard(text) == Shard(index, count)
    assert parse_shard(str(parse_shard(text))) == Shard(index, count)


@pytest.mark.parametrize("text", ["8/8", "1/0", "0/0", "-1/8", "1", "1/2/3", "a/b", "", "1.0/2", "0/-3"])
def test_a_shard_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as error:
        parse_shard(text)
    assert "SLURM_ARRAY_TASK_ID" in str(error.value) and "JOB_COMPLETION_INDEX" in str(error.value)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_shards_share_all_blocks_without_overlap(count: int) -> None:
    owners = [[s for s in range(count) if Shard(s, count).owns(number)] for number in range(100)]
    assert all(len(who) == 1 for who in owners)
    sizes = Counter(who[0] for who in owners)
    assert max(sizes.values()) - min(sizes.values()) <= 1
