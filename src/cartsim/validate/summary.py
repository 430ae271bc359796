"""Why: a hundred rows are read as a few numbers: how many figures lay inside, how wide the intervals were, and what a
forecast without a model would have reached; for every tier and every set of patients, since figures of the same
patients are not independent.
"""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean, median
from typing import Any

from cartsim.validate.score import SCORED, Row, holds
from cartsim.validate.trials import COUNTED

PREDICTED = SCORED[1:]


def summary(rows: Iterable[Row]) -> dict[str, Any]:
    """Coverage, sharpness and scores of some rows; what has no number is null.

    The interval scores are means over rows; `compared` are the rows for which there is a naive forecast, the only ones
    on which the two are compared.
    """
    rows = list(rows)
    known = [row for row in rows if math.isfinite(row.score)]
    both = [row for row in known if row.naive_score is not None]
    times = [row for row in rows if row.is_time]
    return {
        "rows": len(rows),
        "inside": sum(row.inside for row in rows),
        "coverage": _mean([float(row.inside) for row in rows]),
        "median_width_ratio": median(row.width_ratio for row in known) if known else None,
        "interval_score": _mean([row.score for row in known]),
        "interval_score_shares": _mean([row.score for row in known if row.target.statistic in COUNTED]),
        "interval_score_days": _mean([row.score for row in known if row.target.statistic not in COUNTED]),
        "not_predicted": len(rows) - len(known),
        "medians_rows": len(times),
        "medians_within": sum(row.within for row in times),
        "compared_rows": len(both),
        "compared_inside": sum(row.inside for row in both),
        "compared_interval_score": _mean([row.score for row in both]),
        "naive_inside": sum(_naive_inside(row) for row in both),
        "naive_interval_score": _mean([row.naive_score or 0.0 for row in both]),
        "naive_spread_inside": sum(_naive_inside(row, spread=True) for row in both),
        "naive_spread_interval_score": _mean([row.spread_score or 0.0 for row in both]),
        "naive_missing": len(known) - len(both),
    }


def make_score(rows: Sequence[Row]) -> dict[str, Any]:
    """The score of a report: by tier and patient set, the figures that are asked for most at the top."""
    scored = [row for row in rows if row.scored]
    tiers = {tier: [row for row in scored if row.tier == tier] for tier in SCORED}
    predicted = [row for row in scored if row.tier in PREDICTED]
    groups = {**tiers, "prediction": predicted, "policy_contrast": [row for row in predicted if row.contrast]}
    told = {name: summary(group) for name, group in groups.items()}
    whole = summary(scored)
    top: dict[str, Any] = {}
    for name in groups:
        top |= {f"{name}_rows": told[name]["rows"], f"{name}_inside": told[name]["inside"]}
    names = ("median_width_ratio", "interval_score", "medians_rows", "medians_within")
    top |= {name: whole[name] for name in names}
    top |= {f"fit_{name}": told["fit"][name] for name in names}
    top |= {
        name: told["prediction"][name]
        for name in (
            "compared_rows",
            "compared_interval_score",
            "naive_interval_score",
            "naive_spread_interval_score",
            "naive_missing",
        )
    }
    sets = dict.fromkeys(row.target.patient_set for row in scored)
    by_set = {
        name: {
            "all": summary([row for row in scored if row.target.patient_set == name]),
            **{
                tier: summary(chosen)
                for tier in SCORED
                if (chosen := [row for row in tiers[tier] if row.target.patient_set == name])
            },
        }
        for name in sets
    }
    return top | {"overall": whole, "by_tier": told, "by_patient_set": by_set}


def _naive_inside(row: Row, spread: bool = False) -> bool:
    for number in row.numbers:
        interval = number.spread if spread else number.naive
        if interval is None or not holds(interval, number.published):
            return False
    return True


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
