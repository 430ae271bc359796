"""Compiled code is never older than its text, and gives the bits that the same text gives as plain Python."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from clinic_builder import rich_arm, run_rich, same_bits

from cartsim.compiled import PACKAGE, SOURCES, cache_folder, compiled, source_hash

SUBJECTS = 100
#: Entry in one file, equation in another: what numba's own cache would get wrong.
PROBE = """
{first}
import numpy as np
from cartsim.model.latent import drives
from cartsim.model.parameters import PARAMETERS
from cartsim.model.state import COURSE, SUBJECT
p, s, c = np.ones(1, PARAMETERS), np.ones(1, SUBJECT), np.ones(1, COURSE)
c["drugged"], c["support_from"], c["neuro_from"], c["support_to"], c["neuro_to"] = 0, 0, 0, 9, 9
x = drives(p[0], s[0], c[0], 3.0)[0]
print(f"{{x:.6f}}", sum(drives.stats.cache_hits.values()))
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package's text in a folder of its own."""
    shutil.copytree(PACKAGE, tmp_path / "src" / "cartsim", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "src" / "cartsim"


def run_probe(copy: Path, first: str = "") -> tuple[float, int]:
    """(drive, hits in the cache) of a small computation by the copied package in a process of its own."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    environment |= {"PYTHONPATH": str(copy.parent), "CARTSIM_CACHE": str(copy.parent.parent / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(first=first)],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    value, hits = done.stdout.split()
    return float(value), int(hits)


def edit(copy: Path) -> None:
    """Another equation for the CRS drive."""
    file = copy / "model" / "disease.py"
    text = file.read_text("utf-8")
    old = "return s.crs_peak + bump("
    assert text.count(old) == 1
    file.write_text(text.replace(old, "return 100.0 + s.crs_peak + bump("), "utf-8")


def test_every_compiled_file_is_hashed() -> None:
    covered = {file for name in SOURCES for file in (PACKAGE / name).rglob("*.py")}
    covered |= {PACKAGE / name for name in SOURCES}
    with_compiled = {file for file in PACKAGE.rglob("*.py") if "\n@compiled\n" in file.read_text("utf-8")}
    assert with_compiled and with_compiled <= covered


def test_an_edit_of_any_compiled_file_gives_another_cache(copy: Path) -> None:
    files = [copy / name for name in SOURCES if name.endswith(".py")]
    files += [file for name in SOURCES for file in sorted((copy / name).glob("*.py"))]
    seen = {source_hash(copy)}
    assert seen == {source_hash()}
    for file in files:
        file.write_text(file.read_text("utf-8") + "# edited\n", "utf-8")
        seen.add(source_hash(copy))
    assert len(seen) == len(files) + 1


def test_a_new_name_for_the_same_text_gives_another_cache(copy: Path) -> None:
    before = source_hash(copy)
    (copy / "model" / "signs.py").rename(copy / "model" / "sign.py")
    assert source_hash(copy) != before


def test_an_edit_elsewhere_keeps_the_cache(copy: Path) -> None:
    before = source_hash(copy)
    (copy / "cli.py").write_text("", "utf-8")
    assert source_hash(copy) == before


def test_an_edited_callee_in_another_file_is_not_served_stale(copy: Path) -> None:
    first, _ = run_probe(copy)
    again, hits = run_probe(copy)
    assert again == first and hits == 1, "the second run was meant to read the cache"
    edit(copy)
    assert run_probe(copy)[0] == pytest.approx(first + 100.0, abs=2e-6)


def test_the_cache_is_ours_even_where_numba_came_first(copy: Path) -> None:
    run_probe(copy, first="import numba")
    assert list(copy.parent.parent.joinpath("cache").rglob("*.nbc"))
    assert not list(copy.rglob("*.nbc")), "compiled code beside the sources goes stale"


def test_the_cache_goes_where_it_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CARTSIM_CACHE", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert cache_folder() == tmp_path / "mine" / "cartsim" / f"compiled-{source_hash()}"
    monkeypatch.delenv("CARTSIM_CACHE")
    assert cache_folder().parent == tmp_path / "user" / "cartsim"


def test_a_cache_that_cannot_be_made_falls_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CARTSIM_CACHE", str(tmp_path / "file" / "below"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    assert cache_folder().parent == tmp_path / "temporary" / "cartsim"


def test_infinities_and_nan_mean_what_they_say() -> None:
    @compiled
    def odd(x: float, y: float) -> tuple[float, bool, bool]:
        return (x + y) - y, x != x, x - x == 0.0

    assert odd(1e308, 1e308)[0] == np.inf
    assert odd(np.nan, 0.0)[1:] == (True, False)
    assert odd(np.inf, 0.0)[1:] == (False, False)


def test_compiled_and_plain_python_give_the_same_bits(tmp_path: Path) -> None:
    """100 subjects under the ASCO ladder, two prophylaxes, ICE errors and everything else that draws or branches."""
    there = tmp_path / "plain.npz"
    code = f"import clinic_builder as b; b.save_rich({str(there)!r}, {SUBJECTS})"
    tests = str(Path(__file__).resolve().parents[1])
    paths = os.pathsep.join(filter(None, [tests, os.environ.get("PYTHONPATH")]))
    plain_run = subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": paths}
    )
    here = run_rich(rich_arm(), SUBJECTS)
    assert plain_run.wait() == 0
    with np.load(there) as plain:
        assert set(plain.files) == set(here)
        differing = {name: same_bits(here[name], plain[name]) for name in here}
    assert not any(differing.values()), differing
    assert len(here["doses"]) > SUBJECTS and here["courses"]["dead"].any()
    assert np.isin([0, 1, 2, 3], here["doses"]["drug"]).all(), "a drug was never given"
