"""Why: all methods answer in one form, one number a row, so that one table holds them and one printer shows them."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from cartsim.sensitivity.products import Floats
from cartsim.sensitivity.resample import Estimate

#: `input` of a row that is about the design as a whole.
WHOLE = "(all inputs)"


@dataclass(frozen=True)
class TargetValues:
    """One target at every point, in the order of the design; NaN where the point has no value.

    `pooled` over replicates with its Monte Carlo interval `lower`, `upper` [point]; `values` [replicate, point];
    `noise` [point] is the Monte Carlo variance of the pooled value, None where it is unknown. `is_contrast` says that
    0 means "no difference", so that a sign can flip; `is_share` that values lie in 0 to 1 and are told in percent.
    """

    name: str
    is_contrast: bool
    pooled: Floats
    lower: Floats
    upper: Floats
    values: Floats
    noise: Floats | None = None
    is_share: bool = False


@dataclass(frozen=True)
class Finding:
    """One number: which index of which input, for which target, by which method, from `n` rows of the design."""

    target: str
    input: str
    index: str
    method: str
    value: float | None
    lower: float | None
    upper: float | None
    n: int
    setting: str | None = None
    note: str | None = None


def finding(
    target: str, input_: str, index: str, method: str, found: Estimate, note: str | None = None
) -> Finding:
    """A row from an estimate."""
    return Finding(target, input_, index, method, found.value, found.lower, found.upper, found.n, None, note)


@dataclass(frozen=True)
class Answer:
    """All findings about one target, and what must be known to read them."""

    target: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


def findings_table(answers: Iterable[Answer], scenario_id: str) -> pa.Table:
    """The rows of `sensitivity.parquet`, numbered by `seq` within target, input and index."""
    rows, counts = [], dict[tuple[str, str, str], int]()
    for answer in answers:
        for f in answer.findings:
            key = (f.target, f.input, f.index)
            counts[key] = counts.get(key, 0) + 1
            rows.append({"scenario_id": scenario_id, "seq": counts[key], **vars(f)})
    words = ("scenario_id", "target", "input", "index", "setting", "method", "note")
    numbers = ("value", "lower", "upper")
    arrays = {name: pa.array([row[name] for row in rows], pa.string()).dictionary_encode() for name in words}
    arrays |= {name: pa.array([row[name] for row in rows], pa.float64()) for name in numbers}
    arrays["seq"] = pa.array([row["seq"] for row in rows], pa.int32())
    arrays["n"] = pa.array([row["n"] for row in rows], pa.int64())
    order = ("scenario_id", "target", "input", "index", "seq", "setting", "method", *numbers, "n", "note")
    return pa.table({name: arrays[name] for name in order})
