"""What lies in an output folder decides what a run may do there, and nobody's files are touched."""

from pathlib import Path

import pytest
from store_builder import MADE, write_some

import cartsim
from cartsim import store
from cartsim.commands.folder import prepare_folder
from cartsim.errors import InvalidInput, OutputBroken, Unreachable
from cartsim.scenario.dump import dump_yaml
from cartsim.store import Place


@pytest.fixture
def scenario(probe):
    return cartsim.load_scenario(probe(50))


def identity_of(scenario) -> store.Identity:
    made = MADE.__dict__ | {"scenario_sha256": scenario.hash(), "seed": scenario.require_seed()}
    return store.Identity.of(store.Provenance(**made), {"model/course.py": "0123"})


def begin(place: Place, scenario) -> None:
    place.write_text("scenario.resolved.yaml", dump_yaml(scenario.resolved()))
    store.write_partial(place, identity_of(scenario), {})


def test_a_free_place_and_one_with_a_run_may_be_used(scenario, tmp_path: Path) -> None:
    """Whose run it is is judged where it is opened (test_sweep_growth)."""
    place = prepare_folder(tmp_path / "run", scenario)
    assert place == Place.of(tmp_path / "run")
    begin(place, scenario)
    assert prepare_folder(tmp_path / "run", scenario) == place


def test_folders_of_somebody_else_are_refused_and_untouched(scenario, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "manifest.json").write_text('{"not": "ours"}')
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("precious")
    (tmp_path / "file").write_text("x")
    for name, said in (("mine", "other files"), ("thesis", "other files"), ("file", "is a file")):
        for fresh in (False, True):
            with pytest.raises(InvalidInput, match=said):
                prepare_folder(tmp_path / name, scenario, fresh)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "precious"
    assert sorted(p.name for p in tmp_path.rglob("*")) == [
        "chapter.txt",
        "file",
        "manifest.json",
        "mine",
        "thesis",
    ]


def test_a_run_killed_before_its_manifest_leaves_the_folder_free(scenario, tmp_path: Path) -> None:
    place = Place.of(tmp_path)
    place.write_text("scenario.resolved.yaml", "id: probe\n")
    (tmp_path / ".manifest.json.1-ab.writing").write_text("{")
    (tmp_path / ".lock").write_text("")
    assert prepare_folder(tmp_path, scenario).local == tmp_path


def test_without_out_another_version_goes_beside_the_first(
    probe, scenario, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = prepare_folder(None, scenario)
    assert first.text == "results/probe" and not (tmp_path / "results").exists()
    begin(first, scenario)
    assert prepare_folder(None, scenario) == first
    larger = cartsim.load_scenario(probe(60))
    beside = prepare_folder(None, larger)
    assert beside.text == f"results/probe-{larger.hash()[:8]}"
    assert prepare_folder(None, larger, fresh=True) == first == prepare_folder(None, larger, extend=True)
    assert prepare_folder("results/probe", larger) == first
    begin(beside, larger)
    assert prepare_folder(None, larger) == beside


def test_a_damaged_manifest_of_a_run_needs_a_decision(scenario, tmp_path: Path) -> None:
    place = Place.of(tmp_path)
    begin(place, scenario)
    write_some(place, 96)
    place.write_text("manifest.json", "{torn")
    with pytest.raises(OutputBroken, match="damaged") as caught:
        prepare_folder(tmp_path, scenario)
    assert caught.value.exit_code == 4 and "--fresh" in caught.value.mend
    prepare_folder(tmp_path, scenario, fresh=True)
    store.start_over(place)
    assert place.names() == []


def test_a_place_that_cannot_be_written_is_unreachable(scenario, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unreachable, match="write into the output folder"):
        prepare_folder(tmp_path / "file" / "run", scenario)
