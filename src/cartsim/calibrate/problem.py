"""Why: between scores and a loss stand the cohorts. A set of scores becomes registry numbers, each cohort is simulated
under them on the same Sobol' subjects as ever, and its published figures are compared with the same figures of the
subjects: a smooth function of the scores, but for single subjects.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cartsim.calibrate.cohorts import Cohort
from cartsim.calibrate.crew import Group
from cartsim.calibrate.endpoints import estimate, sample
from cartsim.calibrate.loss import Part, parts_of, residuals, simulated_numbers
from cartsim.calibrate.parameters import Space
from cartsim.calibrate.simulate import CohortRunner, groups
from cartsim.evidence.targets import Target

Value = float | list[float]


@dataclass(frozen=True)
class Figure:
    """One row of the fit: its cohort, its parts, and who simulates it."""

    target: Target
    cohort: Cohort
    parts: tuple[Part, ...]


class CohortProblem:
    """The rows of a fit as a problem of least squares (`crew.Fitted`).

    `fixed`: registry numbers that are not fitted and differ from the registry's.
    """

    def __init__(
        self,
        space: Space,
        cohorts: Mapping[str, Cohort],
        rows: Sequence[Target],
        subjects: int,
        seed: int,
        fixed: Mapping[str, Value] | None = None,
    ) -> None:
        self.space = space
        self.size = len(space)
        self.fixed = dict(fixed or {})
        shared = space.places(None)
        self.figures: list[tuple[Figure, ...]] = []
        self.runners: list[CohortRunner] = []
        self.groups: list[Group] = []
        wanted = {row.cohort_id for row in rows}
        for together in groups({id_: cohort for id_, cohort in cohorts.items() if id_ in wanted}):
            by_id = {cohort.id: cohort for cohort in together}
            figures = tuple(
                Figure(row, by_id[row.cohort_id], parts_of(row)) for row in rows if row.cohort_id in by_id
            )
            first, *also = together
            own = space.places(first.product)
            self.figures.append(figures)
            self.runners.append(CohortRunner(first, subjects, seed, also=also))
            self.groups.append(
                Group(
                    "+".join(by_id),
                    tuple(sorted([*shared, *own])),
                    sum(len(figure.parts) for figure in figures),
                    first.product if own else None,
                )
            )

    def evaluate(self, group: int, z: np.ndarray) -> np.ndarray:
        """Residuals of a group of cohorts, [rows]."""
        found: list[float] = []
        for figure, simulated in zip(self.figures[group], self.simulate(group, z), strict=True):
            found += residuals(figure.parts, simulated)
        return np.array(found)

    def simulate(self, group: int, z: np.ndarray) -> list[list[float]]:
        """The simulated number of each part of each row of a group."""
        runner = self.runners[group]
        product = runner.cohort.product
        fixed = {
            key: value
            for key, value in self.fixed.items()
            if not key.startswith("product.") or key.startswith(f"product.{product}.")
        }
        simulated = runner.run({**fixed, **self.space.numbers(z, product)})
        return [
            simulated_numbers(
                figure.target, estimate(figure.target, sample(figure.target, figure.cohort, simulated))
            )
            for figure in self.figures[group]
        ]
