"""Why: with parameter draws a number has two intervals that mean different things, and they must stand side by side:
one would vanish with more subjects, the other would not. And a reader wants to hear which assumption turns the answer
round.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cartsim.commands.numbers import decimals_within, is_missing, show_interval, show_number
from cartsim.commands.terminal import make_table, wrap

if TYPE_CHECKING:
    from cartsim.results import Study
    from cartsim.scenario.resolve import Scenario

Row = Mapping[str, Any]
#: Head of the column with the interval over parameter sets.
OVER_SETS = "over sets"
#: Flips that are printed; the others are in the file.
SHOWN = 16
#: Endpoints whose flips are printed, with what they are called and how their numbers read.
ASKED = (
    ("crs_ge2", "CRS grade ≥ 2", "percent"),
    ("crs_ge3", "CRS grade ≥ 3", "percent"),
    ("icans_ge3", "ICANS grade ≥ 3", "percent"),
    ("icu_any", "ICU, any", "percent"),
    ("steroid_any", "Steroid, any", "percent"),
    ("cost", "Cost", "mg"),
    ("qald", "Quality-adjusted days lost", "days"),
)


def words_of_sets(scenario: "Scenario") -> str:
    """What is said of the interval over parameter sets in a heading; nothing without draws."""
    draws = scenario.run.parameter_draws
    return f"; {OVER_SETS}: 95 % over parameter sets ({draws:,})" if draws else ""


def has_sets(rows: Sequence[Row]) -> bool:
    """Whether rows of a result table are means over parameter sets."""
    return any(not is_missing(row.get("param_lower")) for row in rows)


def cell(row: Row | None, form: str, drawn: bool, sign: bool = False) -> tuple[str, ...]:
    """A number with its Monte Carlo interval, and that over sets where there are sets."""
    plain = "–" if row is None else show_interval(row, form, sign=sign)
    return (plain, show_over_sets(row, form, sign)) if drawn else (plain,)


def parts_of(drawn: bool) -> tuple[str, ...]:
    """Heads of the columns of `cell`."""
    return ("", OVER_SETS) if drawn else ("",)


def show_over_sets(row: Row | None, form: str, sign: bool = False) -> str:
    """`0.6–31.2`: the interval over parameter sets, with the digits of the value beside it."""
    if row is None or is_missing(row.get("param_lower")) or is_missing(row.get("param_upper")):
        return "–"
    limits = {"value": row["value"], "lower": row["param_lower"], "upper": row["param_upper"]}
    places = decimals_within(limits, form, 3 if sign else 1)
    if limits["lower"] == limits["upper"] == 0:
        return "0"
    low, high = (show_number(limits[name], form, sign, places) for name in ("lower", "upper"))
    return f"{low}{' to ' if sign or low.startswith('-') else '–'}{high}"


def tipping_parts(study: "Study", scenario: "Scenario", width: int) -> Iterator[Any]:
    """The assumptions that flip an answer, or that none does; nothing for a run without that table."""
    from cartsim.sweep.parameter_sets import has_tipping

    if not has_tipping(scenario):
        return
    rows = study.arrow("tipping").to_pylist()
    everybody = rows[0]["population"] if rows else None
    rows = [row for row in rows if row["population"] == everybody]
    central = {_place(row): row for row in rows if row["parameter"] is None}
    moved = [row for row in rows if row["parameter"] is not None]
    names = dict.fromkeys(row["parameter"] for row in moved)
    n = max((row["n_units"] for row in moved), default=0)
    yield f"\n[bold]{wrap('Assumptions that flip the answer', width, '')}[/bold]"
    yield wrap(
        f"{len(names)} numbers that nothing identifies, one at a time at the edges of their priors (2 standard "
        f"deviations, or the ends of the range), the others as they stand; {n:,} subjects. "
        "Beside it the answer with every number as it stands.",
        width,
        "",
    )
    order = {arm.id: number for number, arm in enumerate(scenario.arms)}
    flips = [
        (one, label, form, said)
        for name, label, form in ASKED
        for one in sorted(_of_endpoint(moved, name, scenario), key=lambda row: order[row["arm_id"]])
        if (said := flip_of(one, central[_place(one)])) is not None
    ]
    if not flips:
        yield wrap("  None does, for the endpoints above; every row is in tipping.parquet.", width, "    ")
        return
    yield _table(flips[:SHOWN], central, scenario)
    if len(flips) > SHOWN:
        yield wrap(f"  and {len(flips) - SHOWN} more in tipping.parquet", width, "    ")


def flip_of(row: Row, central: Row) -> str | None:
    """What an edge does to the answer, in words; None where it stays what it was."""
    if not row["sign_differs"] and not row["significance_differs"]:
        return None
    now, before = (_clear(one) for one in (row, central))
    if now and before:
        return "other way round" if row["sign_differs"] else None
    if before:
        return "not clear any more"
    return "becomes clear" if now else None


def _clear(row: Row) -> bool:
    return not is_missing(row["lower"]) and (row["lower"] > 0 or row["upper"] < 0)


def _place(row: Row) -> tuple[Any, ...]:
    return row["arm_id"], row["estimand_id"], row["level"], row["population"]


def _of_endpoint(rows: Sequence[Row], endpoint: str, scenario: "Scenario") -> Iterator[Row]:
    for row in rows:
        on_scale = endpoint.startswith("icans") or row["scale"] in (None, scenario.grading.crs)
        if row["endpoint"] == endpoint and row["view"] in (None, "observed") and on_scale:
            yield row


def _table(
    flips: Sequence[tuple[Row, str, str, str]], central: Mapping[Any, Row], scenario: "Scenario"
) -> Any:
    """By difference: the answer as it stands, and below it what each number at an edge makes of it."""
    from rich.markup import escape

    several = len(scenario.arms) > 2
    table = make_table(["Difference, and number set to", "", ""], right=(1,))
    above = None
    for row, label, form, said in flips:
        if _place(row) != above:
            above = _place(row)
            arm = f", {scenario.arm(row['arm_id']).label}" if several else ""
            words = f"{label}{', points' if form == 'percent' else ''}{arm}"
            table.add_row(escape(words), show_interval(central[above], form, sign=True), "as it stands")
        # the product stands in the heading
        name = row["parameter"].removeprefix(f"product.{scenario.product.id}.")
        table.add_row(
            escape(f"  {name} = {row['setting']:.4g}"), show_interval(row, form, sign=True), escape(said)
        )
    return table
