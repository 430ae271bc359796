"""Residuals by hand, and which rows enter a fit."""

from dataclasses import replace
from pathlib import Path

import pytest

from cartsim.calibrate.loss import EMPTY, choose_rows, parts_of, residuals, simulated_numbers
from cartsim.errors import InvalidInput
from cartsim.evidence.targets import Target, load_targets


@pytest.fixture(scope="module")
def row() -> Target:
    found = [one for one in load_targets().rows if one.id == "zuma1_uspi2017/crs_grade_ge3/proportion"]
    assert len(found) == 1
    return found[0]


def test_share_by_hand(row: Target) -> None:
    (part,) = parts_of(replace(row, value=0.2, denominator=100))
    assert part.error == pytest.approx((0.2 * 0.8 / 100 + 0.015**2) ** 0.5)
    assert residuals([part], [0.25]) == pytest.approx([0.05 / part.error])


def test_recalled_rows_have_the_doubled_error(row: Target) -> None:
    (plain,), (recalled,) = parts_of(row), parts_of(replace(row, use="recalled"))
    assert recalled.error == pytest.approx(2 * plain.error)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_none_and_all_are_not_known_without_error(row: Target, share: float) -> None:
    (part,) = parts_of(replace(row, value=share, denominator=50))
    assert part.error == pytest.approx((0.01 * 0.99 / 50 + 0.015**2) ** 0.5)


def test_counts_are_shares_of_their_total(row: Target) -> None:
    counted = replace(row, statistic="count", value=20.0, denominator=64)
    (part,) = parts_of(counted)
    assert part.observed == pytest.approx(20 / 64)
    assert simulated_numbers(counted, 32.0) == pytest.approx([0.5])


def test_medians_and_quartiles_by_hand(row: Target) -> None:
    (part,) = parts_of(replace(row, statistic="median", value=8.0))
    assert part.error == pytest.approx((0.8**2 + 0.3**2) ** 0.5)
    quartiles = replace(row, statistic="iqr", value=None, low=2.0, high=7.0)
    first, third = parts_of(quartiles)
    assert (first.name, third.name) == ("q1", "q3")
    assert first.error == pytest.approx(1.5 * (0.2**2 + 0.3**2) ** 0.5)
    assert simulated_numbers(quartiles, (2.5, 6.0)) == [2.5, 6.0]


def test_a_figure_about_nobody_has_a_fixed_residual(row: Target) -> None:
    assert residuals(parts_of(row), [float("nan")]) == [EMPTY]


@pytest.mark.parametrize("statistic", ["mean", "p_value", "note"])
def test_other_statistics_cannot_be_fitted(row: Target, statistic: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be fitted"):
        parts_of(replace(row, statistic=statistic))


def test_no_row_to_predict_enters_the_fit() -> None:
    targets = load_targets()
    chosen = choose_rows(targets.rows)
    assert {row.use for row in chosen.rows} == {"fit", "recalled"}
    assert len([row for row in chosen.rows if row.use == "fit"]) == 50
    blind = {(row.patient_set, row.endpoint, row.statistic) for row in targets.rows if "predict" in row.use}
    recalled = {(r.patient_set, r.endpoint, r.statistic) for r in chosen.rows if r.use == "recalled"}
    assert not blind & recalled
    assert not [row for row in chosen.rows if row.cohort_id == "zuma2"]


def test_every_row_that_is_left_out_has_a_reason() -> None:
    targets = load_targets()
    chosen = choose_rows(targets.rows)
    could = [row for row in targets.rows if row.use in ("fit", "recalled")]
    assert len(chosen.rows) + len(chosen.left_out) == len(could)
    left = {row.id: why for row, why in chosen.left_out}
    assert "Penn row" in left["juliet_regrade/crs_any/proportion/lee2014"]
    assert "to predict" in left["zuma1_pivotal/hypoxia/proportion"]
    assert "to predict" in left["eliana/icu_admission/proportion"]  # called icu_admission_of_crs there


def test_a_recalled_row_without_rows_to_predict_stays(row: Target) -> None:
    recalled = replace(row, use="recalled")
    assert choose_rows([recalled]).rows == (recalled,)
    assert choose_rows([recalled, replace(row, use="predict_same")]).rows == ()


def test_a_wrong_list_of_repeats_is_refused(tmp_path: Path, row: Target) -> None:
    path = tmp_path / "repeats.yaml"
    path.write_text("schema: cartsim/calibration-repeats/1\nleft_out: [{cohort: zuma2}]\n", "utf-8")
    with pytest.raises(InvalidInput, match="repeats"):
        choose_rows([row], path)
