"""Why: who asks for a precision wants to know beforehand what it will cost, and afterwards whether it was reached.
These are the lines that say so; they are plain text and hold no numbers of their own.
"""

from collections.abc import Iterator, Sequence

from cartsim.analysis.planning import planning_table, subjects_for
from cartsim.analysis.precision import Plan, Reading, Stop
from cartsim.analysis.widths import Row


def planning_lines(plan: Plan, pilot: Sequence[Row | None] | None = None) -> Iterator[str]:
    """What `--dry-run` prints: subjects in each arm for every condition, from a pilot's rows or for a few guesses.

    `pilot` holds one row a condition, None where the pilot has none.
    """
    most = f", at most {plan.budget_s:g} s" if plan.budget_s is not None else ""
    yield f"Until (from {plan.floor:,} to {plan.ceiling:,} subjects in each arm{most}):"
    rows = pilot if pilot is not None else [None] * len(plan.conditions)
    for condition, row in zip(plan.conditions, rows, strict=True):
        yield f"  {condition}"
        if row is not None:
            size = subjects_for(condition, row, floor=plan.floor, level=plan.confidence)
            yield f"    about {_capped(size, plan)} subjects, by {row['n_units']:,} subjects already run"
            continue
        words, sizes = planning_table(condition, floor=plan.floor, level=plan.confidence)
        shown = [(label, _capped(size, plan)) for label, size in sizes]
        widths = [max(len(label), len(size)) for label, size in shown]
        yield f"    subjects needed, by {words}"
        for place in (0, 1):
            cells = (f"{cell[place]:>{width}}" for cell, width in zip(shown, widths, strict=True))
            yield f"    {'  '.join(cells)}"


def _capped(size: int, plan: Plan) -> str:
    return f"{size:,}" if size <= plan.ceiling else f"{size:,} (above the ceiling)"


def look_line(n: int, readings: Sequence[Reading], following: int | Stop) -> str:
    """One look, for the progress on stderr: where the furthest condition stands and what follows."""
    waiting = [reading for reading in readings if not reading.met]
    if isinstance(following, Stop):
        return f"{n:,} subjects: {following.reason}"
    standing = f"{max(waiting, key=lambda r: r.needed)}, " if waiting else ""
    return f"{n:,} subjects: {standing}next {following:,}"


def stop_lines(n: int, reason: str, reached: bool) -> Iterator[str]:
    """Why the run ended, after its tables."""
    yield f"Stopped at {n:,} subjects in each arm: {reason}"
    if not reached:
        yield "  what was run is kept; with a higher ceiling or time budget the same command goes on from here"
