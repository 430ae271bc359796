"""Why: printed tables must be readable at the width that the reader has, and plain when they go into a file. This is
the only place that knows how wide the output is and how a table of endpoints by arms is cut to fit it.
"""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

#: Width of printed tables where the output is not a terminal.
PLAIN_WIDTH = 120
#: Decision tables break words below this width.
NARROWEST_TABLE = 100
#: Arms beyond this number stand one below the other, so that an endpoint is compared within a column.
MOST_ARMS_ASIDE = 3
#: Headers are wrapped to about this width.
HEADER_WIDTH = 20


def make_console(stderr: bool = False) -> "Console":
    """A console on stdout or stderr; NO_COLOR and pipes give plain text of a fixed width."""
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console


def make_table(headers: Sequence[str], title: str | None = None, right: Iterable[int] = ()) -> "Table":
    """An empty table in the house style; columns in `right` are aligned to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        box=SIMPLE_HEAD,
        title=title,
        title_justify="left",
        title_style="bold",
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    align_right = set(right)
    for number, header in enumerate(headers):
        table.add_column(
            header, justify="right" if number in align_right else "left", vertical="top", overflow="fold"
        )
    return table


def wrap(text: str, width: int, indent: str = "  ") -> str:
    """A paragraph whose later lines are indented, so that one note ends where the next begins."""
    # a grade keeps its sign and a number its per cent
    tied = text.replace("≥ ", "≥\u00a0").replace(" %", "\u00a0%")
    filled = textwrap.fill(
        tied, width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )
    return filled.replace("\u00a0", " ")


@dataclass(frozen=True)
class Grid:
    """Endpoints by arms: `cells[row][arm]` holds one text for each of `parts` (the first part has no name)."""

    rows: Sequence[str]
    arms: Sequence[str]
    cells: Sequence[Sequence[tuple[str, ...]]]
    parts: tuple[str, ...] = ("",)


def lay_out(grid: Grid, width: int) -> list["Table"]:
    """The grid as tables no wider than `width` characters (as far as one column allows).

    Arms stand side by side where they fit; a few that do not are spread over several tables; many are turned into
    rows.
    """
    count = len(grid.arms)
    if fits(table := _arms_aside(grid, range(count)), width):
        return [table]
    if count > MOST_ARMS_ASIDE:
        return list(_arms_below(grid, width))
    for size in range(count - 1, 0, -1):
        tables = [_arms_aside(grid, group) for group in groups(range(count), size)]
        if size == 1 or all(fits(table, width) for table in tables):
            return tables
    return [table]


def fits(table: "Table", width: int) -> bool:
    """True when no column has to be narrowed at `width` characters."""
    from rich.console import Console

    measure = Console(width=10_000).measure(table)
    return measure.maximum <= width


def groups(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Consecutive groups of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _arms_aside(grid: Grid, arms: Sequence[int]) -> "Table":
    headers = [""]
    for arm in arms:
        headers += [wrap(grid.arms[arm], HEADER_WIDTH, ""), *grid.parts[1:]]
    table = make_table(headers, right=range(1, len(headers)))
    for label, cells in zip(grid.rows, grid.cells, strict=True):
        table.add_row(label, *(part for arm in arms for part in cells[arm]))
    return table


def _arms_below(grid: Grid, width: int) -> Iterator["Table"]:
    rows: list[int] = []
    for row in range(len(grid.rows)):
        if rows and not fits(_some_rows(grid, [*rows, row]), width):
            yield _some_rows(grid, rows)
            rows = []
        rows.append(row)
    yield _some_rows(grid, rows)


def _some_rows(grid: Grid, rows: Sequence[int]) -> "Table":
    headers = [wrap(grid.rows[row], HEADER_WIDTH, "") for row in rows]
    table = make_table(["", *headers], right=range(1, len(rows) + 1))
    for number, arm in enumerate(grid.arms):
        table.add_row(wrap(arm, 2 * HEADER_WIDTH), *(_stack(grid, grid.cells[row][number]) for row in rows))
    return table


def _stack(grid: Grid, parts: tuple[str, ...]) -> str:
    """The first part; the others in a line below it, each after its name."""
    named = zip(grid.parts[1:], parts[1:], strict=True)
    below = [" ".join(f"{name} {text}".split()) for name, text in named if text.strip(" –")]
    return parts[0] + ("\n" + ", ".join(below) if len(grid.parts) > 1 else "")
