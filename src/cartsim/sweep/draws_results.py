"""Why: what a run of many parameter sets says is made once, at the end, from what its blocks counted: means over the
sets with their uncertainties apart, the answer and the numbers of each set, and what the edges of weak priors would do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from cartsim.record import schema
from cartsim.record.draw_tables import EDGES
from cartsim.sweep.parameter_sets import Edge, drawn_in, has_tipping
from cartsim.sweep.points import Points
from cartsim.sweep.question import make_summary

if TYPE_CHECKING:
    from cartsim.analysis.draw_rows import DrawRows
    from cartsim.analysis.summary import Summary
    from cartsim.analysis.value import ArmMeans, Increment
    from cartsim.scenario.resolve import Scenario

#: Standard deviations by which a tipping row moves a prior, as the table writes it.
_SHIFTED = 2


def draw_tables(scenario: "Scenario") -> tuple[str, ...]:
    """Result tables of a scenario with parameter draws."""
    if not scenario.run.parameter_draws:
        return ()
    costs = ("ce_draws",) if scenario.costs is not None else ()
    return ("parameter_draws", "parameters", *(("tipping",) if has_tipping(scenario) else ()), *costs)


@dataclass(frozen=True)
class _Answers:
    outcomes: pa.Table
    contrasts: pa.Table
    by_draw: pa.Table


class DrawResults:
    """Results over parameter sets of consecutive design points that ask the same. `rows`: their draw_tallies."""

    def __init__(self, points: Points, rows: pa.Table, designs: range, arms: Sequence[str]) -> None:
        self._points, self._rows, self._designs, self._arms = points, rows, designs, arms
        self._scenario = points.scenario(designs[0])
        self.draws = points.base.run.parameter_draws

    def _summary(self, population: str | None = None) -> "Summary":
        return make_summary(self._scenario, self._arms, single=False, population=population)

    @cached_property
    def _whole(self) -> "tuple[Summary, DrawRows]":
        summary = self._summary()
        return summary, self._of(summary)

    def _of(self, summary: "Summary") -> "DrawRows":
        from cartsim.analysis.draw_rows import DrawRows

        rows = self._rows.filter(pc.equal(self._rows["population"], summary.frame.population))
        return DrawRows(rows, summary, self.draws, self._designs)

    @cached_property
    def _answers(self) -> list[_Answers]:
        """Of everybody, then of each subgroup."""
        from cartsim.analysis.by_draw import by_draw
        from cartsim.analysis.over_draws import OverDraws

        parts = [self._whole]
        for name in self._scenario.subgroups or ():
            summary = self._summary(name)
            parts.append((summary, self._of(summary)))
        found = []
        for summary, rows in parts:
            over = OverDraws(summary, self.draws, self._designs)
            found.append(
                _Answers(
                    over.outcomes(rows),
                    over.contrasts(rows),
                    by_draw(summary, rows, self.draws, self._designs),
                )
            )
        return found

    @property
    def outcomes(self) -> list[pa.Table]:
        """One table a population."""
        return [one.outcomes for one in self._answers]

    @property
    def contrasts(self) -> list[pa.Table]:
        """One table a population."""
        return [one.contrasts for one in self._answers]

    def tables(self) -> dict[str, pa.Table]:
        """The tables of `draw_tables`, but for costs."""
        made = {
            "parameter_draws": pa.concat_tables([one.by_draw for one in self._answers])
            .unify_dictionaries()
            .cast(schema("parameter_draws")),
            "parameters": self._parameters(),
        }
        if has_tipping(self._points.base):
            made["tipping"] = self._tipping()
        return made

    def _parameters(self) -> pa.Table:
        design, draw, names, values = [], [], [], []
        for point in self._designs:
            scenario = self._points.scenario(point)
            for number in range(self.draws):
                flat = dict(_flat(drawn_in(scenario, number)))
                names += list(flat)
                values += list(flat.values())
                design += [point] * len(flat)
                draw += [number] * len(flat)
        columns = {
            "scenario_id": pa.array([self._points.base.id] * len(names), pa.string()),
            "design_id": pa.array(design, pa.int32()),
            "draw": pa.array(draw, pa.int32()),
            "parameter": pa.array(names, pa.string()),
            "value": pa.array(values, pa.float64()),
        }
        return pa.table(columns).cast(schema("parameters"))

    def _tipping(self) -> pa.Table:
        from cartsim.analysis.tipping_table import Moved, tipping_rows

        summary, rows = self._whole
        edges = self._points.sets.edges
        moved = [Moved(*_told(edge)) for edge in edges]
        tallies = rows.by_number(EDGES, len(edges))
        return _plain_table("tipping", tipping_rows(summary, tallies, moved, self._designs[0]))

    def increments(self) -> "list[Increment]":
        """Costs and effects against the reference, means over the sets (analysis/value.py)."""
        from cartsim.analysis.value import increments_over_draws

        summary, rows = self._whole
        return increments_over_draws(summary, rows.totals, self.draws, self._designs, self.arm_means())

    def means_of_sets(self) -> "list[tuple[int, ArmMeans]]":
        """(set, means) of every arm, design point and replicate; one replicate where subjects are pooled."""
        from cartsim.analysis.fold import pool_replicates
        from cartsim.analysis.value import arm_means

        summary, rows = self._whole
        tallies = rows.tallies
        if summary.frame.pooled:
            tallies = pool_replicates(tallies)
        found = []
        for one in arm_means(summary, tallies):
            place, number = divmod(one.design_id, self.draws)
            design, replicate = divmod(place, rows.replicates)
            found.append((number, replace(one, design_id=self._designs[0] + design, replicate=replicate)))
        return found

    def arm_means(self) -> "list[ArmMeans]":
        """Means over the sets."""
        groups: dict[tuple[int, int, str], list[ArmMeans]] = {}
        for _, one in self.means_of_sets():
            groups.setdefault((one.design_id, one.replicate, one.arm_id), []).append(one)
        return [
            replace(
                held[0],
                cost=fmean(one.cost for one in held),
                qald=fmean(one.qald for one in held),
                severe=fmean(one.severe for one in held),
            )
            for held in groups.values()
        ]


def _told(edge: Edge) -> tuple[str | None, int, float | None]:
    prior = edge.prior
    if prior is None:
        return None, 0, None
    return prior.name, _SHIFTED * edge.shift, prior.high if edge.upwards else prior.low


def _flat(numbers: Any) -> list[tuple[str, float]]:
    """A list's numbers one by one."""
    found: list[tuple[str, float]] = []
    for key, value in numbers.items():
        if isinstance(value, list):
            found += [(f"{key}[{place}]", float(one)) for place, one in enumerate(value)]
        else:
            found.append((key, float(value)))
    return found


def _plain_table(name: str, rows: Sequence[Any]) -> pa.Table:
    wanted = schema(name)
    plain = pa.schema(
        [(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in wanted]
    )
    return pa.Table.from_pylist(list(rows), schema=plain).cast(wanted)
