"""Why: "which assumption matters, and which one flips the answer?" is asked of a sweep that has been run; this command
reads its folder, prints the answer, and leaves it there as a table and a picture. Nothing is simulated.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cartsim.commands.numbers import show_interval
from cartsim.commands.terminal import make_console, make_table, wrap
from cartsim.terms import DISCLAIMER

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from cartsim.scenario.resolve import Scenario
    from cartsim.sensitivity.findings import Answer, Finding
    from cartsim.sensitivity.stored import Question
    from cartsim.store.place import Place

#: Columns of the printed table: index (or several, one a line), heading.
COLUMNS = (
    ("ST", "Total index"),
    ("S1", "First-order index"),
    ("mu_star", "Mean absolute effect"),
    ("mu", "Mean effect"),
    ("sigma", "Spread of effects"),
    ("SRRC", "Rank regression coefficient"),
    ("low high at", "Target at"),
    ("swing", "High minus low"),
    ("tipping", "The answer flips at"),
    ("undecided", "Undecided"),
)
#: Indices in the unit of the target.
IN_UNITS = ("mu_star", "mu", "sigma", "low", "high", "at", "swing", "base")
#: Settings longer than this (whole policies) are cut in the printed table.
MOST_LETTERS = 36


def sensitivity(run: "str | Place", targets: Sequence[str] = (), as_json: bool = False) -> None:
    """Answer for a finished sweep in `run`, print it, and write sensitivity.parquet, .png and .svg into its folder.

    Raises `Unreachable` where there is no such run, `InvalidInput` where it is no sweep or a target does not exist,
    `Incomplete` where too few of its points have a value.
    """
    from cartsim.sensitivity.answer import answer
    from cartsim.sensitivity.findings import Answer, findings_table
    from cartsim.sensitivity.publish import publish
    from cartsim.sensitivity.stored import parse_targets, read_layout, read_target, usual_targets
    from cartsim.store.manifest import COMPLETE, read_manifest
    from cartsim.store.place import Place

    place = Place.of(run)
    manifest = read_manifest(place, partial=True)
    partial = manifest.get("status") != COMPLETE
    scenario = _scenario(place)
    question = _question(scenario)
    layout = read_layout(place, question)
    wanted = parse_targets(targets, question) if targets else usual_targets(question)
    answers, shares = [], []
    for target in wanted:
        values, notes = read_target(place, target, question, layout, partial=partial)
        if partial:
            notes = ["The run is not complete: cartsim status says what is missing.", *notes]
        found = answer(layout, values, _uniform(scenario.require_seed()))
        answers.append(Answer(found.target, found.findings, (*notes, *found.notes)))
        shares += [found.target] if values.is_share else []
    table = findings_table(answers, scenario.id)
    files = publish(place, table, _pictures(table, shares, scenario))
    if as_json:
        print(_json(place, files, answers))
    else:
        _print(answers, shares, _labels(scenario), place, files, scenario)


def _scenario(place: "Place") -> "Scenario":
    from cartsim.scenario.load import load_scenario

    return load_scenario(place.read_text("scenario.resolved.yaml"), folder=place.local, stored=True)


def _question(scenario: "Scenario") -> "Question":
    from cartsim.sensitivity.stored import Question
    from cartsim.sweep.base_values import base_value
    from cartsim.sweep.question import replication_unit
    from cartsim.tables.extras import endpoints_of

    sweep = scenario.sweep
    paths = list(sweep.axes) if sweep is not None else []
    for row in (sweep.rows or []) if sweep is not None else []:
        paths += [path for path in row if path not in paths]
    return Question(
        scenario_id=scenario.id,
        method=sweep.method if sweep is not None else "",
        arms=tuple(arm.id for arm in scenario.arms),
        reference=scenario.reference,
        endpoints=tuple(endpoint for endpoint in endpoints_of(scenario) if endpoint.reported),
        horizon_d=float(scenario.horizon_days),
        replication_unit=replication_unit(scenario),
        groups={name: tuple(group) for name, group in (sweep.groups if sweep is not None else {}).items()},
        base={path: _setting(base_value(scenario, path)) for path in paths},
    )


def _setting(value: Any) -> Any:
    """A value as design.parquet has it: numbers, text, and anything else as JSON."""
    if value is None or (isinstance(value, str | int | float) and not isinstance(value, bool)):
        return value
    from cartsim.scenario.canonical import plain_text

    return plain_text(value)


def _labels(scenario: "Scenario") -> dict[str, str]:
    axes = scenario.sweep.axes if scenario.sweep is not None else {}
    return {path: axis.label for path, axis in axes.items() if axis.label}


def _uniform(seed: int) -> Any:
    """Addressed draws for resampling: the same run gives the same intervals."""
    import numpy as np

    from cartsim.draws import study_key, uniforms
    from cartsim.terms import Decision

    key = study_key(seed)

    def draw(n: int, k: int) -> "np.ndarray":
        return uniforms(key, np.arange(n), Decision.BOOTSTRAP, k)

    return draw


def _pictures(table: "pa.Table", shares: Sequence[str], scenario: "Scenario") -> dict[str, bytes]:
    """The figure's files by name; through a folder of this machine, since the run may lie in an object store."""
    import tempfile

    from cartsim.report.sensitivity_figures import write_sensitivity

    with tempfile.TemporaryDirectory() as folder:
        written = write_sensitivity(
            table, folder, shares=shares, labels=_labels(scenario), title=scenario.title
        )
        return {path.name: path.read_bytes() for path in written}


def _json(place: "Place", files: Sequence[str], answers: Sequence["Answer"]) -> str:
    return json.dumps(
        {
            "run": place.text,
            "files": list(files),
            "targets": [
                {
                    "target": a.target,
                    "notes": list(a.notes),
                    "findings": [{k: v for k, v in vars(f).items() if k != "target"} for f in a.findings],
                }
                for a in answers
            ],
        },
        indent=2,
        ensure_ascii=False,
    )


def _print(
    answers: Sequence["Answer"],
    shares: Sequence[str],
    labels: Mapping[str, str],
    place: "Place",
    files: Sequence[str],
    scenario: "Scenario",
) -> None:
    from rich.markup import escape

    console = make_console()
    with console.capture() as captured:
        console.print(f"[bold]{escape(wrap(scenario.title, console.width, ''))}[/bold]")
        for answer in answers:
            is_share = answer.target in shares
            in_units = is_share and any(f.index in IN_UNITS for f in answer.findings)
            words = "in percentage points, 95 % intervals" if in_units else "95 % intervals"
            console.print(f"\n[bold]{escape(answer.target)}[/bold]: {words}")
            console.print(_table(answer, "percent" if is_share else "number", labels))
            for line in (*_whole(answer, is_share), *answer.notes):
                console.print(escape(wrap(f"  {line}", console.width, "    ")), soft_wrap=True)
        console.print(f"\nFiles in {escape(place.text)}: {', '.join(files)}", soft_wrap=True)
        console.print(f"[dim]{escape(DISCLAIMER)}[/dim]", soft_wrap=True)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()), flush=True)


def _whole(answer: "Answer", is_share: bool) -> Iterator[str]:
    """Rows about the design as a whole, in words."""
    form = "percent" if is_share else "number"
    for f in answer.findings:
        if f.index == "base":
            yield f"As in the scenario: {show_interval(vars(f), form, sign=answer.target.startswith('contrast'))}."
        elif f.index == "rank R2":
            yield f"The rank regression explains {show_interval(vars(f), 'percent')} % of the rank variance."
        elif f.index == "variance" and f.value is not None and f.value > 0:
            sd = f.value**0.5 * (100 if is_share else 1)
            yield f"Standard deviation of the target over the inputs, noise removed: {sd:.3g} ({f.n:,} base rows)."


def _table(answer: "Answer", form: str, labels: Mapping[str, str]) -> Any:
    from rich.markup import escape

    from cartsim.sensitivity.findings import WHOLE

    rows = [f for f in answer.findings if f.input != WHOLE]
    signed = answer.target.startswith("contrast")
    shown = [(c.split(), words) for c, words in COLUMNS if any(f.index in c.split() for f in rows)]
    table = make_table(["Input", *(words for _, words in shown)])
    for name in by_strength(rows):
        own = [f for f in rows if f.input == name]
        cells = ["\n".join(_cell(f, form, signed) for f in own if f.index in c) or "–" for c, _ in shown]
        table.add_row(escape(labels.get(name, name)), *(escape(cell) for cell in cells))
    return table


def by_strength(rows: Sequence["Finding"]) -> list[str]:
    """Inputs, the strongest first; those without a measure of it last, in their order."""
    size = {
        f.input: abs(f.value)
        for f in rows
        if f.index in ("ST", "mu_star", "SRRC", "swing") and f.value is not None
    }
    order = dict.fromkeys(f.input for f in rows)
    return sorted(order, key=lambda name: -size.get(name, 0.0))


def _cell(f: "Finding", form: str, signed: bool) -> str:
    if f.index in ("tipping", "undecided"):
        return _flip(f)
    sign = f.index in ("swing", "mu", "SRRC") or (signed and f.setting is not None)
    text = show_interval(vars(f), form if f.index in IN_UNITS else "number", sign=sign)
    if f.setting is None:
        return text
    setting = f.setting if len(f.setting) <= MOST_LETTERS else f.setting[: MOST_LETTERS - 1] + "…"
    return f"{setting}: {text}"


def _flip(f: "Finding") -> str:
    low = "…" if f.lower is None else f"{f.lower:.4g}"
    high = "…" if f.upper is None else f"{f.upper:.4g}"
    if f.index == "undecided":
        return "throughout" if f.lower is None and f.upper is None else f"{low} to {high}"
    if f.value is None:
        return (f.note or "").partition(":")[0]
    interval = "(no interval)" if f.lower is None and f.upper is None else f"({low} to {high})"
    return f"{f.value:.4g} {interval}"
