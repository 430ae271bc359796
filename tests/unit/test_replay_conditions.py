"""Conditions and verdicts in words against the kernel's own decision: a rule is said to fire exactly when it was walked
and ordered, over every shipped policy; and each kind of condition reads as it should."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from clinic_builder import make_par, new_course

from cartsim.cohort import COHORT
from cartsim.policy.library import list_policies
from cartsim.policy.schema import When
from cartsim.scenario.load import load_scenario
from cartsim.story.conditions import Condition, Seen, conditions_of
from cartsim.story.lives import live
from cartsim.story.looks import walk
from cartsim.story.sampled import newest
from cartsim.story.verdicts import NOT_MET, ORDERED, walk_rules
from cartsim.story.words import Signs, amount, clock, lasting
from cartsim.sweep.points import Points
from cartsim.terms import Change, Marker

Probe = Callable[..., dict[str, Any]]
EVERY = make_par(marker_every_h=12.0)


def seen_in(t_d: float = 3.0, temperature: float = 38.7, improved: bool = False, **course: Any) -> Seen:
    cohort = np.zeros(1, COHORT)
    cohort["adherent"], cohort["easix"], cohort["high_burden"] = 1, 2.5, 1
    return Seen(t_d, new_course(**course), cohort, True, temperature, improved, EVERY)


def one(when: dict[str, Any], seen: Seen, held_since: float | None = None) -> Condition:
    return conditions_of(When.model_validate(when), seen, held_since)[-1]


@pytest.mark.parametrize(
    ("when", "course", "wanted", "found", "holds"),
    [
        ({"crs": ">=2"}, {"crs_policy": 3}, "CRS 2 or more", "CRS 3", True),
        ({"crs": [2, 3]}, {"crs_policy": 4}, "CRS 2 to 3", "CRS 4", False),
        ({"crs": 0}, {}, "no CRS", "no CRS", True),
        ({"ne": ">=3"}, {"ne": 1}, "neurologic event 3 or more", "neurologic event 1", False),
        ({"oxygen": ">=high_flow"}, {"level": [0, 1, 0, 0]}, "high-flow oxygen or more", "low-flow oxygen", False),
        ({"bp_support": "<=one_bolus"}, {}, "no blood pressure support to one fluid bolus",
         "no blood pressure support", True),
        ({"neuro": ">=2"}, {"neuro": 2}, "ICE 3–6 or worse", "ICE 3–6", True),
        ({"kidney": ">=1"}, {}, "kidney grade 1 or more", "no kidney toxicity", False),
        ({"fever": True}, {"fever": 0}, "fever", "no fever", False),
        ({"temperature_c": 38.5}, {}, "temperature 38.5 °C or more", "38.7 °C", True),
        ({"toci_doses": ">=1"}, {"toci_doses": 2}, "1 or more tocilizumab doses given", "2", True),
        ({"steroid_doses": 0}, {"steroid_doses": 1}, "no steroid yet", "1", False),
        ({"since_first_toci_h": 24}, {"toci_t": 2.5}, "24 h after the first tocilizumab", "12 h, day 2 12:00", False),
        ({"since_first_toci_h": 24}, {"toci_t": np.inf}, "24 h after the first tocilizumab", "not so far", False),
        ({"since_onset_h": 12}, {"ep_open": [1, 0, 0], "ep_start": [2.0, 0, 0]}, "12 h after the onset of CRS",
         "24 h, day 2 00:00", True),
        ({"awaiting_toci_h": 8}, {"waiting": 128, "asked_toci_t": 2.75}, "8 h of waiting for tocilizumab",
         "6 h, day 2 18:00", False),
        ({"onset_before_h": 72}, {"ep_open": [1, 0, 0], "ep_start": [2.5, 0, 0]}, "CRS began before day 3 00:00",
         "it began on day 2 12:00", True),
        ({"improved": False}, {}, "not improved since the order", "not improved since the order", True),
    ],
)  # fmt: skip
def test_each_condition_in_words(
    when: dict[str, Any], course: dict[str, Any], wanted: str, found: str, holds: bool
) -> None:
    told = one(when, seen_in(**course))
    assert (told.wanted, told.found, told.holds) == (wanted, found, holds)


def test_persistence_and_what_is_known_before_infusion() -> None:
    assert one({"crs": 2, "for_h": 24}, seen_in(crs_policy=2), 2.5).text() == (
        "all this for 24 h (for 12 h, since day 2 12:00)"
    )
    assert one({"crs": 2, "for_h": 24}, seen_in(crs_policy=2), 2.0).holds
    assert one({"crs": 2, "for_h": 24}, seen_in(), None).holds is False
    first = conditions_of(When.model_validate({"easix": ">=3", "cd28": True, "crs": 1}), seen_in(), None)
    assert [c.text() for c in first[:2]] == ["a CD28 product (a CD28 product)", "EASIX >=3 (2.5)"]
    assert [c.holds for c in first[:2]] == [True, False]
    assert first[2].key == "adherence" and first[2].holds


def test_the_newest_result_that_the_laboratory_has_reported() -> None:
    """Samples every 12 h: on day 1, hour 1, CRP of hour 12 is known if the laboratory needs 13 h at most."""
    par = EVERY.copy()
    par["marker_delay_h"][0, Marker.CRP] = 2.0
    values = np.zeros((4, len(Marker)))
    values[:3, Marker.CRP] = [10.0, 120.0, 300.0]
    seen = Seen(
        25 / 24,
        new_course(marker_sampled=3, marker_value=values),
        np.zeros(1, COHORT),
        True,
        37.0,
        False,
        par,
    )
    result = newest(par, seen.course, "sampled_crp_mg_per_l", seen.t_d)
    assert result is not None and (result.value, result.taken_d) == (120.0, 0.5)
    told = one({"sampled_crp_mg_per_l": ">=100"}, seen)
    assert told.text() == "CRP >=100 mg/L (120 mg/L, sampled on day 0 12:00)" and told.holds
    fresh = {"sampled_crp_mg_per_l": ">=100", "sampled_within_h": 12}
    assert one(fresh, seen).text() == "sampled in the last 12 h (13 h ago)" and not one(fresh, seen).holds
    assert newest(par, seen.course, "sampled_crp_mg_per_l", 1 / 24) is None


@pytest.mark.parametrize(("product", "start"), [("axi-cel", "inpatient"), ("tisa-cel-all", "outpatient")])
def test_verdicts_are_the_kernels(probe: Probe, product: str, start: str) -> None:
    """Every shipped policy: who is said to order did, in that order; a rule fires just when all its conditions hold."""
    arms = [{"id": header.id, "policy": header.id} for header in list_policies()]
    scenario = load_scenario(
        probe(
            100,
            product=product,
            arms=arms,
            monitoring={"start": start},
            outputs={"biomarkers": {"every_h": 12}},
        )
    )
    ready = Points(scenario).arms(0)
    fired = unmet = 0
    for subject in (1, 7, 16, 20):
        for life in live(scenario, ready, 0, subject):
            changes = life.ran.block.changes
            orders = changes[(changes["kind"] == Change.ORDER) & (changes["drug"] >= 0)]
            for look in walk(life):
                verdicts = walk_rules(life, look).verdicts
                made = orders[orders["t"] == look.t_d]["rule_no"].tolist()
                names = life.arm.policy.rule_names
                assert [v.rule_id for v in verdicts if v.outcome == ORDERED] == [names[n] for n in made]
                for verdict in verdicts:
                    assert all(c.holds for c in verdict.conditions) == verdict.fired
                    assert (verdict.failed is not None) == (verdict.outcome == NOT_MET)
                    fired, unmet = fired + verdict.fired, unmet + (not verdict.fired)
    assert fired > 100 and unmet > 1000


def test_times_and_amounts() -> None:
    assert [clock(t) for t in (0.0, 2.25, -1 / 24, 1.0 + 67.4 / 1440)] == [
        "day 0 00:00", "day 2 06:00", "day -1 23:00", "day 1 01:07",
    ]  # fmt: skip
    assert [lasting(h / 24) for h in (0, 6, 1.2, 96, 100.8)] == ["0 h", "6 h", "1:12 h", "96 h", "4.2 days"]
    assert [amount(mg) for mg in (800.0, 498.403, 10.0, 0.5, 1000.0)] == [
        "800 mg", "498.4 mg", "10 mg", "0.5 mg", "1,000 mg",
    ]  # fmt: skip


def test_signs_in_words() -> None:
    assert Signs(0, 0, 0, 0, 0, 0, 0, 0).text() == "nothing abnormal"
    assert Signs(1, 3, 4, 2, 1, 2, 1, 1, 39.04).text() == (
        "fever 39.0 °C, low-dose vasopressor, ventilator, liver grade 2, kidney grade 1, ICE 3–6, "
        "seizure since the last assessment"
    )
    assert Signs(0, 0, 0, 0, 0, 0, 1, 0).text() == "mild neurologic signs with ICE 10"
    assert Signs(0, 0, 0, 0, 0, 3, 1, 0, neuro_tool="CAPD").text() == "CAPD 9 or more"
    assert Signs(0, 0, 0, 0, 0, 0, 1, 0, neuro_tool="CAPD").text() == "mild neurologic signs with CAPD 0"
