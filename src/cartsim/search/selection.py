"""Why: "the setting with the lowest rate won" says nothing when rates are simulated. Here the winner comes with a
stated probability of being the right one, and subjects are spent where the choice is close.

The procedure is KN (Kim and Nelson 2001, ACM TOMACS 11:251): fully sequential, for any correlation between
candidates. Every candidate meets the same subjects, so a pair is judged by the variance S2 of its *paired* difference;
after n units a candidate leaves when its sum exceeds another's by more than

    max(0, (h2 * S2 / d2 - n) * d / 2)          d = indifference, h2 = 2 * eta * (first - 1)

with eta from the confidence and the number of candidates (Bonferroni over the others, which is what allows common
random numbers). The boundary closes, so the procedure ends whatever the means.

Its proof wants normal data, and a 0/1 outcome is not normal: two policies differ in few subjects, and the difference
is then 0, 0, 0, 1, 0. The unit is therefore the *mean of a batch of subjects*. A batch also hides nothing: where fewer
than `FEW` subjects of the first stage differ between two candidates their observed variance says little (it may be 0),
and the one that a difference of d would bring by rare large steps, d * (reach - d), is the least that is assumed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Subjects in whom two candidates must differ before their observed variance is believed.
FEW = 30
FIRST, BATCH = 50, 60


@dataclass(frozen=True)
class Elimination:
    """A candidate left: `by` whom, after how many `subjects`, and the mean `difference` then (candidate minus by)."""

    candidate: int
    by: int
    subjects: int
    difference: float
    tie: bool = False


def eta(k: int, confidence: float, first: int) -> float:
    """Kim and Nelson's constant (c = 1) for `k` >= 2 candidates and `first` units in the first stage."""
    return 0.5 * ((2 * (1 - confidence) / (k - 1)) ** (-2 / (first - 1)) - 1)


def boundary(k: int, confidence: float, first: int) -> float:
    """h2: a pair of variance S2 is settled after h2 * S2 / indifference^2 units at the latest."""
    return 2 * eta(k, confidence, first) * (first - 1)


class Selection:
    """Choose the candidate with the smallest mean from samples that come in over time.

    `k` candidates; `confidence` is the probability of choosing the best where it is better than every other by at
    least `indifference` (same unit as the samples). The first stage has `first` batches of `batch` subjects;
    `ceiling` limits the subjects of a candidate; `reach` is the largest difference one subject can make (1 for a 0/1
    outcome; null: the spread seen in the first stage).

    Give `update` the next subjects of every candidate in `active`, the same subjects for all. Decisions depend on the
    samples alone, never on how many came at once. Raises ValueError for settings that make no sense.
    """

    def __init__(
        self,
        k: int,
        confidence: float = 0.95,
        indifference: float = 0.005,
        first: int = FIRST,
        batch: int = BATCH,
        *,
        ceiling: int | None = None,
        reach: float | None = None,
    ) -> None:
        if k < 1:
            raise ValueError(f"k is {k}; there must be at least one candidate")
        if not 0.5 <= confidence < 1:
            raise ValueError(f"confidence is {confidence:g}; it lies in [0.5, 1)")
        if not (indifference > 0 and math.isfinite(indifference)):
            raise ValueError(f"indifference is {indifference:g}; it must be above 0")
        if first < 2 or batch < 1:
            raise ValueError(
                f"first is {first} and batch {batch}; at least 2 batches of 1 subject are needed"
            )
        if ceiling is not None and ceiling < first * batch:
            raise ValueError(f"ceiling is {ceiling}; the first stage alone takes {first * batch} subjects")
        if reach is not None and not reach > 0:
            raise ValueError(f"reach is {reach:g}; it must be above 0")
        self.k, self.confidence, self.indifference = k, confidence, indifference
        self.first, self.batch, self.ceiling, self.reach = first, batch, ceiling, reach
        self.active: tuple[int, ...] = tuple(range(k))
        self.history: list[Elimination] = []
        #: Subjects every candidate in `active` has had, those that wait for a full batch included.
        self.subjects = 0
        #: Subjects on which the last decision rests.
        self.judged = 0
        self._h2 = boundary(k, confidence, first) if k > 1 else 0.0
        self._sums = np.zeros(k)
        self._waiting: Floats = np.empty((0, k))
        # (active, active) units at which the boundary of each pair closes; None during the first stage.
        self._ends: Floats | None = None

    @property
    def decided(self) -> bool:
        """True when one candidate is left."""
        return len(self.active) == 1

    @property
    def exhausted(self) -> bool:
        """True when the ceiling ended the search before it was decided."""
        return not self.decided and self._batches_left() == 0

    @property
    def best(self) -> int | None:
        """The chosen candidate; None until the choice is made."""
        return self.active[0] if self.decided else None

    @property
    def leader(self) -> int:
        """The candidate in the running with the smallest mean so far (ties: the first)."""
        return self.active[int(np.argmin(self._sums[list(self.active)]))]

    def most_subjects(self) -> int | None:
        """Subjects at which the choice is made at the latest, without a ceiling; None before the first stage."""
        if self._ends is None:
            return None
        return max(self.judged, math.ceil(float(self._ends.max(initial=0.0))) * self.batch)

    def update(self, samples: Mapping[int, Floats] | Sequence[Floats]) -> tuple[int, ...]:
        """Take in the next subjects of every candidate in the running; return those that still need subjects.

        `samples[candidate]` has shape (n,), n the same for all of `active`; samples of others are ignored. What goes
        beyond the ceiling is not looked at. Raises ValueError for another shape or a number that is not finite.
        """
        if self.decided or self.exhausted:
            return ()
        columns = [np.asarray(samples[candidate], float) for candidate in self.active]
        sizes = {column.shape for column in columns}
        if len(sizes) != 1 or columns[0].ndim != 1:
            raise ValueError(f"every candidate in the running needs the same subjects; got shapes {sizes}")
        new = np.column_stack(columns)
        if not np.isfinite(new).all():
            raise ValueError("a sample is not a finite number")
        self.subjects += len(new)
        self._waiting = np.concatenate([self._waiting, new])
        if self._ends is None:
            self._start()
        while self._ends is not None and not self.decided and self._batches_left():
            if len(self._waiting) < self.batch:
                break
            block, self._waiting = self._waiting[: self.batch], self._waiting[self.batch :]
            self._judge(block)
        return () if self.decided or self.exhausted else self.active

    def statement(self) -> str:
        """What is claimed, with which probability, under which assumptions."""
        if self.k == 1:
            return "There is one candidate: nothing was chosen."
        given = (
            f"provided it is better than every other by at least {self.indifference:g}; differences below that do "
            f"not matter here. Kim and Nelson's fully sequential procedure on the same subjects for every "
            f"candidate, means of {self.batch} subjects taken as normal, {self.first} of them in the first stage"
        )
        share = f"{100 * self.confidence:g} %"
        if self.decided:
            return f"Chosen is the best of {self.k} with probability at least {share}, {given}."
        if self.exhausted:
            return (
                f"Not decided at the ceiling of {self.ceiling:,} subjects: {len(self.active)} of {self.k} are still "
                f"in the running. With probability at least {share} the best is among them, {given}."
            )
        return f"Not decided yet: {len(self.active)} of {self.k} are still in the running."

    def _batches_left(self) -> int:
        if self.ceiling is None:
            return 1
        return self.ceiling // self.batch - self.judged // self.batch

    def _start(self) -> None:
        """The first stage: variances of all paired differences, and the first screening."""
        size = self.first * self.batch
        if len(self._waiting) < size:
            return
        block, self._waiting = self._waiting[:size], self._waiting[size:]
        self.judged = size
        self._sums = block.reshape(self.first, self.batch, self.k).mean(axis=1).sum(axis=0)
        # Row by row: a candidate that is beaten at once needs no place in a k by k table.
        out: list[Elimination] = []
        for i in range(self.k):
            out += self._screen(np.array([i]), self._last_unit(block, i)[None, :])
        self._leave(out)
        here = list(self.active)
        self._ends = np.array([self._last_unit(block, i)[here] for i in here])

    def _last_unit(self, block: Floats, i: int) -> Floats:
        """(k,) batches at which candidate i is settled against each other one; `block` (subjects, k)."""
        difference = block[:, [i]] - block
        variance = difference.reshape(self.first, self.batch, self.k).mean(axis=1).var(axis=0, ddof=1)
        reach = self.reach if self.reach is not None else float(block.max() - block.min())
        least = max(0.0, self.indifference * (reach - self.indifference)) / self.batch
        small = np.flatnonzero(variance < least)
        few = small[np.count_nonzero(difference[:, small], axis=0) < FEW]
        variance[few] = least
        return self._h2 * variance / self.indifference**2

    def _judge(self, block: Floats) -> None:
        """One more batch, and everybody in the running against everybody."""
        here = np.array(self.active)
        self.judged += self.batch
        self._sums[here] += block.mean(axis=0)
        assert self._ends is not None
        if out := self._screen(here, self._ends):
            self._leave(out)

    def _screen(self, rows: NDArray[np.int64], ends: Floats) -> list[Elimination]:
        """Who of `rows` leaves now; `ends` (rows, active): the unit at which each pair's boundary closes."""
        n = self.judged / self.batch
        here = np.array(self.active)
        excess = self._sums[rows][:, None] - self._sums[here][None, :]
        room = np.maximum((ends - n) * (self.indifference / 2), 0.0)
        beaten = excess > room
        # Equal to the last bit when the boundary has closed: either is right, the first one stays.
        tied = (room == 0) & (excess == 0) & (here[None, :] < rows[:, None])
        out = []
        for row in np.flatnonzero((beaten | tied).any(axis=1)):
            by = int(np.argmax(np.where(beaten[row] | tied[row], excess[row], -np.inf)))
            tie = not beaten[row, by]
            out.append(
                Elimination(int(rows[row]), int(here[by]), self.judged, float(excess[row, by] / n), tie)
            )
        return out

    def _leave(self, out: list[Elimination]) -> None:
        gone = {e.candidate for e in out}
        kept = [place for place, candidate in enumerate(self.active) if candidate not in gone]
        self.active = tuple(self.active[place] for place in kept)
        self.history += out
        self._waiting = self._waiting[:, kept]
        if self._ends is not None:
            self._ends = self._ends[np.ix_(kept, kept)]
