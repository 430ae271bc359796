"""Scores by hand: intervals, the naive forecast, tiers and what is counted, and what leaves the command."""

import math
from typing import Any

import pytest
from scipy import stats
from validation_builder import days_target, make_cohort, make_prediction, make_target

from cartsim.commands.validate import parse_cohorts, parse_only
from cartsim.errors import InvalidInput
from cartsim.record import check
from cartsim.report.validation_figure import figure_files
from cartsim.validate.naive import beta_binomial, correlation, naive_forecast, published_events
from cartsim.validate.published import Asked, plain, publish, validation_table
from cartsim.validate.score import (
    SCORED,
    Row,
    binomial_width,
    day_width,
    interval_score,
    make_rows,
)
from cartsim.validate.summary import make_score, summary
from cartsim.validate.text import by_cohort, markdown, row_cells, score_lines, set_lines

COHORTS = {
    "one": make_cohort("one"),
    "two": make_cohort("two"),
    "three": make_cohort("three", product="liso-cel"),
    "other": make_cohort("other", policy="early"),
}


def fitted() -> list[Any]:
    """Two fitted cohorts with CRS in 90 of 100 and 20 of 50, and medians of 2 and 5 days among 100 and 50."""
    two = {"cohort_id": "two", "patient_set": "two", "use": "fit"}
    three = {"cohort_id": "three", "patient_set": "three", "use": "fit", "n": 50, "denominator": 50}
    return [
        make_target(**two, value=0.9),
        make_target(**three, value=0.4),
        days_target(**two, value=2.0, denominator=100),
        days_target(**three, value=5.0),
    ]


def rows_of(*predictions: Any) -> list[Row]:
    return make_rows(predictions, COHORTS, fitted())


def test_interval_score_by_hand() -> None:
    assert interval_score(2, 5, 3) == 3
    assert interval_score(2, 5, 1.5) == pytest.approx(3 + 40 * 0.5)
    assert interval_score(2, 5, 6) == pytest.approx(3 + 40)
    assert math.isnan(interval_score(math.nan, math.nan, 1))


def test_widths_that_scores_are_divided_by() -> None:
    chance = stats.binom(100, 40.5 / 101)
    assert binomial_width(40, 100) == chance.ppf(0.975) - chance.ppf(0.025)
    assert binomial_width(0, 46) == 2  # none of 46 is not certainty
    assert binomial_width(46, 46) == 2
    assert day_width(7) == pytest.approx(2 * 1.959964 * math.hypot(1.05, 0.3))
    assert day_width(0) == pytest.approx(2 * 1.959964 * 0.3)


def test_a_share_is_that_of_whole_patients() -> None:
    """0.18 of 82 is 15 patients, and 15 patients are inside an interval that ends at 15."""
    target = make_target(n=82, denominator=82, value=0.18)
    assert published_events(target) == 15
    (row,) = rows_of(make_prediction(target, (0.1, 5 / 82, 15 / 82)))
    assert row.inside and row.numbers[0].published == 15 / 82
    low, high = stats.binomtest(15, 82).proportion_ci(method="exact")
    assert row.numbers[0].exact == pytest.approx((low, high))
    assert not rows_of(make_prediction(target, (0.1, 5 / 82, 14 / 82)))[0].inside


def test_a_share_is_scored_in_binomial_widths() -> None:
    (row,) = rows_of(make_prediction(make_target(), (0.5, 0.45, 0.65)))
    width = binomial_width(40, 100) / 100
    assert row.width_ratio == pytest.approx(0.2 / width)
    assert row.score == pytest.approx((0.2 + 40 * 0.05) / width)
    assert not row.inside and row.scored and row.tier == "predict_new"


def test_a_count_is_told_in_events() -> None:
    target = make_target(statistic="count", value=39.0, unit="event", endpoint="regrade_lower_events")
    (row,) = rows_of(make_prediction(target, (0.4, 0.3, 0.5)))
    number = row.numbers[0]
    assert (number.published, number.value, number.lower, number.upper) == (39, 40, 30, 50)
    assert row.inside and row.width_ratio == pytest.approx(20 / binomial_width(39, 100))


def test_days_have_no_interval_finer_than_a_day() -> None:
    (row,) = rows_of(make_prediction(days_target(), (4.6, 4, 6), chance=(0.0, 0.0)))
    assert row.width_ratio == 2  # two days, where chance alone leaves the same whole day
    assert row.score == pytest.approx(2 / day_width(5))
    assert row.is_time and row.within
    far = rows_of(make_prediction(days_target(value=5.0), (4.2, 4, 6), chance=(-1.0, 1.0)))[0]
    assert far.inside and not far.within and far.width_ratio == 1


def test_both_quartiles_must_be_inside() -> None:
    target = days_target(statistic="iqr", value=None, low=3.0, high=8.0)
    inside, outside = ((3.0, 2, 4), (8.0, 6, 9)), ((3.0, 2, 4), (6.0, 5, 7))
    assert rows_of(make_prediction(target, *inside, chance=(-1.0, 1.0)))[0].inside
    (row,) = rows_of(make_prediction(target, *outside, chance=(-1.0, 1.0)))
    assert not row.inside and not row.is_time
    assert row.score == pytest.approx((2 / day_width(3) + (2 + 40) / day_width(8)) / 2)


def test_naive_share_is_pooled_by_patients() -> None:
    target = make_target()
    found = naive_forecast(target, make_prediction(target, (0.4, 0.3, 0.5)).forecasts, fitted(), COHORTS)
    assert found is not None and found.cohorts == 2
    pooled = stats.binom(100, 110 / 150)
    assert found.pooled[0] == (pooled.ppf(0.025) / 100, pooled.ppf(0.975) / 100)
    assert found.spread[0][0] < found.pooled[0][0] and found.spread[0][1] > found.pooled[0][1]


def test_naive_days_are_the_weighted_mean_with_the_chance_of_the_trial() -> None:
    target = days_target()
    prediction = make_prediction(target, (4.0, 3, 6), chance=(-1.0, 2.0))
    found = naive_forecast(target, prediction.forecasts, fitted(), COHORTS)
    assert found is not None and found.pooled == ((2.0, 5.0),)  # (2 * 100 + 5 * 50) / 150 = 3
    more = 1.959964 * math.sqrt(4.5)
    assert found.spread[0] == pytest.approx((3 - math.hypot(1, more), 3 + math.hypot(2, more)))


@pytest.mark.parametrize(
    "change",
    [
        {"endpoint": "crs_grade_ge3"},
        {"grading_crs": "Penn"},
        {
            "statistic": "count",
            "endpoint": "regrade_lower_events",
            "grading_crs": "Lee vs Penn",
            "value": 4.0,
        },
    ],
)
def test_no_naive_forecast_from_another_endpoint_or_scale(change: dict[str, Any]) -> None:
    (row,) = rows_of(make_prediction(make_target(**change), (0.4, 0.3, 0.5)))
    assert row.naive_score is None
    assert summary([row])["naive_missing"] == 1 and summary([row])["naive_interval_score"] is None


def test_a_fitted_row_does_not_forecast_itself() -> None:
    first, other = fitted()[:2]
    found = naive_forecast(first, make_prediction(first, (0.9, 0.8, 1)).forecasts, fitted(), COHORTS)
    pooled = stats.binom(100, 0.4)
    assert other.value == 0.4 and found is not None and found.cohorts == 1
    assert found.pooled[0] == (pooled.ppf(0.025) / 100, pooled.ppf(0.975) / 100)
    assert found.spread == found.pooled


def test_beta_binomial_and_how_alike_patients_of_a_cohort_are() -> None:
    import numpy as np

    found = beta_binomial(30, 0.3, 0.2)
    assert found == pytest.approx(stats.betabinom(30, 0.3 * 4, 0.7 * 4).pmf(np.arange(31)), abs=1e-12)
    assert beta_binomial(30, 0.3, 0.0) == pytest.approx(stats.binom(30, 0.3).pmf(np.arange(31)))
    assert correlation(np.array([30.0, 60.0]), np.array([100.0, 200.0])) == 0
    # 20 cohorts of 200 with shares from Beta(3, 5): intraclass correlation 1/9
    rng = np.random.default_rng(3)
    alike = [
        correlation(rng.binomial(200, rng.beta(3, 5, 20)).astype(float), np.full(20, 200.0))
        for _ in range(300)
    ]
    assert np.mean(alike) == pytest.approx(1 / 9, abs=0.02)


def test_another_policy_than_that_of_the_fitted_cohorts_is_a_contrast() -> None:
    usual, early = (
        make_prediction(make_target(cohort_id=name), (0.4, 0.3, 0.5)) for name in ("one", "other")
    )
    assert [row.contrast for row in rows_of(usual, early)] == [False, True]
    score = make_score(rows_of(usual, early))
    assert (score["policy_contrast_rows"], score["predict_new_rows"]) == (1, 2)


def ten_rows() -> list[Row]:
    """Fit: one in, one out; same patients: in; new patients: out, unpredicted; a recalled row out."""
    made = [
        make_prediction(make_target(use="fit", value=0.4), (0.4, 0.3, 0.5)),
        make_prediction(days_target(use="fit"), (7.0, 6, 8), chance=(-1.0, 1.0)),
        make_prediction(make_target(use="predict_same", endpoint="hypoxia"), (0.4, 0.3, 0.5)),
        make_prediction(make_target(patient_set="two", cohort_id="two", value=0.1), (0.4, 0.3, 0.5)),
        make_prediction(
            make_target(patient_set="two", cohort_id="two", endpoint="hypoxia"),
            (math.nan, math.nan, math.nan),
        ),
        make_prediction(make_target(use="recalled", endpoint="hypotension", value=0.9), (0.4, 0.3, 0.5)),
    ]
    return rows_of(*made)


def test_score_counts_rows_by_tier_and_patients() -> None:
    score = make_score(ten_rows())
    told = {name: (score[f"{name}_rows"], score[f"{name}_inside"]) for name in (*SCORED, "prediction")}
    assert told == {"fit": (2, 1), "predict_same": (1, 1), "predict_new": (2, 0), "prediction": (3, 1)}
    assert (score["fit_medians_rows"], score["fit_medians_within"]) == (1, 0)
    overall = score["overall"]
    assert (overall["rows"], overall["inside"], overall["not_predicted"]) == (5, 2, 1)
    assert overall["coverage"] == 0.4
    by_set = score["by_patient_set"]
    assert (by_set["one"]["all"]["rows"], by_set["two"]["predict_new"]["rows"]) == (3, 2)
    assert "fit" not in by_set["two"]
    # ours and the naive forecast are compared on the same rows, of which two have one
    compared = [row for row in ten_rows() if row.scored and row.naive_score is not None]
    assert overall["compared_rows"] == len(compared) == 3
    assert overall["compared_interval_score"] == pytest.approx(sum(row.score for row in compared) / 3)


def test_rows_make_a_valid_table_and_the_same_files(tmp_path: Any) -> None:
    from cartsim.evidence.targets import TargetSet
    from cartsim.store.place import Place
    from cartsim.validate.published import provenance_of

    table = validation_table(ten_rows())
    check("validation", table)
    unpredicted = table.to_pylist()[4]
    assert unpredicted["lower"] is None and unpredicted["inside"] == 0 and unpredicted["scored"] == 1
    targets = TargetSet((), "a" * 64, "b" * 64, "mine.csv")
    said = {"score": make_score(ten_rows())}
    made = []
    for name in ("first", "second"):
        place = Place.of(tmp_path / name).reach()
        files = publish(place, table, said, provenance_of(Asked(1, 2, 3), targets, COHORTS))
        made.append({file: place.read_bytes(file) for file in files})
    assert set(made[0]) == {"validation.parquet", "validation.png", "validation.svg", "score.json"}
    assert made[0] == made[1]


def test_a_figure_of_nothing_but_recalled_rows_is_still_a_figure() -> None:
    table = validation_table(ten_rows()[-1:])
    assert figure_files(table)["validation.png"].startswith(b"\x89PNG")


def test_cells_say_what_the_numbers_say() -> None:
    rows = ten_rows()
    assert row_cells(rows[0])[:5] == ("crs_any", "100", "40.0 (30.3–50.3) %", "40.0 (30.0–50.0) %", "inside")
    assert row_cells(rows[1])[2:5] == ("5 d", "7.0 (6–8) d", "OUTSIDE")
    assert row_cells(rows[4])[3:5] == ("–", "OUTSIDE")
    assert [heading for heading, _ in by_cohort(rows)] == ["one (one): Trial one", "two (two): Trial one"]
    headers, lines = score_lines(make_score(rows))
    assert all(len(line) == len(headers) for line in lines) and lines[0][1:3] == ("2", "1")
    headers, lines = set_lines(make_score(rows))
    assert all(len(line) == len(headers) for line in lines) and lines[0][1] == "1 of 2"


def test_markdown_names_its_command_and_has_every_row() -> None:
    asked = {
        "draws": 2, "subjects": 30, "seed": 1, "targets": "mine.csv", "targets_sha256": "a" * 64,
        "split_sha256": "b" * 64, "numbers": {"assumed": 3, "calibrated": 0},
    }  # fmt: skip
    rows = ten_rows()
    text = markdown(rows, {"asked": asked, "score": make_score(rows)}, "cartsim validate --draws 2")
    assert "`cartsim validate --draws 2`" in text
    assert "Numbers of the model: 3 assumed." in text
    assert text.count("| inside |") == 2 and text.count("| OUTSIDE |") == 4


def test_plain_data_has_no_numbers_that_are_none() -> None:
    assert plain({"a": [math.nan, 1.0, (math.inf,)]}) == {"a": [None, 1.0, [None]]}


def test_options() -> None:
    assert [str(path) for path in parse_cohorts(["mine=a/b.yaml"]).values()] == ["a/b.yaml"]
    assert parse_only([]) is None
    assert parse_only(["predict", "fit", "predict_new"]) == ("predict_same", "predict_new", "fit")
    for given in (["mine"], ["=a.yaml"], ["a="], ["a=1", "a=2"]):
        with pytest.raises(InvalidInput):
            parse_cohorts(given)
    with pytest.raises(InvalidInput, match="no tier") as error:
        parse_only(["predicted"])
    assert error.value.mend in ("predict", "predict_new")
