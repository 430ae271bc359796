"""Cumulative incidence with ties: against statsmodels, scikit-survival and the binomial, and it adds up to 1."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sksurv.nonparametric import cumulative_incidence_competing_risks, kaplan_meier_estimator
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight

from cartsim.analysis.incidence import (
    aalen_johansen,
    counts_by_time,
    curve_of,
    incidence_interval,
    kaplan_meier,
    log_log_interval,
    tally_events,
)


def _tied_data(n=400, seed=3):
    """Times on a coarse grid, so that events of both kinds and censoring share times."""
    rng = np.random.default_rng(seed)
    time = np.ceil(rng.exponential(4.0, n) * 2) / 2
    return np.minimum(time, 9.0), np.where(time > 9.0, 0, rng.integers(0, 3, n))


def test_incidence_agrees_with_scikit_survival_and_statsmodels():
    """Both causes at every time, with ties and censoring."""
    time, evtype = _tied_data()
    curves, _ = aalen_johansen(*tally_events(time, evtype))
    days, theirs = cumulative_incidence_competing_risks(evtype, time)
    other = CumIncidenceRight(time, evtype)
    for cause, curve in enumerate(curves):
        ours = [curve.at(day)[0] for day in days]
        assert ours == pytest.approx(theirs[cause + 1], abs=1e-12)
        ours = [curve.at(day)[0] for day in other.times]
        assert ours == pytest.approx(other.cinc[cause], abs=1e-12)


def test_standard_error_agrees_with_scikit_survival():
    """The delta-method variance is scikit-survival's `Dinse_Approx`, seen through its log-log interval."""
    time, evtype = _tied_data()
    curves, _ = aalen_johansen(*tally_events(time, evtype))
    days, _, band = cumulative_incidence_competing_risks(
        evtype, time, conf_type="log-log", var_type="Dinse_Approx"
    )
    for cause, curve in enumerate(curves):
        for k, day in enumerate(days):
            value, se = curve.at(day)
            if 0 < value < 1 and day < 9.0:
                assert log_log_interval(value, se) == pytest.approx(tuple(band[cause + 1][:, k]), abs=1e-9)


def test_kaplan_meier_agrees_with_both():
    """Survival and Greenwood's standard error."""
    time, evtype = _tied_data()
    times, by_cause, censored = tally_events(time, evtype)
    curve = kaplan_meier(times, by_cause.sum(axis=0), censored)
    days, survival = kaplan_meier_estimator(evtype > 0, time)
    assert [curve.at(day)[0] for day in days] == pytest.approx(survival, abs=1e-12)
    other = SurvfuncRight(time, evtype > 0)
    inside = other.surv_prob > 0
    assert [curve.at(t)[1] for t in other.surv_times[inside]] == pytest.approx(
        other.surv_prob_se[inside], abs=1e-12
    )


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 3)), min_size=1, max_size=80))
@settings(max_examples=100, deadline=None)
def test_incidences_and_survival_add_up_to_one(rows):
    """At every time, whatever the ties, with three causes."""
    time, evtype = np.array(rows, float).T
    curves, survival = aalen_johansen(*tally_events(time, evtype.astype(int), causes=3))
    total = survival.value + sum(curve.value for curve in curves)
    assert total == pytest.approx(np.ones(len(total)), abs=1e-12)
    assert all(np.isfinite(curve.se).all() for curve in curves)


def test_without_censoring_it_is_the_binomial():
    """Share with the event by day t, and sqrt(p q / n)."""
    rng = np.random.default_rng(4)
    time, evtype = np.ceil(rng.exponential(3.0, 500)), rng.integers(1, 3, 500)
    curves, _ = aalen_johansen(*tally_events(time, evtype))
    for day in (1.0, 2.5, 6.0, 100.0):
        p = np.mean((time <= day) & (evtype == 1))
        assert curves[0].at(day) == pytest.approx((p, np.sqrt(p * (1 - p) / 500)), abs=1e-12)


def test_one_minus_kaplan_meier_overstates_when_death_competes():
    """The reason for the estimator, on data by hand: 1 event after 1 of 2 died leaves 1/2, not 1."""
    curves, _ = aalen_johansen(*tally_events(np.array([1.0, 2.0]), np.array([2, 1])))
    assert curves[0].at(2.0)[0] == 0.5
    wrong = kaplan_meier(np.array([1.0, 2.0]), np.array([0, 1]), np.array([1, 0]))
    assert 1 - wrong.at(2.0)[0] == 1.0


def test_before_any_event_the_interval_is_wilsons_unless_somebody_left():
    """Zero events among 50 followed has an upper limit; with early censoring there is none to give."""
    full = aalen_johansen(*tally_events(np.full(50, 30.0), np.zeros(50, int)))[0][0]
    (lower, upper), method = incidence_interval(full, 30.0)
    assert (lower, method) == (0.0, "Wilson")
    assert 0.05 < upper < 0.08
    left = aalen_johansen(*tally_events(np.array([1.0] * 5 + [30.0] * 45), np.zeros(50, int)))[0][0]
    limits, method = incidence_interval(left, 30.0)
    assert method == "none"
    assert np.isnan(limits).all()


def test_nobody_has_no_incidence():
    """An empty cohort gives NaN, and no interval."""
    curve = aalen_johansen(*tally_events(np.empty(0), np.empty(0, int)))[0][0]
    assert np.isnan(curve.at(7.0)).all()
    assert incidence_interval(curve, 7.0)[1] == "none"


def test_counts_by_time_put_every_cause_on_one_axis():
    """Events, deaths and censoring at different times; the curve is that of the subjects behind them."""
    time, evtype = _tied_data()
    tables = [np.unique(time[evtype == k], return_counts=True) for k in (1, 2, 0)]
    times, by_cause, censored = counts_by_time(tables[:2], tables[2])
    assert np.array_equal(times, np.unique(time))
    assert by_cause.sum() + censored.sum() == len(time)
    expected = aalen_johansen(*tally_events(time, evtype))[0][0]
    curve = curve_of(*tables)
    assert np.array_equal(curve.value, expected.value)
    assert np.array_equal(curve.se, expected.se)


def test_log_log_limits_of_many_are_those_of_each():
    """Elementwise, NaN at 0 and 1 and without a standard error."""
    value, se = np.array([0.0, 0.01, 0.5, 0.99, 1.0, 0.5]), np.array([0.0, 0.004, 0.1, 0.01, 0.0, 0.0])
    lower, upper = log_log_interval(value, se)
    assert np.isnan(lower).tolist() == np.isnan(upper).tolist() == [True, False, False, False, True, True]
    for k in (1, 2, 3):
        assert (lower[k], upper[k]) == log_log_interval(value[k], se[k])
        assert 0 < lower[k] < value[k] < upper[k] < 1


def test_everyone_is_exactly_everyone():
    """Sums of hazards of 30 subjects round to a last bit below 1; the incidence must not, nor lose its interval."""
    times = np.arange(30) / 7
    curves, survival = aalen_johansen(*tally_events(times, np.ones(30, int), causes=1))
    assert curves[0].at(10.0) == (1.0, 0.0)
    assert survival.value[-1] == 0.0
    (lower, upper), method = incidence_interval(curves[0], 10.0)
    assert method == "Wilson" and 0.85 < lower < 1.0 == upper
    assert curves[0].at(times[9])[0] == 10 / 30
