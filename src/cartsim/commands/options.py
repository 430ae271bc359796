"""Why: what several commands share on the command line (the application itself, `--json`, `--set`, `--quiet`) is
declared once, so that it looks and works the same everywhere."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cartsim.errors import InvalidInput

app = typer.Typer(
    name="cartsim",
    help="Simulate CRS and ICANS after CAR-T infusion: the same virtual subjects under several policies.",
    epilog="A hypothesis tool, not bedside advice. Start with: cartsim run scenarios/tocilizumab_timing.yaml",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
Targets = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Target file (CSV) of your own; the package's unless given."),
]
Cohorts = Annotated[
    list[str] | None,
    typer.Option(metavar="ID=SCENARIO", help="Scenario file of a cohort in it; several times for more."),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one value, such as arms.early.policy=asco_2021."),
]


def parse_sets(given: list[str]) -> dict[str, Any]:
    """`["a.b=1"]` -> `{"a.b": "1"}`. Raises `InvalidInput` where the equals sign is missing."""
    sets: dict[str, Any] = {}
    for text in given:
        key, sign, value = text.partition("=")
        if not sign or not key.strip():
            raise InvalidInput("--set takes key=value", where=text, mend="--set run.seed=1")
        if key.strip() in sets:
            raise InvalidInput(
                "--set names the same key twice", where=key.strip(), mend="keep one of the two"
            )
        sets[key.strip()] = value.strip()
    return sets


def print_json(data: Any) -> None:
    """JSON on stdout; what JSON does not know (paths, numpy numbers) is written as text or number."""

    def plain(value: Any) -> Any:
        return value.item() if hasattr(value, "item") else str(value)

    print(json.dumps(data, indent=2, ensure_ascii=False, default=plain))
