"""Cumulative incidence as steps for a picture, and as a table for whoever draws another."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from cartsim.analysis.columns import CURVE_TYPES
from cartsim.analysis.endpoints import Endpoint
from cartsim.analysis.frame import Frame
from cartsim.analysis.held import Held
from cartsim.analysis.incidence import Curve, log_log_interval
from cartsim.analysis.outcomes import cohort_curve
from cartsim.analysis.plan import Plan

#: A curve with more steps than this is written on an even grid instead.
MAX_STEPS = 600


def curve_table(
    held: Held, plan: Plan, arms: Sequence[str], endpoints: Sequence[Endpoint], frame: Frame
) -> pa.Table:
    """Return the curves of the first cohort in `held`, of every arm and incidence: columns of `CURVE_TYPES`."""
    parts = []
    for arm, arm_id in enumerate(arms):
        for endpoint in endpoints if len(held.design) else ():
            if endpoint.kind == "incidence" and held.n[arm, 0]:
                curve = cohort_curve(held, plan, arm, plan.times.index(endpoint.column), 0)
                if curve is not None:
                    parts.append(_steps(curve, arm_id, endpoint.id, frame))
    if not parts:
        return pa.schema(list(CURVE_TYPES.items())).empty_table()
    return pa.concat_tables(parts).unify_dictionaries().combine_chunks()


def _steps(curve: Curve, arm_id: str, endpoint: str, frame: Frame) -> pa.Table:
    steps = curve.times[(curve.times > 0) & (curve.times < frame.horizon_d)]
    if len(steps) > MAX_STEPS:
        steps = np.linspace(0.0, frame.horizon_d, MAX_STEPS, endpoint=False)[1:]
    days = np.concatenate([[0.0], steps, [frame.horizon_d]])
    value, se = np.array([curve.at(day) for day in days]).T
    lower, upper = log_log_interval(value, se, frame.confidence)
    if not frame.pooled:
        lower, upper = np.full(len(days), np.nan), np.full(len(days), np.nan)
    at_risk = np.append(curve.at_risk, 0)[np.searchsorted(curve.times, days, side="left")]
    columns = {
        "arm_id": pa.array([arm_id] * len(days)).dictionary_encode(),
        "endpoint": pa.array([endpoint] * len(days)).dictionary_encode(),
        "time_d": pa.array(days),
        "value": pa.array(value),
        "lower": pa.array(lower, mask=np.isnan(lower)),
        "upper": pa.array(upper, mask=np.isnan(upper)),
        "at_risk": pa.array(at_risk),
    }
    return pa.table(columns)
