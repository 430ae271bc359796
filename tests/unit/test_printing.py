"""How the answer looks: digits that fit the interval, tables that fit the terminal, files worth opening."""

from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest

from cartsim.commands.console import file_lines, outcome_grid
from cartsim.commands.numbers import show_interval, show_number, show_ratio
from cartsim.commands.site import site_grid
from cartsim.commands.terminal import Grid, fits, lay_out, wrap
from cartsim.store.place import Place


def interval(value: float, lower: float, upper: float) -> dict[str, float]:
    return {"value": value, "lower": lower, "upper": upper}


@pytest.mark.parametrize(
    ("row", "form", "text"),
    [
        (interval(0, 0, 0), "percent", "0"),
        (interval(0, -0.0004, 0.0004), "percent", "0 (-0.04 to +0.04)"),
        (interval(-0.0002, -0.0008, 0.0003), "percent", "-0.02 (-0.08 to +0.03)"),
        (interval(-0.004, -0.0098, -0.0004), "percent", "-0.40 (-0.98 to -0.04)"),
        (interval(-0.189, -0.197, -0.182), "percent", "-18.9 (-19.7 to -18.2)"),
        (interval(-0.007, -0.009, -0.005), "days", "-0.007 (-0.009 to -0.005)"),
        (interval(12.3, 10.1, 14.5), "days", "+12.3 (+10.1 to +14.5)"),
    ],
)
def test_a_difference_has_the_digits_of_its_interval(row: dict[str, float], form: str, text: str) -> None:
    assert show_interval(row, form, sign=True) == text


@pytest.mark.parametrize(
    ("row", "form", "text"),
    [
        (interval(0, 0, 0.0004), "percent", "0 (0–0.04)"),
        (interval(1, 0.998, 1), "percent", "100.0 (99.8–100.0)"),
        (interval(0.017, -0.004, 0.037), "percent", "1.7 (-0.4 to 3.7)"),
        (interval(2.25, 2.25, 2.25), "days", "2.25 (2.25–2.25)"),
    ],
)
def test_one_arm_has_no_signs(row: dict[str, float], form: str, text: str) -> None:
    assert show_interval(row, form) == text


def test_no_negative_zero_is_printed() -> None:
    """-1e-9 rounds to 0.0, without a sign; an exact nothing is 0."""
    assert show_number(-1e-9, "days", sign=True) == "0.00"
    assert show_number(-0.0, "percent", sign=True) == "0"
    assert show_number(None, "days") == "–"


def test_ratios_lose_their_decimals_when_large() -> None:
    assert [show_ratio(value) for value in (1.04, 9.96, 12.4, 2159.2, float("inf"), None)] == [
        "1.0",
        "10",
        "12",
        "2,159",
        "–",
        "–",
    ]


def grid(arms: int) -> Grid:
    cells = [[("+10.1 (+9.0 to +11.2)", "3.0", "NNH 7")] * arms for _ in range(9)]
    rows = [f"Endpoint number {k}, points" for k in range(9)]
    return Grid(rows, [f"arm {k} with a label" for k in range(arms)], cells, ("", "VR", ""))


@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize("arms", [1, 2, 3, 4, 8])
def test_tables_fit_the_width(arms: int, width: int) -> None:
    assert all(fits(table, width) for table in lay_out(grid(arms), width))


def test_few_arms_are_spread_and_many_turned() -> None:
    """Two arms that do not fit give two tables of all endpoints; eight become the rows of every table."""
    assert [table.row_count for table in lay_out(grid(2), 80)] == [9, 9]
    assert [table.row_count for table in lay_out(grid(2), 120)] == [9]
    turned = lay_out(grid(8), 120)
    assert {table.row_count for table in turned} == {8}
    assert sum(len(table.columns) - 1 for table in turned) == 9
    assert "VR 3.0, NNH 7" in str(next(iter(turned[0].columns[1].cells)))


def test_a_number_keeps_its_unit_when_a_line_is_wrapped() -> None:
    text = "harm 0 to 32.1 % and CRS grade ≥ 2 of the others"
    for width in range(14, 60):
        lines = wrap(text, width).splitlines()
        assert not any(line.strip().startswith(("%", "2 of")) for line in lines)
        assert " ".join(line.strip() for line in lines) == text


def test_files_are_named_by_what_they_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = ["adsl/part-00000.parquet", "adsl/part-00001.parquet", "outcomes.parquet", "a.png", "a.svg"]
    files += ["tallies/part-00000.parquet", "blocks/00000-0123456789ab.json", "manifest.json"]
    lines = list(file_lines(Place.of(tmp_path / "results" / "x"), files))
    assert lines[0] == "Files in results/x"
    told = "\n".join(lines)
    assert told.count("adsl/") == 1 and "part-" not in told
    # counts and markers are not for reading
    assert "tallies" not in told and "blocks" not in told and "design.parquet" not in told
    assert lines[-1].strip() == "a: .png and .svg"
    assert "design.parquet" in "\n".join(file_lines(Place.of(tmp_path), ["design.parquet"]))


def waits(*rows: tuple[str, int, str, int, float, float, str]) -> pa.Table:
    names = ("arm_id", "replicate", "resource", "subject", "t_asked_d", "wait_h", "outcome")
    columns = {name: [row[k] for row in rows] for k, name in enumerate(names)}
    return pa.table(columns | {"seq": [1] * len(rows), "infused_d": [1.0] * len(rows)})


def test_waiting_is_told_by_purpose_and_arm() -> None:
    """Two infusions, one of which waited 24 h; a dose that never came; nobody asked for intensive care."""
    table = waits(
        ("a", 0, "WARD_BED", 0, 0.0, 24.0, "GRANTED"),
        ("a", 0, "WARD_BED", 1, 1.0, 0.0, "GRANTED"),
        ("a", 0, "TOCILIZUMAB", 0, 3.0, 50.0, "CANCELLED"),
    )
    study = SimpleNamespace(arrow=lambda name: table)
    scenario = SimpleNamespace(arms=[SimpleNamespace(id="a", label="one")])
    shown = site_grid(study, scenario)  # type: ignore[arg-type]
    told = dict(zip(shown.rows[:5], (cell[0][0] for cell in shown.cells[:5]), strict=True))
    assert told["Bed for the infusion: requests"] == "2"
    assert told["  had to wait, %"] == "50.0"
    assert told["  wait, h"] == "12.0"
    assert "ICU bed: requests" not in shown.rows
    assert shown.cells[-1][0] == ("1",)


def test_grid_of_outcomes_leaves_out_what_a_run_has_not() -> None:
    """An endpoint without a row is no line of dashes."""
    base = {"arm_id": "a", "summary": "mean", "scale": None, "view": None, "lower": 1.0, "upper": 2.0}
    table = pa.Table.from_pylist([base | {"endpoint": "icu_days", "value": 1.5}])
    scenario = SimpleNamespace(
        arms=[SimpleNamespace(id="a", label="one")], grading=SimpleNamespace(crs="penn")
    )
    shown = outcome_grid(SimpleNamespace(arrow=lambda name: table), scenario)  # type: ignore[arg-type]
    assert list(shown.rows) == ["ICU days"] and shown.cells == [[("1.50 (1.00–2.00)",)]]
