"""Why: one task after the other in the caller's thread. Debuggers, profilers and tracebacks work as usual, and what
the other executors give can be compared with it."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from cartsim.sweep.executors.base import Done, Failure

T = TypeVar("T")
R = TypeVar("R")


class InlineExecutor:
    """Runs every task where it was asked for."""

    workers = 1

    def run(self, work: Callable[[T], R], tasks: Iterable[T]) -> Iterator[Done[T, R]]:
        """In the order of `tasks`; see `Executor.run`. An interruption is the caller's own and goes through."""
        for task in tasks:
            try:
                done: Done[T, R] = Done(task, work(task))
            except Exception as error:
                done = Done(task, failure=Failure.of(error))
            yield done

    def close(self) -> None:
        """Nothing is kept."""
