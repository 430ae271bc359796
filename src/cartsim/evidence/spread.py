"""Why: most numbers of the model are known only within a range, and an answer that holds for one choice of them may not
hold for the next. Here an entry's own account of its uncertainty becomes a distribution that a parameter set, a
sensitivity analysis or a tipping value can walk through, by the same rules everywhere.

Rules, the first that applies:

1. `uncertainty: beta` (events of n): Beta(events + 1/2, n - events + 1/2), the posterior under Jeffreys' prior.
2. `uncertainty: lognormal`: median the value, `sd` the standard deviation of the logarithm.
3. `uncertainty: normal`: mean the value, standard deviation `sd`, cut to what the unit allows.
4. A range whose two ends are equal, or no range: the number is fixed.
5. Whole numbers (unit grade, level, doses or yes/no): every whole number of the range is equally likely.
6. A range from a to b with 0 < a and b/a > 10: uniform on the logarithm; any other range: uniform.

In a distribution of a covariate rules 1 to 3 are about its centre (p, median, mean), and a range is about the parameter
it names. A list has a range for each of its numbers. Where they must rise they move as one, which keeps them rising;
otherwise each may move on its own.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np

from cartsim.evidence.behaviour import BEHAVIOUR_KEYS
from cartsim.evidence.entries import UNITS, DistributionEntry, Entry, NumberEntry

if TYPE_CHECKING:
    from cartsim.evidence.registry import Registry

Kind = Literal["beta", "lognormal", "normal", "uniform", "log-uniform", "whole"]
Value = float | list[float]

WHOLE_UNITS = frozenset({"grade", "level", "doses", "yes/no"})
#: A range wider than this is taken to be a guess of the order of magnitude.
LOG_RATIO = 10.0
#: Definitions of scales and numbers of the method are no uncertain quantities: a parameter set leaves them alone.
LEFT_ALONE = ("grading.", "numerics.")
#: Ends of one interval: where a parameter set draws them the wrong way round, they change places.
ORDERED = (("behaviour.order_delay_min_h", "behaviour.order_delay_max_h"),)
#: Where a distribution has no end, nothing beyond these probabilities is asked for.
ENDS = (1e-9, 1.0 - 1e-9)
#: ... and a design that wants a lowest and a highest value gets these.
TAILS = (0.005, 0.995)
_CENTRES = {"bernoulli": "p", "lognormal": "median", "truncnorm": "mean"}


@dataclass(frozen=True)
class Spread:
    """What values one registry number may take.

    `ends` are (low, high) for each number where `kind` has a range, else the two parameters of the distribution:
    (a, b) of a beta, (mean, sd) of the logarithm or of a normal. `size` is 0 for a scalar, else the length of a list.
    """

    key: str
    kind: Kind
    ends: tuple[tuple[float, float], ...]
    size: int = 0
    moves_as_one: bool = True
    limits: tuple[float, float] = (-math.inf, math.inf)

    def quantile(self, u: float | Sequence[float]) -> Value:
        """The value at probability `u` (0 to 1); of a list, at one `u` for all or one for each.

        Rises with `u`, and is finite at 0 and 1.
        """
        if not self.size:
            assert isinstance(u, int | float)
            return self._one(self.ends[0], float(u))
        each = [float(u)] * self.size if isinstance(u, int | float) else [float(one) for one in u]
        return [self._one(ends, one) for ends, one in zip(self.ends, each, strict=True)]

    @property
    def uniforms_needed(self) -> int:
        """How many independent uniform numbers a draw takes."""
        return 1 if self.moves_as_one else self.size

    @property
    def bounded(self) -> bool:
        """Whether 0 and 1 are values of their own."""
        return self.kind in ("uniform", "log-uniform", "whole")

    def _one(self, ends: tuple[float, float], u: float) -> float:
        a, b = ends
        if self.kind == "uniform":
            # exact at both ends, so that a range is never left by rounding
            return a if u <= 0 else b if u >= 1 else min(max(a + u * (b - a), a), b)
        if self.kind == "whole":
            return min(a + math.floor(u * (b - a + 1)), b)
        if self.kind == "log-uniform":
            return a if u <= 0 else b if u >= 1 else min(max(a * (b / a) ** u, a), b)
        u = min(max(u, ENDS[0]), ENDS[1])
        if self.kind == "beta":
            from scipy.special import betaincinv

            return float(betaincinv(a, b, u))
        normal = NormalDist()
        if self.kind == "lognormal":
            return math.exp(a + b * normal.inv_cdf(u))
        low, high = (normal.cdf((limit - a) / b) for limit in self.limits)
        return min(max(a + b * normal.inv_cdf(low + u * (high - low)), self.limits[0]), self.limits[1])


def spread_of(key: str, entry: Entry) -> Spread | None:
    """The distribution of a registry number; None where it is fixed.

    `key` is a key of `Registry.numbers()`, `entry` the entry it belongs to (`population.lbcl.weight_kg.median`
    belongs to `population.lbcl.weight_kg`).
    """
    if isinstance(entry, NumberEntry):
        return _number_spread(key, entry)
    if isinstance(entry, DistributionEntry):
        return _parameter_spread(key, entry, key.rpartition(".")[2])
    return None


def find_spread(registry: "Registry", key: str) -> Spread | None:
    """`spread_of` a key of `registry.numbers()`; None where it is fixed or unknown."""
    entry = registry.get(key) or registry.get(key.rpartition(".")[0])
    return spread_of(key, entry) if entry is not None else None


def all_spreads(registry: "Registry") -> dict[str, Spread]:
    """Every uncertain number of the registry by key, in the order of keys."""
    found = {key: find_spread(registry, key) for key in sorted(registry.numbers())}
    return {key: spread for key, spread in found.items() if spread is not None}


@lru_cache(maxsize=256)
def draw_numbers(product: str, seed: int, draw: int) -> Mapping[str, Value]:
    """Parameter set number `draw` of a study: registry key -> value, for what subjects of `product` depend on.

    A number is drawn at an address made of its own key, so that another entry, another product or another set
    changes none of the others. Calibrated numbers belong together: they are those of one draw of the posterior.
    """
    from cartsim.draws import study_key, uniforms
    from cartsim.terms import Decision

    plain, others, counters = _drawn_for(product)
    us = uniforms(study_key(seed), counters, Decision.PARAMETER, draw)
    ends = np.array([spread.ends[0] for spread in plain])
    values = ends[:, 0] + us[: len(plain)] * (ends[:, 1] - ends[:, 0])
    drawn: dict[str, Value] = dict(
        zip([spread.key for spread in plain], np.clip(values, ends[:, 0], ends[:, 1]).tolist(), strict=True)
    )
    rest = iter(us[len(plain) :].tolist())
    for spread in others:
        each = [next(rest) for _ in range(spread.uniforms_needed)]
        drawn[spread.key] = spread.quantile(each[0] if spread.moves_as_one else each)
    for lower, upper in ORDERED:
        first, second = drawn[lower], drawn[upper]
        assert isinstance(first, float) and isinstance(second, float)
        drawn[lower], drawn[upper] = min(first, second), max(first, second)
    return MappingProxyType({**drawn, **_calibrated(product, draw)})


def _calibrated(product: str, draw: int) -> Mapping[str, Value]:
    """What the calibration's draw number `draw` (modulo its draws) says about a product."""
    from cartsim.evidence.calibrated import own_calibration, whole_values
    from cartsim.evidence.registry import load_registry

    calibration = own_calibration()
    if calibration is None:
        return {}
    values = whole_values(load_registry(), calibration.draw(draw))
    return {
        key: value
        for key, value in values.items()
        if not key.startswith("product.") or key.startswith(f"product.{product}.")
    }


@lru_cache(maxsize=32)
def _drawn_for(product: str) -> tuple[tuple[Spread, ...], tuple[Spread, ...], tuple[int, ...]]:
    """What a parameter set of a product draws: plain uniform numbers (the most), the others, and the place of every
    uniform number that they take, in this order."""
    from cartsim.draws import name_counter
    from cartsim.evidence.registry import load_registry

    registry = load_registry()
    own = (f"product.{product}.", f"population.{registry.product(product).population}.")
    shared = "population.risk_weights"

    def concerns(key: str) -> bool:
        if key.startswith(("product.", "population.")):
            return key.startswith(own) or key == shared
        return not key.startswith(LEFT_ALONE)

    spreads = [spread for key, spread in all_spreads(registry).items() if concerns(key)]
    plain = tuple(spread for spread in spreads if spread.kind == "uniform" and not spread.size)
    others = tuple(spread for spread in spreads if spread not in plain)
    names = [spread.key for spread in plain] + [
        f"{spread.key}#{place}" if spread.uniforms_needed > 1 else spread.key
        for spread in others
        for place in range(spread.uniforms_needed)
    ]
    return plain, others, tuple(name_counter(name) for name in names)


def _number_spread(key: str, entry: NumberEntry) -> Spread | None:
    if entry.uncertainty is not None and entry.uncertainty.kind != "uniform" and not entry.size:
        assert isinstance(entry.value, float)
        return _told_spread(key, entry, entry.value)
    if entry.range is None:
        return None
    ends = tuple(entry.ranges())
    return _range_spread(key, ends, entry.size, entry.unit, entry.ascending)


def _parameter_spread(key: str, entry: DistributionEntry, name: str) -> Spread | None:
    told = entry.uncertainty
    if told is not None and told.kind != "uniform" and name == _CENTRES[entry.dist]:
        return _told_spread(key, entry, entry.value[name])
    if name not in (entry.range or {}):
        return None
    assert entry.range is not None
    low, high = entry.range[name]
    if name in ("mean", "median"):
        # the limits of the covariate hold its centre too
        low, high = max(low, entry.value["low"]), min(high, entry.value["high"])
    return _range_spread(key, ((low, high),), 0, "", False)


def _told_spread(key: str, entry: Entry, value: float) -> Spread:
    told = entry.uncertainty
    assert told is not None
    if told.kind == "beta":
        assert told.events is not None and told.n is not None
        return Spread(key, "beta", ((told.events + 0.5, told.n - told.events + 0.5),))
    assert told.sd is not None
    if told.kind == "lognormal":
        return Spread(key, "lognormal", ((math.log(value), told.sd),))
    return Spread(key, "normal", ((value, told.sd),), limits=UNITS[entry.unit])


def _range_spread(
    key: str, ends: tuple[tuple[float, float], ...], size: int, unit: str, ascending: bool
) -> Spread | None:
    if all(low == high for low, high in ends):
        return None
    wide = not size and ends[0][0] > 0 and ends[0][1] / ends[0][0] > LOG_RATIO
    kind: Kind = "whole" if unit in WHOLE_UNITS else "log-uniform" if wide else "uniform"
    return Spread(key, kind, ends, size, moves_as_one=not size or ascending)


def registry_key(path: str, product: str | None) -> str | None:
    """The registry number that a dotted path of a scenario changes; None for any other path."""
    parts = path.split(".")
    if path.startswith("model.overrides."):
        return ".".join(parts[2:])
    if path.startswith("product.overrides.") and product is not None:
        return ".".join(["product", product, *parts[2:]])
    if parts[0] == "arms" and len(parts) > 3 and parts[2] == "model":
        return ".".join(parts[3:])
    below = parts[2:] if parts[0] == "arms" else parts
    return BEHAVIOUR_KEYS.get(".".join(below[1:])) if below[:1] == ["behaviour"] else None
