"""The columns that every result row shares, and how replicates become one row.

Within a batch run the subject is the unit of replication. Subjects of one ward wait for the same beds, and points of
one Sobol' scramble know of each other, so there the whole replicate is the unit, and one replicate has no interval.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cartsim.analysis.columns import Row
from cartsim.analysis.endpoints import Endpoint
from cartsim.analysis.intervals import LEVEL, t_interval

ReplicationUnit = Literal["subject", "replicate", "scramble"]
#: Columns in which two rows of different replicates are the same statistic.
STATISTIC = ("arm_id", "estimand_id", "level")


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


def over_replicates(per_replicate: Sequence[Sequence[Row]], confidence: float) -> list[Row]:
    """Combine the same statistics of several replicates: mean of the values, t interval over replicates.

    One replicate leaves value and counts, and null for everything that would need a second.
    """
    grouped: dict[tuple[object, ...], list[Row]] = {}
    for rows in per_replicate:
        for row in rows:
            grouped.setdefault(tuple(row[name] for name in STATISTIC), []).append(row)
    return [_combine(rows, confidence) for rows in grouped.values()]


def _combine(rows: Sequence[Row], confidence: float) -> Row:
    out = dict(rows[0])
    for name in ("lower", "upper", "unpaired_lower", "unpaired_upper", "variance_ratio", "mcse"):
        out[name] = None
    for name in ("nnt", "nnt_lower", "nnt_upper", "nnt_kind"):
        out.pop(name, None)
    for name in ("n_events", "n10", "n01"):
        held = [row.get(name) for row in rows]
        out[name] = None if None in held else sum(held)
    for name in ("harm_lower", "harm_upper"):
        out[name] = _mean([row.get(name) for row in rows])
    values = [row["value"] for row in rows if row["value"] is not None]
    spread = [row["sd_subject"] ** 2 for row in rows if row.get("sd_subject") is not None]
    out["n_units"] = len(values)
    out["value"] = _mean(values)
    out["sd_subject"] = math.sqrt(math.fsum(spread) / len(spread)) if spread else None
    out["interval_method"] = "none"
    if len(values) > 1:
        sd = math.sqrt(math.fsum((v - out["value"]) ** 2 for v in values) / (len(values) - 1))
        out["mcse"] = sd / math.sqrt(len(values))
        identical = all(row["interval_method"] == "identical rows" for row in rows)
        if sd > 0 or identical:
            out["lower"], out["upper"] = t_interval(out["value"], sd, len(values), confidence)
            out["interval_method"] = "identical rows" if identical else "t over replicates"
    return out


def _mean(values: Sequence[float | None]) -> float | None:
    held = [v for v in values if v is not None]
    return math.fsum(held) / len(held) if held else None
