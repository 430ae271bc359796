"""Why: what a run gives back is the same whether it was made in memory, in a folder, on a cluster, or yesterday."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cartsim.arms import tables_wanted
from cartsim.scenario.resolve import Scenario
from cartsim.sweep.value import value_tables

if TYPE_CHECKING:
    import pandas as pd

    from cartsim.store.place import Place
    from cartsim.sweep.points import Points

SITE_TABLES = ("ward_waits", "ward_occupancy", "ward_stockouts")
RESULT_TABLES = ("outcomes", "contrasts")
#: CLINICAL G: what the utilities were asked about.
UTILITY_CAVEAT = (
    "utilities: published decrements value states described as lasting a year (Howell 2022); taking them by the day, "
    "as qald does, is a rescaling that nobody has tested"
)
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
    """The results of one run: outcomes and contrasts as pandas frames, the other tables on demand.

    `complete` is False for a shard of a run, whose results are made when all shards are merged.
    """

    scenario: Scenario
    out: "Place | None"
    manifest: dict[str, Any]
    files: list[str]
    warnings: list[str]
    results: dict[str, pa.Table] = field(repr=False)
    complete: bool = True

    @property
    def outcomes(self) -> "pd.DataFrame":
        """One statistic of one arm a row (results/README.md)."""
        return self.table("outcomes")

    @property
    def contrasts(self) -> "pd.DataFrame":
        """One statistic of one arm against the reference a row."""
        return self.table("contrasts")

    @property
    def design(self) -> "pd.DataFrame":
        """Design points of a sweep: design_id, point_id, role and one column a path; one row otherwise."""
        from cartsim.sweep.points import Points

        if self.out is not None and self.scenario.sweep is not None:
            import pyarrow.parquet as pq

            with self.out.open("design.parquet") as file:
                return pq.read_table(file).to_pandas()
        return Points(self.scenario).design.table().to_pandas()

    def ce_frame(self) -> "pd.DataFrame":
        """Cost, quality and effect with the arms side by side: see `ce_frame`."""
        return ce_frame(self)

    def table(self, name: str) -> "pd.DataFrame":
        """Any table as a pandas frame. Raises `KeyError` for a table that the run did not make."""
        return self.arrow(name).to_pandas()

    def arrow(self, name: str) -> pa.Table:
        """Any table as a pyarrow Table."""
        if name in self.results:
            return self.results[name]
        if self.out is None or name not in tables_of(self.scenario):
            raise KeyError(name)
        from cartsim.store import read_table

        # the answer is printed before the manifest says complete, when every block is there
        return read_table(self.out, name, partial=self.complete)


def ce_frame(study: Study) -> "pd.DataFrame":
    """One row a replicate of a design point, and a parameter set where the run has several; arms side by side.

    Columns: design_id, replicate, draw (with `run.parameter_draws`), the settings of the design point, and for each arm
    cost_<arm> (currency of the prices), qald_<arm> (days) where there are utilities, and severe_crs_<arm> (share). Made
    for tools that draw cost-effectiveness planes and acceptability curves. Raises `KeyError` without `costs:`.
    """
    drawn = study.scenario.run.parameter_draws > 0
    found = study.table("ce_draws" if drawn else "ce")
    rows = ["design_id", "replicate", *(["draw"] if drawn else [])]
    order = [arm.id for arm in study.scenario.arms]
    columns = [name for name in ("cost", "qald", "severe_crs") if found[name].notna().any()]
    found["arm_id"] = found["arm_id"].astype(str)
    wide = found.pivot(index=rows, columns="arm_id", values=columns)
    wide = wide[[(name, arm) for name in columns for arm in order if (name, arm) in wide.columns]]
    wide.columns = [f"{name}_{arm}" for name, arm in wide.columns]
    wide = wide.reset_index()
    if study.scenario.sweep is None:
        return wide
    settings = study.design.drop(columns=["point_id", "role"], errors="ignore")
    return settings.merge(wide, on="design_id")


def tables_of(scenario: Scenario) -> list[str]:
    """Every table that a run of the scenario has."""
    site = SITE_TABLES if scenario.site is not None else ()
    return [*tables_wanted(scenario), *site, *RESULT_TABLES, *value_tables(scenario)]


def warnings_of(points: "Points") -> list[str]:
    """What a reader must know: what a cohort lacks, and rungs of policies that nobody has read in a source."""
    from cartsim.policy.library import unverified_rungs

    told: dict[str, dict[str, None]] = {}
    for arm in points.base.arms:
        origin = (arm.policy.derived_from or [arm.policy.id])[0]
        told.setdefault(origin, {}).update(dict.fromkeys(unverified_rungs(arm.policy)))
    cohort = [] if points.base.patients is None else points.base.patients.notes()
    value = [UTILITY_CAVEAT] if points.base.utilities is not None else []
    draws = points.base.run.parameter_draws
    if draws:
        tables = "subject tables and " if tables_wanted(points.base) else ""
        value.append(
            f"results are means over {draws:,} parameter sets; {tables}curves over time are those of the central "
            "set, every number as it stands"
        )
    return (
        cohort
        + value
        + [
            f"{policy}: recalled, not read in a source: {', '.join(rungs)}"
            for policy, rungs in told.items()
            if rungs
        ]
    )
