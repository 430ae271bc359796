"""Why: some rules cross from one key to another or to the evidence registry (a product that exists, an arm id that
stands once, a weight given in grams). They are checked on the raw data, so that one misspelt key elsewhere does
not hide them and a file's problems come out all at once.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cartsim.errors import Problem
from cartsim.policy.conditions import ConditionError
from cartsim.scenario.behaviour import check_behaviour
from cartsim.scenario.models import PLAUSIBLE
from cartsim.scenario.problems import show
from cartsim.scenario.shape import nearest
from cartsim.scenario.subgroups import read_condition
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
    check_behaviour(data, add)
    _check_site(data, add)
    _check_subgroups(data, add)
    tables = _get(data, "outputs", "tables")
    if (
        isinstance(tables, list)
        and set(map(str, tables)) <= {"occupancy"}
        and _get(data, "outputs", "events") not in (None, "off")
    ):
        add(
            ("outputs", "events"),
            "events are asked for, but outputs.tables is empty, which writes no subject table at all",
            "tables: [adsl]",
        )
    markers = _get(data, "outputs", "biomarkers", "markers")
    if isinstance(markers, list):
        for index, name in enumerate(markers):
            if name in markers[:index]:
                add(
                    ("outputs", "biomarkers", "markers", index),
                    f"marker {show(name)} is repeated",
                    "name it once",
                )
    if isinstance(tables, list):
        for index, name in enumerate(tables):
            if name in tables[:index]:
                add(("outputs", "tables", index), f"table {show(name)} is repeated", "name it once")
    _check_harms(data, add)
    _check_parameter_draws(data, add)
    dose = _get(data, "product", "dose_cells_1e6")
    if base and dose is not None and _get(data, "population", "cell_dose_1e6") is not None:
        add(
            ("population", "cell_dose_1e6"),
            "the cell dose is given here and as product.dose_cells_1e6",
            "keep one of the two",
        )
    return problems


Add = Callable[..., None]


def _check_parameter_draws(data: Any, add: Callable[..., None]) -> None:
    """A parameter set chosen by number leaves nothing to be drawn."""
    if not _get(data, "run", "parameter_draws"):
        return
    axes, rows = _get(data, "sweep", "axes"), _get(data, "sweep", "rows")
    paths = [*(axes if isinstance(axes, dict) else ()), *(p for row in rows or () for p in row)]
    chosen = "model.draw" if _get(data, "model", "draw") is not None else None
    if chosen or "model.draw" in paths:
        where = chosen or "model.draw as an axis of the sweep"
        add(
            ("run", "parameter_draws"),
            f"several parameter sets are asked for, and {where} chooses one",
            "keep one of the two",
        )


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
    if _get(data, "product", "status") == "reported" and not _get(data, "product", "source"):
        add(
            ("product", "status"),
            "reported numbers need a source",
            'product.source: "where they were read"',
        )
    return base


def _check_numbers(given: Any, path: KeyPath, add: Add, registry: "Registry", prefix: str = "") -> None:
    """Overrides of registry numbers: the key exists, and the registry takes the value."""
    from cartsim.evidence.registry import override_fault

    if not isinstance(given, dict) or not given:
        return
    numbers = registry.numbers()
    for key, value in given.items():
        full = f"{prefix}{key}"
        if full not in numbers:
            known = [name.removeprefix(prefix) for name in numbers if name.startswith(prefix)]
            meant = nearest(key, known) or "a key that `cartsim evidence` lists"
            add((*path, key), f"unknown registry key `{key}`", meant)
        elif why := override_fault(full, value):
            add((*path, key), f"got {show(value)}; {why}", f"{key}: {numbers[full]}")


def _check_population(data: Any, add: Add) -> None:
    if _get(data, "population", "file") is None:
        for key in ("sample", "missing", "sha256"):
            if _get(data, "population", key) is not None:
                add(("population", key), f"`{key}` belongs to a cohort file", "population.file: cohort.csv")
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


def check_arrivals(document: Document, subjects: int) -> list[Problem]:
    """Fewer arrival times than subjects, where their number is known from a cohort file only."""
    problems: list[Problem] = []
    _check_times(
        document.data, subjects, lambda path, what, mend: problems.append(document.problem(path, what, mend))
    )
    return problems


def _check_times(data: Any, subjects: Any, add: Add) -> None:
    times = _get(data, "site", "arrivals", "at_h")
    if isinstance(times, list) and isinstance(subjects, int) and len(times) < subjects:
        add(
            ("site", "arrivals", "at_h"),
            f"{len(times)} arrival times for {subjects} subjects",
            f"population.subjects: {len(times)}",
        )


def _check_subgroups(data: Any, add: Add) -> None:
    given = _get(data, "subgroups")
    for name, conditions in given.items() if isinstance(given, dict) else ():
        if not isinstance(conditions, dict):
            continue
        if not conditions:
            add(("subgroups", name), "no condition is given, so this is everybody", 'age_years: ">=65"')
        for key, value in conditions.items():
            try:
                read_condition(key, value)
            except ConditionError as error:
                add(("subgroups", name, key), error.what, error.mend)


def _check_harms(data: Any, add: Add) -> None:
    drugs = _get(data, "harms", "drugs")
    if not isinstance(drugs, list):
        return
    for index, name in enumerate(drugs):
        if name in drugs[:index]:
            add(("harms", "drugs", index), f"drug {show(name)} is repeated", "name it once")
    if _get(data, "harms", "infection_per_tocilizumab_dose") is True and "tocilizumab" not in drugs:
        add(
            ("harms", "infection_per_tocilizumab_dose"),
            "infections per dose of tocilizumab are asked for, but harms.drugs leaves tocilizumab out",
            "add tocilizumab to harms.drugs",
        )


def _check_site(data: Any, add: Add) -> None:
    _check_times(data, _get(data, "population", "subjects"), add)
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
