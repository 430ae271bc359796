"""Why: subjects are worth most where two candidates are close. Here candidates are drawn on, round by round, until the
choice is made; whoever is beaten gets no more subjects, unless it may still be on the front of a trade-off.

The sizes of the rounds are fixed beforehand and every sample is a pure function of candidate and subjects, so a search
that was interrupted makes the same decisions when it is run again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cartsim.errors import Incomplete
from cartsim.search.pareto import Front, point_front
from cartsim.search.selection import FIRST, Selection

Floats = NDArray[np.float64]
#: (candidate, first subject, subjects)
Task = tuple[int, int, int]
#: sample(candidate, first, count) -> (count, objectives)
Sample = Callable[[int, int, int], Floats]

#: A round adds this share of the subjects so far, and at least one batch.
SHARE = 16
#: Differing subjects that the first stage should show between two candidates that differ by the indifference.
WANTED = 15
LEAST_BATCH, MOST_BATCH = 10, 400


class Store(Protocol):
    """Where samples are kept (`cartsim.search.samples.Samples`)."""

    def find(self, candidate: int, first: int, count: int) -> Floats | None: ...
    def keep(self, candidate: int, first: int, values: Floats) -> None: ...


class Runner(Protocol):
    """What is needed of an executor (`cartsim.sweep.executors.base.Executor`)."""

    def run(self, work: Callable[[Task], Floats], tasks: Any) -> Iterator[Any]: ...


@dataclass(frozen=True)
class Settings:
    """How the search is done: probabilities, sizes in subjects, and per objective `reach` and `sign` (-1: maximised).

    `front` says which objectives span the front (empty: no front); `front_subjects` is how many subjects candidates
    that may be on it get at least.
    """

    confidence: float
    indifference: float
    batch: int
    reach: tuple[float | None, ...] = (1.0,)
    sign: tuple[float, ...] = (1.0,)
    first: int = FIRST
    ceiling: int | None = None
    front: tuple[int, ...] = ()
    front_subjects: int = 0


@dataclass(frozen=True)
class Standing:
    """How far a search is: `left` candidates that may be best, `open` that may be on the front, `subjects` drawn."""

    candidates: int
    left: int
    open: int | None
    subjects: int


@dataclass
class Found:
    """What a search found. `samples[candidate]` has shape (subjects, objectives), signs as measured."""

    selection: Selection
    front: Front | None
    samples: list[Floats]
    on_front: tuple[int, ...] = ()

    @property
    def subjects(self) -> NDArray[np.int64]:
        """(k,) subjects spent on each candidate."""
        return np.array([len(sample) for sample in self.samples])


def batch_size(indifference: float, reach: float | None) -> int:
    """Subjects of a batch, such that the first stage shows about `WANTED` subjects of a difference that matters.

    Two candidates whose means are `indifference` apart differ in at least a share indifference / reach of subjects.
    """
    wanted = np.ceil(WANTED * (reach or 1.0) / (FIRST * indifference))
    return int(np.clip(wanted, LEAST_BATCH, MOST_BATCH))


def search(
    k: int,
    sample: Sample,
    settings: Settings,
    *,
    store: Store | None = None,
    executor: Runner | None = None,
    tell: Callable[[Standing], None] | None = None,
) -> Found:
    """Choose the candidate (of `k`) whose first objective is smallest, and where asked the front of trade-offs.

    Raises `Incomplete` when a sample could not be drawn; those before it are kept in `store`.
    """
    s = settings
    selection = Selection(
        k, s.confidence, s.indifference, s.first, s.batch, ceiling=s.ceiling, reach=s.reach[0]
    )
    n = s.first * s.batch
    front: Front | None = None
    drawn: list[list[Floats]] = [[] for _ in range(k)]
    running, have, size = list(range(k)), 0, n
    if tell is not None:
        tell(Standing(k, k, k if s.front else None, 0))
    while running and size > have:
        for candidate, values in _draw(running, have, size - have, sample, store, executor):
            drawn[candidate].append(values)
        last = {candidate: drawn[candidate][-1] for candidate in running}
        have = size
        selection.update({candidate: s.sign[0] * values[:, 0] for candidate, values in last.items()})
        if s.front:
            if front is None:
                front = Front(k, _reaches(s, last), s.confidence, n)
            _look(front, drawn, s, have)
        running = _running(selection, front, have, s)
        if tell is not None:
            spent = sum(len(part) for parts in drawn for part in parts)
            tell(Standing(k, len(selection.active), None if front is None else len(front.open), spent))
        size = _next(have, selection, front, s)
    samples = [np.concatenate(parts) for parts in drawn]
    return Found(selection, front, samples, _on_front(front, samples, s))


def _running(selection: Selection, front: Front | None, have: int, s: Settings) -> list[int]:
    """Who gets more subjects."""
    open_ = set(front.open) if front is not None else set()
    if not (selection.decided or selection.exhausted):
        return sorted(open_ | set(selection.active))
    if len(open_) > 1 and have < s.front_subjects:
        # those in the running for best are compared with the front on the same subjects
        return sorted(open_ | set(selection.active))
    return []


def _next(have: int, selection: Selection, front: Front | None, s: Settings) -> int:
    """Subjects of a candidate after the next round."""
    size = have + max(have // SHARE // s.batch, 1) * s.batch
    if selection.decided or selection.exhausted:
        size = max(min(size, -(-s.front_subjects // s.batch) * s.batch), have)
    return size if s.ceiling is None else min(size, s.ceiling // s.batch * s.batch)


def _draw(
    candidates: Sequence[int],
    first: int,
    count: int,
    sample: Sample,
    store: Store | None,
    executor: Runner | None,
) -> Iterator[tuple[int, Floats]]:
    """(candidate, sample) for every candidate, those in store first."""
    missing: list[Task] = []
    for candidate in candidates:
        values = store.find(candidate, first, count) if store is not None else None
        if values is None:
            missing.append((candidate, first, count))
        else:
            yield candidate, values
    for (candidate, _, _), values in _work(missing, sample, executor):
        if store is not None:
            store.keep(candidate, first, values)
        yield candidate, values


class Work:
    """`sample` as work for an executor: one argument, and it can travel when `sample` can."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample

    def __call__(self, task: Task) -> Floats:
        """The sample of a (candidate, first subject, subjects)."""
        return self.sample(*task)


def _work(tasks: Sequence[Task], sample: Sample, executor: Runner | None) -> Iterator[tuple[Task, Floats]]:
    if executor is None:
        yield from ((task, sample(*task)) for task in tasks)
        return
    failed = []
    for done in executor.run(Work(sample), tasks):
        if done.failure is None:
            yield done.task, done.result
        else:
            failed.append(done)
    if failed:
        candidate, first, count = failed[0].task
        raise Incomplete(
            f"{len(failed)} of {len(tasks)} samples could not be drawn",
            where=f"candidate {candidate}, subjects {first} to {first + count - 1}",
            why=f"{failed[0].failure.kind}: {failed[0].failure.message}",
            mend="run the same command again: what was drawn is kept",
        )


def _reaches(s: Settings, samples: dict[int, Floats]) -> list[float]:
    """Per objective of the front the largest difference of one subject: as known, else the spread that was seen."""
    low = np.min([values.min(axis=0) for values in samples.values()], axis=0)
    high = np.max([values.max(axis=0) for values in samples.values()], axis=0)
    return [known if (known := s.reach[o]) is not None else float(high[o] - low[o]) for o in s.front]


def _look(front: Front, drawn: Sequence[Sequence[Floats]], s: Settings, have: int) -> None:
    """All looks that the subjects so far allow."""
    sign = np.array([s.sign[o] for o in s.front])
    while have >= front.look_at and len(front.open) > 1:
        here = set(front.open)
        values = [
            np.concatenate(parts)[:, list(s.front)] * sign if candidate in here else np.empty((0, len(sign)))
            for candidate, parts in enumerate(drawn)
        ]
        front.look(values)
        front.grow(s.batch)


def _on_front(front: Front | None, samples: Sequence[Floats], s: Settings) -> tuple[int, ...]:
    """Candidates that nobody beats in the means as they are; all of them have the same subjects."""
    if front is None:
        return ()
    sign = np.array([s.sign[o] for o in s.front])
    means = np.array([samples[i][:, list(s.front)].mean(axis=0) * sign for i in front.open])
    return tuple(i for i, stays in zip(front.open, point_front(means), strict=True) if stays)
