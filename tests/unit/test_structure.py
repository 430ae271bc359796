"""The house rules that no type checker knows, read from the source itself: who may import whom, and where a
clinical number may stand."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

#: Numbers that carry no clinical meaning anywhere: counting, signs and halves.
PLAIN_NUMBERS = {0, 1, 2, 0.5}

#: Files that declare records: their numbers are lengths of fields, read by `np.dtype` or filled from the registry.
DECLARATIONS = {"state.py", "parameters.py"}


#: The rooms of the package from the ground up: each may import its own layer and those before it, nothing after.
LAYERS = (
    ("terms", "errors"),
    ("compiled", "yaml_text", "record"),
    ("draws",),
    ("evidence", "model"),
    ("policy", "cohort", "harms"),
    ("given",),
    ("scenario", "arm_parts", "drivers", "analysis", "report"),
    ("tables",),
    ("arms",),
    ("cells", "sites"),
    ("store",),
    ("sweep", "results"),
    ("in_memory",),
    ("in_folder", "study"),
    ("search", "pairing", "sensitivity", "calibrate", "claims"),
    ("validate",),
    ("story",),
    ("commands",),
    ("cli_runs", "cli_story", "cli_credibility", "cli", "__main__"),
)


def package(repository: Path) -> Path:
    return repository / "src" / "cartsim"


def modules(repository: Path) -> dict[str, Path]:
    """Dotted name -> file, for every module of the package."""
    root = package(repository)
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = ["cartsim", *path.relative_to(root).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(tree: ast.AST, *, skip_type_checking: bool = False) -> Iterator[tuple[str, int]]:
    """(dotted name, line) of everything imported; `from a import b` gives both a and a.b."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import on line {node.lineno}"
            yield node.module or "", node.lineno
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno
        elif (
            skip_type_checking
            and isinstance(node, ast.If)
            and isinstance(node.test, ast.Name)
            and node.test.id == "TYPE_CHECKING"
        ):
            continue
        else:
            yield from imports(node, skip_type_checking=skip_type_checking)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def importers(repository: Path, wanted: set[str], inside: str = "cartsim") -> list[str]:
    """`file:line name` for every import of `wanted` (or of something in it) by modules at or below `inside`."""
    found = []
    for name, path in modules(repository).items():
        if name == inside or name.startswith(inside + "."):
            for imported, line in imports(parse(path)):
                if any(imported == w or imported.startswith(w + ".") for w in wanted):
                    found.append(f"{path.relative_to(package(repository))}:{line} {imported}")
    return found


def test_model_knows_no_scenario_table_or_clockwork(repository: Path) -> None:
    assert not importers(repository, {"cartsim.scenario", "pandas", "pyarrow", "simpy"}, "cartsim.model")


def test_model_imports_only_its_foundations(repository: Path) -> None:
    allowed = {"terms", "draws", "compiled", "model"}
    strangers = [
        hit
        for hit in importers(repository, {"cartsim"}, "cartsim.model")
        if hit.split()[1].split(".")[1] not in allowed
    ]
    assert not strangers


def room(name: str) -> str:
    """`cartsim.sweep.plan` -> `sweep`."""
    return name.split(".")[1]


def test_arrows_point_downwards(repository: Path) -> None:
    """Every room stands in its layer, and late imports count: they are arrows all the same."""
    known = modules(repository)
    layer = {name: number for number, rooms in enumerate(LAYERS) for name in rooms}
    assert {room(name) for name in known if name != "cartsim"} <= layer.keys(), "a room without a layer"
    upwards = [
        f"{name}:{line} {imported}"
        for name, path in known.items()
        if name != "cartsim"
        for imported, line in imports(parse(path), skip_type_checking=True)
        if imported in known and imported != "cartsim" and layer[room(imported)] > layer[room(name)]
    ]
    assert not upwards


@pytest.mark.parametrize("inside", ["analysis", "sensitivity"])
def test_analysis_works_from_tables_alone(repository: Path, inside: str) -> None:
    forbidden = {"cartsim.model", "cartsim.drivers", "cartsim.cohort", "cartsim.draws", "numba", "simpy"}
    assert not importers(repository, forbidden, f"cartsim.{inside}")


@pytest.mark.parametrize(
    ("packages", "home"),
    [
        ({"dask", "distributed"}, "sweep/executors/"),
        ({"pyarrow.fs"}, "store/"),
        ({"SALib", "scipy.stats.qmc"}, "draws.py"),
        ({"numba"}, "compiled.py"),
    ],
)
def test_some_packages_have_one_home(repository: Path, packages: set[str], home: str) -> None:
    hits = importers(repository, packages)
    assert hits
    assert not [hit for hit in hits if not hit.startswith(home)]


def test_only_the_ward_imports_simpy(repository: Path) -> None:
    assert {hit.split(":")[0] for hit in importers(repository, {"simpy"})} <= {"drivers/ward.py"}


def test_foundations_know_nothing_above_them(repository: Path) -> None:
    above = {
        f"cartsim.{name}" for name in ("study", "cli", "report", "analysis", "drivers", "store", "sweep")
    }
    for room in ("terms", "errors", "compiled", "draws", "evidence", "policy", "cohort", "model"):
        assert not importers(repository, above, f"cartsim.{room}"), room
    assert not importers(repository, {"cartsim.study", "cartsim.cli", "cartsim.report"}, "cartsim.drivers")


def test_nobody_imports_the_package_root(repository: Path) -> None:
    known = set(modules(repository))
    found = []
    for name, path in modules(repository).items():
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.ImportFrom) and node.module == "cartsim":
                # `from cartsim import terms` names a module, not something the root hands on
                found += [f"{name}:{node.lineno}" for a in node.names if f"cartsim.{a.name}" not in known]
            elif isinstance(node, ast.Import):
                found += [f"{name}:{node.lineno}" for a in node.names if a.name == "cartsim"]
    assert not found


def test_random_numbers_come_from_draws_alone(repository: Path) -> None:
    found = []
    for name, path in modules(repository).items():
        if name == "cartsim.draws":
            continue
        tree = parse(path)
        found += [
            f"{name}:{line} {n}"
            for n, line in imports(tree)
            if n.split(".")[0] == "random" or "numpy.random" in n
        ]
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr == "random" and isinstance(node.value, ast.Name):
                found += [f"{name}:{node.lineno}"] if node.value.id in ("np", "numpy") else []
    assert not found


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """One circle of the graph as a path, or an empty list."""
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for after in sorted(graph.get(node, ())):
            if circle := visit(after, [*path, node]):
                return circle
        done.add(node)
        return []

    for start in sorted(graph):
        if circle := visit(start, []):
            return circle
    return []


def test_no_import_circle(repository: Path) -> None:
    known = modules(repository)
    # The root hands names on and is imported by nobody; late imports count, being circles all the same.
    graph = {
        name: {imported for imported, _ in imports(parse(path), skip_type_checking=True) if imported in known}
        for name, path in known.items()
        if name != "cartsim"
    }
    assert not cycle({name: after - {name, "cartsim"} for name, after in graph.items()})


def test_cycle_finds_a_circle() -> None:
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def numbers(tree: ast.AST) -> Iterator[tuple[float, int]]:
    """(value, line) of every numeric literal, but for places in an array of declared length."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            yield node.value, node.lineno
        elif isinstance(node, ast.Subscript):
            yield from numbers(node.value)
            if not is_place(node.slice):
                yield from numbers(node.slice)
        else:
            yield from numbers(node)


def is_place(index: ast.expr) -> bool:
    """True for `x[3]` and `x[3, 0]`: literals that say where, not how much."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    return all(isinstance(part, ast.Constant) for part in parts)


def clinical_literals(path: Path) -> list[str]:
    """`file:line value` for each number that is not plain."""
    return [
        f"{path.name}:{line} {value}" for value, line in numbers(parse(path)) if value not in PLAIN_NUMBERS
    ]


def model_files(repository: Path) -> list[Path]:
    return [p for p in sorted((package(repository) / "model").glob("*.py")) if p.name not in DECLARATIONS]


def test_model_holds_no_clinical_number(repository: Path) -> None:
    files = model_files(repository)
    assert len(files) > 3
    found = [hit for path in files for hit in clinical_literals(path)]
    assert not found, "\n".join(["these belong in the evidence registry (or in terms.py):", *found])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x = 38.0", ["38.0"]),
        ("def f(dose=8): return dose", ["8"]),
        ("x = level[3] + level[3, 0]", []),
        ("x = level[k + 3]", ["3"]),
        ("x = 1 + 2 * 0.5 - 0", []),
        ("x = -7", ["7"]),
        ("x = True", []),
    ],
)
def test_clinical_literals_finds_numbers(tmp_path: Path, text: str, found: list[str]) -> None:
    path = tmp_path / "sample.py"
    path.write_text(text, "utf-8")
    assert clinical_literals(path) == [f"sample.py:1 {value}" for value in found]


def test_declarations_hold_only_lengths(repository: Path) -> None:
    # lengths of fields and room in logs are small whole numbers; a threshold hidden in a record would stand out
    for name in sorted(DECLARATIONS):
        found = {value for value, _ in numbers(parse(package(repository) / "model" / name))}
        assert all(isinstance(value, int) and value <= 16 for value in found), (name, found)
