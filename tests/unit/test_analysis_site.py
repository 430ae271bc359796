"""Waits at a site, read from stored rows."""

import pyarrow as pa
import pytest

from cartsim.analysis.site import PURPOSES, summarise_waits


def _waits(rows: list[tuple[str, int, int, str, float, float | None, float, str, float]]) -> pa.Table:
    names = [
        "arm_id",
        "replicate",
        "subject",
        "resource",
        "t_asked_d",
        "t_granted_d",
        "wait_h",
        "outcome",
        "infused_d",
    ]
    columns = {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
    columns["seq"] = list(range(len(rows)))
    return pa.table(columns)


ROWS = [
    ("a", 0, 0, "WARD_BED", 0.0, 0.0, 0.0, "GRANTED", 0.0),
    ("a", 0, 1, "WARD_BED", 1.0, 3.0, 48.0, "GRANTED", 3.0),
    ("a", 0, 1, "WARD_BED", 9.0, 9.5, 12.0, "GRANTED", 3.0),
    ("a", 0, 1, "ICU_BED", 7.0, None, 6.0, "CANCELLED", 3.0),
    ("a", 1, 0, "WARD_BED", 0.0, 1.0, 24.0, "GRANTED", 1.0),
    ("a", 1, 0, "TOCILIZUMAB", 4.0, None, 90.0, "STILL WAITING", 1.0),
]


def test_a_bed_asked_for_before_infusion_is_a_delayed_infusion() -> None:
    table = summarise_waits(_waits(ROWS)).set_index("purpose")
    assert list(table.index) == list(PURPOSES)
    assert table.loc["infusion", "requests"] == 3
    assert table.loc["ward bed after infusion", "requests"] == 1
    assert table.loc["ward bed after infusion", "wait_mean_h"] == 12.0


def test_mean_wait_and_interval_are_over_replicates() -> None:
    row = summarise_waits(_waits(ROWS)).set_index("purpose").loc["infusion"]
    # replicate means are 24 and 24 hours
    assert row["wait_mean_h"] == pytest.approx(24.0)
    assert (row["lower"], row["upper"]) == (24.0, 24.0)
    assert row["delayed_share"] == pytest.approx(2 / 3)
    assert row["wait_max_h"] == 48.0


def test_what_was_never_granted_is_counted_and_has_no_wait() -> None:
    table = summarise_waits(_waits(ROWS)).set_index("purpose")
    icu, dose = table.loc["ICU bed"], table.loc["tocilizumab dose"]
    assert (icu["granted"], icu["withdrawn"], icu["unmet"]) == (0, 1, 0)
    assert (dose["granted"], dose["withdrawn"], dose["unmet"]) == (0, 0, 1)
    assert all(table.loc[name, "wait_mean_h"] != table.loc[name, "wait_mean_h"] for name in ("ICU bed",))
