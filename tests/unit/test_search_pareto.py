"""Fronts of known sets, and what noise may and may not exclude."""

import numpy as np
import pytest

from cartsim.search.pareto import Front, point_front, upper_bounds


@pytest.mark.parametrize(
    ("means", "front"),
    [
        ([[1, 2], [2, 1], [2, 2], [3, 3]], [True, True, False, False]),
        ([[1, 1], [1, 1], [1, 2]], [True, True, False]),  # equal rows stay together
        ([[1, 1, 5], [2, 2, 1], [2, 2, 2]], [True, True, False]),
        ([[4.0, 4.0]], [True]),
        ([[1], [2], [1]], [True, False, True]),
    ],
)
def test_point_front_of_known_sets(means, front):
    assert point_front(np.array(means, float)).tolist() == front


def test_point_front_agrees_with_the_definition():
    means = np.random.default_rng(4).integers(0, 6, (60, 3)).astype(float)
    expected = [
        not any(all(o <= m) and any(o < m) for o in (np.array(other) for other in means))
        for m in (np.array(row) for row in means)
    ]
    assert point_front(means).tolist() == expected


def sample(rng, n, *means):
    shared = rng.normal(size=(n, 2))
    return [shared + np.array(mean) + 0.3 * rng.normal(size=(n, 2)) for mean in means]


def test_certain_possible_and_never_dominated():
    rng = np.random.default_rng(11)
    # 0 and 1 are a trade-off; 2 is worse than 0 in everything; 3 is worse than 0 by less than the noise
    samples = sample(rng, 4000, (0, 1), (1, 0), (0.5, 1.5), (0.004, 1.004))
    front = Front(4, [20.0, 20.0], 0.95, 4000)
    assert front.look(samples) == [2]
    assert front.dominated == {2: 0} and front.subjects == {2: 4000}
    assert front.open == [0, 1, 3] and front.looks == 1
    assert "95 %" in front.statement() and "1 look)" in front.statement()


def test_each_look_takes_its_share_of_the_error():
    front = Front(5, [1.0, 1.0], 0.95, 1000)
    errors = []
    for look in range(400):
        front.looks = look
        errors.append(front.error)
    assert sum(errors) * 5 * 4 * 2 == pytest.approx(0.05, rel=0.01)
    assert errors[0] * 5 * 4 * 2 == pytest.approx(0.025)


def test_looks_grow_in_whole_batches():
    front = Front(2, [1.0], 0.95, 1000)
    front.grow(80)
    assert front.look_at == 1520


def test_an_objective_in_which_no_subject_differs_counts_as_equal():
    rng = np.random.default_rng(5)
    better, worse = sample(rng, 2000, (0, 0), (1, 0))
    worse[:, 1] = better[:, 1]
    front = Front(2, [20.0, 20.0], 0.95, 2000)
    assert front.look([better, worse]) == [1]
    twins = Front(2, [20.0, 20.0], 0.95, 2000)
    assert twins.look([better, better.copy()]) == []


def test_a_few_differing_subjects_exclude_nobody():
    """20 against 0 events in 4,000 subjects: a normal bound would exclude 0, the one used does not."""
    difference = np.zeros((4000, 1))
    difference[:20] = -1.0
    error = 1e-3
    normal = difference.mean() + 3.09 * difference.std(ddof=1) / np.sqrt(4000)
    assert normal < -1e-3
    assert upper_bounds(difference, error, [1.0])[0] > 0
    difference[:200] = -1.0
    assert upper_bounds(difference, error, [1.0])[0] < 0
