"""Why: a fitted number without its target set, its command and its uncertainty is one more assumed number. Here a fit
becomes three files that say all of it: `calibration.json` (the numbers, which the registry reads), `draws.parquet`
(joint draws of the posterior) and `loss.csv` (every row of the fit, before and after). Equal fits give equal bytes.
"""

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cartsim.calibrate.checkpoint import write_text
from cartsim.calibrate.fit import Fit
from cartsim.calibrate.parameters import Space
from cartsim.evidence.calibrated import DRAWS, POINT, SCHEMA
from cartsim.evidence.weak import WEAK_FROM

LOSS = "loss.csv"
#: Significant digits of what is written.
DIGITS = 10


@dataclass(frozen=True)
class Line:
    """One number of one row of the fit; `before` is what the numbers that the fit began with give."""

    cohort: str
    product: str
    patient_set: str
    endpoint: str
    statistic: str
    part: str
    use: str
    n: int | None
    observed: float
    error: float
    before: float
    simulated: float
    residual_before: float
    residual: float

    @property
    def square(self) -> float:
        """Its part of the loss."""
        return self.residual**2


@dataclass(frozen=True)
class Report:
    """What a fit did: rows, rows left out with the reason, losses, parameters, checks of the posterior."""

    lines: tuple[Line, ...]
    left_out: tuple[tuple[str, str], ...]
    loss: Mapping[str, float]
    parameters: tuple[Mapping[str, Any], ...]
    pooled: tuple[Mapping[str, Any], ...]
    fit: Fit

    @property
    def weak(self) -> list[str]:
        """Keys of numbers that the rows hardly move."""
        return [str(one["key"]) for one in self.parameters if one["identifiability"] > WEAK_FROM]

    def by_cohort(self) -> list[dict[str, Any]]:
        """Rows and loss of each cohort, before and after."""
        found: dict[str, dict[str, Any]] = {}
        for line in self.lines:
            row = found.setdefault(
                line.cohort, {"cohort": line.cohort, "rows": 0, "before": 0.0, "after": 0.0}
            )
            row["rows"] += 1
            row["before"] += line.residual_before**2
            row["after"] += line.square
        return list(found.values())


def describe(space: Space, fit: Fit) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(parameters, pooled means) with value, posterior sd of the transformed number, prior and identifiability."""
    values, thetas = space.values(fit.z), space.theta(fit.posterior.draws)
    drawn = thetas.std(axis=0, ddof=1)
    laplace = np.sqrt(np.diag(space.spread @ fit.posterior.covariance @ space.spread.T))
    columns = draw_table(space, fit)
    parameters: list[dict[str, Any]] = []
    pooled: list[dict[str, Any]] = []
    for place, one in enumerate(space.coordinates):
        # draws of a kept number have the prior's width whatever the rows say, so what they say is Laplace's
        told = laplace[place] if one.kept else drawn[place]
        (pooled if one.pooled_mean else parameters).append(
            {
                "key": one.key,
                "value": rounded(values[one.key]),
                "sd": rounded(drawn[place]),
                "interval": _interval(columns[one.key], values[one.key]),
                "prior": {
                    "transform": one.transform,
                    "mean": rounded(space.centres[place]),
                    "sd": rounded(space.prior_sd[place]),
                },
                "identifiability": rounded(told / space.prior_sd[place]),
                "kept": one.kept,
                "why": one.why,
            }
        )
    return parameters, pooled


def _interval(drawn: np.ndarray, value: float) -> list[float]:
    """95 % of the draws, and the value."""
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    return [rounded(min(low, value)), rounded(max(high, value))]


def draw_table(space: Space, fit: Fit) -> dict[str, np.ndarray]:
    """Coordinate key -> numbers, a row a draw."""
    rows = [space.values(z) for z in fit.posterior.draws]
    return {key: np.array([rounded(row[key]) for row in rows]) for key in space.keys}


def write_folder(folder: Path, report: Report, space: Space, said: Mapping[str, Any]) -> None:
    """Write the three files; `said`: command, targets, seed and the like, for the head of calibration.json.

    Raises `Unreachable` where the folder cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        key: column for key, column in draw_table(space, report.fit).items() if not key.startswith("pooled.")
    }
    whole = hashlib.sha256()
    for key, column in columns.items():
        whole.update(key.encode() + column.astype("<f8").tobytes())
    data = {
        "schema": SCHEMA,
        **said,
        "loss": report.loss,
        "draws": len(report.fit.posterior.draws),
        "draws_sha256": whole.hexdigest(),
        "parameters": list(report.parameters),
        "pooled": list(report.pooled),
        "posterior": report.fit.posterior.checks,
        "steps": [line for line in report.fit.lines if line["block"] in ("search", "step", "slope")],
        "left_out": [{"row": row, "why": why} for row, why in report.left_out],
    }
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    write_text(folder / LOSS, loss_text(report))
    write_bytes(folder / DRAWS, buffer.getvalue().to_pybytes())
    write_text(folder / POINT, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file or none."""
    import os

    beside = path.with_name(path.name + ".part")
    beside.write_bytes(data)
    os.replace(beside, path)


def loss_text(report: Report) -> str:
    """Every number of the fit as CSV."""
    text = io.StringIO()
    names = list(Line.__dataclass_fields__)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for line in report.lines:
        cells = [getattr(line, name) for name in names]
        writer.writerow([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in cells])
    return text.getvalue()


def rounded(value: float) -> float:
    """A number to `DIGITS` significant digits."""
    return float(f"{value:.{DIGITS}g}")
