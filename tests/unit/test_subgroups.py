"""Subgroups: who belongs to one is read off baseline covariates, and its rows are those that its subjects would have
alone. Without `subgroups:` nothing is counted and nothing is different."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartsim.analysis.summary import Summary
from cartsim.analysis.tally import fold, tally
from cartsim.cohort import COHORT
from cartsim.errors import InvalidInput
from cartsim.scenario.load import load_scenario
from cartsim.scenario.subgroups import Subgroup
from cartsim.study import run
from cartsim.sweep.block import measure_cell, run_block
from cartsim.sweep.plan import Plan
from cartsim.sweep.points import Points
from cartsim.sweep.question import make_summary

Probe = Callable[..., dict[str, Any]]
GROUPS = {"old": {"age_years": ">=65"}, "young_ill": {"age_years": "<65", "high_burden": True}}


def test_members_by_hand() -> None:
    """Bounds are as written: 65 is not below 65; flags and sex are equalities; all conditions must hold."""
    cohort = np.zeros(4, COHORT)
    cohort["age_years"] = (64.999, 65.0, 65.0, 80.0)
    cohort["high_burden"] = (1, 1, 0, 1)
    cohort["male"] = (1, 0, 1, 0)
    cases = {
        "old": ({"age_years": ">=65"}, [0, 1, 1, 1]),
        "young": ({"age_years": "<65"}, [1, 0, 0, 0]),
        "old_women_ill": ({"age_years": [65, 79], "high_burden": True, "sex": "F"}, [0, 1, 0, 0]),
        "men": ({"sex": "M"}, [1, 0, 1, 0]),
    }
    for name, (conditions, expected) in cases.items():
        assert Subgroup.parse(name, conditions).members(cohort).tolist() == [bool(x) for x in expected], name


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ({"agee_years": ">=65"}, ("not known at infusion", "age_years")),
        ({"age_years": 65}, ("takes a bound or a range",)),
        ({"high_burden": ">=1"}, ("true or false",)),
        ({"sex": "female"}, ("sex is M or F",)),
        ({}, ("this is everybody",)),
    ],
)
def test_bad_conditions_are_said_with_their_place(
    probe: Probe, conditions: dict[str, Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_scenario(probe(subgroups={"group": conditions}))
    text = str(caught.value)
    assert "subgroups.group" in text
    for word in words:
        assert word in text


def test_rows_of_a_subgroup_are_those_of_its_subjects_alone(
    probe: Probe, differing: Callable[..., list[str]]
) -> None:
    """Counted again from the measures of its subjects, everything but the name of the population is the same bits."""
    points = Points(load_scenario(probe(500, subgroups=GROUPS)))
    study = run(probe(500, subgroups=GROUPS))
    plan = Plan.new(1, 1, 500, ["asco", "none"], whole=False)
    summary = make_summary(points.base)
    block = next(iter(plan.blocks()))
    measured = measure_cell(points, block.cells[0], summary.columns)
    from cartsim.cells import Span, draw_for

    cohort, _ = draw_for(points.base, points.arms(0)[0], Span(0, 0, 500))
    inside = Subgroup.parse("old", GROUPS["old"]).members(cohort)
    assert 50 < inside.sum() < 450
    n = int(inside.sum())
    alone = fold(
        [
            tally(
                summary.plan,
                np.zeros(n, "i4"),
                np.zeros(n, "i4"),
                {arm: {c: v[inside] for c, v in found.items()} for arm, found in measured.items()},
                "asco",
                ["asco", "none"],
            )
        ]
    )
    everybody: Summary = make_summary(points.base, population="old")
    expected = everybody.outcomes(alone)
    import pyarrow.compute as pc

    outcomes = study.arrow("outcomes")
    rows = outcomes.filter(pc.equal(outcomes["population"], "old")).combine_chunks()
    assert rows.num_rows == expected.num_rows > 100
    assert not differing(rows, expected.cast(rows.schema))
    found = study.contrasts
    row = found[
        (found.population == "old")
        & (found.endpoint == "crs_ge3")
        & (found["view"] == "observed")
        & (found.scale == "astct2019")
        & (found.summary == "risk difference")
    ].iloc[0]
    severe = {arm: (measured[arm]["crs_max_astct2019"][inside] >= 3) for arm in ("asco", "none")}
    assert row.n_units == n
    assert row.value == (severe["none"].sum() - severe["asco"].sum()) / n
    assert row.n01 == (severe["none"] & ~severe["asco"]).sum()
    assert row.nnt_kind == "NNH" and abs(row.nnt) == pytest.approx(1 / row.value)


def test_everybody_is_untouched_and_stands_first(probe: Probe, differing: Callable[..., list[str]]) -> None:
    plain, grouped = run(probe(300)), run(probe(300, subgroups=GROUPS))
    for name in ("outcomes", "contrasts"):
        without, rows = plain.arrow(name), grouped.arrow(name)
        assert rows.num_rows == 3 * without.num_rows
        assert not differing(without, rows.slice(0, without.num_rows))
        assert rows["population"].to_pylist()[without.num_rows] == "old"


def test_an_empty_subgroup_is_null(probe: Probe) -> None:
    study = run(probe(50, subgroups={"ancient": {"age_years": ">=119"}}))
    for table in (study.outcomes, study.contrasts):
        rows = table[table.population == "ancient"]
        assert len(rows) and (rows.n_units == 0).all()
        assert rows.value.isna().all() and rows.lower.isna().all()


def test_blocks_and_points_do_not_move_a_bit(
    probe: Probe, differing: Callable[..., list[str]], tmp_path: Path
) -> None:
    """Several blocks, replicates and design points; in memory and in a folder."""
    data = probe(
        120,
        subgroups=GROUPS,
        run={"seed": 7, "replicates": 2},
        sweep={"method": "grid", "axes": {"monitoring.ward_h": {"values": [6, 12]}}},
        outputs={"tables": [], "endpoints": ["crs_ge3", "hospital_days"]},
    )
    whole, cut = run(data), run(data, tmp_path / "run", block=50)
    for name in ("outcomes", "contrasts"):
        one, other = whole.arrow(name), cut.arrow(name)
        assert not differing(one, other)
        assert one["design_id"].to_pylist() == sorted(one["design_id"].to_pylist())
        assert set(one["population"].to_pylist()) == {"all infused subjects", *GROUPS}


def test_off_costs_nothing_and_leaves_no_trace(probe: Probe) -> None:
    """Neither a table, nor a key of the resolved scenario, nor another hash."""
    scenario = load_scenario(probe(20))
    assert not {"subgroups", "costs", "utilities"} & scenario.resolved().keys()
    points = Points(scenario)
    block = next(iter(Plan.new(1, 1, 20, ["asco", "none"], whole=False).blocks()))
    tables = run_block(points, block)
    assert not {"subgroup_tallies", "occupancy_counts"} & tables.keys()
    assert load_scenario(probe(20, subgroups=None, costs=None)).hash() == scenario.hash()


def test_a_scenario_resolves_to_itself(probe: Probe) -> None:
    scenario = load_scenario(probe(20, subgroups=GROUPS))
    again = load_scenario(scenario.resolved())
    assert again.hash() == scenario.hash() != load_scenario(probe(20)).hash()
