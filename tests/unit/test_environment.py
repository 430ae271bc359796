"""A fresh machine anywhere must be able to set up: no host, no machine path, every package pinned by hash."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

REQUIREMENT = re.compile(r"^[a-z0-9][a-z0-9._-]*==[^ ;]+")
#: Written in pieces, so that this file does not find itself.
INDEX_HOSTS = tuple(
    ".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("anaconda", "org"))
)
MACHINE_PATH = re.compile(r"(?<![\w.$)}<>*-])/" + r"(?:home|root|work|opt|Users|mnt)/\w")


@pytest.fixture(scope="module")
def lock(repository: Path) -> str:
    return (repository / "requirements.lock").read_text("utf-8")


def requirements(lock: str) -> list[str]:
    """Requirements as pip sees them: continuation lines joined, comments gone."""
    lines = [line for line in lock.replace("\\\n", " ").splitlines() if line.strip()]
    return [line for line in lines if not line.lstrip().startswith("#")]


def text_files(repository: Path) -> list[Path]:
    """Files that git tracks or would track; in an unpacked archive, all but the made ones."""
    names: list[str] = []
    if (repository / ".git").exists() and shutil.which("git"):
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=repository, capture_output=True, check=True).stdout
        names = [os.fsdecode(name) for name in listed.split(b"\0") if name]
    else:
        made = {".venv", "build", "dist", "results", "__pycache__"}
        every = (path.relative_to(repository) for path in repository.rglob("*"))
        names = [
            str(path) for path in every if not any(p in made or p.endswith("_cache") for p in path.parts)
        ]
    found = [repository / name for name in names]
    return [path for path in found if path.is_file() and b"\0" not in path.read_bytes()[:8192]]


def test_lock_names_no_host_and_no_index(lock: str) -> None:
    for forbidden in ("://", "--index", "--extra-index", "--find-links", "--trusted-host", " @ ", "file:"):
        assert forbidden not in lock, forbidden


def test_every_requirement_is_pinned_and_hashed(lock: str) -> None:
    pinned = requirements(lock)
    assert len(pinned) > 30
    for line in pinned:
        assert REQUIREMENT.match(line), line[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), line[:80]


def test_lock_holds_what_pyproject_asks_for(lock: str, repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))
    wanted = project["project"]["dependencies"] + project["project"]["optional-dependencies"]["dev"]
    wanted += project["build-system"]["requires"]
    names = {re.split(r"[<>=!~;\[ ]", w)[0].lower().replace(".", "-").replace("_", "-") for w in wanted}
    locked = {line.split("==")[0] for line in requirements(lock)}
    assert names <= locked
    # lifelines holds pandas below 3 and jitters ties
    assert "lifelines" not in locked


def test_no_file_names_an_index_host_or_a_machine_path(repository: Path) -> None:
    found = []
    for path in text_files(repository):
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1):
            if any(host in line for host in INDEX_HOSTS) or MACHINE_PATH.search(line):
                found.append(f"{path.relative_to(repository)}:{number}: {line.strip()[:100]}")
    assert not found, "\n".join(found)


def test_path_pattern_tells_machine_paths_from_text() -> None:
    assert MACHINE_PATH.search("read " + "/home" + "/someone/data.csv")
    assert MACHINE_PATH.search("'" + "/opt" + "/tools/python'")
    for text in (
        "at home/work/rest",
        "per mg/kg",
        "$(HOME)/work/x",
        "results/home/a",
        "https://doi.test/opt/x",
    ):
        assert not MACHINE_PATH.search(text), text


def test_ci_runs_make_test(repository: Path) -> None:
    script = repository / ".ci" / "run"
    assert os.access(script, os.X_OK)
    text = script.read_text("utf-8")
    assert "set -euo pipefail" in text
    assert [line for line in text.splitlines() if line and not line.startswith(("#", "set", "cd"))] == [
        "make test"
    ]


@pytest.mark.parametrize(
    "target", ["setup", "run", "test", "verify", "bench", "lint", "format", "lock", "clean"]
)
def test_make_knows_the_target(repository: Path, target: str) -> None:
    listed = subprocess.run(
        ["make", "help"], cwd=repository, capture_output=True, text=True, check=True
    ).stdout
    assert f"make {target}" in listed


def test_make_says_clearly_that_python_is_too_old(repository: Path, tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.8.20 && exit 0\nexit 1\n', "utf-8")
    old.chmod(0o755)
    asked = subprocess.run(
        ["make", "setup", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode != 0
    assert "cartsim needs Python 3.11 or newer" in asked.stderr
    assert "Python 3.8.20" in asked.stderr
    assert not (tmp_path / "venv").exists()


def test_version_is_the_same_everywhere(repository: Path) -> None:
    stated = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    citation = (repository / "CITATION.cff").read_text("utf-8")
    changelog = (repository / "CHANGELOG.md").read_text("utf-8")
    assert re.findall(r"^version: (\S+)$", citation, re.MULTILINE) == [stated]
    assert re.search(rf"^## .*\b{re.escape(stated)}\b", changelog, re.MULTILINE)
    assert version("cartsim") == stated


def test_wheel_carries_data_and_type_marker(repository: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=repository, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("cartsim-*.whl")
    with zipfile.ZipFile(wheel) as opened:
        held = set(opened.namelist())
        (entry_points,) = (n for n in held if n.endswith("entry_points.txt"))
        assert "cartsim = cartsim.cli:main" in opened.read(entry_points).decode()
    source = repository / "src"
    data = [p.relative_to(source).as_posix() for p in (source / "cartsim").rglob("*.yaml")]
    for room in ("evidence", "policy"):
        assert any(name.startswith(f"cartsim/{room}/data/") for name in data), room
    assert {*data, "cartsim/py.typed"} <= held
    assert any(name.endswith("licenses/LICENSE") for name in held)


def test_root_hands_on_names_lazily() -> None:
    code = "import cartsim, sys; print(cartsim.__version__, sorted({'numpy', 'pandas', 'numba'} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.split() == [version("cartsim"), "[]"]


def test_root_refuses_unknown_names() -> None:
    import cartsim

    with pytest.raises(AttributeError, match="no_such_name"):
        cartsim.no_such_name  # noqa: B018


def test_root_names_exist() -> None:
    import cartsim

    for name in cartsim.__all__:
        assert getattr(cartsim, name) is not None
