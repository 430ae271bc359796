"""Why: eighty numbers at once are too many for a search and the right size for a step along derivatives; a dozen are
the other way round. So each product is searched by itself, then all scores go down together, and this again with a
smaller search, until a posterior is drawn about the floor (decision 0008).

A block of this plan is a pure function of the state before it and of its own name, so that a fit that was stopped
between two blocks is the fit that was not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cartsim.calibrate.checkpoint import Checkpoint, State
from cartsim.calibrate.crew import Crew, data_loss
from cartsim.calibrate.evolution import search_block
from cartsim.calibrate.newton import Slope, find_slope, first_steps, next_steps, step_down
from cartsim.calibrate.posterior import Posterior, Sampler
from cartsim.results import Progress

Tell = Callable[[Progress], None]


@dataclass(frozen=True)
class Effort:
    """How hard a fit tries: rounds, first widths of the searches, their size, steps down a round, draws, sweeps."""

    rounds: int = 2
    width: float = 0.3
    population: int = 12
    generations: int = 12
    steps: int = 5
    draws: int = 400
    sweeps: int = 4

    def plan(self, blocks: Sequence[str]) -> list[tuple[str, str]]:
        """(kind, name) of every block of a fit, in order."""
        made: list[tuple[str, str]] = []
        for number in range(1, self.rounds + 1):
            made += [("search", f"{number}/{block}") for block in blocks]
            made += [("step", f"{number}/{step}") for step in range(1, self.steps + 1)]
        made += [("slope", "slope"), ("draws", "draws")]
        return [*made, *[("sweep", str(number)) for number in range(1, self.sweeps + 1)]]


@dataclass(frozen=True)
class Fit:
    """What a fit found: scores, residuals and derivatives there, draws of the posterior, what each block did."""

    z: np.ndarray
    slope: Slope
    posterior: Posterior
    lines: tuple[dict[str, object], ...]


class Fitter:
    """One fit, walked block by block."""

    def __init__(
        self,
        crew: Crew,
        start: np.ndarray,
        effort: Effort,
        *,
        seed: int,
        kept: Sequence[int] = (),
        checkpoint: Checkpoint | None = None,
        tell: Tell | None = None,
    ) -> None:
        self.crew, self.effort, self.seed = crew, effort, seed
        self.kept = tuple(kept)
        self.checkpoint = checkpoint
        self._tell = tell
        groups = crew.problem.groups
        self.blocks = list(dict.fromkeys(group.block for group in groups if group.block is not None))
        shared = set.union(*[set(group.reads) for group in groups]) if groups else set()
        self.own: dict[str, list[int]] = {}
        for block in self.blocks:
            inside = [set(group.reads) for group in groups if group.block == block]
            outside = [set(group.reads) for group in groups if group.block != block]
            self.own[block] = (
                sorted(set.union(*inside) - set().union(*outside)) if outside else sorted(shared)
            )
        found = checkpoint.read() if checkpoint is not None else None
        self.state = found or State(z=start.tolist(), steps=first_steps(len(start)).tolist())
        self.plan = effort.plan(self.blocks)
        self._made: Sampler | None = None

    def run(self) -> Fit:
        """Walk what is left of the plan."""
        for number in range(self.state.done, len(self.plan)):
            kind, name = self.plan[number]
            self._say("fitting" if kind in ("search", "step", "slope") else "drawing", number)
            {
                "search": self._search,
                "step": self._step,
                "slope": self._slope,
                "draws": self._draws,
                "sweep": self._sweep,
            }[kind](name)
            self.state.done = number + 1
            if self.checkpoint is not None:
                self.checkpoint.write(self.state)
        self._say("drawing", len(self.plan))
        sampler = self._sampler()
        drawn = np.array(self.state.draws)
        return Fit(
            np.array(self.state.z),
            sampler.slope,
            sampler.finish(drawn, self.state.lines),
            tuple(self.state.lines),
        )

    def _say(self, stage: str, number: int) -> None:
        if self._tell is None:
            return
        kinds = {"fitting": ("search", "step", "slope"), "drawing": ("draws", "sweep")}[stage]
        places = [place for place, (kind, _) in enumerate(self.plan) if kind in kinds]
        self._tell(Progress(stage, sum(place < number for place in places), len(places)))

    def _groups_of(self, block: str) -> list[int]:
        return [number for number, group in enumerate(self.crew.problem.groups) if group.block == block]

    def _search(self, name: str) -> None:
        number, _, block = name.partition("/")
        z = np.array(self.state.z)
        found = search_block(
            self.crew,
            z,
            self.own[block],
            self._groups_of(block),
            name=f"{self.seed}/{name}",
            width=self.effort.width / 3 ** (int(number) - 1),
            population=self.effort.population,
            generations=self.effort.generations,
        )
        self.state.z = found.tolist()
        self._line("search", name)

    def _step(self, name: str) -> None:
        number = name.partition("/")[0]
        if any(line["name"].startswith(f"{number}/") and line.get("still") for line in self.state.lines):
            return  # no step from here helps, and this round has no other place
        z, steps = np.array(self.state.z), np.array(self.state.steps)
        slope = find_slope(self.crew, z, steps)
        moved, _ = step_down(self.crew, slope)
        self.state.z = moved.tolist()
        self.state.steps = next_steps(slope).tolist()
        self._line("step", name)
        self.state.lines[-1]["still"] = bool(np.array_equal(z, moved))

    def _slope(self, name: str) -> None:
        slope = find_slope(self.crew, np.array(self.state.z), np.array(self.state.steps))
        self.state.residuals, self.state.jacobian = slope.residuals.tolist(), slope.jacobian.tolist()
        self._line("slope", name)

    def _draws(self, name: str) -> None:
        sampler = self._sampler()
        drawn = sampler.first(self.effort.draws)
        self.state.draws, self.state.scale = drawn.tolist(), sampler.scale
        self.state.lines.append({"block": "draws", "name": name, **sampler.check(drawn)})

    def _sweep(self, name: str) -> None:
        sampler = self._sampler()
        drawn, told = sampler.sweep(np.array(self.state.draws), int(name), self.state.scale)
        self.state.draws, self.state.scale = drawn.tolist(), sampler.scale
        self.state.lines.append({"block": "sweep", "name": name, **told})

    def _sampler(self) -> Sampler:
        if self._made is None:
            state = self.state
            slope = Slope(np.array(state.z), np.array(state.residuals), np.array(state.jacobian))
            self._made = Sampler(self.crew, slope, self.own, self.kept, self.seed)
        return self._made

    def _line(self, kind: str, name: str) -> None:
        z = np.array(self.state.z)
        data = data_loss(self.crew.whole([z])[0])
        self.state.lines.append(
            {"block": kind, "name": name, "data_loss": round(data, 6), "prior_loss": round(float(z @ z), 6)}
        )
