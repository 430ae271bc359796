"""Why: a model may only be fitted to, and judged by, figures whose patients, denominator, scale and definition are
known. The published figures stand in one file with their citations; which of them may be fitted and which only
predicted was settled before the first fit, and the hash of that split says so for ever.
"""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cartsim.errors import InvalidInput, Problem
from cartsim.evidence.target_rows import COLUMNS, Row, check_row, crs_scales, read_numbers

PUBLISHED = Path(__file__).parent / "targets" / "published.csv"
#: Rows of these uses are simulated; the others stand for context, or say why a figure must not be used.
ACTIVE = ("fit", "predict_same", "predict_new", "recalled")
_MAX_BYTES = 5_000_000


@dataclass(frozen=True)
class Target:
    """One published figure. `denominator` is that of the figure, `n` the cohort's; proportions are shares, times days.

    `line` of `file` is where it stands; `id` is `cohort_id/endpoint/statistic`, with the scale where that is not
    enough, and `/recalled` beside a verified row of the same name.
    """

    cohort_id: str
    patient_set: str
    use: str
    trial: str
    product: str
    indication: str
    n: int | None
    denominator: int | None
    grading_crs: str
    grading_icans: str
    policy: str
    endpoint: str
    statistic: str
    value: float | None
    low: float | None
    high: float | None
    unit: str
    citation: str
    doi: str
    verified: bool
    source_note: str
    line: int
    file: str
    id: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", f"{self.cohort_id}/{self.endpoint}/{self.statistic}")


@dataclass(frozen=True)
class TargetSet:
    """Targets in the order of their file; `sha256` of the file's bytes, `split_sha256` of the lines `id,use`."""

    rows: tuple[Target, ...]
    sha256: str
    split_sha256: str
    source: str

    def where(
        self, use: str | Sequence[str] | None = None, cohort: str | Sequence[str] | None = None
    ) -> tuple[Target, ...]:
        """Rows of a use (or several) and a cohort (or several)."""
        uses, cohorts = _words(use), _words(cohort)
        return tuple(
            row
            for row in self.rows
            if (uses is None or row.use in uses) and (cohorts is None or row.cohort_id in cohorts)
        )

    @property
    def cohorts(self) -> tuple[str, ...]:
        """Cohorts with a row that is simulated, in the order of the file."""
        return tuple(dict.fromkeys(row.cohort_id for row in self.rows if row.use in ACTIVE))


def load_targets(path: str | Path | None = None) -> TargetSet:
    """The targets of a file, or the package's own. Raises `InvalidInput` with every fault: file:line, what, why.

    A user's file has the same columns; docs/targets.md says what they mean.
    """
    place = PUBLISHED if path is None else Path(path)
    name = place.name if path is None else str(path)
    raw, text = _read(place, name)
    rows: list[Target] = []
    problems: list[Problem] = []
    for line, row in _rows(text, name):
        numbers, faults = read_numbers(row)
        faults += check_row(row, numbers)
        problems += [
            Problem(name, line, "/".join(filter(None, (row["cohort_id"], row["endpoint"]))), what, mend)
            for what, mend in faults
        ]
        if not faults:
            rows.append(_target(row, numbers, line, name))
    problems += _repeated(rows)
    if problems:
        problems.sort(key=lambda problem: problem.line or 0)
        many = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
        raise InvalidInput(f"target file is not valid ({many})", problems=problems)
    if not rows:
        raise InvalidInput(
            "the target file has no rows", where=name, mend="a figure a row, as docs/targets.md says"
        )
    named = _named(rows)
    split = "\n".join(sorted(f"{row.id},{row.use}" for row in named))
    return TargetSet(
        tuple(named), hashlib.sha256(raw).hexdigest(), hashlib.sha256(split.encode()).hexdigest(), name
    )


def _words(given: str | Sequence[str] | None) -> frozenset[str] | None:
    if given is None:
        return None
    return frozenset([given] if isinstance(given, str) else given)


def _read(place: Path, name: str) -> tuple[bytes, str]:
    try:
        if place.is_file() and place.stat().st_size > _MAX_BYTES:
            raise InvalidInput(f"the target file is larger than {_MAX_BYTES // 1_000_000} MB", where=name)
        raw = place.read_bytes()
    except FileNotFoundError:
        raise InvalidInput("the target file does not exist", where=name) from None
    except OSError as error:
        raise InvalidInput("the target file cannot be read", where=name, why=error.strerror) from None
    try:
        return raw, raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        problem = Problem(name, line, "", f"byte {error.start} is not UTF-8", "save the file as CSV in UTF-8")
        raise InvalidInput("the target file is not UTF-8 text", problems=[problem]) from None


def _rows(text: str, name: str) -> Iterator[tuple[int, Row]]:
    """(line, cells by column) of every row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    start = 1
    try:
        for cells in reader:
            line, start = start, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                _check_header(header, line, name)
                continue
            if len(cells) != len(header):
                what = f"{len(cells)} cells in the row, {len(header)} columns in the header"
                problem = Problem(name, line, "", what, "put a cell that holds a comma in double quotes")
                raise InvalidInput("the target file is not a CSV table", problems=[problem])
            yield line, dict(zip(header, (cell.strip() for cell in cells), strict=True))
    except csv.Error as error:
        problem = Problem(name, start, "", str(error), "save the file as comma-separated CSV")
        raise InvalidInput("the target file is not a CSV table", problems=[problem]) from None
    if header is None:
        raise InvalidInput("the target file is empty", where=name, mend="a header line and a figure a row")


def _check_header(header: list[str], line: int, name: str) -> None:
    missing = [column for column in COLUMNS if column not in header]
    twice = [column for column, count in Counter(header).items() if count > 1]
    problems = [
        Problem(name, line, column, f"the column `{column}` is missing", "docs/targets.md lists the columns")
        for column in missing
    ] + [Problem(name, line, column, f"the column `{column}` stands twice", "keep one") for column in twice]
    if problems:
        raise InvalidInput("target file is not valid", problems=problems)


def _target(row: Row, numbers: dict[str, float | None], line: int, name: str) -> Target:
    def whole(key: str) -> int | None:
        value = numbers[key]
        return None if value is None else int(value)

    return Target(
        **{key: row[key] for key in ("cohort_id", "patient_set", "use", "trial", "product", "indication")},
        n=whole("n"),
        denominator=whole("n_denominator"),
        **{key: row[key] for key in ("grading_crs", "grading_icans", "policy", "endpoint", "statistic")},
        value=numbers["value"],
        low=numbers["low"],
        high=numbers["high"],
        **{key: row[key] for key in ("unit", "citation", "doi")},
        verified=row["verified"] == "yes",
        source_note=row["source_note"],
        line=line,
        file=name,
    )


def _figure(row: Target) -> tuple[str, ...]:
    return row.cohort_id, row.endpoint, row.statistic, row.grading_crs, row.grading_icans


def _repeated(rows: Sequence[Target]) -> list[Problem]:
    """A figure may be stated twice only as one recalled row beside one that is not."""
    first: dict[tuple[object, ...], Target] = {}
    problems = []
    for row in rows:
        key = (*_figure(row), row.use == "recalled")
        if key in first:
            what = f"repeats the figure of line {first[key].line}"
            problems.append(Problem(row.file, row.line, row.id, what, "keep one of the two"))
        first.setdefault(key, row)
    return problems


def _named(rows: Sequence[Target]) -> list[Target]:
    """Rows with ids that nobody shares."""
    named = _told_apart(rows, lambda row: "+".join(crs_scales(row.grading_crs)))
    named = _told_apart(named, lambda row: row.grading_icans)
    return _told_apart(named, lambda row: "recalled" if row.use == "recalled" else "")


def _told_apart(rows: Sequence[Target], tell: Callable[[Target], str]) -> list[Target]:
    count = Counter(row.id for row in rows)
    differ = {id_ for id_ in count if len({tell(row) for row in rows if row.id == id_}) > 1}
    return [
        replace(row, id=f"{row.id}/{tell(row)}") if row.id in differ and tell(row) else row for row in rows
    ]
