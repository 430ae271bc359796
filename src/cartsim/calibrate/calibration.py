"""Why: one command takes published figures to numbers with their uncertainty. Here its pieces are put in order: rows
that may be fitted, cohorts, numbers to fit, the fit, the report; nothing of what comes out depends on the number of
threads, on a calibration that is already there, or on whether the fit was stopped on its way.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cartsim.calibrate.calibrated import Line, Report, describe, rounded, write_folder
from cartsim.calibrate.checkpoint import Checkpoint
from cartsim.calibrate.cohorts import load_cohorts
from cartsim.calibrate.crew import Crew
from cartsim.calibrate.evolution import need_package
from cartsim.calibrate.fit import Effort, Fitter
from cartsim.calibrate.loss import EMPTY, choose_rows
from cartsim.calibrate.parameters import Space, load_space
from cartsim.calibrate.problem import CohortProblem
from cartsim.errors import InvalidInput
from cartsim.evidence.calibrated import own_calibration
from cartsim.evidence.registry import starting_registry
from cartsim.evidence.targets import TargetSet, load_targets
from cartsim.results import Progress
from cartsim.store import dependency_versions
from cartsim.store.provenance import source_digests

SEED, SUBJECTS = 20261122, 1024
#: Files under the package that a fit writes itself and does not read.
_OWN = "evidence/calibration/"


@dataclass(frozen=True)
class Asked:
    """What is to be fitted, and how hard."""

    targets: Path | None = None
    cohorts: Mapping[str, Path] = field(default_factory=dict)
    subjects: int = SUBJECTS
    seed: int = SEED
    effort: Effort = field(default_factory=Effort)

    def command(self) -> str:
        """The command that makes the same files."""
        words = ["cartsim calibrate"]
        if self.targets is not None:
            words.append(f"--targets {self.targets.name}")
        words += [f"--cohort {id_}={path.name}" for id_, path in self.cohorts.items()]
        given = {"subjects": (self.subjects, SUBJECTS), "seed": (self.seed, SEED)}
        plain = Effort()
        for name in ("rounds", "draws", "sweeps"):
            given[name] = getattr(self.effort, name), getattr(plain, name)
        words += [f"--{name} {value}" for name, (value, usual) in given.items() if value != usual]
        return " ".join(words)


def calibrate(
    asked: Asked,
    out: Path,
    *,
    workers: int = 1,
    fresh: bool = False,
    tell: Callable[[Progress], None] | None = None,
) -> Report:
    """Fit, draw the posterior, and write `out`.

    An unfinished fit in `out` is taken up again unless `fresh`. Raises `InvalidInput` for bad targets or too little
    to fit, `Mismatch` where `out` holds the unfinished fit of something else, `Unreachable` without the package `cma`.
    """
    need_package()
    targets = load_targets(asked.targets)
    chosen = choose_rows(targets.rows)
    if not chosen.rows:
        raise InvalidInput(
            "the targets have no row to fit",
            where=targets.source,
            mend="rows with use `fit` or `recalled`, other than the package's list of repeats",
        )
    cohorts = load_cohorts(targets, asked.cohorts)
    start = starting_registry().numbers()
    space = _needed(load_space(start), {cohorts[row.cohort_id].product for row in chosen.rows})
    calibration = own_calibration()
    fitted = space.numbers(space.start)
    fixed = {key: start[key] for key in (calibration.keys if calibration else ()) if key not in fitted}
    problem = CohortProblem(space, cohorts, chosen.rows, asked.subjects, asked.seed, fixed)
    scenarios = {row.cohort_id: cohorts[row.cohort_id].scenario.hash() for row in chosen.rows}
    checkpoint = Checkpoint(out, _identity(asked, targets, scenarios))
    if fresh:
        checkpoint.remove()
    with Crew(problem, workers) as crew:
        kept = [place for place, one in enumerate(space.coordinates) if one.kept]
        fitter = Fitter(
            crew, space.start, asked.effort, seed=asked.seed, kept=kept, checkpoint=checkpoint, tell=tell
        )
        fit = fitter.run()
        before, after = (_every(crew, problem, z) for z in (space.start, fit.z))
    lines = tuple(_lines(problem, before, after))
    parameters, pooled = describe(space, fit)
    begun = sum(line.residual_before**2 for line in lines)
    loss = {
        "terms": len(lines),
        "start": rounded(begun),
        "data": rounded(sum(line.square for line in lines)),
        "prior": rounded(float(fit.z @ fit.z)),
    }
    left = tuple((row.id, why) for row, why in chosen.left_out)
    report = Report(lines, left, loss, tuple(parameters), tuple(pooled), fit)
    write_folder(out, report, space, _said(asked, targets))
    checkpoint.remove()
    return report


def _every(crew: Crew, problem: CohortProblem, z: np.ndarray) -> list[list[list[float]]]:
    """Simulated numbers of every part of every row, by group."""
    return crew.each(lambda group: problem.simulate(group, z), range(len(problem.groups)))


def _needed(space: Space, products: set[str]) -> Space:
    """Numbers of the products that are simulated; other products keep theirs.

    The package's own targets have rows of every product.
    """
    wanted = [one.key for one in space.coordinates if one.product is None or one.product in products]
    return space if len(wanted) == len(space) else space.only(wanted)


def _said(asked: Asked, targets: TargetSet) -> dict[str, Any]:
    from importlib.metadata import version

    return {
        "command": asked.command(),
        "targets": targets.source,
        "targets_sha256": targets.sha256,
        "split_sha256": targets.split_sha256,
        "seed": asked.seed,
        "subjects": asked.subjects,
        "version": version("cartsim"),
    }


def _identity(asked: Asked, targets: TargetSet, scenarios: Mapping[str, str]) -> dict[str, Any]:
    sources = {name: digest for name, digest in source_digests().items() if not name.startswith(_OWN)}
    return {
        **_said(asked, targets),
        "effort": asdict(asked.effort),
        "scenarios": dict(scenarios),
        "engine": hashlib.sha256(json.dumps(sources, sort_keys=True).encode()).hexdigest(),
        "dependencies": dict(dependency_versions()),
    }


def _lines(
    problem: CohortProblem, before: list[list[list[float]]], after: list[list[list[float]]]
) -> list[Line]:
    made = []
    for figures, olds, news in zip(problem.figures, before, after, strict=True):
        for figure, old, new in zip(figures, olds, news, strict=True):
            row = figure.target
            for part, was, now in zip(figure.parts, old, new, strict=True):
                gaps = [
                    (value - part.observed) / part.error if np.isfinite(value) else EMPTY
                    for value in (was, now)
                ]
                made.append(
                    Line(
                        row.cohort_id,
                        figure.cohort.product,
                        row.patient_set,
                        row.endpoint,
                        row.statistic,
                        part.name,
                        row.use,
                        row.denominator or row.n,
                        part.observed,
                        part.error,
                        was,
                        now,
                        gaps[0],
                        gaps[1],
                    )
                )
    return made
