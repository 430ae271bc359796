"""Why: one worker process as its parent handles it: how it is started (deaf to Ctrl-C, with one thread for every
library), spoken to, ended, and what to say of how it ended."""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from cartsim.errors import Unreachable
from cartsim.sweep.executors.process_worker import serve

#: The workers take the cores; a library that starts threads of its own in each of them would only slow all down.
#: Arrow and OpenBLAS read the first; nothing here changes a number, since no sum of ours depends on threads.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)


class Process:
    """A worker process and the pipe to it."""

    def __init__(self, process: BaseProcess, pipe: Connection) -> None:
        self.pipe = pipe
        self._process = process
        self._exit_code: int | None = None

    @classmethod
    def start(cls) -> "Process":
        """Start one; it says `READY` when it is there. Raises `Unreachable` where the system grants no process."""
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs,), name="cartsim-worker", daemon=True)
        try:
            with _inherited():
                process.start()
        except OSError as error:
            raise Unreachable(
                "no worker process can be started", why=str(error), mend="fewer --workers, or threads"
            ) from error
        # with our copy of its end closed, the pipe ends when the worker does
        theirs.close()
        return cls(process, ours)

    def tell(self, message: Any) -> None:
        """Send a message; to one who has died, nothing happens."""
        with suppress(OSError):
            self.pipe.send(message)

    def is_alive(self) -> bool:
        """False once the process has ended."""
        return self._process.is_alive()

    def terminate(self) -> None:
        """Ask the system to end it now."""
        self._process.terminate()

    def wait_for_end(self, until: float) -> None:
        """Wait until this moment (monotonic seconds), then kill; forget the process."""
        self._process.join(max(0.0, until - time.monotonic()))
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        self._exit_code = self._process.exitcode
        self.pipe.close()
        self._process.close()

    def end(self) -> str:
        """How it ended, in words."""
        code = self._exit_code
        if code is not None and code < 0:
            hint = ", often for want of memory" if -code == 9 else ""
            return f"was killed by signal {-code} ({signal.strsignal(-code)}{hint})"
        return f"ended with exit code {code}"


def bury(processes: Iterable[Process], until: float) -> None:
    """Wait for all of them together, at most until this moment (monotonic seconds)."""
    for process in processes:
        process.wait_for_end(until)


@contextmanager
def _inherited() -> Iterator[None]:
    """What a process takes over when it starts: SIGINT blocked from its first moment, one thread a library."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    blocked = hasattr(signal, "pthread_sigmask")
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if blocked else None
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
