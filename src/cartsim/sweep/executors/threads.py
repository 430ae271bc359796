"""Why: the cheapest way to use all cores of one machine. The compiled clinic leaves Python's lock while it runs, so
threads run side by side without starting processes; building and writing tables takes turns.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue
from typing import Any, TypeVar

from cartsim.sweep.executors.base import AHEAD, Done, attempt

T = TypeVar("T")
R = TypeVar("R")


class ThreadsExecutor:
    """Runs tasks in `workers` threads of this process. A thread cannot be killed: a running task is waited for."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="cartsim")

    def run(self, work: Callable[[T], R], tasks: Iterable[T]) -> Iterator[Done[T, R]]:
        """See `Executor.run`."""
        ended: SimpleQueue[Future[Done[T, R]]] = SimpleQueue()
        under_way: set[Future[Done[T, R]]] = set()
        waiting = iter(tasks)

        def feed(count: int) -> None:
            for task in islice(waiting, count):
                future = self._pool.submit(attempt, work, task)
                under_way.add(future)
                future.add_done_callback(ended.put)

        try:
            feed(AHEAD * self.workers)
            while under_way:
                future = ended.get()
                under_way.discard(future)
                feed(1)
                yield future.result()
        finally:
            _drop(under_way)

    def close(self) -> None:
        """Wait for the tasks that run; the others are dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _drop(futures: Iterable[Future[Any]]) -> None:
    """Cancel what has not begun, then wait: a task left running could still write while the caller cleans up."""
    running = [future for future in list(futures) if not future.cancel()]
    for future in running:
        future.exception()
