"""Why: some rules cross from one key to another or to the evidence registry (a product that exists, an arm id that
stands once, a weight given in grams). They are checked on the raw data, so that one misspelt key elsewhere does
not hide them and a file's problems come out all at once.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cartsim.errors import InvalidInput, Problem
from cartsim.scenario.models import PLAUSIBLE
from cartsim.scenario.problems import show
from cartsim.scenario.shape import nearest
from cartsim.yaml_text import Document, KeyPath

if TYPE_CHECKING:
    from cartsim.evidence.registry import Registry


def check_references(document: Document, registry: "Registry") -> list[Problem]:
    """Problems that need more than one key, or the registry, to be seen."""
    data = document.data
    problems: list[Problem] = []

    def add(path: KeyPath, what: str, mend: str | None = None) -> None:
        problems.append(document.problem(path, what, mend))

    base = _check_product(data, add, registry)
    _check_population(data, add)
    _check_arms(data, add, registry)
    _check_numbers(_get(data, "model", "overrides"), ("model", "overrides"), add, registry)
    _check_site(data, add)
    tables = _get(data, "outputs", "tables")
    if isinstance(tables, list):
        for index, name in enumerate(tables):
            if name in tables[:index]:
                add(("outputs", "tables", index), f"table {show(name)} is repeated", "name it once")
    dose = _get(data, "product", "dose_cells_1e6")
    if base and dose is not None and _get(data, "population", "cell_dose_1e6") is not None:
        add(
            ("population", "cell_dose_1e6"),
            "the cell dose is given here and as product.dose_cells_1e6",
            "keep one of the two",
        )
    return problems


Add = Callable[..., None]


def _get(data: Any, *keys: str) -> Any:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_product(data: Any, add: Add, registry: "Registry") -> str | None:
    given = _get(data, "product")
    path: KeyPath = ("product",) if isinstance(given, str) else ("product", "base")
    base = given if isinstance(given, str) else _get(data, "product", "base")
    if not isinstance(base, str):
        return None
    products = registry.products()
    if base not in products:
        add(
            path, f"unknown product {show(base)}", nearest(base, products) or f"one of: {', '.join(products)}"
        )
        return None
    _check_numbers(
        _get(data, "product", "overrides"), ("product", "overrides"), add, registry, f"product.{base}."
    )
    return base


def _check_numbers(given: Any, path: KeyPath, add: Add, registry: "Registry", prefix: str = "") -> None:
    """Overrides of registry numbers: the key exists, and the registry takes the value."""
    from cartsim.evidence.registry import load_registry

    if not isinstance(given, dict):
        return
    numbers = {key.removeprefix(prefix): key for key in registry.numbers() if key.startswith(prefix)}
    for key, value in given.items():
        if key not in numbers:
            meant = nearest(key, numbers)
            add((*path, key), f"unknown registry key `{key}`", meant or "a key that `cartsim evidence` lists")
            continue
        try:
            load_registry({numbers[key]: value})
        except InvalidInput as error:
            why = "; ".join(problem.what for problem in error.problems) or error.what
            add((*path, key), f"got {show(value)}; {why}", f"{key}: {registry.numbers()[numbers[key]]}")


def _check_population(data: Any, add: Add) -> None:
    for name, (low, high, unit) in PLAUSIBLE.items():
        given = _get(data, "population", name)
        places: list[tuple[KeyPath, Any]] = [(("population", name), given)]
        if isinstance(given, dict):
            places = [
                (("population", name, key), given.get(key)) for key in ("median", "mean", "low", "high")
            ]
        for path, value in places:
            if not _is_number(value) or low <= value <= high:
                continue
            if path[-1] == "low" and 0 <= value <= low:
                continue
            add(
                path,
                f"got {show(value)}; {name} lies between {low:g} and {high:g} {unit}",
                f"give it in {unit}",
            )


def _check_arms(data: Any, add: Add, registry: "Registry") -> None:
    arms = _get(data, "arms")
    if not isinstance(arms, list):
        return
    ids = [arm.get("id") if isinstance(arm, dict) else None for arm in arms]
    for index, name in enumerate(ids):
        if name is not None and name in ids[:index]:
            add(("arms", index, "id"), f"arm id {show(name)} is repeated", "give every arm its own id")
        _check_numbers(_get(arms[index], "model"), ("arms", index, "model"), add, registry)
    reference = _get(data, "reference")
    known = [name for name in ids if isinstance(name, str)]
    if isinstance(reference, str) and known and reference not in known:
        meant = nearest(reference, known)
        add(
            ("reference",),
            f"reference is {show(reference)}, which is no arm",
            meant or f"one of: {', '.join(known)}",
        )


def _check_site(data: Any, add: Add) -> None:
    times = _get(data, "site", "arrivals", "at_h")
    subjects = _get(data, "population", "subjects")
    if isinstance(times, list) and isinstance(subjects, int) and len(times) < subjects:
        add(
            ("site", "arrivals", "at_h"),
            f"{len(times)} arrival times for {subjects} subjects",
            f"population.subjects: {len(times)}",
        )
    restock = _get(data, "site", "restock")
    if isinstance(restock, dict) and _get(data, "site", "tocilizumab_doses") is None:
        add(
            ("site", "restock"),
            "restock is given, but tocilizumab_doses is unlimited",
            "site.tocilizumab_doses: a number of doses",
        )
    start = _get(data, "monitoring", "start")
    if _get(data, "site", "beds") == 0 and start in (None, "inpatient"):
        add(
            ("site", "beds"),
            "got 0 while subjects start in hospital; nobody could ever be infused",
            "site.beds: 1 or more, null for unlimited, or monitoring.start: outpatient",
        )
    if isinstance(_get(data, "site"), dict) and _get(data, "run", "source") == "sobol":
        add(
            ("run", "source"),
            "sobol cannot be used with a site: subjects there are not independent",
            "philox",
        )
