"""Why: the door to this room for notebooks and for the command line: one subject of a run, told in some arms."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cartsim.record.kinds import CRS_STANDARD
from cartsim.story.ending import Ending
from cartsim.story.lives import live
from cartsim.story.parting import Difference, part
from cartsim.story.source import Address, Source, find_arms, find_subject, open_source
from cartsim.story.stored import Agreement, compare_stored
from cartsim.story.tell import Course, tell
from cartsim.story.words import patient
from cartsim.terms import DISCLAIMER

SCHEMA = "cartsim/replay/1"


@dataclass(frozen=True)
class Story:
    """A subject in some arms. `differences[i]` is that of arm i from the reference, None for the reference itself."""

    source: Source
    address: Address
    courses: tuple[Course, ...]
    endings: tuple[Ending, ...]
    reference: int
    differences: tuple[Difference | None, ...]
    stored: Agreement
    patient: tuple[str, dict[str, Any]]
    why: bool = False

    @property
    def arms(self) -> tuple[str, ...]:
        """Ids of the arms told."""
        return tuple(course.life.arm.id for course in self.courses)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON (docs/replay.md says what each key is)."""
        return story_head(self.source, self.address) | {
            "schema": SCHEMA,
            "patient": self.patient[1],
            "reference": self.arms[self.reference],
            "arms": [
                {
                    "arm_id": course.life.arm.id,
                    "label": course.life.arm.identity.arm_label,
                    "policy": course.life.arm.policy.policy.id,
                    "events": [
                        event.as_dict(self.why) for event in course.events if self.why or is_told(event)
                    ],
                    "ending": ending.as_dict(),
                    "first_difference": None if difference is None else difference.as_dict(),
                }
                for course, ending, difference in zip(
                    self.courses, self.endings, self.differences, strict=True
                )
            ],
            "stored": self.stored.as_dict(),
            "disclaimer": DISCLAIMER,
        }


def is_told(event: Any) -> bool:
    """Whether an event stands in a story without `why`: assessments only where they saw something new."""
    return event.kind != "assessment" or bool(event.data["new"])


def story_head(source: Source, address: Address) -> dict[str, Any]:
    """What says of whom a story is."""
    scenario = source.points.scenario(address.design)
    return {
        "run": None if source.place is None else str(source.place),
        "scenario_id": scenario.id,
        "title": scenario.title,
        "seed": scenario.require_seed(),
        "design_id": address.design,
        "settings": dict(source.points.design.settings(address.design)),
        "replicate": address.replicate,
        "subject": address.subject,
        "crs_scale": CRS_STANDARD[_scale(source, address)],
        "engine_changed": list(source.changed),
    }


def _scale(source: Source, address: Address) -> Any:
    from cartsim.terms import CrsScale

    return CrsScale[source.points.scenario(address.design).grading.crs.upper()]


def replay(
    run: Any,
    subject: int,
    arms: str | Sequence[str] | None = None,
    *,
    design: int = 0,
    replicate: int = 0,
    why: bool = False,
    force: bool = False,
) -> Story:
    """Tell the course of one subject of a run (or of a scenario) in one arm, some, or all.

    run: folder, s3://bucket/prefix, `Study`, scenario or its file; `why`: with every rule that was looked at;
    `force`: also where the run was made by another engine. The story is compared with the rows that the run stored.
    Raises `InvalidInput` for what does not exist, `Mismatch` where engine or rows are not those of the run.
    """
    source = open_source(run, force)
    address = find_subject(source, Address(design, replicate, subject))
    wanted = [arms] if isinstance(arms, str) else list(arms or [])
    ready = find_arms(source, design, wanted)
    scenario = source.points.scenario(design)
    lives = live(scenario, ready, replicate, subject)
    ids = [life.arm.id for life in lives]
    reference = ids.index(scenario.reference) if scenario.reference in ids else len(ids) - 1
    identity = lives[0].ran.who
    return Story(
        source,
        address,
        tuple(tell(life) for life in lives),
        tuple(Ending.of(life) for life in lives),
        reference,
        tuple(None if i == reference else part(life, lives[reference]) for i, life in enumerate(lives)),
        compare_stored(source, address, lives),
        patient(lives[0].ran.cohort, identity.dose_unit, identity.product_name),
        why,
    )
