"""Why: what the drugs of a course did beside their purpose, subject by subject, as rows that say which dose it was.

Two ways from exposure to a reaction:

- *Thinning*: each dose, or each day of exposure, brings the reaction with one probability, whatever the others did:
  it does where its own uniform number exceeds 1 - p. Numbers are addressed by subject, reaction, drug and number of
  the dose or day, so that a subject under two policies meets the same ones, and a dose more can only add.
- *Hazard*: infections come when the hazard gathered since infusion reaches -ln(u) of the subject's own number; a
  larger u is sooner. What a drug adds is a source of its own beside the background (hazards add up, so the sources
  are independent): taking the drug away takes away its infections and leaves the others where they were.

How bad it is and when it begins are drawn at addresses of their own; larger numbers are worse, and sooner. Nothing
begins after the end of follow-up, and nothing goes back into the course.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from cartsim.draws import uniforms_at
from cartsim.harms.exposure import Given, days_of, doses_by_source, nth_of
from cartsim.harms.infection import InfectionClock
from cartsim.harms.numbers import DRUGS, PER_DAY, PER_DOSE, HarmNumbers
from cartsim.terms import Decision, Drug, HarmSource, Reaction

#: One reaction or infection: `drug` and `cmseq` (in adcm) of the dose it is traced to, -1 and 0 where to none; `t_end`
#: may lie beyond the end of follow-up.
HARM = np.dtype(
    [("row", "i4"), ("reaction", "i1"), ("source", "i1"), ("drug", "i1"), ("grade", "i1"), ("serious", "i1"),
     ("mistaken", "i1"), ("cmseq", "i2"), ("t_start", "f8"), ("t_end", "f8")],
    align=True,
)  # fmt: skip

#: Addresses: numbers of doses and days lie below `_PER_SOURCE`, sources below `_PER_REACTION` / `_PER_SOURCE`.
_PER_SOURCE = 4096
_PER_REACTION = 65536
#: Not how bad a psychiatric reaction is, but what it looks like: a place of its own beside the reactions.
_LOOKS = len(Reaction)
_WITHIN_A_DAY = (0.0, 1.0)


@dataclass(frozen=True)
class Harms:
    """Rows (HARM) of some subjects, by subject, then time; `sources` that were followed."""

    rows: np.ndarray
    sources: tuple[HarmSource, ...]

    @property
    def drugs(self) -> tuple[str, ...]:
        """The sources that are drugs, as a scenario names them."""
        return tuple(name for name, source in DRUGS.items() if source in self.sources)

    def of_row(self, row: int) -> "Harms":
        """Those of one subject, as if it were alone."""
        rows = self.rows[self.rows["row"] == row].copy()
        rows["row"] = 0
        return Harms(rows, self.sources)


@dataclass(frozen=True)
class _Happened:
    """Reactions of one kind from one source; `number` as in `Given`. `start` is final where `latency` is None."""

    reaction: Reaction
    given: Given
    latency: tuple[float, float] | None
    severe: bool = False


def find_harms(
    numbers: HarmNumbers, subjects: np.ndarray, courses: np.ndarray, doses: np.ndarray, who: np.ndarray
) -> Harms:
    """Reactions and infections of subjects of one replicate.

    subjects: SUBJECT[n]; courses: COURSE[n]; doses: DOSE, all of theirs; who: their numbers in the cohort, int64[n].
    A pure function of them: other subjects, blocks or arms change nothing.
    """
    follow = _Follow(numbers, subjects, courses, doses, who)
    parts = [follow.rows(found) for found in follow.everything()] if len(who) else []
    return Harms(_merged(np.concatenate([np.zeros(0, HARM), *parts])), numbers.sources)


class _Follow:
    def __init__(
        self,
        numbers: HarmNumbers,
        subjects: np.ndarray,
        courses: np.ndarray,
        doses: np.ndarray,
        who: np.ndarray,
    ) -> None:
        self.numbers, self.courses, self.who = numbers, courses, who
        # one replicate has one key
        self.key = (subjects["key0"][0], subjects["key1"][0]) if len(subjects) else None
        equivalent = np.where(doses["drug"] == Drug.METHYLPREDNISOLONE, numbers.dexamethasone_mg, 1.0)
        mg = doses["mg"] * equivalent * subjects["steroid_scale"][doses["row"]]
        doses_of = doses_by_source(doses, mg)
        self.doses = {source: doses_of(source) for source in numbers.sources[1:]}
        self.clock = InfectionClock(numbers.infection, courses)

    def everything(self) -> Iterator[_Happened]:
        """All that happens, source by source, before follow-up cuts it off."""
        yield self._background()
        for source, reaction in PER_DOSE:
            if source in self.doses:
                yield self._thinned(reaction, self.doses[source])
        for source, reaction, sized in PER_DAY:
            if source in self.doses:
                least = self.numbers.day_mg[reaction] if sized else 0.0
                yield self._thinned(reaction, days_of(self.doses[source], least))
        if HarmSource.STEROID in self.doses:
            yield self._after_long_steroids()
        if HarmSource.ANAKINRA in self.doses:
            yield self._on_days_of_anakinra()
        if HarmSource.TOCILIZUMAB in self.doses and self.numbers.odds_per_dose is not None:
            yield self._by_odds(self.numbers.odds_per_dose)

    def _thinned(self, reaction: Reaction, given: Given) -> _Happened:
        """Doses or days that bring a reaction, each with the same chance."""
        chance = self.numbers.chance[given.source, reaction]
        hit = self._reaction(reaction, given) > 1.0 - chance
        return _Happened(reaction, given.where(hit), self.numbers.forms[reaction].latency_d)

    def _background(self) -> _Happened:
        """The infection that comes whatever is given: when the gathered hazard reaches -ln(u)."""
        given = self._once(HarmSource.BACKGROUND)
        start = self.clock.when(given.row, -np.log(self._reaction(Reaction.INFECTION, given)))
        return _Happened(Reaction.INFECTION, replace(given, start=start), None)

    def _after_long_steroids(self) -> _Happened:
        """Severe infections beyond the background's from the end of the last day that it takes: the hazard of severe
        ones times (ratio - 1)."""
        rule = self.numbers.steroid_infection
        days = days_of(self.doses[HarmSource.STEROID], rule.day_mg)
        long = nth_of(days.where((days.day >= 0) & (days.day <= rule.window_d)), rule.days)
        rate = self.numbers.infection.severe_share * max(rule.ratio - 1.0, 0.0)
        if rate <= 0.0:
            long = long.where(np.zeros(len(long.row), bool))
        since = self.clock.cumulative(long.row, long.day + 1.0)
        own = replace(long, number=np.zeros_like(long.number))
        need = -np.log(self._reaction(Reaction.INFECTION, own)) / (rate or 1.0)
        start = self.clock.when(long.row, since + need)
        return _Happened(Reaction.INFECTION, replace(own, start=start), None, severe=True)

    def _on_days_of_anakinra(self) -> _Happened:
        """Severe infections beyond the background's on days with a dose, each day by itself: the chance is that of
        the day's hazard of severe ones times (ratio - 1)."""
        days = days_of(self.doses[HarmSource.ANAKINRA])
        rate = self.numbers.infection.severe_share * max(self.numbers.anakinra_infection - 1.0, 0.0)
        gained = self.clock.cumulative(days.row, days.day + 1.0) - self.clock.cumulative(days.row, days.day)
        hit = self._reaction(Reaction.INFECTION, days) > np.exp(-rate * gained)
        return _Happened(Reaction.INFECTION, days.where(hit), _WITHIN_A_DAY, severe=True)

    def _by_odds(self, odds: float) -> _Happened:
        """Infections beyond the background's where each dose of tocilizumab multiplies the odds of one by the end of
        the window. With n doses the excess has the chance q(n) = 1 - (1 - p(n)) / (1 - p(0)); it happens where one
        uniform number of the subject exceeds 1 - q(n), by the first dose for which it does."""
        doses = self.doses[HarmSource.TOCILIZUMAB]
        infection = self.numbers.infection
        gathered = self.clock.cumulative(doses.row, np.full(len(doses.row), infection.window_d))
        spared = np.exp(-gathered)  # 1 - p(0); the odds of p(n) are those of p(0) times odds ** n
        left = 1.0 / (spared + (1.0 - spared) * odds**doses.number)
        own = replace(doses, number=np.zeros_like(doses.number))
        hit = np.flatnonzero(self._reaction(Reaction.INFECTION, own) > left)
        _, first = np.unique(doses.row[hit], return_index=True)
        return _Happened(Reaction.INFECTION, own.where(hit[first]), self.numbers.odds_latency_d)

    def _once(self, source: HarmSource) -> Given:
        n = len(self.who)
        nothing = np.zeros(n, "i8")
        return Given(source, np.arange(n), nothing, np.zeros(n), np.zeros(n), nothing, nothing - 1)

    def _reaction(self, reaction: Reaction, given: Given) -> np.ndarray:
        place = _PER_SOURCE * int(given.source) + given.number
        return self._at(Decision.HARM_INFUSION_REACTION + reaction, given.row, place)

    def _uniforms(self, decision: Decision, reaction: int, given: Given) -> np.ndarray:
        place = _PER_REACTION * int(reaction) + _PER_SOURCE * int(given.source) + given.number
        return self._at(decision, given.row, place)

    def _at(self, decision: int, row: np.ndarray, place: np.ndarray) -> np.ndarray:
        assert self.key is not None
        return uniforms_at(self.key, self.who[row], decision, place)

    def rows(self, found: _Happened) -> np.ndarray:
        """HARM rows of what begins within follow-up."""
        given, reaction, form = found.given, found.reaction, self.numbers.forms[found.reaction]
        start = given.start
        if found.latency is not None:
            soonest, latest = found.latency
            start = start + latest - (latest - soonest) * self._uniforms(Decision.HARM_ONSET, reaction, given)
        inside = start <= self.courses["end"][given.row]
        given, start = given.where(inside), start[inside]
        rows = np.zeros(len(start), HARM)
        u = self._uniforms(Decision.HARM_SEVERITY, reaction, given)
        severe = found.severe | (u > 1.0 - form.severe_share)
        rows["row"], rows["reaction"], rows["source"] = given.row, reaction, given.source
        rows["drug"], rows["cmseq"] = given.drug, given.cmseq
        rows["grade"] = np.where(severe, form.grades[1], form.grades[0])
        rows["serious"] = rows["grade"] >= form.serious_grade
        if reaction == Reaction.PSYCHIATRIC:
            u = self._uniforms(Decision.HARM_SEVERITY, _LOOKS, given)
            rows["mistaken"] = u > 1.0 - self.numbers.mistaken_share
        rows["t_start"], rows["t_end"] = start, start + form.duration_d
        return rows


def _merged(rows: np.ndarray) -> np.ndarray:
    """By subject, then time. Of one reaction to one drug, what begins before the last has ended is the same event: it
    is as bad as its worst part and goes back to its first dose."""
    order = np.lexsort((rows["t_start"], rows["source"], rows["reaction"], rows["row"]))
    rows = rows[order]
    same = np.ones(max(len(rows) - 1, 0), bool)
    for name in ("row", "reaction", "source"):
        same &= rows[name][1:] == rows[name][:-1]
    # a reaction has one length, so that the last to begin is the last to end
    new = np.ones(len(rows), bool)
    new[1:] = ~same | (rows["t_start"][1:] > rows["t_end"][:-1])
    first = np.flatnonzero(new)
    merged = rows[first]
    if len(first):
        for name in ("grade", "serious", "mistaken", "t_end"):
            merged[name] = np.maximum.reduceat(rows[name], first)
    return merged[np.lexsort((merged["source"], merged["reaction"], merged["t_start"], merged["row"]))]
