"""Why: subjects are simulated a few thousand at a time, whichever numbers their arms have: those of the scenario, or
those of one parameter set out of many.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cartsim.arms import ReadyArm
from cartsim.cells import SPAN, Ran, Span, run_arms
from cartsim.sweep.plan import Cell
from cartsim.tables.extras import extra_columns, has_extras

if TYPE_CHECKING:
    from cartsim.scenario.resolve import Scenario


def run_pieces(
    scenario: "Scenario", ready: list[ReadyArm], cell: Cell, columns: Sequence[str] = ()
) -> list[list[Ran]]:
    """One cell in arms that are at hand: for each piece of it what every arm did.

    `columns`: what will be read; those that adsl does not have are made at once, with the scenario's prices.
    """
    pieces = _run_pieces(scenario, ready, cell)
    if has_extras(scenario):
        for piece in pieces:
            for ran, arm in zip(piece, ready, strict=True):
                ran.extra = extra_columns(scenario, arm.par, ran.block, columns)
    return pieces


def _run_pieces(scenario: "Scenario", ready: list[ReadyArm], cell: Cell) -> list[list[Ran]]:
    if scenario.site is not None:
        from cartsim.sites import run_replicate

        return [run_replicate(scenario, ready, cell.replicate)]
    return [
        run_arms(scenario, ready, Span(cell.replicate, first, min(SPAN, cell.first + cell.count - first)))
        for first in range(cell.first, cell.first + max(cell.count, 1), SPAN)
    ]
