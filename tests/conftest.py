"""Shared by all tests: where the repository is, a fixed Hypothesis profile so that every run tests the same, a small
scenario to vary, and what "the same bits" means."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")

#: Columns that name the arm; two arms that must not differ still bear different names.
ARM_NAMES = ("arm_id", "USUBJID", "TRT01P", "TRT01PN", "TRT01A", "rule_id")


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root folder of the repository."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def probe() -> Callable[..., dict[str, Any]]:
    """A small valid scenario as plain data; keyword arguments replace whole top-level keys, `subjects` its number."""

    def make(subjects: int = 100, **changes: Any) -> dict[str, Any]:
        return {
            "schema": "cartsim/scenario/1",
            "id": "probe",
            "title": "A small scenario",
            "product": "axi-cel",
            "population": {"subjects": subjects},
            "arms": [{"id": "asco", "policy": "asco_2021"}, {"id": "none", "policy": "no_treatment"}],
            "run": {"seed": 20261122},
        } | changes

    return make


@pytest.fixture(scope="session")
def differing() -> Callable[..., list[str]]:
    """Columns in which two Arrow tables differ in a single bit, nulls included; empty when they are the same."""

    def plain(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
        if pa.types.is_dictionary(column.type):
            column = column.cast(pa.string())
        missing = column.is_null().to_numpy()
        if pa.types.is_floating(column.type):
            return pc.fill_null(column, 0.0).to_numpy().view("i8"), missing
        return column.to_numpy(zero_copy_only=False), missing

    def compare(first: pa.Table, second: pa.Table, ignore: Collection[str] = ()) -> list[str]:
        assert first.column_names == second.column_names
        if first.num_rows != second.num_rows:
            return [f"{first.num_rows} and {second.num_rows} rows"]
        found = []
        for name in first.column_names:
            (x, x_missing), (y, y_missing) = plain(first[name]), plain(second[name])
            if name not in ignore and not (
                np.array_equal(x_missing, y_missing) and np.array_equal(x[~x_missing], y[~y_missing])
            ):
                found.append(name)
        return found

    return compare


@pytest.fixture(scope="session")
def arm_names() -> tuple[str, ...]:
    """Columns to leave out when the rows of two arms are compared."""
    return ARM_NAMES
