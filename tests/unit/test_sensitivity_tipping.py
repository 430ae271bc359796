"""Where a contrast crosses 0: one, several, none, touching, at the ends, and with an interval that reaches an end."""

import numpy as np
import pytest

from cartsim.sensitivity.response import fit_response
from cartsim.sensitivity.tipping import find_flips

X = np.linspace(0.0, 8.0, 9)


def flips(value, half=0.0, x=X):
    value = np.asarray(value, float)
    return find_flips(x, value, value - half, value + half)


def test_a_straight_line_with_its_interval():
    found = flips(0.5 * (X - 3.3), half=0.25)
    (tip,) = found.tipping
    assert (tip.value, tip.lower, tip.upper) == pytest.approx((3.3, 2.8, 3.8), abs=1e-6)
    assert tip.rises and tip.clear and tip.crossings == 1
    assert found.sign == -1 and not found.undecided


def test_every_crossing_is_listed_in_order():
    found = flips(np.sin(X * np.pi / 3 + 0.5))
    places = [(3 * (k * np.pi - 0.5) / np.pi) for k in (1, 2)]
    assert [t.value for t in found.tipping] == pytest.approx(places, abs=0.15)
    assert [t.rises for t in found.tipping] == [False, True]
    assert all(t.clear for t in found.tipping)


@pytest.mark.parametrize(("value", "sign"), [(X + 1, 1), (-X - 1, -1)])
def test_no_flip_says_the_sign(value, sign):
    found = flips(value, half=0.5)
    assert not found.tipping and not found.undecided and found.sign == sign


def test_an_open_end_is_not_certain():
    (tip,) = flips(X - 1.5, half=2.0).tipping
    assert tip.lower is None and tip.upper == pytest.approx(3.5, abs=1e-6) and not tip.clear
    (tip,) = flips(7.0 - X, half=2.0).tipping
    assert tip.lower == pytest.approx(5.0, abs=1e-6) and tip.upper is None and not tip.rises


def test_crossings_that_noise_does_not_tell_apart_are_one():
    found = flips([-3, -2, -1, 0.1, -0.1, 0.1, 1, 2, 3], half=0.3)
    (tip,) = found.tipping
    assert tip.crossings == 3 and 3 < tip.value < 5 and tip.lower < tip.value < tip.upper


def test_touching_zero_is_no_flip():
    found = flips((X - 4) ** 2)
    assert not found.tipping and found.sign == 1
    found = flips((X - 4) ** 2 + 0.1, half=0.5)
    assert not found.tipping
    ((start, end),) = found.undecided
    assert start < 4 < end


def test_a_stretch_of_exact_zeros():
    """Arms that are the same there: between a gain and a loss it is one flip in its middle, at an end it is none."""
    (tip,) = flips([-2, -1, 0, 0, 0, 1, 2, 3, 4]).tipping
    assert tip.value == pytest.approx(3.0)
    found = flips([0, 0, 0, 1, 2, 3, 4, 5, 6])
    assert not found.tipping and found.sign == 0


def test_missing_limits_count_as_the_value():
    value = X - 2.5
    (tip,) = find_flips(X, value, np.full(9, np.nan), np.full(9, np.nan)).tipping
    assert tip.value == tip.lower == tip.upper == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("x", "value"), [([1.0], [1.0]), ([1.0, 1.0], [0.0, 1.0]), ([2.0, 1.0], [0, 1]), ([0, 1], [0, np.nan])]
)
def test_what_is_no_curve_is_refused(x, value):
    with pytest.raises(ValueError, match="two ascending values"):
        find_flips(np.array(x, float), np.array(value, float), np.array(value), np.array(value))


def test_a_response_is_as_rich_as_its_points_allow():
    rng = np.random.default_rng(4)
    x = rng.random((60, 3)) * [1, 10, 100]
    y = 1 + x[:, 0] - 0.02 * x[:, 1] ** 2 + 0.01 * x[:, 0] * x[:, 2]
    full = fit_response(x, np.stack([y, y]))
    assert full.form == "full quadratic" and full.explained > 1 - 1e-9
    at = np.array([[0.5, 5.0, 50.0]])
    value, lower, upper = full.predict(at)
    assert value[0] == pytest.approx(1 + 0.5 - 0.5 + 0.25) and lower[0] <= value[0] <= upper[0]
    assert full.predict(at, shared=0.01)[2][0] == pytest.approx(value[0] + 0.2, rel=0.02)
    assert fit_response(x[:25], y[None, :25]).form == "quadratic"
    assert fit_response(x[:14], y[None, :14]).form == "linear"
    with pytest.raises(ValueError, match="too few"):
        fit_response(x[:9], y[None, :9])
