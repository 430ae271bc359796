"""Why: a sweep is a table of settings, one row a design point, and everything later (blocks, results, sensitivity)
speaks of points by number. A design says which settings a point has; what they make of the scenario is for `points`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cartsim.scenario.canonical import plain_text, settings_id
from cartsim.sweep.base_values import base_value
from cartsim.sweep.making import make_rows
from cartsim.sweep.rows import Listed, Rows

if TYPE_CHECKING:
    from cartsim.scenario.resolve import Scenario

#: The method of a scenario without a sweep.
PLAIN = "plain"


@dataclass(frozen=True, eq=False)
class Design:
    """Design points in order.

    `paths` are the keys that move, `labels` what to call them, `method` the sweep's; `base` has for each path the
    value that the scenario itself has there (None where it has none).
    """

    method: str
    paths: tuple[str, ...]
    labels: tuple[str, ...]
    rows: Rows
    base: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def settings(self, i: int) -> dict[str, Any]:
        """Path -> value of point `i`, in the order in which they are set. Raises `IndexError`."""
        if not 0 <= i < len(self.rows):
            raise IndexError(f"design point {i} of {len(self.rows)}")
        row = self.rows.row(i)
        return {path: row[place] for place, path in enumerate(self.paths) if place in row}

    def role(self, i: int) -> str | None:
        """What the point is for (`A`, `AB:<input>`, `B`, a trajectory's number), where points differ in that."""
        return self.rows.role(i)

    def point_id(self, i: int) -> str:
        """Sixteen hex digits made of the settings alone: equal settings have the same id in any design."""
        return settings_id(self.settings(i))

    def table(self, first: int = 0, count: int | None = None) -> pa.Table:
        """Points `first` to `first+count-1` (all of them), one a row.

        `design_id` int32, `point_id`, `role` (null where points are alike), one column a path: float64 where every
        value is a number, else text, with blocks and lists as JSON. Where a point leaves a path alone the scenario's
        own value stands.
        """
        ids = range(first, len(self) if count is None else min(first + count, len(self)))
        settings = [self.settings(i) for i in ids]
        columns = [
            _column([one.get(path, base) for one in settings])
            for path, base in zip(self.paths, self.base, strict=True)
        ]
        arrays = [
            pa.array(np.arange(ids.start, ids.stop, dtype="i4")),
            pa.array([settings_id(one) for one in settings], pa.string()),
            pa.array([self.role(i) for i in ids], pa.string()),
            *columns,
        ]
        return pa.table(arrays, names=["design_id", "point_id", "role", *self.paths])


def _column(values: Sequence[Any]) -> pa.Array:
    said = [value for value in values if value is not None]
    if said and all(isinstance(value, int | float) and not isinstance(value, bool) for value in said):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    text = [value if value is None or isinstance(value, str) else plain_text(value) for value in values]
    return pa.array(text, pa.string())


def expand(scenario: "Scenario") -> Design:
    """The design of a scenario: the points of its sweep, or the scenario as the only point.

    Raises `InvalidInput` (file, line, key path) for a sweep that cannot be made into points, `Unreachable` where
    `saltelli` or `morris` is asked for without SALib.
    """
    if scenario.sweep is None:
        return Design(PLAIN, (), (), Listed(({},)), ())
    paths, rows = make_rows(scenario, scenario.sweep)
    axes = scenario.sweep.axes
    labels = tuple((axes[path].label if path in axes else None) or path for path in paths)
    return Design(
        scenario.sweep.method, paths, labels, rows, tuple(base_value(scenario, path) for path in paths)
    )
