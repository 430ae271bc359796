"""Stories of subjects against what runs stored: the same rows to the last bit for many subjects of several scenarios
and a ward, whatever was logged; refusals where the run is another engine's or its rows were changed; the commands."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import cartsim
from cartsim.cli import main
from cartsim.errors import InvalidInput, Mismatch
from cartsim.scenario.load import load_scenario
from cartsim.store.compact import compact
from cartsim.store.manifest import find_manifest, rewrite
from cartsim.story.lives import live
from cartsim.story.source import Address, open_source
from cartsim.story.stored import compare_stored
from cartsim.study import Study, run

Probe = Callable[..., dict[str, Any]]
TABLES = {"tables": ["adsl", "adae", "adcm", "adtte", "grade_intervals"], "events": "all"}
COMPARED = {"adsl", "adae", "adcm", "adtte", "grade_intervals", "events"}


def shipped(repository: Path, name: str, out: Path, subjects: int, **changes: Any) -> Study:
    overrides = {"population.subjects": subjects, **changes}
    scenario = load_scenario(repository / "scenarios" / f"{name}.yaml", overrides)
    data = scenario.resolved() | {"outputs": TABLES}
    return run(data, out, block=500)


@pytest.fixture(scope="module")
def timing(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return shipped(repository, "tocilizumab_timing", tmp_path_factory.mktemp("timing") / "run", 2000)


@pytest.fixture(scope="module")
def parted(timing: Study) -> tuple[int, float]:
    """The first subject who has two doses of tocilizumab and no anakinra in arm grade2, the first one ordered before
    any in arm grade3; and the day of that order, from the stored rows."""
    rows = timing.table("adcm")
    toci = rows[rows["CMDECOD"] == "TOCILIZUMAB"]
    ordered = toci.groupby(["arm_id", "subject"], observed=True)["t_order_d"]
    early, late = ordered.min()["grade2"], ordered.min()["grade3"]
    found = early[(ordered.count()["grade2"] >= 2) & (early < late.reindex(early.index))]
    found = found.drop(rows.loc[rows["CMDECOD"] == "ANAKINRA", "subject"], errors="ignore").sort_index()
    return int(found.index[0]), float(found.iloc[0])


@pytest.fixture(scope="module")
def ward(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    out = tmp_path_factory.mktemp("ward") / "run"
    scarce = {"run.replicates": 3, "site.beds": 6, "site.icu_beds": 1, "site.tocilizumab_doses": 1}
    return shipped(repository, "ward_capacity", out, 40, **scarce)


def random_subjects(count: int, below: int) -> list[int]:
    return sorted(np.random.default_rng(20261122).choice(below, count, replace=False).tolist())


def agree(study: Study, subjects: list[int], design: int = 0, replicate: int = 0) -> None:
    source = open_source(study)
    scenario = source.points.scenario(design)
    for subject in subjects:
        lives = live(scenario, source.points.arms(design), replicate, subject)
        found = compare_stored(source, Address(design, replicate, subject), lives)
        assert found.difference is None and found.remark is None
        assert found.rows["adsl"] == len(lives) and found.rows["grade_intervals"] >= 3 * len(lives)
        assert set(found.rows) <= COMPARED


def test_replay_equals_the_stored_rows(timing: Study) -> None:
    agree(timing, random_subjects(100, 2000))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("lupus_prophylaxis", {}),
        ("axicel_zuma1", {}),
        ("prophylactic_tocilizumab", {}),
        ("lupus_prophylaxis", {"monitoring.start": "outpatient", "run.source": "sobol", "run.replicates": 2}),
    ],
)
def test_replay_equals_the_stored_rows_of_other_scenarios(
    repository: Path, tmp_path: Path, name: str, changes: dict[str, Any]
) -> None:
    study = shipped(repository, name, tmp_path / "run", 1024, **changes)
    agree(study, random_subjects(25, 1024), replicate=int(changes.get("run.replicates", 1)) - 1)


def test_replay_of_a_design_point(repository: Path, tmp_path: Path) -> None:
    """Settings of a point change its arms; a compacted run is read by row groups alone."""
    study = shipped(repository, "tocilizumab_sweep", tmp_path / "run", 40)
    points = len(open_source(study).points)
    assert points > 3
    for design in (0, points // 2, points - 1):
        agree(study, [0, 17, 39], design)
    compact(study.out)
    agree(study, [3], points - 1)


def test_a_ward_is_lived_again_with_everybody(ward: Study) -> None:
    for replicate in (0, 2):
        agree(ward, [0, 13, 39], replicate=replicate)


def test_a_ward_story_tells_waits_and_blames_the_site(ward: Study) -> None:
    told = [cartsim.replay(ward, subject, replicate=1) for subject in (12, 20, 28, 39)]
    waits = [e for story in told for course in story.courses for e in course.events if e.kind == "wait"]
    assert waits and all(e.data["wait_h"] > 0 for e in waits)
    assert any("the infusion waits for" in e.text and e.text.endswith("for a ward bed") for e in waits)
    causes = {d.cause for story in told for d in story.differences if d is not None}
    assert causes <= {"policy", "site", "none"}


def test_what_is_logged_changes_no_outcome_and_no_story(probe: Probe, tmp_path: Path) -> None:
    hashes, stories = set(), []
    for events in ("off", "sample", "all"):
        study = run(probe(400, outputs={"tables": ["adsl", "adcm"], "events": events}), tmp_path / events)
        entry = next(t for t in study.manifest["tables"] if t["name"] == "outcomes")
        hashes.add(entry["content_hash"])
        # subject 250 is beyond the sample
        story = cartsim.replay(study, 250)
        assert story.stored.difference is None
        assert ("events" in story.stored.rows) == (events == "all")
        stories.append([event.as_dict() for course in story.courses for event in course.events])
    assert len(hashes) == 1
    assert stories[0] == stories[1] == stories[2]


def test_an_interrupted_run_is_told_as_far_as_it_came(probe: Probe, tmp_path: Path) -> None:
    study = run(probe(40), tmp_path / "run", block=20)
    place = study.out
    assert place is not None
    manifest = find_manifest(place) or {}
    rewrite(place, manifest | {"status": "partial"})
    place.delete(next(name for name in place.names("blocks") if "00001" in name))
    assert cartsim.replay(place, 5, "asco").stored.rows["adsl"] == 1
    assert "has not come to this subject yet" in cartsim.replay(place, 35, "asco").stored.text()


def test_a_run_without_subject_tables_is_told_uncompared(probe: Probe, tmp_path: Path) -> None:
    study = run(probe(20, outputs={"tables": []}), tmp_path / "run")
    assert "no tables of subjects" in cartsim.replay(study, 3).stored.text()


def test_a_scenario_needs_no_run(repository: Path, probe: Probe, parted: tuple[int, float]) -> None:
    assert "no run to compare" in cartsim.replay(probe(20), 3).stored.text()
    scenario = repository / "scenarios" / "tocilizumab_timing.yaml"
    story = cartsim.replay(scenario, parted[0], ["grade2", "grade3"])
    assert story.arms == ("grade2", "grade3")
    difference = story.differences[1]
    assert difference is not None and difference.rule_id == "g2_toci" and story.differences[0] is None


def test_biomarkers_and_harms_are_told_and_compared(probe: Probe, tmp_path: Path) -> None:
    """A rule on a sample says which sample; reactions and samples stand in the story and in the rows compared."""
    crp = {"when": {"sampled_crp_mg_per_l": ">=60", "toci_doses": 0}, "give": {"drug": "tocilizumab"}}
    data = probe(
        60,
        arms=[{"id": "crp", "policy": {"id": "by_crp", "scale": "astct2019", "rules": {"crp": crp}}}],
        outputs={"tables": ["adsl", "adae", "adcm"], "biomarkers": {"every_h": 12}},
        harms={},
    )
    study = run(data, tmp_path / "run")
    kinds: set[str] = set()
    for subject in range(12):
        story = cartsim.replay(study, subject)
        assert story.stored.rows["adlb"] > 0 and story.stored.rows["advs"] > 0
        kinds |= {event.kind for event in story.courses[0].events}
        if len(story.courses[0].life.doses):
            reason = cartsim.explain(study, subject, 1)
            asked = next(c for c in reason.conditions if c.key == "sampled_crp_mg_per_l")
            assert asked.holds and "sampled on day" in asked.found
    assert {"sample", "dose", "reaction"} <= kinds


# --- refusals


def test_rows_that_were_changed_are_named(probe: Probe, tmp_path: Path) -> None:
    study = run(probe(30), tmp_path / "run")
    path = next((tmp_path / "run" / "adsl").glob("*.parquet"))
    table = pq.read_table(path)
    column = table.column_names.index("steroid_mg_dex_eq")
    values = table["steroid_mg_dex_eq"].to_pylist()
    values[7] = np.nextafter(values[7], 1e9)
    pq.write_table(table.set_column(column, table.schema.field(column), [values]), path)
    arm = table["arm_id"][7].as_py()
    with pytest.raises(Mismatch, match="not the one that the run stored") as caught:
        cartsim.replay(study, 7, arm)
    assert "adsl, row 1, column steroid_mg_dex_eq" in str(caught.value)
    assert cartsim.replay(study, 8, arm).stored.rows["adsl"] == 1


def test_another_engine_is_refused_unless_forced(probe: Probe, tmp_path: Path) -> None:
    study = run(probe(30), tmp_path / "run")
    place = study.out
    assert place is not None
    manifest = find_manifest(place) or {}
    rewrite(place, manifest | {"sources": manifest["sources"] | {"model/drugs.py": "0" * 12}})
    with pytest.raises(Mismatch, match="another version of cartsim") as caught:
        cartsim.replay(place, 3)
    assert "model/drugs.py" in str(caught.value) and "--force" in str(caught.value)
    story = cartsim.replay(place, 3, force=True)
    assert story.source.changed and story.stored.rows["adsl"] == 2
    assert main(["explain", str(tmp_path / "run"), "--subject", "3", "--dose", "1"]) == 7


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"subject": 30}, "subjects are numbered 0 to 29"),
        ({"subject": -1}, "subjects are numbered 0 to 29"),
        ({"subject": 3, "arms": "asko"}, "arms are asco, none"),
        ({"subject": 3, "design": 1}, "design points are numbered only 0"),
        ({"subject": 3, "replicate": 2}, "replicates are numbered only 0"),
    ],
)
def test_numbers_that_do_not_exist(probe: Probe, given: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        cartsim.replay(probe(30), **given)


def test_places_that_hold_no_run(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such run"):
        cartsim.replay(tmp_path / "nothing", 0)
    with pytest.raises(InvalidInput, match="not the folder of a run"):
        cartsim.replay(tmp_path, 0)


@pytest.mark.parametrize(
    ("dose", "said"),
    [
        ("0", "is no number of a dose"),
        ("second", "is no number of a dose"),
        ("toci:1", "try: --dose tocilizumab:1"),
        ("anakinra:1", "no dose of anakinra number 1"),
        ("999", "it was given tocilizumab"),
    ],
)
def test_doses_that_do_not_exist(repository: Path, parted: tuple[int, float], dose: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        cartsim.explain(repository / "scenarios" / "tocilizumab_timing.yaml", parted[0], dose, "grade2")
    assert said in str(caught.value)


# --- data


#: What a program that reads the JSON may rely on; more may be added, nothing taken away without another schema number.
KEYS = {
    "": {"schema", "run", "scenario_id", "title", "seed", "design_id", "settings", "replicate", "subject", "crs_scale",
         "engine_changed", "patient", "reference", "arms", "stored", "disclaimer"},
    "arm": {"arm_id", "label", "policy", "events", "ending", "first_difference"},
    "event": {"t_d", "clock", "kind", "text", "rule_id", "data"},
    "rule": {"rule_id", "outcome", "conditions", "held_since_d", "asks_for_icu", "order", "reason"},
    "condition": {"key", "wanted", "found", "holds"},
    "difference": {"t_d", "clock", "first", "second", "cause", "rule_id", "rule_arm"},
    "dose": {"cmseq", "drug", "mg", "dose_no", "t_order_d", "delay_h", "t_end_d", "prophylactic", "trigger_grade"},
    "assessment": {"signs", "grades", "policy_crs_grade", "temperature_c", "setting", "new"},
    "stored": {"agrees", "rows", "difference", "remark"},
    "explain": {"schema", "run", "scenario_id", "title", "seed", "design_id", "settings", "replicate", "subject",
                "crs_scale", "engine_changed", "arm_id", "dose", "rule", "ordered", "counterfactual", "stored",
                "disclaimer"},
}  # fmt: skip


def test_the_data_keeps_its_form(repository: Path, parted: tuple[int, float]) -> None:
    scenario = repository / "scenarios" / "tocilizumab_timing.yaml"
    data = json.loads(json.dumps(cartsim.replay(scenario, parted[0], why=True).as_dict()))
    assert set(data) == KEYS[""] and set(data["stored"]) == KEYS["stored"]
    assert [arm["arm_id"] for arm in data["arms"]] == ["grade1_24h", "grade2", "grade3"]
    for arm in data["arms"]:
        assert set(arm) == KEYS["arm"]
        assert (arm["first_difference"] is None) == (arm["arm_id"] == data["reference"])
        assert arm["first_difference"] is None or set(arm["first_difference"]) == KEYS["difference"]
        times = [event["t_d"] for event in arm["events"]]
        assert times == sorted(times)
        for event in arm["events"]:
            assert set(event) == KEYS["event"] | ({"rules"} if event["kind"] == "assessment" else set())
            assert event["kind"] not in KEYS or set(event["data"]) == KEYS[event["kind"]]
            for rule in event.get("rules", ()):
                assert set(rule) == KEYS["rule"] and all(
                    set(c) == KEYS["condition"] for c in rule["conditions"]
                )
    explained = cartsim.explain(scenario, parted[0], "tocilizumab:2", "grade2")
    reason = json.loads(json.dumps(explained.as_dict()))
    assert set(reason) == KEYS["explain"]
    assert set(reason["dose"]) == KEYS["dose"] | {"t_d", "clock"}
    assert "counterfactual" in reason["counterfactual"]["label"]


# --- explain


def test_every_dose_of_some_subjects_has_its_reason(timing: Study) -> None:
    source = open_source(timing)
    scenario = source.points.scenario(0)
    asked = 0
    for subject in random_subjects(20, 2000):
        doses = live(scenario, source.points.arms(0), 0, subject)[1].doses
        for number in {1, len(doses) // 2, len(doses)} - {0} if len(doses) else set():
            reason = cartsim.explain(timing, subject, number, "grade2")
            row = doses[number - 1]
            assert reason.dose.t_d == row["t_start"] and reason.dose.data["mg"] == row["mg"]
            assert reason.verdict is not None and reason.seen is not None
            assert reason.seen.t_d == row["t_order"] and all(c.holds for c in reason.conditions)
            assert reason.without.none or reason.without.t_d is not None
            assert reason.without.t_d is None or reason.without.t_d <= row["t_order"]
            asked += 1
    assert asked > 15


def test_without_its_rule_a_dose_by_the_clock_is_not_given(repository: Path) -> None:
    scenario = repository / "scenarios" / "lupus_prophylaxis.yaml"
    reason = cartsim.explain(scenario, 11, 1, "everyone")
    assert reason.rule.prophylactic and reason.seen is None and reason.verdict is None
    assert reason.dose.data["prophylactic"] and reason.without.t_d is not None
    before, after = (ending.values["toci_prophylactic_doses"] for ending in reason.endings)
    assert (before, after) == (1, 0)


def test_without_a_rule_at_a_site_everybody_lives_again(ward: Study) -> None:
    doses = next(
        (s, c.life) for s in range(40) for c in cartsim.replay(ward, s, "asco").courses if len(c.life.doses)
    )
    reason = cartsim.explain(ward, doses[0], 1, "asco")
    assert not reason.without.none and reason.without.t_d is not None
    assert reason.without.t_d >= float(doses[1].doses[0]["t_order"])


# --- commands


def test_the_commands_print_and_answer_in_json(
    timing: Study, parted: tuple[int, float], capsys: pytest.CaptureFixture[str]
) -> None:
    place, subject = str(timing.out), str(parted[0])
    day, hour = divmod(round(parted[1] * 24), 24)
    assert main(["replay", place, "--subject", subject, "--arm", "grade2", "--why"]) == 0
    text = capsys.readouterr().out
    assert "ordered: tocilizumab labelled dose" in text and "agrees with the stored rows" in text
    assert main(["replay", place, "--subject", subject, "--arm", "grade2", "--arm", "grade3"]) == 0
    text = capsys.readouterr().out
    assert (
        f">>> first difference, day {day} {hour:02d}:00" in text and "by rule g2_toci of arm grade2" in text
    )
    assert main(["replay", place, "--subject", subject]) == 0
    assert "3 arms; first difference of each" in capsys.readouterr().out
    assert main(["replay", place, "--subject", subject, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["schema"] == "cartsim/replay/1" and data["stored"]["agrees"] is True
    assert main(["explain", place, "--subject", subject, "--arm", "grade2", "--dose", "tocilizumab:2"]) == 0
    text = capsys.readouterr().out
    assert "Rule g2_toci of" in text and "the model's counterfactual" in text
    assert main(["explain", place, "--subject", subject, "--dose", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == "cartsim/explain/1"
    assert main(["replay", place, "--subject", "2000"]) == 3
    assert "subjects are numbered 0 to 1999" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["tocilizumab_timing", "axicel_zuma1"])
def test_lines_fit_the_width(repository: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = str(repository / "scenarios" / f"{name}.yaml")
    arms = [arm.id for arm in load_scenario(scenario).arms][:2]
    for subject in (1, 16, 70):
        for why in ([], ["--why"]):
            given = [part for arm in arms for part in ("--arm", arm)]
            assert main(["replay", scenario, "--subject", str(subject), *given, *why]) == 0
            lines = capsys.readouterr().out.splitlines()
            assert lines and max(map(len, lines)) <= 120
            assert all(line == line.rstrip() for line in lines)
