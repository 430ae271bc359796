"""One patient, five scales: the fixture of CLINICAL A4 through the compiled grading, cell by cell."""

import itertools

import numpy as np
import pytest
from clinic_builder import (
    HOUR,
    NO_HAZARD,
    clinic_of,
    make_arm,
    make_par,
    policy_of,
    record,
    run_one,
    with_fever,
    with_support,
)

from cartsim.model.grading import crs_grade, icans_grade, wide_grade
from cartsim.terms import Axis, Change, CrsScale

CLINIC = record(clinic_of(make_par()))
BP, OXYGEN, LIVER, KIDNEY = Axis
SCALES = (CrsScale.ASTCT2019, CrsScale.LEE2014, CrsScale.PENN, CrsScale.CARTOX2018, CrsScale.CTCAE5)

#: state (sign, level, treated IV) -> grade on ASTCT, Lee, Penn, CARTOX, CTCAE v5; all febrile
FIXTURE = [
    ("39 degrees only, at home", None, 0, 0, (1, 1, 1, 1, 1)),
    ("39 degrees, in hospital for IV antibiotics", None, 0, 1, (1, 1, 2, 1, 1)),
    ("hypotension, one fluid bolus", BP, 1, 0, (2, 2, 2, 2, 2)),
    ("hypotension, repeated boluses", BP, 2, 0, (2, 2, 3, 2, 2)),
    ("one pressor, low dose", BP, 3, 0, (3, 2, 3, 2, 3)),
    ("one pressor, high dose", BP, 4, 0, (3, 3, 4, 3, 3)),
    ("two or more pressors", BP, 5, 0, (4, 3, 4, 3, 4)),
    ("nasal cannula", OXYGEN, 1, 0, (2, 2, 3, 2, 2)),
    ("high-flow or non-rebreather", OXYGEN, 2, 0, (3, 3, 3, 3, 3)),
    ("CPAP or BiPAP", OXYGEN, 3, 0, (4, 3, 3, 3, 3)),
    ("intubated for hypoxia", OXYGEN, 4, 0, (4, 4, 4, 4, 4)),
    ("liver toxicity grade 3", LIVER, 3, 0, (1, 2, 2, 2, 1)),
    ("liver toxicity grade 4", LIVER, 4, 0, (1, 3, 3, 3, 1)),
    ("creatinine grade 2", KIDNEY, 2, 0, (1, 2, 2, 2, 1)),
    ("creatinine grade 3", KIDNEY, 3, 0, (1, 3, 3, 3, 1)),
]


def levels(sign: Axis | None, level: int) -> np.ndarray:
    found = np.zeros(4, np.int8)
    if sign is not None:
        found[sign] = level
    return found


@pytest.mark.parametrize(("state", "sign", "level", "iv", "grades"), FIXTURE, ids=[row[0] for row in FIXTURE])
def test_one_patient_five_scales(state: str, sign: Axis | None, level: int, iv: int, grades: tuple) -> None:
    found = tuple(crs_grade(CLINIC, int(scale), 1, iv, 1, levels(sign, level)) for scale in SCALES)
    assert found == grades


@pytest.mark.parametrize("scale", SCALES)
def test_a_grade_is_the_worst_axis(scale: CrsScale) -> None:
    """Over every combination of levels, with and without fever: the maximum of the single axes."""
    single = {
        (axis, level): crs_grade(CLINIC, int(scale), 0, 0, 1, levels(axis, level))
        for axis in Axis
        for level in range(6)
    }
    for fever, iv in ((0, 0), (1, 0), (1, 1)):
        heat = crs_grade(CLINIC, int(scale), fever, iv, 1, levels(None, 0))
        for combination in itertools.product(range(0, 6, 2), range(0, 5, 2), range(0, 5, 2), range(0, 5, 2)):
            wanted = max(
                [heat] + [single[axis, level] for axis, level in zip(Axis, combination, strict=True)]
            )
            assert crs_grade(CLINIC, int(scale), fever, iv, 1, np.array(combination, np.int8)) == wanted


@pytest.mark.parametrize("scale", SCALES)
def test_more_support_is_never_a_lower_grade(scale: CrsScale) -> None:
    for axis in Axis:
        grades = [crs_grade(CLINIC, int(scale), 1, 0, 1, levels(axis, level)) for level in range(6)]
        assert grades == sorted(grades) and grades[0] == 1 and max(grades) <= 4


def test_worked_example_of_the_consensus() -> None:
    """39.5 degrees, one pressor and low-flow oxygen are grade 3."""
    assert crs_grade(CLINIC, int(CrsScale.ASTCT2019), 1, 0, 1, np.array([3, 1, 0, 0], np.int8)) == 3


def test_astct_asks_for_fever_first_and_only_astct() -> None:
    """Without fever, and with no drug that masks it, a pressor is no CRS on ASTCT; the others do not ask."""
    pressor = levels(BP, 3)
    assert [crs_grade(CLINIC, int(scale), 0, 0, 0, pressor) for scale in SCALES] == [0, 2, 3, 2, 3]
    assert crs_grade(CLINIC, int(CrsScale.ASTCT2019), 0, 0, 1, pressor) == 3


def test_icans_grade_is_its_level_and_a_seizure_lifts_it_to_3() -> None:
    p = CLINIC.par
    assert [icans_grade(p, level, 0) for level in range(5)] == [0, 1, 2, 3, 4]
    assert [icans_grade(p, level, 1) for level in range(5)] == [3, 3, 3, 3, 4]


def test_the_wide_event_is_at_least_1_while_there_is_one() -> None:
    assert [wide_grade(level, 1) for level in range(5)] == [1, 1, 2, 3, 4]
    assert [wide_grade(level, 0) for level in range(5)] == [0, 0, 0, 0, 0]


#: Offset with which blood pressure fails at a drive that makes no fever.
FRAIL = np.array([1.65, -30.0, -30.0, -30.0])


def test_hypotension_without_fever_counts_on_astct_once_a_drug_was_given() -> None:
    subject = with_support(-0.2, peak_d=3.0, per_day=0.001, eps=FRAIL)
    seen = {}
    for scale in (CrsScale.ASTCT2019, CrsScale.LEE2014):
        seen[scale] = run_one(make_arm(crs_scale=float(scale), **NO_HAZARD), subject).courses[0]
        assert seen[scale]["peak_level"][0] == 3 and seen[scale]["peak_gated"][0] == 0
    assert seen[CrsScale.ASTCT2019]["peak_crs"] == 0 and seen[CrsScale.LEE2014]["peak_crs"] == 2
    # a trace of steroid on day 10 is a reason for the missing fever: graded from the next look on
    policy = policy_of({}, prophylaxis={"p": {"drug": "dexamethasone", "mg": 0.001, "at_h": 241}})
    waived = run_one(make_arm(policy=policy, **NO_HAZARD), subject)
    assert waived.courses["peak_crs"][0] == 3 and waived.courses["peak_gated"][0, 0] == 3
    first = waived.changes[(waived.changes["kind"] == Change.SIGNS) & (waived.changes["crs"] > 0)][0]
    assert first["t"] == pytest.approx(242 * HOUR) and first["fever"] == 0


@pytest.mark.parametrize(("fever_to_h", "grade"), [(30.0, 1), (119.0, 3)])
def test_astct_asks_for_fever_again_in_a_new_episode(fever_to_h: float, grade: int) -> None:
    """Fever on day 1 opens the gate; once that CRS has ended it is shut, and hypotension on day 5 is none."""
    subject = with_support(-0.2, peak_d=5.0, per_day=0.001, eps=FRAIL, other_fever_start=24 * HOUR,
                           other_fever_end=fever_to_h * HOUR)  # fmt: skip
    course = run_one(make_arm(**NO_HAZARD), subject).courses[0]
    assert course["peak_level"][0] == 3
    assert course["peak_crs"] == grade


def test_fever_treated_iv_is_penn_2_in_hospital_only() -> None:
    """Seen in the clinic it is 1; once admitted for it, the next look says 2."""
    arm = make_arm(crs_scale=float(CrsScale.PENN), outpatient=1.0, clinic_h=24.0, **NO_HAZARD)
    block = run_one(arm, with_fever(20, 60, iv_fever=1))
    signs = block.changes[block.changes["kind"] == Change.SIGNS]
    assert signs["crs"].tolist() == [1, 2, 0]
    assert np.allclose(signs["t"] * 24, [24, 30, 60])
    assert block.courses["iv_fever_seen"][0] == 1
    not_iv = run_one(arm, with_fever(20, 60)).courses[0]
    assert not_iv["peak_crs"] == 1 and not_iv["iv_fever_seen"] == 0


def test_observed_peaks_can_be_graded_on_any_scale() -> None:
    """What adsl does with stored levels is what the course would have graded on each scale."""
    cohort, subjects = make_arm("tisa-cel-all").draw(600)
    tables = clinic_of(make_par())[0]
    for scale in CrsScale:
        arm = make_arm("tisa-cel-all", crs_scale=float(scale), **NO_HAZARD)
        courses = arm.run(cohort, subjects).courses
        iv = courses["iv_fever_seen"]
        grade = np.where(courses["fever_seen"], tables["fever_grade"][scale][iv], 0)
        for axis in Axis:
            gated = tables["needs_fever"][scale] and axis in (BP, OXYGEN)
            level = courses["peak_gated" if gated else "peak_level"][:, axis]
            grade = np.maximum(grade, tables["scale"][scale, axis][level])
        assert np.array_equal(grade, courses["peak_crs"]), scale.name
