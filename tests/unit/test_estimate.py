"""What is said of a run beforehand: its sizes exactly, its cost to within a small factor."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cartsim.errors import InvalidInput
from cartsim.scenario.load import load_scenario
from cartsim.study import run
from cartsim.sweep.estimate import SHOWN, plan

AXES = {"monitoring.ward_h": [2.0, 4.0, 6.0, 12.0], "study.horizon_days": [20, 30]}


@pytest.fixture(scope="module")
def planned(probe: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    return lambda subjects=100, workers=1, **changes: plan(load_scenario(probe(subjects, **changes)), workers)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"run": {"seed": 1, "replicates": 3}},
        {"outputs": {"tables": ["adsl", "adcm"], "events": "all"}},
        {"outputs": {"tables": []}},
        {"sweep": {"method": "grid", "axes": AXES}},
        {"site": {"beds": 4, "arrivals": {"every_h": 12}}, "run": {"seed": 1, "replicates": 2}},
    ],
    ids=["plain", "replicates", "events", "no tables", "sweep", "site"],
)
def test_sizes_are_those_of_the_run(probe, tmp_path: Path, changes: dict[str, Any]) -> None:
    """Blocks and tables exactly; bytes within a factor of four where there are any rows to speak of."""
    scenario = load_scenario(probe(3_000 if len(changes) < 2 and "sweep" not in changes else 60, **changes))
    said = plan(scenario)
    study = run(scenario, tmp_path / "run")
    assert said["blocks"] == len(list((tmp_path / "run" / "blocks").glob("*.json")))
    assert said["tables"] == [table["name"] for table in study.manifest["tables"]] or set(said["tables"]) == {
        table["name"] for table in study.manifest["tables"]
    }
    assert said["driver"] == ("ward" if scenario.site else "batch")
    if scenario.subjects == 3_000 and scenario.outputs.tables:
        written = sum(
            file["bytes"]
            for table in study.manifest["tables"]
            for file in table["files"]
            if table["name"] != "contrasts"
        )
        assert said["estimated_bytes"] / 4 < written < 4 * said["estimated_bytes"]


def test_a_plan_in_numbers(planned) -> None:
    said = planned(10_000, run={"seed": 1, "replicates": 2})
    assert (said["subjects"], said["arms"], said["replicates"]) == (10_000, 2, 2)
    assert "points" not in said and "method" not in said


def test_cost_follows_what_is_asked(planned) -> None:
    """Twice the workers, half the time; fewer tables cost less; the log of everything costs more, a sample nothing."""
    whole = planned(10_000)
    assert planned(10_000, workers=2)["estimated_seconds"] == pytest.approx(
        whole["estimated_seconds"] / 2, abs=0.01
    )
    assert planned(20_000)["estimated_seconds"] == pytest.approx(2 * whole["estimated_seconds"], abs=0.02)
    cost = [
        (said["estimated_seconds"], said["estimated_bytes"])
        for outputs in ({"tables": []}, {"tables": ["adsl"]}, {}, {"events": "sample"}, {"events": "all"})
        for said in [planned(10_000, outputs=outputs)]
    ]
    assert cost[0] < cost[1] < cost[2] == cost[3] < cost[4]
    assert planned(10_000, site={"beds": 5, "arrivals": {"every_h": 6}})["estimated_seconds"] > 2 * cost[2][0]


def test_a_sweep_shows_its_method_and_first_points(planned) -> None:
    said = planned(50, sweep={"method": "grid", "axes": AXES})
    assert (said["method"], said["points"]) == ("grid", 8)
    assert len(said["first_points"]) == SHOWN
    assert said["first_points"][0] == {"monitoring.ward_h": 2.0, "study.horizon_days": 20}
    one = planned(50, sweep={"method": "grid", "axes": {"monitoring.ward_h": [4.0]}})
    assert len(one["first_points"]) == 1 and one["points"] == 1
    assert said["estimated_seconds"] > one["estimated_seconds"]


def test_a_sweep_that_cannot_be_made_is_refused(probe) -> None:
    with pytest.raises(InvalidInput):
        plan(load_scenario(probe(sweep={"method": "grid", "axes": {"monitoring.ward_hours": [4]}})))
