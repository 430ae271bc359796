"""Why: the printed answer is what most people ever read. Rows are endpoints, columns are arms, every number stands
with its interval, and stdout stays plain enough to be piped into a file.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cartsim.terms import DISCLAIMER

if TYPE_CHECKING:
    from pandas import DataFrame
    from rich.console import Console
    from rich.table import Table

    from cartsim.scenario.resolve import Scenario
    from cartsim.study import Study

#: Width of printed tables where the output is not a terminal.
PLAIN_WIDTH = 116
LABEL_WIDTH = 36
CELL_WIDTH = 17

#: Summaries that the printed tables show; the other rows of an endpoint are in the files.
ONE_ARM = ("proportion", "mean", "median")
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
    Row("Steroid, mg (dex. eq.)", "steroid_mg", "mg"),
    Row("Vasopressor", "vasopressor", "percent"),
    Row("ICU, any", "icu_any", "percent"),
    Row("ICU days", "icu_days", "days"),
    Row("Hospital days", "hospital_days", "days"),
    Row("Death (uncalibrated)", "death", "percent"),
)
#: Endpoints whose joint outcome under two policies is told (STATISTICS 2).
HELPED = (("crs_ge2", "CRS grade ≥ 2"), ("crs_ge3", "CRS grade ≥ 3"))


def make_console(stderr: bool = False) -> "Console":
    """A console on stdout or stderr; NO_COLOR and pipes give plain text of a fixed width."""
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console


def make_table(headers: Sequence[str], title: str | None = None, right: Iterable[int] = ()) -> "Table":
    """An empty table in the house style; columns in `right` are aligned to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    align_right = set(right)
    for number, header in enumerate(headers):
        table.add_column(header, justify="right" if number in align_right else "left")
    return table


def is_missing(value: Any) -> bool:
    """None, NaN and pandas' NA alike."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except TypeError:
        return True


def show_number(value: Any, form: str, sign: bool = False, decimals: int | None = None) -> str:
    """A number as the tables print it (shares in percent); an absent one is a dash."""
    if is_missing(value):
        return "–"
    number = 100 * float(value) if form == "percent" else float(value)
    places = decimals_of(value, form) if decimals is None else decimals
    return f"{number:{'+' if sign else ''}.{places}f}"


def decimals_of(value: Any, form: str) -> int:
    """Decimals worth printing: two for small counts and days, else one."""
    return 1 if form in ("percent", "mg") or abs(float(value)) >= 10 else 2


def show_interval(row: Any, form: str, sign: bool = False) -> str:
    """`13.2 (12.6–13.9)`; percent sign and unit are left to the label."""
    value, lower, upper = row["value"], row["lower"], row["upper"]
    text = show_number(value, form, sign)
    if is_missing(value) or is_missing(lower) or is_missing(upper):
        return text
    places = decimals_of(value, form)
    dash = " to " if sign else "–"
    return f"{text} ({show_number(lower, form, sign, places)}{dash}{show_number(upper, form, sign, places)})"


def pick(
    frame: "DataFrame", summaries: Sequence[str], endpoint: str, scale: str, arm: str, view: str = "observed"
) -> Any | None:
    """The row of an endpoint on the scenario's scale (ICANS has its own), or None."""
    rows = frame[
        (frame["endpoint"] == endpoint) & (frame["arm_id"] == arm) & frame["summary"].isin(summaries)
    ]
    if not endpoint.startswith("icans"):
        rows = rows[rows["scale"].isna() | (rows["scale"] == scale)]
    rows = rows[rows["view"].isna() | (rows["view"] == view)]
    return rows.iloc[0] if len(rows) else None


def groups(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Consecutive groups of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def outcome_tables(study: "Study", scenario: "Scenario", width: int) -> list["Table"]:
    """Outcomes by arm, as many arms side by side as fit."""
    side_by_side = max(1, (width - LABEL_WIDTH) // (CELL_WIDTH + 2))
    tables = []
    for number, arms in enumerate(groups(scenario.arms, side_by_side)):
        title = f"Outcomes by arm, means where not said (95 % Monte Carlo interval); CRS on {scenario.grading.crs}"
        headers = ["", *(arm.label for arm in arms)]
        table = make_table(headers, title if number == 0 else None, range(1, len(headers)))
        for line in ROWS:
            found = [
                pick(study.outcomes, ONE_ARM, line.endpoint, scenario.grading.crs, arm.id) for arm in arms
            ]
            if all(row is None for row in found):
                continue
            unit = ", %" if line.form == "percent" else ""
            cells = ["–" if row is None else show_interval(row, line.form) for row in found]
            table.add_row(line.label + unit, *cells)
        tables.append(table)
    return tables


def contrast_tables(study: "Study", scenario: "Scenario", width: int) -> list["Table"]:
    """Paired differences against the reference, two arms side by side."""
    others = [arm for arm in scenario.arms if arm.id != scenario.reference]
    tables = []
    for number, arms in enumerate(groups(others, 2 if width >= PLAIN_WIDTH - 2 else 1)):
        reference = scenario.arm(scenario.reference).label
        title = (
            f"Paired difference from “{reference}” (same subjects); VR: variance ratio, what pairing saved"
        )
        headers = [""]
        for arm in arms:
            headers += [arm.label, "VR", "NNT"]
        table = make_table(headers, title if number == 0 else None, range(1, len(headers)))
        for line in ROWS:
            if line.endpoint in ("crs_onset", "crs_duration"):
                continue
            found = [
                pick(study.contrasts, DIFFERENCE, line.endpoint, scenario.grading.crs, arm.id) for arm in arms
            ]
            if all(row is None for row in found):
                continue
            unit = ", points" if line.form == "percent" else ""
            cells: list[str] = []
            for row in found:
                cells += ["–", "–", ""] if row is None else _contrast_cells(row, line.form)
            table.add_row(line.label + unit, *cells)
        tables.append(table)
    return tables


def _contrast_cells(row: Any, form: str) -> list[str]:
    ratio = row["variance_ratio"]
    saved = "–" if is_missing(ratio) or math.isinf(float(ratio)) else f"{float(ratio):.1f}"
    nnt = row.get("nnt")
    needed = ""
    if not is_missing(nnt):
        kind = row.get("nnt_kind")
        prefix = "" if is_missing(kind) or kind == "NNT" else f"{kind} "
        needed = f"{prefix}{abs(float(nnt)):.0f}"
    return [show_interval(row, form, sign=True), saved, needed]


def helped_lines(study: "Study", scenario: "Scenario") -> list[str]:
    """Who was helped and who was harmed, on the latent peak."""
    lines = []
    total = scenario.subjects * scenario.run.replicates
    for endpoint, label in HELPED:
        for arm in scenario.arms:
            if arm.id == scenario.reference:
                continue
            row = pick(study.contrasts, DIFFERENCE, endpoint, scenario.grading.crs, arm.id, view="latent")
            if row is None or is_missing(row["n10"]) or is_missing(row["n01"]):
                continue
            line = (
                f"{label}, {arm.label}: {int(row['n10']):,} helped, {int(row['n01']):,} harmed of {total:,}"
            )
            if not is_missing(row["harm_lower"]) and not is_missing(row["harm_upper"]):
                low, high = (
                    show_number(row["harm_lower"], "percent"),
                    show_number(row["harm_upper"], "percent"),
                )
                line += f" (margins alone: harm {low} to {high} %)"
            lines.append(line)
    return lines


def print_study(study: "Study", scenario: "Scenario") -> None:
    """The answer of `cartsim run` on stdout."""
    from rich.markup import escape

    from cartsim.analysis.contrasts import JOINT_CAVEAT

    console = make_console()
    console.print(f"[bold]{escape(scenario.title)}[/bold]")
    if scenario.study.question:
        console.print(escape(scenario.study.question))
    replicates = f", {scenario.run.replicates} replicates" if scenario.run.replicates > 1 else ""
    console.print(
        f"{scenario.product.id}: {scenario.subjects:,} subjects in each of {len(scenario.arms)} arm(s), "
        f"{scenario.horizon_days} days, seed {scenario.run.seed}{replicates}\n"
    )
    for table in outcome_tables(study, scenario, console.width):
        console.print(table)
    if len(scenario.arms) > 1:
        for table in contrast_tables(study, scenario, console.width):
            console.print(table)
        lines = helped_lines(study, scenario)
        if lines:
            console.print(
                "[bold]Helped and harmed[/bold] (latent peak, the same subject under both policies)"
            )
            for line in lines:
                console.print("  " + escape(line))
            console.print(f"  {JOINT_CAVEAT}\n")
    if study.out is not None:
        console.print(
            f"[bold]Files[/bold] in {escape(str(study.out))}: {escape(', '.join(map(str, study.files)))}"
        )
    for warning in dict.fromkeys(study.warnings):
        console.print(f"[yellow]note:[/yellow] {escape(warning)}")
    console.print(f"[dim]{DISCLAIMER}[/dim]")
