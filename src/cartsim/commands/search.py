"""Why: `cartsim search` answers "which setting, then?" on one screen: the choice with its probability, the others with
how far they are behind, and the front where there is a trade-off.
"""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cartsim.commands.numbers import show_interval, show_number
from cartsim.commands.terminal import make_console, make_table, wrap

if TYPE_CHECKING:
    from rich.table import Table

    from cartsim.scenario.resolve import Scenario
    from cartsim.search.answer import Answer, Question
    from cartsim.search.run import Standing

#: Lines of the printed table; the file has them all.
MOST_LINES = 40
#: More axes than this share one column.
MOST_AXES = 4
#: Headers are wrapped to about this width.
NARROW = 11
FORMS = {"proportion": "percent", "day": "days", "mg": "mg"}


def split_names(text: str | None) -> tuple[str, ...]:
    """`a,b[x, y],c` -> names; a comma in brackets belongs to the name."""
    names, depth, name = [], 0, ""
    for letter in text or "":
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth == 0:
            names.append(name)
            name = ""
        else:
            name += letter
    return tuple(part.strip() for part in [*names, name] if part.strip())


def run_search(
    scenario: "Scenario",
    question: "Question",
    out: str | Path | None = None,
    *,
    executor: str = "threads",
    workers: int = 0,
    scheduler: str | None = None,
    limit: int | None = None,
    fresh: bool = False,
    as_json: bool = False,
    quiet: bool = False,
) -> None:
    """Search and print the answer.

    `limit` on candidates: that of the sweep unless given. See `cartsim.search.answer.answer_question` for what is
    raised.
    """
    from cartsim.commands.progress import progress_bar
    from cartsim.in_folder import provenance_of
    from cartsim.results import Progress
    from cartsim.search.answer import answer_question, check_question
    from cartsim.store.place import Place
    from cartsim.sweep.executors import make_executor

    scenario.require_seed()
    check_question(scenario, question)
    place = Place.of(out if out is not None else Path("results") / f"{scenario.id}-search").reach()
    with ExitStack() as stack:
        progress = stack.enter_context(progress_bar(quiet))

        def tell(standing: "Standing") -> None:
            if progress is not None:
                left = standing.candidates - standing.left
                progress(
                    Progress(
                        f"choosing among {standing.candidates} candidates: out are", left, standing.candidates
                    )
                )

        runner = make_executor(executor, workers, scheduler)
        stack.callback(runner.close)
        answer = answer_question(
            scenario,
            question,
            place,
            provenance_of(scenario),
            executor=runner,
            limit=limit if limit is not None or scenario.sweep is None else scenario.sweep.limit,
            fresh=fresh,
            tell=tell,
        )
    if as_json:
        print(json.dumps(_as_json(answer), indent=2, ensure_ascii=False))
    else:
        _print(answer, scenario)


def _as_json(answer: "Answer") -> dict[str, Any]:
    told = {k: v for k, v in answer.said.items() if k not in ("schema", "sources", "dependencies")}
    return {"out": answer.place.text, **told, "rows": answer.table.to_pylist()}


def _print(answer: "Answer", scenario: "Scenario") -> None:
    from rich.markup import escape

    from cartsim.terms import DISCLAIMER

    console = make_console()
    said = answer.said
    console.print(f"{escape(scenario.title)}", style="bold")
    rows = _lines(answer)
    console.print(_table(answer, rows[:MOST_LINES]))
    if len(rows) > MOST_LINES:
        console.print(f"and {len(rows) - MOST_LINES} more in candidates.parquet")
    console.print(said["statement"])
    if "front_statement" in said:
        console.print(said["front_statement"])
    spent = answer.found.subjects.tolist()
    share = said["subjects"] / said["subjects_equal"]
    each = f"{min(spent):,}" + (f" to {max(spent):,}" if min(spent) < max(spent) else "")
    console.print(
        f"{said['subjects']:,} subjects in all ({each} a candidate), {100 * share:.0f} % of what the same number for "
        f"all would have taken. Intervals are 95 % Monte Carlo, each of one number by itself; differences are paired."
    )
    console.print(DISCLAIMER)
    console.print(f"in {escape(answer.place.text)}: {', '.join([*answer.files, 'search.json'])}")


def _table(answer: "Answer", lines: list[dict[str, Any]]) -> "Table":
    from rich.markup import escape

    from cartsim.search.labels import show_value

    said = answer.said
    target, *others = [objective.id for objective in answer.objectives]
    # a column an axis where they fit: what differs between lines is then seen at once
    axes = answer.axes if 0 < len(answer.axes) <= MOST_AXES else {}
    alike = len({line[target]["n_units"] for line in lines}) == 1
    words = ["", *(axes.values() or ["Candidate"])]
    numbers = ([] if alike else ["Subjects"]) + [_title(answer, 0)]
    numbers += ["minus the best" if said["decided"] else "minus the leader"]
    numbers += [_title(answer, place) for place in range(1, len(answer.objectives))]
    headers = [*words, *numbers, "Out at", *(["Front"] if said.get("front") else [])]
    right = [0, *range(len(words), len(words) + len(numbers))]
    table = make_table([wrap(escape(header), NARROW, "") for header in headers], right=right)
    # an interval broken over lines could not be compared with the next
    table.columns[len(words) + (1 if alike else 2)].no_wrap = True
    for line in lines:
        first, form = line[target], _form(answer, 0)
        settings = answer.candidates[first["design_id"]].settings
        cells = [escape(show_value(settings[path])) if path in settings else "–" for path in axes]
        cells = [str(first["design_id"]), *(cells or [escape(first["label"])])]
        cells += [] if alike else [f"{first['n_units']:,}"]
        cells += [show_number(first["value"], form), show_interval(_as_difference(first), form, sign=True)]
        for place, id_ in enumerate(others, 1):
            cells.append(show_number(line[id_]["value"], _form(answer, place)))
        table.add_row(*cells, _choice(first), *([_front(first)] if said.get("front") else []))
    return table


def _lines(answer: "Answer") -> list[dict[str, Any]]:
    """{endpoint: row} of each candidate: the best first, then those in the running, then the last to leave first."""
    lines: dict[int, dict[str, Any]] = {}
    for row in answer.table.to_pylist():
        lines.setdefault(row["design_id"], {})[row["endpoint"]] = row
    target = answer.objectives[0].id
    order = ("best", "possible", "eliminated")

    def rank(line: dict[str, Any]) -> tuple[int, int, float]:
        row = line[target]
        return order.index(row["status"]), -(row["eliminated_at"] or 0), row["value"]

    return sorted(lines.values(), key=rank)


def _title(answer: "Answer", place: int) -> str:
    from cartsim.commands.console import ROWS

    endpoint = answer.objectives[place].endpoint
    short = next((row for row in ROWS if row.endpoint == endpoint.id), None)
    if short is not None:
        return short.label + (", %" if short.form == "percent" else "")
    return endpoint.title + (", %" if endpoint.unit == "proportion" else f", {endpoint.unit}")


def _form(answer: "Answer", place: int) -> str:
    return FORMS.get(answer.objectives[place].endpoint.unit, "number")


def _as_difference(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "value": row["difference"],
        "lower": row["difference_lower"],
        "upper": row["difference_upper"],
    }


def _choice(row: dict[str, Any]) -> str:
    if row["status"] != "eliminated":
        return str(row["status"])
    return f"{row['eliminated_at']:,}"


def _front(row: dict[str, Any]) -> str:
    if row["dominated_by"] is not None:
        return f"no ({row['dominated_by']})"
    return "yes" if row["front"] == "on the front" else "possible"
