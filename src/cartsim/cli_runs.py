"""Why: the commands that make or read a run. Only options and their order of work stand here; what they do lives in
the rooms behind."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cartsim.commands.options import Json, Quiet, Sets, app, parse_sets, print_json
from cartsim.errors import InvalidInput

if TYPE_CHECKING:
    from cartsim.results import Study
    from cartsim.scenario.resolve import Scenario

Endpoint = Annotated[
    str | None, typer.Option(help="Address of the object store, for s3:// that is not Amazon's.")
]
Region = Annotated[str | None, typer.Option(help="Region of the object store.")]
Run = Annotated[str, typer.Argument(metavar="RUN", help="Folder of a run, or s3://bucket/prefix.")]


@app.command(short_help="Run a scenario or sweep: tables, Parquet files, figures.")
def run(
    scenario: Annotated[Path, typer.Argument(help="Scenario file (YAML).")],
    out: Annotated[
        str | None, typer.Option(help="Folder or s3://bucket/prefix; default results/<scenario id>.")
    ] = None,
    set_: Sets = None,
    seed: Annotated[int | None, typer.Option(help="Instead of run.seed.")] = None,
    subjects: Annotated[int | None, typer.Option(help="Instead of population.subjects.")] = None,
    parameter_draws: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Run the same subjects under N parameter sets; instead of run.parameter_draws."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Threads or processes; 0 takes all cores.")] = 0,
    executor: Annotated[
        str, typer.Option(help="local (chooses), inline, threads, processes or dask.")
    ] = "local",
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS|FILE", help="Dask scheduler, for --executor dask.")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Part I of N, from 0; then `cartsim merge`."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Empty the run in --out and begin again.")] = False,
    extend: Annotated[
        bool, typer.Option("--extend", help="Add subjects, replicates, points or arms to the run in --out.")
    ] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Do failed and damaged blocks again.")] = False,
    max_failures: Annotated[int | None, typer.Option(min=0, help="Failed blocks to go on with (10).")] = None,
    until: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="Add subjects until TARGET<=NUMBER holds; several times for more.",
        ),
    ] = None,
    floor: Annotated[int | None, typer.Option(help="With --until: fewest subjects (2,000).")] = None,
    ceiling: Annotated[int | None, typer.Option(help="With --until: most subjects (1,000,000).")] = None,
    budget: Annotated[float | None, typer.Option(metavar="SECONDS", help="With --until: most time.")] = None,
    check_pairing: Annotated[
        bool, typer.Option("--check-pairing", help="Only show where arms first differ, and why.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Run a sweep of more points than sweep.limit.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and write nothing.")] = False,
    endpoint: Endpoint = None,
    region: Region = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run a scenario: tables of outcomes and paired differences, Parquet files.

    The same command goes on with a run that was interrupted. A sweep runs every design point.
    """
    from cartsim.scenario.load import load_scenario

    overrides = parse_sets(set_ or [])
    if seed is not None:
        overrides["run.seed"] = seed
    if subjects is not None:
        overrides["population.subjects"] = subjects
    if parameter_draws is not None:
        overrides["run.parameter_draws"] = parameter_draws
    loaded = load_scenario(scenario, overrides)
    loaded.require_seed()
    if dry_run:
        from cartsim.commands.plan import show_plan

        show_plan(loaded, workers, until or [], as_json)
        return
    if check_pairing:
        _check_pairing(loaded, workers, as_json, quiet)
        return
    _refuse_many(loaded, yes)
    from cartsim.commands.folder import prepare_folder
    from cartsim.store.place import Place

    where = None if out is None else Place.of(out, endpoint=endpoint, region=region)
    place = prepare_folder(where, loaded, fresh=fresh, extend=extend)
    from cartsim.commands.console import print_answer, print_ending
    from cartsim.commands.progress import progress_bar
    from cartsim.study import run as run_study

    with ExitStack() as bar:
        progress = bar.enter_context(progress_bar(quiet))

        def show(found: "Study") -> None:
            # the reader need not wait for the figures
            bar.close()
            print_answer(found, loaded)

        study = run_study(
            loaded,
            place,
            workers=workers,
            progress=progress,
            answered=None if as_json else show,
            executor=executor,
            scheduler=scheduler,
            shard=shard,
            extend=extend,
            fresh=fresh,
            retry=retry,
            max_failures=max_failures,
            until=until or [],
            floor=floor,
            ceiling=ceiling,
            budget_s=budget,
        )
    if as_json:
        print_json(_as_json(study))
    elif study.complete:
        print_ending(study)
    else:
        done, blocks = study.manifest["blocks_done"], study.manifest["blocks"]
        print(f"shard {shard}: done; the run in {place} has {done:,} of {blocks:,} blocks")
        print(f"when every shard is done: cartsim merge {place}")
        print("  (shards in folders of their own: cartsim merge OUT FOLDER FOLDER ...)")


@app.command(short_help="Finish a run made in shards.")
def merge(
    out: Annotated[str, typer.Argument(metavar="OUT", help="Folder of the whole run.")],
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SHARD]...", help="Folders of shards; none if all share OUT."),
    ] = None,
    endpoint: Endpoint = None,
    region: Region = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Copy blocks of shards into OUT, where it has not got them, and make outcomes, differences and figures."""
    from cartsim.commands.console import print_answer, print_ending
    from cartsim.commands.progress import progress_bar
    from cartsim.store.merge import merge as merge_blocks
    from cartsim.store.place import Place
    from cartsim.study import finish

    place = Place.of(out, endpoint=endpoint, region=region)
    if sources:
        merge_blocks(place, [Place.of(source, endpoint=endpoint, region=region) for source in sources])
    with progress_bar(quiet) as progress:
        study = finish(place, progress)
    if as_json:
        print_json(_as_json(study))
    else:
        print_answer(study, study.scenario)
        print_ending(study)


@app.command(short_help="Show how far a run is, and what failed.")
def status(run: Run, endpoint: Endpoint = None, region: Region = None, as_json: Json = False) -> None:
    """Blocks done, missing and failed, and the command that goes on. Exit code 5 where something is missing."""
    from cartsim.commands.status import examine, print_state
    from cartsim.errors import Incomplete
    from cartsim.store.place import Place

    state = examine(Place.of(run, endpoint=endpoint, region=region))
    if as_json:
        print_json(state)
    else:
        print_state(state)
    if state["status"] != "complete":
        raise typer.Exit(Incomplete.exit_code)


@app.command(short_help="Merge the small files of a finished run.")
def compact(run: Run, endpoint: Endpoint = None, region: Region = None, as_json: Json = False) -> None:
    """Merge the part files of a complete run into a few large ones. The run cannot be extended after that."""
    from cartsim.store.compact import compact as compact_run
    from cartsim.store.place import Place

    place = Place.of(run, endpoint=endpoint, region=region)
    before = len(place.names())
    compact_run(place)
    after = len(place.names())
    if as_json:
        print_json({"run": str(place), "files_before": before, "files_after": after})
    else:
        print(f"{place}: {before:,} files became {after:,}; the rows are the same, and the run is final")


@app.command(short_help="Which assumption matters, and which flips the answer.")
def sensitivity(
    run: Run,
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Such as contrast.crs_ge3.early-standard; several times for more."),
    ] = None,
    endpoint: Endpoint = None,
    region: Region = None,
    as_json: Json = False,
) -> None:
    """Sensitivity indices, tornado and tipping values of a finished sweep; nothing is simulated."""
    from cartsim.commands.sensitivity import sensitivity as answer_sensitivity
    from cartsim.store.place import Place

    answer_sensitivity(Place.of(run, endpoint=endpoint, region=region), target or [], as_json)


@app.command(short_help="Find the best of many policies, with a stated probability.")
def search(
    scenario: Annotated[Path, typer.Argument(help="Scenario file (YAML) with a sweep: its points compete.")],
    minimise: Annotated[
        str, typer.Option(metavar="NAME", help="What the best has least of, such as outcome.crs_ge3.early.")
    ],
    pareto: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Further endpoints, for the front of trade-offs.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="Probability of choosing right.")] = 0.95,
    indifference: Annotated[
        float | None, typer.Option(help="A difference that does not matter (0.005 for shares).")
    ] = None,
    ceiling: Annotated[int | None, typer.Option(help="Most subjects of a candidate.")] = None,
    out: Annotated[
        str | None, typer.Option(help="Folder or s3://bucket/prefix; default results/<scenario id>-search.")
    ] = None,
    set_: Sets = None,
    workers: Annotated[int, typer.Option(min=0, help="Threads; 0 takes all cores.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget samples of an earlier search.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare the design points of a sweep as policies on the same subjects, and spend subjects where it is close."""
    from cartsim.commands.search import run_search, split_names
    from cartsim.scenario.load import load_scenario
    from cartsim.search.answer import Question

    given = {"confidence": confidence, "indifference": indifference, "ceiling": ceiling}
    chosen = {name: value for name, value in given.items() if value is not None}
    question = Question(minimise, split_names(pareto), **chosen)  # type: ignore[arg-type]
    run_search(
        load_scenario(scenario, parse_sets(set_ or [])),
        question,
        out,
        workers=workers,
        fresh=fresh,
        as_json=as_json,
        quiet=quiet,
    )


def _check_pairing(scenario: "Scenario", workers: int, as_json: bool, quiet: bool) -> None:
    from cartsim.commands.pairing import print_pairing
    from cartsim.commands.progress import progress_bar
    from cartsim.pairing import check_pairing

    with progress_bar(quiet) as progress:
        report = check_pairing(scenario, progress=progress, workers=workers)
    if as_json:
        print_json(report.as_dict())
    else:
        print_pairing(report)
    report.raise_leaks()


def _refuse_many(scenario: "Scenario", yes: bool) -> None:
    from cartsim.sweep.designs import expand

    if scenario.sweep is None or yes:
        return
    points, limit = len(expand(scenario)), scenario.sweep.limit
    if points > limit:
        raise InvalidInput(
            f"the sweep has {points:,} design points, more than its limit of {limit:,}",
            where=f"{scenario.file or ''} sweep.limit".strip(),
            mend="--yes to run them, --dry-run to see what they would cost, or a higher sweep.limit",
        )


def _as_json(study: "Study") -> dict[str, Any]:
    found: dict[str, Any] = {
        "out": str(study.out),
        "complete": study.complete,
        "files": [str(name) for name in study.files],
        "warnings": list(dict.fromkeys(study.warnings)),
        "manifest": study.manifest,
    }
    if study.complete and study.scenario.sweep is None:
        for name in ("outcomes", "contrasts"):
            found[name] = json.loads(study.table(name).to_json(orient="records", double_precision=15))
    return found
