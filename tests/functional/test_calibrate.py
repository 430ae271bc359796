"""`cartsim calibrate` as a user meets it: files, the same bytes again, going on after a stop, and plain errors."""

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest

from cartsim.calibrate.checkpoint import NAME, Checkpoint, State
from cartsim.cli import main
from cartsim.evidence.calibrated import lay_over, read_calibration
from cartsim.evidence.registry import starting_registry
from cartsim.evidence.targets import PUBLISHED

FILES = ("calibration.json", "draws.parquet", "loss.csv")


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows of the lupus series alone: one to fit, some to predict."""
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    place = header.index("cohort_id")
    path = tmp_path_factory.mktemp("targets") / "lupus.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *[row for row in rows if row[place] == "mueller2024"]])
    return path


def words(targets: Path, out: Path, *more: str) -> list[str]:
    small = ["--subjects", "64", "--rounds", "1", "--draws", "12", "--sweeps", "1", "--workers", "1", "-q"]
    return ["calibrate", "--targets", str(targets), "--out", str(out), *small, *more]


@pytest.fixture(scope="module")
def whole(targets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished fit."""
    out = tmp_path_factory.mktemp("whole") / "fit"
    assert main(words(targets, out)) == 0
    return out


def same(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in FILES)


def test_what_is_written(whole: Path, targets: Path) -> None:
    assert sorted(path.name for path in whole.iterdir()) == sorted(FILES)
    said = json.loads((whole / "calibration.json").read_text("utf-8"))
    assert said["schema"] == "cartsim/calibration/1" and said["draws"] == 12
    assert said["command"].startswith("cartsim calibrate --targets lupus.csv --subjects 64")
    keys = [row["key"] for row in said["parameters"]]
    assert "product.cd19-lupus.crs_mu" in keys and not any("axi-cel" in key for key in keys)
    assert all(row["identifiability"] > 0 for row in said["parameters"])
    # one figure moves one number: the any-grade share its mean, and next to nothing else
    told = {row["key"]: row["identifiability"] for row in said["parameters"]}
    assert told["product.cd19-lupus.crs_mu"] < 0.8
    with (whole / "loss.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["endpoint"] for row in rows] == ["crs_any"]
    assert abs(float(rows[0]["residual"])) < 1
    assert read_calibration(whole).draws == 12
    changed = lay_over(starting_registry(), read_calibration(whole))
    assert {entry.status for entry in changed.values()} == {"calibrated"}


def test_the_same_again_whatever_the_workers(whole: Path, targets: Path, tmp_path: Path) -> None:
    assert main([*words(targets, tmp_path / "two"), "--workers", "2"]) == 0
    assert same(whole, tmp_path / "two")
    # a finished folder is done anew and not taken for an unfinished one
    shutil.copytree(whole, tmp_path / "three")
    assert main(words(targets, tmp_path / "three")) == 0
    assert same(whole, tmp_path / "three")


def test_a_stopped_fit_goes_on(
    whole: Path,
    targets: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    written = Checkpoint.write

    def stop(self: Checkpoint, state: State) -> None:
        written(self, state)
        if state.done == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "write", stop)
        assert main(words(targets, tmp_path)) == 130
    told = capsys.readouterr().err
    assert "To go on" in told and "calibrate" in told and (tmp_path / NAME).is_file()
    assert main([*words(targets, tmp_path), "--seed", "4"]) == 7
    assert "--fresh" in capsys.readouterr().err
    assert main(words(targets, tmp_path)) == 0
    assert same(whole, tmp_path) and not (tmp_path / NAME).exists()


def test_report_on_the_screen_and_as_json(
    targets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(targets, tmp_path)) == 0
    told = capsys.readouterr().out
    assert "Loss" in told and "mueller2024" in told and "Hardly moved" in told
    assert main(words(targets, tmp_path, "--json")) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["loss"]["terms"] == 1 and data["rows"][0]["n"] == 15
    assert "tocilizumab.effect" in data["weakly_identified"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("crs_any", "crs_anny", "crs_an"),
        ("0.7333", "1.7333", "1.7333"),
        (",fit,", ",context,", "no row to fit"),
        ("mueller2024", "nobody2024", "nobody2024"),
    ],
)
def test_bad_targets(
    targets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, told: str
) -> None:
    text = targets.read_text("utf-8")
    assert old in text
    path = tmp_path / "bad.csv"
    path.write_text(text.replace(old, new), "utf-8")
    assert main(words(path, tmp_path / "out")) == 3
    assert told in capsys.readouterr().err


def test_without_the_optional_package(
    targets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cma", None)
    assert main(words(targets, tmp_path)) == 6
    assert "cartsim[calibrate]" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written(
    targets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("here", "utf-8")
    assert main(words(targets, tmp_path / "file" / "out")) == 6
    assert "cannot" in capsys.readouterr().err
