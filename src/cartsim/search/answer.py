"""Why: from a scenario with a sweep and the name of an endpoint to the best setting: what is asked is checked, then
searched, then written down. The command line only reads options and prints.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cartsim.errors import InvalidInput
from cartsim.search.folder import open_folder, write_answer
from cartsim.search.labels import Candidate, axis_names, make_candidate
from cartsim.search.measure import Measure
from cartsim.search.objectives import SHARE_INDIFFERENCE, Objective, read_objectives
from cartsim.search.results import BEST, candidates_table, front_of, status_of
from cartsim.search.run import Found, Runner, Settings, Standing, batch_size, search
from cartsim.search.samples import Samples
from cartsim.search.selection import FIRST
from cartsim.store.files import ResultWriter
from cartsim.store.lock import hold
from cartsim.store.manifest import Identity
from cartsim.store.place import Place
from cartsim.sweep.points import Points

if TYPE_CHECKING:
    from cartsim.scenario.resolve import Scenario
    from cartsim.store.provenance import Provenance

#: Parts of a scenario that say what is measured, or on whom: candidates must agree in them.
SHARED = ("run", "study", "grading", "outputs", "id", "title", "reference", "population.subjects")


@dataclass(frozen=True)
class Question:
    """What is asked: `minimise` names a target, `pareto` endpoint ids; `indifference` null: the one for shares."""

    minimise: str
    pareto: tuple[str, ...] = ()
    confidence: float = 0.95
    indifference: float | None = None
    ceiling: int | None = None


@dataclass
class Answer:
    """What was found, and where it is. `axes` names the paths that move, `said` is the content of search.json."""

    place: Place
    axes: dict[str, str]
    objectives: list[Objective]
    candidates: list[Candidate]
    found: Found = field(repr=False)
    table: pa.Table = field(repr=False)
    said: dict[str, Any] = field(repr=False)
    files: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Asked:
    """A question that was checked."""

    arm: str
    objectives: list[Objective]
    settings: Settings


def check_question(scenario: "Scenario", question: Question) -> Asked:
    """The arm, the objectives and the settings of the search. Raises `InvalidInput` for what cannot be answered."""
    if scenario.sweep is None:
        raise InvalidInput(
            "there is nothing to choose from",
            where=scenario.file,
            why="the candidates of a search are the design points of `sweep:`, and the scenario has none",
            mend="a block such as in scenarios/policy_search.yaml",
        )
    if scenario.site is not None or scenario.run.source != "philox":
        why = (
            "at a site subjects wait for each other"
            if scenario.site
            else "Sobol' points depend on each other"
        )
        raise InvalidInput(
            "a search needs independent subjects",
            where=scenario.file,
            why=why,
            mend="site: null" if scenario.site else "run: {source: philox}",
        )
    if scenario.run.parameter_draws:
        raise InvalidInput(
            f"a search compares candidates under one parameter set, and {scenario.run.parameter_draws:,} are asked for",
            where=scenario.file,
            mend="run: {parameter_draws: 0}, then `cartsim run --parameter-draws` of the best few",
        )
    arm, objectives = read_objectives(
        question.minimise,
        question.pareto,
        [arm.id for arm in scenario.arms],
        scenario.grading.crs,
        float(scenario.horizon_days),
    )
    _check_numbers(question, objectives[0])
    indifference = question.indifference or SHARE_INDIFFERENCE
    batch = batch_size(indifference, objectives[0].reach)
    if question.ceiling is not None and question.ceiling < FIRST * batch:
        raise InvalidInput(
            f"the ceiling of {question.ceiling:,} subjects is below the first stage",
            where="--ceiling",
            why=f"the variance of differences is judged on the first {FIRST * batch:,} subjects",
            mend=f"--ceiling {FIRST * batch}, or a larger --indifference",
        )
    settings = Settings(
        confidence=question.confidence,
        indifference=indifference,
        batch=batch,
        reach=tuple(o.reach for o in objectives),
        sign=tuple(o.sign for o in objectives),
        ceiling=question.ceiling,
        front=tuple(range(len(objectives))) if question.pareto else (),
        front_subjects=scenario.subjects,
    )
    return Asked(arm, objectives, settings)


def make_candidates(points: Points, arm: str) -> list[Candidate]:
    """The design points as candidates. Raises `InvalidInput` where they would not be measured alike."""
    for path in points.design.paths:
        if any(path == part or path.startswith(f"{part}.") for part in SHARED):
            raise InvalidInput(
                "candidates must be compared on the same subjects and the same outcome",
                where=f"sweep.axes.{path}",
                why=f"`{path}` changes what is measured, or on whom",
                mend="axes that are settings of a policy, of monitoring or of the model",
            )
    names = axis_names(points.design, arm)
    return [make_candidate(points.design, i, names) for i in range(len(points))]


def answer_question(
    scenario: "Scenario",
    question: Question,
    place: Place,
    provenance: "Provenance",
    *,
    executor: Runner | None = None,
    limit: int | None = None,
    fresh: bool = False,
    tell: Callable[[Standing], None] | None = None,
) -> Answer:
    """Search, and write the answer into `place`.

    `limit`: more candidates than this are refused. Raises `InvalidInput` before anything is written where the question
    or the folder does not fit, `Incomplete` where samples could not be drawn (run again: those there are kept).
    """
    asked = check_question(scenario, question)
    points = Points(scenario)
    candidates = make_candidates(points, asked.arm)
    points.check(limit)
    said = {
        "minimise": question.minimise,
        "pareto": list(question.pareto),
        "confidence": asked.settings.confidence,
        "indifference": asked.settings.indifference,
        "ceiling": asked.settings.ceiling,
    }
    with hold(place, "search"):
        open_folder(place, points, provenance, said, fresh)
        found = search(
            len(points),
            Measure(points, asked.arm, asked.objectives),
            asked.settings,
            store=Samples(place, [o.id for o in asked.objectives]),
            executor=executor,
            tell=tell,
        )
        table = candidates_table(
            found,
            candidates,
            asked.objectives,
            scenario_id=scenario.id,
            arm_id=asked.arm,
            evidence_status=_evidence_status(asked.objectives, scenario),
        )
        files = _write_results(place, table, asked.objectives, provenance, scenario.title)
        hashes = {name: hashlib.sha256(place.read_bytes(name)).hexdigest() for name in files}
        answer = {"status": "complete", **_told(found, candidates), "files": hashes}
        written = write_answer(place, Identity.of(provenance), points, said, answer)
    axes = axis_names(points.design, asked.arm)
    return Answer(place, axes, asked.objectives, candidates, found, table, written, files)


def _check_numbers(question: Question, target: Objective) -> None:
    if not 0.5 <= question.confidence < 1:
        raise InvalidInput(
            f"a confidence of {question.confidence:g} is not possible",
            "--confidence",
            mend="0.95, or below 1",
        )
    if question.indifference is None and not target.is_share:
        unit = target.endpoint.unit
        raise InvalidInput(
            "how small a difference does not matter?",
            where="--indifference",
            why=f"{target.id} is counted in {unit}; only for shares is {SHARE_INDIFFERENCE:g} taken",
            mend=f"--indifference with a number of {unit}",
        )
    if question.indifference is not None and not 0 < question.indifference < (target.reach or float("inf")):
        most = f" and below {target.reach:g}" if target.reach else ""
        raise InvalidInput(
            f"an indifference of {question.indifference:g} is not possible",
            "--indifference",
            mend=f"a number above 0{most}",
        )


def _evidence_status(objectives: Sequence[Objective], scenario: "Scenario") -> dict[str, str]:
    from cartsim.analysis.endpoints import words_of_evidence
    from cartsim.evidence.registry import load_registry

    endpoints, registry, product = [o.endpoint for o in objectives], load_registry(), scenario.product
    return words_of_evidence(
        endpoints, registry.counts(), bool(product.overrides), registry.is_thin(product.id)
    )


def _write_results(
    place: Place, table: pa.Table, objectives: Sequence[Objective], provenance: "Provenance", title: str
) -> list[str]:
    with ResultWriter(place, "candidates", provenance) as writer:
        writer.append(table)
    names = ["candidates.parquet"]
    if len(objectives) > 1:
        from cartsim.search.figure import figure_files

        for name, content in figure_files(table, {o.id: o.endpoint.title for o in objectives}, title).items():
            place.write_bytes(name, content)
            names.append(name)
    return names


def _told(found: Found, candidates: Sequence[Candidate]) -> dict[str, Any]:
    """The answer in a few numbers and two statements."""
    numbers = range(len(candidates))
    best = [i for i in numbers if status_of(found, i) == BEST]
    told: dict[str, Any] = {
        "decided": found.selection.decided,
        "best": best[0] if best else None,
        "leader": found.selection.leader,
        "in_the_running": list(found.selection.active),
        "statement": found.selection.statement(),
        "candidates": len(candidates),
        "subjects": int(found.subjects.sum()),
        "subjects_equal": int(len(candidates) * found.subjects.max()),
    }
    if found.front is not None:
        groups: dict[str, list[int]] = {}
        for i in numbers:
            groups.setdefault(str(front_of(found, i)), []).append(i)
        told |= {"front": groups, "front_statement": found.front.statement()}
    return told
