"""Why: a laboratory value in another unit is a number like any other, and a cohort of them gives an answer like any
other. So units stand in the names of the columns, every name is one of these, and values that cannot be in that unit
are refused. docs/cohorts.md tells the same to whoever makes the file.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cartsim.errors import Problem
from cartsim.evidence.population import NAMES
from cartsim.scenario.models import PLAUSIBLE
from cartsim.scenario.shape import nearest

ID, WEIGHT, SEX, HIGH_BURDEN, BURDEN = "id", "sampling_weight", "sex", "high_burden", "burden"
#: Columns of numbers: least, most, unit.
NUMBERS: dict[str, tuple[float, float, str]] = {
    **PLAUSIBLE,
    BURDEN: (-6.0, 6.0, "standard deviations (a normal score)"),
    WEIGHT: (0.0, float("inf"), "any unit"),
}
YES_NO = ("male", HIGH_BURDEN, "prior_neuro")
COLUMNS = (ID, WEIGHT, *NAMES, SEX, HIGH_BURDEN)
#: First words of columns that mean a known one in another unit, or without one.
_MEANT = {
    "age": "age_years",
    "weight": "weight_kg",
    "bodyweight": "weight_kg",
    "ldh": "ldh_u_per_l",
    "ferritin": "ferritin_ng_per_ml",
    "crp": "crp_mg_per_l",
    "platelets": "platelets_1e9_per_l",
    "platelet": "platelets_1e9_per_l",
    "plt": "platelets_1e9_per_l",
    "creatinine": "creatinine_mg_per_dl",
    "cell": "cell_dose_1e6",
    "cells": "cell_dose_1e6",
    "dose": "cell_dose_1e6",
}
_WORDS = {
    **dict.fromkeys(("1", "true", "yes", "y"), 1.0),
    **dict.fromkeys(("0", "false", "no", "n"), 0.0),
}
_SEXES = {**dict.fromkeys(("m", "male"), 1.0), **dict.fromkeys(("f", "female"), 0.0)}
#: Values of a column told in one message.
_SHOWN = 3


@dataclass
class Columns:
    """Columns of a cohort as arrays: NaN where a value is missing."""

    ids: pa.Array
    values: np.ndarray  # [rows, NAMES]
    high_burden: np.ndarray
    weights: np.ndarray | None
    unread: tuple[str, ...] = ()
    problems: list[Problem] = field(default_factory=list)


def head_problems(names: Sequence[str], file: str, line: int | None) -> tuple[list[Problem], tuple[str, ...]]:
    """Problems of the column names, and the names that are left unread because they resemble none of the contract."""
    problems, unread = [], []
    for place, name in enumerate(names):
        if not name:
            problems.append(Problem(file, line, "", f"column {place + 1} has no name", "give it one"))
        elif name in names[:place]:
            problems.append(Problem(file, line, name, "the column is repeated", "keep one of the two"))
        elif name not in COLUMNS:
            found = _strange(name)
            if found is None:
                unread.append(name)
            else:
                problems.append(Problem(file, line, name, *found))
    for pair in (("male", SEX), (BURDEN, HIGH_BURDEN)):
        if all(one in names for one in pair):
            what = f"`{pair[0]}` and `{pair[1]}` say the same thing"
            problems.append(Problem(file, line, pair[0], what, "keep one of the two"))
    if ID not in names:
        mend = "a column `id` with a number or code of each patient"
        problems.append(Problem(file, line, ID, "column `id` is missing", mend))
    return problems, tuple(unread)


def _strange(name: str) -> tuple[str, str] | None:
    """What is wrong with a name that is not in the contract, and what to write; None where it is somebody else's."""
    plain = name.lower().replace("-", "_").replace(" ", "_")
    if plain in COLUMNS:
        return "the column is spelt in another way", plain
    if plain == "weight":
        return "is this body weight or a sampling weight?", f"weight_kg, or {WEIGHT}"
    meant = _MEANT.get(plain.split("_")[0])
    if meant is not None:
        return (
            f"the unit is not the one that is needed: {NUMBERS[meant][2]}",
            f"convert it and call it {meant}",
        )
    close = nearest(plain, COLUMNS)
    if close is not None and _alike(plain, close):
        return "no such column", f"{close}, or another name if it is something else"
    return None


def _alike(name: str, known: str) -> bool:
    from difflib import SequenceMatcher

    return SequenceMatcher(None, name, known).ratio() > 0.75


def read_columns(table: pa.Table, file: str, line_of: Callable[[int], int | None]) -> Columns:
    """The columns of a table whose names are in order. `line_of`: line of a row, None where the file has no lines."""
    rows = table.num_rows
    reader = _Reader(table, file, line_of)
    values = np.full((rows, len(NAMES)), np.nan)
    for place, name in enumerate(NAMES):
        if name in table.column_names:
            values[:, place] = reader.words(name, _WORDS) if name in YES_NO else reader.numbers(name)
    if SEX in table.column_names:
        values[:, NAMES.index("male")] = reader.words(SEX, _SEXES)
    high = reader.words(HIGH_BURDEN, _WORDS) if HIGH_BURDEN in table.column_names else np.full(rows, np.nan)
    weights = reader.weights() if WEIGHT in table.column_names else None
    return Columns(reader.ids(), values, high, weights, (), reader.problems)


class _Reader:
    def __init__(self, table: pa.Table, file: str, line_of: Callable[[int], int | None]) -> None:
        self.table, self.file, self.line_of = table, file, line_of
        self.problems: list[Problem] = []

    def tell(self, name: str, where: np.ndarray, what: str, mend: str | None = None) -> None:
        """One problem for all rows in which it stands."""
        places = np.flatnonzero(where)
        if not len(places):
            return
        line = self.line_of(int(places[0]))
        row = "" if line is not None else f"row {places[0] + 1}: "
        more = f" ({len(places):,} rows like this)" if len(places) > 1 else ""
        self.problems.append(Problem(self.file, line, name, f"{row}{what}{more}", mend))

    def shown(self, name: str, where: np.ndarray) -> str:
        some = self.table[name].take(pa.array(np.flatnonzero(where)[:_SHOWN]))
        return ", ".join(str(value) for value in some.to_pylist())

    def numbers(self, name: str) -> np.ndarray:
        column = self.table[name]
        rows = self.table.num_rows
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if not (
            pa.types.is_integer(column.type)
            or pa.types.is_floating(column.type)
            or pa.types.is_null(column.type)
        ):
            self.tell(name, np.arange(rows) == 0, f"the column holds {column.type}; numbers are needed")
            return np.full(rows, np.nan)
        values = np.asarray(column.cast(pa.float64()).fill_null(np.nan).to_numpy())
        low, high, unit = NUMBERS[name]
        endless = np.isinf(values)
        self.tell(name, endless, "infinite; a number is needed")
        outside = ~endless & ((values < low) | (values > high))
        if name != WEIGHT:
            what = f"got {self.shown(name, outside)}; {name} lies between {low:g} and {high:g} {unit}"
            self.tell(name, outside, what, f"give it in {unit}")
        return values

    def weights(self) -> np.ndarray:
        values = self.numbers(WEIGHT)
        self.tell(WEIGHT, np.isnan(values), "no sampling weight", "0 for a patient who is not to be drawn")
        self.tell(
            WEIGHT,
            values < 0,
            f"got {self.shown(WEIGHT, values < 0)}; a sampling weight cannot be negative",
            "0 or more",
        )
        if not self.problems and len(values) and not values.sum() > 0:
            self.tell(
                WEIGHT, np.arange(len(values)) == 0, "all sampling weights are 0", "at least one above 0"
            )
        return values

    def words(self, name: str, meanings: dict[str, float]) -> np.ndarray:
        column = self.table[name].combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_nan(column), None, column)
            whole = pc.fill_null(pc.equal(column, pc.floor(column)), True)
            column = pc.if_else(
                whole, column.cast(pa.int64(), safe=False).cast(pa.string()), column.cast(pa.string())
            )
        text = pc.utf8_lower(pc.utf8_trim_whitespace(column.cast(pa.string())))
        text = pc.if_else(pc.equal(text, ""), None, text)
        place = pc.index_in(text, pa.array(list(meanings)))
        found = np.array([*meanings.values(), np.nan])[pc.fill_null(place, len(meanings)).to_numpy()]
        wrong = np.isnan(found) & pc.is_valid(text).to_numpy(zero_copy_only=False)
        needed = "M or F" if meanings is _SEXES else "0 or 1"
        self.tell(name, wrong, f"got {self.shown(name, wrong)}; {needed} is needed")
        return found

    def ids(self) -> pa.Array:
        column = self.table[ID].combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_floating(column.type):
            self.tell(
                ID, np.arange(len(column)) == 0, "the column holds decimal numbers", "text or whole numbers"
            )
        ids = column.cast(pa.string())
        empty = pc.fill_null(pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(ids)), 0), True)
        self.tell(ID, empty.to_numpy(zero_copy_only=False), "no id", "an id for every patient")
        if pc.count_distinct(ids).as_py() < len(ids) and not self.problems:
            codes = ids.dictionary_encode().indices.to_numpy()
            first = np.zeros(len(ids), bool)
            first[np.unique(codes, return_index=True)[1]] = True
            earlier = int(np.flatnonzero(codes == codes[np.flatnonzero(~first)[0]])[0])
            line = self.line_of(earlier)
            where = f"line {line}" if line is not None else f"row {earlier + 1}"
            what = f"id {self.shown(ID, ~first).split(', ')[0]} stands on {where} already"
            self.tell(ID, ~first, what, "one row a patient")
        return ids
