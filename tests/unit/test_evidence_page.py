"""docs/evidence.md is what the command makes, holds every number once, and hides no doubt."""

from pathlib import Path

import pytest

from cartsim.claims.claim_list import load_claims
from cartsim.cli import main
from cartsim.commands.evidence_page import COMMAND, cells, evidence_page
from cartsim.evidence.entries import NumberEntry
from cartsim.evidence.registry import load_registry


def test_the_page_is_up_to_date(repository: Path) -> None:
    stored = (repository / "docs" / "evidence.md").read_text("utf-8")
    assert stored == evidence_page(), f"run: {COMMAND}"


def test_every_number_and_claim_has_one_row() -> None:
    page = evidence_page()
    for key in load_registry():
        assert page.count(f"\n| `{key}` |") == 1, key
    for claim in load_claims()[0]:
        assert page.count(f"\n| {claim.statement} |") == 1


def test_rows_have_the_columns_of_their_header() -> None:
    tables = [block.splitlines() for block in evidence_page().split("\n\n") if block.startswith("| ")]
    assert len(tables) > 10
    for header, *rows in tables:
        columns = header.count("|")
        assert [row for row in rows if row.replace(r"\|", "").count("|") != columns] == []


def test_sizes_of_claims_have_their_unit() -> None:
    page = evidence_page()
    for text in (
        "| 0.4 to 0.5 | unsupported |",
        "| 70 to 80 % | contested |",
        "| 2 to 3 d |",
        "| at least 50 |",
    ):
        assert text in page
    assert "| 2 % | contested (derived) | 1 of 47, 2.13 % (0.054 to 11.3) |" in page
    assert "| no size | unsupported |" in page


def entry(**changes: object) -> NumberEntry:
    block = {"value": 0.5, "unit": "share", "status": "assumed", "meaning": "a share", "reason": "guess"}
    return NumberEntry.model_validate(block | {"range": (0.2, 0.8)} | changes)


def test_a_transcription_has_its_question_mark() -> None:
    assert cells("a.b", entry(verified=False))[4] == "assumed?"
    assert cells("a.b", entry())[3:5] == ("0.2 to 0.8", "assumed")


def test_a_calibrated_number_names_its_command_and_draws() -> None:
    fitted = entry(status="calibrated", targets="published outcomes, sha256 abc", command="cartsim calibrate")
    _, value, unit, spread, status, _, ground = cells("a.b", fitted)
    assert (value, unit, spread, status) == ("0.5", "share", "{0.2 to 0.8}", "calibrated")
    assert ground == "fitted by `cartsim calibrate`; published outcomes, sha256 abc"


def test_a_list_keeps_its_ranges() -> None:
    listed = entry(value=[0.1, 0.2], range=([0.0, 0.1], [0.2, 0.3]))
    assert cells("a.b", listed)[1:4] == ("0.1, 0.2", "share", "0, 0.1 to 0.2, 0.3")


def test_the_command_writes_the_file_and_takes_no_filter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "page.md"
    assert main(["evidence", "--markdown", str(path)]) == 0
    assert path.read_text("utf-8") == evidence_page()
    assert main(["evidence", "tocilizumab", "--markdown", str(path)]) == 3
    assert main(["evidence", "--markdown", str(tmp_path / "none" / "page.md")]) == 6
    assert "cannot be written" in capsys.readouterr().err
