"""Designs: which points there are, in which order, under which ids, and what a table of them holds."""

import itertools
import sys
import tracemalloc
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from cartsim.draws import design_seed, lhs_cube, morris_cube, saltelli_cube, sobol_cube
from cartsim.errors import InvalidInput, Unreachable
from cartsim.evidence.registry import load_registry
from cartsim.evidence.spread import TAILS, find_spread
from cartsim.scenario.load import load_scenario
from cartsim.sweep.designs import Design, expand
from cartsim.sweep.rows import Grid

EFFECT = "model.overrides.tocilizumab.effect"
KD = "model.overrides.tocilizumab.kd_mg_per_l"
FOR_H = "arms.early.policy.rules.g1_persist.when.for_h"
#: What a scenario that says nothing about them has, whatever the calibration made of it.
CENTRAL = load_registry().numbers()
EARLY = {"g1_persist": {"when": {"for_h": 24}}}


def scenario(seed: int | None = 7, **sweep: Any) -> Any:
    return load_scenario(
        {
            "schema": "cartsim/scenario/1",
            "id": "probe",
            "title": "Probe",
            "product": "axi-cel",
            "arms": [
                {"id": "standard", "policy": "tocilizumab_first"},
                {"id": "early", "policy": {"extends": "tocilizumab_first", "rules": EARLY}},
            ],
            "run": {} if seed is None else {"seed": seed},
            "sweep": sweep or None,
        }
    )


def design(**sweep: Any) -> Design:
    return expand(scenario(**sweep))


def settings(made: Design) -> list[dict[str, Any]]:
    return [made.settings(i) for i in range(len(made))]


def test_a_scenario_without_a_sweep_is_one_point() -> None:
    made = design()
    assert (len(made), made.paths, made.method, made.settings(0)) == (1, (), "plain", {})
    table = made.table()
    assert table.column_names == ["design_id", "point_id", "role"] and table.num_rows == 1
    assert made.point_id(0) == table["point_id"][0].as_py()


def test_a_grid_is_every_combination_with_the_last_axis_fastest() -> None:
    axes = {
        FOR_H: [0, 12, 24],
        "product": ["axi-cel", "liso-cel"],
        EFFECT: {"low": 0.5, "high": 1.5, "steps": 3},
    }
    made = design(method="grid", axes=axes)
    wanted = itertools.product([0, 12, 24], ["axi-cel", "liso-cel"], [0.5, 1.0, 1.5])
    assert settings(made) == [dict(zip(axes, row, strict=True)) for row in wanted]
    assert made.paths == tuple(axes) and len(made) == 18


def test_a_grid_of_a_billion_points_takes_no_memory() -> None:
    grid = Grid(tuple(tuple(range(1000)) for _ in range(3)))
    tracemalloc.start()
    last = grid.row(len(grid) - 1)
    grid.row(123_456_789)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(grid) == 10**9 and last == {0: 999, 1: 999, 2: 999}
    assert grid.row(123_456_789) == {0: 123, 1: 456, 2: 789}
    assert peak < 20_000 and sys.getsizeof(grid) < 1_000


def test_a_zip_takes_the_axes_side_by_side() -> None:
    made = design(method="zip", axes={FOR_H: [0, 12], EFFECT: [0.8, 1.2]})
    assert settings(made) == [{FOR_H: 0, EFFECT: 0.8}, {FOR_H: 12, EFFECT: 1.2}]


def test_a_list_is_its_rows_and_leaves_what_they_leave() -> None:
    made = design(method="list", rows=[{FOR_H: 0}, {EFFECT: 0.8, FOR_H: 3}, {}])
    assert settings(made) == [{FOR_H: 0}, {FOR_H: 3, EFFECT: 0.8}, {}]
    central = CENTRAL["tocilizumab.effect"]
    assert central != 0.8 and made.table()[EFFECT].to_pylist() == [central, 0.8, central]


def test_one_at_a_time_begins_with_the_scenario_and_leaves_its_own_values_out() -> None:
    axes = {
        EFFECT: "evidence",
        FOR_H: [12, 24, 48],
        KD: {"low": 0.2, "high": 2.7},
        "product": ["axi-cel", "liso-cel"],
        "monitoring.ward_h": {"low": 4, "high": 8, "steps": 3},
    }
    made = design(method="one_at_a_time", axes=axes)
    spread = find_spread(load_registry(), "tocilizumab.effect")
    assert spread is not None
    assert settings(made) == [
        {},
        {EFFECT: spread.quantile(0.05)},
        {EFFECT: spread.quantile(0.95)},
        {FOR_H: 12},
        {FOR_H: 48},
        {KD: 0.2},
        {KD: 2.7},
        {"product": "liso-cel"},
        {"monitoring.ward_h": 4.0},
        {"monitoring.ward_h": 8.0},
    ]
    table = made.table()
    assert table.slice(0, 1).to_pylist()[0] | {"design_id": 0, "point_id": "", "role": None} == {
        "design_id": 0,
        "point_id": "",
        "role": None,
        EFFECT: CENTRAL["tocilizumab.effect"],
        FOR_H: 24.0,
        KD: CENTRAL["tocilizumab.kd_mg_per_l"],
        "product": "axi-cel",
        "monitoring.ward_h": 6.0,
    }


def test_a_latin_hypercube_has_one_point_in_every_stratum() -> None:
    made = design(
        method="lhs",
        points=50,
        axes={EFFECT: {"low": 0.5, "high": 1.5}, KD: {"low": 0.1, "high": 10, "scale": "log"}},
    )
    effect = np.array([one[EFFECT] for one in settings(made)])
    kd = np.array([one[KD] for one in settings(made)])
    assert sorted(np.floor((effect - 0.5) * 50).astype(int)) == list(range(50))
    assert sorted(np.floor(np.log10(kd / 0.1) / 2 * 50).astype(int)) == list(range(50))


def test_sobol_points_are_spread_evenly_and_grow_by_appending() -> None:
    axes = {
        EFFECT: {"low": 0.0, "high": 1.0},
        KD: {"low": 0.5, "high": 1.5},
        "model.draw": {"low": 0, "high": 3, "scale": "whole"},
    }
    made = design(method="sobol", points=64, axes=axes)
    for path, low, width in ((EFFECT, 0.0, 1.0), (KD, 0.5, 1.0)):
        strata = sorted(int((one[path] - low) / width * 64) for one in settings(made))
        assert strata == list(range(64))
    drawn = [one["model.draw"] for one in settings(made)]
    assert [drawn.count(number) for number in range(4)] == [16] * 4 and all(type(one) is int for one in drawn)
    assert settings(design(method="sobol", points=100, axes=axes))[:64] == settings(made)


def test_values_of_a_list_are_equally_likely_in_a_sampled_design() -> None:
    made = design(
        method="sobol", points=60, axes={"product": ["axi-cel", "liso-cel", "ide-cel"], EFFECT: "evidence"}
    )
    chosen = [one["product"] for one in settings(made)]
    assert all(19 <= chosen.count(product) <= 21 for product in ("axi-cel", "liso-cel", "ide-cel"))


def test_an_evidence_axis_walks_its_distribution() -> None:
    volume = "model.overrides.tocilizumab.volume_l"
    made = design(
        method="lhs",
        points=400,
        axes={volume: "evidence", "model.overrides.signs.neuro_thresholds": "evidence"},
    )
    values = [one[volume] for one in settings(made)]
    assert stats.kstest(values, stats.lognorm(0.21, scale=4.3).cdf).statistic < 1 / 400 + 1e-9
    lists = [one["model.overrides.signs.neuro_thresholds"] for one in settings(made)]
    assert all(sorted(set(one)) == one and len(one) == 4 for one in lists)


def test_saltelli_rows_are_a_b_and_the_crossed_matrices() -> None:
    axes = {EFFECT: {"low": 0, "high": 1}, KD: {"low": 0, "high": 1}, FOR_H: {"low": 0, "high": 1}}
    made = design(method="saltelli", points=8, axes=axes)
    assert len(made) == 8 * 5
    rows = np.array([[one[path] for path in axes] for one in settings(made)]).reshape(8, 5, 3)
    roles = [made.role(i) for i in range(5)]
    assert roles == ["A", *(f"AB:{path}" for path in axes), "B"]
    assert made.table()["role"].to_pylist() == roles * 8
    a, b = rows[:, 0], rows[:, 4]
    assert not (a == b).any()
    for place in range(3):
        crossed = a.copy()
        crossed[:, place] = b[:, place]
        assert np.array_equal(rows[:, 1 + place], crossed)
    more = design(method="saltelli", points=11, axes=axes)
    assert settings(more)[: 8 * 5] == settings(made)


def test_groups_are_crossed_together() -> None:
    axes = {EFFECT: {"low": 0, "high": 1}, FOR_H: {"low": 0, "high": 1}, KD: {"low": 0, "high": 1}}
    made = design(method="saltelli", points=4, axes=axes, groups={"drug": [KD, EFFECT]})
    assert [made.role(i) for i in range(4)] == ["A", "AB:drug", f"AB:{FOR_H}", "B"]
    a, drug, timing, b = ([made.settings(i)[path] for path in axes] for i in range(4))
    assert drug == [b[0], a[1], b[2]] and timing == [a[0], b[1], a[2]]


def test_morris_trajectories_move_one_input_at_a_time() -> None:
    axes = {
        EFFECT: {"low": 0.0, "high": 3.0},
        KD: {"low": 1.0, "high": 4.0},
        FOR_H: {"low": 1.0, "high": 4.0},
    }
    made = design(method="morris", points=6, axes=axes)
    assert [made.role(i) for i in range(len(made))] == [str(i // 4) for i in range(24)]
    rows = np.array([[one[path] for path in axes] for one in settings(made)]).reshape(6, 4, 3)
    moved = np.diff(rows, axis=1) != 0
    assert (moved.sum(2) == 1).all() and (moved.sum(1) == 1).all()
    assert np.allclose(rows, np.round(rows)), "four levels"
    grouped = design(method="morris", points=6, axes=axes, groups={"drug": [EFFECT, KD]})
    assert len(grouped) == 18 and grouped.role(17) == "5"


def test_morris_takes_an_unbounded_distribution_at_its_tails() -> None:
    made = design(
        method="morris",
        points=10,
        axes={"model.overrides.tocilizumab.volume_l": "evidence", EFFECT: "evidence"},
    )
    spread = find_spread(load_registry(), "tocilizumab.volume_l")
    assert spread is not None
    values = {one["model.overrides.tocilizumab.volume_l"] for one in settings(made)}
    assert (min(values), max(values)) == (spread.quantile(TAILS[0]), spread.quantile(TAILS[1]))
    assert len(values) <= 4


@pytest.mark.parametrize("method", ["lhs", "sobol", "saltelli", "morris"])
def test_designs_depend_on_their_seed_alone(method: str) -> None:
    sweep = {"method": method, "points": 4, "axes": {EFFECT: "evidence", KD: "evidence"}}
    first = settings(design(**sweep))
    assert settings(design(**sweep)) == first
    assert settings(expand(scenario(8, **sweep))) != first
    own = load_scenario(scenario(8, **sweep).resolved(), {"sweep.seed": 7})
    assert settings(expand(own)) == first, "a seed of its own, here that of the other study"


def test_a_sampled_design_needs_a_seed() -> None:
    with pytest.raises(InvalidInput, match="seed"):
        expand(scenario(None, method="lhs", points=4, axes={EFFECT: "evidence"}))
    assert len(expand(scenario(None, method="grid", axes={EFFECT: [1.0]}))) == 1


def test_ids_are_made_of_settings_alone() -> None:
    first = design(method="grid", axes={EFFECT: [0.5, 2], FOR_H: [0, 24]})
    second = design(method="list", rows=[{FOR_H: 24.0, EFFECT: 2.0}, {FOR_H: 1}])
    assert first.point_id(3) == second.point_id(0)
    ids = [first.point_id(i) for i in range(4)]
    assert len(set(ids)) == 4 and all(len(one) == 16 and int(one, 16) >= 0 for one in ids)


def test_ids_see_the_order_of_rules_but_not_of_other_keys() -> None:
    def rows(first: Any, second: Any) -> list[str]:
        made = design(method="list", rows=[{"arms.early.policy": first}, {"arms.early.policy": second}])
        return [made.point_id(i) for i in range(2)]

    a = {"when": {"crs": 2, "fever": True}, "care": "icu"}
    b = {"when": {"crs": 3}, "care": "icu"}
    first, turned = {"scale": "penn", "rules": {"a": a, "b": b}}, {"scale": "penn", "rules": {"b": b, "a": a}}
    assert len(set(rows(first, turned))) == 2
    with pytest.raises(InvalidInput, match="not valid"):
        rows(
            first,
            {"rules": {"a": {"care": "icu", "when": {"fever": True, "crs": 2}}, "b": b}, "scale": "penn"},
        )


def test_a_table_has_numbers_as_numbers_and_the_rest_as_text() -> None:
    weight = {"dist": "lognormal", "median": 20, "cv": 0.3}
    first = {"arms.early.policy": {"extends": "asco_2021"}, "population.weight_kg": 20}
    second = {"arms.early.policy": "asco_2021", "population.weight_kg": weight}
    rows = [{EFFECT: 1, "product": "axi-cel", **first}, {EFFECT: 2.5, "product": "liso-cel", **second}]
    made = design(method="list", rows=rows)
    table = made.table()
    assert table.schema.field("design_id").type == pa.int32()
    assert table.schema.field(EFFECT).type == pa.float64()
    assert table["product"].to_pylist() == ["axi-cel", "liso-cel"]
    assert table["arms.early.policy"].to_pylist() == ['{"extends":"asco_2021"}', "asco_2021"]
    assert table["population.weight_kg"].to_pylist() == ["20", '{"cv":0.3,"dist":"lognormal","median":20}']
    assert made.table(1, 5).equals(table.slice(1))


def test_a_point_that_is_not_there() -> None:
    made = design(method="grid", axes={EFFECT: [1.0]})
    for i in (-1, 1):
        with pytest.raises(IndexError):
            made.settings(i)


def test_labels_are_those_given_or_the_paths() -> None:
    made = design(method="grid", axes={EFFECT: {"values": [1.0], "label": "tocilizumab effect"}, KD: [0.4]})
    assert made.labels == ("tocilizumab effect", KD)


@pytest.mark.parametrize("method", ["saltelli", "morris"])
def test_without_salib_the_part_that_is_missing_is_named(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "SALib", None)
    monkeypatch.setitem(sys.modules, "SALib.sample", None)
    with pytest.raises(Unreachable) as caught:
        design(method=method, points=4, axes={EFFECT: "evidence", KD: "evidence"})
    assert caught.value.exit_code == 6
    assert 'pip install "cartsim[sensitivity]"' in str(caught.value)


def test_cubes_lie_inside_the_unit_cube() -> None:
    seed = design_seed(7)
    for cube in (lhs_cube(seed, 33, 3), sobol_cube(seed, 33, 3), saltelli_cube(seed, 33, 3)):
        assert cube.shape[1] == 3 and (cube > 0).all() and (cube < 1).all()
    assert sobol_cube(seed, 33, 3).shape == (33, 3) and saltelli_cube(seed, 33, 3).shape == (165, 3)
    assert set(np.round(morris_cube(seed, 40, 2).ravel() * 3)) == {0.0, 1.0, 2.0, 3.0}
