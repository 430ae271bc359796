"""The door to the analysis: what is asked of a run, and the tables that answer it from its tallies.

    summary = Summary(standard_endpoints("astct2019"), ["standard", "early"], "standard", 30.0, scenario_id="x")
    tallies = fold(tally(summary.plan, ...) for each block)
    summary.outcomes(tallies), summary.contrasts(tallies), summary.incidence_curves(tallies)

All design points of the tallies are answered at once, and each has the numbers that it would have alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from cartsim.analysis.columns import CONTRAST_TYPES, OUTCOME_TYPES
from cartsim.analysis.contrasts import ContrastRows
from cartsim.analysis.curves import curve_table
from cartsim.analysis.endpoints import Endpoint, report_days
from cartsim.analysis.fold import fold, no_subjects, pool_replicates
from cartsim.analysis.frame import ALL_SUBJECTS, Frame, ReplicationUnit
from cartsim.analysis.held import lay_out
from cartsim.analysis.intervals import LEVEL, UniformBlock
from cartsim.analysis.numbers import write_table
from cartsim.analysis.outcomes import OutcomeRows
from cartsim.analysis.plan import Plan
from cartsim.analysis.replicates import Replicates, compare_unpaired, over_replicates

#: Rows of tallies that are laid out at a time: about 200 small cohorts, which stay in a processor's cache.
ROWS_AT_ONCE = 262_144


class Summary:
    """Outcome, contrast and incidence tables of one scenario or of all points of a sweep."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        arms: Sequence[str],
        reference: str,
        horizon_d: float,
        *,
        replication_unit: ReplicationUnit = "subject",
        scenario_id: str = "",
        population: str = ALL_SUBJECTS,
        confidence: float = LEVEL,
        evidence_status: Mapping[str, str] | None = None,
        curves: bool = True,
        bootstrap: bool = True,
    ) -> None:
        """Declare the question. `evidence_status` overrides an endpoint's by endpoint id or syndrome.

        `curves` keeps the exact times that curves and Aalen-Johansen need, `bootstrap` the joint values that an
        interval of a difference of medians needs; a sweep can afford neither. Raises ValueError when the reference is
        not an arm or an arm is named twice.
        """
        if reference not in arms:
            raise ValueError(f"reference arm {reference!r} is not among the arms {', '.join(arms)}")
        if len(set(arms)) != len(arms):
            raise ValueError(f"an arm is named twice: {', '.join(arms)}")
        self.endpoints = tuple(endpoints)
        self.arms = tuple(arms)
        self.reference = reference
        self.days = report_days(horizon_d)
        self.frame = Frame(
            horizon_d, replication_unit, scenario_id, population, confidence, dict(evidence_status or {})
        )
        pairs = bootstrap and self.frame.pooled
        self.plan = Plan.of(self.endpoints, self.days, curves=curves, pairs=pairs)
        reported = [endpoint for endpoint in self.endpoints if endpoint.reported]
        self.outcome_rows = OutcomeRows(self.frame, reported, self.arms, self.plan)
        self.contrast_rows = ContrastRows(
            self.frame, reported, self.arms, reference, self.plan, bootstrap=bootstrap
        )
        self.outcome_columns = self.frame.columns(self.outcome_rows.lines)
        self.contrast_columns = self.frame.columns(self.contrast_rows.lines, reference)

    @property
    def columns(self) -> tuple[str, ...]:
        """The adsl columns that a block must hold."""
        return self.plan.columns

    def outcomes(self, tallies: pa.Table, designs: Sequence[int] = ()) -> pa.Table:
        """One statistic of one arm a row: columns of `columns.OUTCOME_TYPES`, by design point, then in reporting order.

        `tallies` is a folded tally of these endpoints. `designs` are design points that have rows even where nobody
        was counted: null, with no units.
        """

        def answer(part: pa.Table) -> pa.Table:
            held = lay_out(part, self.plan, self.arms, contrasts=False)
            numbers, design = self.outcome_rows.numbers(held), held.design
            if not self.frame.pooled:
                replicates = Replicates(held.design)
                numbers = over_replicates(
                    replicates, self.outcome_rows.lines, numbers, self.frame.confidence, contrasts=False
                )
                design = replicates.design
            return write_table(OUTCOME_TYPES, self.outcome_columns, numbers, design)

        return self._answer_all(tallies, designs, answer, OUTCOME_TYPES)

    def contrasts(
        self, tallies: pa.Table, uniform_block: UniformBlock | None = None, designs: Sequence[int] = ()
    ) -> pa.Table:
        """One statistic of one arm against the reference a row: columns of `columns.CONTRAST_TYPES`.

        `uniform_block(n, occurrence)` serves the bootstrap of median differences in cohorts up to
        `medians.BOOTSTRAP_UP_TO`; without it their interval is null. `designs` as for `outcomes`.
        """
        lines = self.contrast_rows.lines

        def answer(part: pa.Table) -> pa.Table:
            held = lay_out(part, self.plan, self.arms, contrasts=True)
            numbers, design = self.contrast_rows.numbers(held, uniform_block), held.design
            if not self.frame.pooled:
                replicates, level = Replicates(held.design), self.frame.confidence
                arm_values = self.outcome_rows.numbers(held).floats["value"]
                numbers = over_replicates(replicates, lines, numbers, level, contrasts=True)
                compare_unpaired(
                    replicates, lines, numbers, self.outcome_rows.lines, arm_values, self.reference, level
                )
                design = replicates.design
            return write_table(CONTRAST_TYPES, self.contrast_columns, numbers, design)

        return self._answer_all(tallies, designs, answer, CONTRAST_TYPES)

    def _answer_all(
        self,
        tallies: pa.Table,
        designs: Sequence[int],
        answer: Callable[[pa.Table], pa.Table],
        types: Mapping[str, pa.DataType],
    ) -> pa.Table:
        nobody = sorted(set(designs).difference(np.unique(tallies["design_id"].to_numpy()).tolist()))
        if nobody:
            tallies = fold([tallies, no_subjects(nobody, self.reference)])
        parts = [
            answer(pool_replicates(part) if self.frame.pooled else part) for part in _whole_points(tallies)
        ]
        return pa.concat_tables(parts) if parts else pa.schema(list(types.items())).empty_table()

    def incidence_curves(self, tallies: pa.Table, design_id: int = 0) -> pa.Table:
        """Cumulative incidence by arm as steps from day 0 to the horizon: columns of `columns.CURVE_TYPES`.

        Replicates are pooled: the curve is a picture, and its band (pointwise, log-log) is null at 0 and 1. With
        replicates as the unit of replication the band is null, since subjects of one replicate are not independent.
        Raises ValueError without `curves`.
        """
        if not self.plan.curves:
            raise ValueError("exact times were not counted: the summary was made with curves=False")
        point = tallies.filter(np.asarray(tallies["design_id"].to_numpy() == design_id))
        held = lay_out(pool_replicates(point), self.plan, self.arms, contrasts=False)
        return curve_table(held, self.plan, self.arms, self.endpoints, self.frame)


def _whole_points(tallies: pa.Table) -> Iterator[pa.Table]:
    """Cut a folded tally where design points end, in pieces of about ROWS_AT_ONCE rows."""
    tallies = tallies.combine_chunks()
    design = tallies["design_id"].to_numpy()
    start = 0
    while start < len(design):
        last = design[min(start + ROWS_AT_ONCE, len(design)) - 1]
        stop = int(np.searchsorted(design, last, side="right"))
        yield tallies.slice(start, stop - start)
        start = stop
