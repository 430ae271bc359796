"""The whole job as a user meets it: from Python, from the command line, in pandas and DuckDB; interrupted, gone on
with, repeated, changed by one line."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import cartsim
from cartsim.errors import Incomplete, InvalidInput
from cartsim.results import COMPILING, SIMULATING, SUMMARISING, Progress
from cartsim.store import read_failures, read_manifest, read_receipts, verify
from cartsim.store.place import Place
from cartsim.study import run
from cartsim.sweep.estimate import plan

SCENARIOS = (
    "axicel_zuma1",
    "lupus_prophylaxis",
    "prophylactic_tocilizumab",
    "tocilizumab_timing",
    "ward_capacity",
)
TIMING = "scenarios/tocilizumab_timing.yaml"


def sha256(folder: Path) -> dict[str, str]:
    """Of every file but the manifest, which tells when the run was made."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "manifest.json"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def assert_only_whole_blocks(folder: Path) -> int:
    """A partial run holds what opened it and whole blocks, nothing else; the number of blocks."""
    place = Place.of(folder)
    assert read_manifest(place, partial=True)["status"] == "partial"
    receipts = read_receipts(place).values()
    known = {"manifest.json", "scenario.resolved.yaml"}
    known |= {name for r in receipts for name in (r.path, *(table.path for table in r.tables))}
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == known
    for receipt in receipts:
        for table in receipt.tables:
            assert hashlib.sha256((folder / table.path).read_bytes()).hexdigest() == table.sha256
    return len(receipts)


def command(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`cartsim ...` in a process of its own, output piped."""
    return subprocess.run(
        [sys.executable, "-m", "cartsim", *arguments],
        capture_output=True, text=True, cwd=folder, env=os.environ | environment, timeout=300, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def stored(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> cartsim.Study:
    """The main scenario, small, in a folder."""
    scenario = cartsim.load_scenario(repository / TIMING, {"population.subjects": 250})
    return cartsim.run(scenario, tmp_path_factory.mktemp("stored") / "run")


def test_python_api(stored: cartsim.Study) -> None:
    """Frames of outcomes and contrasts, any table by name, a clear KeyError for another."""
    assert isinstance(stored.outcomes, pd.DataFrame) and isinstance(stored.contrasts, pd.DataFrame)
    assert set(stored.outcomes["arm_id"]) == {"grade1_24h", "grade2", "grade3"}
    assert set(stored.contrasts["reference_arm"]) == {"grade2"}
    assert len(stored.table("adsl")) == 750
    for name in ("ward_waits", "events", "nonsense"):
        with pytest.raises(KeyError, match=name):
            stored.table(name)
    assert stored.manifest["scenario_sha256"] == stored.scenario.hash()
    assert {"outcomes.parquet", "contrasts.parquet", "manifest.json", "scenario.resolved.yaml"} <= set(
        stored.files
    )
    resolved = cartsim.load_scenario(stored.out.local / "scenario.resolved.yaml")
    assert resolved.hash() == stored.scenario.hash()


def test_memory_and_folder_hold_the_same(stored: cartsim.Study, differing) -> None:
    memory = run(stored.scenario)
    assert memory.out is None and memory.files == []
    for name in ("adsl", "adae", "adcm", "adex", "adtte", "grade_intervals"):
        arms = memory.arrow(name)
        assert differing(arms, stored.arrow(name)) == [], name
    assert memory.outcomes.equals(stored.outcomes)
    assert memory.contrasts.equals(stored.contrasts)


def test_proportions_are_those_of_adsl(stored: cartsim.Study) -> None:
    """What the summary says can be counted by hand, in one arm and in pairs."""
    adsl = stored.table("adsl")
    severe = adsl.assign(severe=adsl["crs_max_astct2019"] >= 3).pivot(
        index="subject", columns="arm_id", values="severe"
    )
    told = stored.outcomes.query("estimand_id == 'crs_ge3.astct2019.observed.proportion'").set_index("arm_id")
    assert told["value"].to_dict() == pytest.approx(severe.mean().to_dict())
    pair = stored.contrasts.query("estimand_id == 'crs_ge3.astct2019.observed.risk difference'").set_index(
        "arm_id"
    )
    for arm in ("grade1_24h", "grade3"):
        assert pair.loc[arm, "n01"] == (severe[arm] & ~severe["grade2"]).sum()
        assert pair.loc[arm, "n10"] == (~severe[arm] & severe["grade2"]).sum()
        assert pair.loc[arm, "value"] == pytest.approx(severe[arm].mean() - severe["grade2"].mean())
    days = stored.outcomes.query("endpoint == 'icu_days'").set_index("arm_id")["value"]
    assert days.to_dict() == pytest.approx(adsl.groupby("arm_id", observed=True)["icu_days"].mean().to_dict())


def test_files_open_without_us(stored: cartsim.Study) -> None:
    """pandas and DuckDB read the folder as it lies there; names, nulls and joins work."""
    folder = stored.out.local
    assert len(pd.read_parquet(folder / "adsl")) == 750
    assert pd.read_parquet(folder / "outcomes.parquet")["value"].notna().any()
    counted = duckdb.sql(
        f"""select s.arm_id, count(distinct s.subject) as subjects, count(c.CMSEQ) as doses
        from '{folder}/adsl/*.parquet' s left join '{folder}/adcm/*.parquet' c using (arm_id, subject)
        group by s.arm_id order by s.arm_id"""
    ).fetchall()
    doses = stored.table("adcm").groupby("arm_id", observed=True).size()
    assert counted == [(arm, 250, doses[arm]) for arm in ("grade1_24h", "grade2", "grade3")]
    [(null, nan)] = duckdb.sql(
        f"select count(*) filter (t_toci_d is null), count(*) filter (isnan(t_toci_d)) from '{folder}/adsl/*.parquet'"
    ).fetchall()
    assert null == stored.table("adsl")["t_toci_d"].isna().sum() > 0
    assert nan == 0


def test_provenance_is_in_every_footer_and_units_in_every_column(stored: cartsim.Study) -> None:
    folder = stored.out.local
    files = sorted(folder.rglob("*.parquet"))
    assert len(files) == 9
    for file in files:
        schema = pq.read_schema(file)
        footer = json.loads(schema.metadata[b"cartsim"])
        assert footer["scenario_sha256"] == stored.scenario.hash()
        assert footer["scenario_text"] == stored.scenario.text
        assert footer["seed"] == 20261122
        assert footer["evidence_counts"]["assumed"] > 100 and len(footer["evidence_sha256"]) == 64
        assert set(footer["dependencies"]) >= {"numpy", "numba", "pyarrow"}
        assert "not bedside advice" in footer["disclaimer"]
        assert not {"created", "host", "user"} & set(footer)
        assert all(field.metadata[b"label"] for field in schema), file
    adsl = pq.read_schema(next((folder / "adsl").iterdir()))
    assert adsl.field("t_crs_d").metadata[b"unit"] == b"d"
    assert adsl.field("steroid_mg_dex_eq").metadata[b"unit"] == b"mg"


def test_one_changed_line_is_another_result_beside_the_first(repository: Path, tmp_path: Path) -> None:
    """Comments and spacing change nothing; one number changes the hash, the folder and the answer."""
    text = (repository / TIMING).read_text(encoding="utf-8").replace("subjects: 10000", "subjects: 60")
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "b.yaml").write_text(f"# a remark\n{text}", encoding="utf-8")
    (tmp_path / "c.yaml").write_text(text.replace('{crs: ">=3"}', '{crs: ">=4"}'), encoding="utf-8")
    a, b, c = (cartsim.load_scenario(tmp_path / f"{name}.yaml") for name in "abc")
    assert a.hash() == b.hash() != c.hash()

    out = [command("run", f"{name}.yaml", "--json", "--quiet", folder=tmp_path) for name in "abc"]
    assert [done.returncode for done in out] == [0, 0, 0], out[0].stderr
    data = [json.loads(done.stdout) for done in out]
    assert [Path(one["out"]).name for one in data] == [
        "tocilizumab_timing", "tocilizumab_timing", f"tocilizumab_timing-{c.hash()[:8]}",
    ]  # fmt: skip
    assert data[0]["outcomes"] == data[1]["outcomes"] != data[2]["outcomes"]
    doses = [
        row["value"]
        for one in data
        for row in one["outcomes"]
        if (row["arm_id"], row["endpoint"]) == ("grade3", "tocilizumab_any")
    ]
    assert doses[0] == doses[1] > doses[2]


@pytest.mark.parametrize("stage", [SIMULATING, SUMMARISING])
@pytest.mark.parametrize("before", [False, True])
def test_an_interrupted_run_keeps_whole_blocks_and_goes_on(
    probe, tmp_path: Path, stage: str, before: bool
) -> None:
    """Nothing half-written; what was there stays as it was; the same call does the rest and nothing twice."""
    scenario, out = probe(9_000, outputs={"tables": ["adsl"]}), tmp_path / "results" / "run"
    if before:
        run(probe(10, outputs={"tables": ["adsl"]}), out)
    held = {name: digest for name, digest in sha256(out).items() if "/part-" in name}

    def interrupt(progress: Progress) -> None:
        if progress.stage == stage and (progress.done or stage == SUMMARISING):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(scenario, out, progress=interrupt, extend=before)
    assert sha256(out).items() >= held.items()
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["run"]
    if not before:
        assert assert_only_whole_blocks(out) > 0
    kept = {path: path.stat().st_mtime_ns for path in out.glob("*/part-*")}
    run(scenario, out)
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    verify(out)
    whole = run(scenario, tmp_path / "whole", workers=1)
    hashes = [{t["name"]: t["content_hash"] for t in read_manifest(o)["tables"]} for o in (out, whole.out)]
    assert hashes[0] == hashes[1]


def test_a_failure_inside_a_block_is_told_and_leaves_no_result(
    probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error reaches the caller in its own words; the folder holds what opened the run, and the failure."""

    def fail(*_: Any) -> None:
        raise MemoryError("no room")

    with monkeypatch.context() as patch:
        patch.setattr("cartsim.cells.adsl", fail)
        for out in (tmp_path / "run", None):
            with pytest.raises(Incomplete, match="MemoryError: no room"):
                run(probe(20), out)
    place = Place.of(tmp_path / "run")
    [failure] = read_failures(place)
    assert failure.error == "MemoryError: no room" and 'raise MemoryError("no room")' in failure.traceback
    assert place.names() == [failure.path, "manifest.json", "scenario.resolved.yaml"]
    with pytest.raises(Incomplete, match="--retry"):
        run(probe(20), tmp_path / "run")
    run(probe(20), tmp_path / "run", retry=True)
    verify(tmp_path / "run")


@pytest.mark.parametrize("harmed", ["adsl", "tallies", "blocks", "outcomes.parquet", "maximum_grades.svg"])
def test_a_finished_run_that_was_damaged_is_mended_when_asked(probe, tmp_path: Path, harmed: str) -> None:
    """Without --retry the stored results are given; with it what is damaged is made again, and nothing else."""
    out = tmp_path / "run"
    scenario = probe(600, outputs={"tables": ["adsl"]})
    run(scenario, out, block=200)
    held = sha256(out)
    made = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    run(scenario, out, retry=True)
    assert made == {path: path.stat().st_mtime_ns for path in made}
    victim = out / harmed if "." in harmed else sorted((out / harmed).iterdir())[1]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 0xFF
    victim.write_bytes(data)
    run(scenario, out, retry=True)
    verify(out)
    assert sha256(out) == held
    again = [path for path in out.glob("adsl/*") if path.stat().st_mtime_ns != made[path]]
    assert len(again) == (harmed in ("adsl", "tallies", "blocks"))


@pytest.mark.parametrize("fresh", [False, True])
def test_files_of_somebody_else_are_never_touched(probe, tmp_path: Path, fresh: bool) -> None:
    """From Python too: no run begins among other files, none of them is removed."""
    for name in ("thesis.txt", "manifest.json"):
        folder = tmp_path / name.split(".")[0]
        folder.mkdir()
        (folder / name).write_text('{"mine": true}')
        with pytest.raises(InvalidInput, match="holds other files"):
            run(probe(5), folder, fresh=fresh)
        assert [path.name for path in folder.iterdir()] == [name]


@pytest.mark.parametrize("folder", [False, True])
def test_progress_tells_every_stage_to_its_end(probe, tmp_path: Path, folder: bool) -> None:
    told: list[Progress] = []
    out = tmp_path / "run" if folder else None
    run(probe(9_000, outputs={"tables": ["adsl"]}), out, progress=told.append, block=2048)
    stages = list(dict.fromkeys(progress.stage for progress in told))
    assert [stage for stage in stages if stage != COMPILING] == [SIMULATING, SUMMARISING]
    simulated = [progress for progress in told if progress.stage == SIMULATING]
    done = [progress.done for progress in simulated]
    # the last block, of 808 subjects, may end before another
    assert (done[0], done[-1], sorted(np.diff(done[-6:]))) == (0, 9000, [808] + 4 * [2048])
    assert {progress.total for progress in simulated} == {9000}
    assert told[-1] == Progress(SUMMARISING, 1, 1)


def test_a_run_needs_a_seed(probe) -> None:
    with pytest.raises(InvalidInput, match=r"run\.seed"):
        run(probe(5, run={}))


def test_plan_promises_what_a_run_makes(stored: cartsim.Study) -> None:
    planned = plan(stored.scenario)
    made = {table["name"]: table for table in stored.manifest["tables"]}
    assert set(planned["tables"]) == set(made)
    assert (planned["subjects"], planned["arms"], planned["driver"]) == (250, 3, "batch")


def test_another_process_gives_the_same_bytes(
    repository: Path, stored: cartsim.Study, tmp_path: Path
) -> None:
    """Other hash seed, other working folder, other number of threads, from the command line."""
    done = command(
        "run", str(repository / TIMING), "--subjects", "250", "--out", "again", "--workers", "3", "--quiet",
        folder=tmp_path, PYTHONHASHSEED="12345",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sha256(tmp_path / "again") == sha256(stored.out.local)


@pytest.mark.parametrize("name", SCENARIOS)
def test_shipped_scenarios_run_from_the_command_line(repository: Path, tmp_path: Path, name: str) -> None:
    """A small copy of each: JSON on stdout, progress on stderr, no colour in a pipe, a whole folder."""
    small = (
        ["--set", "run.replicates=2", "--subjects", "25"] if name == "ward_capacity" else ["--subjects", "60"]
    )
    scenario = repository / "scenarios" / f"{name}.yaml"
    done = command("run", str(scenario), *small, "--out", "run", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "simulating" in done.stderr and "summarising" in done.stderr
    data = json.loads(done.stdout)
    verify(tmp_path / data["out"])
    assert data["manifest"]["status"] == "complete"
    assert len(data["outcomes"]) > 100
    arms = {arm.id for arm in cartsim.load_scenario(scenario).arms}
    assert {row["arm_id"] for row in data["outcomes"]} == arms
    assert {row["arm_id"] for row in data["contrasts"]} == arms - {cartsim.load_scenario(scenario).reference}
    assert sum(file.endswith((".png", ".svg")) for file in data["files"]) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_printed_answer_of_a_pipe_is_plain_and_complete(repository: Path, tmp_path: Path) -> None:
    done = command(
        "run", str(repository / TIMING), "--subjects", "80", "--quiet", folder=tmp_path, NO_COLOR="1"
    )
    assert done.returncode == 0 and done.stderr == ""
    assert "\x1b" not in done.stdout
    for words in ("CRS grade ≥ 3", "Paired difference", "results/tocilizumab_timing", "not bedside advice"):
        assert words in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 120


def test_dry_run_writes_nothing(repository: Path, tmp_path: Path) -> None:
    done = command("run", str(repository / TIMING), "--dry-run", "--json", folder=tmp_path)
    assert done.returncode == 0
    data = json.loads(done.stdout)
    assert data["plan"]["subjects"] == 10_000 and data["plan"]["arms"] == 3
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_cleanly(repository: Path, tmp_path: Path, sent: int, code: int) -> None:
    """Once it simulates: its own exit code, no traceback, whole blocks only, and the command that goes on."""
    arguments = ["run", str(repository / TIMING), "--subjects", "30000000", "--fresh"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cartsim", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
    )  # fmt: skip
    told = []
    for line in process.stderr:
        told.append(line)
        if SIMULATING in line:
            break
    time.sleep(1.0)
    process.send_signal(sent)
    out, rest = process.communicate(timeout=60)
    assert process.returncode == code, (told, rest)
    assert "Traceback" not in rest and out == ""
    assert f"cartsim {' '.join(arguments[:-1])}\n" in rest and "--fresh" not in rest
    assert_only_whole_blocks(tmp_path / "results" / "tocilizumab_timing")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["run"], 2),
        (["run", "nowhere.yaml"], 3),
        (["run", TIMING, "--set", "arms.early.policy=x"], 3),
        (["run", TIMING, "--out", "full"], 3),
        (["run", TIMING, "--seed", "nine"], 2),
        (["policies", "nonsense"], 3),
    ],
)
def test_exit_codes(repository: Path, tmp_path: Path, arguments: list[str], code: int) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("not a run")
    done = command(
        *[str(repository / TIMING) if one == TIMING else one for one in arguments], folder=tmp_path
    )
    assert done.returncode == code, done.stderr
    assert done.stdout == "" and "Traceback" not in done.stderr and done.stderr.strip()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["full", "mine.txt"]


def test_help_loads_no_engine(tmp_path: Path) -> None:
    """Every module that `cartsim --help` and `import cartsim` load, by Python's own account."""
    for arguments in (["-m", "cartsim", "--help"], ["-c", "import cartsim"]):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", *arguments],
            capture_output=True, text=True, cwd=tmp_path, timeout=60, check=True,
        )  # fmt: skip
        loaded = {
            line.rsplit("|", 1)[1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line
        }
        assert "cartsim" in loaded or arguments[0] == "-m"
        assert not loaded & {
            "numba",
            "llvmlite",
            "pandas",
            "matplotlib",
            "numpy",
            "scipy",
            "pyarrow",
            "simpy",
        }


def test_a_seed_is_a_cohort(repository: Path) -> None:
    """Another seed, another cohort; the same seed, the same; in one process and without a trace between runs."""
    mean = []
    for seed in (1, 2, 1):
        scenario = cartsim.load_scenario(repository / TIMING, {"population.subjects": 50, "run.seed": seed})
        mean.append(np.asarray(run(scenario).table("adsl")["AGE"]).mean())
    assert mean[0] == mean[2] != mean[1]
