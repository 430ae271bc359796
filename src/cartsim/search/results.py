"""Why: what a search found must stand in a table that anybody can read without it: each candidate with its numbers,
how far it is from the best, and why it is out."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cartsim.analysis.intervals import paired_risk_difference, t_interval, wilson
from cartsim.record import check, schema
from cartsim.record.search_table import FRONT, GOALS, STATUS
from cartsim.search.labels import Candidate
from cartsim.search.objectives import Objective
from cartsim.search.run import Found

Floats = NDArray[np.float64]
BEST, POSSIBLE, ELIMINATED = STATUS
ON_FRONT, MAYBE_ON_FRONT, DOMINATED = FRONT


def candidates_table(
    found: Found,
    candidates: Sequence[Candidate],
    objectives: Sequence[Objective],
    *,
    scenario_id: str,
    arm_id: str,
    evidence_status: Mapping[str, str],
) -> pa.Table:
    """The declared table `candidates`: one row a candidate and endpoint, in the order of the design.

    `evidence_status` maps endpoint ids to a word that replaces the endpoint's own.
    """
    rows = [
        _same(candidate, scenario_id, arm_id)
        | _endpoint(objective, target=place == 0, evidence_status=evidence_status)
        | _estimate(objective, found.samples[number][:, place])
        | _difference(objective, found, number, place)
        | _choice(found, candidates, number)
        | _front(found, candidates, number)
        for number, candidate in enumerate(candidates)
        for place, objective in enumerate(objectives)
    ]
    table = pa.Table.from_pylist(rows, schema=schema("candidates"))
    check("candidates", table)
    return table


def status_of(found: Found, candidate: int) -> str:
    """Best, possible or eliminated."""
    if found.selection.best == candidate:
        return BEST
    return POSSIBLE if candidate in found.selection.active else ELIMINATED


def front_of(found: Found, candidate: int) -> str | None:
    """Place on the front; None when none was asked for."""
    if found.front is None:
        return None
    if candidate in found.front.dominated:
        return DOMINATED
    return ON_FRONT if candidate in found.on_front else MAYBE_ON_FRONT


def _same(candidate: Candidate, scenario_id: str, arm_id: str) -> dict[str, Any]:
    return {
        "scenario_id": scenario_id,
        "design_id": candidate.design_id,
        "arm_id": arm_id,
        "label": candidate.label,
        "settings": json.dumps(candidate.settings, ensure_ascii=False, separators=(",", ":")),
    }


def _endpoint(objective: Objective, *, target: bool, evidence_status: Mapping[str, str]) -> dict[str, Any]:
    endpoint = objective.endpoint
    return {
        "endpoint": endpoint.id,
        "variable": endpoint.column,
        "scale": endpoint.scale,
        "view": endpoint.view,
        "horizon_d": objective.horizon_d,
        "goal": GOALS[objective.maximise],
        "target": int(target),
        "evidence_status": evidence_status.get(endpoint.id, endpoint.evidence_status),
    }


def _estimate(objective: Objective, values: Floats) -> dict[str, Any]:
    n, mean, sd = len(values), float(values.mean()), float(values.std(ddof=1))
    lower, upper = wilson(values.sum(), n) if objective.is_share else t_interval(mean, sd, n)
    return {
        "n_units": n,
        "value": mean,
        "sd_subject": sd,
        "mcse": float(sd / np.sqrt(n)),
        "lower": float(lower),
        "upper": float(upper),
        "interval_method": "Wilson" if objective.is_share else "t",
    }


def _difference(objective: Objective, found: Found, number: int, place: int) -> dict[str, Any]:
    """This candidate minus the best (or the leader), over the subjects that both had."""
    best = found.selection.leader
    n = min(len(found.samples[number]), len(found.samples[best]))
    here, there = found.samples[number][:n, place], found.samples[best][:n, place]
    values = here - there
    mean = float(values.mean())
    if number == best:
        return {"difference": 0.0, "difference_lower": 0.0, "difference_upper": 0.0}
    if objective.is_share:
        (lower, upper), _ = paired_risk_difference((values > 0).sum(), (values < 0).sum(), n)
    else:
        lower, upper = t_interval(mean, values.std(ddof=1), n)
    return {"difference": mean, "difference_lower": float(lower), "difference_upper": float(upper)}


def _choice(found: Found, candidates: Sequence[Candidate], number: int) -> dict[str, Any]:
    out = next((e for e in found.selection.history if e.candidate == number), None)
    return {
        "status": status_of(found, number),
        "eliminated_at": out and out.subjects,
        "eliminated_by": out and candidates[out.by].design_id,
    }


def _front(found: Found, candidates: Sequence[Candidate], number: int) -> dict[str, Any]:
    front = found.front
    by = front.dominated.get(number) if front is not None else None
    return {
        "front": front_of(found, number),
        "dominated_at": front.subjects[number] if front is not None and by is not None else None,
        "dominated_by": candidates[by].design_id if by is not None else None,
    }
