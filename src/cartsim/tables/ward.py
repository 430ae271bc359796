"""Why: what scarcity did to a ward is a result like any other: who waited how long, how full it was, and when the
shelf was empty."""

from collections.abc import Sequence
from itertools import groupby
from typing import Protocol

import numpy as np
import pyarrow as pa

from cartsim.record.result_tables import RESOURCES
from cartsim.tables.columns import (
    Identity,
    build,
    floats,
    in_order,
    ints,
    key_columns,
    number_within,
    same,
    words,
)
from cartsim.terms import HOURS_PER_DAY

_OUTCOMES = ("GRANTED", "CANCELLED", "STILL WAITING")
_DOSES = "TOCILIZUMAB"

#: Resource (any case), time on the ward's clock in days, in use after it, waiting after it.
Level = tuple[str, float, int, int]


class Wait(Protocol):
    """One request; times on the ward's clock in days, NaN when it did not come to that."""

    resource: str
    subject: int
    asked_d: float
    granted_d: float
    withdrawn_d: float


def ward_waits(
    who: Identity, cohort: np.ndarray, infusion_d: np.ndarray, waits: Sequence[Wait], end_d: float
) -> pa.Table:
    """Table ward_waits: one row per request. `infusion_d` float64[n] on the ward's clock, in cohort order."""
    subject = np.array([w.subject for w in waits], "i8")
    resource = np.array([RESOURCES.index(w.resource.upper()) for w in waits], "i8")
    times = np.array([(w.asked_d, w.granted_d, w.withdrawn_d) for w in waits], "f8").reshape(-1, 3)
    row = np.searchsorted(cohort["subject"], subject)
    order = in_order(row, resource, times[:, 0])
    if order is not None:
        row, resource, times = row[order], resource[order], times[order]
    asked, granted, withdrawn = times.T
    was_granted, was_withdrawn = np.isfinite(granted), np.isfinite(withdrawn)
    until = np.where(was_granted, granted, np.where(was_withdrawn, withdrawn, end_d))
    return build(
        "ward_waits",
        key_columns(who, cohort["subject"], row)
        | {
            "resource": words(resource, RESOURCES),
            "seq": ints(number_within(row * len(RESOURCES) + resource), "i4"),
            "t_asked_d": floats(asked),
            "t_granted_d": floats(granted),
            "wait_h": floats((until - asked) * HOURS_PER_DAY),
            "outcome": words(np.where(was_granted, 0, np.where(was_withdrawn, 1, 2)), _OUTCOMES),
            "infused_d": floats(infusion_d[row]),
        },
    )


def ward_occupancy(who: Identity, levels: Sequence[Level], capacity: dict[str, int | None]) -> pa.Table:
    """Table ward_occupancy: a row per change; `capacity` by resource, None when unlimited."""
    held = sorted(levels, key=lambda level: (RESOURCES.index(level[0].upper()), level[1]))
    resource = np.array([RESOURCES.index(level[0].upper()) for level in held], "i8")
    limits = {name.upper(): limit for name, limit in capacity.items()}
    by_resource = np.array([np.nan if limits.get(r) is None else limits[r] for r in RESOURCES], "f8")
    return build(
        "ward_occupancy",
        _run_columns(who, len(held))
        | {
            "resource": words(resource, RESOURCES),
            "seq": ints(number_within(resource), "i4"),
            "t_d": floats(np.array([level[1] for level in held], "f8")),
            "in_use": ints(np.array([level[2] for level in held], "i4"), "i4"),
            "capacity": ints(by_resource[resource], "i4"),
            "waiting": ints(np.array([level[3] for level in held], "i4"), "i4"),
        },
    )


def ward_stockouts(who: Identity, levels: Sequence[Level]) -> pa.Table:
    """Table ward_stockouts: spans in which somebody waited for a dose, from the log of levels."""
    doses = sorted((level for level in levels if level[0].upper() == _DOSES), key=lambda level: level[1])
    spans: list[tuple[float, float, int]] = []
    for short, span in groupby(range(len(doses)), key=lambda k: doses[k][3] > 0):
        rows = list(span)
        if short:
            after = rows[-1] + 1
            end = doses[after][1] if after < len(doses) else np.nan
            spans.append((doses[rows[0]][1], end, max(doses[k][3] for k in rows)))
    held = np.array(spans, "f8").reshape(-1, 3)
    return build(
        "ward_stockouts",
        _run_columns(who, len(held))
        | {
            "resource": same(_DOSES, len(held)),
            "seq": ints(np.arange(1, len(held) + 1), "i4"),
            "t_start_d": floats(held[:, 0]),
            "t_end_d": floats(held[:, 1]),
            "max_waiting": ints(held[:, 2], "i4"),
        },
    )


def _run_columns(who: Identity, n: int) -> dict[str, pa.Array]:
    columns = key_columns(who, np.zeros(n, "i8"))
    return {name: columns[name] for name in ("scenario_id", "design_id", "replicate", "arm_id")}
