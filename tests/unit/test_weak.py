"""Which numbers count as weakly identified, with and without a calibration, and where their edges are."""

from collections.abc import Iterator
from math import exp
from typing import Any

import pytest

from cartsim.evidence import weak
from cartsim.evidence.registry import load_registry
from cartsim.evidence.weak import ASSUMED, DRUGS, WeakPrior, weak_priors


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """A calibration, to be filled."""
    held: list[dict[str, Any]] = []
    monkeypatch.setattr(weak, "_fitted", lambda: tuple(held))
    yield held


def told(key: str, transform: str, mean: float, sd: float, identifiability: float) -> dict[str, Any]:
    prior = {"transform": transform, "mean": mean, "sd": sd}
    return {"key": key, "value": 1.0, "sd": sd, "prior": prior, "identifiability": identifiability}


def test_every_number_of_the_list_is_an_uncertain_number(fitted: list[dict[str, Any]]) -> None:
    registry = load_registry()
    for product in registry.products():
        found = {prior.key for prior in weak_priors(product, DRUGS)}
        wanted = {
            f"{head.format(product=product)}.{name}" for head, names in ASSUMED.items() for name in names
        }
        assert found == {key for key in wanted if key in registry.numbers()}
        assert len(found) >= 18


def test_edges_of_a_range_are_its_ends(fitted: list[dict[str, Any]]) -> None:
    (prior,) = [p for p in weak_priors("axi-cel", DRUGS) if p.key == "steroid.a50_mg"]
    assert (prior.low, prior.high, prior.name) == (10, 80, "steroid.a50_mg")


def test_a_drug_that_nobody_gives_and_a_number_set_by_hand_are_left_out(fitted: list[dict[str, Any]]) -> None:
    found = {prior.key for prior in weak_priors("axi-cel", ["tocilizumab"], ["tocilizumab.effect"])}
    assert "tocilizumab.kd_mg_per_l" in found and "tocilizumab.effect" not in found
    assert not [key for key in found if key.startswith(("steroid.", "anakinra."))]


def test_a_calibration_says_what_it_identified(fitted: list[dict[str, Any]]) -> None:
    fitted += [
        told("tocilizumab.effect", "log", 0.2, 0.3, 0.5),
        told("steroid.a50_mg", "log", 3.4, 0.4, 0.95),
        told("product.axi-cel.crs_mu", "identity", 1.0, 0.1, 0.9),
        told("product.ide-cel.crs_mu", "identity", 1.0, 0.1, 0.9),
        told("signs.oxygen_thresholds[1]", "identity", 1.6, 0.05, 0.85),
        told("tocilizumab.nonresponder_effect", "logit", 0.0, 1.0, 0.99),
    ]
    found = {prior.name: prior for prior in weak_priors("axi-cel", DRUGS)}
    # fitted and identified; of another product
    assert "tocilizumab.effect" not in found and "product.ide-cel.crs_mu" not in found
    assert (found["steroid.a50_mg"].low, found["steroid.a50_mg"].high) == pytest.approx((exp(2.6), exp(4.2)))
    assert (found["product.axi-cel.crs_mu"].low, found["product.axi-cel.crs_mu"].high) == pytest.approx(
        (0.8, 1.2)
    )
    share = found["tocilizumab.nonresponder_effect"]
    assert share.low == pytest.approx(1 / (1 + exp(2))) and share.low + share.high == pytest.approx(1)
    threshold = found["signs.oxygen_thresholds[1]"]
    # thresholds rise, so those above keep their distance
    assert threshold.carries
    assert threshold.setting(True, [1.0, 2.0, 3.0]) == pytest.approx([1.0, 1.7, 2.7])
    # what no calibration touched stays on the list
    assert "tocilizumab.kd_mg_per_l" in found


def test_a_number_by_itself_is_replaced() -> None:
    prior = WeakPrior("a.b", None, 1.0, 2.0)
    assert (prior.setting(False, 1.5), prior.setting(True, 1.5)) == (1.0, 2.0)
