"""Why: the commands, and nothing else. What they do lives in the rooms behind; here are the options, what goes to
stdout (results) and to stderr (progress), and how every failure ends: one message and its own exit code.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

# importing them declares their commands
from cartsim import cli_credibility, cli_runs, cli_story  # noqa: F401
from cartsim.commands.options import Json, Sets, app, parse_sets, print_json
from cartsim.errors import CartsimError, InvalidInput, Unreachable

if TYPE_CHECKING:
    from types import FrameType


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        print(f"cartsim {installed('cartsim')}")
        raise typer.Exit()


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
    markdown: Annotated[
        Path | None,
        typer.Option(help="Write all of them into this file instead, as docs/evidence.md is made."),
    ] = None,
) -> None:
    """List every clinical number with its unit, status and source, and count them."""
    if markdown is not None:
        from cartsim.commands.evidence_page import write_evidence_page

        if pattern or status or as_json:
            raise InvalidInput(
                "--markdown writes the whole registry", mend="cartsim evidence --markdown FILE"
            )
        write_evidence_page(markdown)
        return
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
        return _fail(interrupted(argv), 130)
    except BrokenPipeError:
        # The reader of a pipe has left (`| head`); Python would complain once more at exit.
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115
        return 0
    except OSError as error:
        return _fail(str(storage_error(error)), Unreachable.exit_code)
    except SystemExit as error:
        if error.code in (130, 143):
            return _fail(interrupted(argv), error.code)
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
                return _fail(interrupted(argv), 130)
            raise
        show()
    if code in (130, 143):
        return _fail(interrupted(argv), code)
    return code if isinstance(code, int) else 0


def interrupted(argv: list[str] | None) -> str:
    """What to say to whoever stopped a command, and what to type to go on."""
    import shlex

    given = sys.argv[1:] if argv is None else argv
    if given[:1] not in (["run"], ["calibrate"]):
        return "interrupted; nothing half-written was left"
    again = shlex.join(["cartsim", *(word for word in given if word != "--fresh")])
    return f"interrupted; blocks that were done are kept. To go on:\n    {again}"


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
