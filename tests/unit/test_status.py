"""Who comes back to a run reads how far it is, what went wrong and what to type, and typing it finishes the run."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cartsim.cli import main
from cartsim.commands.status import SHOWN, examine, print_state
from cartsim.errors import Incomplete, Unreachable
from cartsim.store.manifest import read_manifest, rewrite
from cartsim.store.place import Place
from cartsim.study import run
from cartsim.sweep import session

CONDITION = "contrast.crs_ge3.none-asco.halfwidth <= 0.03"


@pytest.fixture
def file(probe: Callable[..., dict[str, Any]], tmp_path: Path) -> Path:
    """A scenario in a file: 400 subjects, which 100 a block make four of."""
    path = tmp_path / "probe.json"
    path.write_text(json.dumps(probe(400, outputs={"tables": ["adsl"]})) + "\n")
    return path


def told(capsys: pytest.CaptureFixture[str], out: Path, code: int) -> tuple[dict[str, Any], str]:
    """What `cartsim status` says, as data and in words; both have the same exit code."""
    assert main(["status", str(out), "--json"]) == code
    state = json.loads(capsys.readouterr().out)
    assert main(["status", str(out)]) == code
    return state, capsys.readouterr().out


def type_it(state: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Type the command that the state names."""
    words = shlex.split(state["go_on"])
    assert words[:2] == ["cartsim", "run"]
    assert main([*words[1:], "--quiet"]) == 0
    capsys.readouterr()


def test_a_partial_run(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    run(file, out, block=100, shard="0/4")
    state, text = told(capsys, out, 5)
    assert state["status"] == "partial"
    assert (state["blocks"], state["done"], state["missing"]) == (4, 1, 3)
    assert (state["subjects_done"], state["subjects"], state["design_points"]) == (100, 400, 1)
    assert state["failed"] == [] and state["damaged"] == {} and state["changed_since"] == []
    assert "1 of 4 done, 3 to do" in text and "100 of 400 (25 %)" in text and state["go_on"] in text
    assert "--retry" not in text and "1 design point\n" in text
    type_it(state, capsys)
    assert told(capsys, out, 0)[0]["done"] == 4


def test_a_failed_run(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, real = tmp_path / "run", session.run_block

    def unlucky(points: Any, block: Any) -> Any:
        if block.number == 2:
            raise ArithmeticError("planted")
        return real(points, block)

    with monkeypatch.context() as patch:
        patch.setattr(session, "run_block", unlucky)
        with pytest.raises(Incomplete):
            run(file, out, block=100)
    state, text = told(capsys, out, 5)
    assert (state["done"], state["missing"], len(state["failed"])) == (3, 0, 1)
    [failure] = state["failed"]
    assert failure["block"] == 2 and failure["seed"] == 20261122 and failure["cells"] == [[0, 0, 200, 100]]
    assert failure["error"] == "ArithmeticError: planted" and "unlucky" in failure["traceback"]
    assert "failed: block 2, seed 20261122: ArithmeticError: planted" in text and "Traceback" not in text
    assert "--retry" in state["go_on"]
    type_it(state, capsys)
    assert told(capsys, out, 0)[0]["failed"] == []


@pytest.mark.parametrize("finished", [False, True])
def test_a_damaged_run(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], finished: bool
) -> None:
    """A short file and a torn marker are named; a run that was complete is not called so any more."""
    out = tmp_path / "run"
    run(file, out, block=100, shard=None if finished else "1/2")
    markers = sorted((out / "blocks").iterdir())
    part = next(path for path in (out / "adsl").iterdir() if path.stem.endswith(markers[0].stem))
    part.write_bytes(b"short")
    markers[1].write_text("{")
    state, text = told(capsys, out, 5)
    assert state["status"] == "partial" and len(state["damaged"]) == 2
    number = int(markers[0].stem.split("-")[0])
    assert "instead of" in state["damaged"][f"block {number}"]
    assert "torn" in state["damaged"][f"blocks/{markers[1].name}"]
    assert "2 damaged" in text and text.count("damaged: ") == 2 and "--retry" in text
    type_it(state, capsys)
    assert told(capsys, out, 0)[0]["damaged"] == {}


def test_a_complete_run_and_a_compacted_one(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    run(file, out, block=100)
    state, text = told(capsys, out, 0)
    assert state["status"] == "complete" and state["go_on"] is None
    assert (state["done"], state["missing"], state["subjects_done"]) == (4, 0, 400)
    assert "complete" in text and "go on" not in text and "(100 %)" in text
    assert main(["compact", str(out), "--json"]) == 0
    folded = json.loads(capsys.readouterr().out)
    assert folded["files_after"] < folded["files_before"]
    state, text = told(capsys, out, 0)
    assert state["status"] == "complete" and state["compacted"] and state["rows"] > 800
    assert "compacted" in text and "final" in text


def test_a_run_that_stops_at_a_precision(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted before its first look, it still says what it was after, and going on stops where it would have."""
    out = tmp_path / "run"
    options: dict[str, Any] = {"until": [CONDITION], "floor": 300, "ceiling": 3_000}

    def stop(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(session, "run_block", stop)
        with pytest.raises(KeyboardInterrupt):
            run(file, out, block=100, workers=1, **options)
    state, text = told(capsys, out, 5)
    assert CONDITION in text and "stopped: not yet" in text
    assert "--until" in state["go_on"] and "--floor 300 --ceiling 3000" in state["go_on"]
    type_it(state, capsys)
    found = told(capsys, out, 0)[0]["until"]
    whole = run(file, tmp_path / "whole", **options).manifest["until"]
    assert found["looks"] == whole["looks"] and found["reason"] == whole["reason"] and found["reached"]
    assert found["reason"] in told(capsys, out, 0)[1]
    # asked for without the condition it is a run of as many subjects as the scenario says, if those are more
    again = run(json.loads(file.read_text()) | {"population": {"subjects": 400}}, out)
    assert again.manifest["until"]["subjects"] == found["subjects"] >= 400


def test_a_run_of_another_engine_cannot_be_gone_on_with(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Place.of(tmp_path / "run")
    run(file, place, block=100, shard="0/2")
    rewrite(place, read_manifest(place, partial=True) | {"version": "0.0.9"})
    state, text = told(capsys, tmp_path / "run", 5)
    assert any("0.0.9" in difference for difference in state["changed_since"])
    assert "cannot be gone on with" in text and "go on with:" not in text


def test_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(tmp_path / "nowhere")]) == 6
    assert "manifest" in capsys.readouterr().err
    with pytest.raises(Unreachable):
        examine(Place.of(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_long_lists_are_cut_on_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    failure = {"seed": 1, "cells": [], "error": "E: x", "traceback": ""}
    state = {
        "run": "r", "status": "partial", "title": "t", "blocks": 100, "done": 50, "missing": 0,
        "failed": [failure | {"block": k} for k in range(SHOWN + 3)],
        "damaged": {f"block {k}": "gone" for k in range(5)}, "design_points": 2, "subjects_done": 1, "subjects": 2,
        "until": None, "changed_since": [], "go_on": "cartsim run",
    }  # fmt: skip
    print_state(state)
    text = capsys.readouterr().out
    assert text.count("  failed: ") == SHOWN and "and 3 more" in text
    assert text.count("  damaged: ") == 5 and "2 design points" in text
