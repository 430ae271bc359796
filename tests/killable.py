"""Runs that can be killed cheaply: one process imports and compiles once, then forks a child for every attempt.

As a program it reads one line of JSON a run on stdin (`[scenario file, folder, keyword arguments]`), forks, and says
the number of the child. It starts no thread before it forks.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SAID = "said.txt"


class Attempt:
    """One child that runs."""

    def __init__(self, parent: "Killable", process: int) -> None:
        self.process = process
        self._parent = parent

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        try:
            state = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        return state != "Z"

    def children(self) -> list[int]:
        """Its worker processes."""
        try:
            found = Path(f"/proc/{self.process}/task/{self.process}/children").read_text()
        except FileNotFoundError:
            return []
        # the one that tracks shared resources is not a worker
        return [int(p) for p in found.split() if b"spawn_main" in Path(f"/proc/{p}/cmdline").read_bytes()]

    def kill(self) -> bool:
        """SIGKILL; False when it had ended before."""
        killed = kill(self.process)
        return self.wait() == -signal.SIGKILL and killed

    def wait(self, seconds: float = 60.0) -> int:
        """Its exit code, negative for a signal."""
        until = time.monotonic() + seconds
        while self.alive:
            assert time.monotonic() < until, "it does not end"
            time.sleep(0.002)
        return self._parent.exit_code(self)


class Killable:
    """The process that forks."""

    def __init__(self, folder: Path) -> None:
        self.said = folder / SAID
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self.said)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._read() == "ready"

    def start(self, scenario: Path, out: Path, **options: Any) -> Attempt:
        """`cartsim.run(scenario, out, **options)` in a child."""
        self._write([str(scenario), str(out), options])
        return Attempt(self, int(self._read()))

    def run(self, scenario: Path, out: Path, **options: Any) -> None:
        """The same, to its end."""
        code = self.start(scenario, out, **options).wait()
        assert code == 0, self.said.read_text()

    def exit_code(self, attempt: Attempt) -> int:
        """What became of a child that has ended."""
        self._write(attempt.process)
        return int(self._read())

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=30)

    def _write(self, message: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def kill(process: int) -> bool:
    """SIGKILL; False where there is nobody any more."""
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _serve(said: str) -> None:
    import cartsim
    from cartsim.in_memory import warm_up
    from cartsim.scenario.load import load_scenario
    from cartsim.sweep.points import Points

    warm = load_scenario(
        {
            "schema": "cartsim/scenario/1",
            "id": "warm",
            "title": "Warm",
            "product": "axi-cel",
            "population": {"subjects": 1},
            "arms": [{"id": "standard", "policy": "asco_2021"}],
            "run": {"seed": 1},
        }
    )
    warm_up(Points(warm), lambda _: None)
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if isinstance(order, int):
            print(os.waitstatus_to_exitcode(os.waitpid(order, 0)[1]), flush=True)
            continue
        child = os.fork()
        if child == 0:
            _run(cartsim.run, said, *order)
        print(child, flush=True)


def _run(run: Any, said: str, scenario: str, out: str, options: dict[str, Any]) -> None:
    code = 1
    try:
        sys.stderr = open(said, "w")  # noqa: SIM115
        run(scenario, out, **options)
        code = 0
    except BaseException as error:
        print(error, file=sys.stderr, flush=True)
    finally:
        os._exit(code)


if __name__ == "__main__":
    _serve(sys.argv[1])
