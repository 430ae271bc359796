"""Why: a cohort comes as CSV from a hospital or as Parquet from a colleague. Both become the same columns here, and
what keeps a file from being a table is said with the line it stands on, however many lines there are.
"""

import csv
import io
from pathlib import Path

import pyarrow as pa

from cartsim.errors import InvalidInput, Problem
from cartsim.scenario.patient_columns import NUMBERS, Columns, head_problems, read_columns

#: Problems told at once.
_TOLD = 12
_WRONG = "the cohort file is not valid"


def parse_patients(raw: bytes, file: str) -> Columns:
    """Columns of the bytes of a `.csv` or `.parquet` file. Raises `InvalidInput` with line (or row) and column."""
    text = None if file.endswith(".parquet") else _text(raw, file)
    table, unread = _parquet(raw, file) if text is None else _csv(text, raw, file)
    if not table.num_rows:
        mend = "one row a patient below the names of the columns"
        raise InvalidInput(_WRONG, problems=[Problem(file, None, "", "the cohort has no patient", mend)])
    found = read_columns(table, file, _Lines(text).of)
    if found.problems:
        raise InvalidInput(_WRONG, problems=found.problems[:_TOLD])
    found.unread = unread
    return found


def line_of(path: Path, row: int) -> int | None:
    """Line of a row of a CSV file that could be read, from 0; None for Parquet, which has no lines."""
    return _Lines(None if path.suffix == ".parquet" else _text(path.read_bytes(), str(path))).of(row)


class _Lines:
    """Where the rows of a text stand, found out when something is wrong with one."""

    def __init__(self, text: str | None) -> None:
        self.text = text
        self.found: list[int] = []

    def of(self, row: int) -> int | None:
        """Line of a row, blank lines and line breaks in quotes counted."""
        if self.text is None:
            return None
        if not self.found:
            reader = csv.reader(io.StringIO(self.text, newline=""), strict=True)
            last = 0
            for cells in reader:
                if cells:
                    self.found.append(last + 1)
                last = reader.line_num
        return self.found[row + 1]


def _text(raw: bytes, file: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        problem = Problem(file, line, "", f"byte {error.start} is not UTF-8", "save the file as UTF-8 text")
        raise InvalidInput("the cohort file is not a table", problems=[problem]) from None


def _head(text: str, file: str) -> list[str]:
    try:
        cells = next(csv.reader(io.StringIO(text, newline=""), strict=True), [])
    except csv.Error as error:
        raise InvalidInput(_WRONG, problems=[Problem(file, 1, "", str(error))]) from None
    names = [cell.strip() for cell in cells]
    for mark, called in ((";", "semicolons"), ("\t", "tabs")):
        if len(names) == 1 and mark in names[0]:
            what = f"the columns are separated by {called}"
            raise InvalidInput(
                _WRONG, problems=[Problem(file, 1, "", what, "commas, and points in decimals")]
            )
    if not any(names):
        what, mend = "the first line must name the columns", "id,age_years,weight_kg,sex,..."
        raise InvalidInput(_WRONG, problems=[Problem(file, 1, "", what, mend)])
    return names


def _csv(text: str, raw: bytes, file: str) -> tuple[pa.Table, tuple[str, ...]]:
    from pyarrow import csv as arrow_csv

    names = _head(text, file)
    problems, unread = head_problems(names, file, 1)
    if problems:
        raise InvalidInput(_WRONG, problems=problems)
    kept = [name for name in names if name not in unread]
    try:
        table = arrow_csv.read_csv(
            io.BytesIO(raw),
            arrow_csv.ReadOptions(column_names=names, skip_rows=1),
            arrow_csv.ParseOptions(newlines_in_values=True),
            arrow_csv.ConvertOptions(
                column_types={name: pa.float64() if name in NUMBERS else pa.string() for name in kept},
                include_columns=kept,
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            return pa.table({name: pa.array([], pa.string()) for name in kept}), unread
        raise InvalidInput(_WRONG, problems=_broken(text, names, file) or [_plain(file, error)]) from None
    return table, unread


def _plain(file: str, error: Exception) -> Problem:
    return Problem(file, None, "", " ".join(str(error).split()))


def _broken(text: str, names: list[str], file: str) -> list[Problem]:
    """Why a CSV file could not be read: lines with too few or too many cells, and cells that are no numbers."""
    problems: list[Problem] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        next(reader)
        for cells in reader:
            line = reader.line_num
            if cells and len(cells) != len(names):
                what = f"{len(cells)} cells, and the first line names {len(names)} columns"
                problems.append(Problem(file, line, "", what, "quote a cell that has a comma in it"))
            elif cells:
                problems += [
                    Problem(
                        file, line, name, f"got {cell!r}; a number is needed", "leave it empty if unknown"
                    )
                    for name, cell in zip(names, cells, strict=True)
                    if name in NUMBERS and not _is_number(cell)
                ]
            if len(problems) >= _TOLD:
                break
    except csv.Error as error:
        problems.append(Problem(file, reader.line_num, "", str(error), "close every quote"))
    return problems[:_TOLD]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.strip() in _NULLS
    return "_" not in cell


#: How pyarrow and most statistics programs write a missing number.
_NULLS = frozenset({"", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "#N/A", "#NA"})


def _parquet(raw: bytes, file: str) -> tuple[pa.Table, tuple[str, ...]]:
    import pyarrow.parquet as pq

    try:
        source = pq.ParquetFile(io.BytesIO(raw))
        names = source.schema_arrow.names
        problems, unread = head_problems(names, file, None)
        table = None if problems else source.read(columns=[name for name in names if name not in unread])
    except (pa.ArrowException, OSError) as error:
        what = f"not a Parquet file: {' '.join(str(error).split())}"
        raise InvalidInput(
            "the cohort file is not a table", problems=[Problem(file, None, "", what)]
        ) from None
    if table is None:
        raise InvalidInput(_WRONG, problems=problems)
    return table, unread
