"""The estimand beside the number: what every result row says of itself, written once and repeated by design point."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from cartsim.analysis.endpoints import Endpoint
from cartsim.analysis.intervals import LEVEL

ReplicationUnit = Literal["subject", "replicate", "scramble"]
#: Population of every row that is not about a subgroup.
ALL_SUBJECTS = "all infused subjects"


def whole_population(table: pa.Table) -> pa.Table:
    """Rows of a result table that are about everybody, which stand first, and not about a subgroup."""
    everybody = table["population"][0].as_py() if table.num_rows else None
    if everybody is None:
        return table
    alike = pc.fill_null(pc.equal(table["population"], everybody), False)
    return table if pc.all(alike).as_py() else table.filter(alike)


@dataclass(frozen=True)
class Line:
    """One row of a design point's results, without its numbers."""

    endpoint: Endpoint
    arm_id: str
    summary: str
    level: float | None
    name: str  # the endpoint's id, or what is reported in its place

    @property
    def place(self) -> tuple[object, ...]:
        """What a difference between arms shares with the two numbers it is a difference of, but for the arm."""
        return self.name, self.endpoint.scale, self.endpoint.view, self.level


@dataclass(frozen=True)
class Frame:
    """What all rows of a run have in common."""

    horizon_d: float
    replication_unit: ReplicationUnit = "subject"
    scenario_id: str = ""
    population: str = ALL_SUBJECTS
    confidence: float = LEVEL
    evidence_status: Mapping[str, str] = field(default_factory=dict)  # by endpoint id or syndrome

    @property
    def pooled(self) -> bool:
        """Whether subjects are independent, so that replicates of a design point are one cohort."""
        return self.replication_unit == "subject"

    def columns(
        self, lines: Sequence[Line], reference: str | None = None
    ) -> dict[str, list[str | float | None]]:
        """The columns of `lines` that hold no number of the simulation; with `reference`, that arm's too."""
        rows = [self._row(line) for line in lines]
        if reference is not None:
            rows = [row | {"reference_arm": reference} for row in rows]
        return {name: [row[name] for row in rows] for name in (rows[0] if rows else {})}

    def _row(self, line: Line) -> dict[str, str | float | None]:
        endpoint = line.endpoint
        named = (line.name, endpoint.scale, endpoint.view, line.summary)
        words = self.evidence_status
        status = words.get(line.name) or words.get(endpoint.id) or words.get(endpoint.syndrome or "")
        return {
            "scenario_id": self.scenario_id,
            "arm_id": line.arm_id,
            "estimand_id": ".".join(part for part in named if part),
            "population": self.population,
            "variable": endpoint.column,
            "endpoint": line.name,
            "scale": endpoint.scale,
            "view": endpoint.view,
            "horizon_d": self.horizon_d,
            "summary": line.summary,
            "level": line.level,
            "ice_rescue": endpoint.ice_rescue,
            "ice_death": endpoint.ice_death,
            "conditioning": endpoint.conditioning,
            "replication_unit": self.replication_unit,
            "evidence_status": status or endpoint.evidence_status,
        }
