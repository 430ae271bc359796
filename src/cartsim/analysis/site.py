"""What a site went through: how long subjects waited for a bed, intensive care or a dose, and how full it was.

Works from the stored `ward_*` tables alone. Waits of one replicate depend on each other, so an interval is taken
over replicates and is null where there is one.
"""

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cartsim.analysis.intervals import LEVEL, t_interval

if TYPE_CHECKING:
    import pandas as pd

#: A ward bed asked for before infusion puts the infusion off; later it is admission or step-down.
PURPOSES = ("infusion", "ward bed after infusion", "ICU bed", "tocilizumab dose")
_BY_RESOURCE = {"ICU_BED": "ICU bed", "TOCILIZUMAB": "tocilizumab dose"}


def summarise_waits(waits: pa.Table, level: float = LEVEL) -> "pd.DataFrame":
    """Waits by arm and purpose, from table `ward_waits`.

    Columns: arm_id, purpose, requests, granted, withdrawn, unmet (never granted nor withdrawn), delayed_share (of
    those granted, waited at all), wait_mean_h with lower and upper over replicates, wait_p90_h, wait_max_h (all of
    granted requests; null where there are none).
    """
    import pandas as pd

    frame = waits.select(
        ["arm_id", "replicate", "subject", "resource", "seq", "t_asked_d", "infused_d", "wait_h", "outcome"]
    ).to_pandas()
    frame["arm_id"] = frame["arm_id"].astype(str)
    before = (frame["resource"] == "WARD_BED") & ~(frame["t_asked_d"] > frame["infused_d"])
    purpose = frame["resource"].astype(str).map(_BY_RESOURCE)
    frame["purpose"] = purpose.fillna("ward bed after infusion").where(~before, "infusion")
    rows = []
    for arm_id in dict.fromkeys(frame["arm_id"]):
        for what in PURPOSES:
            part = frame[(frame["arm_id"] == arm_id) & (frame["purpose"] == what)]
            rows.append({"arm_id": arm_id, "purpose": what} | _describe(part, level))
    return pd.DataFrame(rows)


def _describe(part: "pd.DataFrame", level: float) -> dict[str, float | int | None]:
    outcome = part["outcome"].astype(str)
    granted = part[outcome == "GRANTED"]
    out: dict[str, float | int | None] = {
        "requests": len(part),
        "granted": len(granted),
        "withdrawn": int((outcome == "CANCELLED").sum()),
    }
    out["unmet"] = len(part) - len(granted) - int((outcome == "CANCELLED").sum())
    if not len(granted):
        names = ("delayed_share", "wait_mean_h", "lower", "upper", "wait_p90_h", "wait_max_h")
        return out | dict.fromkeys(names)
    hours = granted["wait_h"].to_numpy()
    per_replicate = granted.groupby("replicate")["wait_h"].mean().to_numpy()
    lower, upper = None, None
    if len(per_replicate) > 1:
        mean, sd = float(per_replicate.mean()), float(per_replicate.std(ddof=1))
        lower, upper = (float(limit) for limit in t_interval(mean, sd, len(per_replicate), level))
    return out | {
        "delayed_share": float((hours > 0).mean()),
        "wait_mean_h": float(per_replicate.mean()),
        "lower": lower,
        "upper": upper,
        "wait_p90_h": float(np.quantile(hours, 0.9)),
        "wait_max_h": float(hours.max()),
    }
