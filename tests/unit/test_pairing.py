"""Where two courses part and who is to blame: subjects whose first differing event can be told by hand, and leaks
planted inside a course, where no baseline value shows them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from clinic_builder import ALL, STARTING, with_fever, with_neuro, with_support

from cartsim.arms import ReadyArm, prepare_arm
from cartsim.cohort import COHORT
from cartsim.commands.pairing import print_pairing
from cartsim.drivers.batch import run_block
from cartsim.errors import Mismatch
from cartsim.model.state import COURSE, SUBJECT
from cartsim.pairing import baseline
from cartsim.pairing.check import Span, make_pair, run_side, with_logs
from cartsim.pairing.compare import Kind, Parting, Side, compare
from cartsim.pairing.contrast import contrast_policies
from cartsim.pairing.gather import Gathered, Told, join_tables, tell
from cartsim.pairing.report import PairingReport
from cartsim.scenario.load import load_scenario
from cartsim.terms import Change

TOCI = {"drug": "tocilizumab"}
DEX = {"drug": "dexamethasone", "mg": 10, "every_h": 6, "until": {"crs": "<=0"}}
HALF_HOUR = {"behaviour.order_delay_min_h": 0.5, "behaviour.order_delay_max_h": 0.5}
FEVER = with_fever(20, 200)


def ready(
    *policies: Mapping[str, Any],
    model: Mapping[str, float] | None = None,
    arm_model: Mapping[str, float] | None = None,
) -> list[ReadyArm]:
    """Arms `a`, `b`, ... with these rules (or whole policy blocks), logged as the check logs them.

    Numbers are those before calibration, which the hours below were worked out with.
    """
    blocks = [
        dict(p) if {"rules", "extends"} & set(p) else {"scale": "astct2019", "rules": dict(p)}
        for p in policies
    ]
    arms: list[dict[str, Any]] = [
        {"id": name, "policy": {"id": "mine"} | block} for name, block in zip("abcd", blocks, strict=False)
    ]
    arms[0]["model"] = dict(arm_model or {})
    scenario = load_scenario(
        {
            "schema": "cartsim/scenario/1",
            "id": "pairs",
            "title": "Two arms",
            "product": "axi-cel",
            "model": {"overrides": STARTING | HALF_HOUR | dict(model or {})},
            "arms": arms,
            "run": {"seed": 20261122},
        }
    )
    return [with_logs(prepare_arm(scenario, arm, number)) for number, arm in enumerate(scenario.arms, 1)]


def walk(arm: ReadyArm, subject: np.ndarray, shown: np.ndarray | None = None) -> Side:
    """Hand-made subjects, eligible for everything; `shown` is what the check sees of them instead."""
    mask = np.full(len(subject), ALL)
    block = run_block(arm.clinic, subject, mask, mask)
    return Side(np.zeros(len(subject), COHORT), subject if shown is None else shown, block)


def part(arms: list[ReadyArm], subject: np.ndarray) -> tuple[Parting, Told]:
    """Arm a against arm b."""
    sides = (walk(arms[0], subject), walk(arms[1], subject))
    pair = make_pair(arms[0], arms[1])
    parting = compare(*sides, pair.contrast, pure=not pair.numbers)
    return parting, tell(parting, pair, sides)


def verdict(arms: list[ReadyArm], subject: np.ndarray) -> tuple[str, float, str, str, str]:
    """(kind, hour, rule of arm, event in the arm, event in the reference) of the first subject."""
    parting, told = part(arms, subject)
    rule = "" if told.rule[0] < 0 else " of ".join(told.rules[told.rule[0]])
    words = ["" if place < 0 else told.texts[place] for place in (told.here[0], told.there[0])]
    return Kind(parting.kind[0]).name, float(np.round(parting.t[0] * 24, 6)), rule, words[0], words[1]


# --- by hand: fever from hour 20, looks every 6 h, so grade 1 is seen at hour 24 and at every look after it


def test_a_dose_asked_for_earlier_parts_the_arms_at_its_order() -> None:
    """Lasting 12 h since hour 24 is hour 36; the other policy waits until 48. The dose comes half an hour later."""
    arms = ready(
        {"g1": {"when": {"crs": 1, "for_h": 12}, "give": TOCI}},
        {"g1": {"when": {"crs": 1, "for_h": 24}, "give": TOCI}},
    )
    ordered, nothing = "g1: tocilizumab labelled dose ordered", "nothing at that time"
    assert verdict(arms, FEVER) == ("POLICY", 36.0, "g1 of a", ordered, nothing)
    assert verdict(arms[::-1], FEVER) == ("POLICY", 36.0, "g1 of a", nothing, ordered)
    assert verdict(arms, with_fever(20, 30))[0] == "NONE"


def test_another_name_or_note_is_no_difference() -> None:
    rule = {"when": {"crs": 1}, "give": TOCI}
    arms = ready({"first": rule | {"note": "once"}}, {"second": rule})
    assert verdict(arms, FEVER)[0] == "NONE"
    assert not np.concatenate(contrast_policies(*arms).changed).any()


def test_another_dose_is_another_order() -> None:
    """What parts the arms is the order at hour 24, not the first dose whose mg differs."""
    low, high = ({"g1": {"when": {"crs": 1}, "give": DEX | {"mg": mg}}} for mg in (10, 20))
    assert verdict(ready(low, high), FEVER) == (
        "POLICY", 24.0, "g1 of a",
        "g1: dexamethasone 10 mg every 6 h ordered", "g1: dexamethasone 20 mg every 6 h ordered",
    )  # fmt: skip


def test_a_stop_that_only_shows_later_is_told_at_its_order() -> None:
    stop = {"drug": "dexamethasone", "mg": 10, "every_h": 6, "until": {"crs": "<=0", "bp_support": "none"}}
    arms = ready({"g1": {"when": {"crs": 1}, "give": stop}}, {"g1": {"when": {"crs": 1}, "give": DEX}})
    assert verdict(arms, FEVER)[:3] == ("POLICY", 24.0, "g1 of a")


def test_a_shared_rule_that_another_one_keeps_from_ordering() -> None:
    """Both policies have `weak`; in the first a stronger course, ordered at the same look, stands in its way."""
    weak = {"when": {"crs": 1}, "give": DEX}
    strong = {"when": {"crs": 1}, "give": DEX | {"mg": 20}}
    found = verdict(ready({"strong": strong, "weak": weak}, {"weak": weak}), FEVER)
    assert found[:3] == ("POLICY", 24.0, "strong of a")


def test_care_ordered_by_a_rule_comes_before_the_move() -> None:
    rule = {"when": {"crs": 1}, "give": TOCI}
    arms = ready({"g1": rule | {"care": "icu"}}, {"g1": rule})
    assert verdict(arms, FEVER) == (
        "POLICY", 24.0, "g1 of a", "g1: intensive care ordered", "nothing at that time"
    )  # fmt: skip
    where = with_support(2.2, peak_d=1.0, per_day=0.1)
    kinds = walk(arms[1], where).block.changes["kind"].tolist()
    assert Change.ICU_IN in kinds


def test_care_that_only_prolongs_a_stay_is_told_when_it_is_ordered() -> None:
    """Both enter the ICU for their signs; a rule keeps one there. The other leaves 24 h after the last such sign."""
    arms = ready({"g1": {"when": {"crs": ">=1"}, "care": "icu"}}, {})
    subject = with_support(2.2, peak_d=1.0, per_day=0.3)
    kind, hour, rule, words, _ = verdict(arms, subject)
    assert (kind, rule, words) == ("POLICY", "g1 of a", "g1: intensive care ordered")
    changes = walk(arms[1], subject).block.changes
    out = float(changes["t"][changes["kind"] == Change.ICU_OUT][0]) * 24
    assert hour == pytest.approx(out - 24 + 2)


def test_care_that_the_signs_ask_for_anyway_is_no_difference() -> None:
    """At this drive intensive care is needed from the first sign to death of nothing else: ordering it adds nothing."""
    subject = with_support(3.5, peak_d=1.0, per_day=0.001)
    assert verdict(ready({"g1": {"when": {"crs": ">=1"}, "care": "icu"}}, {}), subject)[0] == "NONE"


def test_prophylaxis_is_an_act_of_the_policy() -> None:
    dose = {"d1": {"drug": "dexamethasone", "mg": 10, "at_h": [-6, 30]}}
    arms = ready({"rules": {}, "scale": "astct2019", "prophylaxis": dose}, {})
    assert verdict(arms, FEVER) == (
        "POLICY", -6.0, "d1 of a", "d1: dexamethasone given as prophylaxis", "nothing at that time"
    )  # fmt: skip


def test_prophylaxis_of_another_size() -> None:
    blocks = [
        {
            "rules": {},
            "scale": "astct2019",
            "prophylaxis": {"d1": {"drug": "dexamethasone", "mg": mg, "at_h": 30}},
        }
        for mg in (10, 8)
    ]
    found = verdict(ready(*blocks), FEVER)
    assert found[3:] == (
        "d1: dexamethasone 10 mg given as prophylaxis",
        "d1: dexamethasone 8 mg given as prophylaxis",
    )


def test_levetiracetam_is_blamed_for_a_seizure_only_where_it_differs() -> None:
    subject = with_neuro(3.0, peak_d=2.0, per_day=0.1, seizure_threshold=0.01)
    block = {"rules": {}, "scale": "astct2019"}
    arms = ready(block | {"levetiracetam": True}, block)
    kind, _, rule, words, other = verdict(arms, subject)
    assert (kind, rule, words, other) == ("POLICY", "levetiracetam of b", "nothing at that time", "seizure")
    later = subject.copy()
    later["seizure_threshold"] = 0.02
    sides = (walk(arms[1], later, shown=subject), walk(arms[1], subject))
    parting = compare(*sides, contrast_policies(arms[1], arms[1]))
    assert parting.kind[0] == Kind.LEAK and parting.rule[0] == -1


def test_a_scale_accounts_for_what_is_read_on_it() -> None:
    """Repeated boluses (level 2, drive above 1.22) are grade 2 on ASTCT and grade 3 on Penn: one rule, two readings."""
    rules = {"g3": {"when": {"crs": ">=3"}, "give": TOCI}}
    arms = ready(*({"scale": scale, "rules": rules} for scale in ("astct2019", "penn")))
    found = verdict(arms, with_support(1.3, peak_d=2.0))
    assert found == (
        "POLICY", 48.0, "g3 of b", "nothing at that time", "g3: tocilizumab labelled dose ordered"
    )  # fmt: skip


def test_orders_in_another_file_order_are_the_same_orders() -> None:
    one, two = {"when": {"crs": 1}, "give": TOCI}, {"when": {"crs": 1}, "give": DEX}
    arms = ready({"one": one, "two": two}, {"two": two, "one": one})
    assert verdict(arms, FEVER)[0] == "NONE"
    assert np.concatenate(contrast_policies(*arms).changed).all()


def test_a_course_of_one_dose_without_delay_ends_after_its_order() -> None:
    none = dict.fromkeys(HALF_HOUR, 0.0)
    single = {"drug": "dexamethasone", "mg": 10, "max_doses": 1}
    arms = ready({"g1": {"when": {"crs": 1, "for_h": 12}, "give": single}}, {}, model=none)
    assert verdict(arms, FEVER)[:4] == ("POLICY", 36.0, "g1 of a", "g1: dexamethasone 10 mg ordered")


# --- planted leaks: the same policy, and the check is shown the untouched subject


@pytest.mark.parametrize(
    ("field", "change", "subject", "hour", "shows"),
    [
        ("eps", [0.4, -30, -30, -30], with_support(1.2, peak_d=2.0, per_day=0.01), 48.0, "bp_support"),
        ("crs_peak", 1.3, with_support(1.2, peak_d=2.0), 48.0, "signs"),
        ("other_fever_end", 5.0, FEVER, 120.0, "signs"),
        ("order_delay_u", 0.75, FEVER, None, "ordered day 1"),
        ("death_threshold", 1e-3, FEVER, None, "death"),
        ("toci_effect", 0.1, with_support(1.2, peak_d=2.0), None, ""),
        ("steroid_scale", 1.3, with_support(1.2, peak_d=2.0), None, ""),
    ],
)
def test_a_leak_inside_the_course_is_found(
    field: str, change: Any, subject: np.ndarray, hour: float | None, shows: str
) -> None:
    """Both arms have one policy: no rule may be blamed, not even where the first difference is a dose."""
    rules = {"g1": {"when": {"crs": ">=1"}, "give": TOCI}, "g1_dex": {"when": {"crs": ">=1"}, "give": DEX}}
    arms = ready(rules, rules, model={"behaviour.order_delay_max_h": 2.0, "death.background_per_d": 1e-4})
    touched = subject.copy()
    touched[field] = change
    sides = (walk(arms[0], touched, shown=subject), walk(arms[1], subject))
    pair = make_pair(*arms)
    parting = compare(*sides, pair.contrast)
    told = tell(parting, pair, sides)
    assert parting.kind[0] == Kind.LEAK and told.rule[0] == -1
    assert shows in told.texts[told.here[0]] + told.texts[told.there[0]]
    if hour is not None:
        assert parting.t[0] * 24 == pytest.approx(hour)


def test_a_decision_drawn_at_another_address_is_a_leak() -> None:
    """A score misread half of the time, drawn under another key: subjects part at a look, not at a rule."""
    arms = ready({}, {}, model={"behaviour.ice_error": 0.5})
    subject = np.repeat(with_neuro(1.5, peak_d=2.0, per_day=0.1), 50)
    subject["subject"] = np.arange(50)
    touched = subject.copy()
    touched["key1"] = 1
    parting = compare(walk(arms[0], touched, shown=subject), walk(arms[1], subject), contrast_policies(*arms))
    assert (parting.kind == Kind.LEAK).all() and (parting.t >= 2.0).all()
    same = compare(walk(arms[0], subject), walk(arms[1], subject), contrast_policies(*arms))
    assert (same.kind == Kind.NONE).all()


def test_an_order_by_a_shared_rule_is_a_leak_although_another_rule_differs() -> None:
    """Temperature leaves no trace but the order it leads to: were it drawn anew in one arm, only this would tell."""
    hot = {"when": {"crs": 1, "fever": True, "for_h": 6}, "give": TOCI}
    arms = ready({"hot": hot, "late": {"when": {"crs": 4}, "care": "icu"}}, {"hot": hot})
    tampered = with_logs(arms[0])
    tampered.clinic["rules"]["for_d"][0, 0] = 0.5
    sides = (walk(tampered, FEVER), walk(arms[1], FEVER))
    parting = compare(*sides, contrast_policies(tampered, arms[1]))
    assert parting.kind[0] == Kind.LEAK and parting.t[0] * 24 == pytest.approx(30)


def test_what_no_event_shows_is_found_in_the_summary() -> None:
    arms = ready({}, {})
    subject = with_support(1.1, peak_d=2.0)
    touched = subject.copy()
    touched["crs_peak"] += 1e-9
    sides = (walk(arms[0], touched, shown=subject), walk(arms[1], subject))
    parting = compare(*sides, contrast_policies(*arms))
    assert parting.kind[0] == Kind.LEAK and parting.field[0] in COURSE.names


@pytest.mark.parametrize("field", [name for name in SUBJECT.names if name != "subject"])
def test_every_constant_of_a_subject_is_compared(field: str) -> None:
    """Only every second subject is touched, and only these leak, before their first event."""
    arms = ready({"g1": {"when": {"crs": 1}, "give": TOCI}}, {})
    sides = [run_side(arm, 5, "philox", Span(0, 0, 64)) for arm in arms]
    sides[0].subjects[field][::2] += 1
    parting = compare(sides[0], sides[1], contrast_policies(*arms))
    leaks = parting.kind == Kind.LEAK
    touched = np.arange(64) % 2 == 0
    if field.startswith("other_fever"):
        touched &= np.isfinite(sides[1].subjects[field])
    assert (leaks == touched).all() and np.isnan(parting.t[leaks]).all()
    assert set(parting.field[leaks]) <= {field}


def test_numbers_that_nothing_asks_for_are_named() -> None:
    arms = ready({}, {})
    arms[0].clinic["par"]["ascent"] *= 1.001
    margins = arms[0].margins.copy()
    margins["burden_cut"] += 1e-3
    pair = make_pair(replace(arms[0], margins=margins), arms[1])
    assert pair.stray == ("product.axi-cel.crs_ascent_per_d", "population.burden_cut")


def test_numbers_that_an_arm_asks_for_are_no_leak() -> None:
    arms = ready({}, {}, arm_model={"product.axi-cel.crs_mu": 1.5})
    pair = make_pair(*arms)
    assert set(pair.numbers) == {"product.axi-cel.crs_mu"} and not pair.stray
    sides = tuple(run_side(arm, 5, "philox", Span(0, 0, 500)) for arm in arms)
    kinds = set(compare(sides[0], sides[1], pair.contrast, pure=False).kind.tolist())
    assert kinds == {Kind.NONE, Kind.MODEL}
    # who a subject is, and its address, no number may change
    sides[0].subjects["key1"] += np.uint64(1)
    assert (compare(sides[0], sides[1], pair.contrast, pure=False).kind == Kind.LEAK).all()


# --- the log, and what is left out of comparisons


def test_logging_care_changes_no_course_and_no_other_row() -> None:
    arm = ready({"g1": {"when": {"crs": ">=1"}, "care": "icu", "give": DEX}})[0]
    more = run_side(arm, 5, "philox", Span(0, 0, 300)).block
    arm.clinic["par"]["want_changes"] = 1.0
    plain = run_side(arm, 5, "philox", Span(0, 0, 300)).block
    care = (more.changes["kind"] == Change.ORDER) & (more.changes["drug"] < 0)
    assert care.any() and len(plain.changes) == len(more.changes) - care.sum()
    for name in plain.changes.dtype.names:
        assert np.array_equal(plain.changes[name], more.changes[name][~care])
    for name in COURSE.names:
        assert np.array_equal(
            plain.courses[name], more.courses[name], equal_nan=plain.courses[name].dtype.kind == "f"
        )


def test_only_fields_that_exist_are_left_out() -> None:
    left_out = baseline._MEMORY | baseline._PLANS | baseline._BOUNDS
    left_out -= {f"{what}_done" for what in ("harm", "fit")}
    assert left_out <= set(COURSE.names)


# --- what is handed back


def report_of(arms: list[ReadyArm], sides: tuple[Side, Side]) -> PairingReport:
    pair = make_pair(arms[0], arms[1])
    one = Gathered(pair)
    parting = compare(*sides, pair.contrast, pure=not pair.numbers)
    one.add(tell(parting, pair, sides), 0, 0)
    n = len(parting.kind)
    return PairingReport("pairs", "Two arms", "b", "b", n, 1, 5, (one.summary(),), join_tables([one]))


def test_a_leak_is_printed_and_raised_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    arms = ready({}, {})
    sides = tuple(run_side(arm, 5, "philox", Span(0, 0, 40)) for arm in arms)
    sides[0].subjects["eps"][7, 1] += 0.1
    report = report_of(arms, (sides[0], sides[1]))
    print_pairing(report)
    text = capsys.readouterr().out
    assert "LEAK" in text and "subject 7, before infusion: eps" in text and "no leak" not in text
    with pytest.raises(Mismatch, match="1 of 40 subjects; subject 7") as raised:
        report.raise_leaks()
    assert raised.value.exit_code == 7 and "--subjects 8" in str(raised.value)
    told = json.loads(json.dumps(report.as_dict()))
    assert told["ok"] is False and told["arms"][0]["leaks"][0]["subject"] == 7


def test_stray_numbers_alone_are_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    arms = ready({}, {})
    sides = tuple(run_side(arm, 5, "philox", Span(0, 0, 10)) for arm in arms)
    arms[0].clinic["par"]["toci_kd"] *= 1.001
    report = report_of(arms, (sides[0], sides[1]))
    print_pairing(report)
    assert "tocilizumab.kd_mg_per_l" in capsys.readouterr().out
    with pytest.raises(Mismatch, match=r"tocilizumab\.kd_mg_per_l"):
        report.raise_leaks()


def test_the_table_has_a_row_a_subject(capsys: pytest.CaptureFixture[str]) -> None:
    arms = ready({"g1": {"when": {"crs": 1}, "give": TOCI}}, {})
    sides = tuple(run_side(arm, 5, "philox", Span(0, 0, 200)) for arm in arms)
    report = report_of(arms, (sides[0], sides[1]))
    report.raise_leaks()
    rows = report.table.to_pylist()
    assert [row["subject"] for row in rows] == list(range(200))
    parted = [row for row in rows if row["kind"] == "policy"]
    rule = report.arms[0].rules[0]
    assert {(row["rule_id"], row["rule_arm"], row["reference_arm"]) for row in parted} == {("g1", "a", "b")}
    assert (rule.subjects, rule.median_d) == (len(parted), float(np.median([row["t_d"] for row in parted])))
    nothing = [row for row in rows if row["kind"] == "none"]
    assert len(nothing) + len(parted) == 200 and all(
        row["t_d"] is row["arm_event"] is None for row in nothing
    )
    print_pairing(report)
    text = capsys.readouterr().out
    assert "g1" in text and f"{len(parted)}" in text and "no leak" in text
