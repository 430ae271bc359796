"""Why: what happens on a worker of a Dask cluster. The work reaches each worker once, as a plug-in: workers that join
later, or take the place of dead ones, get it when they register, before any task.

A worker with another cartsim, NumPy or Python could give other numbers without anybody noticing; so each worker
compares itself with the client before it takes a task.
"""

import hashlib
import pickle
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from distributed import Worker, WorkerPlugin

from cartsim.errors import Mismatch
from cartsim.sweep.executors.base import Done, Failure, attempt

#: Packages that may move a bit of a result, or that have to understand each other over the wire.
PACKAGES = ("cartsim", "numpy", "numba", "scipy", "pyarrow", "pandas", "dask", "distributed")
PACKAGE = Path(__file__).resolve().parents[2]

#: The works this process holds, by name: unpickled, or the exception that came of trying.
_works: dict[str, Any] = {}


@cache
def environment() -> dict[str, str]:
    """What two computers must share to give the same bits: versions, and the text of cartsim itself."""
    found = {"Python": ".".join(map(str, sys.version_info[:2]))}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found | {"files of cartsim": _sources_hash()}


def _sources_hash() -> str:
    """sha256 (12 hex digits) over every file of the package that Python or the registry reads."""
    digest = hashlib.sha256()
    for file in sorted(PACKAGE.rglob("*")):
        if file.suffix in (".py", ".yaml"):
            digest.update(file.relative_to(PACKAGE).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def differences(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """What another computer has that we have not, in words."""
    return [
        f"{name}: {theirs.get(name, 'unknown')} there, {value} here"
        for name, value in ours.items()
        if theirs.get(name) != value
    ]


class Shipment(WorkerPlugin):
    """One pickled work on its way to every worker, with the environment it expects there."""

    def __init__(self, name: str, work: bytes, expected: Mapping[str, str]) -> None:
        self.name = name
        self.work = work
        self.expected = dict(expected)

    def setup(self, worker: Worker) -> None:
        """Take up the work, or keep the reason why not: a task that comes here then tells it."""
        found = differences(self.expected, environment())
        if found:
            _works[self.name] = Mismatch("; ".join(found))
            return
        try:
            _works[self.name] = pickle.loads(self.work)
        except Exception as error:
            _works[self.name] = error

    def teardown(self, worker: Worker) -> None:
        """Forget the work when the run is over."""
        _works.pop(self.name, None)


def run_task(name: str, task: Any) -> Any:
    """(result, failure) of one task by the named work. Raises what kept this worker from taking up the work."""
    work = _works.get(name)
    if work is None:
        raise Mismatch("this worker has no such work: the run that it belongs to is over")
    if isinstance(work, Exception):
        raise work
    done: Done[Any, Any] = attempt(work, task)
    try:
        pickle.dumps(done.result)
    except Exception as error:
        return None, Failure.of(error)
    return done.result, done.failure
