"""Why: before a published figure is looked at, it is said in which range it should lie: for new patients in the
published number, and for every parameter set that the evidence leaves possible (MODEL 7, STATISTICS 5).

Parameter sets come in blocks of `BLOCK`; each block has subjects of its own, so that no figure hangs on the luck of one
cohort, and within a block they are the same, so that a cohort is made once in ten sets. Which thread does a block moves
nothing: a block is a pure function of its number, and blocks are put together in order.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cartsim.draws import study_key
from cartsim.evidence.targets import ACTIVE
from cartsim.validate.trials import (
    COUNTED,
    DAYS,
    TAILS,
    Counted,
    Key,
    Timed,
    counted,
    events_distribution,
    numbers_in,
    quantile_of,
    timed,
)

if TYPE_CHECKING:
    from cartsim.calibrate.cohorts import Cohort
    from cartsim.calibrate.endpoints import Sample
    from cartsim.evidence.targets import Target

#: Parameter sets that share subjects.
BLOCK = 10
#: (blocks done, blocks)
Tell = Callable[[int, int], object]


@dataclass(frozen=True)
class Forecast:
    """One figure as predicted: a share or days. `value`, `lower` and `upper` are NaN where nobody was in its
    denominator under any parameter set.

    `value`: median over parameter sets of what the calibration compares. `lower`, `upper`: 95 % predictive interval of
    what a trial would publish. `chance`: how far trials of the published size lie below and above their own parameter
    set (days; None for a share), which is what would be left if the parameters were known.
    """

    value: float
    lower: float
    upper: float
    chance: tuple[float, float] | None = None


@dataclass(frozen=True)
class Prediction:
    """Forecasts of a target: one, or of an interquartile range one for each quartile."""

    target: "Target"
    forecasts: tuple[Forecast, ...]
    draws: int


@dataclass
class _Drawn:
    """What all parameter sets said of one target, in their order."""

    estimates: list[tuple[float, ...]] = field(default_factory=list)
    counted: list[Counted] = field(default_factory=list)
    timed: list[Timed] = field(default_factory=list)

    def add(
        self, target: "Target", estimate: tuple[float, ...], sample: "Sample", draw: int, key: Key
    ) -> None:
        self.estimates.append(estimate)
        if target.statistic in COUNTED:
            self.counted.append(counted(target, sample))
        else:
            self.timed.append(timed(target, sample, draw, key))

    def join(self, other: "_Drawn") -> None:
        self.estimates += other.estimates
        self.counted += other.counted
        self.timed += other.timed


def is_predicted(target: "Target") -> bool:
    """Whether a row is one that a simulation answers."""
    return target.use in ACTIVE and target.statistic in (*COUNTED, *DAYS) and bool(target.denominator)


def predict(
    targets: Sequence["Target"],
    cohorts: Mapping[str, "Cohort"],
    *,
    draws: int = 200,
    subjects: int = 2000,
    seed: int,
    workers: int = 0,
    tell: Tell | None = None,
) -> list[Prediction]:
    """Predictions of the targets that can be predicted, in their order.

    Equal for any number of `workers` (threads; 0: the cores of this process), and for a target whichever others are
    asked for.
    """
    from cartsim.calibrate.simulate import groups
    from cartsim.sweep.executors import cores

    asked = [target for target in targets if is_predicted(target)]
    found = {target.id: _Drawn() for target in asked}
    wanted = {target.cohort_id: cohorts[target.cohort_id] for target in asked}
    pieces = [
        partial(_block, group, asked, first, draws, subjects, seed)
        for group in groups(wanted)
        for first in range(0, draws, BLOCK)
    ]
    answers: list[dict[str, _Drawn]] = [{} for _ in pieces]
    with ThreadPoolExecutor(workers or cores()) as pool:
        running = {pool.submit(piece): place for place, piece in enumerate(pieces)}
        try:
            for done, future in enumerate(as_completed(running), 1):
                answers[running[future]] = future.result()
                if tell is not None:
                    tell(done, len(pieces))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    for answer in answers:
        for id_, drawn in answer.items():
            found[id_].join(drawn)
    return [_prediction(target, found[target.id]) for target in asked]


def _block(
    group: Sequence["Cohort"], targets: Sequence["Target"], first: int, draws: int, subjects: int, seed: int
) -> dict[str, _Drawn]:
    """Parameter sets first .. first + BLOCK - 1 of cohorts that share their subjects."""
    from cartsim.calibrate.endpoints import estimate, sample
    from cartsim.calibrate.simulate import CohortRunner

    key = study_key(seed)
    own = {cohort.id: cohort for cohort in group}
    figures = [target for target in targets if target.cohort_id in own]
    start = first // BLOCK * subjects
    runner = CohortRunner(group[0], subjects, seed, source="philox", first=start, also=group[1:])
    found = {target.id: _Drawn() for target in figures}
    for draw in range(first, min(first + BLOCK, draws)):
        simulated = runner.run(numbers_of(group[0], seed, draw))
        for target in figures:
            one = sample(target, own[target.cohort_id], simulated)
            value = estimate(target, one)
            numbers = value if isinstance(value, tuple) else (_as_share(target, value),)
            found[target.id].add(target, numbers, one, draw, key)
    return found


def numbers_of(cohort: "Cohort", seed: int, draw: int) -> dict[str, float | list[float]]:
    """Parameter set number `draw` for the product of a cohort; what its scenario sets itself stays as it is."""
    from cartsim.evidence.spread import draw_numbers

    own = cohort.scenario.registry_overrides(cohort.scenario.arms[0])
    drawn = draw_numbers(cohort.scenario.product.id, seed, draw)
    return {key: value for key, value in drawn.items() if key not in own}


def _as_share(target: "Target", value: float) -> float:
    """A count as the share of its total."""
    return value / (target.denominator or 1) if target.statistic == "count" else value


def _prediction(target: "Target", drawn: _Drawn) -> Prediction:
    values = np.array(drawn.estimates, float).reshape(len(drawn.estimates), -1)
    centres = [_median(column) for column in values.T]
    if target.statistic in COUNTED:
        assert target.denominator is not None
        forecasts = [_share(centres[0], drawn.counted, target.denominator)]
    else:
        forecasts = [
            _days(centre, drawn.timed, place)
            for place, centre in enumerate(centres[: numbers_in(target.statistic)])
        ]
    return Prediction(target, tuple(forecasts), len(drawn.estimates))


def _share(value: float, drawn: Sequence[Counted], n: int) -> Forecast:
    distribution = events_distribution(drawn, n)
    if not len(distribution):
        return Forecast(np.nan, np.nan, np.nan)
    lower, upper = (quantile_of(distribution, tail) / n for tail in TAILS)
    return Forecast(value, lower, upper)


def _days(value: float, drawn: Sequence[Timed], place: int) -> Forecast:
    trials = np.array([one.trials[:, place] for one in drawn])
    with np.errstate(invalid="ignore"):  # an ending that never came less one that never came
        around = trials - np.array([one.whole[place] for one in drawn])[:, None]
    known = ~np.isnan(around)
    if not known.any():
        return Forecast(np.nan, np.nan, np.nan, (0.0, 0.0))
    lower, upper = np.quantile(trials[~np.isnan(trials)], TAILS, method="inverted_cdf").tolist()
    below, above = np.quantile(around[known], TAILS, method="inverted_cdf").tolist()
    return Forecast(value, lower, upper, (below, above))


def _median(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")
