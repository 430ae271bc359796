"""Why: less severe CRS may cost steroids, and no single number can say how much of one is worth the other. The front
shows the settings that nothing beats in everything; what Monte Carlo noise cannot separate may be on it too.

All objectives are minimised here (the caller turns the sign of one that is not). Every pair of candidates is compared
on the same subjects. "Certainly dominated" holds for all candidates at once with the stated confidence: the error is
shared equally (Bonferroni) by all ordered pairs, all objectives and all looks, the j-th look taking 1 / (j (j + 1))
of it, so that looking again while subjects are added costs nothing in truth. The sizes at which to look are fixed
beforehand.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cartsim.search.selection import FEW

Floats = NDArray[np.float64]

#: Each look has this many times the subjects of the one before.
GROWTH = 1.5


def point_front(means: Floats) -> NDArray[np.bool_]:
    """(k,) True where no other row is at most as large in every column and smaller in one; `means` (k, objectives).

    Rows that are equal to each other stay together.
    """
    means = np.asarray(means, float)
    stays = np.ones(len(means), bool)
    for i, row in enumerate(means):
        stays[i] = not ((means <= row).all(axis=1) & (means < row).any(axis=1)).any()
    return stays


def upper_bounds(difference: Floats, error: float, reach: Sequence[float]) -> Floats:
    """(objectives,) upper bounds of the means of `difference` (subjects, objectives), each missed with `error`.

    Where no subject differs the bound is 0: the two are taken as equal in that objective. Where fewer than `FEW`
    differ, a normal interval would be too short by what has not been seen: `reach`, the largest difference one
    subject can make, enters at a rate that would have been seen but for `error`.
    """
    from scipy.special import stdtrit

    n = len(difference)
    means, sd = difference.mean(axis=0), difference.std(axis=0, ddof=1)
    bounds = means - float(stdtrit(n - 1, error)) * sd / np.sqrt(n)
    differing = np.count_nonzero(difference, axis=0)
    unseen = np.asarray(reach, float) * -np.log(error) / n
    return np.where(differing == 0, 0.0, bounds + np.where(differing < FEW, unseen, 0.0))


@dataclass
class Front:
    """Which of `k` candidates may be on the front of `objectives` endpoints, looked at again as subjects come.

    `reach`: per objective the largest difference one subject can make. `look_at` is the number of subjects of the
    next look; `dominated` gives for every candidate that is out who dominates it.
    """

    k: int
    reach: Sequence[float]
    confidence: float
    look_at: int
    looks: int = 0
    dominated: dict[int, int] = field(default_factory=dict)
    #: Subjects at which a candidate was found dominated.
    subjects: dict[int, int] = field(default_factory=dict)

    @property
    def open(self) -> list[int]:
        """Candidates that may be on the front."""
        return [candidate for candidate in range(self.k) if candidate not in self.dominated]

    @property
    def error(self) -> float:
        """Share of the error that one bound of the next look takes."""
        pairs = max(self.k * (self.k - 1), 1) * len(self.reach)
        return (1 - self.confidence) / (pairs * (self.looks + 1) * (self.looks + 2))

    def look(self, samples: Sequence[Floats]) -> list[int]:
        """Compare all candidates in `open` on their first `look_at` subjects; return who is out now.

        `samples[candidate]` has shape (subjects, objectives); only those in `open` are read.
        """
        here, n, error = self.open, self.look_at, self.error
        means = np.array([samples[i][:n].mean(axis=0) for i in here])
        out: dict[int, int] = {}
        for place, i in enumerate(here):
            better = np.flatnonzero((means <= means[place]).all(axis=1) & (means < means[place]).any(axis=1))
            # The best of those that may dominate first: most candidates that are out are beaten by it.
            for other in better[np.argsort(means[better].sum(axis=1))]:
                bounds = upper_bounds(samples[here[other]][:n] - samples[i][:n], error, self.reach)
                if (bounds <= 0).all() and (bounds < 0).any():
                    out[i] = here[other]
                    break
        self.looks += 1
        self.dominated |= out
        self.subjects |= dict.fromkeys(out, n)
        return list(out)

    def grow(self, step: int) -> None:
        """Set the size of the next look, a multiple of `step` subjects."""
        self.look_at = -(-int(self.look_at * GROWTH) // step) * step

    def statement(self) -> str:
        """What is claimed, with which probability, under which assumptions."""
        looks = "1 look" if self.looks == 1 else f"{self.looks} looks"
        return (
            f"With probability at least {100 * self.confidence:g} % no candidate called dominated is on the front of "
            f"the {len(self.reach)} objectives (paired differences on the same subjects, Bonferroni over all pairs, "
            f"objectives and {looks}). Two candidates that differ in no subject count as equal."
        )
