"""Why: a run of minutes must show that it lives and when it ends, without a byte of that in the results."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cartsim.commands.terminal import make_console

if TYPE_CHECKING:
    from cartsim.results import Progress

#: Seconds of a stage before a log says how far it is, and between two such lines.
FIRST_S, NEXT_S = 5.0, 30.0
_UNITS = (("h", 3600.0), ("min", 60.0), ("s", 1.0))


class LogLines:
    """Progress in a file or a pipe: a line when a stage begins; if it lasts, how far it is, and when it ends."""

    def __init__(self, say: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._stages: dict[str, _Stage] = {}

    def __call__(self, progress: "Progress") -> None:
        """Take a report, and say a line when it is time for one."""
        now, stage = self._clock(), self._stages.get(progress.stage)
        if stage is None:
            stage = self._stages[progress.stage] = _Stage(now)
            self._say(f"{progress.stage} ...")
        stage.follow(progress, now)
        if progress.total <= 1:
            return
        far = f"{progress.stage}: {progress.done:,} of {progress.total:,}"
        if progress.done >= progress.total:
            if stage.spoken:
                self._say(f"{far}, took {in_words(now - stage.began)}")
            stage.spoken = False
        elif now >= stage.next_line:
            left = stage.seconds_left(progress, now)
            about = "" if left is None else f", about {in_words(left)} left"
            self._say(f"{far} ({100 * progress.done // progress.total} %){about}")
            stage.spoken, stage.next_line = True, now + NEXT_S


class _Stage:
    """When a stage began, and from where its speed is measured: what an earlier run has done took no time."""

    def __init__(self, now: float) -> None:
        self.began = now
        self.next_line = now + FIRST_S
        self.spoken = False
        self._from: tuple[float, int, int] | None = None

    def follow(self, progress: "Progress", now: float) -> None:
        """Begin to measure anew where the stage begins or its size changes (more subjects were found necessary)."""
        if self._from is None or self._from[2] != progress.total or progress.done < self._from[1]:
            self._from = now, progress.done, progress.total

    def seconds_left(self, progress: "Progress", now: float) -> float | None:
        """As long as the rest takes at the speed so far; None while there is none."""
        assert self._from is not None
        begun, before, _ = self._from
        done = progress.done - before
        return (now - begun) * (progress.total - progress.done) / done if done > 0 else None


def in_words(seconds: float) -> str:
    """A time in its largest fitting unit: 40 s, 3 min, 2 h."""
    name, unit = next(((name, unit) for name, unit in _UNITS if seconds >= 1.5 * unit), _UNITS[-1])
    return f"{round(seconds / unit):,} {name}"


@contextmanager
def progress_bar(quiet: bool) -> Iterator["Callable[[Progress], None] | None"]:
    """Progress with time left on stderr: a bar on a terminal, lines elsewhere, nothing when quiet."""
    if quiet:
        yield None
        return
    console = make_console(stderr=True)
    if not console.is_terminal:
        yield LogLines(lambda line: console.print(line, markup=False))
        return
    from rich.progress import (
        BarColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def draw(progress: "Progress") -> None:
            # a stage of one piece cannot say how far it is: its bar only shows that it lives
            total = progress.total if progress.total > 1 else None
            count = f"{progress.done:,} of {progress.total:,}" if total else ""
            if progress.stage not in tasks:
                tasks[progress.stage] = bars.add_task(progress.stage, total=total, count=count)
            finished = 0 < progress.total <= progress.done
            bars.update(
                tasks[progress.stage],
                completed=progress.done,
                total=progress.total if finished else total,
                count=count,
            )

        yield draw
