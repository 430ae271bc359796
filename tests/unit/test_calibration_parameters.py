"""The fitted numbers: bounds, order and pooling hold for any score, and a wrong file says what is wrong."""

from pathlib import Path

import numpy as np
import pytest

from cartsim.calibrate.parameters import DATA, Space, load_space
from cartsim.errors import InvalidInput
from cartsim.evidence.calibrated import TRANSFORMS
from cartsim.evidence.registry import load_registry, starting_registry


@pytest.fixture(scope="module")
def space() -> Space:
    return load_space(starting_registry().numbers())


@pytest.mark.parametrize(
    ("name", "value", "before", "free"),
    [
        ("identity", -0.4, 0.0, -0.4),
        ("log", np.e, 0.0, 1.0),
        ("neglog", -np.e, 0.0, 1.0),
        ("logit", 0.5, 0.0, 0.0),
        ("step", 1.0 + np.e, 1.0, 1.0),
    ],
)
def test_transforms_by_hand(name: str, value: float, before: float, free: float) -> None:
    assert TRANSFORMS[name].to(value, before) == pytest.approx(free)
    assert TRANSFORMS[name].back(free, before) == pytest.approx(value)


@pytest.mark.parametrize(("name", "value"), [("log", 0.0), ("neglog", 1.0), ("logit", 1.0), ("step", 0.5)])
def test_transforms_refuse_what_they_cannot_take(name: str, value: float) -> None:
    with pytest.raises(ValueError):
        TRANSFORMS[name].to(value, 1.0)


def test_the_fit_begins_at_the_starting_values(space: Space) -> None:
    numbers, begun = starting_registry().numbers(), space.numbers(space.start)
    moved = {"disease.support_lag_d", "disease.wide_decline_ratio"}
    for key, value in begun.items():
        if key not in moved and not key.endswith("early_treatment_share"):
            assert value == pytest.approx(numbers[key], rel=1e-9, abs=1e-9), key


def test_every_product_and_its_clinicians_are_fitted(space: Space) -> None:
    assert space.products() == [
        "axi-cel",
        "brexu-cel",
        "tisa-cel-all",
        "tisa-cel-lbcl",
        "liso-cel",
        "ide-cel",
        "cilta-cel",
        "cd19-lupus",
    ]
    for product in space.products():
        keys = [space.keys[place] for place in space.places(product)]
        own = [key for key in keys if key.endswith(("early_treatment_share", "g1_fever_d"))]
        assert len(keys) == 11 and len(own) == 1, product


def test_any_score_gives_numbers_that_the_registry_takes(space: Space) -> None:
    generator = np.random.default_rng(3)
    for scale in (0.5, 2.0, 20.0):
        z = scale * generator.normal(size=len(space))
        numbers = space.numbers(z)
        load_registry(numbers)  # raises where a bound or the order of a list is broken
        assert set(numbers) == set(space.numbers(space.start))


def test_numbers_of_one_product_leave_the_others_out(space: Space) -> None:
    keys = space.numbers(space.start, "liso-cel")
    assert {key for key in keys if key.startswith("product.")} == {
        key for key in space.keys if key.startswith("product.liso-cel.")
    }
    assert "tocilizumab.effect" in keys and not any(key.startswith("pooled.") for key in keys)


def test_elements_that_are_not_fitted_stay(space: Space) -> None:
    z = space.start + 0.3
    numbers = starting_registry().numbers()
    moved = space.numbers(z)
    for key, place in (
        ("signs.bp_support_thresholds", 0),
        ("signs.neuro_thresholds", 0),
        ("signs.offset_sd", 3),
    ):
        whole, before = moved[key], numbers[key]
        assert isinstance(whole, list) and isinstance(before, list)
        assert whole[place] == before[place] and whole[1] != before[1]


def test_pooled_numbers_follow_their_mean(space: Space) -> None:
    place = space.keys.index("pooled.crs_ascent_per_d")
    own = space.keys.index("product.ide-cel.crs_ascent_per_d")
    z = np.zeros(len(space))
    z[place], z[own] = 1.0, -2.0
    theta = space.theta(z)
    assert theta[place] == pytest.approx(np.log(0.58) + 0.25)
    assert theta[own] == pytest.approx(np.log(0.58) + 0.25 - 2 * 0.15)
    assert space.prior_sd[own] == pytest.approx(np.hypot(0.25, 0.15))


def test_prior_moments_by_sampling(space: Space) -> None:
    z = np.random.default_rng(1).normal(size=(20_000, len(space)))
    theta = space.theta(z)
    error = space.prior_sd / np.sqrt(len(z))
    assert (np.abs(theta.mean(axis=0) - space.centres) < 6 * error).all()
    assert np.allclose(theta.std(axis=0), space.prior_sd, rtol=0.04)


def test_part_of_the_space_keeps_the_whole_prior(space: Space) -> None:
    part = space.only(["product.axi-cel.crs_mu", "product.axi-cel.crs_ascent_per_d"])
    assert part.keys == ("product.axi-cel.crs_mu", "product.axi-cel.crs_ascent_per_d")
    assert part.prior_sd[1] == pytest.approx(np.hypot(0.25, 0.15))
    assert part.numbers(part.start)["product.axi-cel.crs_ascent_per_d"] == pytest.approx(0.52)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("transform: logit, centre: 0.6,", "transform: cubic, centre: 0.6,", "cubic"),
        ("disease.frailty_correlation:", "disease.frailty:", "disease.frailty"),
        ("centre: 0.85\n    sd: 0.4", "centre: 0.85\n    sd: 0", "above 0"),
        ("cartsim/calibration-parameters/1", "cartsim/calibration-parameters/9", "is needed"),
        (
            "signs.wide_neuro_threshold: {transform: neglog",
            "signs.offset_sd2: {transform: neglog",
            "offset_sd2",
        ),
        ("centre: 24, sd: 0.4", "centre: 2400, sd: 0.4", "standard deviations"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, old: str, new: str, told: str) -> None:
    text = DATA.read_text("utf-8")
    assert old in text
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(InvalidInput) as caught:
        load_space(starting_registry().numbers(), path)
    assert told in str(caught.value) and "mine.yaml" in str(caught.value)
