"""Why: subjects must look like the published cohort in every margin and still hang together (a heavy tumour burden
goes with a high LDH). A population is its margins plus one correlation matrix of normal scores, in a fixed order.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from statistics import NormalDist
from typing import Any

import numpy as np

#: Column order; column i is drawn at `Decision.AGE + i`.
NAMES: tuple[str, ...] = (
    "age_years",
    "weight_kg",
    "male",
    "burden",
    "ldh_u_per_l",
    "ferritin_ng_per_ml",
    "crp_mg_per_l",
    "platelets_1e9_per_l",
    "creatinine_mg_per_dl",
    "prior_neuro",
    "cell_dose_1e6",
)
#: Registry key of a column where it is not the column's own name; `burden` is standard normal by definition.
REGISTRY_NAMES: dict[str, str] = {"male": "male_share", "prior_neuro": "prior_neuro_share"}
#: Short names in correlation sets.
SHORT: dict[str, str] = {
    name.split("_")[0]: name for name in NAMES if name not in ("prior_neuro", "cell_dose_1e6")
}
#: Order of `population.risk_weights`.
RISK_MARKERS: tuple[str, ...] = ("burden", "ldh", "ferritin", "crp", "platelets")


class Kind(IntEnum):
    """How a normal score z becomes a covariate. With v = u_low + cdf(z) * (u_high - u_low):

    TRUNCNORM p1 + p2 * quantile(v);  LOGNORMAL exp(p1 + p2 * quantile(v));  BERNOULLI 1 where z > p2, else 0;
    FIXED p1.
    """

    TRUNCNORM = 0
    LOGNORMAL = 1
    BERNOULLI = 2
    FIXED = 3


@dataclass(frozen=True)
class Margin:
    """One covariate: `p1`, `p2` are mean and sd, ln(median) and sdlog, or p and its normal cut; raw low and high."""

    kind: Kind
    p1: float
    p2: float = 0.0
    low: float = -math.inf
    high: float = math.inf

    @property
    def cut(self) -> tuple[float, float]:
        """Cumulative probability at low and high before cutting."""
        if self.kind not in (Kind.TRUNCNORM, Kind.LOGNORMAL):
            return 0.0, 1.0
        return self._cdf(self.low), self._cdf(self.high)

    def _cdf(self, x: float) -> float:
        if self.kind is Kind.LOGNORMAL:
            x = math.log(x) if x > 0 else -math.inf
        z = (x - self.p1) / self.p2
        return 0.5 * math.erfc(-z / math.sqrt(2.0))


def read_margin(spec: float | Mapping[str, Any]) -> Margin:
    """A margin from a number (fixed) or from `{dist: truncnorm|lognormal|bernoulli, ...}`.

    A lognormal takes `median` and `sdlog` or `cv`; `low` and `high` may be missing. Raises `KeyError` where a
    parameter is missing and `ValueError` for an unknown `dist`.
    """
    if not isinstance(spec, Mapping):
        return Margin(Kind.FIXED, float(spec))
    low, high = float(spec.get("low", -math.inf)), float(spec.get("high", math.inf))
    match spec["dist"]:
        case "truncnorm":
            return Margin(Kind.TRUNCNORM, float(spec["mean"]), float(spec["sd"]), low, high)
        case "lognormal":
            sdlog = spec["sdlog"] if "sdlog" in spec else math.sqrt(math.log1p(spec["cv"] ** 2))
            median = float(spec["median"])
            if sdlog == 0:
                return Margin(Kind.FIXED, median)
            return Margin(Kind.LOGNORMAL, math.log(median), float(sdlog), max(low, 0.0), high)
        case "bernoulli":
            return Margin(Kind.BERNOULLI, float(spec["p"]), _upper_cut(float(spec["p"])))
        case other:
            raise ValueError(f"unknown distribution {other!r}")


@dataclass(frozen=True)
class Population:
    """Margins in the order of `NAMES`, correlation of their normal scores, and what makes the latent risk."""

    id: str
    title: str
    product: str
    cell_dose_unit: str
    margins: tuple[Margin, ...]
    correlation: np.ndarray  # [name, name], of normal scores
    high_burden_share: float
    risk_weights: np.ndarray  # [name], for normal scores; the risk they make has variance 1

    def with_covariate(self, name: str, spec: float | Mapping[str, Any]) -> "Population":
        """A copy in which one covariate (column or registry name) has another margin; see `read_margin`.

        A number for `male_share`, `prior_neuro_share` or `high_burden_share` is a share. Raises `KeyError` for an
        unknown name.
        """
        if name == "high_burden_share" and not isinstance(spec, Mapping):
            return replace(self, high_burden_share=float(spec))
        for column, registry_name in REGISTRY_NAMES.items():
            if name == registry_name and not isinstance(spec, Mapping):
                name, spec = column, {"dist": "bernoulli", "p": spec}
        if name not in NAMES:
            raise KeyError(name)
        margins = list(self.margins)
        margins[NAMES.index(name)] = read_margin(spec)
        return replace(self, margins=tuple(margins))

    def parameters(self) -> dict[str, Any]:
        """Arrays for compiled code, all in the order of `names`.

        `names`; `chol` [11, 11] lower Cholesky factor of the correlation of normal scores; `kind` int8; `p1`, `p2`,
        `low`, `high`, `u_low`, `u_high` as `Kind` explains; `burden_cut`: burden is high above it; `risk_weights`:
        risk = weights . scores, standard normal.
        """
        columns = [(m.kind, m.p1, m.p2, m.low, m.high, *m.cut) for m in self.margins]
        kind, p1, p2, low, high, u_low, u_high = (
            np.array(column, dtype="f8") for column in zip(*columns, strict=True)
        )
        return {
            "names": NAMES,
            "chol": np.linalg.cholesky(self.correlation),
            "kind": kind.astype(np.int8),
            "p1": p1,
            "p2": p2,
            "low": low,
            "high": high,
            "u_low": u_low,
            "u_high": u_high,
            "burden_cut": _upper_cut(self.high_burden_share),
            "risk_weights": self.risk_weights,
        }


def build_correlation(pairs: list[list[Any]]) -> np.ndarray:
    """Symmetric [11, 11] matrix from [short name, short name, rho]; raises `ValueError` on names, rho, definiteness."""
    matrix = np.eye(len(NAMES))
    seen: set[frozenset[str]] = set()
    for a, b, rho in pairs:
        if a not in SHORT or b not in SHORT or a == b or frozenset((a, b)) in seen or not -1 < rho < 1:
            raise ValueError(f"[{a}, {b}, {rho}] is unknown, repeated, or not within -1 and 1")
        seen.add(frozenset((a, b)))
        i, j = NAMES.index(SHORT[a]), NAMES.index(SHORT[b])
        matrix[i, j] = matrix[j, i] = rho
    if np.linalg.eigvalsh(matrix)[0] < 1e-6:
        raise ValueError("the correlations contradict each other: the matrix is not positive definite")
    return matrix


def scale_risk(weights: list[float], correlation: np.ndarray) -> np.ndarray:
    """Weights over `NAMES` from those over `RISK_MARKERS`, scaled so that the risk has variance 1."""
    wide = np.zeros(len(NAMES))
    for short, weight in zip(RISK_MARKERS, weights, strict=True):
        wide[NAMES.index(SHORT[short])] = weight
    variance = float(wide @ correlation @ wide)
    return wide / math.sqrt(variance) if variance > 0 else wide


def _upper_cut(share: float) -> float:
    """The normal score above which `share` of subjects lie."""
    if share <= 0:
        return math.inf
    return -math.inf if share >= 1 else NormalDist().inv_cdf(1 - share)
