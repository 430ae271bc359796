"""Why: a course is told as what happened, one line after the other. Logs and assessments become events in the order in
which the kernel took them; each has its time, a sentence, and the data behind the sentence.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cartsim.policy.checks import target_of
from cartsim.policy.schema import Policy, Prophylactic
from cartsim.policy.table import limits_text, order_text
from cartsim.story.event import PLACE_OF_KIND, Event
from cartsim.story.findings import reactions, samples
from cartsim.story.lives import Life
from cartsim.story.looks import Look, walk
from cartsim.story.verdicts import CARE, ORDERED, Verdict, Walked, walk_rules
from cartsim.story.words import CAUSES, PLACES, Grades, Signs, amount, drug_name, lasting
from cartsim.terms import CAPD_BELOW_Y, HOURS_PER_DAY, Cause, Change, CrsScale, Drug, Setting

#: Two clocks that show the same moment differ by less, in days.
SAME_MOMENT_D = 1e-6
_STOPS = (Change.STEROID_STOP, Change.ANAKINRA_STOP)
_WAITED = {"WARD_BED": "a ward bed", "ICU_BED": "an intensive care bed", "TOCILIZUMAB": "tocilizumab"}


@dataclass(frozen=True)
class Course:
    """A life as it is told: events in order, and every assessment with what its rules said."""

    life: Life
    events: tuple[Event, ...]
    looks: tuple[Look, ...]
    walked: tuple[Walked, ...]

    def seen_at(self, look: Look) -> Event:
        """What one assessment saw, whether or not it was new."""
        return _Teller(self.life, [], []).assessment(look)


def tell(life: Life) -> Course:
    """The course of one life."""
    looks = walk(life)
    walked = [walk_rules(life, look) for look in looks]
    teller = _Teller(life, looks, walked)
    events = sorted(teller.events(), key=lambda event: (event.t_d, PLACE_OF_KIND[event.kind]))
    return Course(life, tuple(events), tuple(looks), tuple(walked))


def rule_text(policy: Policy, name: str, whole: bool = True) -> str:
    """What a rule orders, with its limits where `whole`; of a dose by the clock, when it is given."""
    if name not in policy.rules:
        return _by_the_clock(policy.prophylaxis[name])
    give = policy.rules[target_of(policy, name)].give
    if give is None:
        return "intensive care"
    limits = limits_text(give)
    return order_text(give) + (f" ({limits})" if whole and limits else "")


def _by_the_clock(dose: Prophylactic) -> str:
    how_much = f"{dose.mg_per_kg:g} mg/kg" if dose.mg_per_kg is not None else "labelled dose"
    how_much = f"{dose.mg:g} mg" if dose.mg is not None else how_much
    times = ", ".join(f"{abs(h):g} h {'before' if h < 0 else 'after'} infusion" for h in dose.times_h())
    return f"{dose.drug} {how_much}, {times}"


class _Teller:
    def __init__(self, life: Life, looks: list[Look], walked: list[Walked]) -> None:
        self.life, self.looks, self.walked = life, looks, walked
        self.names = life.arm.policy.rule_names
        self.policy = life.arm.policy.policy
        self.at = {look.t_d: number for number, look in enumerate(looks)}
        self.scale = CrsScale(life.ran.who.crs_scale)
        self.par = life.arm.par
        #: Rules that have ordered: their limits are told once.
        self.ordered: set[str] = set()
        #: Rules that have called for intensive care since the subject last left it.
        self.calling: set[str] = set()

    def events(self) -> Iterator[Event]:
        """Every event, kind by kind."""
        yield from self._assessments()
        yield from self._changes()
        yield from self._doses()
        yield from self._waits()
        yield from reactions(self.life)
        yield from samples(self.life)

    def _assessments(self) -> Iterator[Event]:
        """Assessments that saw something new, or where what a rule said has changed."""
        said: dict[str, tuple[str, str]] = {}
        last: tuple[Any, ...] = ()
        for look, walked in zip(self.looks, self.walked, strict=True):
            now = {
                v.rule_id: (v.outcome, v.reason or (v.failed.key if v.failed else ""))
                for v in walked.verdicts
            }
            shown = self._shown(look)
            new = shown != last and bool(last or shown != _WELL)
            if new or (now and now != said):
                yield self.assessment(look, _news(walked, said), new)
            last, said = shown, now

    def _shown(self, look: Look) -> tuple[Any, ...]:
        """What must change for an assessment to be told: signs and grades, not the tenths of a degree."""
        return vars(Signs.of(look.after)), self._grades(look)

    def _grades(self, look: Look) -> Grades:
        in_hospital = int(look.before["setting"][0]) >= Setting.WARD
        treated_iv = in_hospital and bool(self.life.ran.subjects["iv_fever"][0])
        return Grades.of(self.life.ran.who, look.before, look.after, treated_iv)

    def assessment(self, look: Look, verdicts: tuple[Verdict, ...] = (), new: bool = True) -> Event:
        """What one assessment saw."""
        child = float(self.life.ran.cohort["age_years"][0]) < CAPD_BELOW_Y
        signs = Signs.of(look.after, look.temperature_c, "CAPD" if child else "ICE")
        grades = self._grades(look)
        setting = Setting(int(look.before["setting"][0]))
        data = {
            "signs": vars(signs),
            "grades": {"crs": dict(grades.crs), "icans": grades.icans, "ne": grades.ne},
            "policy_crs_grade": int(look.after["crs_policy"][0]),
            "temperature_c": look.temperature_c,
            "setting": setting.name,
            "new": new,
        }
        text = f"{signs.text()}: {grades.text(self.scale)}"
        return Event(look.t_d, "assessment", text, data=data, verdicts=verdicts)

    def _changes(self) -> Iterator[Event]:
        ordered_at = -1.0
        for row in self.life.ran.block.changes:
            kind, t = Change(int(row["kind"])), float(row["t"])
            rule = self.names[int(row["rule_no"])] if int(row["rule_no"]) >= 0 else None
            if kind == Change.INFUSION:
                yield self._infusion(t)
            elif kind == Change.ORDER:
                ordered_at = t
                if int(row["drug"]) >= 0 or self._calls(rule or "", Setting(int(row["setting"]))):
                    yield self._order(t, rule or "", int(row["drug"]))
            elif kind == Change.STEROID_TAPER:
                yield Event(t, "taper", f"{drug_name(int(row['drug']))}: the taper begins", rule)
            elif kind in _STOPS:
                # a single dose, given where it is ordered, ends its course after that order
                late = "prompt stop" if t == ordered_at else "stop"
                yield Event(t, late, f"{drug_name(int(row['drug']))} ends", rule)
            elif kind == Change.SEIZURE:
                yield Event(t, "seizure", "seizure")
            elif kind == Change.DEATH:
                cause = Cause(int(self.life.course["cause"][0]))
                yield Event(t, "death", f"death {CAUSES[cause]}", data={"cause": cause.name})
            elif kind == Change.END:
                place = PLACES[Setting(int(row["setting"]))]
                yield Event(t, "end", f"end of follow-up, alive and {place}")
            elif kind != Change.SIGNS:
                yield self._move(kind, t, Setting(int(row["setting"])))
        for look in self.looks:
            if (int(look.before["setting"][0]), int(look.after["setting"][0])) == (
                Setting.CLINIC,
                Setting.HOME,
            ):
                every = _hours(self.par["home_h"])
                yield Event(look.t_d, "move", f"no longer seen in the clinic; at home, seen every {every}")

    def _infusion(self, t: float) -> Event:
        place = Setting.CLINIC if self.par["outpatient"][0] else Setting.WARD
        every = _hours(self.par["clinic_h" if place == Setting.CLINIC else "ward_h"])
        data: dict[str, Any] = {"setting": place.name}
        text = f"CAR-T infusion; {PLACES[place]}, seen every {every}"
        if self.life.infused_d is not None:
            data["site_day"] = self.life.infused_d
            text += f" (day {self.life.infused_d:.2f} of the site)"
        return Event(t, "infusion", text, data=data)

    def _calls(self, rule: str, setting: Setting) -> bool:
        """Whether an order of intensive care is new: the rule gives it again at every assessment while it holds."""
        if setting == Setting.ICU or rule in self.calling:
            return False
        self.calling.add(rule)
        return True

    def _order(self, t: float, rule: str, drug: int) -> Event:
        number = self.at.get(t)
        verdict = None
        if number is not None:
            verdict = next((v for v in self.walked[number].verdicts if v.rule_id == rule), None)
        asked = [] if verdict is None else [c.wanted for c in verdict.conditions if c.key != "adherence"]
        because = f": {', '.join(asked)}" if asked else ""
        if drug < 0:
            return Event(t, "order", f"intensive care ordered [{rule}{because}]", rule, {"drug": None})
        again = rule in self.ordered
        self.ordered.add(rule)
        text = (
            f"ordered{' again' if again else ''}: {rule_text(self.policy, rule, not again)} [{rule}{because}]"
        )
        return Event(t, "order", text, rule, {"drug": Drug(drug).name})

    def _move(self, kind: Change, t: float, setting: Setting) -> Event:
        data = {"change": kind.name, "setting": setting.name}
        hours = {Setting.ICU: "icu_h", Setting.WARD: "ward_h", Setting.HOME: "home_h"}
        seen = f", seen every {_hours(self.par[hours[setting]])}" if setting in hours else ""
        self.calling.clear()
        if kind == Change.ICU_IN:
            why = self._why_icu(t)
            return Event(t, "move", f"into intensive care{why}{seen}", data=data)
        words = {
            Change.ADMIT: "admitted to the ward",
            Change.ICU_OUT: "out of intensive care, to the ward",
            Change.DISCHARGE: "discharged",
        }
        return Event(t, "move", words[kind] + seen, data=data)

    def _why_icu(self, t: float) -> str:
        """Who called for it, at the last assessment up to then at which somebody did."""
        for look, walked in zip(reversed(self.looks), reversed(self.walked), strict=True):
            rules = [v.rule_id for v in walked.verdicts if v.fired and v.icu]
            if look.t_d <= t and (walked.by_signs or rules):
                callers = (["the signs seen"] if walked.by_signs else []) + rules
                return f" (called for by {', '.join(callers)})"
        return ""

    def _doses(self) -> Iterator[Event]:
        begun: set[tuple[str, float]] = set()
        for number, row in enumerate(self.life.doses, 1):
            rule = self.names[int(row["rule_no"])]
            drug, start, order = drug_name(int(row["drug"])), float(row["t_start"]), float(row["t_order"])
            prophylactic = bool(row["prophylactic"])
            text = f"{drug} {amount(float(row['mg']))}"
            if prophylactic:
                text += f", prophylactic [{rule}]"
            else:
                text += f", dose {int(row['dose_no'])}"
                # later doses of a course follow its interval and no order of their own
                text += "" if (rule, order) in begun else f", {_after(start - order)}"
                text += f" [{rule}]"
            begun.add((rule, order))
            data = {
                "cmseq": number, "drug": Drug(int(row["drug"])).name, "mg": float(row["mg"]),
                "dose_no": int(row["dose_no"]), "t_order_d": order, "delay_h": (start - order) * HOURS_PER_DAY,
                "t_end_d": float(row["t_end"]), "prophylactic": prophylactic,
                "trigger_grade": None if prophylactic else int(row["grade"]),
            }  # fmt: skip
            prompt = order >= start and not prophylactic
            yield Event(start, "prompt dose" if prompt else "dose", text, rule, data)

    def _on_the_course(self, t_d: float) -> float:
        """A time that went by the site's clock, as the assessment of that moment has it."""
        nearest = min(self.at, key=lambda at: abs(at - t_d), default=t_d)
        return nearest if abs(nearest - t_d) < SAME_MOMENT_D else t_d

    def _waits(self) -> Iterator[Event]:
        infused = self.life.infused_d
        if infused is None:
            return
        for wait in self.life.waits:
            if wait.hours <= 0.0:
                continue
            asked = self._on_the_course(wait.asked_d - infused)
            what = _WAITED[wait.resource]
            ending = (
                f"{'in vain ' if wait.granted_d is None else ''}for {lasting(wait.hours / HOURS_PER_DAY)}"
            )
            elective = wait.resource == "WARD_BED" and asked < 0.0
            text = f"{'the infusion' if elective else 'the subject'} waits {ending} for {what}"
            data = {"resource": wait.resource, "wait_h": wait.hours, "granted": wait.granted_d is not None}
            yield Event(asked, "wait", text, data=data)


#: What nobody needs to be told of at first: no sign, no grade.
_WELL = (vars(Signs(0, 0, 0, 0, 0, 0, 0, 0)), Grades({s.name.lower(): 0 for s in CrsScale}, 0, 0))


def _news(walked: Walked, said: dict[str, tuple[str, str]]) -> tuple[Verdict, ...]:
    """What the rules say that they did not say at the last assessment, the kernel's order kept."""
    return tuple(
        v
        for v in walked.verdicts
        if (v.outcome, v.reason or (v.failed.key if v.failed else "")) != said.get(v.rule_id)
        or v.outcome in (ORDERED, CARE)
    )


def _after(days: float) -> str:
    return "at once" if days <= 0.0 else f"{lasting(days)} after the order"


def _hours(value: np.ndarray) -> str:
    return f"{float(value[0]):g} h"
