"""What may be added to a run, and what a block's name follows from: all that its rows do, and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartsim.errors import InvalidInput
from cartsim.scenario.difference import scenario_difference
from cartsim.scenario.load import load_scenario
from cartsim.sweep.growth import Growth, check_growth, key_of, match_points, without_size
from cartsim.sweep.plan import Plan

THIRD = {"id": "severe", "policy": "severe_only"}
OTHER_RULE = {"extends": "asco_2021", "rules": {"g2_toci": {"give": {"repeat_h": 12}}}}
SWEEP = {"method": "grid", "axes": {"monitoring.ward_h": [4.0, 6.0]}}
ENGINE = {"version": "1", "sources": {"model/course.py": "0123"}}


@pytest.fixture(scope="module")
def resolved(probe: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """The resolved scenario with some keys changed; `arms` are added at the end."""

    def make(added: list | None = None, arms: list | None = None, **changes: Any) -> dict[str, Any]:
        plain = probe(**changes)
        plain["arms"] = (plain["arms"] if arms is None else arms) + (added or [])
        return load_scenario(plain).resolved()

    return make


def arms_of(probe: Callable[..., dict[str, Any]]) -> list[dict[str, Any]]:
    return probe()["arms"]


GROWTH = {
    "subjects": {"subjects": 500},
    "replicates": {"run": {"seed": 20261122, "replicates": 4}},
    "arm": {"added": [THIRD]},
    "all": {"subjects": 500, "run": {"seed": 20261122, "replicates": 4}, "added": [THIRD]},
}
OTHERS = {
    "seed": {"run": {"seed": 1}},
    "source": {"run": {"seed": 20261122, "source": "sobol"}},
    "monitoring": {"monitoring": {"ward_h": 3}},
    "horizon": {"study": {"horizon_days": 20}},
    "product": {"product": "tisa-cel-all"},
    "number": {"model": {"overrides": {"tocilizumab.effect": 0.5}}},
    "grading": {"grading": {"crs": "penn"}},
    "tables": {"outputs": {"tables": ["adsl"]}},
    "endpoints": {"outputs": {"endpoints": ["crs_ge3"]}},
    "site": {"site": {"beds": 2, "arrivals": {"every_h": 24}}},
    "weight": {"population": {"subjects": 100, "weight_kg": 80.0}},
}


@pytest.mark.parametrize("name", GROWTH)
def test_growth_is_allowed_and_keeps_the_names_of_blocks(resolved, name: str) -> None:
    before, after = resolved(), resolved(**GROWTH[name])
    assert before != after
    check_growth(before, after, [])
    assert key_of(before, ["asco", "none"], ENGINE) == key_of(after, ["asco", "none"], ENGINE)


def test_points_of_a_sweep_may_be_added_but_are_not_in_the_key(resolved) -> None:
    """What a point sets enters the name of a block by the point's own id."""
    before = resolved(sweep=SWEEP)
    after = resolved(sweep=SWEEP | {"axes": {"monitoring.ward_h": [4.0, 6.0, 12.0]}})
    check_growth(before, after, [])
    assert key_of(before, ["none"], ENGINE) == key_of(after, ["none"], ENGINE)


@pytest.mark.parametrize("name", OTHERS)
def test_anything_else_is_another_run(resolved, name: str) -> None:
    """Refused with what differs, and a block of the other run has another name."""
    before, after = resolved(), resolved(**OTHERS[name])
    differences = scenario_difference(before, after)
    with pytest.raises(InvalidInput, match="another scenario") as caught:
        check_growth(before, after, differences)
    assert differences and differences[0] in str(caught.value)
    assert key_of(before, ["asco", "none"], ENGINE) != key_of(after, ["asco", "none"], ENGINE)


def test_arms_may_not_change_leave_or_change_places(probe, resolved) -> None:
    before = resolved(added=[THIRD], reference="asco")
    asco, none = arms_of(probe)
    for arms in (
        [asco, none],
        [none, asco, THIRD],
        [asco, THIRD, none],
        [asco | {"policy": OTHER_RULE}, none, THIRD],
        [asco, none | {"label": "nothing"}, THIRD],
        [asco, none, THIRD | {"model": {"tocilizumab.effect": 0.5}}],
    ):
        with pytest.raises(InvalidInput):
            check_growth(before, resolved(arms=arms, reference="asco"), [])
    with pytest.raises(InvalidInput):
        check_growth(before, resolved(added=[THIRD], reference="none"), [])


def test_a_block_is_named_by_its_own_arms_the_reference_and_the_engine(probe, resolved) -> None:
    """Another arm may change and leave the blocks that do not hold it as they are."""
    asco, none = arms_of(probe)
    before = resolved(added=[THIRD], reference="asco")
    changed = resolved(arms=[asco, none | {"policy": "tocilizumab_first"}, THIRD], reference="asco")
    assert key_of(before, ["severe"], ENGINE) == key_of(changed, ["severe"], ENGINE)
    assert key_of(before, ["none"], ENGINE) != key_of(changed, ["none"], ENGINE)
    assert key_of(before, ["none", "severe"], ENGINE) != key_of(before, ["severe"], ENGINE)
    # rows are paired with the reference, and numbered by the place of their arm
    paired = resolved(arms=[asco | {"policy": OTHER_RULE}, none, THIRD], reference="asco")
    moved = resolved(arms=[asco, THIRD, none], reference="asco")
    for other in (paired, moved):
        assert key_of(before, ["severe"], ENGINE) != key_of(other, ["severe"], ENGINE)
    for engine in (ENGINE | {"version": "2"}, ENGINE | {"sources": {"model/course.py": "4567"}}):
        assert key_of(before, ["none"], ENGINE) != key_of(before, ["none"], engine)


def test_the_order_of_rules_is_in_the_name(resolved) -> None:
    """Where two rules fire at one look the first comes first, and a map in a file has an order."""
    rules = {
        "a": {"when": {"crs": ">=1"}, "give": {"drug": "tocilizumab"}},
        "b": {"when": {"crs": ">=2"}, "give": {"drug": "dexamethasone", "mg": 10}},
    }
    keys = []
    for names in (("a", "b"), ("b", "a")):
        policy = {"id": "p", "scale": "astct2019", "rules": {name: rules[name] for name in names}}
        keys.append(key_of(resolved(arms=[{"id": "x", "policy": policy}]), ["x"], ENGINE))
    assert keys[0] != keys[1]


def test_without_size_leaves_the_scenario_itself_alone(resolved) -> None:
    whole = resolved(sweep=SWEEP)
    core = without_size(whole)
    assert "subjects" not in core["population"] and "replicates" not in core["run"] and "sweep" not in core
    assert whole["population"]["subjects"] == 100 and "sweep" in whole and "arms" in whole


def test_growth_appends_to_the_plan_and_nothing_is_no_growth() -> None:
    plan = Plan.new(2, 1, 300, ["a", "b"], size=100)
    assert Growth(2, 1, 300, ("a", "b")).applied(plan) == plan
    grown = Growth(3, 2, 400, ("a", "b", "c")).applied(plan)
    assert (grown.points, grown.replicates, grown.subjects, grown.arms) == (3, 2, 400, ("a", "b", "c"))
    assert list(grown.blocks())[: plan.count_blocks()] == list(plan.blocks())
    with pytest.raises(InvalidInput, match="300 subjects, and 299"):
        Growth(2, 1, 299, ("a", "b")).applied(plan)


@given(
    st.lists(st.sampled_from("pqrst"), max_size=8),
    st.lists(st.sampled_from("pqrstuv"), max_size=8),
    st.data(),
)
def test_points_keep_their_ids_even_where_settings_repeat(stored: list, more: list, data: Any) -> None:
    """Every point of the new design once; those that were there first, equal ones in the order in which they were."""
    places = data.draw(st.lists(st.integers(0, len(stored)), min_size=len(more), max_size=len(more)))
    now = [*stored]
    for place, point in sorted(zip(places, more, strict=True), reverse=True):
        now.insert(place, point)
    order = match_points(stored, now)
    assert sorted(order) == list(range(len(now)))
    assert [now[k] for k in order[: len(stored)]] == stored
    for point in set(stored):
        kept = [k for k in order[: len(stored)] if now[k] == point]
        assert kept == sorted(kept)
    assert order[len(stored) :] == sorted(order[len(stored) :])


def test_a_point_that_has_gone_is_named() -> None:
    assert match_points(["p", "q"], ["x", "q", "p"]) == [2, 1, 0]
    with pytest.raises(InvalidInput, match="1 of 3 design points") as caught:
        match_points(["p", "q", "q"], ["q", "p", "r"])
    assert "design point 2" in str(caught.value)
