"""Why: the commands by which the model answers for itself. Only options and their order of work stand here; what they
do lives in the rooms behind."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cartsim.commands.options import Cohorts, Json, Quiet, Targets, app, print_json
from cartsim.errors import InvalidInput


@app.command(short_help="Hold the model against published cohorts, with a score.")
def validate(
    targets: Targets = None,
    cohort: Cohorts = None,
    out: Annotated[str | None, typer.Option(help="Folder or s3://bucket/prefix.")] = None,
    draws: Annotated[int | None, typer.Option(help="Parameter sets (200; of claims 50).")] = None,
    subjects: Annotated[
        int | None, typer.Option(help="Subjects of each cohort under each parameter set (2,000).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of parameter sets and subjects.")] = 20261122,
    workers: Annotated[int, typer.Option(min=0, help="Threads; 0 takes all cores.")] = 0,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="TIER", help="fit, predict, predict_same, predict_new or recalled."),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the report as Markdown.")
    ] = None,
    claims: Annotated[
        bool,
        typer.Option("--claims", help="Instead: effects that the literature claims, beside the model's."),
    ] = False,
    face: Annotated[
        bool, typer.Option("--face", help="Instead: named checks of what a clinician would expect.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare published figures with what is predicted for trials of the same size.

    Each row has its 95 % predictive interval; then come coverage, width and interval score by tier and set of patients,
    beside a naive forecast. Rows outside are a finding and no failure: the exit code is 0.
    """
    from cartsim.commands.validate import DRAWS, SUBJECTS, answer, answer_claims, answer_face

    where = out or "results/validation"
    if claims or face:
        _only_rows({"--targets": targets, "--cohort": cohort, "--only": only, "--markdown": markdown})
        told = {}
        if claims:
            told["claims"] = answer_claims(where, subjects, draws, seed, workers, as_json, quiet)
        if face:
            told["face"] = answer_face(where, subjects, seed, workers, as_json, quiet)
        if as_json:
            print_json(told)
        return
    found = answer(
        targets,
        cohort or [],
        where,
        only or [],
        draws=DRAWS if draws is None else draws,
        subjects=SUBJECTS if subjects is None else subjects,
        seed=seed,
        workers=workers,
        markdown=markdown,
        quiet=quiet,
    )
    if as_json:
        print_json(found.as_json())
    else:
        found.print()


def _only_rows(given: dict[str, Any]) -> None:
    """Refuse options that belong to the table of published figures."""
    for name, value in given.items():
        if value:
            raise InvalidInput(
                f"{name} goes with the table of published figures",
                mend="leave out --claims and --face, or it",
            )


@app.command(short_help="Fit the model to published cohorts, with the uncertainty that is left.")
def calibrate(
    targets: Targets = None,
    cohort: Cohorts = None,
    out: Annotated[Path | None, typer.Option(help="Folder; default results/calibration.")] = None,
    subjects: Annotated[
        int, typer.Option(min=64, max=1 << 20, help="Sobol' subjects of each cohort.")
    ] = 1024,
    seed: Annotated[int, typer.Option(min=0, help="Seed of subjects, searches and draws.")] = 20261122,
    rounds: Annotated[
        int, typer.Option(min=1, max=20, help="Searches by product, each with steps of all.")
    ] = 2,
    draws: Annotated[int, typer.Option(min=10, max=10_000, help="Joint draws of the posterior.")] = 400,
    sweeps: Annotated[int, typer.Option(min=0, max=100, help="Moves of each draw to the posterior.")] = 4,
    workers: Annotated[int, typer.Option(min=0, help="Threads; 0 takes all cores.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget an unfinished fit in the folder.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fit the numbers of the model to published figures and draw what the figures leave open.

    Writes calibration.json, draws.parquet and loss.csv. A fit that was stopped goes on where it was when the command
    is given again. The package's own numbers are made with --out src/cartsim/evidence/calibration.
    """
    from cartsim.calibrate.calibration import Asked
    from cartsim.calibrate.fit import Effort
    from cartsim.commands.calibrate import run_calibration
    from cartsim.commands.validate import parse_cohorts

    effort = Effort(rounds=rounds, draws=draws, sweeps=sweeps)
    asked = Asked(targets, parse_cohorts(cohort or []), subjects, seed, effort)
    run_calibration(asked, out, workers=workers, fresh=fresh, as_json=as_json, quiet=quiet)
