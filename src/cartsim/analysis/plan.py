"""Which columns of adsl the endpoints read, and how a column becomes small whole numbers.

Derived once from the endpoints, so that what is counted and what is asked for cannot drift apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartsim.analysis.endpoints import Endpoint, Measure, columns_needed

#: Levels kept of an integer column: 0 to 5, higher ones count as 5 (grades end there; "two or more doses" needs 2).
LEVELS = 6

Feature = tuple[Measure, str]


def feature_name(feature: Feature) -> str:
    """Name of a column read in one way, as tallies spell it."""
    return f"{feature[0]} {feature[1]}"


@dataclass(frozen=True)
class Plan:
    """What is counted of each subject; `curves` and `pairs` are what only the run of a single point can afford."""

    columns: tuple[str, ...]
    levels: tuple[Feature, ...]  # read as small integers: grades, flags, days reached
    means: tuple[str, ...]
    medians: tuple[str, ...]
    paired_medians: tuple[str, ...]  # joint values of both arms are kept, for the bootstrap
    times: tuple[str, ...]
    days: tuple[float, ...]
    curves: bool = True

    @classmethod
    def of(
        cls,
        endpoints: Sequence[Endpoint],
        days: tuple[float, ...],
        *,
        curves: bool = True,
        pairs: bool = True,
    ) -> "Plan":
        """Derive the plan; `days` are where cumulative incidence is reported, rising, at most 5.

        Raises ValueError for more days than there are levels to hold them.
        """
        if len(days) >= LEVELS:
            raise ValueError(f"at most {LEVELS - 1} report days, got {len(days)}")

        def of_kind(*kinds: str) -> tuple[str, ...]:
            return tuple(sorted({e.column for e in endpoints if e.kind in kinds}))

        levels = sorted({(e.measure, e.column) for e in endpoints if e.kind in ("risk", "incidence")})
        paired = sorted({e.column for e in endpoints if e.kind == "median" and e.contrastable})
        return cls(
            columns_needed(endpoints),
            tuple(levels),
            of_kind("mean"),
            of_kind("median"),
            tuple(paired) if pairs else (),
            of_kind("incidence"),
            days,
            curves,
        )


def read_column(table: Any, name: str) -> NDArray[Any]:
    """Return one column of a mapping of arrays or a pyarrow Table as numpy, nulls as NaN; KeyError when missing."""
    try:
        column = table[name]
    except KeyError:
        raise KeyError(f"the block has no column {name!r}, which an endpoint reads") from None
    if isinstance(column, np.ndarray):
        return column
    if hasattr(column, "combine_chunks"):
        column = column.combine_chunks()
    return np.asarray(
        column.to_numpy(zero_copy_only=False) if hasattr(column, "to_numpy") else column  # a plain sequence
    )


def read_levels(feature: Feature, column: NDArray[Any], days: tuple[float, ...]) -> NDArray[np.int8]:
    """Return the level of each subject (n,): a grade or count up to 5, a flag, or how many report days were reached.

    Raises ValueError for a hole in a column that has none.
    """
    measure, name = feature
    if measure == "happened":
        return (column == column).astype(np.int8)
    if measure == "time":
        reached = np.zeros(len(column), np.int8)
        for day in days:
            reached += column <= day
        return reached
    if column.dtype.kind == "f" and np.isnan(column).any():
        raise ValueError(
            f"column {name!r} has missing values; a grade, count or flag is 0 when it never came"
        )
    if column.dtype.kind == "b":
        return column.astype(np.int8)
    return np.clip(column, 0, LEVELS - 1).astype(np.int8)
