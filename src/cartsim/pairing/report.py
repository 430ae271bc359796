"""Why: the answer of the check as plain data, whether it is printed, written as a table or asserted in a test."""

from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

from cartsim.errors import Mismatch


@dataclass(frozen=True)
class RuleCount:
    """Subjects whose first difference comes from one rule of one arm's policy; time in days since infusion."""

    rule_id: str
    arm_id: str
    subjects: int
    median_d: float


@dataclass(frozen=True)
class Leak:
    """One subject whose arms part although no policy has acted; `t_d` None: before the first event."""

    replicate: int
    subject: int
    t_d: float | None
    arm: str
    reference: str


@dataclass(frozen=True)
class ArmPairing:
    """One arm against the reference. Counts are subjects, over all replicates.

    `model_numbers`: registry numbers that the arm has of its own, (arm, reference); `stray_numbers`: what differs in
    the numbers it runs on although nothing asks for it; `leaks`: the first few.
    """

    arm_id: str
    label: str
    subjects: int
    identical: int
    by_policy: int
    by_model: int
    leaking: int
    rules: tuple[RuleCount, ...]
    model_numbers: dict[str, tuple[Any, Any]]
    stray_numbers: tuple[str, ...]
    leaks: tuple[Leak, ...]

    @property
    def ok(self) -> bool:
        """Nothing differs that neither the policies nor declared numbers account for."""
        return not self.leaking and not self.stray_numbers


@dataclass(frozen=True)
class PairingReport:
    """What the check found; `table` is the declared table `pairing`, a row a subject and arm."""

    scenario_id: str
    title: str
    reference: str
    reference_label: str
    subjects: int
    replicates: int
    seed: int
    arms: tuple[ArmPairing, ...]
    table: pa.Table = field(repr=False)

    @property
    def ok(self) -> bool:
        """No arm leaks."""
        return all(arm.ok for arm in self.arms)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON, without the table."""
        names = ("scenario_id", "title", "reference", "subjects", "replicates", "seed")
        return {"ok": self.ok, **{name: getattr(self, name) for name in names}} | {
            "arms": [{"ok": arm.ok, **asdict(arm)} for arm in self.arms]
        }

    def raise_leaks(self) -> None:
        """Raise `Mismatch` where an arm leaks, naming subjects and what to do."""
        if self.ok:
            return
        arm = next(arm for arm in self.arms if not arm.ok)
        raise Mismatch(
            "the arms do not share their draws: something differs that no policy accounts for",
            where=f"{self.scenario_id}: arm {arm.arm_id} against {self.reference}",
            why=self._why(arm),
            mend=mend_for(self, arm),
        )

    def _why(self, arm: ArmPairing) -> str:
        if not arm.leaks:
            return f"numbers differ that nothing asks for: {', '.join(arm.stray_numbers)}"
        first = arm.leaks[0]
        when = "before infusion" if first.t_d is None else f"on day {first.t_d:.4g}"
        return (
            f"{arm.leaking:,} of {arm.subjects:,} subjects; subject {first.subject}, {when}: "
            f"{first.arm} (arm), {first.reference} (reference)"
        )


def mend_for(report: PairingReport, arm: ArmPairing) -> str:
    """How to look at a leak: this is a fault of the engine, not of the scenario."""
    if not arm.leaks:
        return "report it with the scenario: this is a fault of cartsim"
    last = max(leak.subject for leak in arm.leaks)
    return (
        f"run again with --subjects {last + 1} --set outputs.events=all, compare the rows of subject "
        f"{arm.leaks[0].subject} in events/ of both arms, and report it: this is a fault of cartsim"
    )
