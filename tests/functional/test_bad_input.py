"""Whatever is wrong with a scenario or policy, the user reads one message with file, line, key path, the value and
what to do; nothing is simulated, nothing is written."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cartsim.cli import main
from cartsim.errors import InvalidInput
from cartsim.scenario.load import load_scenario

GOOD = """\
schema: cartsim/scenario/1
id: probe
title: A scenario to spoil
study:
  question: What happens to a spoilt scenario?
  horizon_days: 30
product: axi-cel
population:
  subjects: 100
  weight_kg: {dist: lognormal, median: 78, cv: 0.2}
  age_years: {dist: truncnorm, mean: 60, sd: 11, low: 18, high: 85}
grading: {crs: astct2019, icans: astct2019}
monitoring: {ward_h: 6, icu_h: 2, clinic_h: 24, home_h: 24, start: inpatient}
arms:
  - id: standard
    policy: asco_2021
  - id: early
    label: early
    policy:
      id: early
      scale: astct2019
      rules:
        g1_toci: {when: {crs: 1, for_h: 24}, give: {drug: tocilizumab}}
        g2_toci: {when: {crs: ">=2"}, give: {drug: tocilizumab, repeat_h: 8, while: not_improved, max_doses: 3}}
        g3_dex: {when: {crs: ">=3"}, give: {drug: dexamethasone, mg: 10, every_h: 6, until: {crs: "<=1"}}}
reference: standard
site:
  beds: 8
  icu_beds: 4
  tocilizumab_doses: 6
  arrivals: {every_h: 24}
run: {seed: 1, replicates: 2}
outputs: {tables: [adsl, adae], events: off}
"""

#: (what was done, text to replace, replacement, key path told, words told)
SPOILT = [
    ("typo at the top", "grading:", "gradings:", "gradings", "grading"),
    ("typo in a section", "subjects:", "subjets:", "population.subjets", "subjects"),
    ("typo in monitoring", "ward_h: 6", "ward_hours: 6", "monitoring.ward_hours", "ward_h"),
    ("key without unit", "horizon_days: 30", "horizon: 30", "study.horizon", "horizon_days"),
    ("typo in a distribution", "median: 78", "medain: 78", "population.weight_kg.medain", "median"),
    ("weight in grams", "median: 78", "median: 78000", "population.weight_kg.median", "350 kg"),
    ("negative weight", "median: 78", "median: -78", "population.weight_kg.median", "above 0"),
    ("weight as a negative constant", "{dist: lognormal, median: 78, cv: 0.2}", "-5", "population.weight_kg", "kg"),
    ("unknown distribution", "dist: lognormal", "dist: weibull", "population.weight_kg", "lognormal"),
    ("missing parameter", ", cv: 0.2", "", "population.weight_kg.cv", "missing"),
    ("bounds the wrong way", "low: 18, high: 85", "low: 85, high: 18", "population.age_years", "low must be below"),
    ("negative subjects", "subjects: 100", "subjects: -1", "population.subjects", "at least 0"),
    ("subjects not whole", "subjects: 100", "subjects: 10.5", "population.subjects", "whole number"),
    ("subjects as text", "subjects: 100", 'subjects: "100"', "population.subjects", "whole number"),
    ("subjects as truth", "subjects: 100", "subjects: true", "population.subjects", "whole number"),
    ("horizon too long", "horizon_days: 30", "horizon_days: 400", "study.horizon_days", "at most 90"),
    ("horizon zero", "horizon_days: 30", "horizon_days: 0", "study.horizon_days", "at least 1"),
    ("unknown product", "product: axi-cel", "product: axicel", "product", "axi-cel"),
    ("product block typo", "product: axi-cel", "product: {base: axi-cel, overrides: {crs_muu: 1}}",
     "product.overrides.crs_muu", "crs_mu"),
    ("registry key typo", "product: axi-cel", "product: axi-cel\nmodel: {overrides: {tocilizumab.efect: 1}}",
     "model.overrides.tocilizumab.efect", "tocilizumab.effect"),
    ("registry value negative", "product: axi-cel", "product: axi-cel\nmodel: {overrides: {tocilizumab.cap_mg: -8}}",
     "model.overrides.tocilizumab.cap_mg", "800"),
    ("registry list for a number", "product: axi-cel",
     "product: axi-cel\nmodel: {overrides: {tocilizumab.cap_mg: [1, 2]}}",
     "model.overrides.tocilizumab.cap_mg", "a number"),
    ("arm model typo", "label: early", "model: {tocilizumab.icans_shft: 0.15}",
     "arms.early.model.tocilizumab.icans_shft", "tocilizumab.icans_shift"),
    ("unknown scale", "crs: astct2019, icans", "crs: astct2018, icans", "grading.crs", "astct2019"),
    ("interval zero", "ward_h: 6", "ward_h: 0", "monitoring.ward_h", "above 0"),
    ("start elsewhere", "start: inpatient", "start: hospital", "monitoring.start", "inpatient"),
    ("repeated arm id", "id: early\n    label", "id: standard\n    label", "arms.standard.id", "repeated"),
    ("arm without policy", "    policy: asco_2021\n", "", "arms.standard.policy", "missing"),
    ("arm with empty policy", "policy: asco_2021", 'policy: ""', "arms.standard.policy", "policy is needed"),
    ("unknown policy", "policy: asco_2021", "policy: asco_2012", "arms.standard.policy", "asco_2021"),
    ("arm id with a space", "id: early\n    label", "id: ear ly\n    label", "arms.ear ly.id", "letters"),
    ("unknown module", "label: early", "prophylaxis: [toci_d7]", "arms.early.prophylaxis.0", "toci_d"),
    ("repeated module", "label: early", "prophylaxis: [toci_d0, toci_d0]", "arms.early.prophylaxis.1", "repeated"),
    ("unknown reference", "reference: standard", "reference: standrad", "reference", "standard"),
    ("no arm", re.search(r"arms:\n(?:  .*\n)+", GOOD)[0], "arms: []\n", "arms", "at least 1"),  # type: ignore[index]
    ("arms missing", re.search(r"arms:\n(?:  .*\n)+", GOOD)[0], "", "arms", "missing"),  # type: ignore[index]
    ("beds negative", "beds: 8", "beds: -8", "site.beds", "at least 0"),
    ("no bed for inpatients", "beds: 8", "beds: 0", "site.beds", "outpatient"),
    ("two ways to arrive", "{every_h: 24}", "{every_h: 24, poisson_per_day: 1}", "site.arrivals", "exactly one"),
    ("no way to arrive", "{every_h: 24}", "{}", "site.arrivals", "exactly one"),
    ("arrivals out of order", "{every_h: 24}", "{at_h: [5, 1]}", "site.arrivals", "rising"),
    ("too few arrivals", "{every_h: 24}", "{at_h: [1, 5]}", "site.arrivals.at_h", "100 subjects"),
    ("restock typo", "tocilizumab_doses: 6", "tocilizumab_doses: 6\n  restock: {every: 24, doses: 1}",
     "site.restock.every", "every_h"),
    ("restock of what is unlimited", "tocilizumab_doses: 6", "restock: {every_h: 24, doses: 1}",
     "site.restock", "unlimited"),
    ("sobol on a ward", "replicates: 2", "replicates: 2, source: sobol", "run.source", "site"),
    ("seed as text", "seed: 1", "seed: today", "run.seed", "whole number"),
    ("negative seed", "seed: 1", "seed: -1", "run.seed", "at least 0"),
    ("no replicate", "replicates: 2", "replicates: 0", "run.replicates", "at least 1"),
    ("unknown table", "[adsl, adae]", "[adsl, adea]", "outputs.tables.1", "adae"),
    ("repeated table", "[adsl, adae]", "[adsl, adsl]", "outputs.tables.1", "repeated"),
    ("unknown events", "events: off", "events: none", "outputs.events", "sample"),
    ("sweep method", "reference:", "sweep: {method: grdi, axes: {}}\nreference:", "sweep.method", "grid"),
    ("sweep key", "reference:", "sweep: {method: grid, axis: {}}\nreference:", "sweep.axis", "axes"),
    ("trial not yet", "reference:", "trial: {cohorts: 3}\nreference:", "trial", "not supported yet"),
    ("old schema", "cartsim/scenario/1", "cartsim/scenario/0", "schema", "cartsim/scenario/1"),
    ("schema missing", "schema: cartsim/scenario/1\n", "", "schema", "cartsim/scenario/1"),
    ("id missing", "id: probe\n", "", "id", "missing"),
    ("empty title", "title: A scenario to spoil", 'title: ""', "title", "empty"),
    # What YAML readers disagree about.
    ("repeated key", "product: axi-cel", "product: axi-cel\nproduct: liso-cel", "product", "repeated"),
    ("bare no", "ward_h: 6", "ward_h: no", "monitoring.ward_h", "quotes"),
    ("bare on", "title: A scenario to spoil", "title: on", "title", "quotes"),
    ("base sixty", "ward_h: 6", "ward_h: 12:30", "monitoring.ward_h", "base of 60"),
    ("underscore", "subjects: 100", "subjects: 1_000", "population.subjects", "1000"),
    ("decimal comma", "horizon_days: 30", "horizon_days: 30,5", "study.horizon_days", "30.5"),
    ("octal", "subjects: 100", "subjects: 0100", "population.subjects", "decimal"),
    ("not finite", "cv: 0.2", "cv: .inf", "population.weight_kg.cv", "finite"),
    ("tag", "seed: 1", "seed: !seed 1", "run.seed", "tag"),
    # What is inside a policy.
    ("grade 9", '{crs: ">=2"}', "{crs: 9}", "arms.early.policy.rules.g2_toci.when.crs", "grade"),
    ("unknown drug", "drug: dexamethasone", "drug: dexamethason", "arms.early.policy.rules.g3_dex.give.drug",
     "dexamethasone"),
    ("dose above the cap", "give: {drug: tocilizumab}", "give: {drug: tocilizumab, mg_per_kg: 16}",
     "arms.early.policy.rules.g1_toci.give", "8"),
    ("dose without unit", "mg: 10, every_h: 6", "dose: 10, every_h: 6", "arms.early.policy.rules.g3_dex.give.dose",
     "mg"),
    ("policy key typo", "repeat_h: 8", "repeat_hours: 8", "arms.early.policy.rules.g2_toci.give.repeat_hours",
     "repeat_h"),
    ("condition typo", "for_h: 24", "for_hours: 24", "arms.early.policy.rules.g1_toci.when.for_hours", "for_h"),
    ("unknown policy scale", "      scale: astct2019", "      scale: astct", "arms.early.policy.scale", "astct2019"),
    ("treat as nobody", "give: {drug: tocilizumab}", "treat_as: g2_tocii", "arms.early.policy.rules.g1_toci.treat_as",
     "g2_toci"),
    ("extends nobody", "      id: early\n", "      extends: acso_2021\n", "arms.early.policy.extends", "asco_2021"),
]  # fmt: skip


def spoil(old: str, new: str) -> str:
    assert old in GOOD, old
    return GOOD.replace(old, new, 1)


def test_the_unspoilt_scenario_is_valid() -> None:
    assert load_scenario(GOOD).subjects == 100


@pytest.mark.parametrize(
    ("old", "new", "path", "words"), [case[1:] for case in SPOILT], ids=[case[0] for case in SPOILT]
)
def test_spoilt_scenario_is_refused_at_its_line(
    tmp_path: Path, old: str, new: str, path: str, words: str
) -> None:
    file = tmp_path / "spoilt.yaml"
    text = spoil(old, new)
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput) as caught:
        load_scenario(file)
    problems = caught.value.problems
    at_path = [problem for problem in problems if problem.path == path or problem.path.startswith(f"{path}.")]
    assert at_path, [problem.where for problem in problems]
    assert len(problems) == 1, [(problem.where, problem.what) for problem in problems]
    problem = at_path[0]
    assert problem.file == str(file)
    assert problem.line is not None and 1 <= problem.line <= len(text.splitlines())
    last = path.rsplit(".", maxsplit=1)[-1]
    if not last.isdigit() and "missing" not in problem.what:
        assert last in text.splitlines()[problem.line - 1]
    told = f"{problem.what} {problem.mend or ''}"
    assert words.lower() in told.lower(), told
    assert "pydantic" not in told and "validation error" not in told.lower()
    assert caught.value.exit_code == 3
    assert f"{file}:{problem.line} {problem.path}" in str(caught.value)


def test_all_problems_come_at_once_in_the_order_of_the_file() -> None:
    text = GOOD
    for old, new in (
        ("subjects: 100", "subjects: -1"),
        ("ward_h: 6", "ward_hours: 6"),
        ("policy: asco_2021", "policy: asco_2012"),
        ("drug: dexamethasone", "drug: dexa"),
        ("seed: 1", "seed: 12:30"),
    ):
        text = text.replace(old, new, 1)
    with pytest.raises(InvalidInput) as caught:
        load_scenario(text)
    lines = [problem.line for problem in caught.value.problems]
    assert len(lines) == 5
    assert lines == sorted(lines)  # type: ignore[type-var]
    assert "(5 problems)" in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "empty"),
        (b"# only a comment\n", "empty"),
        (b"- a\n- list\n", "map"),
        (b"just words\n", "map"),
        (b"id: [1\n", "YAML"),
        (b"id: a\n\ttitle: b\n", "tab"),
        (b"id: caf\xe9\n", "UTF-8"),
        (b"id: a\n---\nid: b\n", "second document"),
        (b"id: *nowhere\n", "anchor"),
        (b"a: &a [x]\n? [1]\n: 2\n", "single word"),
        (b"[" * 5000, "nested"),
        (b"PK\x03\x04\x00\x00", "YAML"),
    ],
    ids=[
        "empty",
        "comment",
        "list",
        "words",
        "open",
        "tab",
        "latin1",
        "two",
        "alias",
        "key",
        "deep",
        "binary",
    ],
)
def test_what_is_no_scenario_at_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], raw: bytes, words: str
) -> None:
    file = tmp_path / "odd.yaml"
    file.write_bytes(raw)
    assert main(["run", str(file), "--out", str(tmp_path / "out")]) == 3
    shown = capsys.readouterr()
    assert words in shown.err and str(file) in shown.err
    assert "Traceback" not in shown.err and shown.out == ""
    assert not (tmp_path / "out").exists()


@pytest.fixture
def good_file(tmp_path: Path) -> Path:
    file = tmp_path / "probe.yaml"
    file.write_text(GOOD, encoding="utf-8")
    return file


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, *words: str) -> str:
    assert main(arguments) == code
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    for word in words:
        assert word in shown.err, shown.err
    return shown.err


def test_missing_seed_is_refused_by_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "seedless.yaml"
    file.write_text(spoil("seed: 1, ", ""), encoding="utf-8")
    refused(capsys, ["run", str(file), "--out", str(tmp_path / "out")], 3, "run.seed", str(file), "--seed")
    assert not (tmp_path / "out").exists()


def test_missing_file_names_the_nearest(
    tmp_path: Path, good_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, ["run", str(tmp_path / "prob.yaml")], 3, "does not exist", str(good_file))


def test_folder_for_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, ["run", str(tmp_path)], 3, "cannot be read")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("population.subjcts=5", "population.subjects"),
        ("arms.erly.policy=asco_2021", "early"),
        ("run.seed=abc", "whole number"),
        ("run.seed=12:30", "base of 60"),
        ("population.subjects=1_000", "1000"),
        ("monitoring.ward_h=-6", "above 0"),
        ("arms.early.policy.rules.g2_toci.when.crs=9", "grade"),
        ("model.overrides.tocilizumab.efect=1", "tocilizumab.effect"),
        ("run..seed=1", "dots"),
        ("sweep=[1]", "a map"),
    ],
)
def test_bad_settings(good_file: Path, capsys: pytest.CaptureFixture[str], setting: str, words: str) -> None:
    refused(capsys, ["run", str(good_file), "--set", setting, "--dry-run"], 3, "--set", words)


def test_settings_that_are_no_settings(good_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, ["run", str(good_file), "--set", "run.seed"], 3, "key=value")
    refused(capsys, ["run", str(good_file), "--set", "run.seed=1", "--set", "run.seed=2"], 3, "twice")


def test_wrong_usage_is_two(good_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, ["rum", str(good_file)], 2, "rum")
    refused(capsys, ["run", str(good_file), "--sed", "1"], 2, "--sed")
    refused(capsys, ["run"], 2, "scenario")
    refused(capsys, ["run", str(good_file), "--workers", "many"], 2, "--workers")


def test_output_folder_that_is_a_file(
    tmp_path: Path, good_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    refused(capsys, ["run", str(good_file), "--out", str(taken)], 3, "is a file", str(taken))
    assert taken.read_text() == "mine"


@pytest.mark.parametrize("flags", [[], ["--fresh"]], ids=["plain", "fresh"])
def test_output_folder_with_other_files_is_never_touched(
    tmp_path: Path, good_file: Path, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.txt").write_text("mine")
    refused(capsys, ["run", str(good_file), "--out", str(folder), *flags], 3, "other files", str(folder))
    assert [path.name for path in folder.iterdir()] == ["chapter.txt"]


def test_output_folder_of_another_scenario(
    tmp_path: Path, good_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What differs is told by key and nothing is touched, whether that run was simulated or is hardly known."""
    folder = tmp_path / "earlier"
    start = ["run", str(good_file), "--out", str(folder), "--quiet", "--subjects", "4"]
    assert main(start) == 0
    capsys.readouterr()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for setting, key in (("run.seed=2", "run.seed: 1 -> 2"), ("monitoring.ward_h=3", "monitoring.ward_h: 6")):
        refused(capsys, [*start, "--set", setting], 3, "another scenario", key, "--fresh")
    number = "model.overrides={tocilizumab.effect: 0.5}"
    refused(capsys, [*start, "--set", number], 3, "another scenario", "tocilizumab.effect", "--fresh")
    refused(capsys, [*start, "--seed", "2", "--extend"], 3, "another scenario", "run.seed: 1 -> 2", "--fresh")
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "manifest.json").write_text(json.dumps({"scenario_sha256": "0" * 64}))
    refused(capsys, ["run", str(good_file), "--out", str(bare)], 3, "scenario 00000000 -> ", "--fresh")
    assert [path.name for path in bare.iterdir()] == ["manifest.json"]


def raise_on_write(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def no_space(self: Path, data: bytes) -> int:
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "write_bytes", no_space)


def test_full_disk(
    tmp_path: Path, good_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    raise_on_write(monkeypatch, errno.ENOSPC)
    refused(capsys, ["run", str(good_file), "--out", str(tmp_path / "out")], 6, "full", "free some space")
    assert not (tmp_path / "out").exists()


def test_folder_without_permission(
    tmp_path: Path, good_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    raise_on_write(monkeypatch, errno.EACCES)
    refused(capsys, ["run", str(good_file), "--out", str(tmp_path / "out")], 6, "cannot write", "Permission")


def test_fault_of_our_own_is_one_and_leaves_a_log(
    good_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("a deep fault")

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("cartsim.scenario.load.load_scenario", broken)
    shown = refused(capsys, ["run", str(good_file), "--dry-run"], 1, "ZeroDivisionError", "inside cartsim")
    log = re.search(r"\S+\.log", shown)
    assert log is not None
    assert "Traceback" in Path(log[0]).read_text(encoding="utf-8")


def test_interruption_is_130(
    good_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cartsim.scenario.load.load_scenario", interrupted)
    refused(capsys, ["run", str(good_file), "--dry-run"], 130, "interrupted")


BAD_POLICIES = [
    (
        "id: p\nscale: astct2019\nrules:\n  a: {when: {crs: 9}, give: {drug: tocilizumab}}\n",
        "rules.a.when.crs",
        4,
    ),
    (
        "id: p\nscale: astct2019\nrules:\n  a: {when: {crs: 2}, give: {drug: aspirin}}\n",
        "rules.a.give.drug",
        4,
    ),
    ("id: p\nscale: astct2019\nrules:\n  a: {when: {crs: 2}}\n", "rules.a", 4),
    ("id: p\nrules:\n  a: {when: {crs: 2}, care: icu}\n", "scale", 1),
    ("id: p\nscale: astct2019\nrulez: {}\n", "rulez", 3),
    ("id: p\nscale: astct2019\nscale: penn\nrules: {}\n", "scale", 3),
    ("id: p\nscale: no\nrules: {}\n", "scale", 2),
]


@pytest.mark.parametrize(("text", "path", "line"), BAD_POLICIES, ids=[case[1] for case in BAD_POLICIES])
def test_bad_policy_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, path: str, line: int
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(text, encoding="utf-8")
    refused(capsys, ["check", str(file)], 3, f"{file}:{line} {path}")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("subjects: 100", "subjects: 1_000", "population.subjects"),
        ('{crs: ">=2"}', "{crs: 9}", "arms.early.policy.rules.g2_toci.when.crs"),
        ("seed: 1, ", "", "run.seed"),
    ],
    ids=["trap", "policy", "seed"],
)
def test_real_command_says_it_once(tmp_path: Path, old: str, new: str, words: str) -> None:
    file = tmp_path / "spoilt.yaml"
    file.write_text(spoil(old, new), encoding="utf-8")
    done = command(["run", str(file), "--out", "out"], tmp_path)
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.count("error:") == 1 and words in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["spoilt.yaml"]


def test_real_command_meets_a_full_stdout(tmp_path: Path, good_file: Path) -> None:
    if not Path("/dev/full").exists():
        assert sys.platform != "linux"
        return
    with open("/dev/full", "w") as full:
        done = command(["schema"], tmp_path, stdout=full)
    assert done.returncode == 6
    assert "no space" in done.stderr and "Traceback" not in done.stderr


def command(
    arguments: list[str], folder: Path, stdout: Any = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cartsim", *arguments],
        cwd=folder,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
