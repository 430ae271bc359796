"""Why: there is one way into a scenario, whether it comes from a file, a notebook or the command line, and it
reports everything that is wrong at once, each with file, line and key path.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from cartsim.errors import InvalidInput, Problem
from cartsim.scenario.checks import check_references
from cartsim.scenario.models import ScenarioFile
from cartsim.scenario.overrides import apply_overrides
from cartsim.scenario.policies import policy_block
from cartsim.scenario.problems import find_problems
from cartsim.scenario.resolve import Scenario, build_scenario
from cartsim.scenario.shape import nearest
from cartsim.scenario.sweep_block import SweepBlock
from cartsim.scenario.text_files import read_file
from cartsim.yaml_text import Document, KeyPath, read_yaml

if TYPE_CHECKING:
    from cartsim.evidence.registry import Registry
    from cartsim.policy.schema import Policy
    from cartsim.scenario.patients import PatientFile

__all__ = ["PLAIN_WORDS", "load_scenario", "read_file"]

#: Here a bare `off` is the name of a choice, not a truth value.
PLAIN_WORDS: frozenset[KeyPath] = frozenset({("outputs", "events")})


def load_scenario(
    source: str | Path | Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    folder: str | Path | None = None,
    stored: bool = False,
) -> Scenario:
    """Read, check and resolve a scenario.

    `source` is a path, the text of a file (it has a line break), or plain data. `overrides` maps dotted paths
    (`arms.early.model.tocilizumab.effect`) to values; text values are read as the file would read them. `settings`
    are applied after them and are plain data as they stand: the settings of a design point. `folder` is where a
    cohort file is looked for when `source` is no file itself; with `stored` the source is what a run wrote, and its
    cohort is not read before a subject is simulated.
    Raises `InvalidInput` with all problems.
    """
    document, traps, text = _read(source)
    if document.data is not None and not isinstance(document.data, dict):
        raise _refused(document, [document.problem((), "the file must be a map of `key: value`", None)])
    problems = list(traps)
    problems += apply_overrides(document, overrides or {})
    if settings:
        problems += apply_overrides(document, settings, plain=True)
    model: ScenarioFile | None = None
    try:
        model = ScenarioFile.model_validate(document.data)
    except ValidationError as error:
        problems = _join(document, problems, find_problems(error, ScenarioFile, document))
    from cartsim.evidence.registry import load_registry

    registry = load_registry()
    problems = _join(document, problems, check_references(document, registry))
    policies, found = _load_policies(document, registry)
    problems = _join(document, problems, found)
    if not problems and model is not None and model.sweep is not None:
        from cartsim.scenario.sweep_checks import check_sweep

        base = model.product if isinstance(model.product, str) else model.product.base
        problems = check_sweep(document, model.sweep, base, policies)
    if not problems and model is not None and model.outputs.biomarkers is None:
        from cartsim.scenario.samples import find_unsampled

        problems = find_unsampled(document, policies)
    if problems or model is None or document.data is None:
        raise _refused(document, problems)
    if model.sweep is not None and model.sweep.file is not None:
        model = _with_rows(model, model.sweep, document, policies)
    patients = None
    if model.population.file is not None:
        where = str(Path(document.file).parent if document.file is not None else folder or Path())
        model, patients = _with_patients(model, document, where, stored)
    return build_scenario(model, policies, text, document.file, overrides or {}, document.data, patients)


def _read(source: str | Path | Mapping[str, Any]) -> tuple[Document, list[Problem], str | None]:
    if isinstance(source, Mapping):
        return Document(dict(source)), [], None
    if isinstance(source, str) and "\n" in source:
        document, traps = read_yaml(source, None, PLAIN_WORDS)
        return document, traps, source
    path = Path(source)
    text = read_file(path)
    document, traps = read_yaml(text, str(path), PLAIN_WORDS)
    return document, traps, text


def _with_rows(
    model: ScenarioFile, sweep: SweepBlock, document: Document, policies: list["Policy"]
) -> ScenarioFile:
    """The sweep with the rows of its file: what is run, and hashed, is what the file held when it was read."""
    from cartsim.scenario.row_files import read_rows
    from cartsim.scenario.sweep_checks import PathChecker

    product = model.product if isinstance(model.product, str) else model.product.base
    rows = read_rows(sweep.file or "", document.file, PathChecker(document.data, product, policies))
    return model.model_copy(update={"sweep": sweep.model_copy(update={"rows": rows})})


def _with_patients(
    model: ScenarioFile, document: Document, folder: str, stored: bool
) -> tuple[ScenarioFile, "PatientFile"]:
    """The population as large as its file, with the sha256 of what the file held when it was read."""
    from cartsim.scenario.checks import check_arrivals
    from cartsim.scenario.patient_checks import open_cohort
    from cartsim.scenario.patients import PatientFile

    block = model.population
    assert block.file is not None
    if stored and block.sha256 is not None:
        return model, PatientFile(block.file, folder, block.sha256, block.sample)
    product = model.product
    patients, subjects = open_cohort(
        block,
        folder,
        dose_given=not isinstance(product, str) and product.dose_cells_1e6 is not None,
        place=lambda path, what, mend: document.problem(("population", *path), what, mend),
    )
    if "subjects" not in block.model_fields_set:
        problems = check_arrivals(document, subjects)
        if problems:
            raise _refused(document, problems)
    said = {"subjects": subjects, "sha256": patients.sha256}
    population = block.model_copy(update=said)
    return model.model_copy(update={"population": population}), patients


def _join(document: Document, first: list[Problem], more: list[Problem]) -> list[Problem]:
    """Add problems, leaving out what concerns a place that was already spoken about."""
    taken = {problem.path for problem in first}
    trapped = {document.spoken(path) for path in document.trapped}
    for problem in more:
        if problem.path in taken or problem.path in trapped:
            continue
        if any(problem.path.startswith(f"{path}.") for path in taken if path):
            continue
        first = [*first, problem]
    return first


def _refused(document: Document, problems: list[Problem]) -> InvalidInput:
    ordered = sorted(problems, key=lambda problem: (problem.line is None, problem.line or 0))
    many = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
    return InvalidInput(f"scenario is not valid ({many})", problems=ordered)


def _load_policies(document: Document, registry: "Registry") -> tuple[list["Policy"], list[Problem]]:
    """The policy of every arm, prophylaxis modules joined in; problems are placed in the scenario's lines."""
    from cartsim.policy.library import list_modules, load_policy

    policies: list[Policy] = []
    problems: list[Problem] = []
    arms = document.data.get("arms") if isinstance(document.data, dict) else None
    modules = [module.id for module in list_modules()]
    for index, arm in enumerate(arms if isinstance(arms, list) else []):
        path: KeyPath = ("arms", index, "policy")
        given = arm.get("policy") if isinstance(arm, dict) else None
        if not isinstance(given, str | dict) or not given:
            if given == {} or given == "":
                problems.append(document.problem(path, "got nothing; a policy is needed", None))
            continue
        added = arm.get("prophylaxis") or []
        added = added if isinstance(added, list) else []
        wrong = False
        for position, name in enumerate(added):
            here = ("arms", index, "prophylaxis", position)
            if name in added[:position]:
                wrong = True
                problems.append(document.problem(here, f"module `{name}` is repeated", "name it once"))
            elif isinstance(name, str) and name not in modules:
                wrong = True
                meant = nearest(name, modules) or f"one of: {', '.join(modules)}"
                problems.append(document.problem(here, f"unknown prophylaxis module `{name}`", meant))
        block = policy_block(given, added if not wrong else ())
        try:
            policies.append(load_policy(block, registry))
        except InvalidInput as error:
            problems += _placed(document, path, error)
    return policies, problems


def _placed(document: Document, path: KeyPath, error: InvalidInput) -> list[Problem]:
    """Problems of a policy block as problems of the scenario file that holds it."""
    if not error.problems:
        text = error.what + (f": {error.why}" if error.why else "")
        return [document.problem(path, text, error.mend)]
    placed = []
    for problem in error.problems:
        if problem.file is not None:
            placed.append(problem)
            continue
        inner = tuple(int(part) if part.isdigit() else part for part in problem.path.split(".") if part)
        placed.append(document.problem((*path, *inner), problem.what, problem.mend))
    return placed
