"""Why: several processes of one machine, for work that does not leave Python's lock, or that may be killed. A process
that dies (out of memory, a crash in a library, somebody's `kill`) costs its own task one attempt and no other.

Processes begin afresh ("spawn"): a forked copy of a process that has threads may wait for ever on a lock that nobody
holds. `concurrent.futures` is not used: when one worker dies it throws away the whole pool and cannot say whose task
it was, so that a task which kills every worker would use up the attempts of its neighbours.
"""

import pickle
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.connection import wait
from typing import Any, Generic, TypeVar

from cartsim.errors import Unreachable
from cartsim.sweep.executors.base import WORKER_DIED, Done, Failure
from cartsim.sweep.executors.process import Process, bury
from cartsim.sweep.executors.process_worker import READY

T = TypeVar("T")
R = TypeVar("R")

#: Seconds that idle workers are given to leave, and terminated ones to be gone.
GRACE_S = 2.0


@dataclass
class _Job(Generic[T]):
    """A task and how many workers died of it."""

    task: T
    deaths: int = 0


@dataclass(eq=False)
class _Worker:
    """One process as the parent knows it. `holds` is the number of the work that was sent to it last."""

    process: Process
    ready: bool = False
    holds: int = 0
    job: _Job[Any] | None = None


@dataclass
class _Queue(Generic[T]):
    """What one run has still to do: tasks nobody has begun, and before them those whose worker died."""

    number: int
    shipment: bytes
    tasks: Iterator[T]
    again: deque[_Job[T]] = field(default_factory=deque)

    def next(self) -> _Job[T] | None:
        """The next job, None when there is none."""
        if self.again:
            return self.again.popleft()
        return next((_Job(task) for task in self.tasks), None)


class ProcessesExecutor:
    """Runs tasks in `workers` processes of this machine, and again, up to `retries` times, when one of them dies.

    Processes are started when there is a task for them, and stay for the next run.
    """

    def __init__(self, workers: int, retries: int = 2) -> None:
        self.workers = workers
        self.retries = retries
        self._pool: list[_Worker] = []
        self._works = count(1)
        self._false_starts = 0

    def run(self, work: Callable[[T], R], tasks: Iterable[T]) -> Iterator[Done[T, R]]:
        """See `Executor.run`. `work` is pickled once, and unpickled once in each worker."""
        queue = _Queue(next(self._works), pickle.dumps(work, pickle.HIGHEST_PROTOCOL), iter(tasks))
        try:
            while True:
                self._hand_out(queue)
                busy = [worker for worker in self._pool if worker.job is not None]
                if not busy:
                    return
                speaking = wait([worker.process.pipe for worker in busy])
                for worker in [worker for worker in busy if worker.process.pipe in speaking]:
                    done = self._hear(worker, queue)
                    if done is not None:
                        # the worker has its next task before the caller looks at this one
                        self._hand_out(queue)
                        yield done
        finally:
            self._drop()

    def close(self) -> None:
        """Terminate workers that are busy, let the idle ones leave."""
        self._drop()
        for worker in self._pool:
            worker.process.tell(None)
        bury([worker.process for worker in self._pool], time.monotonic() + GRACE_S)
        self._pool = []

    def _hand_out(self, queue: _Queue[Any]) -> None:
        """A job for every worker that has none, and new workers as long as there are jobs for them."""
        while True:
            worker = self._idle()
            if worker is None and len(self._pool) >= self.workers:
                return
            job = queue.next()
            if job is None:
                return
            if worker is None:
                worker = _Worker(Process.start())
                self._pool.append(worker)
            worker.job = job
            if worker.ready:
                _send_job(worker, queue)

    def _idle(self) -> _Worker | None:
        """A worker without a job; one that died while it had none cost nothing, and is forgotten."""
        for worker in [worker for worker in self._pool if worker.job is None]:
            if worker.process.is_alive():
                return worker
            self._pool.remove(worker)
            bury([worker.process], time.monotonic())
        return None

    def _hear(self, worker: _Worker, queue: _Queue[T]) -> Done[T, Any] | None:
        """What a worker says: that it is there, that it is done, or (by the end of its pipe) that it died."""
        job = worker.job
        assert job is not None
        try:
            message = worker.process.pipe.recv_bytes()
        except (EOFError, OSError):
            return self._mourn(worker, job, queue)
        if message == READY:
            worker.ready = True
            self._false_starts = 0
            _send_job(worker, queue)
            return None
        worker.job = None
        result, failure = pickle.loads(message)
        if failure is not None:
            failure = Failure(failure.kind, failure.message, failure.traceback, job.deaths + 1)
        return Done(job.task, result, failure)

    def _mourn(self, worker: _Worker, job: _Job[T], queue: _Queue[T]) -> Done[T, Any] | None:
        """A worker has died: its job goes to the head of the queue, unless it has had its share of workers."""
        self._pool.remove(worker)
        bury([worker.process], time.monotonic() + GRACE_S)
        if not worker.ready:
            self._false_starts += 1
            if self._false_starts > self.retries:
                raise Unreachable(
                    "worker processes do not start",
                    why=f"the last of them {worker.process.end()} before it took a task",
                    mend='put a script\'s own statements under `if __name__ == "__main__":`, or use threads',
                )
        elif job.deaths == self.retries:
            words = f"its worker process {worker.process.end()}; tried {job.deaths + 1} times"
            return Done(job.task, failure=Failure(WORKER_DIED, words, "", job.deaths + 1))
        else:
            job.deaths += 1
        queue.again.appendleft(job)
        return None

    def _drop(self) -> None:
        """Kill the workers that are busy: what they write is whole or not there at all."""
        busy = [worker.process for worker in self._pool if worker.job is not None]
        self._pool = [worker for worker in self._pool if worker.job is None]
        for process in busy:
            process.terminate()
        bury(busy, time.monotonic() + GRACE_S)


def _send_job(worker: _Worker, queue: _Queue[Any]) -> None:
    """The work, where the worker has another one or none, and the task. A worker that is gone says so by its pipe."""
    if worker.holds != queue.number:
        worker.process.tell(queue.shipment)
        worker.holds = queue.number
    assert worker.job is not None
    worker.process.tell((worker.job.task,))
