"""A run of a user's own patients from file to tables: the same however it is cut, grown, moved or gone on with."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cartsim.cli import main
from cartsim.errors import InvalidInput
from cartsim.scenario.load import load_scenario
from cartsim.store import read_table
from cartsim.store.place import Place
from cartsim.study import run
from cartsim.sweep.opening import reopen

Differing = Callable[..., list[str]]
EXAMPLE = "scenarios/own_patients"


@pytest.fixture
def folder(tmp_path: Path, repository: Path) -> Path:
    """A folder of one's own with the example and its patients."""
    for suffix in (".yaml", ".csv"):
        shutil.copy(repository / f"{EXAMPLE}{suffix}", tmp_path)
    return tmp_path


def example(folder: Path, **population: Any) -> Any:
    changes = {f"population.{name}": value for name, value in population.items()}
    return load_scenario(folder / "own_patients.yaml", {"population.subjects": 300} | changes)


def adsl(folder: Path) -> pa.Table:
    return read_table(folder, "adsl")


def test_blocks_workers_and_growth_change_nothing(folder: Path, differing: Differing) -> None:
    whole = folder / "whole"
    run(example(folder), whole, workers=1)
    run(example(folder), folder / "cut", workers=2, block=64, executor="processes")
    key = [("TRT01PN", "ascending"), ("subject", "ascending")]
    assert not differing(adsl(folder / "cut").sort_by(key), adsl(whole).sort_by(key))
    grown = folder / "grown"
    run(example(folder, subjects=100), grown, workers=1, block=64)
    run(example(folder), grown, workers=1, extend=True)
    assert not differing(adsl(grown).sort_by(key), adsl(whole).sort_by(key))
    rows = adsl(whole).to_pandas()
    arms = [rows[rows.arm_id == arm].set_index("subject") for arm in ("early", "grade2")]
    assert (arms[0].source_id == arms[1].source_id).all() and arms[0].source_id.str.fullmatch(
        "P[0-9]{2}"
    ).all()
    given = {
        line.split(",")[0]: line.split(",") for line in (folder / "own_patients.csv").read_text().split()
    }
    for _, row in arms[0].iterrows():
        assert float(given[row.source_id][1]) == row.AGE and given[row.source_id][2] == row.SEX


def test_what_was_drawn_stands_in_the_manifest(folder: Path) -> None:
    out = folder / "out"
    study = run(example(folder), out, workers=1)
    warnings = json.loads((out / "manifest.json").read_text())["warnings"]
    said = "own_patients.csv: of 40 patients, drawn given what is known: ferritin_ng_per_ml of 3, crp_mg_per_l of 1"
    assert said in warnings and said in study.warnings
    values = adsl(out).to_pandas()
    assert values.ferritin_ng_per_ml.notna().all()
    # one patient without a ferritin is drawn anew each time that it is a subject
    one = values[(values.source_id == "P07") & (values.arm_id == "early")]
    assert len(one) > 1 and one.ferritin_ng_per_ml.nunique() == len(one)


def test_a_run_knows_its_patients_wherever_it_is_opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = folder / "out"
    run(example(folder), out, workers=1, block=64)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    base, points = reopen(Place.of(out))
    assert base.hash() == example(folder).hash()
    assert len(points.arms(0)[0].draw(1, 0, 0, 5)[0]) == 5
    again = load_scenario(out / "scenario.resolved.yaml")
    assert again.hash() == base.hash()
    (folder / "own_patients.csv").unlink()
    assert main(["status", str(out)]) == 0
    base, points = reopen(Place.of(out))
    with pytest.raises(InvalidInput, match="does not exist"):
        points.arms(0)


def test_a_file_that_changed_is_another_scenario(folder: Path) -> None:
    out = folder / "out"
    run(example(folder), out, workers=1)
    text = (folder / "own_patients.csv").read_text()
    (folder / "own_patients.csv").write_text(text.replace("P01,56", "P01,57"))
    with pytest.raises(InvalidInput, match="another scenario"):
        run(example(folder), out, workers=1)
    (folder / "own_patients.csv").write_text(text)
    assert run(example(folder), out, workers=1).complete


def test_products_are_swept_over_the_same_patients(folder: Path) -> None:
    scenario = load_scenario(
        folder / "own_patients.yaml",
        {
            "population.subjects": 100,
            "sweep": {
                "method": "grid",
                "axes": {
                    "product": ["axi-cel", "tisa-cel-lbcl"],
                    "levers.bridging_share": [0, 1],
                    "population.cell_dose_1e6": [2, 3],
                },
            },
            "outputs.tables": ["adsl"],
        },
    )
    run(scenario, folder / "out", workers=1)
    rows = adsl(folder / "out").to_pandas()
    assert sorted(rows.design_id.unique()) == list(range(8))
    ids = [
        group.sort_values(["arm_id", "subject"]).source_id.tolist() for _, group in rows.groupby("design_id")
    ]
    assert all(one == ids[0] for one in ids)


def test_each_patient_once_and_at_a_site(folder: Path) -> None:
    text = (folder / "own_patients.csv").read_text().splitlines()
    (folder / "own_patients.csv").write_text("\n".join(line.rpartition(",")[0] for line in text) + "\n")
    overrides = {
        "population.sample": "all",
        "site.arrivals": {"every_h": 12},
        "site.beds": 8,
        "run.replicates": 2,
    }
    scenario = load_scenario(folder / "own_patients.yaml", overrides | {"population.subjects": 40})
    run(scenario, folder / "out", workers=1)
    rows = adsl(folder / "out").to_pandas()
    ids = [f"P{number:02}" for number in range(1, 41)]
    for _, group in rows.groupby(["replicate", "arm_id"]):
        assert group.sort_values("subject").source_id.tolist() == ids


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("ldh_u_per_l", "ldh_ukat_per_l"), "U/L"),
        ((",crp_mg_per_l", ",crp_mg_per_dl"), "mg/L"),
        (("P02,", "P01,"), "already"),
        ((",0,1\n", ",0,NaN\n"), "no sampling weight"),
        (("P05,53,M", 'P05,"53,M'), "own_patients.csv:"),
    ],
)
def test_bad_files_end_with_one_message_and_nothing_written(
    folder: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], says: str
) -> None:
    file = folder / "own_patients.csv"
    file.write_text(file.read_text().replace(*change, 1))
    out = folder / "out"
    for command in (["run", "--out", str(out)], ["check"]):
        assert main([*command, str(folder / "own_patients.yaml")]) == 3
        told = capsys.readouterr().err
        assert says in told and told.count("error:") == 1 and not out.exists()


def test_no_patients_and_doses_of_another_product_are_refused(folder: Path) -> None:
    file = folder / "own_patients.csv"
    lines = file.read_text().splitlines()
    file.write_text(lines[0] + "\n")
    with pytest.raises(InvalidInput) as error:
        example(folder)
    assert "the cohort has no patient" in str(error.value)
    file.write_text("\n".join([lines[0] + ",cell_dose_1e6", *(line + ",445" for line in lines[1:])]) + "\n")
    with pytest.raises(InvalidInput, match="not those of the product") as error:
        run(example(folder), folder / "out")
    assert "2 1e6 cells/kg" in str(error.value) and not (folder / "out").exists()


def test_a_cohort_taken_once_does_not_grow_to_a_precision(folder: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot grow"):
        run(
            example(folder, subjects=30, sample="without_replacement"),
            folder / "out",
            until=["contrast.crs_ge2.early-grade2.halfwidth <= 0.1"],
        )
