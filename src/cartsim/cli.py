"""Why: the commands, and nothing else. What they do lives in the rooms behind; here are the options, what goes to
stdout (results) and to stderr (progress), and how every failure ends: one message and its own exit code.
"""

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cartsim.errors import CartsimError, InvalidInput, Unreachable

if TYPE_CHECKING:
    from types import FrameType

    from cartsim.scenario.resolve import Scenario
    from cartsim.study import Study

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
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one value, such as arms.early.policy=asco_2021."),
]


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        print(f"cartsim {installed('cartsim')}")
        raise typer.Exit()


@app.command(short_help="Run a scenario: tables, Parquet files, figures.")
def run(
    scenario: Annotated[Path, typer.Argument(help="Scenario file (YAML).")],
    out: Annotated[Path | None, typer.Option(help="Output folder; default results/<scenario id>.")] = None,
    set_: Sets = None,
    seed: Annotated[int | None, typer.Option(help="Instead of run.seed.")] = None,
    subjects: Annotated[int | None, typer.Option(help="Instead of population.subjects.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Threads; 0 takes all cores.")] = 0,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Replace results of another scenario in --out.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and write nothing.")] = False,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
) -> None:
    """Run a scenario: tables of outcomes and paired differences, Parquet files."""
    from cartsim.commands.folder import prepare_folder
    from cartsim.scenario.load import load_scenario

    overrides = parse_sets(set_ or [])
    if seed is not None:
        overrides["run.seed"] = seed
    if subjects is not None:
        overrides["population.subjects"] = subjects
    loaded = load_scenario(scenario, overrides)
    loaded.require_seed()
    if dry_run:
        show_plan(loaded, as_json)
        return
    folder = prepare_folder(out, loaded, fresh)
    from cartsim.commands.console import print_answer, print_ending
    from cartsim.commands.progress import progress_bar
    from cartsim.study import run as run_study

    with ExitStack() as bar:
        progress = bar.enter_context(progress_bar(quiet))

        def show(found: "Study") -> None:
            # the reader need not wait for the figures
            bar.close()
            print_answer(found, loaded)

        answered = None if as_json else show
        study = run_study(loaded, folder, workers=workers, progress=progress, answered=answered)
    if as_json:
        print_json(
            {
                "out": str(folder),
                "files": [str(name) for name in study.files],
                "warnings": list(dict.fromkeys(study.warnings)),
                "manifest": study.manifest,
                "outcomes": json.loads(study.outcomes.to_json(orient="records", double_precision=15)),
                "contrasts": json.loads(study.contrasts.to_json(orient="records", double_precision=15)),
            }
        )
    else:
        print_ending(study)


@app.command(short_help="Validate files, show policies as tables and the plan.")
def check(
    targets: Annotated[list[str], typer.Argument(help="Scenario files, policy files or policy ids.")],
    set_: Sets = None,
    as_json: Json = False,
) -> None:
    """Validate scenarios and policies, lint them, show decision tables and the plan; writes nothing."""
    from cartsim.commands.check import check_target, print_report

    reports = [check_target(target, parse_sets(set_ or [])) for target in targets]
    if as_json:
        print_json({"targets": [report.as_dict() for report in reports]})
    else:
        for report in reports:
            print_report(report)
    codes = [report.exit_code for report in reports if report.exit_code]
    raise typer.Exit(max(codes, default=0))


@app.command(short_help="List clinical numbers with unit, status and source.")
def evidence(
    pattern: Annotated[str, typer.Argument(help="Show only keys that contain this text.")] = "",
    status: Annotated[str | None, typer.Option(help="reported, derived, calibrated or assumed.")] = None,
    as_json: Json = False,
) -> None:
    """List every clinical number with its unit, status and source, and count them."""
    from cartsim.commands.listings import list_evidence

    list_evidence(pattern, status, as_json)


@app.command(short_help="List the CAR-T products that can be simulated.")
def products(as_json: Json = False) -> None:
    """List the CAR-T products that the registry knows."""
    from cartsim.commands.listings import list_products

    list_products(as_json)


@app.command(short_help="List ready policies, or show one as a table.")
def policies(
    policy: Annotated[str | None, typer.Argument(help="Show this policy as a decision table.")] = None,
    as_json: Json = False,
) -> None:
    """List ready policies and prophylaxis modules, or show one as a table."""
    from cartsim.commands.listings import list_all_policies, show_policy

    if policy is None:
        list_all_policies(as_json)
    else:
        show_policy(policy, as_json)


@app.command(short_help="Print the JSON Schema of scenario files.")
def schema() -> None:
    """Print the JSON Schema (draft 7) of scenario files, for editors."""
    from cartsim.scenario.schema import scenario_schema

    print_json(scenario_schema())


@app.command(short_help="Report what a run needs on this machine.")
def doctor(as_json: Json = False) -> None:
    """Report Python, packages, compiled cache, writable folders and optional parts."""
    from cartsim.commands.doctor import examine, print_findings

    findings = examine()
    if as_json:
        print_json(findings)
    else:
        print_findings(findings)
    if not findings["ok"]:
        raise typer.Exit(Unreachable.exit_code)


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


def show_plan(scenario: "Scenario", as_json: bool) -> None:
    """What a run would do, without doing it."""
    from cartsim.commands.check import plan_lines
    from cartsim.study import plan

    planned = plan(scenario)
    if as_json:
        print_json({"scenario": scenario.id, "hash": scenario.hash(), "plan": planned})
        return
    print(f"{scenario.id}: {scenario.title}")
    for line in plan_lines(planned):
        print(f"  {line}")
    print("nothing was written")


def print_json(data: Any) -> None:
    """JSON on stdout; what JSON does not know (paths, numpy numbers) is written as text or number."""

    def plain(value: Any) -> Any:
        return value.item() if hasattr(value, "item") else str(value)

    print(json.dumps(data, indent=2, ensure_ascii=False, default=plain))


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code and never shows a traceback."""
    import signal
    import threading

    def terminate(number: int, frame: "FrameType | None") -> NoReturn:
        raise SystemExit(128 + number)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, terminate)
    try:
        return _run_command(argv)
    except CartsimError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing half-written was left under its final name", 130)
    except BrokenPipeError:
        # The reader of a pipe has left (`| head`); Python would complain once more at exit.
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115
        return 0
    except OSError as error:
        return _fail(str(storage_error(error)), Unreachable.exit_code)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except Exception as error:
        return _fail(_internal(error), CartsimError.exit_code)


def _run_command(argv: list[str] | None) -> int:
    command = typer.main.get_command(app)
    try:
        code = command.main(args=argv, prog_name="cartsim", standalone_mode=False)
        sys.stdout.flush()
    except Exception as error:
        # Wrong usage knows how to show itself; its class lives inside typer or click, depending on the version.
        show, code = getattr(error, "show", None), getattr(error, "exit_code", None)
        if show is None or isinstance(error, CartsimError):
            if type(error).__name__ == "Abort":
                return _fail("interrupted", 130)
            raise
        show()
    if code == 130:
        return _fail("interrupted; nothing half-written was left under its final name", 130)
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


def storage_error(error: OSError) -> Unreachable:
    """A full disk or a forbidden folder, said plainly."""
    import errno

    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return Unreachable(
        "no space is left on the disk" if full else "a file or folder cannot be used",
        where=str(error.filename) if error.filename else None,
        why=error.strerror or str(error),
        mend="free some space, or choose another folder with --out"
        if full
        else "choose another folder with --out",
    )


def _internal(error: Exception) -> str:
    """Message for a fault of cartsim itself; the traceback goes to a log file."""
    import tempfile
    import traceback

    text = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="cartsim-", suffix=".log", delete=False, encoding="utf-8"
        ) as log:
            log.write(text)
        mend = f"report it with {log.name}"
    except OSError:
        mend = "run again where a log file can be written"
    why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return str(CartsimError("something went wrong inside cartsim", why=why, mend=mend))


if __name__ == "__main__":
    sys.exit(main())
