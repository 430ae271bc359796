"""Why: subjects may be the user's own patients, read from a file beside the scenario. A run must be of exactly that
file on every machine and at every later time, and subject i must be the same patient however the work is cut up.

So the file is known by its sha256, which stands in the resolved scenario and is checked wherever the file is read; its
name and date are nobody's identity. Which patient a subject is follows from its number alone.
"""

import hashlib
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cartsim.errors import InvalidInput, Problem
from cartsim.evidence.population import NAMES

if TYPE_CHECKING:
    import pyarrow as pa

    from cartsim.given import Known

SUFFIXES = (".csv", ".parquet")
#: Cohorts kept in memory, and orders of one kept (one a replicate).
_KEPT = 4
#: Doses that lie further apart than this are in different units.
_DOSES_APART = 20.0


class Patients:
    """Rows of a cohort file. `values` [rows, NAMES] has NaN where a value is missing; `ids` is text."""

    def __init__(
        self,
        ids: "pa.Array",
        values: np.ndarray,
        high_burden: np.ndarray,
        weights: np.ndarray | None,
        unread: tuple[str, ...],
    ) -> None:
        self.ids, self.values, self.high_burden, self.weights, self.unread = (
            ids,
            values,
            high_burden,
            weights,
            unread,
        )
        self._bounds = None if weights is None else np.cumsum(weights / weights.max())
        self._last = len(values) - 1 if weights is None else int(np.flatnonzero(weights)[-1])
        self._orders: dict[tuple[int, int], np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.values)

    @property
    def available(self) -> int:
        """Rows that can be drawn: those whose weight is not 0."""
        return len(self) if self.weights is None else int((self.weights > 0).sum())

    def has(self, name: str) -> bool:
        """Whether any row has a value of a covariate (`burden`: or says whether it is high)."""
        known = ~np.isnan(self.values[:, NAMES.index(name)])
        return bool((known | ~np.isnan(self.high_burden)).any() if name == "burden" else known.any())

    def missing(self, name: str) -> np.ndarray:
        """bool[rows]: nothing is known of a covariate."""
        unknown: np.ndarray = np.isnan(self.values[:, NAMES.index(name)])
        return unknown & np.isnan(self.high_burden) if name == "burden" else unknown

    def typical_dose(self) -> float:
        """Median of the cell doses that are given."""
        return float(np.nanmedian(self.values[:, NAMES.index("cell_dose_1e6")]))

    def rows(self, how: str, seed: int, replicate: int, first: int, count: int) -> np.ndarray:
        """Row of each of the subjects `first .. first+count-1`; the same whatever `first` and `count` are.

        Raises `InvalidInput` for a subject beyond the last where rows are not drawn again.
        """
        if how == "with_replacement":
            return self._drawn(seed, replicate, first, count)
        if first + count > self.available:
            raise InvalidInput(
                f"there is no subject {first + count - 1}: the cohort has {self.available:,} patients",
                mend=f"population.subjects: {self.available}, or sample: with_replacement",
            )
        places = np.arange(first, first + count)
        return places if how == "all" else self._order(seed, replicate)[places]

    def _drawn(self, seed: int, replicate: int, first: int, count: int) -> np.ndarray:
        from cartsim.draws import study_key, uniforms
        from cartsim.terms import Decision

        u = uniforms(study_key(seed, replicate), np.arange(first, first + count), Decision.SOURCE_ROW)
        if self._bounds is None:
            return np.minimum((u * len(self)).astype(np.int64), len(self) - 1)
        # a row of weight 0 has no room between its bounds
        places = np.searchsorted(self._bounds, u * self._bounds[-1], side="right")
        return np.minimum(places, self._last)

    def _order(self, seed: int, replicate: int) -> np.ndarray:
        """Rows in the order in which they are taken without replacement (Efraimidis and Spirakis 2006).

        Each row has a number of its own, exponential with its weight as rate, and the smallest are taken first: taking
        more rows never changes the first of them.
        """
        from cartsim.draws import study_key, uniforms
        from cartsim.terms import Decision

        found = self._orders.get((seed, replicate))
        if found is None:
            u = uniforms(study_key(seed, replicate), np.arange(len(self)), Decision.SOURCE_ORDER)
            with np.errstate(divide="ignore"):
                waits = -np.log(u) / (1.0 if self.weights is None else self.weights)
            found = np.argsort(waits, kind="stable")[: self.available]
            while len(self._orders) >= _KEPT:
                self._orders.pop(next(iter(self._orders)), None)
            self._orders[seed, replicate] = found
        return found

    def known(self, rows: np.ndarray) -> "Known":
        """What is known of the subjects that are these rows."""
        from cartsim.given import Known

        return Known(self.values, self.high_burden, rows)


@dataclass(frozen=True)
class PatientFile:
    """A cohort file by name and content. Small and picklable: each worker reads the file and checks its hash.

    `name` is as the scenario has it, relative to `folder`.
    """

    name: str
    folder: str = field(compare=False)
    sha256: str
    sample: str
    drawn: tuple[tuple[str, int], ...] = field(default=(), compare=False)
    rows: int = field(default=0, compare=False)
    unread: tuple[str, ...] = field(default=(), compare=False)

    @property
    def path(self) -> Path:
        """Where the file is looked for."""
        return Path(self.folder) / self.name

    def read(self) -> Patients:
        """The patients. Raises `InvalidInput` where the file is not there, or is another one by now."""
        found, sha256 = read_patients(self.path)
        if sha256 != self.sha256:
            raise another_file(self.path, self.sha256, sha256)
        return found

    def subjects(self, seed: int, replicate: int, first: int, count: int) -> "Known":
        """What is known of the subjects `first .. first+count-1`."""
        patients = self.read()
        return patients.known(patients.rows(self.sample, seed, replicate, first, count))

    def ids(self, rows: np.ndarray) -> "pa.Array":
        """Ids of rows, as the file has them."""
        import pyarrow as pa

        return self.read().ids.take(pa.array(rows))

    def check_doses(self, product: str, reference: float, unit: str) -> None:
        """Refuse cell doses that cannot be a product's: doses per kg are about a hundredth of total doses."""
        patients = self.read()
        if not patients.has("cell_dose_1e6"):
            return
        typical = patients.typical_dose()
        if not reference / _DOSES_APART < typical < reference * _DOSES_APART:
            what = f"the median is {typical:g}, and {product} is given at about {reference:g} {unit}"
            mend = "doses in that unit, or no such column: the product's doses are drawn then"
            raise InvalidInput(
                "the cell doses of the cohort are not those of the product",
                problems=[Problem(str(self.path), None, "cell_dose_1e6", what, mend)],
            )

    def notes(self) -> list[str]:
        """What a reader must know: what was drawn because it was missing, and what was left unread."""
        said = []
        if self.drawn:
            listed = ", ".join(f"{name} of {count:,}" for name, count in self.drawn)
            said.append(f"{self.name}: of {self.rows:,} patients, drawn given what is known: {listed}")
        if self.unread:
            said.append(f"{self.name}: columns not read: {', '.join(self.unread)}")
        return said


def another_file(path: Path, wanted: str, found: str) -> InvalidInput:
    """The refusal of a file whose content is not what it was."""
    return InvalidInput(
        "the cohort file is not the one that this scenario was made with",
        where=str(path),
        why=f"its sha256 is {found[:12]}..., and population.sha256 is {wanted[:12]}...",
        mend="the file as it was, or leave population.sha256 out to ask the question of this file",
    )


_lock = threading.Lock()
_hashes: dict[tuple[str, int, int], str] = {}
_cohorts: dict[tuple[str, str], Patients] = {}


def read_patients(path: Path) -> tuple[Patients, str]:
    """(patients, sha256) of a file, kept in memory by its content. Raises `InvalidInput` for what is no cohort."""
    with _lock:
        return _read(path)


def _read(path: Path) -> tuple[Patients, str]:
    if path.suffix not in SUFFIXES:
        raise InvalidInput(
            "population.file names no table", where=str(path), mend="a file that ends in .csv or .parquet"
        )
    try:
        about = os.stat(path)
        stamp = (str(path.absolute()), about.st_mtime_ns, about.st_size)
        known = _hashes.get(stamp)
        if known is not None and (known, path.suffix) in _cohorts:
            return _cohorts[known, path.suffix], known
        raw = path.read_bytes()
    except FileNotFoundError:
        raise _absent(path) from None
    except OSError as error:
        raise InvalidInput("the cohort file cannot be read", where=str(path), why=error.strerror) from None
    sha256 = hashlib.sha256(raw).hexdigest()
    if (sha256, path.suffix) not in _cohorts:
        from cartsim.scenario.patient_tables import parse_patients

        columns = parse_patients(raw, str(path))
        while len(_cohorts) >= _KEPT:
            _cohorts.pop(next(iter(_cohorts)))
        _cohorts[sha256, path.suffix] = Patients(
            columns.ids, columns.values, columns.high_burden, columns.weights, columns.unread
        )
    _hashes[stamp] = sha256
    return _cohorts[sha256, path.suffix], sha256


def _absent(path: Path) -> InvalidInput:
    from cartsim.scenario.shape import nearest

    beside = [one.name for one in path.parent.glob("*.*")] if path.parent.is_dir() else []
    meant = nearest(path.name, [name for name in beside if name.endswith(SUFFIXES)])
    return InvalidInput(
        "the cohort file does not exist",
        where=str(path),
        why="population.file is looked for beside the scenario, on every machine that simulates",
        mend=str(path.parent / meant)
        if meant
        else "put it there, or say in population.file where it is; its sha256 tells whether it is the same",
    )
