"""Why: one subject is simulated again as it was simulated in the run, with every log on. Nothing here is remembered
from the run itself: that the two agree is the point of comparing them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cartsim.arms import ReadyArm
from cartsim.cells import Ran, Span, build_tables, harms_of, run_arms
from cartsim.drivers.batch import Block, run_block
from cartsim.model.peaks import latent_peaks
from cartsim.pairing.check import with_logs
from cartsim.tables import ward_waits
from cartsim.terms import Change

if TYPE_CHECKING:
    from cartsim.scenario.resolve import Scenario

_LOGS = ("episodes", "doses", "changes", "samples")


@dataclass(frozen=True)
class Wait:
    """One request at a site; times in days on the site's clock, None where it did not come to that."""

    resource: str
    asked_d: float
    granted_d: float | None
    hours: float


@dataclass(frozen=True)
class Life:
    """One subject in one arm: what it is made of (COHORT[1], SUBJECT[1]), and what it left (logs of row 0).

    `waits` and `infused_d` (the site's clock) only at a site. `eligible`, `mask`: uint64[1], rules and doses by the
    clock that are open to it.
    """

    arm: ReadyArm
    ran: Ran
    eligible: np.ndarray
    mask: np.ndarray
    waits: tuple[Wait, ...] = ()
    infused_d: float | None = None
    others: Ran | None = field(default=None, repr=False)

    @property
    def course(self) -> np.ndarray:
        """COURSE[1] at the end."""
        return self.ran.block.courses

    @property
    def doses(self) -> np.ndarray:
        """DOSE[k] in the order of adcm, so that place k has CMSEQ k + 1."""
        doses = self.ran.block.doses
        return doses[np.argsort(doses["t_start"], kind="stable")]

    @property
    def subject(self) -> int:
        """Its number in the cohort."""
        return int(self.ran.cohort["subject"][0])


def live(scenario: "Scenario", arms: Sequence[ReadyArm], replicate: int, subject: int) -> list[Life]:
    """Simulate a subject in some arms; at a site everybody of the replicate with it, since they meet."""
    logged = [_fully_logged(arm) for arm in arms]
    if scenario.site is None:
        ran = run_arms(scenario, logged, Span(replicate, subject, 1))
        return [Life(arm, one, *arm.masks(one.cohort)) for arm, one in zip(logged, ran, strict=True)]
    from cartsim.sites import run_replicate

    found = []
    for arm, everybody in zip(logged, run_replicate(scenario, logged, replicate), strict=True):
        one = pick(everybody, subject)
        waits, infused = waits_of(everybody.site["ward_waits"], subject)
        found.append(Life(arm, one, *arm.masks(one.cohort), waits, infused, everybody))
    return found


def live_without(scenario: "Scenario", life: Life, rule_no: int) -> Life:
    """The same subject where one rule or dose by the clock of its policy is closed to it, and to nobody else."""
    policy = life.arm.policy
    eligible, mask = life.eligible.copy(), life.mask.copy()
    if rule_no < len(policy.rules):
        eligible &= ~(np.uint64(1) << np.uint64(rule_no))
    for row in np.flatnonzero(policy.prophylaxis["rule_no"] == rule_no).tolist():
        mask &= ~(np.uint64(1) << np.uint64(row))
    ran = life.ran
    if life.others is None:
        block = run_block(life.arm.clinic, ran.subjects, eligible, mask)
        return Life(life.arm, _reran(ran, life.arm, block), eligible, mask)
    from cartsim.drivers.ward import run_ward
    from cartsim.sites import build_site

    replicate, everybody = int(np.ravel(ran.who.replicate)[0]), life.others
    row = int(np.searchsorted(everybody.cohort["subject"], life.subject))
    rules, doses = life.arm.masks(everybody.cohort)
    rules[row], doses[row] = eligible[0], mask[0]
    ward = run_ward(life.arm.clinic, everybody.subjects, rules, doses, build_site(scenario, replicate))
    table = ward_waits(ran.who, everybody.cohort, ward.infusion_d, ward.waits, ward.end_d)
    one = pick(_reran(everybody, life.arm, ward.block), life.subject)
    return Life(life.arm, one, eligible, mask, *waits_of(table, life.subject))


def _reran(ran: Ran, arm: ReadyArm, block: Block) -> Ran:
    latent = latent_peaks(arm.clinic, ran.subjects, block.courses)
    return replace(ran, block=block, latent=latent, harms=harms_of(arm, ran.cohort, ran.subjects, block))


def rows_of(scenario: "Scenario", life: Life) -> dict[str, pa.Table]:
    """The subject's rows as a run writes them, by table."""
    changes = life.ran.block.changes
    # the order of intensive care stands in the log for the story alone
    written = changes[~((changes["kind"] == Change.ORDER) & (changes["drug"] < 0))]
    return build_tables(scenario, replace(life.ran, block=replace(life.ran.block, changes=written)))


def pick(ran: Ran, subject: int) -> Ran:
    """One subject of several, as if it had been run alone."""
    row = int(np.searchsorted(ran.cohort["subject"], subject))
    logs: dict[str, Any] = {}
    for name in _LOGS:
        rows = getattr(ran.block, name)
        logs[name] = rows[rows["row"] == row].copy()
        logs[name]["row"] = 0
    one = slice(row, row + 1)
    block = Block(ran.block.courses[one], **logs)
    harms = ran.harms.of_row(row) if ran.harms is not None else None
    return Ran(ran.who, ran.cohort[one], ran.subjects[one], block, ran.latent[one], harms=harms)


def waits_of(table: pa.Table, subject: int) -> tuple[tuple[Wait, ...], float | None]:
    """Requests of a subject as the desks saw them, and when it was infused (the site's clock)."""
    rows = table.filter(pc.equal(table["subject"], subject)).to_pylist()
    waits = tuple(Wait(r["resource"], r["t_asked_d"], r["t_granted_d"], r["wait_h"]) for r in rows)
    return waits, rows[0]["infused_d"] if rows else None


def _fully_logged(arm: ReadyArm) -> ReadyArm:
    logged = with_logs(arm)
    logged.clinic["par"]["want_episodes"] = 1.0
    return logged
