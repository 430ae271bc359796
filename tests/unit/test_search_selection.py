"""The sequential selection on small samples: it ends, it is right where it must be, and it says what it claims."""

import numpy as np
import pytest
from scipy import optimize

from cartsim.search.selection import FEW, Selection, boundary, eta


def shares(probabilities, n, seed=1):
    """0/1 outcomes of every candidate from the same uniforms: (candidates, n)."""
    u = np.random.default_rng(seed).random(n)
    return np.array([u < p for p in probabilities], float)


def apart(probabilities, n, seed=1):
    """0/1 outcomes of every candidate from numbers of its own: differences vary most."""
    u = np.random.default_rng(seed).random((len(probabilities), n))
    return (u < np.array(probabilities)[:, None]).astype(float)


def feed(selection, samples, step):
    """Give samples in steps until the selection wants no more; returns the subjects it was given."""
    for first in range(0, samples.shape[1], step):
        if not selection.update(samples[:, first : first + step]):
            break
    return selection


def test_constants_solve_the_equation_of_the_paper():
    """Kim and Nelson 2001, c = 1: half of (1 + 2 eta) to the power of -(first - 1) / 2 is the error of one pair."""
    for k, confidence, first in ((2, 0.95, 10), (20, 0.99, 50), (5, 0.9, 25)):
        root = optimize.brentq(
            lambda x, n=first, e=(1 - confidence) / (k - 1): 0.5 * (1 + 2 * x) ** (-(n - 1) / 2) - e, 0, 100
        )
        assert eta(k, confidence, first) == pytest.approx(root, rel=1e-9)
        assert boundary(k, confidence, first) == pytest.approx(2 * root * (first - 1), rel=1e-9)


def test_the_best_is_found_and_the_worst_leaves_first():
    samples = apart([0.2, 0.1, 0.5, 0.13], 40_000)
    selection = feed(Selection(4, 0.95, 0.02, 25, 20, reach=1.0), samples, 500)
    assert selection.decided and selection.best == 1 and selection.active == (1,)
    out = {e.candidate: e.subjects for e in selection.history}
    assert out[2] <= out[0] < out[3]
    assert [e.subjects for e in selection.history] == sorted(e.subjects for e in selection.history)
    last = selection.history[-1]
    assert last.difference > 0 and not last.tie
    assert "best of 4 with probability at least 95 %" in selection.statement()


def test_decisions_do_not_depend_on_how_samples_arrive():
    samples = shares([0.2, 0.19, 0.21, 0.18, 0.4], 30_000, seed=3)
    histories = []
    for step in (20, 37, 500, 30_000):
        selection = feed(Selection(5, 0.95, 0.02, 25, 20, reach=1.0), samples, step)
        histories.append((selection.history, selection.best))
    assert histories.count(histories[0]) == 4
    assert len(histories[0][0]) == 4


def test_identical_candidates_end_in_a_tie():
    """Any of them is right; the first stays, and not before a difference that matters would have shown."""
    row = shares([0.1], 40_000)[0]
    selection = feed(Selection(3, 0.95, 0.01, 25, 20, reach=1.0), np.array([row, row, row]), 500)
    assert selection.best == 0
    assert [(e.candidate, e.by, e.tie, e.difference) for e in selection.history] == [
        (1, 0, True, 0.0),
        (2, 0, True, 0.0),
    ]
    assert boundary(3, 0.95, 25) * 0.99 / 0.01 <= selection.judged < 1000


def test_differences_within_the_indifference_still_end():
    samples = shares([0.1, 0.1001, 0.1002], 200_000, seed=5)
    selection = feed(Selection(3, 0.95, 0.01, 25, 20, reach=1.0), samples, 500)
    assert selection.decided
    assert selection.judged <= selection.most_subjects()


def test_constant_differences_are_settled_in_the_first_stage():
    """Zero variance and every subject differs: nothing is left to learn."""
    base = np.random.default_rng(2).normal(size=2000)
    selection = feed(Selection(3, 0.95, 0.1, 25, 20), np.array([base + 1, base, base + 0.5]), 500)
    assert selection.best == 1
    assert {e.subjects for e in selection.history} == {500}


def test_nothing_ever_happens():
    """All outcomes 0 in every subject: a tie, once a difference that matters would have been seen."""
    selection = feed(Selection(4, 0.95, 0.01, 25, 20, reach=1.0), np.zeros((4, 30_000)), 500)
    assert selection.best == 0 and all(e.tie for e in selection.history)
    assert selection.judged > 500


def test_an_observed_variance_of_zero_is_not_believed_while_few_differ():
    """Candidate 1 is better in 1 % of subjects, none of them in the first stage: it must not lose by number."""
    samples = np.ones((2, 20_000))
    samples[1, 500::100] = 0
    assert np.count_nonzero(samples[1, :1000] == 0) < FEW
    selection = feed(Selection(2, 0.95, 0.01, 25, 20, reach=1.0), samples, 20)
    assert selection.best == 1
    # by the variance seen, which is 0, the first stage would have made it a tie
    assert selection.history[0].subjects > 500


def test_one_candidate_needs_nothing():
    selection = Selection(1)
    assert selection.decided and selection.best == 0 and selection.update([np.ones(10)]) == ()
    assert "one candidate" in selection.statement()


def test_at_the_ceiling_those_left_are_named():
    samples = apart([0.2, 0.2, 0.5], 20_000, seed=9)
    selection = feed(Selection(3, 0.95, 0.005, 25, 20, ceiling=1010, reach=1.0), samples, 100)
    assert selection.exhausted and not selection.decided and selection.best is None
    assert selection.active == (0, 1) and selection.judged == 1000
    assert selection.leader in (0, 1)
    assert "Not decided at the ceiling of 1,010 subjects: 2 of 3" in selection.statement()
    assert selection.update(samples[:, :20]) == ()


def test_before_the_first_stage_is_full_nobody_leaves():
    selection = Selection(2, 0.95, 0.1, 25, 20)
    assert selection.update([np.zeros(499), np.ones(499)]) == (0, 1)
    assert selection.most_subjects() is None
    assert selection.update([np.zeros(1), np.ones(1)]) == ()
    assert selection.best == 0


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"k": 0}, "at least one candidate"),
        ({"confidence": 1.0}, "confidence"),
        ({"confidence": 0.2}, "confidence"),
        ({"indifference": 0.0}, "indifference"),
        ({"first": 1}, "batches"),
        ({"ceiling": 10}, "first stage alone takes"),
        ({"reach": 0.0}, "reach"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        Selection(**({"k": 3} | settings))


def test_samples_of_another_shape_or_not_finite_are_refused():
    selection = Selection(2, 0.95, 0.1, 25, 20)
    with pytest.raises(ValueError, match="same subjects"):
        selection.update([np.zeros(20), np.zeros(40)])
    with pytest.raises(ValueError, match="finite"):
        selection.update([np.zeros(20), np.full(20, np.nan)])
