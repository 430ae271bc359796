"""Why: a list of points often comes from a spreadsheet or from another program. Its columns are paths, its rows points,
and whatever is wrong in it is told with the line it stands on.
"""

import csv
from pathlib import Path
from typing import Any

from cartsim.errors import InvalidInput, Problem
from cartsim.scenario.sweep_checks import PathChecker, repeated_rows
from cartsim.scenario.text_files import read_file
from cartsim.yaml_text import read_scalar

_SUFFIXES = (".csv", ".parquet")
#: What a cell begins with when it is YAML of its own and not a plain word or number.
_FLOW = ("[", "{", '"', "'")


def read_rows(name: str, scenario_file: str | None, checker: PathChecker) -> list[dict[str, Any]]:
    """Rows of a `.csv` (comma, one head line) or `.parquet` file beside the scenario: one map of path to value a point.

    An empty cell leaves the path as the scenario has it. Raises `InvalidInput` with file, line and path.
    """
    folder = Path(scenario_file).parent if scenario_file is not None else Path()
    path = folder / name
    if path.suffix not in _SUFFIXES:
        raise InvalidInput(
            "sweep.file names no table", where=str(path), mend="a file that ends in .csv or .parquet"
        )
    rows, lines = _read_csv(path) if path.suffix == ".csv" else _read_parquet(path)
    problems = _path_problems(checker, str(path), rows, 1 if path.suffix == ".csv" else None)
    for first, later in repeated_rows(rows):
        earlier = f"on line {lines[first]}" if lines[first] is not None else f"in row {first}"
        where = "" if lines[later] is not None else f"row {later}"
        what = f"the same settings as {earlier}"
        problems.append(Problem(str(path), lines[later], where, what, "leave one of the two out"))
    if problems:
        raise InvalidInput("the file of design points is not valid", problems=problems)
    return rows


def _path_problems(
    checker: PathChecker, file: str, rows: list[dict[str, Any]], line: int | None
) -> list[Problem]:
    paths = list(dict.fromkeys(path for row in rows for path in row))
    return [Problem(file, line, path, what, mend) for path, what, mend in checker.problems(paths)]


def _read_csv(path: Path) -> tuple[list[dict[str, Any]], list[int | None]]:
    reader = csv.reader(read_file(path).splitlines(), strict=True)
    rows: list[dict[str, Any]] = []
    lines: list[int | None] = []
    problems: list[Problem] = []
    try:
        head = [cell.strip() for cell in next(reader, [])]
        problems += _head_problems(str(path), head)
        for cells in reader:
            line = reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(head):
                what = f"{len(cells)} cells, and the head has {len(head)}"
                problems.append(Problem(str(path), line, "", what, "quote a cell that has a comma in it"))
                continue
            rows.append({})
            lines.append(line)
            for name, cell in zip(head, cells, strict=True):
                if cell.strip():
                    rows[-1][name] = _value(str(path), line, name, cell.strip(), problems)
    except csv.Error as error:
        problems.append(Problem(str(path), reader.line_num, "", str(error)))
    if not rows and not problems:
        problems.append(Problem(str(path), 1, "", "there is no row below the head", "one row a design point"))
    if problems:
        raise InvalidInput("the file of design points is not valid", problems=problems)
    return rows, lines


def _head_problems(file: str, head: list[str]) -> list[Problem]:
    if not any(head):
        return [
            Problem(
                file, 1, "", "the first line must name the paths", "model.overrides.tocilizumab.effect,..."
            )
        ]
    problems = []
    for place, name in enumerate(head):
        if not name:
            problems.append(Problem(file, 1, "", f"column {place + 1} has no name", "the path that it sets"))
        elif name in head[:place]:
            problems.append(Problem(file, 1, name, "the column is repeated", "name it once"))
    return problems


def _value(file: str, line: int | None, name: str, cell: str, problems: list[Problem]) -> Any:
    """A cell as the scenario file would read it; one that begins like `>=2` is text."""
    if not cell.startswith(_FLOW) and not cell[:1].isalnum() and cell[:1] not in ("-", "+", ".", "~"):
        return cell
    try:
        return read_scalar(cell)
    except InvalidInput as error:
        problems += [Problem(file, line, name, one.what, one.mend) for one in error.problems]
        return None


def _read_parquet(path: Path) -> tuple[list[dict[str, Any]], list[int | None]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise InvalidInput("the file of design points does not exist", where=str(path)) from None
    except (OSError, pa.ArrowInvalid) as error:
        raise InvalidInput(
            "the file of design points cannot be read", where=str(path), why=str(error)
        ) from None
    rows = [
        {name: value for name, value in row.items() if value is not None}
        for row in table.drop_columns([n for n in _NOT_PATHS if n in table.column_names]).to_pylist()
    ]
    if not rows:
        raise InvalidInput("the file of design points has no row", where=str(path))
    problems: list[Problem] = []
    for row in rows:
        for name, value in row.items():
            if isinstance(value, str):
                row[name] = _value(str(path), None, name, value, problems)
            elif isinstance(value, float) and value.is_integer():
                row[name] = int(value)  # a whole number may be wanted, and any number may be whole
    if problems:
        raise InvalidInput("the file of design points is not valid", problems=problems)
    return rows, [None] * len(rows)


#: Columns of a run's design.parquet that say which point it is; such a file can be run again as it is.
_NOT_PATHS = ("design_id", "point_id", "role")
