"""Why: the floor of the loss is one set of numbers among many that the figures allow. The Gauss-Newton curvature there
gives a normal posterior at once (Laplace); it is wrong where a share runs into 0 or a median jumps a day. So its draws
are only where chains begin: each is moved by Metropolis steps under the true posterior, whose proposals are reversible
under the Laplace approximation, so that most are taken where that is good and few where it is not (decision 0008).

Given the shared scores, products do not depend on each other: one evaluation of all cohorts settles a step of every
product. Scores that are `kept` (contested drug effects) are drawn with the prior's width about the fitted value and
stay; everything else is drawn given them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cartsim.calibrate.crew import Crew
from cartsim.calibrate.evolution import normals
from cartsim.calibrate.newton import Slope, settle
from cartsim.draws import name_counter, study_key, uniforms

#: Width of the first shared proposals (1 forgets where the chain was), its bounds, and the acceptance to keep to.
SCALE, LEAST, MOST = 0.35, 0.05, 1.0
ACCEPTED = (0.2, 0.4)
#: Width of product proposals in turn: far and near.
OWN_SCALES = (1.0, 0.5)
#: Decimals of figures about the draws.
_ROUND = 4


@dataclass(frozen=True)
class Normal:
    """A multivariate normal distribution by mean, covariance and precision."""

    mean: np.ndarray
    covariance: np.ndarray

    @property
    def root(self) -> np.ndarray:
        """Cholesky factor of the covariance."""
        return np.linalg.cholesky(self.covariance)

    def square(self, points: np.ndarray) -> np.ndarray:
        """Squared Mahalanobis distance of points [m, n] from the mean, [m]."""
        apart = points - self.mean
        return np.einsum("mi,ij,mj->m", apart, np.linalg.inv(self.covariance), apart)


@dataclass(frozen=True)
class Posterior:
    """Draws of the scores [draws, size], the Laplace covariance, and how well the draws are mixed."""

    draws: np.ndarray
    covariance: np.ndarray
    checks: Mapping[str, Any]


class Sampler:
    """Draws from the posterior about a slope. `own`: scores of each block of products; `kept`: see above."""

    def __init__(
        self,
        crew: Crew,
        slope: Slope,
        own: Mapping[str, Sequence[int]],
        kept: Sequence[int] = (),
        seed: int = 0,
    ) -> None:
        self.crew, self.slope, self.seed = crew, slope, seed
        self.own = {block: list(places) for block, places in own.items()}
        self.kept = list(kept)
        self.size = crew.problem.size
        inside = {place for places in self.own.values() for place in places}
        self.shared = [place for place in range(self.size) if place not in inside]
        self.free = [place for place in self.shared if place not in self.kept]
        self.precision = slope.precision()
        self.covariance = slope.covariance()
        self.scale = SCALE
        self._known: tuple[np.ndarray, list[np.ndarray]] | None = None
        self._groups = {
            block: [n for n, group in enumerate(crew.problem.groups) if group.block == block]
            for block in self.own
        }

    def first(self, count: int) -> np.ndarray:
        """Laplace draws, [count, size]: kept scores at the prior's width, the others given them."""
        drawn = np.empty((count, self.size))
        noise = normals(f"{self.seed}/draws", count * self.size).reshape(count, self.size)
        drawn[:, self.kept] = self.slope.z[self.kept] + noise[:, self.kept]
        rest = [place for place in range(self.size) if place not in self.kept]
        inner = Normal(np.zeros(len(rest)), _inverse(self.precision[np.ix_(rest, rest)]))
        drawn[:, rest] = self._given(rest, self.kept, drawn) + noise[:, rest] @ inner.root.T
        return settle(drawn)

    def check(self, drawn: np.ndarray) -> dict[str, Any]:
        """How good the Laplace approximation is: effective share of importance-weighted draws, jointly and by block."""
        real = self._data(drawn)
        apart = drawn - self.slope.z
        gaps, start = [], 0
        for part in real:
            rows = slice(start, start + part.shape[1])
            told = self.slope.residuals[rows] + apart @ self.slope.jacobian[rows].T
            gaps.append((part**2).sum(axis=1) - (told**2).sum(axis=1))
            start += part.shape[1]
        found = {"ess": {"all": _effective(sum(gaps, np.zeros(len(drawn))))}}
        for block, groups in self._groups.items():
            found["ess"][block] = _effective(sum((gaps[n] for n in groups), np.zeros(len(drawn))))
        return {**found, "loss": _told(self._squares(real, drawn))}

    def sweep(self, drawn: np.ndarray, number: int, scale: float) -> tuple[np.ndarray, dict[str, Any]]:
        """Every draw moved once: shared scores (products follow), then each product by itself."""
        self.scale = scale or SCALE
        real, shared = self._data(drawn), None
        if self.free:
            drawn, real, shared = self._move_shared(drawn, real, number)
        drawn, real, taken = self._move_own(drawn, real, number)
        self._known = drawn, real
        told = {"accepted": {"shared": shared, **taken}, "loss": _told(self._squares(real, drawn))}
        return drawn, told

    def finish(self, drawn: np.ndarray, lines: Sequence[Mapping[str, Any]]) -> Posterior:
        """The posterior as it is handed on."""
        return Posterior(
            drawn, self.covariance, {"lines": [one for one in lines if "ess" in one or "accepted" in one]}
        )

    def _move_shared(
        self, drawn: np.ndarray, real: list[np.ndarray], number: int
    ) -> tuple[np.ndarray, list[np.ndarray], float]:
        """Shared scores are proposed under their Laplace marginal given the kept ones; products shift with them."""
        products = [place for places in self.own.values() for place in places]
        centre = self._given(self.free, self.kept, drawn)
        inner = Normal(np.zeros(len(self.free)), self._marginal_covariance(self.free, self.kept))
        noise = normals(f"{self.seed}/shared/{number}", drawn[:, self.free].size).reshape(len(drawn), -1)
        apart = drawn[:, self.free] - centre
        moved = drawn.copy()
        moved[:, self.free] = centre + np.sqrt(1 - self.scale**2) * apart + self.scale * noise @ inner.root.T
        if products:
            shift = self._given(products, self.shared, moved) - self._given(products, self.shared, drawn)
            moved[:, products] += shift
        moved = settle(moved)
        new = self._data(moved)
        log_ratio = (self._squares(real, drawn) - self._squares(new, moved)) / 2
        log_ratio -= (inner.square(apart) - inner.square(moved[:, self.free] - centre)) / 2
        taken = np.log(_uniforms(f"{self.seed}/shared/{number}/u", len(drawn))) < log_ratio
        share = float(taken.mean())
        factor = 0.6 if share < ACCEPTED[0] else 1.5 if share > ACCEPTED[1] else 1.0
        self.scale = float(np.clip(self.scale * factor, LEAST, MOST))
        return (
            np.where(taken[:, None], moved, drawn),
            [np.where(taken[:, None], after, before) for after, before in zip(new, real, strict=True)],
            round(share, _ROUND),
        )

    def _move_own(
        self, drawn: np.ndarray, real: list[np.ndarray], number: int
    ) -> tuple[np.ndarray, list[np.ndarray], dict[str, float]]:
        scale = OWN_SCALES[number % len(OWN_SCALES)]
        moved, squares = drawn.copy(), {}
        for block, places in self.own.items():
            centre = self._given(places, self.shared, drawn)
            inner = Normal(np.zeros(len(places)), _inverse(self.precision[np.ix_(places, places)]))
            noise = normals(f"{self.seed}/{block}/{number}", drawn[:, places].size).reshape(len(drawn), -1)
            apart = drawn[:, places] - centre
            moved[:, places] = settle(centre + np.sqrt(1 - scale**2) * apart + scale * noise @ inner.root.T)
            squares[block] = inner.square(apart) - inner.square(moved[:, places] - centre)
        new = self._data(moved, [n for groups in self._groups.values() for n in groups])
        out, kept, told = drawn.copy(), list(real), {}
        for block, places in self.own.items():
            before = (drawn[:, places] ** 2).sum(axis=1) + sum(
                (real[n] ** 2).sum(axis=1) for n in self._groups[block]
            )
            after = (moved[:, places] ** 2).sum(axis=1) + sum(
                (new[n] ** 2).sum(axis=1) for n in self._groups[block]
            )
            log_ratio = (before - after - squares[block]) / 2
            taken = np.log(_uniforms(f"{self.seed}/{block}/{number}/u", len(drawn))) < log_ratio
            out[np.ix_(taken, places)] = moved[np.ix_(taken, places)]
            for n in self._groups[block]:
                kept[n] = np.where(taken[:, None], new[n], real[n])
            told[block] = round(float(taken.mean()), _ROUND)
        return out, kept, told

    def _data(self, drawn: np.ndarray, groups: Sequence[int] | None = None) -> list[np.ndarray]:
        """Residuals of each group at each draw, [draws, rows]; groups that are not asked for are empty."""
        if groups is None and self._known is not None and np.array_equal(self._known[0], drawn):
            return self._known[1]
        wanted = list(range(len(self.crew.problem.groups))) if groups is None else sorted(groups)
        made = self.crew.whole(list(drawn), wanted)
        found = [np.zeros((len(drawn), 0)) for _ in self.crew.problem.groups]
        for place, group in enumerate(wanted):
            found[group] = np.array([parts[place] for parts in made])
        if groups is None:
            self._known = drawn, found
        return found

    @staticmethod
    def _squares(real: Sequence[np.ndarray], drawn: np.ndarray) -> np.ndarray:
        return sum(((part**2).sum(axis=1) for part in real), (drawn**2).sum(axis=1))

    def _given(self, places: Sequence[int], known: Sequence[int], drawn: np.ndarray) -> np.ndarray:
        """Laplace mean of the scores at `places` given those at `known`, whatever the others are, [draws, places]."""
        centre = np.tile(self.slope.z[list(places)], (len(drawn), 1))
        if not len(known):
            return centre
        across = self.covariance[np.ix_(places, known)]
        weights = np.linalg.solve(self.covariance[np.ix_(known, known)], across.T)
        return centre + (drawn[:, list(known)] - self.slope.z[list(known)]) @ weights

    def _marginal_covariance(self, places: Sequence[int], known: Sequence[int]) -> np.ndarray:
        own = self.covariance[np.ix_(places, places)]
        if not len(known):
            return own
        across = self.covariance[np.ix_(places, known)]
        found = own - across @ np.linalg.solve(self.covariance[np.ix_(known, known)], across.T)
        return (found + found.T) / 2


def _inverse(matrix: np.ndarray) -> np.ndarray:
    found = np.linalg.inv(matrix)
    return (found + found.T) / 2


def _uniforms(name: str, count: int) -> np.ndarray:
    return uniforms(study_key(name_counter(f"calibrate/{name}")), np.arange(count), 0)


def _effective(gap: np.ndarray) -> float:
    """Effective share of draws with weights exp(-gap/2)."""
    weights = np.exp(-(gap - gap.min()) / 2)
    return round(float(weights.sum() ** 2 / (weights**2).sum() / len(weights)), _ROUND)


def _told(losses: np.ndarray) -> dict[str, float]:
    low, middle, high = np.quantile(losses, [0.05, 0.5, 0.95]).tolist()
    return {"q05": round(low, _ROUND), "median": round(middle, _ROUND), "q95": round(high, _ROUND)}
