"""Why: who asks for a precision wants to know beforehand what it will cost. These are the lines that say so; they are
plain text and hold no numbers of their own.
"""

from collections.abc import Iterator, Sequence

from cartsim.analysis.planning import planning_table, subjects_for
from cartsim.analysis.precision import Plan
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
