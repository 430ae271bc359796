"""One scenario from file to answer: arms, cohort, driver, tables, outcomes, contrasts, figures.

Blocks of subjects are run by as many threads as there are cores (the compiled clinic leaves Python's lock) and are
written in the order of the cohort, so that the number of workers changes no byte of a result.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cartsim.arms import ReadyArm, prepare_arm, tables_wanted
from cartsim.scenario.load import load_scenario
from cartsim.scenario.resolve import Scenario

if TYPE_CHECKING:
    import pandas as pd

    from cartsim.analysis.summary import Summary
    from cartsim.store import RunWriter

WARD_TABLES = ("ward_waits", "ward_occupancy", "ward_stockouts")
RESULT_TABLES = ("outcomes", "contrasts")
COMPILING = "compiling the engine (once)"
SIMULATING = "simulating subjects"
SUMMARISING = "summarising"


@dataclass(frozen=True)
class Progress:
    """How far a run is: `done` of `total` in a named stage (total 0: unknown)."""

    stage: str
    done: int
    total: int


Report = Callable[[Progress], None]


@dataclass
class Study:
    """The results of one run: two summary tables as pandas frames, the other tables on demand."""

    scenario: Scenario
    out: Path | None
    manifest: dict[str, Any]
    files: list[str]
    warnings: list[str]
    results: dict[str, pa.Table] = field(repr=False)

    @property
    def outcomes(self) -> "pd.DataFrame":
        """One statistic of one arm a row (results/README.md)."""
        return self.table("outcomes")

    @property
    def contrasts(self) -> "pd.DataFrame":
        """One statistic of one arm against the reference a row."""
        return self.table("contrasts")

    def table(self, name: str) -> "pd.DataFrame":
        """Any table as a pandas frame. Raises `KeyError` for a table that the run did not make."""
        return self.arrow(name).to_pandas()

    def arrow(self, name: str) -> pa.Table:
        """Any table as a pyarrow Table."""
        if name in self.results:
            return self.results[name]
        if self.out is None or name not in _tables_of(self.scenario):
            raise KeyError(name)
        from cartsim.store import read_table

        return read_table(self.out, name)


class _Sink:
    """Where tables go, block by block: a folder of Parquet files, or memory. What a site saw stays at hand anyway."""

    def __init__(self, writer: "RunWriter | None") -> None:
        self.writer = writer
        self.kept: dict[str, list[pa.Table]] = {}

    def append(self, name: str, rows: pa.Table) -> None:
        if self.writer is not None:
            self.writer.append(name, rows)
        if self.writer is None or name in WARD_TABLES:
            self.kept.setdefault(name, []).append(rows)


def run(
    scenario: Scenario | str | Path | Mapping[str, Any],
    out: Path | str | None = None,
    workers: int = 0,
    progress: Report | None = None,
    block: int | None = None,
    answered: Callable[["Study"], None] | None = None,
) -> Study:
    """Run a scenario (or its file, text or plain data) and return its results.

    With `out` every table is written there as Parquet, with figures and a manifest; without, they stay in memory.
    `workers` are threads (0: one a core); `block` is the number of subjects a thread takes at a time (a multiple of
    4096). Neither changes a number. `answered` is called with the results as soon as they are known, before figures
    and manifest are written. Raises `InvalidInput` for a scenario that cannot be run, `Unreachable` where
    `out` cannot be written, `OutputBroken` should a table break its contract.
    """
    if not isinstance(scenario, Scenario):
        scenario = load_scenario(scenario)
    scenario.require_seed()
    tell = progress or (lambda _: None)
    arms = [prepare_arm(scenario, arm, number) for number, arm in enumerate(scenario.arms, 1)]
    _warm_up(scenario, arms, tell)
    summary = _new_summary(scenario, arms)
    warnings = _warnings(scenario)
    writer = _new_writer(scenario, arms[0], Path(out), warnings) if out is not None else None
    context: AbstractContextManager[Any] = writer or nullcontext()
    with context:
        sink = _Sink(writer)
        feed = _ward_feed if scenario.site is not None else _batch_feed
        for tables, replicate in feed(scenario, arms, workers or os.cpu_count() or 1, tell, block):
            for per_arm in tables.values():
                for name, rows in per_arm.items():
                    sink.append(name, rows)
            subject_rows = {arm: per_arm["adsl"] for arm, per_arm in tables.items() if "adsl" in per_arm}
            if subject_rows:
                summary.add(subject_rows, replicate)
        tell(Progress(SUMMARISING, 0, 1))
        results = _summarise(scenario, summary)
        tell(Progress(SUMMARISING, 1, 1))
        results |= {name: pa.concat_tables(parts) for name, parts in sink.kept.items()}
        if answered is not None:
            answered(Study(scenario, None, {}, [], warnings, results))
        if writer is not None:
            _finish_folder(scenario, writer, summary, results)
    if writer is None:
        return Study(scenario, None, {}, [], warnings, results)
    from cartsim.store import read_manifest

    manifest = read_manifest(writer.out)
    names = sorted(p.relative_to(writer.out).as_posix() for p in writer.out.rglob("*") if p.is_file())
    return Study(scenario, writer.out, manifest, names, warnings, results)


def _tables_of(scenario: Scenario) -> list[str]:
    ward = WARD_TABLES if scenario.site is not None else ()
    return [*tables_wanted(scenario), *ward, *RESULT_TABLES]


def _warm_up(scenario: Scenario, arms: Sequence[ReadyArm], tell: Report) -> None:
    """Compile (or load from the cache) before the clock of the run starts, and say so when it takes a while."""
    from cartsim.blocks import Span, run_span
    from cartsim.compiled import is_cold

    cold = is_cold()
    if cold:
        tell(Progress(COMPILING, 0, 1))
    run_span(scenario, arms[:1], Span(0, 0, 1))
    if cold:
        tell(Progress(COMPILING, 1, 1))


def _batch_feed(
    scenario: Scenario, arms: Sequence[ReadyArm], workers: int, tell: Report, size: int | None
) -> Iterator[tuple[dict[str, dict[str, pa.Table]], int]]:
    """Blocks in the order of the cohort, a few of them under way at any time."""
    from cartsim.blocks import run_span, spans

    todo = iter(spans(scenario.subjects, scenario.run.replicates, size))
    total = scenario.subjects * scenario.run.replicates
    done = 0
    under_way: deque[tuple[Any, Future[dict[str, dict[str, pa.Table]]]]] = deque()
    tell(Progress(SIMULATING, 0, total))
    with ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                while len(under_way) <= workers and (span := next(todo, None)) is not None:
                    under_way.append((span, pool.submit(run_span, scenario, arms, span)))
                if not under_way:
                    return
                span, future = under_way.popleft()
                yield future.result(), span.replicate
                done += span.count
                tell(Progress(SIMULATING, done, total))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _ward_feed(
    scenario: Scenario, arms: Sequence[ReadyArm], workers: int, tell: Report, size: int | None
) -> Iterator[tuple[dict[str, dict[str, pa.Table]], int]]:
    """One replicate after the other: at a site subjects meet, so a replicate is one piece."""
    from cartsim.sites import run_replicate

    total = scenario.run.replicates
    tell(Progress("simulating the ward", 0, total))
    for replicate in range(total):
        for tables in run_replicate(scenario, arms, replicate, size):
            yield tables, replicate
        tell(Progress("simulating the ward", replicate + 1, total))


def _new_summary(scenario: Scenario, arms: Sequence[ReadyArm]) -> "Summary":
    from cartsim.analysis.endpoints import standard_endpoints, status_before_calibration
    from cartsim.analysis.summary import Summary

    endpoints = standard_endpoints(scenario.grading.crs)
    return Summary(
        endpoints,
        [arm.id for arm in arms],
        scenario.reference,
        float(scenario.horizon_days),
        replication_unit=_replication_unit(scenario),
        scenario_id=scenario.id,
        evidence_status=status_before_calibration(endpoints, arms[0].registry.counts()),
    )


def _replication_unit(scenario: Scenario) -> Any:
    if scenario.site is not None:
        return "replicate"
    return "scramble" if scenario.run.source == "sobol" else "subject"


def _summarise(scenario: Scenario, summary: "Summary") -> dict[str, pa.Table]:
    import numpy as np

    from cartsim.draws import study_key, uniforms
    from cartsim.record import schema
    from cartsim.terms import Decision

    key = study_key(scenario.require_seed())
    tables = {
        "outcomes": summary.outcomes(),
        "contrasts": summary.contrasts(lambda n, k: uniforms(key, np.arange(n), Decision.BOOTSTRAP, k)),
    }
    return {name: rows.cast(schema(name)) for name, rows in tables.items()}


def _new_writer(scenario: Scenario, arm: ReadyArm, out: Path, warnings: list[str]) -> "RunWriter":
    from importlib.metadata import version

    from cartsim.scenario.dump import dump_yaml
    from cartsim.store import Provenance, RunWriter, dependency_versions, engine_commit

    provenance = Provenance(
        scenario_id=scenario.id,
        scenario_text=scenario.text or dump_yaml(scenario.resolved()),
        scenario_sha256=scenario.hash(),
        seed=scenario.require_seed(),
        version=version("cartsim"),
        commit=engine_commit(),
        dependencies=dependency_versions(),
        evidence_sha256=arm.registry.hash(),
        evidence_counts=arm.registry.counts(),
    )
    return RunWriter(out, _tables_of(scenario), provenance, {"warnings": warnings})


def _finish_folder(
    scenario: Scenario, writer: "RunWriter", summary: "Summary", results: Mapping[str, pa.Table]
) -> None:
    from cartsim.report.figures import write_figures
    from cartsim.scenario.dump import dump_yaml

    for name in RESULT_TABLES:
        writer.append(name, results[name])
    writer.write_text("scenario.resolved.yaml", dump_yaml(scenario.resolved()))
    labels = {arm.id: arm.label for arm in scenario.arms}
    write_figures(
        results["outcomes"], summary.incidence_curves(), writer.folder, labels=labels, title=scenario.title
    )


def _warnings(scenario: Scenario) -> list[str]:
    """What a reader must know of the policies: rungs that nobody has read in a source, said once each."""
    from cartsim.policy.library import unverified_rungs

    told: dict[str, dict[str, None]] = {}
    for arm in scenario.arms:
        origin = (arm.policy.derived_from or [arm.policy.id])[0]
        told.setdefault(origin, {}).update(dict.fromkeys(unverified_rungs(arm.policy)))
    return [
        f"{policy}: recalled, not read in a source: {', '.join(rungs)}"
        for policy, rungs in told.items()
        if rungs
    ]


#: Rough costs on one core, for a plan only (microseconds and bytes a subject and arm).
_COST_US = {"batch": 30.0, "ward": 500.0}
_BYTES = {
    "adsl": 160,
    "adae": 110,
    "adcm": 170,
    "adex": 15,
    "adtte": 120,
    "grade_intervals": 330,
    "events": 300,
}


def plan(scenario: Scenario) -> dict[str, Any]:
    """What a run would do: sizes, blocks, rough time and disk. Nothing is simulated."""
    from cartsim.blocks import spans

    arms = len(scenario.arms)
    rows = scenario.subjects * scenario.run.replicates * arms
    driver = "ward" if scenario.site is not None else "batch"
    wanted = tables_wanted(scenario)
    size = sum(_BYTES[name] for name in wanted if name != "events" or scenario.outputs.events == "all")
    return {
        "driver": driver,
        "subjects": scenario.subjects,
        "arms": arms,
        "replicates": scenario.run.replicates,
        "blocks": sum(1 for _ in spans(scenario.subjects, scenario.run.replicates)),
        "tables": _tables_of(scenario),
        "estimated_seconds": round(rows * _COST_US[driver] / 1e6, 2),
        "estimated_bytes": rows * size,
    }
