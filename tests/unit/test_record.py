"""The declared tables keep their own rules, and the check refuses what breaks them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cartsim import record
from cartsim.errors import OutputBroken
from cartsim.record.kinds import XPT_LABEL, XPT_NAME, XPT_TEXT

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = [(t.name, c) for t in record.TABLES.values() for c in t.columns]


def stockouts(**changed: object) -> pa.Table:
    """A small valid table with several kinds of columns; keyword arguments replace columns."""
    columns: dict[str, object] = {
        "scenario_id": ["s"] * 3, "design_id": [0] * 3, "replicate": [0] * 3, "arm_id": ["a"] * 3,
        "resource": ["WARD_BED", "TOCILIZUMAB", "TOCILIZUMAB"], "seq": [1, 1, 2],
        "t_start_d": [0.0, 2.0, 5.0], "t_end_d": [1.0, 4.0, None], "max_waiting": [1, 3, 1],
    }  # fmt: skip
    columns |= changed
    schema = record.schema("ward_stockouts")
    return pa.Table.from_arrays([pa.array(columns[f.name], f.type) for f in schema], schema=schema)


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=[f"{t}.{c.name}" for t, c in COLUMNS])
def test_names_labels_and_codelists_fit_the_transport_format(table: str, column: record.Column) -> None:
    assert 0 < len(column.label) <= XPT_LABEL
    assert all(len(v) <= XPT_TEXT for v in column.values)
    assert column.name.isascii() and column.label.isascii()
    if column.is_clinical:
        assert len(column.name) <= XPT_NAME
    else:
        assert column.name == column.name.lower()


def test_every_day_and_hour_column_says_its_unit() -> None:
    for table, column in COLUMNS:
        if column.name.endswith("_d") or column.name in ("ASTDY", "AENDY", "DTHADY"):
            assert column.unit == "d", f"{table}.{column.name}"
        if column.name.endswith("_h"):
            assert column.unit == "h", f"{table}.{column.name}"


def test_no_column_is_declared_twice_and_units_travel_in_the_schema() -> None:
    for spec in record.TABLES.values():
        assert len(set(spec.schema.names)) == len(spec.columns)
        assert len(spec.keys) >= 4
    field = record.schema("adsl").field("crp_mg_per_l")
    assert field.metadata[b"unit"] == b"mg/L" and field.metadata[b"label"] == b"Baseline CRP"


def test_subject_tables_share_their_key() -> None:
    shared = ["scenario_id", "design_id", "replicate", "arm_id", "subject", "STUDYID", "USUBJID"]
    for name in ("adsl", "adae", "adcm", "adex", "adtte", "grade_intervals", "events", "ward_waits"):
        assert record.schema(name).names[:7] == shared


def test_a_valid_table_passes() -> None:
    record.check("ward_stockouts", stockouts())


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"t_start_d": [0.0, np.nan, 5.0]}, "NaN"),
        ({"t_end_d": [1.0, np.inf, None]}, "infinity"),
        ({"t_start_d": [0.0, None, 5.0]}, "nulls"),
        ({"t_start_d": [0.0, 4.5, 5.0]}, "before t_start_d"),
        ({"resource": ["WARD_BED", "TOCILIZUMAB", "MORPHINE"]}, "codelist"),
        ({"seq": [1, 1, 1]}, "primary key"),
        ({"seq": [1, 2, 1]}, "primary key"),
    ],
)
def test_broken_values_are_refused(changed: dict[str, object], says: str) -> None:
    with pytest.raises(OutputBroken, match=says):
        record.check("ward_stockouts", stockouts(**changed))


def test_broken_schemas_are_refused() -> None:
    good = stockouts()
    with pytest.raises(OutputBroken, match="missing"):
        record.check("ward_stockouts", good.drop_columns(["seq"]))
    with pytest.raises(OutputBroken, match="another order"):
        record.check("ward_stockouts", good.select(good.schema.names[::-1]))
    wider = good.set_column(5, "seq", good["seq"].cast(pa.int64()))
    with pytest.raises(OutputBroken, match="int64"):
        record.check("ward_stockouts", wider)


def test_an_arm_may_begin_again_at_the_first_key() -> None:
    record.check("ward_stockouts", stockouts(arm_id=["a", "b", "c"], seq=[2, 1, 1]))


def test_grades_outside_the_scale_are_refused() -> None:
    schema = record.schema("outcomes")
    assert record.table("adsl").column("crs_max_grade").top == 5
    one = pa.Table.from_arrays([pa.nulls(2, f.type) for f in schema], schema=schema)
    with pytest.raises(OutputBroken, match="nulls"):
        record.check("outcomes", one)


def test_cnsr_is_zero_exactly_for_events() -> None:
    schema = record.schema("adtte")
    values = {"PARAMCD": "OS", "PARAM": "Overall Survival (days)", "AVAL": 3.0, "AVALU": "DAYS", "CNSR": 0, "evtype": 1,
              "EVNTDESC": "DEATH", "SRCDOM": "ADSL", "subject": 1, "design_id": 0, "replicate": 0}  # fmt: skip
    row = {f.name: values.get(f.name, "x") for f in schema}
    table = pa.Table.from_pylist([row], schema=schema)
    record.check("adtte", table)
    for cnsr, evtype in ((1, 1), (0, 2), (0, 0)):
        broken = pa.Table.from_pylist([row | {"CNSR": cnsr, "evtype": evtype}], schema=schema)
        with pytest.raises(OutputBroken, match="evtype"):
            record.check("adtte", broken)
    with pytest.raises(OutputBroken, match=r"0\.\.3"):
        record.check("adtte", pa.Table.from_pylist([row | {"CNSR": 1, "evtype": 4}], schema=schema))


def test_the_same_statistic_twice_is_refused_in_any_order() -> None:
    schema = record.schema("outcomes")
    base = {"scenario_id": "s", "design_id": 0, "arm_id": "a", "estimand_id": "e", "population": "all",
            "variable": "v", "endpoint": "crs_ge3", "horizon_d": 30.0, "summary": "proportion",
            "ice_rescue": "treatment policy", "ice_death": "composite", "replication_unit": "subject",
            "n_units": 10, "evidence_status": "assumed"}  # fmt: skip
    row = {name: base.get(name) for name in schema.names}
    two = [row, row | {"arm_id": "b"}, row | {"level": 0.5}]
    record.check("outcomes", pa.Table.from_pylist(two, schema=schema))
    with pytest.raises(OutputBroken, match="repeated"):
        record.check("outcomes", pa.Table.from_pylist([*two, row], schema=schema))


def test_unknown_tables_are_named() -> None:
    with pytest.raises(KeyError, match="adsl"):
        record.table("adpc")


def test_the_data_dictionary_is_in_step_with_the_declarations() -> None:
    stored = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    assert stored == record.data_dictionary(), "run: python -m cartsim.record > results/README.md"
