"""Why: a run says what is to be done (blocks, as small descriptions) and never who does it. An executor takes the
descriptions one by one, has them done in this thread, in threads, in processes or on a cluster, and hands back what
came of each, whichever is ready first. Since a block is a pure function, none of this can move a number.

A task that fails takes no other task with it: its error comes back as a value.
"""

import os
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")

#: Tasks under way for each worker: the next one is there when a worker is ready, and no more is held.
AHEAD = 2
#: `Failure.kind` of a task that no worker survived.
WORKER_DIED = "WorkerDied"


@dataclass(frozen=True)
class Failure:
    """Why a task gave no result. `kind` is the name of the exception; `attempts` counts workers that tried it."""

    kind: str
    message: str
    traceback: str
    attempts: int = 1

    @classmethod
    def of(cls, error: BaseException, attempts: int = 1) -> "Failure":
        """The failure as text: an exception itself may refuse to travel between processes."""
        return cls(
            type(error).__name__, str(error), "".join(traceback.format_exception(error)), attempts=attempts
        )


@dataclass(frozen=True)
class Done(Generic[T, R]):
    """One task that has ended: `result` holds if `failure` is None."""

    task: T
    result: R | None = None
    failure: Failure | None = None


class Executor(Protocol):
    """Who runs tasks, in one run after the other; `close` it in the end (`contextlib.closing`)."""

    @property
    def workers(self) -> int:
        """How many tasks can run at the same moment, as of now."""
        ...

    def run(self, work: Callable[[T], R], tasks: Iterable[T]) -> Iterator[Done[T, R]]:
        """Do `work(task)` for every task; what has ended comes out in the order of ending.

        `tasks` is read as workers become ready, at most two a worker ahead. Exceptions of `work` become failures;
        tasks whose worker was killed are tried again. Leaving the iterator early drops what has not begun.
        Raises `Unreachable` where there are no workers, `Mismatch` where they run another cartsim.
        """
        ...

    def close(self) -> None:
        """Drop what has not begun and let workers go; safe to call twice, and while a run is under way."""
        ...


def attempt(work: Callable[[T], R], task: T) -> Done[T, R]:
    """Do one task in a worker, where nothing but the end of the worker itself may stop the next task."""
    try:
        return Done(task, work(task))
    except (Exception, SystemExit) as error:
        return Done(task, failure=Failure.of(error))


def cores() -> int:
    """Cores that this process may use (a batch system often grants fewer than the machine has)."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
