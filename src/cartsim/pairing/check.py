"""Why: the check over a whole scenario. Every arm draws its own cohort and runs by itself, as if it were alone; a block
of subjects is compared and forgotten before the next, so that memory hardly grows with the cohort.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cartsim.arms import ReadyArm, prepare_arm
from cartsim.cohort import draw_cohort
from cartsim.drivers.batch import run_block
from cartsim.errors import InvalidInput
from cartsim.pairing.baseline import registry_difference, stray_numbers
from cartsim.pairing.compare import Side, compare
from cartsim.pairing.contrast import contrast_policies
from cartsim.pairing.gather import Gathered, Pair, Told, join_tables, tell
from cartsim.pairing.report import PairingReport
from cartsim.sweep.executors.base import cores

if TYPE_CHECKING:
    from cartsim.scenario.resolve import Scenario

STAGE = "checking the pairing of arms"
#: Subjects compared at a time.
BLOCK = 4096


@dataclass(frozen=True)
class Stage:
    """How far the check is, in subjects; the three facts that a progress bar asks of any stage of a run."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class Span:
    """Subjects `first .. first+count-1` of one replicate."""

    replicate: int
    first: int
    count: int


def check_pairing(
    scenario: "Scenario",
    subjects: int | None = None,
    progress: Callable[[Any], None] | None = None,
    workers: int = 0,
    arms: Sequence[ReadyArm] | None = None,
) -> PairingReport:
    """Find, for each subject and each arm, the first event that differs from the reference arm, and what caused it.

    `subjects` instead of the scenario's number; `workers` are threads (0: one a core) and change nothing; `arms` are
    the scenario's, ready to run (of a design point), prepared here if not given. Raises `InvalidInput` for a scenario
    with a site or a single arm. A leak is no exception here: see `PairingReport.raise_leaks`.
    """
    refuse_unpaired(scenario)
    seed = scenario.require_seed()
    prepared = arms or [prepare_arm(scenario, arm, number) for number, arm in enumerate(scenario.arms, 1)]
    ready = [with_logs(arm) for arm in prepared]
    reference = next(arm for arm in ready if arm.id == scenario.reference)
    gathered = [Gathered(make_pair(arm, reference)) for arm in ready if arm is not reference]
    pairs = [one.pair for one in gathered]
    count = scenario.subjects if subjects is None else subjects
    total, done = count * scenario.run.replicates, 0
    report = progress or (lambda _: None)
    report(Stage(STAGE, 0, total))

    def work(span: Span) -> list[Told]:
        return _compare_span(pairs, seed, scenario.run.source, span)

    for span, found in _in_order(work, _spans(count, scenario.run.replicates), workers or cores()):
        for one, told in zip(gathered, found, strict=True):
            one.add(told, span.replicate, span.first)
        done += span.count
        report(Stage(STAGE, done, total))
    return PairingReport(
        scenario_id=scenario.id,
        title=scenario.title,
        reference=reference.id,
        reference_label=reference.identity.arm_label,
        subjects=count,
        replicates=scenario.run.replicates,
        seed=seed,
        arms=tuple(one.summary() for one in gathered),
        table=join_tables(gathered),
    )


def refuse_unpaired(scenario: "Scenario") -> None:
    """Raise `InvalidInput` where subjects have no twin, or a twin that lives among others."""
    if scenario.site is not None:
        raise InvalidInput(
            "pairing cannot be checked at a site",
            where=f"{scenario.id}: site",
            why="subjects meet there: who waits for a bed or a dose depends on all the others, so the first difference "
            "of a subject may come from the queue and from no rule of its own",
            mend="--set site=null, which runs the same arms with nothing scarce",
        )
    if len(scenario.arms) < 2:
        raise InvalidInput(
            "pairing needs two arms",
            where=f"{scenario.id}: arms",
            why="the scenario has one, and nothing to compare it with",
            mend="add a second arm",
        )


def make_pair(arm: ReadyArm, reference: ReadyArm) -> Pair:
    """What differs between two arms before any subject is run: policies, declared numbers, numbers nobody asked for."""
    numbers = registry_difference(arm, reference)
    stray = tuple(stray_numbers(arm, reference, numbers))
    return Pair(arm, reference, contrast_policies(arm, reference), numbers, stray)


def with_logs(arm: ReadyArm) -> ReadyArm:
    """The same arm with every event logged, whatever tables the scenario writes."""
    clinic = arm.clinic.copy()
    clinic["par"]["want_episodes"] = 0.0
    clinic["par"]["want_doses"] = 1.0
    clinic["par"]["want_changes"] = 2.0
    return replace(arm, clinic=clinic)


def _spans(subjects: int, replicates: int) -> Iterator[Span]:
    for replicate in range(replicates):
        for first in range(0, subjects, BLOCK):
            yield Span(replicate, first, min(BLOCK, subjects - first))


def _in_order(
    work: Callable[[Span], list[Told]], spans: Iterator[Span], threads: int
) -> Iterator[tuple[Span, list[Told]]]:
    """Results in the order of the spans; only a few are under way or waiting at any time."""
    under_way: deque[tuple[Span, Future[list[Told]]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            while True:
                while len(under_way) <= threads and (span := next(spans, None)) is not None:
                    under_way.append((span, pool.submit(work, span)))
                if not under_way:
                    return
                span, future = under_way.popleft()
                yield span, future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def run_side(arm: ReadyArm, seed: int, source: str, span: Span) -> Side:
    """One arm's own draw of a span, and its courses."""
    if arm.draws_all:
        cohort, subjects = draw_cohort(
            arm.par, arm.margins, seed, span.replicate, span.first, span.count, source
        )
    else:
        cohort, subjects = arm.draw(seed, span.replicate, span.first, span.count, source)
    return Side(cohort, subjects, run_block(arm.clinic, subjects, *arm.masks(cohort)))


def _compare_span(pairs: Sequence[Pair], seed: int, source: str, span: Span) -> list[Told]:
    reference = run_side(pairs[0].reference, seed, source, span)
    found = []
    for pair in pairs:
        sides = (run_side(pair.arm, seed, source, span), reference)
        found.append(tell(compare(*sides, pair.contrast, pure=not pair.numbers), pair, sides))
    return found
