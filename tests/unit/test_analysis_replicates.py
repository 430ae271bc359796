"""Replicates as the unit: mean, interval and what pairing saved."""

import math

import pytest

from cartsim.analysis.replicates import arm_values, compare_unpaired, over_replicates

PLACE = {"endpoint": "crs_ge3", "scale": "astct2019", "view": "observed", "level": None}


def _outcome(arm: str, value: float | None) -> dict[str, object]:
    return PLACE | {"arm_id": arm, "summary": "proportion", "value": value, "estimand_id": "x"}


def _difference(value: float) -> dict[str, object]:
    return PLACE | {
        "arm_id": "new",
        "reference_arm": "old",
        "summary": "risk difference",
        "value": value,
        "estimand_id": "y",
        "interval_method": "Wald",
        "sd_subject": 1.0,
    }


def test_variance_ratio_is_unpaired_over_paired_variance() -> None:
    old, new = [0.10, 0.20, 0.30], [0.15, 0.24, 0.36]
    per_replicate = [[_outcome("old", a), _outcome("new", b)] for a, b in zip(old, new, strict=True)]
    rows = over_replicates([[_difference(b - a)] for a, b in zip(old, new, strict=True)], 0.95)
    compare_unpaired(rows, arm_values(per_replicate), 0.95)
    spread_old, spread_new, spread_difference = 0.01, 0.0111, 0.0001
    assert rows[0]["variance_ratio"] == pytest.approx((spread_old + spread_new) / spread_difference)
    half = (rows[0]["unpaired_upper"] - rows[0]["unpaired_lower"]) / 2
    # Student quantile of 2 degrees of freedom
    assert half == pytest.approx(4.302652729911275 * math.sqrt((spread_old + spread_new) / 3))


def test_one_replicate_has_a_value_and_no_interval() -> None:
    rows = over_replicates([[_difference(0.05)]], 0.95)
    compare_unpaired(rows, arm_values([[_outcome("old", 0.1), _outcome("new", 0.15)]]), 0.95)
    assert rows[0]["value"] == 0.05
    assert rows[0]["lower"] is None
    assert rows[0]["variance_ratio"] is None


def test_a_difference_that_never_varies_has_no_ratio() -> None:
    per_replicate = [[_outcome("old", a), _outcome("new", a)] for a in (0.1, 0.2)]
    rows = over_replicates([[_difference(0.0)], [_difference(0.0)]], 0.95)
    compare_unpaired(rows, arm_values(per_replicate), 0.95)
    assert rows[0]["variance_ratio"] is None


def test_an_interval_of_a_share_stays_between_0_and_1() -> None:
    rows = [[_outcome("old", value) | {"interval_method": "Wilson"}] for value in (0.0, 0.0, 0.05)]
    combined = over_replicates(rows, 0.95)[0]
    assert combined["lower"] == 0.0
    assert combined["upper"] == pytest.approx(0.05 / 3 + 4.302652729911275 * 0.05 / 3)
