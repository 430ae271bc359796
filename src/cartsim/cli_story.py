"""Why: two commands read one subject out of a run and tell its story; they share who is meant and where."""

from typing import Annotated, Any

import typer

from cartsim.cli_runs import Endpoint, Region
from cartsim.commands.options import Json, app, print_json

Told = Annotated[str, typer.Argument(metavar="RUN", help="Folder of a run, s3://..., or a scenario file.")]
Subject = Annotated[int, typer.Option(metavar="N", help="Number of the subject, from 0.")]
DesignPoint = Annotated[int, typer.Option(metavar="D", help="Design point of a sweep.")]
Replicate = Annotated[int, typer.Option(metavar="R", help="Replicate, from 0.")]
Force = Annotated[bool, typer.Option("--force", help="Also where another version of cartsim made the run.")]


@app.command(short_help="Tell the course of one subject, event by event.")
def replay(
    run: Told,
    subject: Subject,
    arm: Annotated[
        list[str] | None, typer.Option(help="Arm id; twice for two beside each other; all unless given.")
    ] = None,
    design: DesignPoint = 0,
    replicate: Replicate = 0,
    why: Annotated[bool, typer.Option("--why", help="With the rules that did not act, and why not.")] = False,
    force: Force = False,
    endpoint: Endpoint = None,
    region: Region = None,
    as_json: Json = False,
) -> None:
    """Simulate one subject again and tell its course; what the run stored of it must agree (exit code 7 if not)."""
    from cartsim.commands.replay import print_story
    from cartsim.story import replay as retell

    where = _told(run, endpoint, region)
    story = retell(where, subject, arm, design=design, replicate=replicate, why=why, force=force)
    if as_json:
        print_json(story.as_dict())
    else:
        print_story(story)


@app.command(short_help="Say why one dose was given, and what without it.")
def explain(
    run: Told,
    subject: Subject,
    dose: Annotated[str, typer.Option(help="CMSEQ of adcm, such as 3; or within a drug, tocilizumab:2.")],
    arm: Annotated[str | None, typer.Option(help="Arm id; the reference unless given.")] = None,
    design: DesignPoint = 0,
    replicate: Replicate = 0,
    force: Force = False,
    endpoint: Endpoint = None,
    region: Region = None,
    as_json: Json = False,
) -> None:
    """Say which rule ordered a dose, what was seen then, and what the model makes of the subject without the rule."""
    from cartsim.commands.replay import print_reason
    from cartsim.story import explain as say_why

    where = _told(run, endpoint, region)
    reason = say_why(where, subject, dose, arm, design=design, replicate=replicate, force=force)
    if as_json:
        print_json(reason.as_dict())
    else:
        print_reason(reason)


def _told(run: str, endpoint: str | None, region: str | None) -> Any:
    from cartsim.store.place import Place

    is_file = run.endswith((".yaml", ".yml"))
    return run if is_file else Place.of(run, endpoint=endpoint, region=region)
