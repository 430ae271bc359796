"""Why: the printed answer is what most people ever read. Rows are endpoints, columns are arms, every number stands
with its interval, and stdout stays plain enough to be piped into a file.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cartsim.commands.draws import (
    OVER_SETS,
    cell,
    has_sets,
    parts_of,
    show_over_sets,
    tipping_parts,
    words_of_sets,
)
from cartsim.commands.numbers import is_missing, show_interval, show_number, show_ratio
from cartsim.commands.terminal import Grid, lay_out, make_console, wrap
from cartsim.commands.value import value_parts
from cartsim.record import table as declared
from cartsim.terms import DISCLAIMER

if TYPE_CHECKING:
    from cartsim.results import Study
    from cartsim.scenario.resolve import Arm, Scenario
    from cartsim.store.place import Place

#: Summaries that the printed tables show; the other rows of an endpoint are in the files.
ONE_ARM = ("proportion", "mean", "median")
#: Tables of costs and occupancy, where a scenario asks for them.
VALUE_TABLES = ("resource_use", "ce", "ce_ratio", "occupancy")
#: Tables of a run under many parameter sets.
DRAW_TABLES = ("parameter_draws", "parameters", "tipping", "ce_draws")
DIFFERENCE = ("risk difference", "mean difference", "difference of medians")


@dataclass(frozen=True)
class Row:
    """One line of the printed tables: which statistic of which endpoint, and how it reads."""

    label: str
    endpoint: str
    form: str  # percent, days, mg, number


ROWS = (
    Row("CRS any grade", "crs_any", "percent"),
    Row("CRS grade ≥ 2", "crs_ge2", "percent"),
    Row("CRS grade ≥ 3", "crs_ge3", "percent"),
    Row("CRS onset, median day, if any", "crs_onset", "days"),
    Row("CRS duration, median days, if any", "crs_duration", "days"),
    Row("Days at CRS grade ≥ 2", "crs_days_ge2", "days"),
    Row("ICANS any grade", "icans_any", "percent"),
    Row("ICANS grade ≥ 3", "icans_ge3", "percent"),
    Row("Tocilizumab, any", "tocilizumab_any", "percent"),
    Row("Tocilizumab doses", "tocilizumab_doses", "number"),
    Row("Steroid, any", "steroid_any", "percent"),
    Row("Steroid, mg dexamethasone eq.", "steroid_mg", "mg"),
    Row("Vasopressor", "vasopressor", "percent"),
    Row("ICU, any", "icu_any", "percent"),
    Row("ICU days", "icu_days", "days"),
    Row("Hospital days", "hospital_days", "days"),
    Row("Death (uncalibrated)", "death", "percent"),
    Row("Infection (assumed)", "infection", "percent"),
    Row("Infection grade ≥ 3 (assumed)", "severe_infection", "percent"),
    Row("Drug reaction, any (assumed)", "drug_reactions", "percent"),
    Row("Drug reaction grade ≥ 3 (assumed)", "drug_reaction_ge3", "percent"),
    Row("Mistaken for ICANS (assumed)", "mistaken_icans", "percent"),
)
#: Described, not contrasted: they are medians among those with CRS only (STATISTICS 2).
DESCRIPTIVE = ("crs_onset", "crs_duration")
#: Endpoints whose joint outcome under two policies is told (STATISTICS 2).
HELPED = (("crs_ge2", "CRS grade ≥ 2"), ("crs_ge3", "CRS grade ≥ 3"))


Rows = Sequence[Mapping[str, Any]]


def pick(
    table: Rows, summaries: Sequence[str], endpoint: str, scale: str, arm: str, view: str = "observed"
) -> Mapping[str, Any] | None:
    """The row of an endpoint on the scenario's scale (ICANS has its own), or None."""
    for row in table:
        if row["endpoint"] != endpoint or row["arm_id"] != arm or row["summary"] not in summaries:
            continue
        if row["view"] not in (None, view):
            continue
        if endpoint.startswith("icans") or row["scale"] in (None, scale):
            return row
    return None


def outcome_grid(study: "Study", scenario: "Scenario") -> Grid:
    """Every arm by itself: one number and its interval a cell."""
    rows, cells = [], []
    table = study.arrow("outcomes").to_pylist()
    drawn = has_sets(table)
    for line in ROWS:
        found = [pick(table, ONE_ARM, line.endpoint, scenario.grading.crs, arm.id) for arm in scenario.arms]
        if any(row is not None for row in found):
            rows.append(line.label + (", %" if line.form == "percent" else ""))
            cells.append([cell(row, line.form, drawn) for row in found])
    return Grid(rows, [arm.label for arm in scenario.arms], cells, parts_of(drawn))


def contrast_grid(study: "Study", scenario: "Scenario") -> Grid:
    """Every other arm against the reference: difference with interval, variance ratio, number needed to treat."""
    rows, cells, over_sets = [], [], []
    table = study.arrow("contrasts").to_pylist()
    for line in ROWS:
        found = [
            pick(table, DIFFERENCE, line.endpoint, scenario.grading.crs, arm.id) for arm in _others(scenario)
        ]
        if line.endpoint not in DESCRIPTIVE and any(row is not None for row in found):
            rows.append(line.label + (", points" if line.form == "percent" else ""))
            cells.append([_difference(row, line.form) for row in found])
            over_sets.append([show_over_sets(row, line.form, sign=True) for row in found])
    parts, aligned = ("", "VR", ""), _align_needed(cells)
    if not has_sets(table):
        return Grid(rows, [arm.label for arm in _others(scenario)], aligned, parts)
    wide = [
        [(first, beside, *rest) for (first, *rest), beside in zip(row, sets, strict=True)]
        for row, sets in zip(aligned, over_sets, strict=True)
    ]
    return Grid(rows, [arm.label for arm in _others(scenario)], wide, ("", OVER_SETS, *parts[1:]))


def _others(scenario: "Scenario") -> list["Arm"]:
    return [arm for arm in scenario.arms if arm.id != scenario.reference]


def _difference(row: Any | None, form: str) -> tuple[str, str, str]:
    if row is None:
        return "–", "–", ""
    needed = ""
    if not is_missing(row.get("nnt")):
        kind = row.get("nnt_kind")
        needed = f"{'NNT' if is_missing(kind) else kind} {abs(float(row['nnt'])):,.0f}"
    return show_interval(row, form, sign=True), show_ratio(row["variance_ratio"]), needed


def _align_needed(cells: list[list[tuple[str, str, str]]]) -> list[list[tuple[str, str, str]]]:
    """`NNT 5` above `NNH 111`: words and digits each below their like."""
    widths = [
        max((len(row[arm][2]) for row in cells), default=0) for arm in range(len(cells[0]) if cells else 0)
    ]

    def padded(text: str, width: int) -> str:
        word, _, digits = text.partition(" ")
        return f"{word} {digits:>{width - len(word) - 1}}" if text else ""

    return [
        [
            (first, ratio, padded(needed, width))
            for (first, ratio, needed), width in zip(row, widths, strict=True)
        ]
        for row in cells
    ]


def helped_lines(study: "Study", scenario: "Scenario") -> Iterator[str]:
    """Who was helped and who was harmed, on the latent peak."""
    table = study.arrow("contrasts").to_pylist()
    for endpoint, label in HELPED:
        for arm in _others(scenario):
            row = pick(table, DIFFERENCE, endpoint, scenario.grading.crs, arm.id, view="latent")
            if row is None or is_missing(row["n10"]) or is_missing(row["n01"]):
                continue
            helped, harmed, n = (int(row[name]) for name in ("n10", "n01", "n_units"))
            line = f"{label}, {arm.label}: {helped:,} helped, {harmed:,} harmed of {n:,}"
            if not is_missing(row["harm_lower"]) and not is_missing(row["harm_upper"]):
                low = show_number(row["harm_lower"], "percent")
                high = show_number(row["harm_upper"], "percent")
                line += f" (margins alone: harm {low} to {high} %)"
            yield line


def file_lines(out: "Place", files: Sequence[str]) -> Iterator[str]:
    """The folder, and what is worth opening in it."""
    place = str(out)
    if out.local is not None and out.local.is_relative_to(here := Path.cwd()):
        place = str(out.local.relative_to(here))
    yield f"Files in {place}"
    top = {Path(name).parts[0] for name in files}
    results = [name for name in ("outcomes.parquet", "contrasts.parquet") if name in top]
    value = [f"{name}.parquet" for name in VALUE_TABLES if f"{name}.parquet" in top]
    tables = {
        Path(name).parts[0] for name in files if name.endswith(".parquet") and len(Path(name).parts) > 1
    }
    folders = sorted(f"{name}/" for name in tables if not declared(name).internal)
    figures = sorted({Path(name).stem for name in top if name.endswith((".png", ".svg"))})
    if "design.parquet" in top:
        yield "  design.parquet: the settings of every design point, by design_id"
    if results:
        yield f"  {', '.join(results)}: every endpoint, scale and view, not only those above"
    draws = [f"{name}.parquet" for name in DRAW_TABLES if f"{name}.parquet" in top]
    if draws:
        yield f"  {', '.join(draws)}: docs/uncertainty.md"
    if value:
        yield f"  {', '.join(value)}: docs/value.md"
    if folders:
        yield f"  {', '.join(folders)}: one folder a table; columns in results/README.md"
    if figures:
        yield f"  {', '.join(figures)}: .png and .svg"


def heading(scenario: "Scenario", subjects: int | None = None, points: int = 1) -> str:
    """What was simulated, in one line; `subjects` where a run did not stop at the scenario's number."""
    arms, replicates = len(scenario.arms), scenario.run.replicates
    words = [f"{scenario.product.id}: {subjects or scenario.subjects:,} subjects"]
    words[0] += f" in each of {arms} arms" if arms > 1 else ""
    words += [f"{points:,} design points"] if points > 1 else []
    words += [f"{replicates} replicates"] if replicates > 1 else []
    draws = scenario.run.parameter_draws
    words += [f"{draws:,} parameter sets"] if draws else []
    return ", ".join([*words, f"{scenario.horizon_days} days", f"seed {scenario.run.seed}"])


def print_answer(study: "Study", scenario: "Scenario") -> None:
    """What was found: outcomes, differences, who was helped, what was waited for."""
    width = make_console().width
    _print(_answer(study, scenario, width))


def print_ending(study: "Study") -> None:
    """Where the files are, what to know of the policies, and what this is not."""
    width = make_console().width
    _print(_ending(study, width))


def _print(parts: Iterator[Any]) -> None:
    console = make_console()
    with console.capture() as captured:
        for part in parts:
            if isinstance(part, str):
                console.print(part, soft_wrap=True)
            else:
                console.print(part)
    # a table pads its lines to the right, which is of no use in a file
    print("\n".join(line.rstrip() for line in captured.get().splitlines()), flush=True)


def _answer(study: "Study", scenario: "Scenario", width: int) -> Iterator[Any]:
    """Lines (wrapped, with markup) and tables in the order in which they are read."""
    from rich.markup import escape

    from cartsim.analysis.contrasts import JOINT_CAVEAT
    from cartsim.report.figures import SCALE_NAMES

    def text(words: str, indent: str = "") -> str:
        return escape(wrap(words, width, indent))

    scale = SCALE_NAMES.get(scenario.grading.crs, scenario.grading.crs)
    yield f"[bold]{text(scenario.title)}[/bold]"
    if scenario.study.question:
        yield text(scenario.study.question)
    until = study.manifest.get("until") or {}
    points = len(study.design) if scenario.sweep is not None else 1
    yield text(heading(scenario, until.get("subjects"), points))
    if scenario.sweep is not None:
        from cartsim.commands.sweep import sweep_parts

        yield from sweep_parts(study, scenario)
        return
    words = f"Outcomes by arm: means where not said, 95 % Monte Carlo interval; CRS by {scale}"
    words += words_of_sets(scenario)
    yield f"\n[bold]{text(words)}[/bold]"
    yield from _spaced(lay_out(outcome_grid(study, scenario), width))
    if _others(scenario):
        reference = scenario.arm(scenario.reference).label
        words = f"Paired difference from “{reference}”: the same subjects, 95 % Monte Carlo interval"
        words += words_of_sets(scenario)
        yield f"\n[bold]{text(words)}[/bold]"
        intervals = "both intervals exclude" if scenario.run.parameter_draws else "the interval excludes"
        yield text(f"VR: variance ratio, what pairing saved. NNT, NNH: only where {intervals} 0.")
        yield from _spaced(lay_out(contrast_grid(study, scenario), width))
        lines = list(helped_lines(study, scenario))
        if lines:
            words = "Helped and harmed: latent peak, the same subject under both policies"
            yield f"\n[bold]{text(words)}[/bold]"
            yield from (text(f"  {line}", "    ") for line in lines)
            yield text(f"  {JOINT_CAVEAT}", "  ")
    yield from tipping_parts(study, scenario, width)
    yield from value_parts(study, scenario, width)
    if scenario.site is not None:
        from cartsim.commands.site import SITE_NOTE, SITE_TITLE, site_grid

        yield f"\n[bold]{SITE_TITLE}[/bold]"
        yield from _spaced(lay_out(site_grid(study, scenario), width))
        yield text(SITE_NOTE)


def _ending(study: "Study", width: int) -> Iterator[Any]:
    from rich.markup import escape

    def text(words: str, indent: str = "") -> str:
        return escape(wrap(words, width, indent))

    if study.out is not None:
        yield ""
        until = study.manifest.get("until")
        if until:
            yield text(f"Stopped at {until['subjects']:,} subjects: {until['reason']}", "  ")
        yield from (text(line, "    ") for line in file_lines(study.out, study.files))
    for warning in dict.fromkeys(study.warnings):
        yield text(f"note: {warning}", "  ").replace("note:", "[yellow]note:[/yellow]", 1)
    yield f"[dim]{text(DISCLAIMER)}[/dim]"


def _spaced(tables: Sequence[Any]) -> Iterator[Any]:
    for number, table in enumerate(tables):
        if number:
            yield ""
        yield table
