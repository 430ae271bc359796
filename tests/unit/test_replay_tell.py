"""The story of hand-made subjects, read line by line: every hour below follows from the subject, the registry's
intervals and the rule, not from the teller."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from clinic_builder import ALL, HOUR, REGISTRY, STARTING, make_subject, with_fever, with_neuro, with_support

from cartsim.commands.replay import moments
from cartsim.drivers.batch import run_block
from cartsim.model.peaks import latent_peaks
from cartsim.scenario.load import load_scenario
from cartsim.story.ending import Ending, other_rows, peak_rows
from cartsim.story.lives import Life, live
from cartsim.story.reason import RuleText
from cartsim.story.tell import Course, tell
from cartsim.story.verdicts import HELD_BACK, NOT_MET, ORDERED
from cartsim.story.words import clock
from cartsim.sweep.points import Points

Probe = Callable[..., dict[str, Any]]
#: Before calibration, as in every life below: signs of support stand from the first hour of fever.
NUMBERS = REGISTRY.numbers()
DEX = {"drug": "dexamethasone", "mg": 10, "every_h": 6, "until": {"icans": "<=1"}, "taper": "none"}


def life_of(data: dict[str, Any], subject: np.ndarray) -> Life:
    """The first arm of a scenario, lived by a hand-made subject that is eligible for everything."""
    overrides = STARTING | data.get("model", {}).get("overrides", {})
    scenario = load_scenario(data | {"model": {"overrides": overrides}})
    drawn = live(scenario, Points(scenario).arms(0)[:1], 0, 0)[0]
    mask = np.full(1, ALL)
    block = run_block(drawn.arm.clinic, subject, mask, mask)
    latent = latent_peaks(drawn.arm.clinic, subject, block.courses)
    cohort = drawn.ran.cohort.copy()
    cohort["adherent"] = 1
    ran = replace(drawn.ran, cohort=cohort, subjects=subject, block=block, latent=latent)
    return Life(drawn.arm, ran, mask, mask)


def arms_of(rules: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    policy = {"id": "mine", "scale": "astct2019", "rules": rules} | more
    return [{"id": "a", "policy": policy}]


def lines(course: Course, why: bool = False) -> list[str]:
    """What is printed, a line a paragraph."""
    return [f"{clock(m.t_d)} {text}" for m in moments(course.events, why) for text in m.paragraphs]


def delay_h() -> float:
    """Hours from an order on the ward to the dose, in a subject in the middle of the range."""
    low, high = (float(NUMBERS[f"behaviour.order_delay_{end}_h"]) for end in ("min", "max"))
    return (low + high) / 2.0


def degrees() -> float:
    """Temperature of a fever of another cause, in a subject without CRS."""
    return float(NUMBERS["signs.other_fever_temperature_c"])


def test_a_day_of_fever_under_a_persistence_rule(probe: Probe) -> None:
    """Fever from hour 20 to hour 60, looked for every 6 h; tocilizumab once grade 1 has lasted 24 h."""
    rules = {"g1": {"when": {"crs": 1, "for_h": 24}, "give": {"drug": "tocilizumab"}}}
    life = life_of(probe(arms=arms_of(rules)), with_fever(20, 60))
    given = clock(2.0 + delay_h() * HOUR)
    mg = float(NUMBERS["tocilizumab.dose_mg_per_kg"]) * 70.0
    delay = f"{int(delay_h())}:{round(delay_h() % 1 * 60):02d} h"
    stay = max(
        float(NUMBERS["behaviour.min_stay_d"]), 2.25 + float(NUMBERS["behaviour.discharge_clear_h"]) / 24
    )
    assert lines(tell(life)) == [
        "day 0 00:00 CAR-T infusion; on the ward, seen every 6 h",
        f"day 1 00:00 fever {degrees():.1f} °C: CRS 1",
        "day 2 00:00 ordered: tocilizumab labelled dose (one dose) [g1: CRS 1, all this for 24 h]",
        f"{given} tocilizumab {mg:.0f} mg, dose 1, {delay} after the order [g1]",
        "day 2 12:00 nothing abnormal: no CRS",
        f"{clock(stay)} discharged, seen every 24 h",
        "day 30 00:00 end of follow-up, alive and at home",
    ]


def test_why_nothing_was_done_is_told_until_it_is(probe: Probe) -> None:
    rules = {
        "g1": {"when": {"crs": 1, "for_h": 24}, "give": {"drug": "tocilizumab"}},
        "g2": {"when": {"crs": ">=2"}, "give": {"drug": "tocilizumab"}},
    }
    told = lines(tell(life_of(probe(arms=arms_of(rules)), with_fever(20, 60))), why=True)
    assert told[2:4] == [
        "day 1 00:00   no g1: asks for all this for 24 h (for 0 h, since day 1 00:00)",
        "day 1 00:00   no g2: other grades",
    ]
    held = "  g1 holds, and orders nothing: one dose at most by this rule, and 1 given"
    assert "day 2 06:00" + " " + held in told


def test_steroids_stop_and_seizures_and_intensive_care(probe: Probe) -> None:
    """ICANS that jumps to level 3 on day 5 and falls under dexamethasone every 6 h; intensive care by the signs."""
    level = np.asarray(NUMBERS["signs.neuro_thresholds"])
    subject = with_neuro(float(level[2]) + 0.05, 5.0, 0.05)
    rules = {"i3": {"when": {"icans": ">=3"}, "give": DEX}}
    course = tell(life_of(probe(arms=arms_of(rules)), subject))
    told = lines(course)
    order = "ordered: dexamethasone 10 mg every 6 h (until ICANS <= 1) [i3: ICANS 3 or more]"
    at = next(line for line in told if order in line)
    assert at.startswith("day 5 ")
    assert (
        f"{' '.join(at.split()[:3])} into intensive care (called for by the signs seen), seen every 2 h"
        in told
    )
    first = next(e for e in course.events if e.kind == "dose")
    assert first.data["delay_h"] == pytest.approx(delay_h())
    assert any(line.endswith("dexamethasone ends") for line in told)
    doses = [e for e in course.events if e.kind == "dose"]
    assert np.allclose(np.diff([e.t_d for e in doses]), 6 * HOUR)
    assert [e.data["cmseq"] for e in doses] == list(range(1, len(doses) + 1))
    # the doses between two other events are one line
    printed = [line for line in told if "dexamethasone 10 mg, dose" in line]
    assert len(printed) < len(doses)
    assert any("every 6 h until" in line for line in printed)


def test_signs_are_told_in_words_and_grades_on_every_scale(probe: Probe) -> None:
    """Blood pressure alone: one pressor is grade 3 in ASTCT; the words are those of the bedside."""
    level = np.asarray(NUMBERS["signs.bp_support_thresholds"])
    subject = with_support(float(level[2]) + 0.05, 3.0, 0.3)
    life = life_of(probe(arms=[{"id": "a", "policy": "no_treatment"}]), subject)
    seen = [e for e in tell(life).events if e.kind == "assessment"]
    assert seen[0].text.split(":")[0].endswith("low-dose vasopressor")
    assert seen[0].data["grades"]["crs"]["astct2019"] == 3
    assert life.course["peak_crs"][0] == max(e.data["grades"]["crs"]["astct2019"] for e in seen)


@pytest.mark.parametrize("scale", ["astct2019", "lee2014", "penn", "ctcae5", "cartox2018"])
def test_grades_are_those_that_the_kernel_sees_on_each_scale(probe: Probe, scale: str) -> None:
    scenario = load_scenario(probe(60, arms=[{"id": "a", "policy": "asco_2021"}], grading={"crs": scale}))
    arms, worst = Points(scenario).arms(0), 0
    for subject in range(25):
        life = live(scenario, arms, 0, subject)[0]
        course = tell(life)
        for look in course.looks:
            grades = course.seen_at(look).data["grades"]
            assert grades["crs"][scale] == int(look.after["crs"][0])
            assert (grades["icans"], grades["ne"]) == (int(look.after["icans"][0]), int(look.after["ne"][0]))
            worst = max(worst, grades["crs"][scale])
    assert worst >= 2


def test_death_is_told_with_its_cause(probe: Probe) -> None:
    subject = make_subject(death_threshold=0.5, death_cause_u=0.999)
    data = probe(arms=[{"id": "a", "policy": "no_treatment"}])
    data["model"] = {"overrides": {"death.background_per_d": 0.05}}
    life = life_of(data, subject)
    assert lines(tell(life))[-1] == "day 10 00:00 death of another cause"
    rows = dict(other_rows([Ending.of(life)]))
    assert rows["End"] == "died of another cause, day 10 00:00"


def test_an_ending_says_latent_where_it_was_not_seen(probe: Probe) -> None:
    """A short peak between two daily looks at home."""
    level = np.asarray(NUMBERS["signs.bp_support_thresholds"])
    subject = with_support(float(level[0]) + 0.3, 3.3, 1.5)
    data = probe(arms=[{"id": "a", "policy": "no_treatment"}], monitoring={"start": "outpatient"})
    ending = Ending.of(life_of(data, subject))
    seen, latent = ending.values["crs_max_astct2019"], ending.values["crs_latent_astct2019"]
    assert latent > seen
    assert peak_rows([ending])[0] == ("CRS, ASTCT 2019", f"{seen} (latent {latent})")


def test_verdicts_of_one_assessment(probe: Probe) -> None:
    rules = {
        "first": {"when": {"crs": 1, "fever": True}, "give": {"drug": "tocilizumab"}},
        "second": {"when": {"crs": ">=1"}, "give": {"drug": "tocilizumab"}},
        "cold": {"when": {"crs": ">=1", "fever": False}, "give": {"drug": "tocilizumab"}},
        "warm": {"when": {"crs": ">=1", "temperature_c": 40}, "care": "icu"},
    }
    course = tell(life_of(probe(arms=arms_of(rules)), with_fever(20, 60)))
    verdicts = {v.rule_id: v for v in course.walked[[x.t_d for x in course.looks].index(1.0)].verdicts}
    assert [verdicts[name].outcome for name in rules] == [ORDERED, HELD_BACK, NOT_MET, NOT_MET]
    assert verdicts["second"].why_not() == "a dose is ordered already, or running"
    assert verdicts["cold"].why_not() == "asks for no fever (fever)"
    assert verdicts["warm"].why_not() == f"asks for temperature 40 °C or more ({degrees():.1f} °C)"
    assert verdicts["first"].as_dict()["conditions"][1] == {
        "key": "crs", "wanted": "CRS 1", "found": "CRS 1", "holds": True,
    }  # fmt: skip


def test_a_rule_says_what_the_policy_says_of_it(probe: Probe) -> None:
    scenario = load_scenario(probe(arms=[{"id": "a", "policy": "asco_2021"}]))
    policy = scenario.arms[0].policy
    text = RuleText.of(policy, "g2_escalate")
    assert text.shares == "g3_steroid" and not text.verified and not text.prophylactic
    assert text.source is not None and "Santomasso" in text.source
    assert RuleText.of(policy, "g2_toci").verified
    assert RuleText.of(policy, "g1_persist").note is not None
