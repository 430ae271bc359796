"""The numbers of result rows as arrays (rows of a design point, cohorts), and how they become an Arrow table.

A missing number is NaN in a float array and negative in a count, and null in the table: NaN would be averaged away
by one reader and plotted by the next.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cartsim.analysis.intervals import CODE, METHODS

#: Floats of both tables, and those of contrasts alone.
OUTCOME_FLOATS = ("value", "sd_subject", "mcse", "lower", "upper")
CONTRAST_FLOATS = (
    *OUTCOME_FLOATS,
    "variance_ratio",
    "unpaired_lower",
    "unpaired_upper",
    "harm_lower",
    "harm_upper",
    "nnt",
    "nnt_lower",
    "nnt_upper",
)
#: Words that a cohort's numbers decide, as codes.
CODED: dict[str, tuple[str, ...]] = {"interval_method": METHODS, "nnt_kind": ("NNT", "NNH")}

Block: TypeAlias = Mapping[str, NDArray[np.generic]]


class Numbers:
    """Every column of numbers, (rows, cohorts), filled one group of rows at a time."""

    def __init__(self, rows: int, cohorts: int, *, contrasts: bool) -> None:
        self.shape = (rows, cohorts)
        self.floats = {
            name: np.full(self.shape, np.nan) for name in (CONTRAST_FLOATS if contrasts else OUTCOME_FLOATS)
        }
        self.counts = {
            "n_units": np.zeros(self.shape, np.int64),
            "n_events": np.full(self.shape, -1, np.int64),
        }
        self.codes = {"interval_method": np.full(self.shape, CODE["none"], np.int8)}
        self.words: dict[str, Sequence[str]] = dict(CODED)
        if contrasts:
            for name in ("n10", "n01"):
                self.counts[name] = np.full(self.shape, -1, np.int64)
            self.codes["nnt_kind"] = np.full(self.shape, -1, np.int8)

    def put(self, rows: Sequence[int] | NDArray[np.integer], **columns: NDArray[np.generic]) -> None:
        """Fill `columns` (len(rows), cohorts) of some rows."""
        for name, values in columns.items():
            for held in (self.floats, self.counts, self.codes):
                if name in held:
                    held[name][rows] = values
                    break
            else:
                raise KeyError(name)


def write_table(
    types: Mapping[str, pa.DataType],
    static: Mapping[str, Sequence[str | float | None]],
    numbers: Numbers,
    design_id: NDArray[np.integer],
) -> pa.Table:
    """Return the table with the columns `types`: for each design point (columns of `numbers`) all rows in order."""
    rows, points = numbers.shape
    arrays: dict[str, pa.Array] = {"design_id": pa.array(np.repeat(design_id, rows), types["design_id"])}
    for name, values in static.items():
        arrays[name] = _repeat(values, points, types[name])
    for name, held in numbers.floats.items():
        flat = held.T.ravel()
        arrays[name] = pa.array(flat, mask=flat != flat)
    for name, counted in numbers.counts.items():
        flat = counted.T.ravel()
        arrays[name] = pa.array(flat, mask=flat < 0)
    for name, codes in numbers.codes.items():
        flat = codes.T.ravel().astype(np.int32)
        arrays[name] = _words(flat, list(numbers.words[name]))
    nothing = {name: pa.nulls(rows * points, type_) for name, type_ in types.items() if name not in arrays}
    return pa.table({name: arrays[name] if name in arrays else nothing[name] for name in types})


def _repeat(values: Sequence[str | float | None], times: int, type_: pa.DataType) -> pa.Array:
    if not pa.types.is_dictionary(type_):
        numbers = np.array([np.nan if v is None else v for v in values], np.float64)
        flat = np.tile(numbers, times)
        return pa.array(flat, mask=flat != flat)
    texts = list(dict.fromkeys(str(v) for v in values if v is not None))
    at = {text: code for code, text in enumerate(texts)}
    codes = np.array([-1 if v is None else at[str(v)] for v in values], np.int32)
    return _words(np.tile(codes, times), texts)


def _words(codes: NDArray[np.int32], texts: list[str]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), pa.array(texts, pa.string()))
