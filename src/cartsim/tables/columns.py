"""Why: table building is paid for every subject, so columns go from numpy to Arrow without a Python loop over
rows and without pandas; and what is missing becomes null here, never NaN."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cartsim.record import schema, table

_DIGITS = 7


@dataclass(frozen=True)
class Identity:
    """What is the same in every row of one arm: names, and how levels are graded.

    scale: int8[5 scales, 4 axes, 6 levels]; fever_grade: int8[5, 2] (as is, treated IV in hospital);
    needs_fever: int8[5]. `rule_names[i]` is the id behind `rule_no` i. `arm_no` counts from 1. `design_id` and
    `replicate` are numbers, or int arrays with one entry a subject where many small cells are built at once.
    """

    scenario_id: str
    design_id: int | np.ndarray
    replicate: int | np.ndarray
    arm_id: str
    arm_label: str
    arm_no: int
    product_id: str
    product_name: str
    dose_unit: str  # "10^6 CELLS" or "10^6 CELLS/kg"
    crs_scale: int
    scale: np.ndarray
    fever_grade: np.ndarray
    needs_fever: np.ndarray
    rule_names: tuple[str, ...]

    def studies(self, n: int) -> tuple[np.ndarray, list[str]]:
        """STUDYID of n subjects as (codes, names): scenario, design point and replicate are one simulated study."""
        cells = np.empty((n, 2), "i8")
        cells[:, 0], cells[:, 1] = self.design_id, self.replicate
        first = np.ones(n, bool)
        first[1:] = (cells[1:] != cells[:-1]).any(axis=1)
        names = [f"SIM-{self.scenario_id}-D{d}-R{r}" for d, r in cells[first].tolist()]
        return (np.cumsum(first) - 1).astype("i4"), names


def floats(values: np.ndarray, where: np.ndarray | None = None) -> pa.Array:
    """float64 column; null where NaN or infinite, or where `where` is false."""
    plain = np.ascontiguousarray(values, "f8")
    valid = np.isfinite(plain) if where is None else np.isfinite(plain) & where
    return _numbers(plain, valid, pa.float64())


def ints(values: np.ndarray, dtype: str, where: np.ndarray | None = None) -> pa.Array:
    """Integer column; null where `where` is false or a float source is NaN."""
    values = np.asarray(values)
    if values.dtype.kind == "f":
        valid = np.isfinite(values) if where is None else np.isfinite(values) & where
        if not valid.all():
            values = np.where(valid, values, 0.0)
    else:
        valid = where
    return _numbers(np.ascontiguousarray(values, dtype), valid, pa.from_numpy_dtype(np.dtype(dtype)))


def words(codes: np.ndarray, names: tuple[str, ...], where: np.ndarray | None = None) -> pa.Array:
    """Dictionary column: `names[code]`; null where `where` is false or the code is negative."""
    plain = np.ascontiguousarray(codes, "i4")
    valid = plain >= 0 if where is None else where & (plain >= 0)
    return pa.DictionaryArray.from_arrays(_numbers(plain, valid, pa.int32()), pa.array(names, pa.string()))


def same(word: str, n: int) -> pa.Array:
    """Dictionary column holding one word n times."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, "i4")), pa.array([word], pa.string()))


def yes(where: np.ndarray) -> pa.Array:
    """CDISC flag: `Y` or null."""
    return words(np.zeros(len(where), "i4"), ("Y",), where)


def key_columns(who: Identity, subject: np.ndarray, rows: np.ndarray | None = None) -> dict[str, pa.Array]:
    """The seven key columns; `rows` picks subjects (index within the block), one per row of a child table."""
    n = len(subject)
    numbers = {
        "design_id": np.broadcast_to(np.asarray(who.design_id, "i4"), n),
        "replicate": np.broadcast_to(np.asarray(who.replicate, "i4"), n),
        "subject": np.asarray(subject, "i8"),
    }
    codes, names = who.studies(n)
    studies = pa.array(names, pa.string())
    number = pc.utf8_lpad(pc.cast(pa.array(numbers["subject"]), pa.string()), _DIGITS, "0")
    usubjid = pc.binary_join_element_wise(studies.take(pa.array(codes)), who.arm_id, number, "-")
    if rows is not None:
        numbers = {name: values[rows] for name, values in numbers.items()}
        codes, usubjid, n = codes[rows], usubjid.take(pa.array(rows)), len(rows)
    columns = {name: pa.array(np.ascontiguousarray(values)) for name, values in numbers.items()}
    return columns | {
        "scenario_id": same(who.scenario_id, n),
        "arm_id": same(who.arm_id, n),
        "STUDYID": pa.DictionaryArray.from_arrays(pa.array(np.ascontiguousarray(codes)), studies),
        "USUBJID": usubjid,
    }


def build(name: str, columns: dict[str, pa.Array]) -> pa.Table:
    """Table in the declared order and types; KeyError when a declared column was not given."""
    return pa.Table.from_arrays([columns[c.name] for c in table(name).columns], schema=schema(name))


def in_order(rows: np.ndarray, *then: np.ndarray) -> np.ndarray | None:
    """Order that sorts by row, then by the others; None when it is so already (the usual case)."""
    sorted_already = np.zeros(max(len(rows) - 1, 0), bool)
    equal = ~sorted_already
    for values in (rows, *then):
        sorted_already |= equal & (values[1:] > values[:-1])
        equal &= values[1:] == values[:-1]
    if (sorted_already | equal).all():
        return None
    return np.lexsort((*then[::-1], rows))


def number_within(rows: np.ndarray) -> np.ndarray:
    """1, 2, 3, ... within each run of equal `rows`."""
    n = len(rows)
    index = np.arange(n)
    first = np.ones(n, bool)
    first[1:] = rows[1:] != rows[:-1]
    starts = np.flatnonzero(first)
    return index - np.repeat(starts, np.diff(starts, append=n)) + 1


def _numbers(values: np.ndarray, valid: np.ndarray | None, type_: pa.DataType) -> pa.Array:
    if valid is None or valid.all():
        return pa.Array.from_buffers(type_, len(values), [None, pa.py_buffer(values)])
    # A value under a null would still be written by some encodings: make it the same everywhere.
    values = np.where(valid, values, np.zeros((), values.dtype))
    bits = np.packbits(valid, bitorder="little")
    return pa.Array.from_buffers(type_, len(values), [pa.py_buffer(bits), pa.py_buffer(values)])
