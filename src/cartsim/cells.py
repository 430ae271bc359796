"""Why: the smallest piece of a run is a range of subjects of one replicate, in every arm. It is a pure function of
(scenario, arms, range), so that any worker may run any piece; what comes out are arrays, and tables only where they
are asked for. Small pieces are joined first, because a table costs the same for a hundred subjects as for four.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cartsim.arms import ReadyArm, tables_wanted
from cartsim.drivers.batch import Block, run_block
from cartsim.harms import Harms, find_harms
from cartsim.model.peaks import latent_peaks
from cartsim.tables import Identity, adae, adcm, adex, adlb, adsl, adtte, advs, events, grade_intervals
from cartsim.tables.measures import Columns, measures
from cartsim.tables.reactions import harm_measures

if TYPE_CHECKING:
    from cartsim.scenario.resolve import Scenario

#: Subjects simulated at a time: their courses stay in the processor's cache and their memory is used again.
SPAN = 4096
#: Subjects of a sampled event log: the first of the cohort, the same in every arm.
EVENT_SAMPLE = 200


@dataclass(frozen=True)
class Span:
    """Subjects `first .. first+count-1` of one replicate."""

    replicate: int
    first: int
    count: int


@dataclass
class Ran:
    """What one arm did with some subjects. `site` holds tables of the site itself, for its first subjects; `harms` is
    null where the scenario does not ask."""

    who: Identity
    cohort: np.ndarray
    subjects: np.ndarray
    block: Block
    latent: np.ndarray
    site: dict[str, pa.Table] = field(default_factory=dict)
    harms: Harms | None = None
    #: columns that adsl does not have, where an endpoint reads them
    extra: Columns = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Subjects."""
        return len(self.cohort)


def spans(subjects: int, replicates: int, size: int = SPAN) -> Iterator[Span]:
    """Cut a cohort into ranges of `size` subjects; an empty cohort is one empty range a replicate."""
    for replicate in range(replicates):
        for first in range(0, max(subjects, 1), size):
            yield Span(replicate, first, min(size, subjects - first))


def draw_for(scenario: "Scenario", arm: ReadyArm, span: Span) -> tuple[np.ndarray, np.ndarray]:
    """(COHORT, SUBJECT) of a span as this arm's numbers make them."""
    seed, source = scenario.require_seed(), scenario.run.source
    return arm.draw(seed, span.replicate, span.first, span.count, source)


def run_arms(scenario: "Scenario", arms: Sequence[ReadyArm], span: Span) -> list[Ran]:
    """One span through the batch driver, arm by arm."""
    results: list[Ran] = []
    drawn: tuple[np.ndarray, np.ndarray] | None = None
    for arm in arms:
        # the cohort is drawn once unless an arm has registry numbers of its own
        shared = arm.cohort_key == arms[0].cohort_key
        if drawn is None or not shared:
            cohort, subjects = draw_for(scenario, arm, span)
            if shared:
                drawn = cohort, subjects
        else:
            cohort, subjects = drawn
        block = run_block(arm.clinic, subjects, *arm.masks(cohort))
        latent = latent_peaks(arm.clinic, subjects, block.courses)
        harms = harms_of(arm, cohort, subjects, block)
        results.append(Ran(arm.who(span.replicate), cohort, subjects, block, latent, harms=harms))
    return results


def harms_of(arm: ReadyArm, cohort: np.ndarray, subjects: np.ndarray, block: Block) -> Harms | None:
    """What the drugs of finished courses did beside their purpose; None where the scenario does not ask."""
    if arm.harms is None:
        return None
    return find_harms(arm.harms, subjects, block.courses, block.doses, cohort["subject"])


def join(parts: Sequence[Ran]) -> Ran:
    """Several pieces of one arm as one; log rows are numbered through, and every subject keeps its cell."""
    if len(parts) == 1:
        return parts[0]
    counts = [part.count for part in parts]
    starts = np.cumsum([0, *counts[:-1]])
    who = replace(
        parts[0].who,
        design_id=np.repeat([_number(part.who.design_id) for part in parts], counts),
        replicate=np.repeat([_number(part.who.replicate) for part in parts], counts),
    )
    logs = [
        _numbered([getattr(part.block, name) for part in parts], starts)
        for name in ("episodes", "doses", "changes", "samples")
    ]
    return Ran(
        who,
        _stacked([part.cohort for part in parts]),
        _stacked([part.subjects for part in parts]),
        Block(_stacked([part.block.courses for part in parts]), *logs),
        _stacked([part.latent for part in parts]),
        harms=_joined_harms([part.harms for part in parts if part.harms is not None], starts),
        extra={name: np.concatenate([part.extra[name] for part in parts]) for name in parts[0].extra},
    )


def can_join(one: Identity, other: Identity) -> bool:
    """Whether rows of both may stand in one table: the same names, whatever the design point and replicate."""
    plain = ("arm_label", "arm_no", "product_id", "product_name", "dose_unit", "crs_scale", "rule_names")
    arrays = ("scale", "fever_grade", "needs_fever")
    return all(getattr(one, name) == getattr(other, name) for name in plain) and all(
        getattr(one, name) is getattr(other, name) or np.array_equal(getattr(one, name), getattr(other, name))
        for name in arrays
    )


def measure(ran: Ran, wanted: Sequence[str] | None) -> Columns:
    """The columns `wanted` of adsl (None: every numeric one), as arrays (see tables.measures).

    Those of `ran.extra` are given by name only, since adsl does not have them.
    """
    found = measures(ran.who, ran.subjects, ran.block.courses, ran.latent, wanted)
    if ran.harms is not None:
        found |= harm_measures(ran.harms.rows, ran.count, ran.harms.drugs, wanted)
    if wanted is not None and ran.extra:
        found |= {name: ran.extra[name] for name in wanted if name in ran.extra}
    return found


def build_tables(scenario: "Scenario", ran: Ran, measured: Columns | None = None) -> dict[str, pa.Table]:
    """Every subject table that the scenario asks for, of one arm."""
    who, cohort, block = ran.who, ran.cohort, ran.block
    harms = ran.harms.rows if ran.harms is not None else None
    if measured is None:
        measured = measure(ran, None)
    source_ids = None if scenario.patients is None else scenario.patients.ids(cohort["source_row"])
    builders = {
        "adsl": lambda: adsl(who, cohort, ran.subjects, block.courses, ran.latent, measured, source_ids),
        "adae": lambda: adae(who, cohort, block.courses, block.episodes, harms),
        "adcm": lambda: adcm(who, cohort, block.doses),
        "adex": lambda: adex(who, cohort),
        "adtte": lambda: adtte(who, cohort, block.courses),
        "grade_intervals": lambda: grade_intervals(who, cohort, block.courses, block.changes),
        "events": lambda: events(who, cohort, _event_rows(scenario, cohort, block.changes)),
    }
    asked = scenario.outputs.biomarkers
    if asked is not None:
        builders["adlb"] = lambda: adlb(who, cohort, block.samples, asked.markers)
        builders["advs"] = lambda: advs(who, cohort, block.samples)
    return {name: builders[name]() for name in tables_wanted(scenario)}


def _event_rows(scenario: "Scenario", cohort: np.ndarray, changes: np.ndarray) -> np.ndarray:
    if scenario.outputs.events == "all":
        return changes
    return changes[cohort["subject"][changes["row"]] < EVENT_SAMPLE]


def _stacked(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Records one below the other; as bytes, since numpy copies records field by field."""
    dtype = parts[0].dtype
    return np.concatenate([np.ascontiguousarray(part).view(np.uint8) for part in parts]).view(dtype)


def _numbered(logs: Sequence[np.ndarray], starts: np.ndarray) -> np.ndarray:
    joined = _stacked(logs)
    joined["row"] += np.repeat(starts, [len(log) for log in logs]).astype(joined["row"].dtype)
    return joined


def _joined_harms(parts: Sequence[Harms], starts: np.ndarray) -> Harms | None:
    """Pieces of one arm ask for harms, or none of them does."""
    if not parts:
        return None
    return replace(parts[0], rows=_numbered([part.rows for part in parts], starts))


def _number(value: int | np.ndarray) -> int:
    if isinstance(value, np.ndarray):
        raise ValueError("pieces can be joined once only")
    return value
