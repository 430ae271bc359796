"""Design points are summarised together only where they ask the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cartsim.analysis.endpoints import standard_endpoints
from cartsim.errors import InvalidInput
from cartsim.scenario.load import load_scenario
from cartsim.scenario.resolve import Scenario
from cartsim.study import run
from cartsim.sweep.points import Points
from cartsim.sweep.question import is_single, make_summary, question_key, replication_unit

SITE = {"beds": 3, "arrivals": {"every_h": 24}}


@pytest.fixture(scope="module")
def scenario(probe: Callable[..., dict[str, Any]]) -> Callable[..., Scenario]:
    return lambda **changes: load_scenario(probe(**changes))


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"monitoring": {"ward_h": 3}}, True),
        ({"model": {"overrides": {"tocilizumab.effect": 0.5}}}, True),
        ({"subjects": 7, "run": {"seed": 1, "replicates": 3}}, True),
        ({"outputs": {"tables": ["adsl"]}}, True),
        ({"study": {"horizon_days": 20}}, False),
        ({"grading": {"crs": "penn"}}, False),
        ({"outputs": {"endpoints": ["crs_ge3"]}}, False),
        ({"run": {"seed": 1, "source": "sobol"}}, False),
        ({"site": SITE}, False),
    ],
)
def test_points_that_ask_the_same_share_a_key(scenario, changes: dict, same: bool) -> None:
    assert (question_key(scenario()) == question_key(scenario(**changes))) is same


def test_the_same_key_means_the_same_counts(scenario) -> None:
    """Two points with one key count the same columns; those with another may not."""
    points = Points(
        scenario(
            sweep={"method": "grid", "axes": {"monitoring.ward_h": [4, 6], "study.horizon_days": [20, 30]}}
        )
    )
    plans: dict[Any, set] = {}
    for i in range(len(points)):
        plan = make_summary(points.scenario(i), single=False).plan
        plans.setdefault(question_key(points.scenario(i)), set()).add(plan)
    assert [len(found) for found in plans.values()] == [1, 1]
    assert len({plan for found in plans.values() for plan in found}) == 2


def test_what_is_independent(scenario) -> None:
    assert replication_unit(scenario()) == "subject"
    assert replication_unit(scenario(run={"seed": 1, "source": "sobol"})) == "scramble"
    assert replication_unit(scenario(site=SITE)) == "replicate"


def test_a_scenario_by_itself_has_curves_and_a_sweep_has_not(scenario) -> None:
    alone, swept = scenario(), scenario(sweep={"method": "grid", "axes": {"monitoring.ward_h": [4, 6]}})
    assert is_single(Points(alone)) and not is_single(Points(swept))
    single, many = make_summary(alone), make_summary(swept, single=False)
    assert single.plan.curves and single.plan.paired_medians
    assert not many.plan.curves and not many.plan.paired_medians


def test_the_summary_asks_what_the_scenario_asks(scenario) -> None:
    given = scenario(
        outputs={"endpoints": ["icu_days", "crs_ge3"]}, grading={"crs": "lee2014"}, reference="none",
        study={"horizon_days": 20},
    )  # fmt: skip
    summary = make_summary(given)
    assert {endpoint.id for endpoint in summary.endpoints} == {"icu_days", "crs_ge3"}
    assert summary.arms == ("asco", "none") and summary.reference == "none"
    assert summary.frame.horizon_d == 20.0 and summary.frame.scenario_id == "probe"
    assert make_summary(given, ["none"]).arms == ("none",)
    everything = make_summary(scenario(grading={"crs": "lee2014"}))
    assert [e.id for e in everything.endpoints] == [e.id for e in standard_endpoints("lee2014")]
    assert everything.plan.columns > () and set(summary.plan.columns) < set(everything.plan.columns)


@pytest.mark.parametrize(
    ("name", "words"), [("crs_ge33", "crs_ge3"), ("xyz", "some of: "), ("icu_dayz", "icu_days")]
)
def test_an_endpoint_that_does_not_exist_is_refused_before_anything_is_run(
    probe, tmp_path: Path, name: str, words: str
) -> None:
    scenario = load_scenario(probe(outputs={"endpoints": ["crs_ge2", name]}))
    for ask in (
        lambda: make_summary(scenario),
        lambda: run(scenario, tmp_path / "run"),
        lambda: run(scenario),
    ):
        with pytest.raises(InvalidInput, match=f"unknown endpoint '{name}'") as caught:
            ask()
        assert "outputs.endpoints" in str(caught.value) and words in str(caught.value.mend)
    assert not (tmp_path / "run").exists()
