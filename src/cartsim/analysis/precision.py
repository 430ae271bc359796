"""When a run has enough subjects: it is looked at after each batch, and stops as soon as the asked width is reached.

Looking often and stopping at the first good look can pick lucky moments. With a fixed width it does so only as far as
the estimated spread is lucky (Chow and Robbins 1965), and that is what the rules here guard against: a floor; score
intervals where events are rare; a mean that rests on few subjects is not believed; and few looks, the last ones near
the number that is needed (Hall 1981, three stages). docs/precision.md has the coverage that was measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cartsim.analysis.intervals import LEVEL, normal_quantile
from cartsim.analysis.targets import WIDTHS, Condition
from cartsim.analysis.widths import FLOORS, Floats, Kind, Row, Seen, kind_of
from cartsim.errors import InvalidInput

#: Fewer subjects than this are never stopped on.
FLOOR = 2_000
CEILING = 1_000_000
#: With less than half of what seems to be needed: go to this share of it, at most so many times what there is.
HALF_WAY, SHARE, GROWTH = 0.5, 0.7, 4.0
#: From there on: a little beyond what seems to be needed, and never less than this step.
BEYOND, STEP = 0.02, 0.03

#: Rows of one condition: one row, or one a design point.
Rows: TypeAlias = Sequence[Row] | Row


@dataclass(frozen=True)
class Stop:
    """Why no more subjects are run; `reason` is stored with the results."""

    kind: Literal["precision", "ceiling", "time", "impossible"]
    reason: str

    @property
    def reached(self) -> bool:
        """Whether every condition is met."""
        return self.kind == "precision"


@dataclass(frozen=True)
class Reading:
    """One condition at one look: its number at the design point where it is furthest from met, and what is needed.

    `needed` counts subjects (infinite where nothing is known yet), `impossible` says why no number would do.
    """

    condition: Condition
    number: float | None
    met: bool
    needed: float
    points: int = 1
    design_id: int = 0
    impossible: str | None = None

    def __str__(self) -> str:
        shown = "no interval" if self.number is None else f"{self.number:.4g}"
        place = f" at design point {self.design_id}, the widest of {self.points}" if self.points > 1 else ""
        return f"{self.condition} ({shown}{place})"


@dataclass(frozen=True)
class Plan:
    """What a run is to reach and what it may spend. Raises InvalidInput for a plan that makes no sense.

    `floor` and `ceiling` count subjects in each arm (and replicate), `budget_s` is wall time in seconds. Decisions
    follow from the data alone, so a resumed run repeats them; only the time budget cannot promise that.
    """

    conditions: tuple[Condition, ...]
    floor: int = FLOOR
    ceiling: int = CEILING
    budget_s: float | None = None
    confidence: float = LEVEL

    def __post_init__(self) -> None:
        if not self.conditions:
            raise InvalidInput(
                "nothing to stop on", mend="--until 'contrast.crs_ge3.early-standard <= 0.005'"
            )
        for condition in self.conditions:
            if condition.target.column not in WIDTHS:
                raise InvalidInput(
                    f"a run is not stopped on `.{condition.target.column}`",
                    where=str(condition),
                    why="stopping on the result itself, rather than on its precision, would bias it",
                    mend=f"{condition.target.row_name}.halfwidth",
                )
            if condition.limit <= 0:
                raise InvalidInput("a width must be above 0", where=str(condition), mend="such as 0.005")
        if self.floor < 2:
            raise InvalidInput(
                f"a floor of {self.floor} subjects", why="a spread needs two", mend="2 or more"
            )
        if self.ceiling < self.floor:
            raise InvalidInput(
                f"the ceiling of {self.ceiling:,} subjects is below the floor of {self.floor:,}",
                mend="a higher ceiling, or a lower floor",
            )
        if self.budget_s is not None and not self.budget_s > 0:
            raise InvalidInput(f"a time budget of {self.budget_s:g} s", mend="seconds above 0")

    def pick(self, outcomes: pa.Table, contrasts: pa.Table) -> list[list[Row]]:
        """Rows of each condition, one a design point, from the results so far. Raises InvalidInput where one lacks."""
        held = []
        for condition in self.conditions:
            table = outcomes if condition.target.table == "outcomes" else contrasts
            rows: list[Row] = condition.target.rows(table).to_pylist()
            if not rows:
                condition.target.pick(outcomes, contrasts)
            held.append(rows)
        return held

    def read(self, n: int, rows: Sequence[Rows]) -> list[Reading]:
        """Where every condition stands after `n` subjects; `rows` are those of `pick` (or one row a condition)."""
        return [
            self._furthest(n, condition, [held] if isinstance(held, Mapping) else list(held))
            for condition, held in zip(self.conditions, rows, strict=True)
        ]

    def next_size(self, n: int, rows: Sequence[Rows], elapsed_s: float = 0.0) -> int | Stop:
        """How many subjects to have after the next batch, or why to stop at `n`.

        `rows` are the conditions' rows at `n` subjects (not read below the floor). `elapsed_s` matters only with a
        time budget: no batch is begun that would outlast it at the pace so far.
        """
        if n < self.floor:
            return self._afford(n, self.floor, elapsed_s, [])
        readings = self.read(n, rows)
        if all(reading.met for reading in readings):
            return Stop("precision", f"precision reached: {_listed(readings)}")
        for reading in readings:
            if reading.impossible is not None:
                return Stop("impossible", f"no number of subjects would do: {reading}: {reading.impossible}")
        if n >= self.ceiling:
            return Stop("ceiling", f"ceiling of {self.ceiling:,} subjects: {_listed(readings, unmet=True)}")
        needed = max(reading.needed for reading in readings if not reading.met)
        return self._afford(
            n, int(next_sizes(np.array([n]), np.array([needed]), self.ceiling)[0]), elapsed_s, readings
        )

    def _afford(self, n: int, size: int, elapsed_s: float, readings: Sequence[Reading]) -> int | Stop:
        if self.budget_s is None or elapsed_s <= 0:
            return size
        affordable = int(n * self.budget_s / elapsed_s) if n else size
        if elapsed_s >= self.budget_s or affordable < min(size, n * (1 + STEP)):
            ending = (
                f": {_listed(readings, unmet=True)}"
                if readings
                else f" before the floor of {self.floor:,} subjects"
            )
            return Stop("time", f"time budget of {self.budget_s:g} s{ending}")
        return min(size, affordable)

    def _furthest(self, n: int, condition: Condition, rows: Sequence[Row]) -> Reading:
        """The reading of the design point that is furthest from met, all points at once."""
        readings = [
            Reading(
                condition,
                condition.target.read(row),
                met=False,
                needed=np.inf,
                points=len(rows),
                design_id=int(row["design_id"]),
                impossible=_impossible(row, int(row["n_units"]), self.floor),
            )
            for row in rows
        ]
        groups: dict[Kind, list[int]] = {}
        for k, row in enumerate(rows):
            if readings[k].impossible is None and row["n_units"] and row["lower"] is not None:
                groups.setdefault(kind_of(row), []).append(k)
        for kind, places in groups.items():
            met, needed = self._standing(condition, kind, [rows[k] for k in places])
            for k, held, units in zip(places, met.tolist(), needed.tolist(), strict=True):
                # Rows may count units of several replicates, sizes count the subjects of one.
                subjects = units * n / rows[k]["n_units"]
                readings[k] = replace(
                    readings[k], met=held and condition.holds(readings[k].number), needed=subjects
                )
        return max(readings, key=lambda r: (r.impossible is not None, not r.met, r.needed))

    def _standing(
        self, condition: Condition, kind: Kind, rows: Sequence[Row]
    ) -> tuple[NDArray[np.bool_], Floats]:
        """Whether rows of one kind are as narrow as asked and to be believed, and the units that each needs (rows,)."""
        seen = Seen.of(kind, rows, condition.target.table == "contrasts", self.confidence)
        half = np.array([0.5 * (row["upper"] - row["lower"]) for row in rows])
        if kind == "pairs":
            # Arms that agree in everything so far have a width of 0; the score interval knows how far that goes.
            same = np.array([row["interval_method"] == "identical rows" for row in rows])
            half = np.where(same, seen.half(seen.n), half)
        # A standard error of rare events can be 0 by luck too; the interval's width then speaks for it.
        z = 1.0 if condition.target.column == "halfwidth" else normal_quantile(self.confidence)
        limit = z * condition.limit
        met = (half <= limit) & (seen.believed_from(limit, self.floor) <= seen.n)
        return met, np.where(met, seen.n, seen.needed(limit, self.floor))


def next_sizes(n: NDArray[np.int64], needed: Floats, ceiling: int) -> NDArray[np.int64]:
    """Return the next sizes (k,) of runs that have `n` subjects (k,) and seem to need `needed` (k,).

    From far away only a share of the way is gone, since what seems to be needed is itself an estimate; from half way
    on a little more than all of it, so that few further looks are taken.
    """
    far = HALF_WAY * needed > n
    onwards = np.where(
        far, np.minimum(SHARE * needed, GROWTH * n), np.maximum(needed * (1 + BEYOND), n * (1 + STEP))
    )
    return np.minimum(np.maximum(np.ceil(onwards), n + 1), ceiling).astype(np.int64)


def _impossible(row: Row, units: int, floor: int) -> str | None:
    """Why more subjects would not give this row an interval that can be stopped on."""
    unit = row["replication_unit"]
    if unit != "subject":
        return f"the unit of replication is the {unit}, so that more {unit}s are needed, not more subjects"
    method = str(row["interval_method"] or "")
    if method.startswith("none: "):
        return method.removeprefix("none: ")
    if row["lower"] is None and row["mcse"] == 0 and units >= FLOORS * floor:
        return f"nothing differed in {units:,} subjects, which leaves nothing to estimate a width from"
    return None


def _listed(readings: Sequence[Reading], unmet: bool = False) -> str:
    shown = [str(reading) for reading in readings if not (unmet and reading.met)]
    return ("not reached: " if unmet else "") + "; ".join(shown)
