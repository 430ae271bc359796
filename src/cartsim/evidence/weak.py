"""Why: some numbers are hardly known at all: no published table identifies them, and the answer leans on what was
assumed. A reader must see what becomes of the answer when each of them lies at the edge of what is plausible.

What counts as weakly identified is read from the calibration where there is one (posterior sd above four fifths of the
prior's). A number that no calibration has touched is on the list below: effects of drugs, for which there is no
controlled evidence, and what single cohorts do not identify of the disease.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

from cartsim.evidence import calibrated
from cartsim.evidence.calibrated import TRANSFORMS, list_places
from cartsim.evidence.entries import NumberEntry
from cartsim.evidence.registry import Registry, load_registry
from cartsim.evidence.spread import find_spread

Value = float | list[float]

#: Posterior sd over prior sd from which a number counts as not identified.
WEAK_FROM = 0.8
#: How far a prior is pushed, in its standard deviations; a range has ends instead.
SHIFT = 2
#: Numbers that nothing identifies, by what must play a part in a scenario; {product} is its product.
ASSUMED: Mapping[str, tuple[str, ...]] = {
    "tocilizumab": ("effect", "response_quantile", "response_severity", "fever_ratio", "icans_shift", "kd_mg_per_l"),
    "steroid": ("crs_emax", "icans_emax", "a50_mg", "offset_halflife_d"),
    "anakinra": ("crs_effect", "icans_effect", "b50_mg"),
    "disease": ("frailty_correlation", "icans_without_crs_penalty", "cell_dose_slope"),
    "product.{product}": ("crs_sigma", "crs_ascent_per_d", "crs_peak_spread", "icans_sigma", "icans_lag_d"),
}  # fmt: skip
#: Heads of registry keys that belong to a drug: they matter only where it may be given.
DRUGS = ("tocilizumab", "steroid", "anakinra")


@dataclass(frozen=True)
class WeakPrior:
    """One number at two edges of what is plausible. `element` is its place in a list, null for a number by itself;
    `carries`: the elements after it keep their distance and move along (thresholds, which must rise)."""

    key: str
    element: int | None
    low: float
    high: float
    carries: bool = False

    @property
    def name(self) -> str:
        """As tables spell it."""
        return self.key if self.element is None else f"{self.key}[{self.element}]"

    def setting(self, upwards: bool, central: Value) -> Value:
        """What the registry number is set to; `central` is the number as it stands."""
        value = self.high if upwards else self.low
        if self.element is None or not isinstance(central, list):
            return value
        shift = value - central[self.element] if self.carries else 0.0
        later = [one + shift for one in central[self.element + 1 :]]
        return [*central[: self.element], value, *later]


def weak_priors(
    product: str, drugs: Collection[str], set_by_hand: Collection[str] = ()
) -> tuple[WeakPrior, ...]:
    """What is weakly identified of `product` where these `drugs` may be given, in the order of the registry.

    Numbers that a scenario sets itself (`set_by_hand`) are its own assertion and left out.
    """
    fitted = _fitted()
    registry = load_registry()
    found = [
        prior
        for prior in (
            *_from_calibration(registry, fitted),
            *_from_list(registry, product, {list_places(p["key"])[0] for p in fitted}),
        )
        if _concerns(prior.key, product, drugs) and prior.key not in set_by_hand
    ]
    order = {key: place for place, key in enumerate(registry.numbers())}
    return tuple(sorted(found, key=lambda prior: (order.get(prior.key, len(order)), prior.element or 0)))


def _concerns(key: str, product: str, drugs: Collection[str]) -> bool:
    head, _, rest = key.partition(".")
    if head in DRUGS:
        return head in drugs
    return head != "product" or rest.startswith(f"{product}.")


def _from_list(registry: Registry, product: str, fitted: Collection[str]) -> Iterator[WeakPrior]:
    for head, names in ASSUMED.items():
        for name in names:
            key = f"{head.format(product=product)}.{name}"
            spread = find_spread(registry, key)
            if key in fitted or spread is None:
                continue
            # a range has no tails: its ends are what its author thought possible
            ends = (0.0, 1.0) if spread.bounded else tuple(NormalDist().cdf(s) for s in (-SHIFT, SHIFT))
            low, high = (spread.quantile(u) for u in ends)
            if isinstance(low, float) and isinstance(high, float):
                yield WeakPrior(key, None, low, high)


def _from_calibration(registry: Registry, fitted: Collection[Mapping[str, Any]]) -> Iterator[WeakPrior]:
    for one in fitted:
        if one["identifiability"] <= WEAK_FROM:
            continue
        prior = one["prior"]
        key, element = list_places(one["key"])
        entry, before = registry[key], 0.0
        assert isinstance(entry, NumberEntry)
        if element and isinstance(entry.value, list):
            before = entry.value[element - 1]
        back = TRANSFORMS[prior["transform"]].back
        low, high = sorted(back(prior["mean"] + s * prior["sd"], before) for s in (-SHIFT, SHIFT))
        yield WeakPrior(key, element, low, high, element is not None and entry.ascending)


@lru_cache(maxsize=1)
def _fitted() -> tuple[Mapping[str, Any], ...]:
    """Parameters of the package's calibration; none where it has not been calibrated."""
    found = calibrated.FOLDER / calibrated.POINT
    return tuple(json.loads(found.read_text("utf-8"))["parameters"]) if found.is_file() else ()
