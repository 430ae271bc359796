"""Why: a cluster of many machines, through a Dask scheduler that somebody has started (by hand, dask-jobqueue, a Helm
chart). Workers write their own files; only small receipts travel.

The scheduler gives tasks of dead workers to living ones by itself; a task that has been with as many dying workers as
its `allowed-failures` permits comes back as a failure. It may only have lain beside the one that killed them, so where
several come back each is tried again alone.
"""

import json
import logging
import pickle
import socket
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from importlib.metadata import version
from importlib.util import find_spec
from itertools import count, islice
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

from cartsim.errors import Mismatch, Unreachable
from cartsim.sweep.executors.base import AHEAD, WORKER_DIED, Done, Failure

if TYPE_CHECKING:
    from distributed import Client, Future

T = TypeVar("T")
R = TypeVar("R")

#: Seconds to reach the scheduler, to wait for a first worker, and to trust the last count of workers.
REACH_S, PATIENCE_S, COUNT_S = 8.0, 60.0, 2.0
ENOUGH = 5  # workers named in a message
LONGEST_GREETING = 1 << 20  # bytes


class ClusterExecutor:
    """Runs tasks on the workers of a Dask scheduler, given by its address or its file."""

    def __init__(self, scheduler: str, patience_s: float = PATIENCE_S) -> None:
        """Connect, and see that the workers are there and like us. Raises `Unreachable` or `Mismatch`."""
        self.scheduler = scheduler
        self.patience_s = patience_s
        self._client = _connect(scheduler)
        self._workers = 0
        self._counted_at, self._seen_at = -COUNT_S, time.monotonic()
        try:
            _check_workers(self._client, scheduler, patience_s)
        except BaseException:
            self.close()
            raise

    @property
    def workers(self) -> int:
        """Threads of all workers, as counted in the last two seconds: workers come and go."""
        if time.monotonic() - self._counted_at > COUNT_S:
            self._count()
        return max(1, self._workers)

    def _count(self) -> None:
        self._workers = sum(self._client.nthreads().values())
        self._counted_at = time.monotonic()
        if self._workers:
            self._seen_at = self._counted_at

    def run(self, work: Callable[[T], R], tasks: Iterable[T]) -> Iterator[Done[T, R]]:
        """See `Executor.run`. `work` is pickled once, and unpickled once in each worker process."""
        from cartsim.sweep.executors.cluster_worker import Shipment, environment, run_task

        name = f"cartsim-{uuid4().hex}"
        shipment = Shipment(name, pickle.dumps(work, pickle.HIGHEST_PROTOCOL), environment())
        numbers, waiting = count(), iter(tasks)
        under_way: dict[Future[Any], T] = {}
        ended: SimpleQueue[Future[Any]] = SimpleQueue()
        suspects: list[Done[T, R]] = []

        def send(task: T) -> None:
            with _lost(self.scheduler):
                key = f"{name}-{next(numbers)}"
                future = self._client.submit(run_task, name, task, key=key, pure=False)
            under_way[future] = task
            future.add_done_callback(ended.put)

        def receive() -> list[Done[T, R]]:
            with _lost(self.scheduler):
                return self._gather({future: under_way.pop(future) for future in self._next(ended)})

        with _lost(self.scheduler):
            self._client.register_plugin(shipment, name=name)
        try:
            while True:
                for task in islice(waiting, max(0, AHEAD * self.workers - len(under_way))):
                    send(task)
                if not under_way:
                    break
                for one in receive():
                    if _is_suspect(one):
                        suspects.append(one)
                    else:
                        yield one
            cleared = 0
            for one in suspects:
                # the last one left, when all the others have been cleared, needs no more dead workers as a proof
                if cleared == len(suspects) - 1:
                    yield one
                    continue
                send(one.task)
                (again,) = receive()
                cleared += not _is_suspect(again)
                yield again
        finally:
            # a scheduler that has gone has nothing left to cancel
            if self._client.status == "running":
                with suppress(Exception):
                    self._client.cancel(list(under_way), force=True)
                    self._client.unregister_worker_plugin(name)

    def _next(self, ended: "SimpleQueue[Future[Any]]") -> "list[Future[Any]]":
        """The futures that have ended, at least one. Raises `Unreachable` when there has been no worker for a while."""
        while True:
            try:
                found = [ended.get(timeout=COUNT_S)]
                break
            except Empty:
                self._count()
                if time.monotonic() - self._seen_at > self.patience_s:
                    raise _no_workers(self.scheduler, self.patience_s) from None
        with suppress(Empty):
            while True:
                found.append(ended.get_nowait())
        return found

    def _gather(self, tasks: "dict[Future[Any], T]") -> list[Done[T, Any]]:
        """Results that have ended, fetched together: one by one, each would cost its own way there and back."""
        try:
            values = self._client.gather(list(tasks))
        except Exception:
            return [_read(task, future, self.scheduler) for future, task in tasks.items()]
        return [Done(task, *value) for task, value in zip(tasks.values(), values, strict=True)]

    def close(self) -> None:
        """Leave the cluster as it was; tasks that have begun end there, unheard."""
        with suppress(Exception):
            self._client.close(timeout=2.0)


def _connect(scheduler: str) -> "Client":
    try:
        from distributed import Client
    except ImportError as error:
        raise Unreachable(
            "executor dask needs the dask extra", why=str(error), mend="pip install 'cartsim[dask]'"
        ) from error

    class QuietClient(Client):
        """We close it ourselves; one that never connected would complain at the end of the program."""

        def __del__(self) -> None:
            pass

    address = _address(scheduler)
    # its log repeats on stderr what the message below says
    logger = logging.getLogger("distributed")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        _knock(address)
        with warnings.catch_warnings():
            # versions are compared, and told, by ourselves
            warnings.simplefilter("ignore")
            return QuietClient(address, timeout=REACH_S, set_as_default=False)
    # a server of another kind makes the client fail in any way, even for want of memory
    except Exception as error:
        raise Unreachable(
            "no Dask scheduler answers",
            where=scheduler,
            why=f"{type(error).__name__}: {(str(error) or 'no reason given').splitlines()[0]}",
            mend="an address such as tcp://host:8786, or the file of: dask scheduler --scheduler-file FILE",
        ) from error
    finally:
        logger.setLevel(level)


def _knock(address: str) -> None:
    """Fail soon where nobody listens, or somebody else does: the client itself could wait for ever.

    A Dask server speaks first: the length of its greeting, in eight bytes.
    """
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    if not (parts.scheme == "tcp" and parts.hostname and parts.port):
        return
    with socket.create_connection((parts.hostname, parts.port), timeout=REACH_S) as line:
        try:
            greeting = line.recv(8, socket.MSG_WAITALL)
        except TimeoutError as error:
            raise TimeoutError(f"somebody listens there and said nothing for {REACH_S:g} s") from error
    if len(greeting) < 8 or int.from_bytes(greeting, "little") > LONGEST_GREETING:
        raise ConnectionError("something else than Dask answers there")


def _address(scheduler: str) -> str:
    """The address itself, or the one in a scheduler file."""
    if "://" in scheduler or not (scheduler.endswith(".json") or Path(scheduler).exists()):
        return scheduler
    try:
        return str(json.loads(Path(scheduler).read_text("utf-8"))["address"])
    except OSError as error:
        why = error.strerror or str(error)
    except (ValueError, KeyError, TypeError):
        why = "it is not what `dask scheduler --scheduler-file FILE` writes"
    raise Unreachable(
        "the scheduler file cannot be read",
        where=scheduler,
        why=why,
        mend="dask scheduler --scheduler-file FILE, on a file system that all computers see",
    )


def _check_workers(client: "Client", scheduler: str, patience_s: float) -> None:
    """Every worker that is there must be able to import cartsim, and have what we have."""
    until = time.monotonic() + patience_s
    while not client.nthreads():
        if time.monotonic() > until:
            raise _no_workers(scheduler, patience_s)
        time.sleep(0.1)
    ours, theirs = version("distributed"), client.run_on_scheduler(version, "distributed")
    if ours != theirs:
        raise Mismatch(
            f"the scheduler runs distributed {theirs}, this computer {ours}",
            where=scheduler,
            mend="install the same lock file (requirements.lock) on both",
        )
    specs = _ask(client, find_spec, "cartsim")
    without = [address for address, spec in specs.items() if spec is None or isinstance(spec, Exception)]
    if without:
        raise Unreachable(
            "cartsim cannot be imported on " + _named(without),
            where=scheduler,
            mend="install the same cartsim in the environment that starts the workers",
        )
    from cartsim.sweep.executors.cluster_worker import differences, environment

    for address, found in _ask(client, environment).items():
        if isinstance(found, Exception):
            raise Unreachable(
                f"cartsim does not load on worker {address}",
                where=scheduler,
                why=f"{type(found).__name__}: {found}",
                mend="install the same cartsim[dask] in the environment that starts the workers",
            ) from found
        if unlike := differences(environment(), found):
            raise Mismatch(
                f"worker {address} has not the environment of this computer, and could give other numbers",
                where=scheduler,
                why="; ".join(unlike),
                mend="install the same lock file (requirements.lock) and the same cartsim on both",
            )


def _ask(client: "Client", function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """What each worker answers, or the exception of trying; those that have died meanwhile are left out."""
    answers = client.run(function, *arguments, on_error="return")
    return {address: answer for address, answer in answers.items() if not isinstance(answer, OSError)}


def _no_workers(scheduler: str, seconds: float) -> Unreachable:
    return Unreachable(
        f"the Dask scheduler has had no worker for {seconds:g} s",
        where=scheduler,
        mend="start some (dask worker ADDRESS --nthreads 1) and repeat the command: what is done is kept",
    )


def _named(addresses: list[str]) -> str:
    more = f" and {len(addresses) - ENOUGH} more" if len(addresses) > ENOUGH else ""
    return ("workers " if len(addresses) > 1 else "worker ") + ", ".join(addresses[:ENOUGH]) + more


def _read(task: T, future: "Future[Any]", scheduler: str) -> Done[T, Any]:
    """What came of a task. An error outside the work itself is the cluster's, and ends the run."""
    from distributed import KilledWorker

    try:
        result, failure = future.result()
    except KilledWorker as error:
        attempts = error.allowed_failures + 1
        words = (
            f"its worker died, and so did {attempts - 1} others that took it up: {error.last_worker.address}"
        )
        return Done(task, failure=Failure(WORKER_DIED, words, "", attempts))
    except (Mismatch, OSError, CancelledError):
        raise
    except Exception as error:
        raise Unreachable(
            "a worker of the cluster cannot take up the work",
            where=scheduler,
            why=f"{type(error).__name__}: {error}",
            mend="install the same cartsim in the environment that starts the workers",
        ) from error
    return Done(task, result, failure)


def _is_suspect(done: Done[Any, Any]) -> bool:
    return done.failure is not None and done.failure.kind == WORKER_DIED


@contextmanager
def _lost(scheduler: str) -> Iterator[None]:
    """Say it plainly when the scheduler goes away in the middle."""
    try:
        yield
    except (OSError, CancelledError) as error:
        raise Unreachable(
            "the Dask scheduler is gone, or has dropped our tasks",
            where=scheduler,
            why=f"{type(error).__name__}: {error}",
            mend="start it again and repeat the command: what is done is kept",
        ) from error
