"""Why: claims of the literature and checks of face validity are long sentences with one number each, so they are
printed as blocks and short tables, and kept as JSON beside the validation.
"""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cartsim.commands.terminal import make_console, make_table, wrap

if TYPE_CHECKING:
    from rich.table import Table

    from cartsim.store.place import Place

CLAIMS_TITLE = "Claims of the literature beside what emerges from the model"
CLAIMS_NOTE = (
    "A model that agrees is no evidence for a claim: the sizes of its drug effects are priors or fits, and no trials. "
    "(...): 95 % Monte Carlo interval; [...]: 95 % interval over parameter sets."
)
FACE_TITLE = "Face validity: what a clinician expects, and what the model shows"
FACE_NOTE = (
    "(...): 95 % Monte Carlo interval. kept: within the wider band that the model must keep whatever its numbers are. "
    "A check that fails is a finding."
)
_PERCENT = {"share", "share of ICANS"}


def check(
    name: str,
    make: Callable[..., Sequence[Any]],
    place: "Place",
    subjects: int | None,
    draws: int | None,
    seed: int,
    workers: int,
    progress: Callable[[Any], None] | None,
) -> list[dict[str, Any]]:
    """Rows of `make` (claims or face) as plain data, also written to <name>.json in `place`."""
    given: dict[str, Any] = {"seed": seed, "workers": workers, "progress": progress}
    given |= {} if subjects is None else {"subjects": subjects}
    given |= {} if draws is None else {"draws": draws}
    rows = [row.as_dict() for row in make(**given)]
    place.write_text(f"{name}.json", json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    return rows


def print_claims(rows: Sequence[dict[str, Any]], where: str) -> None:
    """Every claim with its status, its size, and the model's."""
    table = make_table(("Claim", "Claimed", "Model", "Evidence", "Verdict"))
    for row in rows:
        kind = _kind(row)
        model = _figure(row["value"], row["lower"], row["upper"], kind)
        if row["param_lower"] is not None:
            model += f"\n[{_span(row['param_lower'], row['param_upper'], kind)}]"
        claimed = _claimed(row)
        if row["primary"]:
            claimed += f"; counted: {row['primary']}"
        table.add_row(
            wrap(row["statement"], 44, ""), wrap(claimed, 22, ""), model, row["status"], row["verdict"]
        )
    _print(CLAIMS_TITLE, table, CLAIMS_NOTE, where)


def print_face(rows: Sequence[dict[str, Any]], where: str) -> None:
    """Every check with what is expected and what the model shows."""
    table = make_table(("Check", "Expected", "Model", "n", "Passes", "Kept"), right=(3,))
    for row in rows:
        table.add_row(
            wrap(f"{row['statement']} ({row['where']})", 50, ""),
            wrap(row["expected"], 24, ""),
            _figure(row["value"], row["lower"], row["upper"], row["unit"]),
            f"{row['n']:,}",
            _word(row["passed"]),
            _word(row["kept"]),
        )
    passed = sum(row["passed"] is True for row in rows)
    kept = [row["kept"] for row in rows if row["kept"] is not None]
    told = f"{passed} of {len(rows)} pass, {sum(kept)} of {len(kept)} are kept. {FACE_NOTE}"
    _print(FACE_TITLE, table, told, where)


def _print(title: str, table: "Table", note: str, where: str) -> None:
    from cartsim.terms import DISCLAIMER

    console = make_console()
    with console.capture() as captured:
        console.print(title, markup=False)
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))
    print(f"\n{wrap(note, console.width)}\n{DISCLAIMER}\nin {where}", flush=True)


def _kind(row: dict[str, Any]) -> str | None:
    """Share, days or a bare number."""
    return "d" if str(row["variable"] or "").endswith("_d") else row["statistic"]


def _claimed(row: dict[str, Any]) -> str:
    low, high, kind = row["claimed_low"], row["claimed_high"], _kind(row)
    if low is None and high is None:
        return "no size given"
    if high is None:
        return f"more than {_number(low, kind)}{_unit(kind)}"
    return (_number(low, kind) if low == high else _span(low, high, kind)) + _unit(kind)


def _figure(value: float | None, lower: float | None, upper: float | None, kind: str | None) -> str:
    if value is None:
        return "–"
    span = f" ({_span(lower, upper, kind)})" if lower is not None else ""
    return _number(value, kind) + span + _unit(kind)


def _span(lower: float | None, upper: float | None, kind: str | None) -> str:
    return f"{_number(lower, kind)}–{_number(upper, kind)}"


def _number(value: float | None, kind: str | None) -> str:
    return "–" if value is None else f"{100 * value if kind in _PERCENT else value:.3g}"


def _unit(kind: str | None) -> str:
    return " %" if kind in _PERCENT else f" {kind}" if kind in ("h", "d") else ""


def _word(passed: bool | None) -> str:
    return "–" if passed is None else "yes" if passed else "NO"
