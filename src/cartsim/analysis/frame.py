"""The columns that every result row shares: the estimand beside the number."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from cartsim.analysis.columns import Row
from cartsim.analysis.endpoints import Endpoint
from cartsim.analysis.intervals import LEVEL

ReplicationUnit = Literal["subject", "replicate", "scramble"]


@dataclass(frozen=True)
class Frame:
    """What all rows of a run have in common."""

    horizon_d: float
    replication_unit: ReplicationUnit = "subject"
    scenario_id: str = ""
    design_id: int = 0
    population: str = "all infused subjects"
    confidence: float = LEVEL
    evidence_status: Mapping[str, str] = field(default_factory=dict)  # by endpoint id or syndrome

    def row(self, endpoint: Endpoint, arm_id: str, summary: str, level: float | None) -> Row:
        """A row with its estimand columns filled and no numbers yet."""
        named = (endpoint.id, endpoint.scale, endpoint.view, summary)
        status = self.evidence_status.get(endpoint.id) or self.evidence_status.get(endpoint.syndrome or "")
        return {
            "scenario_id": self.scenario_id,
            "design_id": self.design_id,
            "arm_id": arm_id,
            "estimand_id": ".".join(part for part in named if part),
            "population": self.population,
            "variable": endpoint.column,
            "endpoint": endpoint.id,
            "scale": endpoint.scale,
            "view": endpoint.view,
            "horizon_d": self.horizon_d,
            "summary": summary,
            "level": level,
            "ice_rescue": endpoint.ice_rescue,
            "ice_death": endpoint.ice_death,
            "conditioning": endpoint.conditioning,
            "replication_unit": self.replication_unit,
            "evidence_status": status or endpoint.evidence_status,
        }
