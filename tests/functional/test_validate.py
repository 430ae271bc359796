"""`cartsim validate` from the shell: two published cohorts and few parameter sets, a target file of the user's own, and
files that do not hold."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cartsim.cli import main
from cartsim.evidence.targets import PUBLISHED

FEW = ["--draws", "4", "--subjects", "80", "--seed", "7", "-q"]
FILES = ["validation.parquet", "validation.png", "validation.svg", "score.json"]
SCORE = {
    "fit_rows", "fit_inside", "prediction_rows", "prediction_inside", "predict_same_rows", "predict_same_inside",
    "predict_new_rows", "predict_new_inside", "policy_contrast_rows", "policy_contrast_inside",
    "median_width_ratio", "interval_score", "naive_interval_score", "medians_within", "medians_rows",
}  # fmt: skip


def rows_of(*cohorts: str) -> list[dict[str, str]]:
    """Rows of published cohorts as the package's file has them."""
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["cohort_id"] in cohorts]


def write_targets(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def own_rows(**changes: str) -> list[dict[str, str]]:
    """A cohort of the user's: CRS, severe CRS and onset, all to be predicted."""
    row = rows_of("ciltacel_soc")[0] | {
        "cohort_id": "mine", "patient_set": "mine", "use": "predict_new", "trial": "Our ward", "n": "60",
        "n_denominator": "60", "grading_crs": "ASTCT 2019", "grading_icans": "ASTCT 2019", "citation": "Our report",
        "doi": "", "verified": "yes", "source_note": "",
    }  # fmt: skip
    onset = {
        "endpoint": "crs_onset",
        "statistic": "median",
        "value": "3",
        "unit": "day",
        "n_denominator": "45",
    }
    return [
        row | {"endpoint": "crs_any", "value": "0.75"} | changes,
        row | {"endpoint": "crs_grade_ge3", "value": "0.05"},
        row | onset,
    ]


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "schema: cartsim/scenario/1\nid: our_ward\ntitle: Our ward\nproduct: axi-cel\ngrading: {crs: astct2019}\n"
        "arms:\n  - {id: ours, policy: asco_2021}\nrun: {seed: 1}\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def two_cohorts(tmp_path: Path) -> Path:
    return write_targets(tmp_path / "targets.csv", rows_of("zuma1_uspi2017", "karmma"))


def shell(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cartsim", "validate", *arguments],
        capture_output=True, text=True, cwd=folder, timeout=300, check=False,
    )  # fmt: skip


def test_two_cohorts_from_the_shell(two_cohorts: Path, tmp_path: Path) -> None:
    """The whole answer, the same bytes when it is made again with another number of threads."""
    for name, workers in (("first", "1"), ("second", "2")):
        done = shell(
            [
                "--targets",
                str(two_cohorts),
                "--out",
                name,
                "--workers",
                workers,
                "--markdown",
                f"{name}.md",
                *FEW,
            ],
            tmp_path,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
    assert "zuma1_uspi2017 (zuma1): ZUMA-1" in done.stdout
    assert "naive: fitted cohorts" in done.stdout and f"in second: {', '.join(FILES)}" in done.stdout
    for name in FILES:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    first, second = ((tmp_path / f"{name}.md").read_text("utf-8") for name in ("first", "second"))
    assert first == second.replace("second.md", "first.md")
    table = pq.read_table(tmp_path / "first" / "validation.parquet")
    assert set(table["tier"].to_pylist()) == {"fit", "predict_same", "recalled"}
    footer = json.loads(table.schema.metadata[b"cartsim"])
    told = json.loads((tmp_path / "first" / "score.json").read_text("utf-8"))
    assert (footer["seed"], told["asked"]["draws"]) == (7, 4)
    assert json.loads(footer["scenario_text"]) == told["asked"]
    assert set(told["files"]) == set(FILES[:-1])


def test_the_page_in_docs_is_of_these_targets(repository: Path) -> None:
    """The whole page takes minutes to make again; what it rests on is said in it."""
    from cartsim.evidence.targets import ACTIVE, load_targets

    page, targets = (repository / "docs/validation.md").read_text("utf-8"), load_targets()
    assert "Made by `cartsim validate --markdown docs/validation.md`" in page
    assert f"split {targets.split_sha256[:12]}" in page
    assert page.count("| inside |") + page.count("| OUTSIDE |") == len(targets.where(ACTIVE))


def test_json_has_score_and_rows(
    two_cohorts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = main(
        ["validate", "--targets", str(two_cohorts), "--only", "fit", "--only", "predict", "--json", *FEW]
    )
    told = json.loads(capsys.readouterr().out)
    score, rows = told["score"], told["rows"]
    assert code == 0 and score.keys() >= SCORE
    assert score["fit_rows"] == len([row for row in rows if row["tier"] == "fit"]) == 9
    assert score["prediction_rows"] == score["predict_same_rows"] == 3
    assert score["fit_inside"] == sum(row["inside"] for row in rows if row["tier"] == "fit")
    assert set(score["by_patient_set"]) == {"zuma1", "karmma"}
    assert not [row for row in rows if row["tier"] == "recalled"]
    assert (tmp_path / "results/validation/score.json").is_file()


def test_targets_and_scenario_of_the_user(tmp_path: Path, scenario: Path) -> None:
    write_targets(tmp_path / "own.csv", own_rows())
    done = shell(["--targets", "own.csv", "--cohort", f"mine={scenario}", "--json", *FEW], tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["asked"]["targets"] == "own.csv" and list(told["asked"]["cohorts"]) == ["mine"]
    assert [row["endpoint"] for row in told["rows"]] == ["crs_any", "crs_grade_ge3", "crs_onset"]
    assert told["score"]["predict_new_rows"] == 3 and told["score"]["fit_rows"] == 0
    assert told["score"]["naive_missing"] == 3
    assert all(0 <= row["lower"] <= row["upper"] for row in told["rows"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"endpoint": "crs_ani"}, "crs_any"),
        ({"value": "1.75"}, "between 0 and 1"),
        ({"n_denominator": ""}, "n_denominator"),
        ({"grading_crs": "Penn"}, "penn"),
        ({"use": "predicted"}, "unknown use"),
    ],
)
def test_a_target_file_that_does_not_hold(
    tmp_path: Path, scenario: Path, capsys: pytest.CaptureFixture[str], change: dict[str, str], says: str
) -> None:
    path = write_targets(tmp_path / "own.csv", own_rows(**change))
    out = tmp_path / "out"
    code = main(["validate", "--targets", str(path), "--cohort", f"mine={scenario}", "--out", str(out), *FEW])
    said = capsys.readouterr().err
    assert code == 3 and says in said and f"{path}:2" in said
    assert not out.exists()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "mine=scenario.yaml"),
        (["--cohort", "mein=mine.yaml"], "mine"),
        (["--cohort", "mine"], "ID=SCENARIO"),
        (["--cohort", "mine=nowhere.yaml"], "nowhere.yaml"),
        (["--cohort", "mine=mine.yaml", "--only", "predicted"], "predict"),
        (["--cohort", "mine=mine.yaml", "--only", "fit"], "no row is left"),
        (["--cohort", "mine=mine.yaml", "--draws", "1"], "--draws is 1"),
        (["--cohort", "mine=mine.yaml", "--subjects", "0"], "--subjects is 0"),
        (["--claims", "--only", "fit"], "--only"),
    ],
)
@pytest.mark.usefixtures("scenario")
def test_options_that_do_not_hold(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_targets(tmp_path / "own.csv", own_rows())
    targets = [] if "--claims" in more else ["--targets", "own.csv"]
    assert main(["validate", *targets, *more, "-q"]) == 3
    assert says in capsys.readouterr().err


def test_claims_and_face_are_printed_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they say is tested with them; here that rows arrive as a table, as JSON and in files."""
    from cartsim.claims import claims, face

    def rows(kind: str, **row: Any) -> Any:
        def make(**given: Any) -> list[Any]:
            assert given["seed"] == 20261122 and given["subjects"] == 50
            return [type(kind, (), {"as_dict": lambda self: row})()]

        return make

    claim = {
        "statement": "It helps", "claimed_low": 0.5, "claimed_high": None, "primary": None, "status": "contested",
        "statistic": "share", "variable": "crs_ge3", "value": 0.25, "lower": 0.2, "upper": 0.3, "param_lower": 0.1,
        "param_upper": 0.4, "verdict": "differs",
    }  # fmt: skip
    seen = {
        "statement": "They are afebrile", "where": "axi-cel", "expected": "at most 24 h", "value": 10.5,
        "lower": 10.0, "upper": 11.0, "unit": "h", "n": 66, "passed": True, "kept": None,
    }  # fmt: skip
    monkeypatch.setattr(claims, "check_claims", rows("Claim", **claim))
    monkeypatch.setattr(face, "check_face", rows("Face", **seen))
    asked = ["validate", "--claims", "--face", "--subjects", "50", "--out", str(tmp_path), "-q"]
    assert main(asked) == 0
    printed = capsys.readouterr().out
    assert "25 (20–30) %" in printed and "[10–40]" in printed and "more than 50 %" in printed
    assert "10.5 (10–11) h" in printed and "1 of 1 pass, 0 of 0 are kept" in printed
    assert main([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"claims": [claim], "face": [seen]}
    assert json.loads((tmp_path / "claims.json").read_text("utf-8")) == [claim]
    assert json.loads((tmp_path / "face.json").read_text("utf-8")) == [seen]
