"""Why: a published share of 20 patients and one of 300 must not pull equally, and a median of whole days says no more
than a day. Each row becomes residuals of about unit size (MODEL 7), so that their squares add up to a loss and their
derivatives to a posterior.

Shares: (p - p_obs) / sqrt(p_obs (1 - p_obs) / n + 0.015^2), counts as shares of their total. Medians and quartiles:
(m - m_obs) / hypot(0.10 m_obs, 0.3 d). A median is to lie within 15 %, so its error is two thirds of that; quartiles
have 1.5 times as much, so that three figures of one distribution do not count as three. Recalled rows have the
doubled error.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cartsim.errors import InvalidInput, Problem
from cartsim.evidence.reader import read_evidence

if TYPE_CHECKING:
    from cartsim.evidence.targets import Target

REPEATS = Path(__file__).parent / "data" / "repeats.yaml"
SCHEMA = "cartsim/calibration-repeats/1"
#: What a model of this kind is off by, whatever the number of patients: share, part of a median, days.
SHARE_ERROR, DAY_PART, DAY_ERROR = 0.015, 0.10, 0.3
#: How much wider the error of a recalled row is, and that of a quartile.
RECALLED, QUARTILE = 2.0, 1.5
#: Residual of a figure about nobody (no subject had the event): large, and the same everywhere.
EMPTY = 4.0
USES = ("fit", "recalled")
STATISTICS = ("proportion", "count", "median", "iqr")


@dataclass(frozen=True)
class Part:
    """One number of a row: what was observed, with its error. An interquartile range has two."""

    target: "Target"
    observed: float
    error: float
    name: str  # "", "q1", "q3"


def parts_of(target: "Target") -> tuple[Part, ...]:
    """The residuals of a row. Raises `InvalidInput` for a statistic that cannot be fitted."""
    factor = RECALLED if target.use == "recalled" else 1.0
    if target.statistic in ("proportion", "count"):
        share = observed_share(target)
        n = float(target.denominator or target.n or 0)
        if n <= 0 or not 0 <= share <= 1:
            raise _unfit(target, "a share needs its denominator")
        # none of n, or all of them, is not known without error: at least half an event
        edge = max(share * (1 - share), (0.5 / n) * (1 - 0.5 / n))
        return (Part(target, share, factor * math.hypot(math.sqrt(edge / n), SHARE_ERROR), ""),)
    if target.statistic == "median" and target.value is not None:
        return (Part(target, target.value, factor * day_error(target.value), ""),)
    if target.statistic == "iqr" and target.low is not None and target.high is not None:
        ends = (("q1", target.low), ("q3", target.high))
        return tuple(Part(target, end, factor * QUARTILE * day_error(end), name) for name, end in ends)
    raise _unfit(target, f"statistic {target.statistic} is no target of a fit")


def observed_share(target: "Target") -> float:
    """The published share; of a count, its part of the denominator."""
    value = target.value if target.value is not None else math.nan
    if target.statistic == "count":
        return value / float(target.denominator or target.n or math.nan)
    return value


def day_error(days: float) -> float:
    """Error of a median in days."""
    return math.hypot(DAY_PART * days, DAY_ERROR)


def residuals(parts: Iterable[Part], simulated: Iterable[float]) -> list[float]:
    """(simulated - observed) / error of each part; `EMPTY` where nothing was simulated."""
    return [
        (value - part.observed) / part.error if math.isfinite(value) else EMPTY
        for part, value in zip(parts, simulated, strict=True)
    ]


def simulated_numbers(target: "Target", estimate: float | tuple[float, float]) -> list[float]:
    """An estimate as the numbers that the parts of its row are compared with (a count becomes a share)."""
    if isinstance(estimate, tuple):
        return [float(one) for one in estimate]
    if target.statistic == "count":
        return [float(estimate) / float(target.denominator or target.n or math.nan)]
    return [float(estimate)]


@dataclass(frozen=True)
class Chosen:
    """Rows of the fit, and those left out with the reason."""

    rows: tuple["Target", ...]
    left_out: tuple[tuple["Target", str], ...]


def choose_rows(targets: Iterable["Target"], path: Path | None = None) -> Chosen:
    """Rows with use `fit` or `recalled` that repeat no other and no row that is to be predicted blindly.

    `path`: the list of repeats (None: the package's own). Raises `InvalidInput` where it cannot be read.
    """
    every = tuple(targets)
    listed, names = _read_repeats(path or REPEATS)
    blind = {
        (row.patient_set, _stem(row.endpoint, names), row.statistic)
        for row in every
        if row.use in ("predict_same", "predict_new")
    }
    kept: list[Target] = []
    left: list[tuple[Target, str]] = []
    for row in every:
        if row.use not in USES:
            continue
        why = next((str(one["why"]) for one in listed if _names(one, row)), None)
        if why is None and row.statistic not in STATISTICS:
            why = f"statistic {row.statistic} is no target of a fit"
        if why is None and row.use == "recalled":
            figure = row.patient_set, _stem(row.endpoint, names), row.statistic
            why = "the same patients have this figure among the rows to predict" if figure in blind else None
        if why is None:
            kept.append(row)
        else:
            left.append((row, why))
    return Chosen(tuple(kept), tuple(left))


def _stem(endpoint: str, names: Mapping[str, str]) -> str:
    return names.get(endpoint, endpoint)


def _names(one: Mapping[str, Any], row: "Target") -> bool:
    return (
        one["cohort"] == row.cohort_id
        and one["use"] == row.use
        and one["endpoint"] in ("*", row.endpoint)
        and one.get("statistic", row.statistic) == row.statistic
    )


def _read_repeats(path: Path) -> tuple[list[Mapping[str, Any]], dict[str, str]]:
    file = read_evidence(path.read_text("utf-8"), path.name)
    listed = file.data.get("left_out") or []
    if file.data.get("schema") != SCHEMA or any(
        not isinstance(one, dict) or not {"cohort", "endpoint", "use", "why"} <= one.keys() for one in listed
    ):
        what = f"{SCHEMA} with cohort, endpoint, use and why of each row is needed"
        raise InvalidInput(
            "the list of repeats cannot be read", problems=[Problem(path.name, None, "", what)]
        )
    names = {name: stem for stem, others in (file.data.get("same") or {}).items() for name in others}
    return listed, names


def _unfit(target: "Target", what: str) -> InvalidInput:
    return InvalidInput(
        "the row cannot be fitted", problems=[Problem(target.file, target.line, target.endpoint, what)]
    )
