"""One result by name: `contrast.crs_ge3.early-standard` is a row of contrasts, `.halfwidth` behind it a number of it.

Stopping at a precision, sensitivity and search all ask for one number among hundreds of rows. They share these names,
so that what a run was stopped on is what its tables show, and a misspelt name gets the one that was meant.

    contrast.<endpoint>[<scale>, <view>, day <n>].<arm>-<reference>.<column>     outcome.<endpoint>[...].<arm>.<column>

Everything in brackets and the column may be left out: the scenario's own scale, the observed view, the horizon.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, NoReturn, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cartsim.analysis.endpoints import NOT_OFFERED, Endpoint, standard_endpoints
from cartsim.analysis.frame import whole_population
from cartsim.analysis.widths import Row
from cartsim.errors import InvalidInput

Floats: TypeAlias = NDArray[np.float64]
TableName = Literal["outcomes", "contrasts"]

#: The numbers of a row that may be asked for.
COLUMNS = ("value", "halfwidth", "mcse", "lower", "upper")
#: Columns that shrink as subjects are added, which a run may be stopped on.
WIDTHS = ("halfwidth", "mcse")
#: What is meant by an endpoint when no summary is named: in outcomes, in contrasts.
SUMMARIES = {
    "risk": ("proportion", "risk difference"),
    "mean": ("mean", "mean difference"),
    "median": ("median", "difference of medians"),
    "incidence": ("cumulative incidence", "risk difference"),
}
_TABLES: dict[str, TableName] = {"outcome": "outcomes", "contrast": "contrasts"}
_DAY = re.compile(r"day *(\d+(?:\.\d+)?)")
_CONDITION = re.compile(r"\s*(?P<target>[^<>=]+?)\s*(?P<sign><=|<)\s*(?P<limit>[^<>=\s]+)\s*")


@dataclass(frozen=True)
class Values:
    """A target at every design point, rising: `design_id` (k,) and numbers (k,), NaN where the table has null.

    `asked` is the column that the target names, `n` the units of replication.
    """

    design_id: NDArray[np.int64]
    asked: Floats
    value: Floats
    mcse: Floats
    lower: Floats
    upper: Floats
    n: NDArray[np.int64]


@dataclass(frozen=True)
class Target:
    """One row of a result table and a column of it; `day` is null where the endpoint has no day, or at the horizon."""

    table: TableName
    endpoint: Endpoint
    arm: str
    reference: str | None = None  # only of contrasts
    day: float | None = None
    column: str = "value"
    aside: tuple[str, ...] = ()  # scale and view, where they are not the usual ones

    @classmethod
    def parse(
        cls,
        text: str,
        arms: Sequence[str],
        endpoints: Sequence[Endpoint] | None = None,
        *,
        reference: str | None = None,
        crs_scale: str = "astct2019",
        column: str = "value",
    ) -> "Target":
        """Read a name. `arms` are the ids of the run, `endpoints` what it reports (the scenario's own scale first).

        `reference` is the run's reference arm, where known; `column` is what is meant when the text names none.
        Raises InvalidInput with the nearest name.
        """
        held = standard_endpoints(crs_scale) if endpoints is None else tuple(endpoints)
        match = re.fullmatch(r"([^.\[]*)\.([^.\[]*)(?:\[(.*)\])?(?:\.([^.]*))?(?:\.([^.]*))?", text.strip())
        if match is None:
            example = "contrast.crs_ge3.early-standard, outcome.crs_ge3.standard"
            raise InvalidInput(f"`{text}` names no result", mend=f"a name such as {example}")
        table, id_, brackets, place, asked = (
            part.strip() if part is not None else None for part in match.groups()
        )
        if table not in _TABLES:
            _unknown("kind of result", table or "", _TABLES, text)
        found = _of_id(id_ or "", held, text)
        endpoint, day, aside = _qualified(found, brackets, text)
        arm, against = _arms(_TABLES[table], place or "", arms, reference, text)
        if _TABLES[table] == "contrasts" and not endpoint.contrastable:
            raise InvalidInput(
                f"`{endpoint.id}` is described by arm and not contrasted",
                where=text,
                why=f"it is about {endpoint.conditioning}",
                mend=f"outcome.{endpoint.id}.{arm}",
            )
        if asked is not None and asked not in COLUMNS:
            _unknown("column", asked, COLUMNS, text)
        return cls(_TABLES[table], endpoint, arm, against, day, asked or column, aside)

    @property
    def summary(self) -> str:
        """Summary measure of the row, as the tables spell it."""
        return SUMMARIES[self.endpoint.kind][self.table == "contrasts"]

    @property
    def row_name(self) -> str:
        """Name without the column."""
        words = [*self.aside, *([] if self.day is None else [f"day {self.day:g}"])]
        brackets = f"[{', '.join(words)}]" if words else ""
        place = self.arm if self.reference is None else f"{self.arm}-{self.reference}"
        return f"{self.table.removesuffix('s')}.{self.endpoint.id}{brackets}.{place}"

    def __str__(self) -> str:
        return self.row_name + ("" if self.column == "value" else f".{self.column}")

    def rows(self, table: pa.Table) -> pa.Table:
        """The target's rows, one a design point, in rising order of `design_id`; rows of subgroups are left out."""
        table = whole_population(table)
        wanted = {
            "endpoint": self.endpoint.id,
            "arm_id": self.arm,
            "summary": self.summary,
            "scale": self.endpoint.scale,
            "view": self.endpoint.view,
        }
        if self.reference is not None:
            wanted["reference_arm"] = self.reference
        mask: Any = None
        for name, word in wanted.items():
            held = (
                pc.is_null(table[name]) if word is None else pc.fill_null(pc.equal(table[name], word), False)
            )
            mask = held if mask is None else pc.and_(mask, held)
        if self.endpoint.kind == "incidence":
            day = table["horizon_d"] if self.day is None else pa.scalar(self.day)
            mask = pc.and_(mask, pc.fill_null(pc.equal(table["level"], day), False))
        return table.filter(mask).sort_by("design_id")

    def pick(self, outcomes: pa.Table, contrasts: pa.Table, design_id: int = 0) -> Row:
        """The target's row at one design point, column to value. Raises InvalidInput where the tables lack it."""
        table = self.rows(outcomes if self.table == "outcomes" else contrasts)
        rows = table.filter(pc.equal(table["design_id"], design_id)).to_pylist()
        if len(rows) != 1:
            self._missing(f"design point {design_id}")
        return dict(rows[0])

    def values(self, table: pa.Table) -> Values:
        """The target at every design point of `table` (outcomes or contrasts, as `self.table` says).

        Raises InvalidInput where no point has it.
        """
        rows = self.rows(table)
        if not len(rows):
            self._missing("any design point")

        def floats(name: str) -> Floats:
            return np.asarray(rows[name].to_numpy(), np.float64)

        held = {name: floats(name) for name in ("value", "mcse", "lower", "upper")}
        asked = 0.5 * (held["upper"] - held["lower"]) if self.column == "halfwidth" else held[self.column]
        ids = rows["design_id"].to_numpy().astype(np.int64)
        return Values(ids, asked, **held, n=rows["n_units"].to_numpy().astype(np.int64))

    def read(self, row: Row) -> float | None:
        """The number that the target names, from its row; null where there is none."""
        if self.column != "halfwidth":
            held = row[self.column]
            return None if held is None else float(held)
        if row["lower"] is None or row["upper"] is None:
            return None
        return 0.5 * (float(row["upper"]) - float(row["lower"]))

    def _missing(self, where: str) -> NoReturn:
        raise InvalidInput(
            f"the results hold no row for `{self.row_name}` at {where}",
            why=f"{self.table} has no {self.summary} of {self.endpoint.id} for this arm, scale, view and day",
            mend="a target that the run reports: `outputs.endpoints` of its scenario says which",
        )


@dataclass(frozen=True)
class Condition:
    """A target and what it must not exceed, in the endpoint's unit (shares between 0 and 1)."""

    target: Target
    limit: float
    strict: bool = False

    @classmethod
    def parse(
        cls,
        text: str,
        arms: Sequence[str],
        endpoints: Sequence[Endpoint] | None = None,
        *,
        reference: str | None = None,
        crs_scale: str = "astct2019",
    ) -> "Condition":
        """Read `<target> <= <number>` (or `<`); without a column the half-width is meant. Raises InvalidInput."""
        match = _CONDITION.fullmatch(text)
        if match is None:
            example = "contrast.crs_ge3.early-standard.halfwidth <= 0.005"
            raise InvalidInput(
                f"`{text}` is no condition", why="a target, `<=` and a number are needed", mend=example
            )
        try:
            limit = float(match["limit"])
        except ValueError:
            limit = np.nan
        if not np.isfinite(limit):
            raise InvalidInput(
                f"`{match['limit']}` is not a number", where=text, mend="such as 0.005 for half a point"
            )
        target = Target.parse(
            match["target"], arms, endpoints, reference=reference, crs_scale=crs_scale, column="halfwidth"
        )
        return cls(target, limit, match["sign"] == "<")

    def holds(self, number: float | None) -> bool:
        """Whether a number meets the condition; a missing one never does."""
        if number is None or number != number:
            return False
        return number < self.limit if self.strict else number <= self.limit

    def __str__(self) -> str:
        column = "" if self.target.column != "value" else ".value"
        return f"{self.target}{column} {'<' if self.strict else '<='} {self.limit:.10g}"


def _of_id(id_: str, endpoints: Sequence[Endpoint], text: str) -> list[Endpoint]:
    found = [e for e in endpoints if e.id == id_ and e.reported]
    if not found and id_ in NOT_OFFERED:
        raise InvalidInput(f"endpoint `{id_}` is not offered", where=text, why=NOT_OFFERED[id_])
    if not found:
        _unknown("endpoint", id_, sorted({e.id for e in endpoints if e.reported}), text)
    return found


def _qualified(
    found: Sequence[Endpoint], brackets: str | None, text: str
) -> tuple[Endpoint, float | None, tuple[str, ...]]:
    """The endpoint on the scale and view that `brackets` ask for, the day, and what of it was not the usual."""
    usual = next((e for e in found if e.view in (None, "observed")), found[0])
    scale, view, day = usual.scale, usual.view, None
    scales, views = ([*dict.fromkeys(getattr(e, name) for e in found)] for name in ("scale", "view"))
    for word in (part.strip() for part in brackets.split(",")) if brackets is not None else ():
        if match := _DAY.fullmatch(word) if usual.kind == "incidence" else None:
            day = float(match[1])
        elif word in scales:
            scale = word
        elif word in views:
            view = word  # type: ignore[assignment]
        else:
            known = [str(w) for w in (*scales, *views) if w is not None]
            known += ["day 28"] if usual.kind == "incidence" else []
            _unknown(f"scale, view or day of `{usual.id}`", word, known, text)
    chosen = next((e for e in found if e.scale == scale and e.view == view), None)
    if chosen is None:
        raise InvalidInput(
            f"`{usual.id}` has no {view} view on {scale}", where=text, mend=f"`{usual.id}` as it is"
        )
    aside = [str(scale)] if scale != usual.scale else []
    return chosen, day, tuple(aside + ([str(view)] if view != usual.view else []))


def _arms(
    table: TableName, place: str, arms: Sequence[str], reference: str | None, text: str
) -> tuple[str, str | None]:
    if table == "outcomes":
        if place not in arms:
            _unknown("arm", place, arms, text)
        return place, None
    # Ids of arms may hold `-` themselves, so pairs of known arms are compared, never cut.
    pairs = {f"{a}-{r}": (a, r) for r in ([reference] if reference else arms) for a in arms if a != r}
    if place in pairs:
        return pairs[place]
    others = {f"{a}-{r}": a if a != reference else r for a in arms for r in arms if a != r}
    if place in others and reference is not None:
        raise InvalidInput(
            f"`{place}` is not contrasted",
            where=text,
            why=f"contrasts are against the reference arm, `{reference}`",
            mend=f"{others[place]}-{reference}",
        )
    _unknown("pair of arms", place, pairs, text)


def _unknown(what: str, word: str, known: Any, text: str) -> NoReturn:
    choices = list(known)
    lower = {choice.lower(): choice for choice in choices}
    close = get_close_matches(word.lower(), lower, 1, 0.5)
    listed = ", ".join(choices[:8]) + (", ..." if len(choices) > 8 else "")
    mend = lower[close[0]] if close else f"one of: {listed}" if choices else "a scenario with two arms"
    raise InvalidInput(
        f"unknown {what} `{word}`" if word else f"the {what} is missing", where=text, mend=mend
    )
