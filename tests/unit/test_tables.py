"""Tables built from arrays of known content: codings, days, grades, intervals."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from cartsim import record, tables
from cartsim.cohort import COHORT
from cartsim.model.state import CHANGE, COURSE, DOSE, EPISODE, LATENT, SUBJECT
from cartsim.tables.days import calendar_days, study_day
from cartsim.terms import Cause, Change, CrsScale, Drug, Setting, Syndrome

NEVER = np.inf
SCALE = np.zeros((5, 4, 6), "i1")
SCALE[CrsScale.ASTCT2019, 0] = [0, 2, 2, 3, 3, 4]
SCALE[CrsScale.ASTCT2019, 1] = [0, 2, 3, 4, 4, 4]
SCALE[CrsScale.LEE2014, 0] = [0, 2, 2, 2, 3, 3]
SCALE[CrsScale.LEE2014, 2] = [0, 1, 2, 2, 3, 3]
SCALE[CrsScale.PENN, 0] = [0, 2, 3, 3, 4, 4]
FEVER = np.array([[1, 1], [1, 1], [1, 2], [1, 1], [1, 1]], "i1")
WHO = tables.Identity(
    scenario_id="timing", design_id=3, replicate=1, arm_id="early", arm_label="Early tocilizumab", arm_no=2,
    product_id="axi-cel", product_name="axicabtagene ciloleucel", dose_unit="10^6 CELLS/kg",
    crs_scale=CrsScale.LEE2014, scale=SCALE, fever_grade=FEVER, needs_fever=np.array([1, 0, 0, 0, 0], "i1"),
    rule_names=("g1_persist", "g2_toci", "toci_d0"),
)  # fmt: skip


def make_courses(n: int) -> np.ndarray:
    """Courses in which nothing happened for 30 days."""
    courses = np.zeros(n, COURSE)
    courses["end"] = 30.0
    for name in ("crs_ge_t", "icans_ge_t", "ne_ge_t", "last_end_t", "crs_peak_t", "icans_peak_t", "toci_t",
                 "steroid_start_t", "admit_t", "icu_t", "discharge_t", "seizure_t", "death_t"):  # fmt: skip
        courses[name] = NEVER
    return courses


def make_cohort(n: int, first: int = 40) -> np.ndarray:
    cohort = np.zeros(n, COHORT)
    cohort["subject"] = np.arange(first, first + n)
    cohort["male"] = np.arange(n) % 2
    cohort["age_years"] = 61.5
    return cohort


def make_adsl(courses: np.ndarray, latent: np.ndarray | None = None, who: tables.Identity = WHO) -> pa.Table:
    n = len(courses)
    made = tables.adsl(
        who, make_cohort(n), np.zeros(n, SUBJECT), courses, np.zeros(n, LATENT) if latent is None else latent
    )
    record.check("adsl", made)
    return made


def rows_of(dtype: np.dtype, rows: list[dict]) -> np.ndarray:
    made = np.zeros(len(rows), dtype)
    for i, row in enumerate(rows):
        for name, value in row.items():
            made[i][name] = value
    return made


def test_infusion_is_study_day_one_and_there_is_no_day_zero() -> None:
    t = np.array([-1.2, -1.0, -0.04, 0.0, 0.99, 1.0, 29.5, np.nan, np.inf])
    assert study_day(t)[:7].tolist() == [-2, -1, -1, 1, 1, 2, 30]
    assert np.isnan(study_day(t)[7:]).all()


def test_calendar_days_do_not_count_a_day_zero() -> None:
    start, end = np.array([1.0, 3, -1, -2, -2, 5]), np.array([1.0, 5, 1, -1, 3, np.nan])
    assert calendar_days(start, end)[:5].tolist() == [1, 3, 2, 2, 5]
    assert np.isnan(calendar_days(start, end)[5])


def test_keys_name_study_arm_and_subject() -> None:
    made = make_adsl(make_courses(2)).to_pylist()
    assert made[0]["STUDYID"] == "SIM-timing-D3-R1"
    assert [r["USUBJID"] for r in made] == [
        "SIM-timing-D3-R1-early-0000040",
        "SIM-timing-D3-R1-early-0000041",
    ]
    assert [r["subject"] for r in made] == [40, 41]
    assert [r["SEX"] for r in made] == ["F", "M"]


def test_ids_of_more_than_seven_digits_stay_whole() -> None:
    cohort = make_cohort(2, first=9_999_999)
    made = tables.adex(WHO, cohort)
    assert made["USUBJID"].to_pylist() == [
        "SIM-timing-D3-R1-early-9999999",
        "SIM-timing-D3-R1-early-10000000",
    ]


def test_what_never_happened_is_null_and_never_nan() -> None:
    row = make_adsl(make_courses(1)).to_pylist()[0]
    for name in (
        "t_crs_d",
        "crs_duration_d",
        "t_toci_d",
        "t_icu_d",
        "t_death_d",
        "DTHFL",
        "DTHADY",
        "death_cause",
    ):
        assert row[name] is None, name
    assert row["crs_days_ge2"] == 0.0 and row["crs_max_grade"] == 0 and row["EOSSTT"] == "COMPLETED"


def test_observed_grades_come_from_peak_levels_and_the_fever_gate() -> None:
    courses = make_courses(3)
    courses["fever_seen"] = [1, 1, 0]
    courses["iv_fever_seen"] = [1, 0, 0]
    courses["peak_level"] = [[0, 0, 0, 0], [3, 0, 4, 0], [3, 0, 0, 0]]
    courses["peak_gated"] = [[0, 0], [1, 0], [0, 0]]
    made = make_adsl(courses)
    assert made["crs_max_astct2019"].to_pylist() == [
        1,
        2,
        0,
    ]  # gated level, liver not graded, no fever no CRS
    assert made["crs_max_lee2014"].to_pylist() == [1, 3, 2]
    assert made["crs_max_penn"].to_pylist() == [2, 3, 3]  # fever treated IV
    assert made["bp_support_max"].to_pylist() == [0, 3, 3]
    assert made["vasopressor"].to_pylist() == [0, 1, 1]


def test_latent_grades_do_not_depend_on_what_was_seen() -> None:
    latent = rows_of(LATENT, [
        {"level": [5, 0, 0, 0], "fever": 1, "neuro": 2, "wide": 1, "counts": 1},
        {"level": [5, 0, 0, 0], "fever": 0, "neuro": 0, "wide": 1, "counts": 0},
        {"level": [1, 0, 0, 0], "fever": 0, "neuro": 1, "wide": 1, "counts": 1},
    ])  # fmt: skip
    courses = make_courses(3)
    courses["seizure_t"] = [12.0, NEVER, 31.0]
    made = make_adsl(courses, latent)
    assert made["crs_latent_astct2019"].to_pylist() == [4, 0, 2]
    assert made["crs_latent_lee2014"].to_pylist() == [3, 3, 2]
    assert made["icans_latent"].to_pylist() == [3, 0, 1]
    assert made["ne_latent"].to_pylist() == [2, 1, 1]
    assert made["crs_max_astct2019"].to_pylist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("cause", "crs", "icans"), [(Cause.CRS, 5, 1), (Cause.ICANS, 2, 5), (Cause.OTHER, 2, 1)]
)
def test_grade_five_is_death_from_that_syndrome(cause: Cause, crs: int, icans: int) -> None:
    courses = make_courses(1)
    courses["peak_crs"], courses["peak_neuro"], courses["peak_ne"] = 2, 1, 1
    courses["dead"], courses["cause"], courses["end"] = 1, cause, 9.25
    row = make_adsl(courses).to_pylist()[0]
    assert (row["crs_max_grade"], row["icans_max_grade"], row["ne_max_grade"]) == (crs, icans, icans)
    assert (row["crs_max_penn"] == 5) == (cause == Cause.CRS)
    assert (row["crs_latent_penn"] == 5) == (cause == Cause.CRS)
    assert (row["DTHFL"], row["DTHADY"], row["t_death_d"]) == ("Y", 10, 9.25)
    assert row["death_cause"] == cause.name and row["EOSSTT"] == "DISCONTINUED"


def test_adae_terms_outcomes_and_first_occurrence() -> None:
    courses = make_courses(3)
    courses["dead"], courses["cause"], courses["end"] = [0, 1, 0], [0, Cause.CRS, 0], [30.0, 8.0, 30.0]
    episodes = rows_of(EPISODE, [
        {"row": 0, "syndrome": 0, "grade": 2, "t_start": 1.5, "t_max": 2.0, "t_end": 4.0},
        {"row": 0, "syndrome": 0, "grade": 1, "t_start": 6.0, "t_max": 6.0, "t_end": 7.25},
        {"row": 0, "syndrome": 1, "grade": 3, "t_start": 5.0, "t_max": 6.0, "t_end": 30.0, "ongoing": 1},
        {"row": 1, "syndrome": 0, "grade": 4, "t_start": 2.0, "t_max": 3.0, "t_end": 8.0, "ongoing": 1},
        {"row": 1, "syndrome": 2, "grade": 1, "t_start": 3.0, "t_max": 3.0, "t_end": 5.0},
    ])  # fmt: skip
    made = tables.adae(WHO, make_cohort(3), courses, episodes)
    record.check("adae", made)
    rows = made.to_pylist()
    assert [(r["subject"], r["AESEQ"], r["CQ01NAM"]) for r in rows] == [
        (40, 1, "CRS"), (40, 2, "ICANS"), (40, 3, "CRS"), (41, 1, "CRS"), (41, 2, "NE"),
    ]  # fmt: skip
    assert [r["ATOXGRN"] for r in rows] == [2, 3, 1, 5, 1]
    assert [r["AETOXGR"] for r in rows] == ["2", "3", "1", "5", "1"]
    assert [r["AEOUT"] for r in rows] == [
        "RECOVERED/RESOLVED", "NOT RECOVERED/NOT RESOLVED", "RECOVERED/RESOLVED", "FATAL", "RECOVERED/RESOLVED",
    ]  # fmt: skip
    assert [r["AOCCFL"] for r in rows] == ["Y", "Y", None, "Y", "Y"]
    assert [r["AESDTH"] for r in rows] == [None, None, None, "Y", None]
    assert [r["tox_std"] for r in rows] == ["Lee 2014", "ASTCT 2019", "Lee 2014", "Lee 2014", "CTCAE 5.0"]
    assert (rows[1]["t_end_d"], rows[1]["AENDY"], rows[1]["ADURN"], rows[1]["duration_d"]) == (None,) * 4
    assert (rows[0]["ASTDY"], rows[0]["AENDY"], rows[0]["ADURN"], rows[0]["duration_d"]) == (2, 5, 4, 2.5)
    assert rows[3]["t_end_d"] == rows[3]["t_max_d"] == 8.0


def test_adcm_names_rule_route_and_indication() -> None:
    doses = rows_of(DOSE, [
        {"row": 0, "drug": Drug.TOCILIZUMAB, "syndrome": 0, "grade": 0, "rule_no": 2, "dose_no": 1, "prophylactic": 1,
         "mg": 640.0, "t_order": -1 / 24, "t_start": -1 / 24, "t_end": 0.0},
        {"row": 2, "drug": Drug.ANAKINRA, "syndrome": 1, "grade": 3, "rule_no": 1, "dose_no": 2, "mg": 100.0,
         "t_order": 7.0, "t_start": 7.5, "t_end": 7.5},
        {"row": 2, "drug": Drug.TOCILIZUMAB, "syndrome": 0, "grade": 2, "rule_no": 0, "dose_no": 1, "mg": 800.0,
         "t_order": 3.0, "t_start": 3.1, "t_end": 3.2},
    ])  # fmt: skip
    made = tables.adcm(WHO, make_cohort(3), doses)
    record.check("adcm", made)
    rows = made.to_pylist()
    assert [(r["subject"], r["CMSEQ"], r["CMDECOD"]) for r in rows] == [
        (40, 1, "TOCILIZUMAB"), (42, 1, "TOCILIZUMAB"), (42, 2, "ANAKINRA"),
    ]  # fmt: skip
    assert [r["rule_id"] for r in rows] == ["toci_d0", "g1_persist", "g2_toci"]
    assert [r["CMINDC"] for r in rows] == ["PROPHYLAXIS", "CRS", "ICANS"]
    assert [r["CMROUTE"] for r in rows] == ["INTRAVENOUS", "INTRAVENOUS", "SUBCUTANEOUS"]
    assert [r["trigger_grade"] for r in rows] == [None, 2, 3]
    assert [(r["ASTDY"], r["AENDY"]) for r in rows] == [(-1, 1), (4, 4), (8, 8)]


def test_adtte_codes_events_death_and_censoring() -> None:
    courses = make_courses(3)
    courses["crs_ge_t"][0] = [2.0, 3.0, NEVER, NEVER]
    courses["last_end_t"][0, Syndrome.CRS] = 6.5
    courses["crs_ge_t"][1] = [4.0, NEVER, NEVER, NEVER]  # dies with CRS: never resolved
    courses["dead"], courses["cause"] = [0, 1, 0], [0, Cause.OTHER, 0]
    courses["end"] = [30.0, 10.0, 30.0]
    courses["admit_t"][0], courses["discharge_t"][0] = -1.0, 14.0
    made = tables.adtte(WHO, make_cohort(3), courses)
    record.check("adtte", made)
    rows = {(r["subject"] - 40, r["PARAMCD"]): r for r in made.to_pylist()}
    got = {k: (r["AVAL"], r["evtype"], r["CNSR"]) for k, r in rows.items()}
    assert got[0, "TTCRS"] == (2.0, 1, 0)
    assert got[0, "TTCRS3"] == (30.0, 0, 1)
    assert got[0, "RESCRS"] == (4.5, 1, 0)
    assert got[1, "RESCRS"] == (6.0, 2, 1)
    assert got[1, "TTICANS"] == (10.0, 2, 1)
    assert got[1, "OS"] == (10.0, 1, 0)
    assert got[2, "OS"] == (30.0, 0, 1)
    assert (2, "RESCRS") not in got and (0, "RESICANS") not in got
    assert got[0, "TTDISCH"] == (14.0, 1, 0) and (2, "TTDISCH") not in got
    assert rows[1, "TTICANS"]["EVNTDESC"] == "DEATH"
    assert rows[2, "OS"]["EVNTDESC"] == "END OF FOLLOW-UP"
    assert rows[0, "TTCRS"]["EVNTDESC"] == "CRS, ANY GRADE" and rows[0, "TTCRS"]["SRCDOM"] == "ADAE"


def test_adex_is_one_infusion_on_study_day_one() -> None:
    cohort = make_cohort(2)
    cohort["cell_dose_1e6"] = 2.0
    made = tables.adex(WHO, cohort)
    record.check("adex", made)
    row = made.to_pylist()[0]
    assert (row["EXDOSE"], row["EXDOSU"], row["EXSTDY"], row["t_start_d"]) == (2.0, "10^6 CELLS/kg", 1, 0.0)


def make_changes(rng: np.random.Generator, n: int) -> np.ndarray:
    """A random log: some subjects silent, several rows at one moment, some before infusion and some at the end."""
    row = np.sort(rng.integers(0, n, 12 * n))
    changes = np.zeros(len(row), CHANGE)
    changes["row"] = row
    t = np.round(rng.uniform(-1, 30, len(row)) * 4) / 4
    changes["t"] = t[np.lexsort((t, row))]
    changes["kind"] = Change.SIGNS
    changes["setting"] = Setting.WARD
    changes["fever"] = rng.integers(0, 2, len(row))
    changes["level"][:, 0] = rng.integers(0, 6, len(row))
    changes["crs"] = np.maximum(changes["fever"], changes["level"][:, 0] // 2)
    changes["neuro"] = changes["icans"] = rng.integers(0, 3, len(row))
    changes["wide"] = changes["ne"] = rng.integers(0, 2, len(row))
    changes["rule_no"], changes["drug"] = -1, -1
    return changes


def test_grade_intervals_touch_cover_the_follow_up_and_differ_from_their_neighbours() -> None:
    rng = np.random.default_rng(5)
    n = 60
    courses = make_courses(n)
    courses["end"][::7] = 12.25
    changes = make_changes(rng, n)
    made = tables.grade_intervals(WHO, make_cohort(n), courses, changes)
    record.check("grade_intervals", made)
    rows = made.to_pylist()
    signs = {"CRS": ("grade", "fever", "bp_support", "oxygen", "liver", "kidney"),
             "ICANS": ("grade", "neuro_level", "seizure"), "NE": ("grade", "wide")}  # fmt: skip
    for i in range(n):
        for syndrome in ("CRS", "ICANS", "NE"):
            mine = [r for r in rows if r["subject"] == 40 + i and r["syndrome"] == syndrome]
            assert mine[0]["t_start_d"] == 0.0 and mine[-1]["t_end_d"] == courses["end"][i]
            assert all(r["t_start_d"] < r["t_end_d"] for r in mine)
            for a, b in pairwise(mine):
                assert a["t_end_d"] == b["t_start_d"]
                assert any(a[s] != b[s] for s in signs[syndrome])


def test_grade_intervals_say_the_state_at_every_moment() -> None:
    rng = np.random.default_rng(6)
    n = 40
    courses = make_courses(n)
    changes = make_changes(rng, n)
    made = tables.grade_intervals(WHO, make_cohort(n), courses, changes).to_pylist()
    for r in made:
        if r["syndrome"] != "CRS":
            continue
        middle = (r["t_start_d"] + r["t_end_d"]) / 2
        before = changes[(changes["row"] == r["subject"] - 40) & (changes["t"] <= middle)]
        state = before[-1] if len(before) else np.zeros(1, CHANGE)[0]
        assert (r["grade"], r["fever"], r["bp_support"]) == (state["crs"], state["fever"], state["level"][0])


def test_a_silent_subject_has_one_interval_of_grade_zero() -> None:
    made = tables.grade_intervals(WHO, make_cohort(1), make_courses(1), np.zeros(0, CHANGE)).to_pylist()
    assert [(r["syndrome"], r["grade"], r["t_start_d"], r["t_end_d"]) for r in made] == [
        ("CRS", 0, 0.0, 30.0), ("ICANS", 0, 0.0, 30.0), ("NE", 0, 0.0, 30.0),
    ]  # fmt: skip


def test_events_keep_every_change() -> None:
    changes = make_changes(np.random.default_rng(7), 5)
    changes["rule_no"][0], changes["drug"][0] = 1, Drug.TOCILIZUMAB
    made = tables.events(WHO, make_cohort(5), changes)
    record.check("events", made)
    assert made.num_rows == len(changes)
    first = made.to_pylist()[0]
    assert (first["rule_id"], first["drug"], first["seq"]) == ("g2_toci", "TOCILIZUMAB", 1)
    assert made["rule_id"].null_count == len(changes) - 1


def test_empty_blocks_give_empty_tables() -> None:
    none, courses = make_cohort(0), make_courses(0)
    made = {
        "adsl": make_adsl(courses),
        "adae": tables.adae(WHO, none, courses, np.zeros(0, EPISODE)),
        "adcm": tables.adcm(WHO, none, np.zeros(0, DOSE)),
        "adex": tables.adex(WHO, none),
        "adtte": tables.adtte(WHO, none, courses),
        "grade_intervals": tables.grade_intervals(WHO, none, courses, np.zeros(0, CHANGE)),
        "events": tables.events(WHO, none, np.zeros(0, CHANGE)),
    }
    for name, table in made.items():
        record.check(name, table)
        assert table.num_rows == 0


def test_a_block_in_two_halves_gives_the_same_rows() -> None:
    rng = np.random.default_rng(8)
    n = 50
    courses, changes, cohort = make_courses(n), make_changes(rng, n), make_cohort(n)
    whole = tables.grade_intervals(WHO, cohort, courses, changes)
    cut = int(np.searchsorted(changes["row"], 20))
    tail = changes[cut:].copy()
    tail["row"] -= 20
    parts = [
        tables.grade_intervals(WHO, cohort[:20], courses[:20], changes[:cut]),
        tables.grade_intervals(WHO, cohort[20:], courses[20:], tail),
    ]
    assert pa.concat_tables(parts).to_pylist() == whole.to_pylist()


def test_arms_differ_in_usubjid_and_share_the_subject() -> None:
    other = make_adsl(make_courses(1), who=replace(WHO, arm_id="standard", arm_no=1)).to_pylist()[0]
    mine = make_adsl(make_courses(1)).to_pylist()[0]
    assert other["subject"] == mine["subject"] and other["USUBJID"] != mine["USUBJID"]


@dataclass
class Wait:
    resource: str
    subject: int
    asked_d: float
    granted_d: float = np.nan
    withdrawn_d: float = np.nan


def test_ward_waits_say_how_long_and_how_they_ended() -> None:
    waits = [
        Wait("ward_bed", 41, 1.0, 1.5),
        Wait("ward_bed", 40, 0.0, 0.0),
        Wait("tocilizumab", 40, 4.0, withdrawn_d=4.25),
        Wait("tocilizumab", 40, 3.0, 3.0),
        Wait("icu_bed", 41, 9.0),
    ]
    made = tables.ward_waits(WHO, make_cohort(2), np.array([0.0, 1.5]), waits, 10.0)
    record.check("ward_waits", made)
    got = [(r["subject"], r["resource"], r["seq"], r["wait_h"], r["outcome"]) for r in made.to_pylist()]
    assert got == [
        (40, "WARD_BED", 1, 0.0, "GRANTED"),
        (40, "TOCILIZUMAB", 1, 0.0, "GRANTED"),
        (40, "TOCILIZUMAB", 2, 6.0, "CANCELLED"),
        (41, "WARD_BED", 1, 12.0, "GRANTED"),
        (41, "ICU_BED", 1, 24.0, "STILL WAITING"),
    ]
    assert made["infused_d"].to_pylist() == [0.0, 0.0, 0.0, 1.5, 1.5]


def test_ward_levels_give_occupancy_and_stock_outs() -> None:
    levels = [
        ("tocilizumab", 1.0, 2, 0), ("tocilizumab", 2.0, 2, 1), ("tocilizumab", 3.0, 2, 3), ("tocilizumab", 5.0, 5, 0),
        ("tocilizumab", 8.0, 5, 1), ("ward_bed", 0.0, 1, 0), ("ward_bed", 4.0, 1, 2),
    ]  # fmt: skip
    made = tables.ward_occupancy(WHO, levels, {"ward_bed": 1, "tocilizumab": None})
    record.check("ward_occupancy", made)
    assert made["resource"].to_pylist() == ["WARD_BED"] * 2 + ["TOCILIZUMAB"] * 5
    assert made["capacity"].to_pylist() == [1, 1, None, None, None, None, None]
    out = tables.ward_stockouts(WHO, levels)
    record.check("ward_stockouts", out)
    assert [(r["t_start_d"], r["t_end_d"], r["max_waiting"]) for r in out.to_pylist()] == [
        (2.0, 5.0, 3),
        (8.0, None, 1),
    ]


def test_a_ward_where_nothing_was_asked_gives_empty_tables() -> None:
    for name, made in (
        ("ward_waits", tables.ward_waits(WHO, make_cohort(1), np.zeros(1), [], 30.0)),
        ("ward_occupancy", tables.ward_occupancy(WHO, [], {})),
        ("ward_stockouts", tables.ward_stockouts(WHO, [])),
    ):
        record.check(name, made)
        assert made.num_rows == 0
