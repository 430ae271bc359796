"""A block: some subjects, every arm, all tables. A pure function, so that any worker may run any block.

Blocks are multiples of 4096 subjects (the unit in which sums are reduced), except a cohort's last.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cartsim.arms import ReadyArm, tables_wanted
from cartsim.cohort import draw_cohort
from cartsim.drivers.batch import Block, run_block
from cartsim.model.peaks import latent_peaks
from cartsim.tables import adae, adcm, adex, adsl, adtte, events, grade_intervals

if TYPE_CHECKING:
    from cartsim.scenario.resolve import Scenario

UNIT = 4096
#: Subjects of a sampled event log: the first of the cohort, the same in every arm.
EVENT_SAMPLE = 200


@dataclass(frozen=True)
class Span:
    """Subjects `first .. first+count-1` of one replicate."""

    replicate: int
    first: int
    count: int


def spans(subjects: int, replicates: int, size: int | None = None) -> Iterator[Span]:
    """Cut the cohort into blocks. The size depends on the cohort alone, never on who runs it."""
    size = size or (UNIT if subjects <= 16 * UNIT else 2 * UNIT)
    for replicate in range(replicates):
        for first in range(0, max(subjects, 1), size):
            yield Span(replicate, first, min(size, subjects - first))


def build_tables(
    scenario: "Scenario",
    arm: ReadyArm,
    replicate: int,
    cohort: np.ndarray,
    subjects: np.ndarray,
    block: Block,
) -> dict[str, pa.Table]:
    """Every table that the scenario asks for, of one arm and block."""
    who = arm.who(replicate)
    courses = block.courses
    builders = {
        "adsl": lambda: adsl(who, cohort, subjects, courses, latent_peaks(arm.clinic, subjects, courses)),
        "adae": lambda: adae(who, cohort, courses, block.episodes),
        "adcm": lambda: adcm(who, cohort, block.doses),
        "adex": lambda: adex(who, cohort),
        "adtte": lambda: adtte(who, cohort, courses),
        "grade_intervals": lambda: grade_intervals(who, cohort, courses, block.changes),
        "events": lambda: events(who, cohort, _event_rows(scenario, cohort, block.changes)),
    }
    return {name: builders[name]() for name in tables_wanted(scenario)}


def _event_rows(scenario: "Scenario", cohort: np.ndarray, changes: np.ndarray) -> np.ndarray:
    if scenario.outputs.events == "all":
        return changes
    return changes[cohort["subject"][changes["row"]] < EVENT_SAMPLE]


def draw_for(scenario: "Scenario", arm: ReadyArm, span: Span) -> tuple[np.ndarray, np.ndarray]:
    """(COHORT, SUBJECT) of a span as this arm's numbers make them."""
    return draw_cohort(
        arm.par,
        arm.margins,
        scenario.require_seed(),
        span.replicate,
        span.first,
        span.count,
        scenario.run.source,
    )


def run_span(scenario: "Scenario", arms: Sequence[ReadyArm], span: Span) -> dict[str, dict[str, pa.Table]]:
    """{arm_id: {table: rows}} of one block through the batch driver."""
    results: dict[str, dict[str, pa.Table]] = {}
    drawn: tuple[np.ndarray, np.ndarray] | None = None
    for arm in arms:
        # the cohort is drawn once unless an arm has registry numbers of its own
        shared = arm.registry.hash() == arms[0].registry.hash()
        if drawn is None or not shared:
            cohort, subjects = draw_for(scenario, arm, span)
            if shared:
                drawn = cohort, subjects
        else:
            cohort, subjects = drawn
        block = run_block(arm.clinic, subjects, *arm.masks(cohort))
        results[arm.id] = build_tables(scenario, arm, span.replicate, cohort, subjects, block)
    return results
