"""Why: a plane of cost and effect, or the question which number is worth knowing better, needs the answer of every
parameter set, each from the same subjects.
"""

import numpy as np
import pyarrow as pa

from cartsim.analysis.columns import F8, I4, I8, OUTCOME_TYPES
from cartsim.analysis.draw_rows import DrawRows
from cartsim.analysis.intervals import Floats
from cartsim.analysis.numbers import Numbers, write_table
from cartsim.analysis.replicates import ARM_SUMMARIES
from cartsim.analysis.summary import Summary

_TYPES: dict[str, pa.DataType] = {
    **{name: OUTCOME_TYPES[name] for name in ("scenario_id", "design_id")},
    "draw": I4,
    **{
        name: OUTCOME_TYPES[name]
        for name in (
            "arm_id", "estimand_id", "population", "variable", "endpoint", "scale", "view", "horizon_d", "summary",
            "level",
        )
    },
    "n_units": I8,
    "value": F8,
    "difference": F8,
}  # fmt: skip


def by_draw(summary: Summary, rows: DrawRows, draws: int, designs: range) -> pa.Table:
    """Table `parameter_draws`: one row a parameter set, arm and endpoint, with the difference from the reference."""
    lines = summary.outcome_rows.lines
    value, against = rows.outcomes.mean("value"), rows.contrasts.mean("value")
    difference = np.full_like(value, np.nan)
    at = {(line.arm_id, line.summary, line.place): k for k, line in enumerate(lines)}
    for k, line in enumerate(summary.contrast_rows.lines):
        for one_arm in ARM_SUMMARIES.get(line.summary, ()):
            row = at.get((line.arm_id, one_arm, line.place))
            if row is not None:
                difference[:, :, row] = against[:, :, k]
    numbers = Numbers(len(lines), len(designs) * draws, contrasts=False)
    numbers.floats = {"value": _flat(value), "difference": _flat(difference)}
    numbers.counts = {
        "n_units": np.rint(np.nan_to_num(_flat(rows.outcomes.mean("n_units")))).astype(np.int64),
        "draw": np.tile(np.arange(draws), (len(lines), len(designs))).astype(np.int64),
    }
    numbers.codes = {}
    static = {name: values for name, values in summary.outcome_columns.items() if name in _TYPES}
    return write_table(_TYPES, static, numbers, np.repeat(np.asarray(designs), draws))


def _flat(values: Floats) -> Floats:
    """(designs, sets, rows) -> (rows, designs * sets)."""
    return values.reshape(-1, values.shape[-1]).T
