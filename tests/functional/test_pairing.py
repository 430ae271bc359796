"""The pairing check over whole scenarios: no leak between any two shipped policies, every planted leak found, and
refusals where the question makes no sense."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartsim.arms import ReadyArm, prepare_arm
from cartsim.errors import InvalidInput, Mismatch
from cartsim.pairing import PairingReport, check, check_pairing
from cartsim.pairing.compare import Kind, Side, compare
from cartsim.policy.library import list_modules, list_policies
from cartsim.scenario.load import load_scenario

SUBJECTS = 2000
#: Subjects where every policy meets every other: some 740 pairs.
EVERY_PAIR = 600
Probe = Callable[..., dict[str, Any]]


def arms_of(*policies: Any) -> list[dict[str, Any]]:
    return [{"id": name, "policy": policy} for name, policy in zip("abcd", policies, strict=False)]


def run(data: dict[str, Any], **more: Any) -> PairingReport:
    return check_pairing(load_scenario(data), **more)


# --- nothing leaks


def shipped() -> list[dict[str, Any]]:
    """Every ready policy; every prophylaxis module on top of one that does much; levetiracetam; another scale."""
    arms = [{"id": header.id, "policy": header.id} for header in list_policies()]
    arms += [
        {"id": f"m_{header.id}", "policy": "asco_2021", "prophylaxis": [header.id]}
        for header in list_modules()
    ]
    arms.append({"id": "lev", "policy": {"extends": "asco_2021", "levetiracetam": True}})
    arms.append({"id": "penn", "policy": {"extends": "asco_2021", "scale": "penn"}})
    return arms


@pytest.mark.parametrize(("product", "start"), [("axi-cel", "inpatient"), ("cd19-lupus", "outpatient")])
def test_no_two_shipped_policies_leak(probe: Probe, product: str, start: str) -> None:
    """Each policy against each other, in both roles where it matters: whose event it is depends on who is reference."""
    arms = shipped()
    assert len(list_policies()) >= 30
    scenario = load_scenario(probe(EVERY_PAIR, product=product, arms=arms, monitoring={"start": start}))
    ready = [
        check.with_logs(prepare_arm(scenario, arm, number)) for number, arm in enumerate(scenario.arms, 1)
    ]
    sides = [check.run_side(arm, 20261122, "philox", check.Span(0, 0, EVERY_PAIR)) for arm in ready]
    partings = 0
    for one, other in combinations(range(len(ready)), 2):
        pair = check.make_pair(ready[one], ready[other])
        assert not pair.numbers and not pair.stray
        parting = compare(sides[one], sides[other], pair.contrast)
        leaks = np.flatnonzero(parting.kind == Kind.LEAK)
        assert not len(leaks), (pair.arm.id, pair.reference.id, leaks[:5], parting.t[leaks[:5]])
        blamed = parting.kind == Kind.POLICY
        assert ((parting.of >= 0) == blamed).all() and np.isfinite(parting.t[blamed]).all()
        partings += int(blamed.sum())
    assert partings > 100 * EVERY_PAIR


@pytest.mark.parametrize(
    ("name", "parting"),
    [
        ("tocilizumab_timing", 0),
        ("lupus_prophylaxis", 0),
        ("prophylactic_tocilizumab", 4),
        ("ward_capacity", 0),
    ],
)
def test_no_shipped_scenario_leaks(repository: Path, name: str, parting: int) -> None:
    """`parting` arms have registry numbers of their own."""
    scenario = load_scenario(repository / "scenarios" / f"{name}.yaml", {"site": "null", "run.replicates": 2})
    report = check_pairing(scenario, subjects=500)
    report.raise_leaks()
    assert sum(bool(arm.model_numbers) for arm in report.arms) == parting
    for arm in report.arms:
        assert arm.subjects == 1000 and not arm.leaking
        assert arm.identical + arm.by_policy + arm.by_model == arm.subjects
        assert sum(rule.subjects for rule in arm.rules) == arm.by_policy
        assert bool(arm.by_model) <= bool(arm.model_numbers)


def test_the_question_of_the_timing_scenario_is_what_parts_its_arms(repository: Path) -> None:
    """The two arms differ from the reference in the rung of tocilizumab alone: no other rule may be named."""
    report = check_pairing(load_scenario(repository / "scenarios" / "tocilizumab_timing.yaml"), subjects=2000)
    told = {arm.arm_id: [(rule.rule_id, rule.arm_id) for rule in arm.rules] for arm in report.arms}
    assert told == {"grade1_24h": [("g1_persist", "grade1_24h")], "grade3": [("g2_toci", "grade2")]}


@pytest.mark.parametrize("source", ["philox", "sobol"])
def test_the_same_policy_twice_parts_nobody(probe: Probe, source: str) -> None:
    """A rule renamed and one noted, nothing else: no subject differs, in two replicates."""
    noted = {"extends": "asco_2021", "rules": {"g2_toci": {"note": "as in the text"}}}
    data = probe(600, arms=arms_of("asco_2021", noted), run={"seed": 3, "source": source, "replicates": 2})
    report = run(data)
    assert [(arm.identical, arm.subjects) for arm in report.arms] == [(1200, 1200)]
    assert set(report.table["kind"].to_pylist()) == {"none"}


def test_workers_and_blocks_change_nothing(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, differing: Callable[..., list[str]]
) -> None:
    data = probe(
        700, arms=arms_of("asco_2021", "zuma1_c1_2", "severe_only"), run={"seed": 3, "replicates": 2}
    )
    seen: list[tuple[int, int]] = []
    first = run(data, workers=1, progress=lambda stage: seen.append((stage.done, stage.total)))
    assert seen == [(0, 1400), (700, 1400), (1400, 1400)]
    monkeypatch.setattr(check, "BLOCK", 64)
    second = run(data, workers=3)
    assert not differing(first.table, second.table) and first.as_dict() == second.as_dict()
    keys = list(
        zip(*(first.table[name].to_pylist() for name in ("arm_id", "replicate", "subject")), strict=True)
    )
    assert keys == sorted(keys) and len(set(keys)) == 2 * 1400


def test_an_empty_cohort_has_nothing_to_say(probe: Probe) -> None:
    report = run(probe(0))
    assert report.ok and report.table.num_rows == 0 and report.arms[0].subjects == 0


def test_the_smaller_cohort_is_the_beginning_of_the_larger(probe: Probe) -> None:
    data = probe(300)
    assert run(data, subjects=120).table.to_pylist() == run(data).table.to_pylist()[:120]


# --- planted leaks


@pytest.fixture
def tampered(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[..., None]], None]]:
    """`tampered(change)`: the arm `b` alone is drawn as `change(subjects, cohort)` leaves it."""
    honest = check.draw_cohort
    armed: dict[str, Any] = {}

    def plant(change: Callable[..., None]) -> None:
        def run_side(arm: ReadyArm, seed: int, source: str, span: check.Span) -> Side:
            cohort, subjects = honest(
                arm.par, arm.margins, seed, span.replicate, span.first, span.count, source
            )
            if arm.id == "b":
                change(subjects, cohort)
            return Side(cohort, subjects, check.run_block(arm.clinic, subjects, *arm.masks(cohort)))

        armed["side"] = run_side
        monkeypatch.setattr(check, "run_side", run_side)

    yield plant
    assert armed, "nothing was planted"


def _next_key(subjects: np.ndarray, _: np.ndarray) -> None:
    subjects["key1"] += np.uint64(1)


def _other_axis(subjects: np.ndarray, _: np.ndarray) -> None:
    subjects["eps"] = subjects["eps"][:, [0, 2, 1, 3]]


def _a_hair(subjects: np.ndarray, _: np.ndarray) -> None:
    subjects["crs_peak"] += 1e-3


def _another_age(_: np.ndarray, cohort: np.ndarray) -> None:
    cohort["age_years"] += 1.0


@pytest.mark.parametrize(
    ("change", "field"),
    [(_next_key, "key1"), (_other_axis, "eps"), (_a_hair, "crs_peak"), (_another_age, "age_years")],
)
@pytest.mark.parametrize("policies", [("asco_2021", "asco_2021"), ("no_treatment", "zuma1_c1_2")])
def test_a_draw_of_its_own_is_a_leak_in_everybody(
    probe: Probe,
    tampered: Callable[..., None],
    change: Callable[..., None],
    field: str,
    policies: tuple[str, str],
) -> None:
    """Before any policy acts, and so although the policies do differ later."""
    tampered(change)
    report = run(probe(200, arms=arms_of(*policies)))
    assert report.arms[0].leaking == 200 and len(report.arms[0].leaks) == 10
    assert all(leak.t_d is None and leak.arm.startswith(field) for leak in report.arms[0].leaks)
    with pytest.raises(Mismatch) as raised:
        report.raise_leaks()
    assert raised.value.exit_code == 7


def test_another_study_key_is_a_leak(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = check.draw_cohort
    turns = iter(range(10))

    def draw(par: Any, margins: Any, seed: int, *more: Any) -> Any:
        return honest(par, margins, seed + next(turns), *more)

    monkeypatch.setattr(check, "draw_cohort", draw)
    assert run(probe(100), workers=1).arms[0].leaking == 100


def test_a_number_changed_for_one_arm_only(probe: Probe) -> None:
    """One parameter by a thousandth, undeclared: named as such, and seen where subjects part without a policy."""
    scenario = load_scenario(probe(400, arms=arms_of("asco_2021", "asco_2021")))
    arms = [prepare_arm(scenario, arm, number) for number, arm in enumerate(scenario.arms, 1)]
    clinic = arms[1].clinic.copy()
    clinic["par"]["decline"] *= 1.001
    report = check_pairing(scenario, arms=[arms[0], replace(arms[1], clinic=clinic)])
    assert report.arms[0].stray_numbers == ("product.axi-cel.crs_decline_per_d",)
    assert report.arms[0].leaking == 400 and not report.ok


@pytest.mark.parametrize(
    ("field", "seconds"), [("delay_ward_max_h", "given"), ("ward_h", "signs"), ("ice_error", "signs")]
)
def test_a_number_that_no_draw_shows(probe: Probe, field: str, seconds: str) -> None:
    """A delay, the clock of looks, a misread score: the cohorts agree, and a leak is told where it first shows."""
    model = {"overrides": {"behaviour.ice_error": 0.2}}
    scenario = load_scenario(probe(400, arms=arms_of("tocilizumab_first", "tocilizumab_first"), model=model))
    arms = [prepare_arm(scenario, arm, number) for number, arm in enumerate(scenario.arms, 1)]
    clinic = arms[1].clinic.copy()
    clinic["par"][field] *= 1.5
    report = check_pairing(scenario, arms=[arms[0], replace(arms[1], clinic=clinic)])
    arm = report.arms[0]
    assert len(arm.stray_numbers) == 1 and arm.leaking > 0 and not arm.by_policy
    assert any(seconds in leak.arm + leak.reference for leak in arm.leaks)
    assert all(leak.t_d is not None for leak in arm.leaks)


def test_behind_a_policy_a_leak_in_the_course_is_out_of_sight(probe: Probe) -> None:
    """Once a policy has acted nothing can be said: the check finds the leak in the others, and claims no more."""
    risky = {"extends": "no_treatment", "add": ["toci_risk_adapted"]}
    scenario = load_scenario(probe(400, product="cd19-lupus", arms=arms_of("no_treatment", risky)))
    arms = [prepare_arm(scenario, arm, number) for number, arm in enumerate(scenario.arms, 1)]
    clinic = arms[1].clinic.copy()
    clinic["par"]["ward_h"] = 5.0
    report = check_pairing(scenario, arms=[arms[0], replace(arms[1], clinic=clinic)])
    arm = report.arms[0]
    assert arm.by_policy and arm.leaking and {rule.rule_id for rule in arm.rules} == {"toci_risk_adapted"}


# --- refusals and arms that are no pure contrast


def test_a_site_is_refused(repository: Path) -> None:
    with pytest.raises(InvalidInput, match="depends on all the others") as raised:
        check_pairing(load_scenario(repository / "scenarios" / "ward_capacity.yaml"))
    assert raised.value.exit_code == 3 and "site=null" in str(raised.value)


def test_one_arm_is_refused(repository: Path) -> None:
    with pytest.raises(InvalidInput, match="two arms"):
        check_pairing(load_scenario(repository / "scenarios" / "axicel_zuma1.yaml"))


def test_an_arm_with_numbers_of_its_own_is_told_as_such(
    probe: Probe, capsys: pytest.CaptureFixture[str]
) -> None:
    arms = arms_of("asco_2021", "asco_2021")
    arms[1]["model"] = {"product.axi-cel.crs_mu": 1.3}
    report = run(probe(300, arms=arms))
    report.raise_leaks()
    arm = report.arms[0]
    assert set(arm.model_numbers) == {"product.axi-cel.crs_mu"} and arm.by_model > 0 and not arm.by_policy
    assert set(report.table["kind"].to_pylist()) <= {"none", "model numbers"}
    from cartsim.commands.pairing import print_pairing

    print_pairing(report)
    assert "differs in model numbers: product.axi-cel.crs_mu 1.3" in capsys.readouterr().out
