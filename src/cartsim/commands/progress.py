"""Why: a run of minutes must show that it lives and when it ends, without a byte of that in the results."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cartsim.commands.terminal import make_console

if TYPE_CHECKING:
    from cartsim.study import Progress


@contextmanager
def progress_bar(quiet: bool) -> Iterator["Callable[[Progress], None] | None"]:
    """Progress with time left on stderr: a bar on a terminal, one line a stage elsewhere, nothing when quiet."""
    if quiet:
        yield None
        return
    console = make_console(stderr=True)
    if not console.is_terminal:
        seen: set[str] = set()

        def tell(progress: "Progress") -> None:
            if progress.stage not in seen:
                seen.add(progress.stage)
                console.print(f"{progress.stage} ...", markup=False)

        yield tell
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
