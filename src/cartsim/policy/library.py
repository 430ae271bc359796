"""Why: policies come from three places (the ready ones, a user's file, a block inside a scenario) and all must pass
the same door, so that what is run is what was checked, and what is hashed is written out in full.

`extends` takes another policy and merges the block over it key by key; null deletes; `add` joins prophylaxis modules.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cartsim.errors import InvalidInput, Problem
from cartsim.policy.checks import check_policy, is_rung
from cartsim.policy.courses import DATA
from cartsim.policy.merge import merge_policy
from cartsim.policy.problems import find_problems, nearest
from cartsim.policy.schema import Module, Policy
from cartsim.yaml_text import Document, read_yaml

MODULES = DATA / "prophylaxis"


@dataclass(frozen=True)
class PolicyHeader:
    """What `cartsim policies` lists of a policy or module; `scale` is None for a module."""

    id: str
    title: str
    scale: str | None
    neuro_scale: str | None
    source: str | None
    doi: str | None
    date: str | None
    status: str
    approximates: str | None
    unverified: tuple[str, ...]
    rungs: int


def list_policies() -> list[PolicyHeader]:
    """Ready policies by id."""
    return [_header(_whole(path)) for path in sorted(DATA.glob("*.yaml"))]


def list_modules() -> list[PolicyHeader]:
    """Prophylaxis modules by id."""
    return [_header(dict(_shipped(path).data)) for path in sorted(MODULES.glob("*.yaml"))]


def policy_text(id_or_path: str | Path) -> str:
    """Text of a ready policy, a module or a policy file, for provenance. Raises `InvalidInput` when unknown."""
    if _is_path(id_or_path):
        return _read_text(Path(id_or_path))
    for folder in (DATA, MODULES):
        path = folder / f"{id_or_path}.yaml"
        if path in folder.glob("*.yaml"):
            return path.read_text(encoding="utf-8")
    raise _unknown_policy(str(id_or_path))


def unverified_rungs(policy: Policy) -> list[str]:
    """Rungs that nobody checked against the primary text (`rules.<id>`), to be warned about once."""
    return list(policy.unverified)


def load_policy(given: str | Path | Mapping[str, Any], registry: Mapping[str, Any]) -> Policy:
    """A checked policy from an id, a file or a block; `extends` and `add` resolved.

    Raises `InvalidInput` with every problem found: key path, what is wrong, what to write (file and line where
    there is a file).
    """
    document, traps = _open(given)
    problems = list(traps)
    policy: Policy | None = None
    try:
        policy = _build(document, registry)
    except InvalidInput as error:
        problems += error.problems
    if policy is None or problems:
        name = document.data.get("id") if isinstance(document.data, dict) else None
        many = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
        called = f" {name!r}" if isinstance(name, str) else ""
        raise InvalidInput(f"policy{called} is not valid ({many})", problems=_placed(document, problems))
    return policy


def load_module(module_id: str) -> Module:
    """A prophylaxis module by id. Raises `InvalidInput` with the nearest id."""
    path = MODULES / f"{module_id}.yaml"
    if path not in MODULES.glob("*.yaml"):
        known = [one.stem for one in sorted(MODULES.glob("*.yaml"))]
        what = f"unknown prophylaxis module {module_id!r}"
        raise InvalidInput(what, mend=nearest(module_id, known) or f"one of: {', '.join(known)}")
    try:
        return Module.model_validate(_shipped(path).data)
    except ValidationError as error:
        raise InvalidInput(
            f"module {module_id!r} is not valid", problems=find_problems(error, Module)
        ) from None


def _build(document: Document, registry: Mapping[str, Any]) -> Policy:
    folder = Path(document.file).parent if document.file else None
    data, base = _resolve(document.data, folder, ())
    data = _join_modules(data, document.data.get("add"))
    try:
        policy = Policy.model_validate(data, context={"scale": data.get("scale")})
    except ValidationError as error:
        raise InvalidInput("policy", problems=[_hinted(one, base) for one in find_problems(error)]) from None
    if policy.derived_from:
        kept = [path for path in policy.unverified if is_rung(policy, path)]
        policy = policy.model_copy(update={"unverified": kept})
    problems = check_policy(policy, registry)
    if problems:
        raise InvalidInput("policy", problems=problems)
    return policy


def _resolve(data: Any, folder: Path | None, trail: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """`data` merged over what it extends, and that base; modules of a base are joined, those of `data` are not."""
    if not isinstance(data, dict):
        raise _one("", f"got {data!r}; a policy is a map of keys", "id:, scale:, rules:")
    patch = {key: value for key, value in data.items() if key not in ("extends", "add")}
    parent = data.get("extends")
    if parent is None:
        return patch, {}
    if not isinstance(parent, str):
        raise _one("extends", f"got {parent!r}; extends names one policy", "extends: axi_label_2017")
    if parent == data.get("id") or parent in trail:
        circle = " -> ".join([*trail, str(data.get("id") or parent), parent])
        raise _one("extends", f"the policy extends itself ({circle})", "give it another id")
    path = folder / parent if folder is not None and _is_path(parent) else parent
    try:
        document, traps = _open(path)
    except InvalidInput as error:
        raise _one("extends", error.what, error.mend) from None
    if traps:
        raise InvalidInput("policy", problems=traps)
    base, _ = _resolve(document.data, folder, (*trail, parent))
    base = _join_modules(base, document.data.get("add"))
    merged, problems = merge_policy(base, patch)
    if problems:
        raise InvalidInput("policy", problems=problems)
    lineage = [*base.get("derived_from", []), str(base.get("id", parent))]
    merged["derived_from"] = list(dict.fromkeys(lineage))
    if "id" not in patch and patch:
        merged["id"] = f"{base.get('id', 'custom')}_variant"[:48]
    if patch.get("rules") or patch.get("prophylaxis"):
        merged["status"] = patch.get("status", "own")
    return merged, base


def _join_modules(data: dict[str, Any], names: Any) -> dict[str, Any]:
    if names is None:
        return data
    if not isinstance(names, list):
        raise _one("add", f"got {names!r}; add is a list of module ids", "add: [toci_d0]")
    joined = {**data, "prophylaxis": dict(data.get("prophylaxis") or {})}
    for position, name in enumerate(names):
        path = f"add.{position}"
        try:
            module = load_module(str(name))
        except InvalidInput as error:
            raise _one(path, error.what, error.mend) from None
        plain = module.model_dump()
        twice = sorted(set(plain["prophylaxis"]) & set(joined["prophylaxis"]))
        if twice:
            raise _one(path, f"prophylaxis `{twice[0]}` is already in the policy", "name it once")
        joined["prophylaxis"] |= plain["prophylaxis"]
        joined["unverified"] = [*joined.get("unverified", []), *plain["unverified"]]
        joined["derived_from"] = [*joined.get("derived_from", []), str(name)]
    return joined


def _open(given: str | Path | Mapping[str, Any]) -> tuple[Document, list[Problem]]:
    if isinstance(given, Mapping):
        return Document(dict(given)), []
    if _is_path(given):
        return read_yaml(_read_text(Path(given)), str(given))
    path = DATA / f"{given}.yaml"
    if path not in DATA.glob("*.yaml"):
        raise _unknown_policy(str(given))
    return _shipped(path), []


def _whole(path: Path) -> dict[str, Any]:
    """A ready policy with what it extends and the modules that it adds."""
    data = dict(_shipped(path).data)
    whole = _join_modules(_resolve(data, None, ())[0], data.get("add"))
    rungs = {f"{part}.{name}" for part in ("rules", "prophylaxis") for name in whole.get(part) or {}}
    listed = whole.get("unverified") or []
    return whole | {"unverified": [one for one in listed if ".".join(one.split(".")[:2]) in rungs]}


@cache
def _shipped(path: Path) -> Document:
    document, traps = read_yaml(path.read_text(encoding="utf-8"), path.name)
    if traps:
        raise InvalidInput(f"{path.name} cannot be read", problems=traps)
    return document


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidInput("the policy file cannot be read", where=str(path), why=why) from None


def _is_path(given: str | Path) -> bool:
    return isinstance(given, Path) or given.endswith((".yaml", ".yml")) or "/" in given


def _unknown_policy(name: str) -> InvalidInput:
    known = [path.stem for path in sorted(DATA.glob("*.yaml"))]
    return InvalidInput(
        f"unknown policy {name!r}", mend=nearest(name, known) or f"one of: {', '.join(known)}"
    )


def _one(path: str, what: str, mend: str | None = None) -> InvalidInput:
    return InvalidInput("policy", problems=[Problem(None, None, path, what, mend)])


def _hinted(problem: Problem, base: Mapping[str, Any]) -> Problem:
    """A misspelt rule id in a variant shows as a new rule without `when`: name the rule that was meant."""
    parts = problem.path.split(".")
    rules = base.get("rules") or {}
    if len(parts) == 3 and parts[0] == "rules" and parts[2] == "when" and "missing" in problem.what:
        meant = nearest(parts[1], rules)
        if meant is not None and parts[1] not in rules:
            what = f"`{parts[1]}` is a new rule and has no `when`; the policy it extends has `{meant}`"
            return Problem(problem.file, problem.line, problem.path, what, f"{meant}:")
    return problem


def _placed(document: Document, problems: list[Problem]) -> list[Problem]:
    """Problems with file and line, where the policy stands in a file."""
    if document.file is None:
        return problems
    placed = []
    for problem in problems:
        if problem.line is None:
            path = tuple(int(part) if part.isdigit() else part for part in problem.path.split(".") if part)
            problem = document.problem(path, problem.what, problem.mend)
        placed.append(problem)
    return placed


def _header(data: Mapping[str, Any]) -> PolicyHeader:
    source = data.get("source") or {}
    rungs = len(data.get("rules") or {}) + len(data.get("prophylaxis") or {})
    return PolicyHeader(
        id=data["id"],
        title=data.get("title", ""),
        scale=data.get("scale"),
        neuro_scale=data.get("neuro_scale", "astct2019") if "scale" in data else None,
        source=source.get("citation"),
        doi=source.get("doi"),
        date=str(data["date"]) if "date" in data else None,
        status=data.get("status", "own"),
        approximates=data.get("approximates"),
        unverified=tuple(data.get("unverified") or ()),
        rungs=rungs,
    )
