"""Why: in a folder a run can be interrupted, gone on with, shared between machines and made longer. Here is its whole
life, from the lock to the manifest that says complete.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from cartsim.analysis.frame import whole_population
from cartsim.errors import Mismatch, OutputBroken
from cartsim.in_memory import warm_up
from cartsim.results import (
    RESULT_TABLES,
    SIMULATING,
    SUMMARISING,
    Progress,
    Report,
    Study,
    warnings_of,
)
from cartsim.scenario.resolve import Scenario
from cartsim.store.lock import Held, hold
from cartsim.store.manifest import find_manifest, read_manifest, write_complete
from cartsim.store.place import Place
from cartsim.store.provenance import Provenance
from cartsim.store.reader import verify
from cartsim.sweep.executors import Executor, cores, make_executor
from cartsim.sweep.finish import results_of, write_results
from cartsim.sweep.opening import Opened, engine_of, open_run, write_opening
from cartsim.sweep.plan import Plan
from cartsim.sweep.points import Points
from cartsim.sweep.question import is_single
from cartsim.sweep.session import (
    MAX_FAILURES,
    BlockNames,
    WriteBlock,
    execute,
    refuse_failures,
    standing_of,
)
from cartsim.sweep.session import Progress as Standing
from cartsim.sweep.shards import Shard
from cartsim.sweep.stopping import Stopping

#: With this many design points, tables and counts take turns for so long that processes are worth their start-up.
_MANY_POINTS = 200


class FolderRun:
    """A run in a folder or an object store, from the lock to the manifest."""

    def __init__(
        self,
        points: Points,
        place: Place,
        tell: Report,
        block: int | None = None,
        answered: Callable[[Study], None] | None = None,
        stopping: Stopping | None = None,
        shard: Shard | None = None,
        executor: Mapping[str, Any] | None = None,
        failing: Mapping[str, Any] | None = None,
        simulate: bool = True,
    ) -> None:
        """`simulate=False` makes results of what is there and does no block."""
        self.points, self.place, self.tell, self.block = points, place, tell, block
        self.answered, self.stopping, self.shard = answered, stopping, shard
        self.executor, self.failing = dict(executor or {}), dict(failing or {})
        self.simulate = simulate
        self.provenance = provenance_of(points.base)
        self.warnings = warnings_of(points)
        self.lock = Held("")

    def run(self, extend: bool = False, fresh: bool = False) -> Study:
        """See `run`."""
        who = "run" if self.shard is None else f"shard-{self.shard.index}of{self.shard.count}"
        with hold(self.place, who) as self.lock:
            opened = open_run(
                self.points, self.place, self.provenance, extend=extend, fresh=fresh, size=self.block,
                subjects=None if self.stopping is None else self.stopping.rule.floor,
                notes={"warnings": self.warnings},
            )  # fmt: skip
            self.points = opened.points
            if opened.complete:
                if self._nothing_new(opened) and not self._must_mend():
                    return self._stored()
                # whatever happens from here on, nobody takes it for whole
                write_opening(self.place, opened)
            if self.simulate:
                warm_up(self.points, self.tell)
                standing, opened = self._simulate(opened)
            else:
                names = BlockNames(self.points, engine_of(opened.identity))
                standing = standing_of(self.points, names, self.place, opened.plan)
                refuse_failures(standing, self.place)
            if self.shard is not None:
                return self._part(standing)
            return self._finish(opened, standing)

    def _nothing_new(self, opened: Opened) -> bool:
        if self.stopping is None:
            return True
        stored = (find_manifest(self.place) or {}).get("until") or {}
        if stored.get("conditions") != self.stopping.texts:
            return False
        # a run that had to stop short goes on when it may spend more
        spent = stored.get("subjects", 0) >= self.stopping.rule.ceiling
        return bool(stored.get("reached")) or (spent and self.stopping.rule.budget_s is None)

    def _must_mend(self) -> bool:
        """Whether a finished run is to be mended and has a file that is not the one that was written."""
        if not self.failing.get("retry"):
            return False
        try:
            verify(self.place)
        except (Mismatch, OutputBroken):
            return True
        return False

    def _simulate(self, opened: Opened) -> tuple[Standing, Opened]:
        names = BlockNames(self.points, engine_of(opened.identity))
        work = WriteBlock(self.points, self.place, self.provenance, names)
        most = self.failing.get("max_failures")
        if self.stopping is not None:
            self.stopping.resume(opened.notes.get("until"))
            # said from the start, so that whoever finds an interrupted run knows what it was after
            opened = replace(opened, notes=opened.notes | {"until": self.stopping.plain()})
            write_opening(self.place, opened)
        while True:
            standing = execute(
                work,
                opened.plan,
                partial(self._executor, opened),
                shard=self.shard,
                retry=bool(self.failing.get("retry")),
                max_failures=MAX_FAILURES if most is None else most,
                told=lambda done, of: self.tell(Progress(SIMULATING, done, of)),
            )
            refuse_failures(standing, self.place)
            if self.stopping is None:
                return standing, opened
            plan = self.stopping.next_plan(opened.plan, *self._look(opened.plan, standing))
            notes = opened.notes | {"until": self.stopping.plain()}
            opened = replace(opened, plan=plan or opened.plan, notes=notes)
            write_opening(self.place, opened)
            if plan is None:
                return standing, opened

    def _look(self, plan: Plan, standing: Standing) -> tuple[pa.Table, pa.Table]:
        """Outcomes and contrasts of the subjects so far."""
        found = list(results_of(self.points, self.place, plan, standing))
        return (
            pa.concat_tables([part.outcomes for part in found]),
            pa.concat_tables([part.contrasts for part in found]),
        )

    def _executor(self, opened: Opened) -> Executor:
        name, workers = self.executor.get("executor", "local"), self.executor.get("workers") or 0
        if name == "local":
            alone = (workers or cores()) == 1 or opened.plan.count_blocks() == 1
            many = len(self.points) >= _MANY_POINTS
            name = "inline" if alone else "processes" if many else "threads"
        return make_executor(name, workers, self.executor.get("scheduler"))

    def _part(self, standing: Standing) -> Study:
        manifest = read_manifest(self.place, partial=True)
        manifest = manifest | {"blocks_done": len(standing.receipts), "blocks": standing.blocks}
        return Study(
            self.points.base, self.place, manifest, self.place.names(), self.warnings, {}, complete=False
        )

    def _finish(self, opened: Opened, standing: Standing) -> Study:
        base, place = self.points.base, self.place
        written = write_results(
            self.points, place, opened.plan, standing, self.provenance,
            lambda n: self.tell(Progress(SUMMARISING, n, len(self.points))),
        )  # fmt: skip
        results = dict(written.tables)
        notes = opened.notes | {"plan": opened.plan.plain()}
        study = Study(base, place, notes, [], self.warnings, results)
        if self.answered is not None and is_single(self.points):
            # the reader need not wait for the figures
            self.answered(study)
        if written.curves is not None:
            self._draw(whole_population(results["outcomes"]), results["contrasts"], written.curves)
        self.lock.check()
        study.manifest = write_complete(
            place, self.provenance, notes, standing.receipts.values(), written.receipts
        )
        study.files = place.names()
        if self.answered is not None and not is_single(self.points):
            self.answered(study)
        return study

    def _draw(self, outcomes: pa.Table, contrasts: pa.Table, curves: pa.Table) -> None:
        from cartsim.report.figures import write_figures
        from cartsim.report.uncertainty_figure import write_differences

        base = self.points.base
        labels = {arm.id: arm.label for arm in base.arms}
        _write_through(
            self.place,
            lambda folder: write_figures(outcomes, curves, folder, labels=labels, title=base.title),
        )
        if base.run.parameter_draws:
            _write_through(
                self.place,
                lambda folder: write_differences(
                    contrasts, folder, scale=base.grading.crs, draws=base.run.parameter_draws, labels=labels,
                    title=base.title,
                ),
            )  # fmt: skip

    def _stored(self) -> Study:
        from cartsim.store import read_table

        names = RESULT_TABLES if is_single(self.points) else ()
        results = {name: read_table(self.place, name) for name in names}
        manifest = read_manifest(self.place)
        study = Study(self.points.base, self.place, manifest, self.place.names(), self.warnings, results)
        if self.answered is not None:
            self.answered(study)
        return study


def provenance_of(scenario: Scenario) -> Provenance:
    """What the footers of a run's files say."""
    from importlib.metadata import version

    from cartsim.evidence.registry import load_registry
    from cartsim.scenario.dump import dump_yaml
    from cartsim.store import dependency_versions, engine_commit

    registry = load_registry(scenario.registry_overrides())
    return Provenance(
        scenario_id=scenario.id,
        scenario_text=scenario.text or dump_yaml(scenario.resolved()),
        scenario_sha256=scenario.hash(),
        seed=scenario.require_seed(),
        version=version("cartsim"),
        commit=engine_commit(),
        dependencies=dependency_versions(),
        evidence_sha256=registry.hash(),
        evidence_counts=registry.counts(),
    )


def _write_through(place: Place, make: Callable[[Path], Any]) -> None:
    """Files that their maker can only put in a local folder."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        for file in sorted(Path(folder).rglob("*")):
            if file.is_file():
                place.write_bytes(file.relative_to(folder).as_posix(), file.read_bytes())
