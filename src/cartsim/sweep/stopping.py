"""Why: how many subjects are enough is a question of precision, not of habit. A run may say what it wants to know how
well; subjects are then added until it does, and the reason for stopping is stored with the results.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from cartsim.analysis.precision import CEILING, FLOOR, Stop
from cartsim.analysis.precision import Plan as PrecisionPlan
from cartsim.analysis.targets import Condition
from cartsim.errors import InvalidInput
from cartsim.sweep.growth import Growth
from cartsim.sweep.plan import Plan
from cartsim.sweep.points import Points
from cartsim.sweep.question import make_summary, replication_unit


@dataclass
class Stopping:
    """When a run has enough subjects. `reason` is known once it stopped, `looks` are (subjects, half-widths)."""

    rule: PrecisionPlan
    texts: list[str]
    began: float = field(default_factory=time.monotonic)
    looks: list[dict[str, Any]] = field(default_factory=list)
    reason: str | None = None
    reached: bool = False
    subjects: int = 0

    @classmethod
    def parse(
        cls,
        points: Points,
        until: Sequence[str],
        floor: int | None = None,
        ceiling: int | None = None,
        budget_s: float | None = None,
    ) -> "Stopping | None":
        """The rule that the conditions ask for; None without any. Raises `InvalidInput` for what cannot be met."""
        if not until:
            if floor is not None or ceiling is not None or budget_s is not None:
                raise InvalidInput(
                    "a floor, ceiling or time budget goes with a precision target",
                    mend='--until "contrast.crs_ge3.early-standard.halfwidth <= 0.005"',
                )
            return None
        base = points.base
        if replication_unit(base) != "subject":
            raise InvalidInput(
                "only runs whose subjects are independent can stop at a precision",
                why="at a site, and with Sobol' points, the replicate is the unit",
                mend="run.replicates: more of them",
            )
        if base.patients is not None and base.patients.sample != "with_replacement":
            raise InvalidInput(
                "a cohort of which each patient is taken once cannot grow until a precision is reached",
                where="population.sample",
                mend="sample: with_replacement, or more replicates of the same patients",
            )
        summary = make_summary(base)
        arms = [arm.id for arm in base.arms]
        conditions = [
            Condition.parse(
                text, arms, summary.endpoints, reference=base.reference, crs_scale=base.grading.crs
            )
            for text in until
        ]
        rule = PrecisionPlan(
            tuple(conditions),
            floor=FLOOR if floor is None else floor,
            ceiling=max(CEILING, floor or 0) if ceiling is None else ceiling,
            budget_s=budget_s,
        )
        return cls(rule, [str(condition) for condition in conditions])

    def resume(self, stored: dict[str, Any] | None) -> None:
        """Take over the looks of a run that was interrupted; its sizes stand in its plan, so it decides as before."""
        if stored and stored.get("conditions") == self.texts:
            self.looks = list(stored["looks"])

    def next_plan(self, plan: Plan, outcomes: pa.Table, contrasts: pa.Table) -> Plan | None:
        """The plan with more subjects, or None when it is enough, from the results of the subjects so far."""
        rows = self.rule.pick(outcomes, contrasts) if plan.subjects >= self.rule.floor else []
        self.subjects = plan.subjects
        answer = self.rule.next_size(plan.subjects, rows, time.monotonic() - self.began)
        if rows:
            readings = self.rule.read(plan.subjects, rows)
            look = {"subjects": plan.subjects, "found": [r.number for r in readings]}
            self.looks = [old for old in self.looks if old["subjects"] < plan.subjects] + [look]
        if isinstance(answer, Stop):
            self.reason, self.reached = answer.reason, answer.reached
            return None
        return Growth(plan.points, plan.replicates, answer, plan.arms).applied(plan)

    def plain(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        return {
            "conditions": self.texts,
            "floor": self.rule.floor,
            "ceiling": self.rule.ceiling,
            "subjects": self.subjects,
            "looks": self.looks,
            "reached": self.reached,
            "reason": self.reason,
        }
