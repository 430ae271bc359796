"""Who runs a run, in which pieces and in how many attempts must not move a bit; what cannot be trusted is refused."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cartsim
from cartsim.cli import main
from cartsim.errors import Incomplete, InvalidInput, OutputBroken, Unreachable
from cartsim.store.merge import merge
from cartsim.store.place import Place
from cartsim.study import finish
from cartsim.sweep import session

BASE: dict[str, Any] = {
    "schema": "cartsim/scenario/1",
    "id": "blocks",
    "title": "Blocks",
    "product": "axi-cel",
    "population": {"subjects": 700},
    "arms": [
        {"id": "standard", "policy": "asco_2021"},
        {"id": "severe", "policy": "severe_only"},
    ],
    "run": {"seed": 5, "replicates": 2},
    "outputs": {"tables": ["adsl", "adae", "adcm"]},
}
SWEEP: dict[str, Any] = BASE | {
    "population": {"subjects": 60},
    "run": {"seed": 5, "replicates": 1},
    "sweep": {
        "method": "grid",
        "axes": {"monitoring.ward_h": [4.0, 6.0, 12.0], "study.horizon_days": [20, 30]},
    },
}


def hashes(out: Path | str) -> dict[str, str]:
    manifest = json.loads((Path(out) / "manifest.json").read_text())
    assert manifest["status"] == "complete"
    return {table["name"]: table["content_hash"] for table in manifest["tables"]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Content hashes of the plain run and of the sweep, each made in one piece."""
    made = {}
    for name, scenario in (("plain", BASE), ("sweep", SWEEP)):
        out = tmp_path_factory.mktemp("whole") / name
        cartsim.run(scenario, out, workers=1, executor="inline")
        made[name] = hashes(out)
    return made


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("name", ["plain", "sweep"])
def test_the_number_of_workers_changes_nothing(
    whole: dict[str, dict[str, str]], tmp_path: Path, workers: int, name: str
) -> None:
    scenario = {"plain": BASE, "sweep": SWEEP}[name]
    cartsim.run(scenario, tmp_path / "run", workers=workers, executor="threads", block=150)
    assert hashes(tmp_path / "run") == whole[name]


@pytest.mark.parametrize("size", [1, 33, 512, 100_000])
def test_the_size_of_blocks_changes_no_row(
    whole: dict[str, dict[str, str]], tmp_path: Path, size: int
) -> None:
    scenario = BASE | {"population": {"subjects": 40}, "run": {"seed": 5}}
    cartsim.run(scenario, tmp_path / "a", block=size)
    cartsim.run(scenario, tmp_path / "b", block=17)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")


def test_processes_write_the_same_bytes(tmp_path: Path) -> None:
    outs = [tmp_path / name for name in ("threads", "processes")]
    for out in outs:
        cartsim.run(SWEEP, out, workers=2, executor=out.name, block=60)
    files = [sorted(p.relative_to(out) for p in out.rglob("*.parquet")) for out in outs]
    assert files[0] == files[1] and len(files[0]) > 10
    for name in files[0]:
        assert (outs[0] / name).read_bytes() == (outs[1] / name).read_bytes(), name


@pytest.mark.parametrize("shared", [True, False])
def test_shards_add_up_to_the_run(whole: dict[str, dict[str, str]], tmp_path: Path, shared: bool) -> None:
    for index in (2, 0, 1):
        out = tmp_path / ("run" if shared else f"shard{index}")
        study = cartsim.run(BASE, out, shard=f"{index}/3", block=150)
        assert not study.complete
    place = Place.of(tmp_path / "run")
    if not shared:
        merge(place, [Place.of(tmp_path / f"shard{index}") for index in range(3)])
    study = finish(place)
    assert hashes(tmp_path / "run") == whole["plain"]
    assert study.outcomes.equals(cartsim.run(BASE).outcomes)


def test_missing_shards_are_named(tmp_path: Path) -> None:
    cartsim.run(BASE, tmp_path / "run", shard="0/3", block=150)
    with pytest.raises(Incomplete, match="blocks are not done yet"):
        finish(tmp_path / "run")
    assert main(["status", str(tmp_path / "run")]) == 5


@pytest.mark.parametrize(
    "grown",
    [
        {"population": {"subjects": 1000}},
        {"run": {"seed": 5, "replicates": 3}},
        {"population": {"subjects": 901}, "run": {"seed": 5, "replicates": 4}},
        {"arms": [*BASE["arms"], {"id": "none", "policy": "no_treatment"}]},
    ],
    ids=["subjects", "replicates", "both", "arms"],
)
def test_a_run_grows_to_what_it_would_have_been(tmp_path: Path, grown: dict[str, Any]) -> None:
    cartsim.run(BASE, tmp_path / "grown", block=150)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "grown" / "adsl").iterdir()}
    larger = BASE | grown
    with pytest.raises(InvalidInput, match="shorter run") as caught:
        cartsim.run(larger, tmp_path / "grown")
    assert "--extend" in str(caught.value.mend)
    cartsim.run(larger, tmp_path / "grown", extend=True)
    cartsim.run(larger, tmp_path / "fresh")
    assert hashes(tmp_path / "grown") == hashes(tmp_path / "fresh")
    assert before == {p: p.stat().st_mtime_ns for p in before}, "what was done was done again"


def test_a_sweep_grows_by_points_which_keep_their_ids(tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = cartsim.run(SWEEP, out).design
    axes = {"monitoring.ward_h": [2.0, 4.0, 6.0, 12.0], "study.horizon_days": [20, 30]}
    larger = cartsim.run(SWEEP | {"sweep": {"method": "grid", "axes": axes}}, out, extend=True)
    design = larger.design
    assert len(design) == 8 and design["design_id"].tolist() == list(range(8))
    assert design["point_id"][:6].tolist() == first["point_id"].tolist()
    new = design[6:]
    assert (new["monitoring.ward_h"] == 2.0).all()
    alone = cartsim.run(
        BASE | {"population": {"subjects": 60}, "run": {"seed": 5}, "monitoring": {"ward_h": 2.0}}
    )
    point = int(new[new["study.horizon_days"] == 30]["design_id"].iloc[0])
    mine, theirs = larger.outcomes, alone.outcomes
    mine = mine[(mine["design_id"] == point) & (mine["summary"] == "proportion")]
    theirs = theirs[theirs["summary"] == "proportion"]
    assert mine["value"].tolist() == theirs["value"].tolist()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"run": {"seed": 6, "replicates": 2}}, "seed"),
        ({"population": {"subjects": 600}}, "600 are asked for"),
        ({"monitoring": {"ward_h": 4.0}}, "monitoring.ward_h"),
        ({"arms": BASE["arms"][:1]}, "arms"),
        ({"arms": BASE["arms"][::-1]}, "arms"),
        ({"arms": [{"id": "standard", "policy": "severe_only"}, BASE["arms"][1]]}, "arms.standard.policy"),
        ({"sweep": SWEEP["sweep"]}, "sweep"),
    ],
    ids=["seed", "fewer", "monitoring", "arm gone", "arms swapped", "policy", "sweep"],
)
def test_what_is_not_growth_is_refused_and_nothing_is_touched(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    out = tmp_path / "run"
    cartsim.run(BASE | {"population": {"subjects": 601}}, out)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    with pytest.raises(InvalidInput) as caught:
        cartsim.run(BASE | {"population": {"subjects": 601}} | changed, out, extend=True)
    assert said in str(caught.value)
    assert before == {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_another_engine_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cartsim.store import manifest

    cartsim.run(BASE, tmp_path / "run")
    real = manifest.source_digests()
    monkeypatch.setattr(manifest, "source_digests", lambda: real | {"model/disease.py": "0" * 12})
    with pytest.raises(InvalidInput, match="another version") as caught:
        cartsim.run(BASE, tmp_path / "run")
    assert "model/disease.py" in str(caught.value)


def test_failed_blocks_are_listed_kept_apart_and_tried_again(
    whole: dict[str, dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real = session.run_block

    def unlucky(points: Any, block: Any) -> Any:
        if block.number in (1, 3):
            raise ArithmeticError(f"planted in block {block.number}")
        return real(points, block)

    monkeypatch.setattr(session, "run_block", unlucky)
    with pytest.raises(Incomplete, match="2 of") as caught:
        cartsim.run(BASE, tmp_path / "run", block=150)
    assert "planted in block 1" in str(caught.value) and "seed 5" in str(caught.value)
    assert main(["status", str(tmp_path / "run"), "--json"]) == 5
    state = json.loads(capsys.readouterr().out)
    assert [f["block"] for f in state["failed"]] == [1, 3]
    assert "unlucky" in state["failed"][0]["traceback"] and state["failed"][0]["seed"] == 5
    monkeypatch.setattr(session, "run_block", real)
    # without --retry they are left alone, and said again
    with pytest.raises(Incomplete, match="planted"):
        cartsim.run(BASE, tmp_path / "run")
    cartsim.run(BASE, tmp_path / "run", retry=True)
    assert hashes(tmp_path / "run") == whole["plain"]


def test_a_run_stops_when_too_much_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def broken(points: Any, block: Any) -> Any:
        tried.append(block.number)
        raise ArithmeticError("planted")

    monkeypatch.setattr(session, "run_block", broken)
    with pytest.raises(Incomplete, match="stopped after 3 blocks failed"):
        cartsim.run(BASE, tmp_path / "run", block=20, executor="inline", max_failures=2)
    assert len(tried) == 3


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    "harm",
    [
        lambda out: next((out / "blocks").iterdir()).write_text("{"),
        lambda out: next((out / "adsl").iterdir()).write_bytes(b"short"),
        lambda out: next((out / "tallies").iterdir()).unlink(),
    ],
    ids=["torn marker", "short file", "missing file"],
)
def test_damaged_blocks_are_refused_and_mended(
    whole: dict[str, dict[str, str]], tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    out = tmp_path / "run"
    cartsim.run(BASE, out, shard="0/2", block=150)
    harm(out)
    with pytest.raises(OutputBroken) as caught:
        cartsim.run(BASE, out)
    assert caught.value.exit_code == 4 and "--retry" in str(caught.value)
    cartsim.run(BASE, out, retry=True)
    assert hashes(out) == whole["plain"]


def test_a_flipped_bit_is_found_when_asked(whole: dict[str, dict[str, str]], tmp_path: Path) -> None:
    out = tmp_path / "run"
    cartsim.run(BASE, out, shard="0/2", block=150)
    damage(next((out / "adae").iterdir()))
    cartsim.run(BASE, out, retry=True)
    assert hashes(out) == whole["plain"]


def test_one_writer_a_folder(tmp_path: Path) -> None:
    from cartsim.store.lock import hold

    with hold(Place.of(tmp_path / "run")):
        with pytest.raises(Unreachable, match="in use") as caught:
            cartsim.run(BASE, tmp_path / "run")
        assert caught.value.exit_code == 6


def test_a_finished_run_is_not_made_again(tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = cartsim.run(BASE, out)
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    second = cartsim.run(BASE, out)
    assert second.outcomes.equals(first.outcomes)
    assert before == {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}


def scenario_file(folder: Path, subjects: int = 6000) -> Path:
    path = folder / "scenario.json"
    path.write_text(json.dumps(BASE | {"population": {"subjects": subjects}}, indent=1) + "\n")
    return path


def start(path: Path, out: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "cartsim", "run", str(path), "--out", str(out), "--workers", "2"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_blocks(out: Path, count: int, process: "subprocess.Popen[str]") -> None:
    begin = time.monotonic()
    while time.monotonic() - begin < 60 and process.poll() is None:
        if len(list((out / "blocks").glob("*.json"))) >= count:
            return
        time.sleep(0.005)


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(tmp_path: Path) -> None:
    path, out = scenario_file(tmp_path, 60_000), tmp_path / "run"
    process = start(path, out)
    wait_for_blocks(out, 1, process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert f"cartsim run {path} --out {out}" in said and "kept" in said
    assert "Traceback" not in said
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["status"] == "partial"
    kept = {p: p.stat().st_mtime_ns for p in (out / "blocks").iterdir()}
    assert kept
    cartsim.run(path, out)
    assert kept == {p: p.stat().st_mtime_ns for p in kept}


def test_killed_runs_go_on_to_the_same_result(tmp_path: Path) -> None:
    """Two kills here; twenty in the slow tests."""
    path, out = scenario_file(tmp_path), tmp_path / "run"
    for count in (1, 3):
        process = start(path, out)
        wait_for_blocks(out, count, process)
        process.kill()
        process.communicate(timeout=60)
    cartsim.run(path, out)
    cartsim.run(path, tmp_path / "whole")
    assert hashes(out) == hashes(tmp_path / "whole")
    names = [sorted(p.relative_to(o) for p in o.rglob("*") if p.is_file()) for o in (out, tmp_path / "whole")]
    assert names[0] == names[1], "nothing is left behind by a killed run"


def test_until_adds_subjects_and_stores_the_reason(tmp_path: Path) -> None:
    condition = "contrast.crs_ge3.severe-standard.halfwidth <= 0.012"
    plain = BASE | {"run": {"seed": 5}}
    study = cartsim.run(plain, tmp_path / "run", until=[condition], floor=500, ceiling=20_000)
    until = study.manifest["until"]
    row = study.contrasts.query(
        "endpoint == 'crs_ge3' and summary == 'risk difference' and view == 'observed'"
    )
    row = row[row["scale"] == "astct2019"].iloc[0]
    assert until["reached"] and 0.5 * (row["upper"] - row["lower"]) <= 0.012
    assert row["n_units"] == until["subjects"] and len(until["looks"]) > 1
    # interrupted between two looks it decides the same
    again = cartsim.run(plain, tmp_path / "again", until=[condition], floor=500, ceiling=20_000, block=77)
    assert again.manifest["until"]["looks"] == until["looks"]
    assert hashes(tmp_path / "again") == hashes(tmp_path / "run")


def test_until_stops_at_its_ceiling(tmp_path: Path) -> None:
    condition = "contrast.crs_ge3.severe-standard.halfwidth <= 0.0001"
    plain = BASE | {"run": {"seed": 5}}
    study = cartsim.run(plain, tmp_path / "run", until=[condition], floor=500, ceiling=900)
    assert not study.manifest["until"]["reached"] and "ceiling of 900" in study.manifest["until"]["reason"]


def test_a_large_sweep_asks_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.json"
    path.write_text(json.dumps(SWEEP | {"sweep": SWEEP["sweep"] | {"limit": 5}}) + "\n")
    assert main(["run", str(path), "--out", str(tmp_path / "run")]) == 3
    said = capsys.readouterr().err
    assert "6 design points" in said and "--yes" in said
    assert not (tmp_path / "run").exists()
    assert main(["run", str(path), "--out", str(tmp_path / "run"), "--yes", "--quiet"]) == 0


def test_threads_may_share_points(tmp_path: Path) -> None:
    """Design points are made on demand and kept for a while; several threads ask for them at once."""
    from cartsim.scenario.load import load_scenario
    from cartsim.sweep.points import Points

    axes = {"monitoring.ward_h": [float(h) for h in range(1, 41)]}
    points = Points(load_scenario(SWEEP | {"sweep": {"method": "grid", "axes": axes}}))
    wrong: list[int] = []

    def ask(step: int) -> None:
        for i in range(0, len(points) * step, step):
            if points.arms(i % len(points))[0].identity.design_id != i % len(points):
                wrong.append(i)

    threads = [threading.Thread(target=ask, args=(step,)) for step in (1, 3, 7, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
