"""A search from the scenario to the folder, with the engine: small, and the same when it is run again."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from cartsim.commands.search import run_search
from cartsim.errors import InvalidInput
from cartsim.scenario.load import load_scenario
from cartsim.search.answer import Question, check_question, make_candidates
from cartsim.search.measure import Measure
from cartsim.search.objectives import read_objectives
from cartsim.sweep.points import Points

HOURS = "arms.early.policy.rules.g1_persist.when.for_h"
TEXT = {
    "schema": "cartsim/scenario/1",
    "id": "small_search",
    "title": "Waiting times",
    "product": "axi-cel",
    "population": {"subjects": 600},
    "arms": [
        {"id": "late", "policy": "severe_only"},
        {"id": "early", "policy": {"extends": "tocilizumab_first"}},
    ],
    "sweep": {"method": "grid", "axes": {HOURS: {"values": [12, 24, 72], "label": "hours"}}},
    "run": {"seed": 20261123},
    "outputs": {"tables": []},
}
ASK = Question("outcome.tocilizumab_any.early", ("crs_ge3",), indifference=0.05)


@pytest.fixture(scope="module")
def scenario():
    return load_scenario(TEXT)


@pytest.fixture(scope="module")
def folder(scenario, tmp_path_factory):
    out = tmp_path_factory.mktemp("search") / "out"
    run_search(scenario, ASK, out, workers=1, quiet=True)
    return out


def test_the_answer_is_written(folder):
    said = json.loads((folder / "search.json").read_text())
    assert said["status"] == "complete" and said["decided"] and said["candidates"] == 3
    assert set(said["files"]) == {"candidates.parquet", "front.png", "front.svg"}
    rows = pq.read_table(folder / "candidates.parquet").to_pylist()
    assert [(r["design_id"], r["endpoint"]) for r in rows[:2]] == [(0, "tocilizumab_any"), (0, "crs_ge3")]
    assert rows[0]["label"] == "hours: 12" and json.loads(rows[0]["settings"]) == {HOURS: 12}
    shares = {r["design_id"]: r["value"] for r in rows if r["endpoint"] == "tocilizumab_any"}
    # waiting longer gives the drug to fewer: the same subjects, so the order is exact
    assert shares[2] <= shares[1] <= shares[0] and said["best"] == 2
    assert {r["arm_id"] for r in rows} == {"early"}


def test_run_again_nothing_is_drawn_and_nothing_changes(scenario, folder, monkeypatch, capsys):
    before = {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    def drawn(*_):
        raise AssertionError("a sample was drawn again")

    monkeypatch.setattr(Measure, "__call__", drawn)
    capsys.readouterr()
    run_search(scenario, ASK, folder, workers=1, quiet=True, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    assert told["best"] == 2 and len(told["rows"]) == 6 and "at least 95 %" in told["statement"]


def test_the_printed_answer_names_choice_and_front(scenario, folder, capsys):
    run_search(scenario, ASK, folder, workers=1, quiet=True)
    said = capsys.readouterr().out
    assert "Chosen is the best of 3 with probability at least 95 %" in " ".join(said.split())
    assert "hours" in said and "best" in said and "not bedside advice" in said and "front.png" in said


def test_a_folder_of_another_scenario_is_refused(folder):
    other = load_scenario({**TEXT, "run": {"seed": 2}})
    with pytest.raises(InvalidInput, match="another scenario") as told:
        run_search(other, ASK, folder, quiet=True)
    assert "run.seed" in str(told.value)


def test_samples_do_not_depend_on_how_they_are_cut(scenario):
    _, objectives = read_objectives(
        "outcome.crs_ge3.early", ["steroid_mg", "icu_days"], ["early"], "astct2019", 30.0
    )
    measure = Measure(Points(scenario), "early", objectives)
    whole = measure(1, 0, 300)
    assert whole.shape == (300, 3) and set(np.unique(whole[:, 0])) <= {0.0, 1.0}
    assert np.array_equal(whole, np.concatenate([measure(1, 0, 110), measure(1, 110, 190)]))


def with_sweep(**axes):
    return {**TEXT, "sweep": {"method": "grid", "axes": axes}}


@pytest.mark.parametrize(
    ("text", "question", "says"),
    [
        ({**TEXT, "sweep": None}, ASK, "nothing to choose from"),
        ({**TEXT, "site": {"beds": 2, "arrivals": {"every_h": 24}}}, ASK, "independent subjects"),
        ({**TEXT, "run": {"seed": 1, "source": "sobol"}}, ASK, "independent subjects"),
        (TEXT, Question("outcome.icu_days.early"), "how small a difference"),
        (TEXT, Question("outcome.crs_ge3.early", confidence=1.0), "confidence of 1"),
        (TEXT, Question("outcome.crs_ge3.early", indifference=-0.1), "indifference of -0.1"),
        (TEXT, Question("outcome.crs_ge3.early", indifference=1.5), "below 1"),
        (TEXT, Question("outcome.crs_ge3.early", ceiling=100), "first 3,000 subjects"),
        (TEXT, Question("outcome.crs_ge3.erly"), "early"),
    ],
)
def test_questions_that_cannot_be_answered_are_refused(text, question, says):
    with pytest.raises(InvalidInput) as told:
        check_question(load_scenario(text), question)
    assert says in str(told.value)


def test_axes_that_change_what_is_measured_are_refused():
    scenario = load_scenario(with_sweep(**{"study.horizon_days": [14, 30]}))
    with pytest.raises(InvalidInput, match="same outcome"):
        make_candidates(Points(scenario), "early")


def test_more_candidates_than_the_limit_are_refused(scenario, tmp_path):
    with pytest.raises(InvalidInput, match="3"):
        run_search(scenario, ASK, tmp_path / "out", limit=2, quiet=True)
    assert not (tmp_path / "out").exists()
