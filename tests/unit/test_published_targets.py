"""The published figures and their split stay as they were frozen, and a target file that could mislead a fit is
refused, each fault with its line, what is wrong and what to write."""

import csv
import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from cartsim.errors import InvalidInput
from cartsim.evidence.target_rows import DATA, endpoint_kinds, endpoint_words
from cartsim.evidence.targets import ACTIVE, PUBLISHED, TargetSet, load_targets

#: Frozen before the first fit. A row may not move between uses, and no figure may change, without a new split.
SHA256 = "2b20e277bdafd26c4f1a6d706a0384945e8419793b7784e715a9d5c4bdd6ac8a"
SPLIT_SHA256 = "a118849a7a5689d95b39014e56f05ca6d29a6d150a454ee4723b590f3faccda9"

ROW = {
    "cohort_id": "mine",
    "patient_set": "mine",
    "use": "predict_new",
    "trial": "A series",
    "product": "axi-cel",
    "costim": "CD28",
    "indication": "LBCL",
    "n": "40",
    "n_denominator": "40",
    "grading_crs": "ASTCT 2019",
    "grading_icans": "ASTCT 2019",
    "policy": "ASCO",
    "endpoint": "crs_any",
    "statistic": "proportion",
    "value": "0.9",
    "low": "",
    "high": "",
    "unit": "fraction",
    "citation": "A paper 2024",
    "doi": "",
    "verified": "yes",
    "source_note": "",
}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A target file of rows that change the row above; its path."""

    def make(*changes: dict[str, str]) -> Path:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(ROW))
        writer.writeheader()
        writer.writerows(ROW | change for change in changes)
        path = tmp_path / "targets.csv"
        path.write_text(text.getvalue(), encoding="utf-8", newline="")
        return path

    return make


def refused(path: Path) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        load_targets(path)
    assert caught.value.exit_code == 3
    return caught.value


@pytest.fixture(scope="module")
def published() -> TargetSet:
    return load_targets()


def test_file_and_split_are_frozen(published: TargetSet) -> None:
    assert hashlib.sha256(PUBLISHED.read_bytes()).hexdigest() == SHA256
    assert (published.sha256, published.split_sha256) == (SHA256, SPLIT_SHA256)


def test_split_hash_is_that_of_sorted_ids_and_uses(published: TargetSet) -> None:
    lines = sorted(f"{row.id},{row.use}" for row in published.rows)
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == SPLIT_SHA256


def test_counts_by_use(published: TargetSet) -> None:
    uses = ("fit", "predict_same", "predict_new", "recalled", "context", "never")
    assert [len(published.where(use)) for use in uses] == [51, 51, 8, 97, 51, 98]
    assert len(published.rows) == 356
    assert len({row.cohort_id for row in published.rows}) == 31


def test_ids_name_one_row_each(published: TargetSet) -> None:
    assert len({row.id for row in published.rows}) == len(published.rows)
    assert "juliet_regrade/crs_any/proportion/lee2014" in {row.id for row in published.rows}
    assert "cartitude1/crs_onset/median/recalled" in {row.id for row in published.rows}


def test_every_row_knows_its_line(published: TargetSet) -> None:
    lines = PUBLISHED.read_text(encoding="utf-8").splitlines()
    for row in published.rows:
        assert lines[row.line - 1].startswith(f"{row.cohort_id},")
        assert row.endpoint in lines[row.line - 1]


def test_simulated_rows_are_weighed_by_a_denominator(published: TargetSet) -> None:
    assert all(row.denominator for row in published.where(ACTIVE))
    assert all(row.verified for row in published.where(("fit", "predict_same", "predict_new")))


def test_where_takes_one_or_several(published: TargetSet) -> None:
    assert {row.use for row in published.where(("fit", "recalled"), "karmma")} == {"fit", "recalled"}
    assert published.where(cohort="nobody") == ()


def test_every_endpoint_is_defined_once() -> None:
    text = (DATA / "endpoints.yaml").read_text(encoding="utf-8")
    for name, kind in endpoint_kinds().items():
        assert text.count(f" {name}:") + text.count(f"- {name}\n") == 1, name
        if kind != "aside":
            among, definition = endpoint_words(name)
            assert among and definition and "\n" not in definition


def test_a_file_of_ones_own(write: Write) -> None:
    own = load_targets(
        write({}, {"endpoint": "crs_onset", "statistic": "median", "value": "3", "unit": "day"})
    )
    assert [row.id for row in own.rows] == ["mine/crs_any/proportion", "mine/crs_onset/median"]
    assert own.rows[1].line == 3 and own.rows[1].value == 3.0 and own.rows[1].n == 40
    assert own.cohorts == ("mine",)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"endpoint": "crs_anyy"}, "unknown endpoint `crs_anyy`"),
        ({"value": "90"}, "value is 90; a proportion is between 0 and 1"),
        ({"value": "-0.1"}, "a proportion is between 0 and 1"),
        ({"n_denominator": ""}, "n_denominator is missing"),
        ({"n_denominator": "12.5"}, "a whole number of patients"),
        ({"value": ""}, "value is missing"),
        ({"value": "most"}, "value is 'most'; a number is needed"),
        ({"value": "nan"}, "a number is needed"),
        ({"low": "0.9", "high": "0.8"}, "low is 0.9 and high is 0.8"),
        ({"use": "fitted"}, "unknown use `fitted`"),
        ({"statistic": "share"}, "unknown statistic `share`"),
        ({"statistic": "range", "low": "0.1", "high": "0.2"}, "depends on how many patients"),
        ({"statistic": "median", "value": "0.5"}, "a median of `crs_any` cannot be a target"),
        ({"endpoint": "crs_onset", "statistic": "median", "unit": "hour"}, "unit is 'hour'"),
        ({"endpoint": "hlh_mas"}, "`hlh_mas` is not simulated"),
        ({"grading_crs": "Lee 2010"}, "unknown scale `Lee 2010` in grading_crs"),
        ({"grading_icans": "CTCAE", "endpoint": "icans_any"}, "`icans_any` cannot be read on 'CTCAE'"),
        ({"endpoint": "ne_any"}, "`ne_any` cannot be read on 'ASTCT 2019'"),
        ({"grading_crs": "", "endpoint": "crs_grade_ge3"}, "needs the scale it was graded on"),
        (
            {"endpoint": "regrade_lower_events", "statistic": "count", "value": "4", "unit": "event"},
            "two scales",
        ),
        ({"cohort_id": "juliet", "grading_icans": ""}, "juliet did not use the scale astct2019"),
        ({"verified": "perhaps"}, "verified is 'perhaps'"),
        ({"cohort_id": ""}, "cohort_id is empty"),
    ],
)
def test_faults_of_a_row_say_line_and_reason(write: Write, change: dict[str, str], what: str) -> None:
    error = refused(write({}, {"cohort_id": "other"} | change))
    assert [problem.line for problem in error.problems] == [3] * len(error.problems)
    assert any(what in problem.what for problem in error.problems), str(error)
    assert "targets.csv:3" in str(error)


def test_per_cent_is_told_as_a_share(write: Write) -> None:
    assert refused(write({"value": "93"})).problems[0].mend == "0.93, if 93 per cent is meant"


def test_all_faults_are_told_at_once(write: Write) -> None:
    error = refused(write({"value": "2"}, {"endpoint": "crs_anny", "n_denominator": ""}))
    assert [problem.line for problem in error.problems] == [2, 3, 3]
    assert error.problems[1].mend == "crs_any"


@pytest.mark.parametrize("use", ["context", "never"])
def test_rows_that_are_not_simulated_need_no_denominator(write: Write, use: str) -> None:
    assert load_targets(write({"use": use, "n_denominator": ""})).rows[0].denominator is None


def test_a_recalled_row_needs_a_denominator(write: Write) -> None:
    assert "n_denominator is missing" in str(refused(write({"use": "recalled", "n_denominator": ""})))


def test_a_figure_stands_once(write: Write) -> None:
    assert "repeats the figure of line 2" in str(refused(write({}, {"value": "0.8"})))
    both = load_targets(write({}, {"value": "0.8", "use": "recalled", "verified": "no"}))
    assert [row.id for row in both.rows] == ["mine/crs_any/proportion", "mine/crs_any/proportion/recalled"]


def test_a_missing_column_is_named(write: Write) -> None:
    path = write({})
    path.write_text(path.read_text("utf-8").replace("n_denominator", "denominator"), encoding="utf-8")
    error = refused(path)
    assert "the column `n_denominator` is missing" in str(error) and error.problems[0].line == 1


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the target file is empty"),
        (b"cohort_id,\xff\xfe\n", "not UTF-8"),
        (b"PAR1\x00\x01\x02", "not a CSV table|is missing"),
        (",".join(ROW).encode() + b"\n", "has no rows"),
        (",".join(ROW).encode() + b'\nmine,"open\n', "not a CSV table"),
        (",".join(ROW).encode() + b"\nmine,mine,fit\n", "3 cells in the row, 22 columns"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "targets.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=what):
        load_targets(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "does not exist" in str(refused(tmp_path / "none.csv"))
    assert "cannot be read" in str(refused(tmp_path))
