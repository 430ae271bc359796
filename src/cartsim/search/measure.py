"""Why: a worker anywhere needs only this: which scenario, which arm, which numbers; it answers with the outcomes of a
range of subjects under one candidate."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cartsim.search.objectives import Objective, columns_of
from cartsim.sweep.block import measure_cell
from cartsim.sweep.plan import Cell
from cartsim.sweep.points import Points


@dataclass
class Measure:
    """sample(candidate, first, count) -> (count, objectives); candidates are design points. Can be pickled."""

    points: Points
    arm: str
    objectives: Sequence[Objective]

    def __call__(self, candidate: int, first: int, count: int) -> NDArray[np.float64]:
        """Outcomes of subjects `first .. first+count-1` of the first replicate."""
        cell = Cell(candidate, 0, first, count)
        columns = measure_cell(self.points, cell, columns_of(self.objectives), [self.arm])[self.arm]
        return np.column_stack([objective.numbers(columns) for objective in self.objectives])
