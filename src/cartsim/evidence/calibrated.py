"""Why: numbers that were fitted come with draws that belong together (a higher peak with a faster decline), which no
range of one number can say. `cartsim calibrate` leaves a folder; here it is read, checked and laid over the registry.

The transforms stand here since the fit and the registry must agree on what `sd` of a log or a logit means.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from cartsim.errors import InvalidInput, Problem
from cartsim.evidence.entries import Entry, NumberEntry, Uncertainty

#: The package's own calibration; absent in a package that was never calibrated.
FOLDER = Path(__file__).parent / "calibration"
POINT, DRAWS = "calibration.json", "draws.parquet"
SCHEMA = "cartsim/calibration/1"

Value = float | list[float]


@dataclass(frozen=True)
class Transform:
    """`to(value, before)` gives the free number, `back(free, before)` the value; `before` is the element before it."""

    to: Callable[[float, float], float]
    back: Callable[[float, float], float]


def _log(value: float) -> float:
    if value <= 0:
        raise ValueError(f"{value:g} has no logarithm")
    return math.log(value)


def _logit(value: float) -> float:
    if not 0 < value < 1:
        raise ValueError(f"{value:g} is no share between 0 and 1")
    return math.log(value / (1 - value))


TRANSFORMS: dict[str, Transform] = {
    "identity": Transform(lambda value, _: value, lambda free, _: free),
    "log": Transform(lambda value, _: _log(value), lambda free, _: math.exp(free)),
    "neglog": Transform(lambda value, _: _log(-value), lambda free, _: -math.exp(free)),
    "logit": Transform(lambda value, _: _logit(value), lambda free, _: 1 / (1 + math.exp(-free))),
    "step": Transform(
        lambda value, before: _log(value - before), lambda free, before: before + math.exp(free)
    ),
}

_ELEMENT = re.compile(r"(.+)\[(\d+)\]\Z")


def list_places(key: str) -> tuple[str, int | None]:
    """`signs.oxygen_thresholds[1]` -> (`signs.oxygen_thresholds`, 1); a plain key -> (key, None)."""
    found = _ELEMENT.match(key)
    return (found[1], int(found[2])) if found else (key, None)


@dataclass(frozen=True)
class Calibration:
    """What a fit left, by coordinate key (`key[i]` for an element of a list): values, standard deviations of
    transformed numbers, 95 % intervals of values."""

    folder: Path
    values: Mapping[str, float]
    sds: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    transforms: Mapping[str, str]
    targets: str
    command: str
    draws: int
    sha256: str

    @property
    def keys(self) -> list[str]:
        """Registry keys, a list as a whole."""
        return list(dict.fromkeys(list_places(key)[0] for key in self.values))

    def draw(self, number: int) -> Mapping[str, float]:
        """Row `number` (modulo the number of rows) of the joint draws, by coordinate key."""
        table = _draw_table(self.folder / DRAWS, self.sha256)
        return {key: float(table[key][number % self.draws]) for key in self.values}


@lru_cache(maxsize=8)
def read_calibration(folder: Path) -> Calibration:
    """The calibration in a folder. Raises `InvalidInput` where it is missing or is not one."""
    path = folder / POINT
    try:
        text = path.read_text("utf-8")
        data = json.loads(text)
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise ValueError(f"{SCHEMA} is needed")
        rows = {str(row["key"]): row for row in data["parameters"]}
        if not (folder / DRAWS).is_file():
            raise ValueError(f"{DRAWS} is missing")
        return Calibration(
            folder,
            {key: float(row["value"]) for key, row in rows.items()},
            {key: float(row["sd"]) for key, row in rows.items()},
            {key: (float(row["interval"][0]), float(row["interval"][1])) for key, row in rows.items()},
            {key: str(row["prior"]["transform"]) for key, row in rows.items()},
            f"fitted to {data.get('targets', 'published figures')} (sha256 {str(data['targets_sha256'])[:12]})",
            str(data["command"]),
            int(data["draws"]),
            hashlib.sha256(text.encode()).hexdigest(),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidInput(
            "the calibration cannot be read",
            problems=[Problem(str(path), None, "", why or "not readable", "cartsim calibrate --out FOLDER")],
        ) from None


def own_calibration() -> Calibration | None:
    """The package's own calibration; None where there is none."""
    return read_calibration(FOLDER) if (FOLDER / POINT).is_file() else None


@lru_cache(maxsize=8)
def _draw_table(path: Path, sha256: str) -> dict[str, np.ndarray]:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    return {name: table.column(name).to_numpy() for name in table.column_names}


def whole_values(entries: Mapping[str, Entry], values: Mapping[str, float]) -> dict[str, Value]:
    """Registry key -> number or list, from numbers by coordinate key; elements that are not named stay."""
    made: dict[str, Value] = {}
    for key, value in values.items():
        owner, place = list_places(key)
        if place is None:
            made[owner] = value
            continue
        entry = entries[owner]
        assert isinstance(entry, NumberEntry) and isinstance(entry.value, list)
        items = made.setdefault(owner, list(entry.value))
        assert isinstance(items, list)
        items[place] = value
    return made


def lay_over(entries: Mapping[str, Entry], calibration: Calibration) -> dict[str, Entry]:
    """Entries with the fitted values, status `calibrated`, targets, command and the posterior's spread.

    Raises `InvalidInput` where the calibration has a number that the registry has not, or could not have.
    """
    changed: dict[str, Entry] = {}
    problems: list[Problem] = []
    unknown = [key for key in calibration.keys if not isinstance(entries.get(key), NumberEntry)]
    if unknown:
        what = "the evidence registry has no such number"
        problems = [Problem(str(calibration.folder / POINT), None, key, what) for key in unknown]
        raise InvalidInput("the calibration does not fit the registry", problems=problems)
    for key, value in whole_values(entries, calibration.values).items():
        entry = entries[key]
        assert isinstance(entry, NumberEntry)
        if fault := entry.fault(value):
            problems.append(Problem(str(calibration.folder / POINT), None, key, fault))
            continue
        changed[key] = entry.model_copy(
            update={
                "value": value,
                "status": "calibrated",
                "targets": calibration.targets,
                "command": calibration.command,
                "reason": None,  # that of the starting value
                **_spread(key, entry, calibration),
            }
        )
    if problems:
        raise InvalidInput("the calibration does not fit the registry", problems=problems)
    return changed


def _spread(key: str, entry: NumberEntry, calibration: Calibration) -> dict[str, Any]:
    """Range (95 % of the draws, about the value) and, of a scalar, the marginal posterior as `uncertainty`."""
    if isinstance(entry.value, list):
        lows, highs = list(entry.value), list(entry.value)
        for place in range(len(entry.value)):
            element = f"{key}[{place}]"
            if element in calibration.values:
                lows[place], highs[place] = calibration.intervals[element]
        return {"range": (lows, highs), "uncertainty": None}
    value, sd = calibration.values[key], calibration.sds[key]
    told = {"range": calibration.intervals[key]}
    match calibration.transforms[key]:
        case "log":
            return {**told, "uncertainty": Uncertainty(kind="lognormal", sd=sd)}
        case "logit":
            # the beta distribution with this mean and the standard deviation of the share
            spread = max(sd * value * (1 - value), 1e-6)
            weight = max(value * (1 - value) / spread**2 - 1, 2.0)
            events = max(value * weight - 0.5, 0.0)  # a spread adds half an event and half a non-event
            return {**told, "uncertainty": Uncertainty(kind="beta", events=events, n=max(weight - 1, events))}
        case "neglog":
            return {**told, "uncertainty": Uncertainty(kind="normal", sd=sd * abs(value))}
        case _:
            return {**told, "uncertainty": Uncertainty(kind="normal", sd=sd)}
