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
from cartsim.scenario.problems import find_problems
from cartsim.scenario.resolve import Scenario, build_scenario
from cartsim.scenario.shape import nearest
from cartsim.yaml_text import Document, KeyPath, read_yaml

if TYPE_CHECKING:
    from cartsim.evidence.registry import Registry
    from cartsim.policy.schema import Policy

#: Here a bare `off` is the name of a choice, not a truth value.
PLAIN_WORDS: frozenset[KeyPath] = frozenset({("outputs", "events")})
MAX_BYTES = 5_000_000


def load_scenario(
    source: str | Path | Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
) -> Scenario:
    """Read, check and resolve a scenario.

    `source` is a path, the text of a file (it has a line break), or plain data. `overrides` maps dotted paths
    (`arms.early.model.tocilizumab.effect`) to values; text values are read as the file would read them.
    Raises `InvalidInput` with all problems.
    """
    document, traps, text = _read(source)
    if document.data is not None and not isinstance(document.data, dict):
        raise _refused(document, [document.problem((), "the file must be a map of `key: value`", None)])
    problems = list(traps)
    problems += apply_overrides(document, overrides or {})
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
    if problems or model is None:
        raise _refused(document, problems)
    return build_scenario(model, policies, text, document.file, overrides or {})


def read_file(path: Path) -> str:
    """Text of a scenario or policy file. Raises `InvalidInput` where it is no readable UTF-8 text."""
    name = str(path)
    try:
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise InvalidInput("the file is too large for a scenario", where=name)
        raw = path.read_bytes()
    except FileNotFoundError:
        beside = [one.name for one in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        meant = nearest(path.name, beside)
        raise InvalidInput(
            "the file does not exist", where=name, mend=str(path.parent / meant) if meant else None
        ) from None
    except OSError as error:
        raise InvalidInput("the file cannot be read", where=name, why=error.strerror) from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        problem = Problem(name, line, "", f"byte {error.start} is not UTF-8", "save the file as UTF-8")
        raise InvalidInput("the file is not UTF-8 text", problems=[problem]) from None


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
        block = given
        if added and not wrong:
            block = {"extends": given} if isinstance(given, str) else dict(given)
            earlier = block.get("add") or []
            block["add"] = [*(earlier if isinstance(earlier, list) else []), *added]
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
