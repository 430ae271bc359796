"""How things are timed here: processor time where one thread is compared with one thread, because other people use the
machine too; interleaved repeats and medians; ratios within one run. Absolute figures are context, not claims."""

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

#: A core that does this much else is not idle.
BUSY = 0.15


def cpu_seconds(action: Callable[[], Any]) -> float:
    """Processor seconds (all threads of this process) of one call."""
    begin = time.process_time()
    action()
    return time.process_time() - begin


def wall_seconds(action: Callable[[], Any]) -> float:
    """Wall-clock seconds of one call."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def interleaved(
    actions: Mapping[str, Callable[[], Any]],
    repeats: int,
    clock: Callable[[Callable[[], Any]], float] = cpu_seconds,
) -> dict[str, list[float]]:
    """Seconds of each action, `repeats` rounds in turn, so that a busy minute hits all of them alike."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repeats):
        for name, action in actions.items():
            times[name].append(clock(action))
    return times


def median(values: Sequence[float]) -> float:
    """Median."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """Smallest and largest in microseconds a piece, as text."""
    return f"{min(values):.1f}-{max(values):.1f}"


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def others_busy(seconds: float = 0.5) -> float | None:
    """Cores' worth of work that the machine does while this process sleeps; None where that cannot be read."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return None

    def busy_ticks() -> int:
        user, nice, system, _, _, irq, soft, *_ = map(int, stat.read_text().split("\n")[0].split()[1:])
        return user + nice + system + irq + soft

    before, begin = busy_ticks(), time.perf_counter()
    time.sleep(seconds)
    return (busy_ticks() - before) / os.sysconf("SC_CLK_TCK") / (time.perf_counter() - begin)


def peak_mib() -> float:
    """Highest resident memory of this process so far, MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage would count what the parent held when it started this process
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0 * 1024.0 if sys.platform == "darwin" else 1024.0)


def machine() -> dict[str, Any]:
    """Facts without which an absolute figure says nothing."""
    packages = ("numpy", "numba", "simpy", "pyarrow")
    return {
        "cores": cores(),
        "others_busy_cores": others_busy(),
        "processor": _processor(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def show_machine(facts: Mapping[str, Any]) -> None:
    """One line of facts, with a warning where somebody else is working."""
    busy = facts["others_busy_cores"]
    print(
        f"{facts['cores']} cores, {facts['processor']}, Python {facts['python']}, NumPy {facts['numpy']}, "
        f"numba {facts['numba']}, SimPy {facts['simpy']}, pyarrow {facts['pyarrow']}"
    )
    if busy is not None and busy > BUSY:
        print(f"other processes keep {busy:.1f} cores busy: absolute figures are too high, ratios are fair")


def show(title: str, head: Sequence[str], rows: Sequence[Sequence[Any]], note: str = "") -> None:
    """A small table: the first column to the left, numbers to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(head), *cells]) for i in range(len(head))]
    print(f"\n{title}")
    for row in [list(head), ["-" * w for w in widths], *cells]:
        line = [
            row[0].ljust(widths[0]),
            *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)),
        ]
        print("  " + "  ".join(line).rstrip())
    if note:
        print(f"  {note}")


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return (
            f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"
        )
    return f"{value:,}" if isinstance(value, int) else str(value)


def in_child(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run `python -m module arguments` in a fresh process and read the JSON on its last line."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True, text=True, check=False, env=os.environ | dict(environment or {}),
        cwd=Path(__file__).resolve().parents[1],
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{module} {' '.join(arguments)} failed:\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])
