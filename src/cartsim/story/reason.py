"""Why: "why was this dose given?" has an answer in three parts: what the policy says, what was seen when it was
ordered, and what would have happened without that rule. The last is the model's word and no patient's, and says so.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cartsim.errors import InvalidInput
from cartsim.policy.checks import target_of
from cartsim.policy.schema import Policy
from cartsim.scenario.shape import nearest
from cartsim.story.conditions import Condition, covariate_conditions
from cartsim.story.ending import Ending
from cartsim.story.event import Event
from cartsim.story.lives import Life, live, live_without
from cartsim.story.parting import Difference, part_without
from cartsim.story.retold import story_head
from cartsim.story.source import Address, Source, find_arms, find_subject, open_source
from cartsim.story.stored import Agreement, compare_stored
from cartsim.story.tell import Course, rule_text, tell
from cartsim.story.verdicts import Verdict
from cartsim.story.words import PLACES, amount, clock, drug_name, lasting
from cartsim.terms import DISCLAIMER, HOURS_PER_DAY, Drug, Setting

SCHEMA = "cartsim/explain/1"
COUNTERFACTUAL = "the model's counterfactual: the same simulated subject, same draws, without this rule"


@dataclass(frozen=True)
class RuleText:
    """A rung as the policy has it. `shares`: the rung whose order it gives (`treat_as`)."""

    rule_id: str
    policy_id: str
    orders: str
    shares: str | None
    source: str | None
    note: str | None
    verified: bool
    prophylactic: bool

    @classmethod
    def of(cls, policy: Policy, name: str) -> "RuleText":
        """The rung called `name`, a rule or a dose by the clock."""
        ruled = name in policy.rules
        rung: Any = policy.rules[name] if ruled else policy.prophylaxis[name]
        target = target_of(policy, name) if ruled else name
        source = rung.source or (policy.source.citation if policy.source is not None else None)
        kind = "rules" if ruled else "prophylaxis"
        marks = {".".join(path.split(".")[:2]) for path in policy.unverified}
        verified = not marks & {f"{kind}.{name}", f"{kind}.{target}"}
        return cls(
            name, policy.id, rule_text(policy, name), target if target != name else None, source, rung.note,
            verified, not ruled,
        )  # fmt: skip


@dataclass(frozen=True)
class Reason:
    """Why one dose was given.

    `seen`: the assessment at which it was ordered, None for prophylaxis; `verdict`: the rule there (None so too);
    `without`, `endings`: what differs first where the rule is closed to the subject, and both courses' ends (as it was,
    without).
    """

    source: Source
    address: Address
    life: Life
    dose: Event
    rule: RuleText
    conditions: tuple[Condition, ...]
    seen: Event | None
    verdict: Verdict | None
    others: tuple[Verdict, ...]
    setting: str
    without: Difference
    endings: tuple[Ending, Ending]
    stored: Agreement

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON (docs/replay.md says what each key is)."""
        data = self.dose.data
        return story_head(self.source, self.address) | {
            "schema": SCHEMA,
            "arm_id": self.life.arm.id,
            "dose": {"t_d": self.dose.t_d, "clock": clock(self.dose.t_d), **data},
            "rule": vars(self.rule),
            "ordered": {
                "t_d": data["t_order_d"],
                "clock": clock(data["t_order_d"]),
                "setting": self.setting,
                "seen": None if self.seen is None else self.seen.data,
                "conditions": [vars(one) for one in self.conditions],
                "held_since_d": None if self.verdict is None else self.verdict.held_since_d,
                "other_rules_that_fired": [verdict.as_dict() for verdict in self.others],
            },
            "counterfactual": {
                "label": COUNTERFACTUAL,
                "first_difference": self.without.as_dict(),
                "ending": self.endings[0].as_dict(),
                "ending_without": self.endings[1].as_dict(),
            },
            "stored": self.stored.as_dict(),
            "disclaimer": DISCLAIMER,
        }


def explain(
    run: Any,
    subject: int,
    dose: int | str,
    arm: str | None = None,
    *,
    design: int = 0,
    replicate: int = 0,
    force: bool = False,
) -> Reason:
    """Say why a dose was given: `dose` by its CMSEQ in adcm (1, 2, ...) or within a drug ("tocilizumab:2").

    arm: the reference unless said. Other arguments and errors as in `replay`; `InvalidInput` for a dose that never was.
    """
    source = open_source(run, force)
    address = find_subject(source, Address(design, replicate, subject))
    scenario = source.points.scenario(design)
    ready = find_arms(source, design, [arm or scenario.reference])
    life = live(scenario, ready, replicate, subject)[0]
    number = _find_dose(life, dose)
    course = tell(life)
    row = life.doses[number]
    given = next(e for e in course.events if e.data.get("cmseq") == number + 1)
    policy, rule_no = life.arm.policy.policy, int(row["rule_no"])
    name = life.arm.policy.rule_names[rule_no]
    rule = RuleText.of(policy, name)
    verdict, others, seen, setting = _ordering(course, float(row["t_order"]), name)
    conditions = verdict.conditions if verdict is not None else _chosen(policy, name, life)
    other = live_without(scenario, life, rule_no)
    return Reason(
        source, address, life, given, rule, conditions, seen, verdict, others, setting,
        part_without(life, other, name), (Ending.of(life), Ending.of(other)), compare_stored(source, address, [life]),
    )  # fmt: skip


def _ordering(
    course: Course, t_d: float, name: str
) -> tuple[Verdict | None, tuple[Verdict, ...], Event | None, str]:
    """What the ordering assessment said and saw; nothing for a dose by the clock."""
    for look, walked in zip(course.looks, course.walked, strict=True):
        verdict = next((v for v in walked.verdicts if v.rule_id == name and v.fired), None)
        if look.t_d == t_d and verdict is not None:
            others = tuple(v for v in walked.verdicts if v.fired and v is not verdict)
            return verdict, others, course.seen_at(look), PLACES[Setting(int(look.before["setting"][0]))]
    return None, (), None, PLACES[Setting(int(course.life.ran.block.changes["setting"][0]))]


def _chosen(policy: Policy, name: str, life: Life) -> tuple[Condition, ...]:
    """Conditions on the subject of a dose by the clock."""
    entry = policy.prophylaxis[name]
    found: list[Condition] = []
    if entry.when is not None:
        found += covariate_conditions(entry.when, life.ran.cohort, life.arm.cd28)
    if entry.when_any is not None:
        some = list(covariate_conditions(entry.when_any, life.ran.cohort, life.arm.cd28))
        wanted, held = " or ".join(one.wanted for one in some), [one.found for one in some if one.holds]
        found.append(Condition("when_any", wanted, ", ".join(held), bool(held)))
    return tuple(found)


def _find_dose(life: Life, dose: int | str) -> int:
    """Place of the dose among the subject's, from 0."""
    text = str(dose).strip().lower()
    drug, colon, count = text.rpartition(":")
    drugs = [drug_name(int(row["drug"])) for row in life.doses]
    if not (count.isdecimal() and int(count) > 0 and bool(drug) == bool(colon)):
        raise InvalidInput(
            f"{dose!r} is no number of a dose", mend="--dose 2, or --dose tocilizumab:2", where="--dose"
        )
    if drug:
        known = [one.name.lower() for one in Drug]
        if drug not in known:
            meant = next((one for one in known if one.startswith(drug)), None) or nearest(drug, known)
            raise InvalidInput(
                f"there is no drug {drug!r}",
                why=f"drugs are {', '.join(known)}",
                mend=f"--dose {meant}:{count}",
            )
        places = [place for place, name in enumerate(drugs) if name == drug]
    else:
        places = list(range(len(drugs)))
    if int(count) <= len(places):
        return places[int(count) - 1]
    what = f"dose of {drug}" if drug else "dose"
    raise InvalidInput(
        f"subject {life.subject} has no {what} number {count} in arm {life.arm.id}",
        why=_given(life) if drugs else "it was given nothing there",
        mend=f"--dose {drug + ':' if drug else ''}{len(places)}" if places else "another arm with --arm",
    )


def _given(life: Life) -> str:
    """`it was given tocilizumab (2), dexamethasone (8)`."""
    drugs, counts = np.unique(life.doses["drug"], return_counts=True)
    told = [f"{drug_name(int(d))} ({n})" for d, n in zip(drugs, counts, strict=True)]
    return f"it was given {', '.join(told)}"


def dose_text(reason: Reason) -> str:
    """`tocilizumab 624 mg on day 1 01:07 (dose 1 of 57; ordered on day 1 00:00, 1:07 h before)`."""
    data = reason.dose.data
    delay = data["delay_h"] / HOURS_PER_DAY
    name = drug_name(Drug[data["drug"]])
    ordered = (
        f"ordered on {clock(data['t_order_d'])}, {lasting(delay)} before" if delay > 0 else "given as ordered"
    )
    count = len(reason.life.doses)
    given = f"{name} {amount(data['mg'])} on {clock(reason.dose.t_d)}"
    return f"{given} (administration {data['cmseq']} of {count}; {ordered})"
