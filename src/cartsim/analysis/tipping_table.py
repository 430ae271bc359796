"""Why: an interval over drawn parameter sets says how uncertain an answer is, not what it leans on. Here each number
that nothing identifies stands at the edges of its prior, one at a time, and beside the answer there is the central one,
so that a reader sees which assumption would turn it round.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cartsim.analysis.summary import Summary

SUMMARIES = ("risk difference", "mean difference")


@dataclass(frozen=True)
class Moved:
    """What stands at one place of the table: a number's name, how far it was moved and its value; null for none."""

    parameter: str | None
    prior_sd: int
    setting: float | None


def tipping_rows(
    summary: Summary, tallies: pa.Table, moved: Sequence[Moved], design_id: int
) -> list[Mapping[str, object]]:
    """Contrasts of every place against those of the first, which is the central answer.

    `tallies` is folded, and its design points are the places of `moved`.
    """
    table = summary.contrasts(tallies, None, range(len(moved)))
    wanted = [k for k, line in enumerate(summary.contrast_rows.lines) if line.summary in SUMMARIES]
    lines = table.slice(0, len(summary.contrast_rows.lines)).to_pylist()
    numbers = {
        name: table[name].to_numpy().astype(np.float64).reshape(len(moved), -1)
        for name in ("value", "lower", "upper", "n_units")
    }
    value, lower, upper = (numbers[name] for name in ("value", "lower", "upper"))
    clear = (lower > 0) | (upper < 0)
    found: list[Mapping[str, object]] = []
    for place, one in enumerate(moved):
        for k in wanted:
            known = not (np.isnan(value[place, k]) or np.isnan(value[0, k]))
            found.append(
                lines[k]
                | {"design_id": design_id, "parameter": one.parameter, "prior_sd": one.prior_sd}
                | {"setting": one.setting, "n_units": int(np.nan_to_num(numbers["n_units"][place, k]))}
                | {"value": _null(value[place, k]), "lower": _null(lower[place, k])}
                | {"upper": _null(upper[place, k]), "central_value": _null(value[0, k])}
                | {"sign_differs": int(np.sign(value[place, k]) != np.sign(value[0, k])) if known else None}
                | {"significance_differs": int(clear[place, k] != clear[0, k]) if known else None}
            )
    return found


def _null(value: float) -> float | None:
    return None if value != value else float(value)
