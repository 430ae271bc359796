"""Every published cohort that is simulated has a scenario that runs its trial's rules on its own scale, and the same
numbers give the same subjects however often, and in whatever company, they are asked for."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cartsim.arms import prepare_arm
from cartsim.calibrate.cohorts import FOLDER, HORIZON_D, NEURO, Cohort, load_cohorts
from cartsim.calibrate.endpoints import estimate, sample
from cartsim.calibrate.simulate import CohortRunner, Simulated, groups
from cartsim.cells import Span, draw_for
from cartsim.errors import InvalidInput
from cartsim.evidence.registry import load_registry
from cartsim.evidence.target_rows import crs_scales
from cartsim.evidence.targets import ACTIVE, PUBLISHED, TargetSet, load_targets

SEED = 5
OWN = """schema: cartsim/scenario/1
id: mine
title: A series of one's own
product: axi-cel
grading: {crs: lee2014}
arms:
  - {id: only, policy: asco_2021}
"""


@pytest.fixture(scope="module")
def targets() -> TargetSet:
    return load_targets()


@pytest.fixture(scope="module")
def cohorts(targets: TargetSet) -> dict[str, Cohort]:
    return load_cohorts(targets)


def same(one: Simulated, other: Simulated) -> bool:
    pairs = [(one.block.courses, other.block.courses), (one.block.episodes, other.block.episodes)]
    return all(a.tobytes() == b.tobytes() for a, b in pairs)


def test_every_cohort_with_rows_to_simulate_has_a_scenario(
    targets: TargetSet, cohorts: dict[str, Cohort]
) -> None:
    assert set(cohorts) == {row.cohort_id for row in targets.where(ACTIVE)}
    for cohort in cohorts.values():
        assert len(cohort.scenario.arms) == 1 and cohort.scenario.horizon_days == HORIZON_D
        assert cohort.neuro in NEURO and cohort.notes and cohort.unverified
        assert set(cohort.scenario.monitoring.model_dump(exclude={"start"}).values()) == {6.0}


def test_no_scenario_stands_idle(cohorts: dict[str, Cohort]) -> None:
    used = {Path(cohort.scenario.file or "").name for cohort in cohorts.values()}
    assert {path.name for path in FOLDER.glob("*.yaml")} == used | {"index.yaml"}


def test_rows_are_graded_on_a_scale_of_their_cohort(targets: TargetSet, cohorts: dict[str, Cohort]) -> None:
    """Counts that compare two scales, and figures of the re-grading, name scales beside the trial's own."""
    for row in targets.where(ACTIVE):
        scales = crs_scales(row.grading_crs)
        if scales and row.cohort_id != "juliet_regrade":
            assert cohorts[row.cohort_id].crs_scale.name.lower() in scales, row.id


def test_behaviour_and_waits_are_registry_numbers(cohorts: dict[str, Cohort]) -> None:
    numbers = load_registry().numbers()
    for cohort in cohorts.values():
        assert {*cohort.behaviour, *cohort.waits.values()} <= numbers.keys()
        assert all(key.startswith(f"product.{cohort.product}.") for key in cohort.behaviour)
        rules = cohort.scenario.arms[0].policy.rules
        for rule, key in cohort.waits.items():
            # the file says the registry's number as it was when the rules were written
            assert rules[rule].when.for_h == pytest.approx(24 * float(str(numbers[key])), rel=0.5)


def test_triggers_are_signs_where_the_trial_spoke_of_support(cohorts: dict[str, Cohort]) -> None:
    for id_ in ("juliet", "eliana", "tisacel_pooled_all", "zuma1_uspi2017", "transcend"):
        rule = cohorts[id_].scenario.arms[0].policy.rules["toci_pressor"].when
        assert rule.bp_support is not None and rule.crs is None, id_


def test_third_doses_follow_a_steroid_where_the_trial_had_that_order(cohorts: dict[str, Cohort]) -> None:
    rules = cohorts["tisacel_pooled_all"].scenario.arms[0].policy.rules
    assert rules["toci_pressor"].give is not None and rules["toci_pressor"].give.max_doses == 2
    assert rules["toci_third_bp"].when.since_first_steroid_h is not None


def test_first_episode_alone_for_tisagenlecleucel_in_leukaemia(cohorts: dict[str, Cohort]) -> None:
    assert {id_ for id_, cohort in cohorts.items() if cohort.first_episode_only} == {
        "eliana", "kymriah_uspi2018", "tisacel_pooled_all", "le2018_ctl019",
    }  # fmt: skip


def test_runner_draws_the_subjects_of_an_ordinary_run(cohorts: dict[str, Cohort]) -> None:
    cohort = cohorts["karmma"]
    for source in ("philox", "sobol"):
        run = cohort.scenario.run.model_copy(update={"seed": SEED, "source": source})
        scenario = replace(cohort.scenario, run=run)
        _, subjects = draw_for(scenario, prepare_arm(scenario, scenario.arms[0], 1), Span(0, 16, 48))
        simulated = CohortRunner(cohort, 48, SEED, source, first=16).run()
        assert simulated.subjects.tobytes() == subjects.tobytes()


def test_same_numbers_give_the_same_courses(cohorts: dict[str, Cohort]) -> None:
    runner = CohortRunner(cohorts["zuma1_uspi2017"], 200, SEED)
    first = runner.run({})
    moved = runner.run({"product.axi-cel.crs_mu": 1.4})
    assert not same(first, moved)
    assert same(first, runner.run({})) and same(
        first, CohortRunner(cohorts["zuma1_uspi2017"], 200, SEED).run()
    )


def test_threads_share_a_runner(cohorts: dict[str, Cohort]) -> None:
    runner = CohortRunner(cohorts["karmma"], 100, SEED)
    asked = [
        {"product.ide-cel.crs_mu": 0.4 + 0.05 * k, "tocilizumab.effect": 1.0 + 0.05 * k} for k in range(12)
    ]
    alone = [runner.run(numbers) for numbers in asked]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(runner.run, asked))
    assert all(same(one, other) for one, other in zip(alone, together, strict=True))


def test_an_element_of_a_list_is_put_into_its_list(cohorts: dict[str, Cohort]) -> None:
    runner = CohortRunner(cohorts["juliet"], 200, SEED)
    whole = list(np.array(load_registry().numbers()["signs.oxygen_thresholds"]))
    whole[3] = whole[2] + 0.05
    assert same(
        runner.run({"signs.oxygen_thresholds[3]": whole[3]}), runner.run({"signs.oxygen_thresholds": whole})
    )


def test_waiting_for_grade_1_to_last_is_a_number(cohorts: dict[str, Cohort]) -> None:
    runner = CohortRunner(cohorts["karmma"], 400, SEED)
    given = [
        np.mean(runner.run({"product.ide-cel.g1_fever_d": days}).column("toci_doses") > 0)
        for days in (0.5, 3.0, 10.0)
    ]
    assert given[0] > given[1] > given[2]


def test_unknown_number_is_refused(cohorts: dict[str, Cohort]) -> None:
    with pytest.raises(InvalidInput):
        CohortRunner(cohorts["karmma"], 10, SEED).run({"product.ide-cel.crs_muu": 1.0})


def test_cohorts_of_one_scenario_are_read_from_the_same_subjects(
    targets: TargetSet, cohorts: dict[str, Cohort]
) -> None:
    together = groups(cohorts)
    assert sum(len(group) for group in together) == len(cohorts)
    group = next(group for group in together if group[0].id == "juliet")
    assert [cohort.id for cohort in group] == ["juliet", "juliet_regrade", "juliet_nt_regrade"]
    simulated = CohortRunner(group[0], 200, SEED, also=group[1:]).run()
    for cohort in group:
        alone = CohortRunner(cohort, 200, SEED).run()
        for row in targets.where(ACTIVE, cohort.id):
            assert estimate(row, sample(row, cohort, simulated)) == estimate(row, sample(row, cohort, alone))


@pytest.fixture
def own(tmp_path: Path) -> tuple[TargetSet, Path]:
    """A target file with one cohort of the user's own, on the Lee scale, and a scenario for it."""
    rows = [
        line
        for line in PUBLISHED.read_text(encoding="utf-8").splitlines()
        if line.startswith(("cohort_id,", "karmma,"))
    ]
    file = tmp_path / "own.csv"
    file.write_text("\n".join(row.replace("karmma,", "mine,", 1) for row in rows), encoding="utf-8")
    scenario = tmp_path / "mine.yaml"
    scenario.write_text(OWN, encoding="utf-8")
    return load_targets(file), scenario


def test_a_cohort_of_ones_own(own: tuple[TargetSet, Path]) -> None:
    targets, scenario = own
    cohort = load_cohorts(targets, {"mine": scenario})["mine"]
    assert (cohort.product, cohort.crs_scale.name, cohort.neuro) == ("axi-cel", "LEE2014", "wide")
    assert cohort.scenario.horizon_days == HORIZON_D
    row = targets.where("fit")[0]
    assert 0 < estimate(row, sample(row, cohort, CohortRunner(cohort, 50, SEED).run())) <= 1


def test_a_cohort_without_a_scenario_says_how_to_name_one(own: tuple[TargetSet, Path]) -> None:
    with pytest.raises(InvalidInput, match=r"--cohort mine=scenario\.yaml") as caught:
        load_cohorts(own[0])
    assert caught.value.problems[0].line == 2


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            OWN.replace("lee2014", "astct2019"),
            "the row is graded by lee2014, and the cohort's scenario by astct2019",
        ),
        (OWN + "  - {id: two, policy: no_treatment}\n", "needs a scenario of one arm; 2 are there"),
        (OWN + "site: {beds: 2, arrivals: {every_h: 24}}\n", "without `site`"),
        (OWN + "run: {seed: 1, parameter_draws: 20}\n", "without `run.parameter_draws`"),
        (OWN + "run: {seed: 1}\nmodel: {draw: 0}\n", "without `model.draw`"),
    ],
)
def test_scenarios_that_are_no_cohort_are_refused(own: tuple[TargetSet, Path], text: str, what: str) -> None:
    targets, scenario = own
    scenario.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput) as caught:
        load_cohorts(targets, {"mine": scenario})
    assert what in str(caught.value) and caught.value.exit_code == 3


def test_a_scenario_for_nobody_is_refused(own: tuple[TargetSet, Path]) -> None:
    with pytest.raises(InvalidInput, match="of which the targets have no row"):
        load_cohorts(own[0], {"mine": own[1], "yours": own[1]})
