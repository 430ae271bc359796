"""Distributions of registry numbers: every rule, and parameter sets that nobody else's entries can move."""

import math
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cartsim.draws import name_counter, study_key, uniforms
from cartsim.errors import InvalidInput
from cartsim.evidence.calibrated import DRAWS, FOLDER, list_places, own_calibration
from cartsim.evidence.entries import DistributionEntry, NumberEntry
from cartsim.evidence.registry import load_registry
from cartsim.evidence.spread import (
    ORDERED,
    Spread,
    all_spreads,
    draw_numbers,
    find_spread,
    registry_key,
    spread_of,
)
from cartsim.scenario.load import load_scenario
from cartsim.terms import Decision

REGISTRY = load_registry()
SPREADS = all_spreads(REGISTRY)
UNIT = st.floats(0, 1)
CALIBRATION = own_calibration()
#: Keys that come from the joint draws of the calibration, not from a spread of their own.
CALIBRATED = frozenset(CALIBRATION.keys if CALIBRATION is not None else ())
SWAPPED = frozenset(key for pair in ORDERED for key in pair)


def number(value: Any, **more: Any) -> NumberEntry:
    kind = {"unit": "1", "status": "assumed", "meaning": "a number", "reason": "a test", "range": (-1e9, 1e9)}
    return NumberEntry.model_validate(kind | {"value": value} | more)


def reported(value: float, uncertainty: dict[str, Any], unit: str = "1") -> NumberEntry:
    source = {"citation": "nobody"}
    return NumberEntry.model_validate(
        {
            "value": value,
            "unit": unit,
            "status": "reported",
            "meaning": "x",
            "source": source,
            "uncertainty": uncertainty,
        }
    )


def test_a_beta_is_the_posterior_of_events_under_jeffreys_prior() -> None:
    spread = spread_of("x", reported(0.3, {"kind": "beta", "events": 3.0, "n": 10.0}, "share"))
    assert spread is not None and not spread.bounded
    for u in (0.05, 0.5, 0.975):
        assert spread.quantile(u) == pytest.approx(stats.beta(3.5, 7.5).ppf(u), rel=1e-12)
    low, high = spread.quantile(0), spread.quantile(1)
    assert isinstance(low, float) and isinstance(high, float) and 0 < low < 0.01 and 0.9 < high < 1


def test_a_beta_of_no_events_is_still_a_distribution() -> None:
    spread = spread_of("x", reported(0.0, {"kind": "beta", "events": 0.0, "n": 10.0}, "share"))
    assert spread is not None
    low, high = spread.quantile(0.0), spread.quantile(1.0)
    assert isinstance(low, float) and isinstance(high, float) and 0 < low < high < 1


def test_a_lognormal_has_the_value_as_its_median_and_sd_on_the_log_scale() -> None:
    spread = spread_of("x", reported(4.3, {"kind": "lognormal", "sd": 0.21}, "L"))
    assert spread is not None
    assert spread.quantile(0.5) == pytest.approx(4.3, rel=1e-14)
    assert spread.quantile(0.975) == pytest.approx(stats.lognorm(0.21, scale=4.3).ppf(0.975), rel=1e-12)


def test_a_normal_is_cut_to_what_the_unit_allows() -> None:
    spread = spread_of("x", reported(0.1, {"kind": "normal", "sd": 0.2}, "share"))
    assert spread is not None
    cut = stats.truncnorm((0 - 0.1) / 0.2, (1 - 0.1) / 0.2, loc=0.1, scale=0.2)
    for u in (0.01, 0.5, 0.99):
        assert spread.quantile(u) == pytest.approx(cut.ppf(u), abs=1e-12)


@pytest.mark.parametrize(
    ("ends", "kind", "middle"),
    [
        ((1.0, 10.0), "uniform", 5.5),
        ((1.0, 10.5), "log-uniform", math.sqrt(10.5)),
        ((0.0, 100.0), "uniform", 50.0),
        ((-5.0, 1.0), "uniform", -2.0),
    ],
)
def test_a_wide_positive_range_is_uniform_on_the_logarithm(
    ends: tuple[float, float], kind: str, middle: float
) -> None:
    spread = spread_of("x", number(1.0, range=ends))
    assert spread is not None and spread.kind == kind and spread.bounded
    assert spread.quantile(0.5) == pytest.approx(middle)
    assert (spread.quantile(0), spread.quantile(1)) == ends


def test_whole_numbers_of_a_range_are_equally_likely() -> None:
    spread = spread_of("x", number(3.0, unit="level", range=(2.0, 4.0)))
    assert spread is not None
    found = [spread.quantile((i + 0.5) / 300) for i in range(300)]
    assert [found.count(value) for value in (2.0, 3.0, 4.0)] == [100, 100, 100]
    assert (spread.quantile(0), spread.quantile(1)) == (2.0, 4.0)


def test_a_rising_list_moves_as_one_and_any_other_each_on_its_own() -> None:
    rising = spread_of("x", number([1.0, 2.0, 3.0], ascending=True, range=([0.0, 1.5, 2.5], [1.2, 2.5, 4.0])))
    free = spread_of("x", number([1.0, 2.0], range=([0.0, 1.0], [2.0, 3.0])))
    assert rising is not None and free is not None
    assert (rising.uniforms_needed, free.uniforms_needed) == (1, 2)
    assert rising.quantile(0.5) == pytest.approx([0.6, 2.0, 3.25])
    assert free.quantile([0.0, 1.0]) == [0.0, 3.0] and free.quantile(0.5) == [1.0, 2.0]


def test_what_is_fixed_has_no_spread() -> None:
    assert spread_of("x", number(1.0, range=(1.0, 1.0))) is None
    assert find_spread(REGISTRY, "tocilizumab.cap_mg") is None
    assert find_spread(REGISTRY, "population.lbcl.age_years.mean") is None
    assert find_spread(REGISTRY, "no.such.number") is None
    assert find_spread(REGISTRY, "population.correlations.adult") is None


def test_a_covariate_has_its_parameters_one_by_one() -> None:
    sd, share = (
        find_spread(REGISTRY, "population.all_paediatric.weight_kg.sd"),
        find_spread(REGISTRY, "population.lbcl.male_share.p"),
    )
    assert sd is not None and (sd.quantile(0), sd.quantile(1)) == (18.0, 26.0)
    assert share is not None and share.kind == "beta"
    assert share.quantile(0.5) == pytest.approx(174 / 270, abs=0.002)


@given(u=UNIT, v=UNIT)
def test_quantiles_rise(u: float, v: float) -> None:
    low, high = sorted((u, v))
    for spread in SPREADS.values():
        first, second = np.atleast_1d(spread.quantile(low)), np.atleast_1d(spread.quantile(high))
        assert (first <= second).all(), spread.key


@pytest.mark.parametrize("product", REGISTRY.products())
def test_the_registry_takes_every_number_at_every_probability(product: str) -> None:
    for u in (0.0, 1e-12, 0.25, 0.5, 0.75, 1 - 1e-12, 1.0):
        for key, spread in SPREADS.items():
            changed = load_registry({key: spread.quantile(u)})
            assert changed.numbers()[key] == spread.quantile(u)
        mine = {key: SPREADS[key].quantile(u) for key in draw_numbers(product, 1, 0)}
        load_registry(mine).population(product)


def test_shipped_rising_lists_keep_rising() -> None:
    rising = [
        key
        for key, entry in REGISTRY.items()
        if isinstance(entry, NumberEntry) and entry.ascending and spread_of(key, entry) is not None
    ]
    assert len(rising) >= 4
    for key in rising:
        for draw in range(50):
            values = draw_numbers("axi-cel", 3, draw)[key]
            assert isinstance(values, list) and sorted(set(values)) == values


# --- parameter sets ----------------------------------------------------------------------------------------------


def uncalibrated(product: str) -> list[str]:
    """Keys of a parameter set that no calibration has touched, without ends that may have changed places."""
    return sorted(set(draw_numbers(product, 1, 0)) - CALIBRATED - SWAPPED)


def test_a_parameter_set_holds_what_the_product_depends_on() -> None:
    drawn = draw_numbers("axi-cel", 7, 0)
    assert {"tocilizumab.effect", "product.axi-cel.crs_mu", "population.lbcl.male_share.p"} <= set(drawn)
    assert "population.risk_weights" in drawn
    others = ("product.liso-cel", "population.lupus", "grading.", "numerics.", "tocilizumab.cap_mg")
    assert not [key for key in drawn if key.startswith(others)]


def test_a_number_is_drawn_at_an_address_of_its_own() -> None:
    """Of its own key, or of key and place where each number of a list moves by itself."""

    def at(name: str, draw: int) -> float:
        return float(uniforms(study_key(7), [name_counter(name)], Decision.PARAMETER, draw)[0])

    by_place = set()
    for draw in (0, 1, 17):
        drawn = draw_numbers("axi-cel", 7, draw)
        mine = uncalibrated("axi-cel")
        assert len(mine) > 100
        for key in mine:
            spread = SPREADS[key]
            if spread.moves_as_one:
                assert drawn[key] == spread.quantile(at(key, draw)), key
            else:
                each = [at(f"{key}#{place}", draw) for place in range(spread.size)]
                assert drawn[key] == spread.quantile(each), key
                by_place.add(key)
    assert by_place, "some list moves place by place"


def test_sets_differ_by_number_and_seed_and_repeat() -> None:
    first = dict(draw_numbers("axi-cel", 7, 0))
    draw_numbers.cache_clear()
    assert dict(draw_numbers("axi-cel", 7, 0)) == first
    mine = uncalibrated("axi-cel")
    for other in (draw_numbers("axi-cel", 7, 1), draw_numbers("axi-cel", 8, 0)):
        assert set(other) == set(first)
        assert sum(other[key] != first[key] for key in mine) > 0.9 * len(mine)


def test_calibrated_numbers_come_together_from_one_row_of_the_draws() -> None:
    """Row `draw` of the table, from its beginning again after its end; the seed has no part in it."""
    table = pq.read_table(FOLDER / DRAWS)
    assert CALIBRATION is not None and table.num_rows == CALIBRATION.draws > 100
    products = ("axi-cel", "cilta-cel")
    for product, draw in ((p, d) for p in products for d in (0, 1, table.num_rows - 1, table.num_rows + 1)):
        drawn = draw_numbers(product, 7, draw)
        row = table.slice(draw % table.num_rows, 1).to_pylist()[0]
        others = f"product.{next(other for other in products if other != product)}."
        met = set()
        for name, wanted in row.items():
            key, place = list_places(name)
            if key.startswith(others):
                assert key not in drawn
            if key not in drawn:
                assert key.startswith("product.") and not key.startswith(f"product.{product}."), key
                continue
            value = drawn[key]
            assert (value if place is None else np.atleast_1d(value)[place]) == wanted, name
            met.add(key)
        assert met == {key for key in drawn if key in CALIBRATED}
        assert any(key.startswith(f"product.{product}.") for key in met)
        assert any(SPREADS[key].size for key in met), "lists as well"
        elsewhere = draw_numbers(product, 8, draw)
        assert all(elsewhere[key] == drawn[key] for key in met)
    first, second = (draw_numbers("axi-cel", 7, draw) for draw in (0, 1))
    assert all(first[key] != second[key] for key in CALIBRATED & set(first))


def test_shared_numbers_are_the_same_for_every_product() -> None:
    first, second = draw_numbers("axi-cel", 7, 5), draw_numbers("cd19-lupus", 7, 5)
    shared = set(first) & set(second)
    assert "tocilizumab.effect" in shared
    assert all(first[key] == second[key] for key in shared)


def law(spread: Spread) -> Any:
    """What the distribution of a scalar is by another reckoning."""
    a, b = spread.ends[0]
    match spread.kind:
        case "uniform":
            return stats.uniform(a, b - a)
        case "log-uniform":
            return stats.loguniform(a, b)
        case "lognormal":
            return stats.lognorm(b, scale=math.exp(a))
        case other:
            assert other == "beta"
            return stats.beta(a, b)


def test_draws_follow_the_distribution() -> None:
    """Kolmogorov-Smirnov over 2,000 sets, for the first uncalibrated number of every kind; rejects at 1e-6 only."""
    kinds = ("uniform", "log-uniform", "lognormal", "beta")
    scalars = [key for key in uncalibrated("axi-cel") if not SPREADS[key].size]
    chosen = [next(key for key in scalars if SPREADS[key].kind == kind) for kind in kinds]
    sets = [draw_numbers("axi-cel", 11, draw) for draw in range(2_000)]
    for key in chosen:
        test = stats.kstest([drawn[key] for drawn in sets], law(SPREADS[key]).cdf)
        print(f"{key}: largest distance {test.statistic:.4f}, p = {test.pvalue:.3g}")
        assert test.pvalue > 1e-6, key


def test_ends_of_an_interval_are_never_drawn_the_wrong_way_round() -> None:
    for draw in range(500):
        drawn = draw_numbers("axi-cel", 7, draw)
        for lower, upper in ORDERED:
            low, high = drawn[lower], drawn[upper]
            assert isinstance(low, float) and isinstance(high, float) and low <= high


def test_names_have_places_apart_from_each_other() -> None:
    counters = [name_counter(key) for key in REGISTRY.numbers()]
    assert len(set(counters)) == len(counters)
    assert all(0 <= counter < 2**63 for counter in counters)
    assert name_counter("tocilizumab.effect") == 1_046_623_070_258_750_104


def probe(**changes: Any) -> dict[str, Any]:
    return {
        "schema": "cartsim/scenario/1",
        "id": "probe",
        "title": "Probe",
        "product": "axi-cel",
        "arms": [
            {"id": "a", "policy": "asco_2021"},
            {"id": "b", "policy": "asco_2021", "model": {"death.crs_per_d": 0.1}},
        ],
        "run": {"seed": 7},
    } | changes


def test_explicit_overrides_win_over_a_parameter_set() -> None:
    block = {"draw": 4, "overrides": {"tocilizumab.effect": 1.0}}
    product = {"base": "axi-cel", "overrides": {"crs_mu": 0.5}}
    scenario = load_scenario(probe(model=block, product=product))
    drawn = draw_numbers("axi-cel", 7, 4)
    first, second = (scenario.registry_overrides(arm) for arm in scenario.arms)
    assert first == {**drawn, "tocilizumab.effect": 1.0, "product.axi-cel.crs_mu": 0.5}
    assert second == {**first, "death.crs_per_d": 0.1}
    assert scenario.resolved()["model"]["draw"] == 4
    assert load_scenario(scenario.resolved()).hash() == scenario.hash() != load_scenario(probe()).hash()


def test_a_parameter_set_needs_a_seed() -> None:
    with pytest.raises(InvalidInput, match="seed"):
        load_scenario(probe(model={"draw": 0}, run={})).registry_overrides()


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("model.overrides.tocilizumab.effect", "tocilizumab.effect"),
        ("product.overrides.crs_mu", "product.axi-cel.crs_mu"),
        ("arms.early.model.death.crs_per_d", "death.crs_per_d"),
        ("behaviour.icu_from.bp", "behaviour.icu_bp_level"),
        ("arms.early.behaviour.order_delay_h.1", "behaviour.order_delay_max_h"),
        ("behaviour.icu_from", None),
        ("arms.early.policy.rules.g1.when.for_h", None),
        ("population.weight_kg", None),
        ("model.draw", None),
    ],
)
def test_the_registry_number_behind_a_path(path: str, key: str | None) -> None:
    assert registry_key(path, "axi-cel") == key


def test_uncertainty_of_a_covariate_is_about_its_centre() -> None:
    shape = {
        "dist": "truncnorm",
        "mean": 50.0,
        "sd": 10.0,
        "low": 20.0,
        "high": 60.0,
        "range": {"mean": (40.0, 70.0)},
    }
    said = {"unit": "year", "status": "assumed", "meaning": "age", "reason": "a test"}
    told = {"uncertainty": {"kind": "normal", "sd": 2.0}}
    entry = DistributionEntry.model_validate(shape | said | told)
    mean = spread_of("x.mean", entry)
    assert mean is not None and mean.kind == "normal" and mean.quantile(0.5) == pytest.approx(50.0)
    assert spread_of("x.sd", entry) is None
    plain = spread_of("x.mean", entry.model_copy(update={"uncertainty": None}))
    assert plain is not None and (plain.quantile(0), plain.quantile(1)) == (40.0, 60.0), "held by the limits"
