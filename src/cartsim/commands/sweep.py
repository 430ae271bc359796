"""Why: a sweep has more numbers than anybody reads. On the screen stand its first design points with one endpoint, and
the points at which the difference is largest and smallest; everything is in the files."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cartsim.commands.numbers import show_number
from cartsim.commands.terminal import make_table

if TYPE_CHECKING:
    from cartsim.results import Study
    from cartsim.scenario.resolve import Scenario

#: Design points printed, and the endpoints looked for, the first that the sweep has.
POINTS = 12
ENDPOINTS = ("crs_ge3", "crs_ge2", "icans_ge3", "crs_any")
#: A path is shown by its last parts, within this many characters.
PATH_WIDTH = 28
#: With more axes than this the settings of a point are left to the file.
MOST_AXES = 4


def sweep_parts(study: "Study", scenario: "Scenario") -> Iterator[Any]:
    """Lines and tables: the endpoint by design point and arm, and the span of each difference."""
    from cartsim.analysis.targets import Target
    from cartsim.sweep.question import make_summary

    summary = make_summary(scenario, single=False)
    ids = {endpoint.id for endpoint in summary.endpoints}
    endpoint = next((name for name in ENDPOINTS if name in ids), summary.endpoints[0].id)
    arms = [arm.id for arm in scenario.arms]
    others = [arm for arm in arms if arm != scenario.reference]
    options: dict[str, Any] = {"crs_scale": scenario.grading.crs}
    outcomes, contrasts = study.arrow("outcomes"), study.arrow("contrasts")
    design = study.design
    every = [name for name in design.columns if name not in ("design_id", "point_id", "role")]
    paths = every if len(every) <= MOST_AXES else []
    names = {path: _name(scenario, path) for path in paths}
    by_arm = {
        arm: Target.parse(f"outcome.{endpoint}.{arm}", arms, summary.endpoints, **options).values(outcomes)
        for arm in arms
    }
    against = {}
    for arm in others:
        name = f"contrast.{endpoint}.{arm}-{scenario.reference}"
        against[arm] = Target.parse(name, arms, summary.endpoints, **options).values(contrasts)
    form = "percent" if by_arm[arms[0]].value.max(initial=0.0) <= 1 else "number"
    unit = "%" if form == "percent" else ""
    title = next(e.title for e in summary.endpoints if e.id == endpoint)
    yield f"\n[bold]{title}{', ' + unit if unit else ''}, by design point[/bold]"
    headers = ["Point", *names.values(), *arms, *(f"{a} – {scenario.reference}" for a in others)]
    table = make_table(headers, right=range(1 + len(paths), len(headers)))
    for i in range(min(POINTS, len(design))):
        row = design.iloc[i]
        cells = [str(row["design_id"]), *(_setting(row[path]) for path in paths)]
        cells += [show_number(by_arm[arm].value[i], form) for arm in arms]
        cells += [_interval(against[arm], i, form) for arm in others]
        table.add_row(*cells)
    yield table
    if len(design) > POINTS:
        yield f"  … and {len(design) - POINTS:,} more design points: design.parquet names them by design_id"
    for arm in others:
        yield from _span(f"{arm} – {scenario.reference}", against[arm], design, names, form)


def _span(name: str, values: Any, design: Any, names: Mapping[str, str], form: str) -> Iterator[str]:
    import numpy as np

    finite = values.value[np.isfinite(values.value)]
    if not len(finite):
        return
    if (finite == finite[0]).all():
        yield f"  {name}: {show_number(finite[0], form)} at every point"
        return
    for word, place in (
        ("smallest", int(np.nanargmin(values.value))),
        ("largest", int(np.nanargmax(values.value))),
    ):
        settings = ", ".join(f"{label} {_setting(design.iloc[place][path])}" for path, label in names.items())
        where = f" ({settings})" if settings else ""
        yield f"  {name}, {word}: {_interval(values, place, form)} at point {values.design_id[place]}{where}"
    below = int((values.upper < 0).sum())
    above = int((values.lower > 0).sum())
    yield (
        f"  {name}: interval below 0 at {below:,}, above 0 at {above:,}, "
        f"across 0 at {len(values.value) - below - above:,} points"
    )


def _interval(values: Any, i: int, form: str) -> str:
    low, high = show_number(values.lower[i], form), show_number(values.upper[i], form)
    return f"{show_number(values.value[i], form)} ({low} to {high})"


def _name(scenario: "Scenario", path: str) -> str:
    axis = scenario.sweep.axes.get(path) if scenario.sweep is not None else None
    return (axis.label if axis is not None else None) or _short(path)


def _short(path: str) -> str:
    parts = path.split(".")
    text = parts[-1]
    for part in reversed(parts[:-1]):
        if len(part) + 1 + len(text) > PATH_WIDTH:
            break
        text = f"{part}.{text}"
    return text


def _setting(value: Any) -> str:
    if value is None or value != value:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:PATH_WIDTH]
