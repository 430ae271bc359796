"""What the README tells a reader to type works, and what it shows is what comes out.

`python tests/functional/test_readme.py` writes the shown output anew, after a change that was meant.
"""

import contextlib
import io
import os
import re
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cartsim.cli import main

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ".venv/bin/cartsim "


def blocks(kind: str, name: str = "README.md") -> list[str]:
    """Fenced blocks of one language, in order."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", (ROOT / name).read_text("utf-8"), re.DOTALL | re.MULTILINE)


def arguments(line: str) -> list[str]:
    """What stands after the command in a line that a reader types."""
    assert line.startswith(COMMAND), line
    return shlex.split(line.removeprefix(COMMAND))


def output_of(line: str) -> list[str]:
    """Lines on stdout; progress is not part of an answer."""
    heard = io.StringIO()
    with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(io.StringIO()):
        assert main(arguments(line)) == 0, line
    return heard.getvalue().splitlines()


def copy_scenarios(folder: Path, subjects: int | None = None) -> None:
    """The scenarios, with fewer subjects if asked."""
    (folder / "scenarios").mkdir()
    for file in (ROOT / "scenarios").glob("*.yaml"):
        text = file.read_text("utf-8")
        if subjects is not None:
            text = re.sub(r"subjects: \d+", f"subjects: {subjects}", text)
        (folder / "scenarios" / file.name).write_text(text, "utf-8")


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder whose scenarios have 50 subjects, with the results of the first one."""
    copy_scenarios(tmp_path, 50)
    monkeypatch.chdir(tmp_path)
    output_of(COMMAND + "run scenarios/tocilizumab_timing.yaml")
    return tmp_path


def test_commands_run(small: Path) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) >= 5
    for line in lines:
        assert output_of(line), line


def test_python_runs(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """pandas, DuckDB and the package itself, each block by itself as a reader would paste it."""
    found = blocks("python")
    assert {"pandas", "duckdb", "cartsim"} <= set(
        re.findall(r"^import (\w+)", "\n".join(found), re.MULTILINE)
    )
    for block in found:
        exec(compile(block, "README.md", "exec"), {})
        assert capsys.readouterr().out.strip(), block


def test_data_dictionary_queries_run(small: Path) -> None:
    """The SQL and the pandas lines of results/README.md, on a real run."""
    import duckdb
    import pandas as pd

    text = (ROOT / "results" / "README.md").read_text("utf-8").replace("RUN", "tocilizumab_timing")
    (sql,) = re.findall(r"^    (SELECT.*?;)$", text, re.DOTALL | re.MULTILINE)
    assert len(duckdb.sql(sql).fetchall()) == 3
    paths = re.findall(r'read_parquet\("(.*?)"\)', text)
    assert paths and all(len(pd.read_parquet(path)) for path in paths)


def shown(block: str) -> tuple[str, list[str]]:
    """(command, the lines that are shown of its output); `...` stands for what is left out."""
    first, *lines = block.splitlines()
    assert first.startswith("$ "), first
    return first.removeprefix("$ "), lines


def is_shown_by(line: str, actual: str) -> bool:
    """`text ...` shows the beginning of a line."""
    if line.endswith("..."):
        return actual.startswith(line.removesuffix("...").rstrip())
    return actual == line


def missing(lines: list[str], output: list[str]) -> list[str]:
    """Shown lines that the output does not have in this order."""
    rest: Iterator[str] = iter(output)
    lost = []
    for line in lines:
        if line.strip() in ("", "..."):
            continue
        passed = list(rest)
        place = next((k for k, actual in enumerate(passed) if is_shown_by(line, actual)), None)
        if place is None:
            lost.append(line)
        rest = iter(passed if place is None else passed[place + 1 :])
    return lost


def test_shown_output_is_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line shown under a command comes out of it, in this order, with all subjects and to the last digit."""
    copy_scenarios(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    found = blocks("console")
    assert len(found) >= 3
    for block in found:
        command, lines = shown(block)
        output = output_of(command)
        assert sum(1 for line in lines if line.strip() not in ("", "...")) > 0
        lost = missing(lines, output)
        assert not lost, "\n".join(
            [f"{command} does not print (python {__file__} writes anew what it prints):", *lost]
        )


def test_missing_finds_what_is_wrong() -> None:
    assert missing(["a", "...", "c ..."], ["a", "b", "c and d"]) == []
    assert missing(["b", "a"], ["a", "b"]) == ["a"]
    assert missing(["a 1"], ["a 2"]) == ["a 1"]


def test_targets_and_files_exist() -> None:
    """Every `make` target and every file that the documents name."""
    known = set(re.findall(r"^(\w+):.*##", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for name in ("README.md", "scenarios/README.md", "docs/model.md", "docs/glossary.md"):
        text = (ROOT / name).read_text("utf-8")
        assert set(re.findall(r"^ +make (\w+)|`make (\w+)`", text, re.MULTILINE)) <= {
            pair for target in known for pair in ((target, ""), ("", target))
        }, name
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (ROOT / name).parent.joinpath(link).exists(), f"{name}: {link}"
    rooms = re.findall(r"^\| (`.*?) \|", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    for room in re.findall(r"`([^`]+)`", " ".join(rooms)):
        assert (ROOT / "src" / "cartsim" / room).exists(), room
    named = (ROOT / "scenarios" / "README.md").read_text("utf-8")
    assert all(f"scenarios/{file.name}`" in named for file in (ROOT / "scenarios").glob("*.yaml"))


def write_anew(text: str) -> str:
    """README with each shown line replaced by the line of the real output that begins with its first words."""
    for block in blocks("console"):
        command, lines = shown(block)
        output = output_of(command)
        place, fresh = 0, []
        for line in lines:
            words = re.split(r"\s{2,}|[:;] ", line.strip())[0]
            if line.strip() in ("", "...") or line.endswith("..."):
                fresh.append(line)
                continue
            start = "─" if words.startswith("─") else words
            at = next(k for k in range(place, len(output)) if output[k].strip().startswith(start))
            fresh.append(output[at])
            place = at + 1
        text = text.replace(block, "\n".join([f"$ {command}", *fresh, ""]))
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    with tempfile.TemporaryDirectory() as scratch:
        copy_scenarios(Path(scratch))
        os.chdir(scratch)
        os.environ["COLUMNS"] = "120"
        readme.write_text(write_anew(readme.read_text("utf-8")), "utf-8")
        os.chdir(ROOT)
