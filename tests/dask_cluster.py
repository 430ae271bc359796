"""A real Dask cluster on the loopback interface, for tests: a scheduler, and workers that can be killed one by one."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Two workers may die of one task; the usual three would only make the tests longer.
SETTINGS = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}


def wait_until(true: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait for something that another process does."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


class Cluster:
    """Processes of `dask scheduler` and `dask worker`."""

    def __init__(self, folder: Path, modules: str = "") -> None:
        """Start the scheduler. `modules`: a folder from which workers can import what they unpickle."""
        self.folder = folder
        self.modules = modules
        self.file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--port", "0", "--scheduler-file", str(self.file))
        self.workers: list[subprocess.Popen[bytes]] = []
        wait_until(self.file.exists)

    def _start(self, *arguments: str, **environment: str) -> "subprocess.Popen[bytes]":
        # `python -m dask` and not the command of that name: the process itself can then be killed
        command = [sys.executable, "-m", "dask", *arguments, "--host", "127.0.0.1", "--no-dashboard"]
        paths = os.pathsep.join(
            filter(None, [environment.pop("first", ""), self.modules, os.environ.get("PYTHONPATH")])
        )
        with open(self.folder / "log.txt", "ab") as log:
            return subprocess.Popen(
                command,
                env=os.environ | SETTINGS | environment | {"PYTHONPATH": paths},
                stdout=log,
                stderr=log,
            )

    def add_worker(self, *arguments: str, **environment: str) -> "subprocess.Popen[bytes]":
        """One worker of one thread. It is there some time later, as in life."""
        place = ("--local-directory", str(self.folder), "--scheduler-file", str(self.file))
        self.workers.append(
            self._start("worker", *place, "--nthreads", "1", "--no-nanny", *arguments, **environment)
        )
        return self.workers[-1]

    def wait_for_workers(self, count: int) -> None:
        """Until so many have ever reached the scheduler."""
        wait_until(lambda: (self.folder / "log.txt").read_text("utf-8").count("Registered to") >= count)

    def stop(self) -> None:
        """End what we started, by process."""
        processes = [self.scheduler, *self.workers]
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
