"""The arithmetic behind claims and checks of face validity, on arrays small enough to count by hand."""

import math

import numpy as np
import pytest

from cartsim.claims.figures import (
    median,
    needed_to_treat,
    odds_ratio,
    quartiles,
    rank_correlation,
    regrading,
    risk_difference,
    risk_ratio,
    share,
)
from cartsim.claims.moments import calendar_days, first_time, highest_after, place_at, sampled
from cartsim.model.state import CHANGE, EPISODE, SAMPLE
from cartsim.terms import Marker, Syndrome


def flags(text: str) -> np.ndarray:
    return np.array([mark == "x" for mark in text])


def test_share_counts_only_those_in_question() -> None:
    figure = share(flags("xxxx.."), flags("x...xx"))
    assert (figure.value, figure.n) == (0.25, 4)
    assert figure.lower < 0.25 < figure.upper


def test_share_of_nobody_is_no_number() -> None:
    assert math.isnan(share(flags("..."), flags("xxx")).value)


def test_median_keeps_never_and_leaves_out_missing() -> None:
    assert median(np.array([1.0, np.nan, 3.0, np.inf])).value == 3.0
    assert median(np.array([1.0, np.inf, np.inf])).value == np.inf
    assert median(np.array([1.0, 2.0, 3.0, 4.0])).value == 2.5
    assert math.isnan(median(np.array([np.nan])).value)


def test_median_interval_is_made_of_values() -> None:
    figure = median(np.arange(101.0))
    # ranks 40 and 62 of 101: P(Binomial(101, 1/2) < 40) is the last below 0.025
    assert (figure.value, figure.lower, figure.upper) == (50.0, 40.0, 60.0)


def test_quartiles_are_order_statistics() -> None:
    assert quartiles(np.array([4.0, 1.0, 3.0, 2.0])) == (1.0, 3.0)
    assert all(math.isnan(x) for x in quartiles(np.array([])))


def test_risk_ratio_of_the_same_subjects() -> None:
    new, reference = flags("x...."), flags("xxxx.")
    figure = risk_ratio(new, reference)
    assert figure.value == pytest.approx(0.25)
    # SE^2 = (b + c) / [(a + b)(a + c)] with a = 1, b = 0, c = 3
    half = 1.959964 * math.sqrt(3 / (1 * 4))
    assert figure.lower == pytest.approx(0.25 * math.exp(-half), rel=1e-5)
    assert figure.upper == pytest.approx(0.25 * math.exp(half), rel=1e-5)


def test_risk_ratio_without_events_is_no_number() -> None:
    assert math.isnan(risk_ratio(flags("..."), flags("..x")).value)


def test_needed_to_treat_only_where_fewer_is_sure() -> None:
    many = np.arange(1000) < 400
    half = np.arange(1000) < 200
    assert needed_to_treat(half, many).value == pytest.approx(5.0)
    assert math.isnan(needed_to_treat(many, half).value)  # more events, so nobody is spared
    assert math.isnan(needed_to_treat(flags("x..."), flags("xx..")).value)  # one pair proves nothing
    assert risk_difference(half, many).value == pytest.approx(-0.2)


def test_rank_correlation_shares_ranks_of_ties() -> None:
    assert rank_correlation(np.arange(6.0), np.arange(6.0) ** 2).value == pytest.approx(1.0)
    figure = rank_correlation(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 1.0, 0.0, np.nan]))
    assert math.isnan(figure.value)  # three known pairs are too few
    tied = rank_correlation(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 1.0, 0.0, 0.0]))
    assert tied.value == pytest.approx(-2 / math.sqrt(5))


def test_odds_ratio_of_two_groups_is_that_of_the_table() -> None:
    x = np.repeat([0.0, 0.0, 1.0, 1.0], [30, 10, 15, 15])
    event = np.repeat([False, True, False, True], [30, 10, 15, 15])
    figure = odds_ratio(x, event)
    assert figure.value == pytest.approx((15 / 15) / (10 / 30))
    half = 1.959964 * math.sqrt(1 / 30 + 1 / 10 + 1 / 15 + 1 / 15)
    assert math.log(figure.upper / figure.value) == pytest.approx(half, rel=1e-5)


def test_odds_ratio_needs_both_outcomes() -> None:
    assert math.isnan(odds_ratio(np.arange(5.0), np.zeros(5, bool)).value)


def test_regrading_counts_events_of_the_first_scale() -> None:
    first, other = np.array([0, 1, 2, 3, 4]), np.array([1, 1, 1, 2, 5])
    assert regrading(first > 0, other, first) == (0.25, 0.5, 0.25)


def states(*rows: tuple[int, float, int]) -> np.ndarray:
    """(subject, time, CRS grade)"""
    made = np.zeros(len(rows), CHANGE)
    for made_row, (subject, t, grade) in zip(made, rows, strict=True):
        made_row["row"], made_row["t"], made_row["crs"] = subject, t, grade
    return made


COURSES = states((0, 0.0, 0), (0, 2.0, 1), (0, 4.0, 3), (0, 6.0, 0), (1, 0.0, 0), (1, 5.0, 2))


def test_place_at_finds_what_holds() -> None:
    assert place_at(COURSES, np.array([3.9, 4.9])).tolist() == [1, 4]
    assert place_at(COURSES, np.array([4.0, 5.0])).tolist() == [2, 5]
    assert place_at(COURSES, np.array([np.nan, 99.0])).tolist() == [-1, 5]
    assert place_at(COURSES, np.array([np.inf, -1.0])).tolist() == [-1, -1]


def test_first_time_later_than() -> None:
    seen = COURSES["crs"] >= 1
    assert first_time(COURSES, seen, 2).tolist() == [2.0, 5.0]
    assert first_time(COURSES, seen, 2, np.array([2.0, 5.0])).tolist() == [4.0, np.inf]


def test_highest_after_counts_the_state_then_in_force() -> None:
    grade = COURSES["crs"]
    assert highest_after(COURSES, grade, 2, np.array([3.0, 6.0])).tolist() == [3, 2]
    assert highest_after(COURSES, grade, 2, np.array([6.0, 1.0])).tolist() == [0, 2]


def test_calendar_days_include_first_and_last() -> None:
    episodes = np.zeros(3, EPISODE)
    for row, (subject, syndrome, start, end) in zip(
        episodes, [(0, 1, 3.9, 4.1), (0, 1, 7.0, 7.5), (1, 0, 1.0, 9.0)], strict=True
    ):
        row["row"], row["syndrome"], row["t_start"], row["t_end"] = subject, syndrome, start, end
    days = calendar_days(episodes, Syndrome.ICANS, 2)
    assert days[0] == 3 and math.isnan(days[1])


def test_sampled_takes_the_last_sample_before() -> None:
    samples = np.zeros(4, SAMPLE)
    samples["row"], samples["hour"] = [0, 0, 0, 1], [0, 6, 12, 0]
    samples["value"][:, Marker.CRP] = [10, 20, 30, 5]
    read = sampled(samples, Marker.CRP, 6, 2, np.array([0.49, 0.0]))
    assert read.tolist() == [20.0, 5.0]
    later = sampled(samples, Marker.CRP, 6, 2, np.array([np.inf, 1.0]))
    assert np.isnan(later).all()
