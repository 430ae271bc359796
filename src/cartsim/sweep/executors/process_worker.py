"""Why: what a worker process does. It is kept apart, and imports little, because a new process reads this file first;
the engine arrives with the work.

Messages from the parent: `bytes` is a new work to unpickle, a 1-tuple a task, None the end. Messages back: READY once,
then one `Done` (pickled) a task.
"""

import os
import pickle
import signal
import threading
from collections.abc import Callable
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from typing import Any

from cartsim.sweep.executors.base import Done, Failure, attempt

READY = b"ready"
#: Exit code of a worker whose parent has gone.
ORPHANED = 1


def serve(parent: Connection) -> None:
    """Do tasks until told to stop, or until the parent dies."""
    # Ctrl-C reaches every process of a terminal; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        parent.send_bytes(READY)
        _serve(parent)
    except (EOFError, OSError):
        # the parent has closed its end
        return


def _serve(parent: Connection) -> None:
    work: Callable[[Any], Any] | None = None
    unfit: Exception | None = None
    while (message := parent.recv()) is not None:
        if isinstance(message, bytes):
            work, unfit = None, None
            try:
                work = pickle.loads(message)
            except Exception as error:
                unfit = error
            continue
        (task,) = message
        if work is None:
            done: Done[Any, Any] = Done(task, failure=Failure.of(unfit or RuntimeError("no work was sent")))
        else:
            done = attempt(work, task)
        parent.send_bytes(_pickled(done))


def _pickled(done: Done[Any, Any]) -> bytes:
    """The result and failure alone (the parent still has the task); a result that cannot travel is a failure."""
    try:
        return pickle.dumps((done.result, done.failure), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        return pickle.dumps((None, Failure.of(error)), pickle.HIGHEST_PROTOCOL)


def _die_with_parent() -> None:
    """End at once when the parent has gone, even in the middle of a task: nobody would read its receipt."""
    above = parent_process()
    if above is not None:
        above.join()
        os._exit(ORPHANED)
