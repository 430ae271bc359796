"""Trials of the published size: exact where the distribution is known, and against brute force where it is not."""

import numpy as np
import pytest
from scipy import stats
from validation_builder import days_target, make_sample, make_target

from cartsim.draws import study_key
from cartsim.evidence.targets import load_targets
from cartsim.validate.predict import predict
from cartsim.validate.trials import (
    TAILS,
    TRIALS,
    Counted,
    binomial,
    counted,
    events_distribution,
    figure_of,
    quantile_of,
    timed,
    trial_size,
)


def test_events_of_a_trial_are_those_of_subjects_taken_without_putting_back() -> None:
    found = events_distribution([Counted(30, 200)], 50)
    assert found == pytest.approx(stats.hypergeom(200, 30, 50).pmf(np.arange(51)), abs=1e-12)


def test_too_few_subjects_are_put_back() -> None:
    found = events_distribution([Counted(3, 10)], 50)
    assert found == pytest.approx(stats.binom(50, 0.3).pmf(np.arange(51)), abs=1e-12)


def test_parameter_sets_count_alike_and_those_without_anybody_not_at_all() -> None:
    both = events_distribution([Counted(30, 200), Counted(0, 0), Counted(90, 300)], 50)
    each = [stats.hypergeom(200, 30, 50), stats.hypergeom(300, 90, 50)]
    assert both == pytest.approx(np.mean([one.pmf(np.arange(51)) for one in each], axis=0), abs=1e-12)
    assert events_distribution([Counted(0, 0)], 50).size == 0


@pytest.mark.parametrize(("events", "among"), [(0, 100), (100, 100), (0, 10), (10, 10)])
def test_events_that_never_or_always_come(events: int, among: int) -> None:
    found = events_distribution([Counted(events, among)], 20)
    assert found[20 if events else 0] == pytest.approx(1)


def test_many_subjects_give_the_binomial_without_their_own_error() -> None:
    """Over parameter sets that are the same but for the luck of their subjects the interval is that of the truth."""
    lucky = np.random.default_rng(5).binomial(2000, 0.2, 4000)
    found = events_distribution([Counted(int(k), 2000) for k in lucky], 700)
    wide = events_distribution(
        [Counted(int(k), 699) for k in stats.binom(699, 0.2).rvs(4000, random_state=6)], 700
    )
    truth = stats.binom(700, 0.2)
    assert [quantile_of(found, tail) for tail in TAILS] == pytest.approx(truth.ppf(TAILS), abs=1)
    assert (
        quantile_of(wide, TAILS[1]) > truth.ppf(TAILS[1]) + 3
    )  # what drawing with replacement would have given


@pytest.mark.parametrize(("n", "share"), [(15, 0.0), (15, 1 / 3), (702, 0.01), (111, 0.9)])
def test_quantiles_are_those_of_scipy(n: int, share: float) -> None:
    for tail in TAILS:
        assert quantile_of(binomial(n, share), tail) == stats.binom(n, share).ppf(tail)


def test_a_count_is_out_of_the_whole_cohort() -> None:
    sample = make_sample([1, 1, 0, 0], [True, False, True, False])
    assert counted(make_target(), sample) == Counted(1, 2)
    assert counted(make_target(statistic="count", value=40), sample) == Counted(1, 4)


def test_a_trial_takes_the_cohort_where_only_some_had_the_event() -> None:
    assert trial_size(days_target()) == (100, True)
    assert trial_size(days_target(n=60)) == (60, False)
    assert trial_size(days_target(n=None)) == (60, False)


@pytest.mark.parametrize("subjects", [400, 40])
def test_medians_of_trials_against_brute_force(subjects: int) -> None:
    """Among 100 patients the number with the event varies, and then their median; also with too few subjects."""
    rng = np.random.default_rng(11)
    among = rng.random(subjects) < 0.4
    days = np.round(rng.lognormal(1.5, 0.6, subjects))
    target, key = days_target(), study_key(7)
    trials = np.concatenate(
        [timed(target, make_sample(among, days), m, key).trials[:, 0] for m in range(200)]
    )
    assert len(trials) == 200 * TRIALS
    brute = []
    for _ in range(20_000):
        chosen = rng.choice(subjects, 100, replace=subjects < 100)
        brute.append(np.median(days[chosen][among[chosen]]))
    spread = np.std(brute) / np.sqrt(len(trials))
    assert abs(trials.mean() - np.mean(brute)) < 5 * spread
    assert trials.std() == pytest.approx(np.std(brute), rel=0.1)


def test_quartiles_and_means_and_days_that_never_end() -> None:
    days = np.array([1.0, 2, 3, 4, np.nan])
    assert figure_of(days, "median").tolist() == [2.5]
    assert figure_of(days, "iqr").tolist() == [1.75, 3.25]
    assert figure_of(days, "mean").tolist() == [2.5]
    assert figure_of(np.array([1.0, 2, np.inf]), "median").tolist() == [2]
    assert figure_of(np.array([1.0, np.inf]), "median").tolist() == [np.inf]
    assert np.isnan(figure_of(np.array([np.nan]), "iqr")).tolist() == [True, True]


def test_trials_depend_on_their_address_alone() -> None:
    sample = make_sample(np.ones(300), np.arange(300.0))
    first, again = (timed(days_target(), sample, 3, study_key(1)).trials for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, timed(days_target(), sample, 4, study_key(1)).trials)
    assert not np.array_equal(first, timed(days_target(), sample, 3, study_key(2)).trials)
    assert not np.array_equal(first, timed(days_target(endpoint="ne_onset"), sample, 3, study_key(1)).trials)


def test_predictions_do_not_depend_on_workers_or_on_what_else_is_asked() -> None:
    from cartsim.calibrate.cohorts import load_cohorts

    targets = load_targets()
    cohorts = load_cohorts(targets)
    chosen = [*targets.where(("fit", "predict_same"), "zuma1_uspi2017"), *targets.where("fit", "karmma")]
    asked = {"draws": 12, "subjects": 60, "seed": 9}
    told: list[tuple[int, int]] = []
    one = predict(chosen, cohorts, workers=1, tell=lambda *far: told.append(far), **asked)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]  # two cohorts, two blocks of parameter sets
    assert [prediction.target for prediction in one] == chosen
    assert repr(one) == repr(predict(chosen, cohorts, workers=3, **asked))
    alone = predict(chosen[2:3], cohorts, workers=2, **asked)
    assert repr(alone) == repr(one[2:3])
    assert one[0].draws == 12 and one[0].forecasts[0].lower <= one[0].forecasts[0].upper
