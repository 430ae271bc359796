"""Why: an optimiser wants free numbers of one size, the model wants shares, rates and rising thresholds. A *score* is a
number whose prior is standard normal; here every fitted registry number is a smooth function of scores, so that no
step of a fit and no draw can break a bound or the order of thresholds.

theta = centre + B z, z ~ N(0, 1) each, and the number is the inverse of its transform of theta. B is diagonal but for
pooled numbers, whose centre is a score of its own: log value = (centre + sd_mean z_mean) + sd z.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cartsim.errors import InvalidInput, Problem
from cartsim.evidence.calibrated import TRANSFORMS, list_places
from cartsim.evidence.reader import read_evidence

DATA = Path(__file__).parent / "data" / "parameters.yaml"
SCHEMA = "cartsim/calibration-parameters/1"
#: Scores further out than this are taken as this: beyond it the prior has nothing and exp() runs away.
FARTHEST = 8.0

Value = float | list[float]


@dataclass(frozen=True)
class Coordinate:
    """One score.

    `key` is a registry key, with `[i]` for an element of a list, or `pooled.<name>` for the mean of a pooled number;
    `centre`, `sd` are those of theta; `mean` is the place of the pooled mean; `product` is None for a shared number;
    `start` the score where a fit begins; `kept`: draws keep the prior's width.
    """

    key: str
    transform: str
    centre: float
    sd: float
    start: float
    product: str | None = None
    mean: int | None = None
    kept: bool = False
    why: str = ""

    @property
    def pooled_mean(self) -> bool:
        """Whether this is a mean over products and no registry number itself."""
        return self.key.startswith("pooled.")


class Space:
    """All coordinates in a fixed order: pooled means, shared, then product by product."""

    def __init__(self, coordinates: Sequence[Coordinate], lists: Mapping[str, Sequence[float]]) -> None:
        self.coordinates = tuple(coordinates)
        self._lists = {key: list(values) for key, values in lists.items()}

    def __len__(self) -> int:
        return len(self.coordinates)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Key of each coordinate."""
        return tuple(one.key for one in self.coordinates)

    @cached_property
    def centres(self) -> np.ndarray:
        """Prior mean of theta, [n]."""
        own = [one.centre for one in self.coordinates]
        return np.array([own[one.mean] if one.mean is not None else one.centre for one in self.coordinates])

    @cached_property
    def spread(self) -> np.ndarray:
        """B of theta = centre + B z, [n, n]."""
        matrix = np.diag([one.sd for one in self.coordinates])
        for place, one in enumerate(self.coordinates):
            if one.mean is not None:
                matrix[place, one.mean] = self.coordinates[one.mean].sd
        return matrix

    @cached_property
    def prior_sd(self) -> np.ndarray:
        """Prior standard deviation of theta, [n]."""
        return np.sqrt((self.spread**2).sum(axis=1))

    @property
    def start(self) -> np.ndarray:
        """Scores where a fit begins, [n]."""
        return np.array([one.start for one in self.coordinates])

    def products(self) -> list[str]:
        """Products with numbers of their own, in the order of the file."""
        return list(dict.fromkeys(one.product for one in self.coordinates if one.product is not None))

    def places(self, product: str | None) -> list[int]:
        """Coordinates of one product; None: those that products share."""
        return [place for place, one in enumerate(self.coordinates) if one.product == product]

    def theta(self, z: np.ndarray) -> np.ndarray:
        """Transformed numbers of scores, [..., n] -> [..., n]."""
        return self.centres + np.clip(z, -FARTHEST, FARTHEST) @ self.spread.T

    def values(self, z: np.ndarray) -> dict[str, float]:
        """Numbers by coordinate key (pooled means too)."""
        found: dict[str, float] = {}
        for one, theta in zip(self.coordinates, self.theta(z).tolist(), strict=True):
            before = self._before(one.key, found)
            found[one.key] = TRANSFORMS[one.transform].back(theta, before)
        return found

    def numbers(self, z: np.ndarray, product: str | None = None) -> dict[str, Value]:
        """Registry key -> value, of shared numbers and those of `product` (None: of all products)."""
        numbers: dict[str, Value] = {}
        values = self.values(z)
        for one in self.coordinates:
            if one.pooled_mean or (product is not None and one.product not in (None, product)):
                continue
            key, place = list_places(one.key)
            if place is None:
                numbers[key] = values[one.key]
            else:
                items = numbers.setdefault(key, list(self._lists[key]))
                assert isinstance(items, list)
                items[place] = values[one.key]
        return numbers

    def _before(self, key: str, found: Mapping[str, float]) -> float:
        owner, place = list_places(key)
        if place is None or place == 0:
            return 0.0
        return found.get(f"{owner}[{place - 1}]", self._lists[owner][place - 1])

    def only(self, wanted: Sequence[str]) -> "Space":
        """The space of some coordinates alone; all others keep the registry's values.

        A pooled number whose mean is left out gets the whole prior width itself.
        """
        kept = [one for one in self.coordinates if one.key in set(wanted)]
        places = {self.coordinates.index(one): number for number, one in enumerate(kept)}
        made = []
        for one in kept:
            if one.mean is not None and one.mean not in places:
                width = math.hypot(one.sd, self.coordinates[one.mean].sd)
                one = replace(one, mean=None, sd=width, start=one.start * one.sd / width)
            elif one.mean is not None:
                one = replace(one, mean=places[one.mean])
            made.append(one)
        return Space(made, self._lists)


def load_space(numbers: Mapping[str, Value], path: Path | None = None) -> Space:
    """The fitted numbers of a file (None: the package's own), begun at `numbers`, the registry's starting values.

    Raises `InvalidInput` naming every entry that cannot be fitted.
    """
    source = path or DATA
    file = read_evidence(source.read_text("utf-8"), source.name)
    reader = _Reader(numbers, file.data)
    problems = [
        Problem(source.name, file.lines.get(tuple(key)), ".".join(key), what)
        for key, what in reader.read(SCHEMA)
    ]
    if problems:
        raise InvalidInput("the numbers to fit cannot be read", problems=problems)
    return Space(reader.made, reader.lists)


class _Reader:
    """Coordinates of the plain data of a file."""

    def __init__(self, numbers: Mapping[str, Value], data: Mapping[str, Any]) -> None:
        self.numbers = numbers
        self.data = data
        self.made: list[Coordinate] = []
        self.lists: dict[str, list[float]] = {}

    def read(self, schema: str) -> Iterator[tuple[list[str], str]]:
        """Read all; gives (key, fault) for each entry that is wrong."""
        if self.data.get("schema") != schema:
            yield ["schema"], f"{schema} is needed"
            return
        products = self.data.get("products") or []
        own = self.data.get("product") or {}
        means: dict[str, int] = {}
        for name, spec in own.items():
            if isinstance(spec, dict) and "pooled" in spec:
                yield from self._guard(["product", name], self._add_mean, name, spec, means)
        for key, spec in (self.data.get("shared") or {}).items():
            if isinstance(spec, list):
                for place, item in enumerate(spec):
                    if item is not None:
                        yield from self._guard(["shared", key], self._add, f"{key}[{place}]", item, None)
            else:
                yield from self._guard(["shared", key], self._add, key, spec, None)
        for product in products:
            for name, spec in own.items():
                told = {**spec, **(spec.get("products") or {}).get(product, {})}
                mean = means.get(name)
                yield from self._guard(
                    ["product", name], self._add, f"product.{product}.{name}", told, product, mean
                )
            for name, specs in (self.data.get("behaviour") or {}).items():
                if product in specs:
                    key = f"product.{product}.{name}"
                    yield from self._guard(["behaviour", name], self._add, key, specs[product], product)

    def _guard(self, where: list[str], add: Any, *given: Any) -> Iterator[tuple[list[str], str]]:
        try:
            add(*given)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            missing = isinstance(error, KeyError)
            yield where, f"key {error} is missing or unknown" if missing else str(error)

    def _add_mean(self, name: str, spec: Mapping[str, Any], means: dict[str, int]) -> None:
        centre = TRANSFORMS[spec["transform"]].to(float(spec["centre"]), 0.0)
        sd = _positive(spec["pooled"]["mean_sd"])
        means[name] = len(self.made)
        self.made.append(Coordinate(f"pooled.{name}", spec["transform"], centre, sd, 0.0, why=spec["why"]))

    def _add(self, key: str, spec: Mapping[str, Any], product: str | None, mean: int | None = None) -> None:
        transform = TRANSFORMS[spec["transform"]]
        # the prior centre of a step is the rise itself
        centre = transform.to(float(spec["centre"]), 0.0)
        sd = _positive(spec["pooled"]["sd"] if mean is not None else spec["sd"])
        owner, place = list_places(key)
        value = self.numbers[owner]
        before = 0.0
        if place is not None:
            if not isinstance(value, list) or place >= len(value):
                raise ValueError(f"{owner} has no element {place}")
            self.lists[owner] = list(value)
            before = value[place - 1] if place else 0.0
            value = value[place]
        if isinstance(value, list):
            raise ValueError(f"{owner} is a list: fit its elements")
        if "start" in spec:
            value = float(spec["start"])
        start = (transform.to(value, before) - centre) / sd
        if not math.isfinite(start) or abs(start) > FARTHEST:
            raise ValueError(f"{key} begins {start:g} prior standard deviations from its prior centre")
        self.made.append(
            Coordinate(
                key,
                spec["transform"],
                centre,
                sd,
                start,
                product,
                mean,
                bool(spec.get("kept", False)),
                spec["why"],
            )
        )


def _positive(value: Any) -> float:
    number = float(value)
    if number <= 0:
        raise ValueError("a standard deviation must be above 0")
    return number
