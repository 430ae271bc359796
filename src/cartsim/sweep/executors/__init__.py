"""Who runs the blocks of a run: this thread, threads, processes, or a Dask cluster. None of them can move a number."""

from collections.abc import Callable

from cartsim.errors import InvalidInput
from cartsim.sweep.executors.base import WORKER_DIED, Done, Executor, Failure, cores

__all__ = ["EXECUTORS", "WORKER_DIED", "Done", "Executor", "Failure", "cores", "make_executor"]

#: Names that a user may give.
EXECUTORS = ("inline", "threads", "processes", "dask")


def make_executor(name: str, workers: int = 0, scheduler: str | None = None, retries: int = 2) -> Executor:
    """An executor by name. `workers` 0 takes the cores granted to this process; a Dask cluster has its own number.

    `scheduler` is the address or the scheduler file of a Dask cluster. `retries`: how often a task is tried again
    after the worker process that did it died. Raises `InvalidInput` for a name or number that does not
    exist, `Unreachable` and `Mismatch` where a cluster cannot be used.
    """
    if workers < 0 or retries < 0:
        what = f"workers: {workers}" if workers < 0 else f"retries: {retries}"
        raise InvalidInput(f"{what} is below 0", mend="a whole number from 0")
    if name not in EXECUTORS:
        raise InvalidInput(f"there is no executor '{name}'", mend="one of " + ", ".join(EXECUTORS))
    if (name == "dask") != (scheduler is not None):
        if scheduler is None:
            raise InvalidInput(
                "executor dask needs a scheduler",
                mend="--scheduler with its address (tcp://host:8786) or its file",
            )
        raise InvalidInput(f"executor {name} has no scheduler", mend="--executor dask, or no --scheduler")
    return _MAKERS[name](workers or cores(), scheduler or "", retries)


def _inline(workers: int, scheduler: str, retries: int) -> Executor:
    from cartsim.sweep.executors.inline import InlineExecutor

    return InlineExecutor()


def _threads(workers: int, scheduler: str, retries: int) -> Executor:
    from cartsim.sweep.executors.threads import ThreadsExecutor

    return ThreadsExecutor(workers)


def _processes(workers: int, scheduler: str, retries: int) -> Executor:
    from cartsim.sweep.executors.processes import ProcessesExecutor

    return ProcessesExecutor(workers, retries)


def _dask(workers: int, scheduler: str, retries: int) -> Executor:
    from cartsim.sweep.executors.cluster import ClusterExecutor

    return ClusterExecutor(scheduler)


_MAKERS: dict[str, Callable[[int, str, int], Executor]] = {
    "inline": _inline,
    "threads": _threads,
    "processes": _processes,
    "dask": _dask,
}
