"""Why: every clinical number has one place, where its unit, status and source stand beside it, and every result can
name the numbers it came from. `load_registry` is the only door; what-ifs pass through it as overrides.
"""

import difflib
import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

from pydantic import BaseModel

from cartsim.errors import InvalidInput, Problem
from cartsim.evidence.calibrated import lay_over, own_calibration
from cartsim.evidence.entries import (
    DISTRIBUTIONS,
    CorrelationEntry,
    DistributionEntry,
    Entry,
    NumberEntry,
    PopulationInfo,
    ProductInfo,
)
from cartsim.evidence.grading import GradingTables, grading_tables
from cartsim.evidence.population import (
    NAMES,
    REGISTRY_NAMES,
    Margin,
    Population,
    build_correlation,
    read_margin,
    scale_risk,
)
from cartsim.evidence.reader import read_files

Value = float | list[float]


class Registry(Mapping[str, Entry]):
    """All entries by dotted key; immutable. Built by `load_registry`."""

    def __init__(self, entries: Mapping[str, Entry], infos: Mapping[str, BaseModel]) -> None:
        self._entries = dict(sorted(entries.items()))
        self._infos = dict(sorted(infos.items()))

    def __getitem__(self, key: str) -> Entry:
        return self._entries[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def numbers(self) -> dict[str, Value]:
        """Registry key -> number or list of numbers; a distribution gives one key per parameter."""
        return dict(self._numbers)

    @cached_property
    def _numbers(self) -> dict[str, Value]:
        return _numbers_of(self._entries)

    def changed(self, entries: Mapping[str, Entry]) -> "Registry":
        """A copy in which some entries, all of which it has, are others."""
        copy = Registry({**self._entries, **entries}, self._infos)
        copy.__dict__["_numbers"] = {**self._numbers, **_numbers_of(entries)}
        return copy

    def hash(self) -> str:
        """SHA-256 (hex) of everything loaded, the same for any order of keys in the files."""
        return self._hash

    @cached_property
    def _hash(self) -> str:
        parts = {**self._entries, **{f"{key}.info": info for key, info in self._infos.items()}}
        plain = {key: part.model_dump(exclude_none=True) for key, part in parts.items()}
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def counts(self) -> dict[str, int]:
        """Entries per status, in the order reported, derived, calibrated, assumed, override; absent ones are 0."""
        found = Counter(entry.status for entry in self._entries.values())
        return {
            status: found[status] for status in ("reported", "derived", "calibrated", "assumed", "override")
        }

    def products(self) -> list[str]:
        """Product ids, sorted."""
        return [key.removeprefix("product.") for key in self._infos if key.startswith("product.")]

    def populations(self) -> list[str]:
        """Population ids, sorted."""
        return [key.removeprefix("population.") for key in self._infos if key.startswith("population.")]

    def product(self, id: str) -> ProductInfo:
        """What a product is; raises `InvalidInput` with the nearest id."""
        info = self._infos.get(f"product.{id}")
        if not isinstance(info, ProductInfo):
            raise _unknown("product", id, self.products())
        return info

    def is_thin(self, product: str) -> bool:
        """Whether of a product's published cohort only the share with any CRS could be fitted."""
        return product in self.products() and self.product(product).neuro_definition == "none"

    def population(self, product: str) -> Population:
        """Baseline covariates of a product's subjects, cell dose included; raises `InvalidInput` as `product`."""
        name = self.product(product).population
        info = self._infos.get(f"population.{name}")
        if not isinstance(info, PopulationInfo):
            raise _unknown("population", name, self.populations())
        correlation = build_correlation(self._correlations(info.correlations).value)
        numbers = self._numbers
        share, weights = numbers[f"population.{name}.high_burden_share.p"], numbers["population.risk_weights"]
        assert isinstance(share, float) and isinstance(weights, list)
        return Population(
            id=name,
            title=info.title,
            product=product,
            cell_dose_unit=self._entries[f"product.{product}.cell_dose_1e6"].unit,
            margins=tuple(self._margin(name, product, column) for column in NAMES),
            correlation=correlation,
            high_burden_share=share,
            risk_weights=scale_risk(weights, correlation),
        )

    def grading(self) -> GradingTables:
        """Grades of sign levels on every CRS scale."""
        return grading_tables(self._numbers)

    def _correlations(self, name: str) -> CorrelationEntry:
        entry = self._entries[f"population.correlations.{name}"]
        assert isinstance(entry, CorrelationEntry)
        return entry

    def _margin(self, population: str, product: str, column: str) -> Margin:
        if column == "burden":
            return read_margin({"dist": "truncnorm", "mean": 0.0, "sd": 1.0})
        owner = f"product.{product}" if column == "cell_dose_1e6" else f"population.{population}"
        entry = self._entries[f"{owner}.{REGISTRY_NAMES.get(column, column)}"]
        assert isinstance(entry, DistributionEntry)
        return read_margin({"dist": entry.dist, **entry.value})


def _numbers_of(entries: Mapping[str, Entry]) -> dict[str, Value]:
    out: dict[str, Value] = {}
    for key, entry in entries.items():
        if isinstance(entry, NumberEntry):
            out[key] = entry.value
        elif isinstance(entry, DistributionEntry):
            out.update({f"{key}.{name}": value for name, value in entry.value.items()})
    return out


@lru_cache(maxsize=1)
def starting_registry() -> Registry:
    """The registry as its files have it, before any calibration: where a fit begins."""
    return Registry(*read_files())


@lru_cache(maxsize=1)
def _base() -> Registry:
    registry, calibration = starting_registry(), own_calibration()
    if calibration is not None:
        registry = registry.changed(lay_over(registry, calibration))
    for product in registry.products():
        registry.population(product)
    registry.grading()
    return registry


def load_registry(overrides: Mapping[str, Value] | None = None) -> Registry:
    """The registry; with `overrides` (key of `numbers()` -> number or list) a changed copy.

    Overridden entries get status `override`. Raises `InvalidInput` with one problem per unknown key (and the
    nearest one), wrong type, wrong length, or value that the entry's unit excludes.
    """
    base = _base()
    if not overrides:
        return base
    changed: dict[str, Entry] = {}
    problems: list[Problem] = []
    for key, value in overrides.items():
        try:
            owner, fields = _change(base, key, value)
            old = changed.get(owner, base[owner])
            if fault := _fault(old, fields):
                raise ValueError(fault)
            changed[owner] = old.model_copy(update={**fields, "status": "override"})
        except KeyError:
            near = difflib.get_close_matches(key, base.numbers(), n=1, cutoff=0.5)
            mend = near[0] if near else "`cartsim evidence` lists the keys"
            problems.append(Problem(None, None, key, "the evidence registry has no such number", mend))
        except ValueError as error:
            problems.append(Problem(None, None, key, str(error)))
    if problems:
        raise InvalidInput("the registry cannot be changed as asked", problems=problems)
    return base.changed(changed)


def override_fault(key: str, value: Any) -> str | None:
    """Why the registry would not take `value` for a number that it has; None where it would."""
    base = _base()
    try:
        owner, fields = _change(base, key, value)
    except ValueError as error:
        return str(error)
    return _fault(base[owner], fields)


def _fault(entry: Entry, fields: Mapping[str, Any]) -> str | None:
    """Entries are checked by their own rules, without building them anew: sweeps change numbers by the thousand."""
    if isinstance(entry, NumberEntry):
        return entry.fault(fields["value"])
    assert isinstance(entry, DistributionEntry)
    return entry.fault({**entry.value, **fields})


def _change(base: Registry, key: str, value: Any) -> tuple[str, dict[str, Any]]:
    """Entry and field that `key` names, with the checked value."""
    entry = base.get(key)
    if isinstance(entry, NumberEntry):
        return key, {"value": _checked(value, entry.size)}
    owner, _, name = key.rpartition(".")
    entry = base.get(owner)
    if isinstance(entry, DistributionEntry) and name in DISTRIBUTIONS[entry.dist]:
        return owner, {name: _checked(value, 0)}
    raise KeyError(key)


def _checked(value: Any, size: int) -> Value:
    items = list(value) if size and isinstance(value, Sequence) and not isinstance(value, str) else [value]
    wanted = f"a list of {size} numbers" if size else "a number"
    if not all(
        isinstance(item, int | float) and not isinstance(item, bool) and math.isfinite(item) for item in items
    ):
        raise ValueError(f"{value!r} given; {wanted} is needed")
    if size and len(items) != size:
        raise ValueError(f"{len(items)} number(s) given; {wanted} is needed")
    return [float(item) for item in items] if size else float(value)


def _unknown(what: str, id: str, known: list[str]) -> InvalidInput:
    near = difflib.get_close_matches(id, known, n=1, cutoff=0.5)
    mend = near[0] if near else ", ".join(known)
    return InvalidInput(f"{what} {id!r} is not in the evidence registry", mend=mend)
