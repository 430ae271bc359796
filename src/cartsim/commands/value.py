"""Why: whoever asks for subgroups, prices or further endpoints wants to see them, not only to find them in a file. What
describes those who were treated is said to do so; a price per event only stands where events are avoided.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cartsim.commands.draws import cell, has_sets, parts_of
from cartsim.commands.numbers import is_missing, show_interval
from cartsim.commands.terminal import Grid, lay_out, wrap

if TYPE_CHECKING:
    from cartsim.results import Study
    from cartsim.scenario.resolve import Scenario

#: Endpoints printed by subgroup, those of them that the run has.
BY_SUBGROUP = {"crs_ge2": "CRS grade ≥ 2", "crs_ge3": "CRS grade ≥ 3", "cost": "Cost"}
_ONE_ARM = ("proportion", "mean", "median")
_DIFFERENCE = ("risk difference", "mean difference")
_MONEY = ("cost",)
_CRS_LABELS = {"crs_any": "CRS any grade"} | {f"crs_ge{grade}": f"CRS grade ≥ {grade}" for grade in (2, 3, 4)}

Row = Mapping[str, Any]


def value_parts(study: "Study", scenario: "Scenario", width: int) -> Iterator[Any]:
    """Lines and tables of what a scenario asks beyond the standard endpoints; nothing where it asks nothing."""
    asked = scenario.outputs.endpoints is not None
    if not (asked or scenario.subgroups or scenario.costs is not None or scenario.utilities is not None):
        return
    outcomes, contrasts = study.arrow("outcomes").to_pylist(), study.arrow("contrasts").to_pylist()
    everybody = outcomes[0]["population"] if outcomes else None
    if asked and all(id_.startswith("crs_") for id_ in scenario.outputs.endpoints or ()):
        yield from _scales(outcomes, scenario, everybody, width)
    yield from _further(outcomes, scenario, everybody, width)
    if scenario.costs is not None or scenario.utilities is not None:
        yield from _differences(contrasts, scenario, everybody, width)
    if scenario.costs is not None:
        yield from ratio_lines(study, scenario, width)
    if scenario.subgroups:
        yield from _subgroups(outcomes, contrasts, scenario, width)


def _scales(rows: list[Row], scenario: "Scenario", everybody: str | None, width: int) -> Iterator[Any]:
    """CRS endpoints on every scale, where a scenario asks for nothing else."""
    from cartsim.analysis.endpoints import CRS_SCALES
    from cartsim.report.figures import SCALE_NAMES

    chosen = scenario.outputs.endpoints or []
    labels, cells = [], []
    for arm in scenario.arms:
        for endpoint in chosen:
            found = [_find(rows, endpoint, arm.id, everybody, ("proportion",), scale) for scale in CRS_SCALES]
            if any(row is not None for row in found):
                labels.append(f"{arm.label}: {_CRS_LABELS.get(endpoint, endpoint)}, %")
                cells.append([("–" if row is None else show_interval(row, "percent"),) for row in found])
    if labels:
        yield f"\n[bold]{wrap('The same signs on every scale, 95 % Monte Carlo interval', width, '')}[/bold]"
        heads = [SCALE_NAMES.get(scale, scale) for scale in CRS_SCALES]
        yield from _spaced(lay_out(Grid(labels, heads, cells), width))


def _titles(scenario: "Scenario") -> dict[str, str]:
    """Endpoints that are not in the usual tables: id -> what it is called."""
    from cartsim.analysis.more_endpoints import COST, QALD, further_endpoints
    from cartsim.tables.extras import endpoints_of

    ours = {endpoint.id for endpoint in further_endpoints(scenario.grading.crs)} | {COST, QALD}
    found = [endpoint for endpoint in endpoints_of(scenario) if endpoint.id in ours]
    money = f", {scenario.costs.currency}" if scenario.costs is not None else ""
    return {
        e.id: e.title
        + {"proportion": ", %", "day": ", days"}.get(e.unit, money if e.id in _MONEY else "")
        + (" (descriptive: among those treated or affected)" if e.conditioning else "")
        for e in found
    }


def _form(row: Row) -> str:
    if row["summary"] in ("proportion", "risk difference"):
        return "percent"
    return "mg" if row["endpoint"] in _MONEY else "days"


def _find(
    rows: list[Row], endpoint: str, arm: str, population: str | None, summaries: tuple[str, ...], scale: str
) -> Row | None:
    for row in rows:
        if (
            row["endpoint"] == endpoint
            and row["arm_id"] == arm
            and row["population"] == population
            and row["summary"] in summaries
            and row["view"] in (None, "observed")
            and row["scale"] in (None, scale)
        ):
            return row
    return None


def _further(rows: list[Row], scenario: "Scenario", everybody: str | None, width: int) -> Iterator[Any]:
    titles = _titles(scenario)
    if not titles:
        return
    cells, drawn = [], has_sets(rows)
    for endpoint in titles:
        found = [
            _find(rows, endpoint, arm.id, everybody, _ONE_ARM, scenario.grading.crs) for arm in scenario.arms
        ]
        cells.append([cell(row, _form(row) if row else "", drawn) for row in found])
    yield f"\n[bold]{wrap('Further endpoints by arm, 95 % Monte Carlo interval', width, '')}[/bold]"
    labels = [wrap(title, width // 2) for title in titles.values()]
    yield from _spaced(
        lay_out(Grid(labels, [arm.label for arm in scenario.arms], cells, parts_of(drawn)), width)
    )


def _differences(rows: list[Row], scenario: "Scenario", everybody: str | None, width: int) -> Iterator[Any]:
    others = [arm for arm in scenario.arms if arm.id != scenario.reference]
    titles = {id_: title for id_, title in _titles(scenario).items() if id_ in ("cost", "qald")}
    cells, drawn = [], has_sets(rows)
    for endpoint in titles:
        found = [
            _find(rows, endpoint, arm.id, everybody, _DIFFERENCE, scenario.grading.crs) for arm in others
        ]
        cells.append([cell(row, _form(row) if row else "", drawn, sign=True) for row in found])
    if others:
        reference = scenario.arm(scenario.reference).label
        yield f"\n[bold]{wrap(f'Paired difference in cost and quality from “{reference}”', width, '')}[/bold]"
        labels = [wrap(title, width // 2) for title in titles.values()]
        yield from _spaced(
            lay_out(Grid(labels, [arm.label for arm in others], cells, parts_of(drawn)), width)
        )


def ratio_lines(study: "Study", scenario: "Scenario", width: int) -> Iterator[str]:
    """Incremental cost per CRS avoided (of the grade that counts), one line an arm, or why there is no such price."""
    rows = [row for row in study.arrow("ce_ratio").to_pylist() if row["design_id"] == 0]
    for row in rows:
        label = scenario.arm(row["arm_id"]).label
        money = f"{row['currency']} {row['price_year']}"
        start = f"{label}: {row['quadrant']} CRS of grade ≥ {row['severe_from']}"
        if row["quadrant"] == "costs more, avoids more" and not is_missing(row["ratio"]):
            bounds = (
                "interval without bounds: the difference in events is not clear of 0"
                if is_missing(row["lower"])
                else f"{row['lower']:,.0f} to {row['upper']:,.0f}, Fieller, 95 %"
            )
            start += (
                f"; {row['ratio']:,.0f} {money} per CRS of grade ≥ {row['severe_from']} avoided ({bounds})"
            )
        else:
            start += f" ({money}); no price per event follows from that"
        yield wrap(f"  {start}", width, "    ")


def _subgroups(outcomes: list[Row], contrasts: list[Row], scenario: "Scenario", width: int) -> Iterator[Any]:
    scale = scenario.grading.crs
    others = [arm for arm in scenario.arms if arm.id != scenario.reference]
    for endpoint, label in BY_SUBGROUP.items():
        cells, labels = [], []
        for name in scenario.subgroups or ():
            arms = [_find(outcomes, endpoint, a.id, name, _ONE_ARM, scale) for a in scenario.arms]
            if all(row is None for row in arms):
                continue
            size = next(row["n_units"] for row in arms if row is not None)
            against = [_find(contrasts, endpoint, arm.id, name, _DIFFERENCE, scale) for arm in others]
            labels.append(f"{name} (n {size:,})")
            cells.append(
                [("–" if row is None else show_interval(row, _form(row)),) for row in arms]
                + [(_difference(row),) for row in against]
            )
        if cells:
            percent = ", %" if endpoint != "cost" else ""
            yield f"\n[bold]{wrap(f'{label}{percent}, by subgroup; then the paired difference', width, '')}[/bold]"
            heads = [arm.label for arm in scenario.arms] + [f"{arm.label} – reference" for arm in others]
            yield from _spaced(lay_out(Grid(labels, heads, cells), width))


def _difference(row: Row | None) -> str:
    if row is None:
        return "–"
    needed = ""
    if not is_missing(row["nnt"]):
        needed = f", {row['nnt_kind']} {abs(float(row['nnt'])):,.0f}"
    return show_interval(row, _form(row), sign=True) + needed


def _spaced(tables: Any) -> Iterator[Any]:
    for number, table in enumerate(tables):
        if number:
            yield ""
        yield table
