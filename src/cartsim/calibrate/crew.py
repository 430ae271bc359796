"""Why: a fit is many evaluations that know nothing of each other. They are done by a few threads and handed back in the
order in which they were asked, so that neither the number of threads nor who finishes first can move a bit.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, TypeVar

import numpy as np

One = TypeVar("One")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Group:
    """Residuals that are made together, such as those of one cohort. `reads`: the scores they depend on, rising;
    `block`: the product whose scores are among them (None where all are shared)."""

    name: str
    reads: tuple[int, ...]
    rows: int
    block: str | None = None


class Fitted(Protocol):
    """A problem of least squares whose scores have a standard normal prior: -2 log posterior = |r(z)|^2 + |z|^2."""

    @property
    def size(self) -> int:
        """Scores."""
        ...

    @property
    def groups(self) -> Sequence[Group]:
        """Groups in a fixed order."""
        ...

    def evaluate(self, group: int, z: np.ndarray) -> np.ndarray:
        """Residuals of a group, [rows]; a pure function of its arguments, from any thread."""
        ...


class Crew:
    """Threads that evaluate a problem; close it, or use it as a context manager."""

    def __init__(self, problem: Fitted, workers: int = 1) -> None:
        self.problem = problem
        self._pool = ThreadPoolExecutor(workers) if workers > 1 else None

    def __enter__(self) -> "Crew":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the threads go; what was not begun is given up."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def each(self, do: Callable[[One], Made], asked: Iterable[One]) -> list[Made]:
        """`do` of each, in order."""
        if self._pool is None:
            return [do(one) for one in asked]
        return list(self._pool.map(do, asked))

    def groups(self, asked: Sequence[tuple[int, np.ndarray]]) -> list[np.ndarray]:
        """Residuals of each (group, scores)."""
        return self.each(lambda one: self.problem.evaluate(one[0], one[1]), asked)

    def whole(
        self, points: Sequence[np.ndarray], groups: Sequence[int] | None = None
    ) -> list[list[np.ndarray]]:
        """Residuals of every group (or some) at each point."""
        wanted = range(len(self.problem.groups)) if groups is None else groups
        flat = self.groups([(group, z) for z in points for group in wanted])
        return [flat[start : start + len(wanted)] for start in range(0, len(flat), max(len(wanted), 1))]


def data_loss(parts: Iterable[np.ndarray]) -> float:
    """Sum of squares over groups."""
    return float(sum(float(part @ part) for part in parts))
