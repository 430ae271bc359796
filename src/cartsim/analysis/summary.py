"""The door to the analysis: feed it the cohort in chunks, ask it for tables.

    summary = Summary(standard_endpoints("astct2019"), ["standard", "early"], "standard", 30.0, scenario_id="x")
    for block in blocks:                      # {arm_id: adsl columns}, the same subjects in the same order
        summary.add(block)
    summary.outcomes(), summary.contrasts(), summary.incidence_curves()

Chunks are multiples of 4096 subjects except a cohort's last; then no chunk size and no number of workers moves a bit.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from cartsim.analysis.accumulate import ArmChunk, ArmTotals, PairTotals, Plan
from cartsim.analysis.columns import CONTRAST_TYPES, CURVE_TYPES, OUTCOME_TYPES, Row, build_table
from cartsim.analysis.contrasts import contrast_rows
from cartsim.analysis.endpoints import Endpoint, report_days
from cartsim.analysis.frame import Frame, ReplicationUnit
from cartsim.analysis.incidence import log_log_interval
from cartsim.analysis.intervals import LEVEL, UniformBlock
from cartsim.analysis.outcomes import incidence_curve, outcome_rows
from cartsim.analysis.replicates import arm_values, compare_unpaired, over_replicates

#: A curve with more steps than this is written on an even grid instead.
MAX_STEPS = 600


class Summary:
    """Streaming outcome, contrast and incidence tables of one scenario (one design point)."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        arms: Sequence[str],
        reference: str,
        horizon_d: float,
        *,
        replication_unit: ReplicationUnit = "subject",
        scenario_id: str = "",
        design_id: int = 0,
        population: str = "all infused subjects",
        confidence: float = LEVEL,
        evidence_status: Mapping[str, str] | None = None,
    ) -> None:
        """Declare the question. `evidence_status` overrides an endpoint's by endpoint id or syndrome.

        Raises ValueError when the reference is not an arm or an arm is named twice.
        """
        if reference not in arms:
            raise ValueError(f"reference arm {reference!r} is not among the arms {', '.join(arms)}")
        if len(set(arms)) != len(arms):
            raise ValueError(f"an arm is named twice: {', '.join(arms)}")
        self.endpoints = tuple(endpoints)
        self.arms = tuple(arms)
        self.reference = reference
        self.days = report_days(horizon_d)
        self.plan = Plan.of(self.endpoints, self.days)
        self.frame = Frame(
            horizon_d,
            replication_unit,
            scenario_id,
            design_id,
            population,
            confidence,
            dict(evidence_status or {}),
        )
        # One entry per unit that may not be pooled before it is summarised: a single one when that is the subject.
        self._arms: dict[int, dict[str, ArmTotals]] = {}
        self._pairs: dict[int, dict[str, PairTotals]] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """The adsl columns that a block must hold."""
        return self.plan.columns

    def _unit(self, replicate: int) -> tuple[dict[str, ArmTotals], dict[str, PairTotals]]:
        unit = 0 if self.frame.replication_unit == "subject" else replicate
        others = [a for a in self.arms if a != self.reference]
        arms = self._arms.setdefault(unit, {a: ArmTotals() for a in self.arms})
        return arms, self._pairs.setdefault(unit, {a: PairTotals() for a in others})

    def add(self, block: Mapping[str, Any], replicate: int = 0) -> None:
        """Add a chunk: {arm_id: adsl columns as numpy arrays or a pyarrow Table}, rows in the same subject order.

        Missing times are NaN or null. Raises KeyError for a missing arm or column, ValueError for unequal lengths.
        """
        arms, pairs = self._unit(replicate)
        reference = ArmChunk.read(self.plan, block[self.reference])
        arms[self.reference].add(self.plan, reference)
        for arm_id, pair in pairs.items():
            chunk = ArmChunk.read(self.plan, block[arm_id])
            pair.add(self.plan, chunk, reference)
            arms[arm_id].add(self.plan, chunk)

    def merge(self, other: "Summary") -> None:
        """Take in another worker's chunks; merge in the order of the subjects."""
        for unit in other._arms:
            arms, pairs = self._unit(unit)
            for arm_id, totals in arms.items():
                totals.merge(other._arms[unit][arm_id])
            for arm_id, pair in pairs.items():
                pair.merge(other._pairs[unit][arm_id])

    def _over_units(self, per_unit: Sequence[Sequence[Row]]) -> list[Row]:
        if self.frame.replication_unit == "subject":
            return [row for rows in per_unit for row in rows]
        return over_replicates(per_unit, self.frame.confidence)

    def _units(self) -> list[int]:
        if not self._arms:
            self._unit(0)
        return sorted(self._arms)

    def outcomes(self) -> pa.Table:
        """One statistic of one arm a row: columns of `columns.OUTCOME_TYPES`."""
        return build_table(self._over_units(self._outcomes_per_unit()), OUTCOME_TYPES)

    def _outcomes_per_unit(self) -> list[list[Row]]:
        return [
            [
                row
                for arm_id in self.arms
                for endpoint in self.endpoints
                for row in outcome_rows(self.frame, endpoint, arm_id, self._arms[unit][arm_id], self.days)
            ]
            for unit in self._units()
        ]

    def contrasts(self, uniform_block: UniformBlock | None = None) -> pa.Table:
        """One statistic of one arm against the reference a row: columns of `columns.CONTRAST_TYPES`.

        `uniform_block(n, occurrence)` serves the bootstrap of median differences in cohorts below ten sub-blocks;
        without it their interval is null.
        """
        per_unit = []
        for unit in self._units():
            totals = self._arms[unit]
            rows: list[Row] = []
            for arm_id, pair in self._pairs[unit].items():
                for endpoint in self.endpoints:
                    rows += contrast_rows(
                        self.frame,
                        endpoint,
                        arm_id,
                        self.reference,
                        totals[arm_id],
                        totals[self.reference],
                        pair,
                        self.days,
                        uniform_block,
                    )
            per_unit.append(rows)
        combined = self._over_units(per_unit)
        if self.frame.replication_unit != "subject":
            compare_unpaired(combined, arm_values(self._outcomes_per_unit()), self.frame.confidence)
        return build_table(combined, CONTRAST_TYPES)

    def incidence_curves(self) -> pa.Table:
        """Cumulative incidence by arm as steps from day 0 to the horizon: columns of `columns.CURVE_TYPES`.

        Replicates are pooled: the curve is a picture, and its band (pointwise, log-log) is null at 0 and 1. With
        replicates as the unit of replication the band is null, since subjects of one replicate are not independent.
        """
        rows: list[Row] = []
        banded = self.frame.replication_unit == "subject"
        for arm_id in self.arms:
            pooled = ArmTotals()
            for unit in self._units():
                pooled.merge(self._arms[unit][arm_id])
            for endpoint in self.endpoints:
                if endpoint.kind == "incidence" and pooled.n:
                    rows += self._curve_rows(arm_id, endpoint, pooled, banded)
        return build_table(rows, CURVE_TYPES)

    def _curve_rows(self, arm_id: str, endpoint: Endpoint, totals: ArmTotals, banded: bool) -> list[Row]:
        curve = incidence_curve(totals, endpoint.column)
        horizon = self.frame.horizon_d
        steps = curve.times[(curve.times > 0) & (curve.times < horizon)]
        if len(steps) > MAX_STEPS:
            steps = np.linspace(0.0, horizon, MAX_STEPS, endpoint=False)[1:]
        rows = []
        for day in [0.0, *steps.tolist(), horizon]:
            value, se = curve.at(day)
            lower, upper = None, None
            if banded and value is not None and se is not None:
                lower, upper = log_log_interval(value, se, self.frame.confidence)
            k = int(np.searchsorted(curve.times, day, side="left"))
            rows.append(
                {
                    "arm_id": arm_id,
                    "endpoint": endpoint.id,
                    "time_d": day,
                    "value": value,
                    "lower": lower,
                    "upper": upper,
                    "at_risk": int(curve.at_risk[k]) if k < len(curve.times) else 0,
                }
            )
        return rows
