"""Why: every failure a user can cause or meet is reported the same way (what, where, why, what to do),
and every kind has its own exit code, so that scripts can tell a wrong scenario from a full disk."""

from collections.abc import Iterable
from dataclasses import dataclass

#: What a value of the wrong type should have been, in words, by pydantic's name of the fault.
TYPES_NEEDED = {
    "int_type": "a whole number is needed",
    "int_from_float": "a whole number is needed",
    "float_type": "a number is needed",
    "string_type": "text is needed",
    "bool_type": "true or false is needed",
    "list_type": "a list is needed",
    "dict_type": "a map (`key: value`) is needed",
    "model_type": "a map (`key: value`) is needed",
    "model_attributes_type": "a map (`key: value`) is needed",
}


@dataclass(frozen=True)
class Problem:
    """One fault in an input file; `path` is the dotted key path, `line` counts from 1."""

    file: str | None
    line: int | None
    path: str
    what: str
    mend: str | None = None

    @property
    def where(self) -> str | None:
        """`file:line key.path`, leaving out what is not known."""
        place = self.file or ""
        if self.line is not None:
            place = f"{place}:{self.line}" if place else f"line {self.line}"
        return " ".join(part for part in (place, self.path) if part) or None


class CartsimError(Exception):
    """Root of the family; raised as such only for faults of cartsim itself (exit code 1)."""

    exit_code = 1

    def __init__(
        self, what: str, where: str | None = None, why: str | None = None, mend: str | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.mend = mend

    def __str__(self) -> str:
        lines = [f"error: {self.what}"]
        if self.where:
            lines.append(f"  {self.where}")
        if self.why:
            lines.append(f"    {self.why}")
        if self.mend:
            lines.append(f"    try: {self.mend}")
        return "\n".join(lines)


class InvalidInput(CartsimError):
    """A scenario, policy or evidence file breaks its rules; all `problems` are shown at once."""

    exit_code = 3

    def __init__(
        self,
        what: str,
        where: str | None = None,
        why: str | None = None,
        mend: str | None = None,
        problems: Iterable[Problem] = (),
    ) -> None:
        super().__init__(what, where, why, mend)
        self.problems = list(problems)

    def __str__(self) -> str:
        lines = [super().__str__()]
        for problem in self.problems:
            if problem.where:
                lines.append(f"  {problem.where}")
            lines.append(f"    {problem.what}")
            if problem.mend:
                lines.append(f"    try: {problem.mend}")
        return "\n".join(lines)


class OutputBroken(CartsimError):
    """An output folder does not verify, or writing into it went wrong half way."""

    exit_code = 4


class Incomplete(CartsimError):
    """Some cells of a run failed, or a comparison is not balanced."""

    exit_code = 5


class Unreachable(CartsimError):
    """A missing optional part, or storage that cannot be written."""

    exit_code = 6


class Mismatch(CartsimError):
    """Two results that should agree do not."""

    exit_code = 7
