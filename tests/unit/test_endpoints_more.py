"""Endpoints beyond the standard ones, on courses written out by hand and against the course's own sums."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cartsim.analysis.endpoints import select_endpoints, standard_endpoints
from cartsim.analysis.more_endpoints import further_endpoints, logs_of
from cartsim.cells import Span, run_arms
from cartsim.errors import InvalidInput
from cartsim.model.state import CHANGE, COURSE, DOSE, EPISODE
from cartsim.scenario.load import load_scenario
from cartsim.study import run
from cartsim.sweep.points import Points
from cartsim.tables.occupancy import day_grades
from cartsim.tables.responses import (
    course_columns,
    quality_lost,
    response,
    to_defervescence,
    to_resolution,
    watched_days,
)
from cartsim.terms import Cause, Drug, Setting, Syndrome

Probe = Callable[..., dict[str, Any]]
FURTHER = [endpoint.id for endpoint in further_endpoints()]


def courses(n: int, **fields: Any) -> np.ndarray:
    """COURSE rows followed for 30 days, nothing given, nobody admitted."""
    made = np.zeros(n, COURSE)
    made["end"] = 30.0
    for name in ("toci_t", "admit_t"):
        made[name] = np.inf
    for name, values in fields.items():
        made[name] = values
    return made


def log(kind: np.dtype, rows: list[dict[str, Any]]) -> np.ndarray:
    made = np.zeros(len(rows), kind)
    for k, row in enumerate(rows):
        for name, value in row.items():
            made[name][k] = value
    return made


def test_response_by_hand() -> None:
    """Le 2018: resolved within 14 days of the first dose, at most 2 doses, steroids allowed, nothing else."""
    first = [3.0, 3.0, 3.0, 3.0, np.inf, 3.0]
    made = courses(6, toci_t=first)
    crs = {"syndrome": Syndrome.CRS}
    episodes = log(
        EPISODE,
        [
            crs | {"row": 0, "t_start": 2.0, "t_end": 6.0},  # resolved on day 3 after the dose: yes
            {"row": 0, "syndrome": Syndrome.ICANS, "t_start": 2.0, "t_end": 29.0},
            crs | {"row": 1, "t_start": 2.0, "t_end": 17.5},  # 14.5 days: no
            crs | {"row": 2, "t_start": 2.0, "t_end": 5.0},  # three doses: no
            crs | {"row": 3, "t_start": 2.0, "t_end": 5.0},  # anakinra too: no
            crs | {"row": 4, "t_start": 2.0, "t_end": 5.0},  # not treated
            crs | {"row": 5, "t_start": 2.0, "t_end": 30.0, "ongoing": 1},  # never resolved: no
            crs | {"row": 5, "t_start": 20.0, "t_end": 22.0},  # a later CRS is another one
        ],
    )
    toci = {"drug": Drug.TOCILIZUMAB}
    doses = log(
        DOSE,
        [
            toci | {"row": 0, "t_start": -0.1, "prophylactic": 1},  # prophylaxis is none of the two
            toci | {"row": 0, "t_start": 3.0},
            toci | {"row": 0, "t_start": 3.5},
            {"row": 0, "drug": Drug.DEXAMETHASONE, "t_start": 4.0},
            toci | {"row": 1, "t_start": 3.0},
            *[toci | {"row": 2, "t_start": t} for t in (3.0, 3.5, 4.0)],
            toci | {"row": 3, "t_start": 3.0},
            {"row": 3, "drug": Drug.ANAKINRA, "t_start": 4.0},
            toci | {"row": 5, "t_start": 3.0},
        ],
    )
    assert response(made, episodes, doses).tolist() == [2, 1, 1, 1, 0, 1]
    days = to_resolution(made, episodes)
    assert days[:4].tolist() == [3.0, 14.5, 2.0, 2.0] and np.isnan(days[4:]).all()


def test_defervescence_by_hand() -> None:
    """The first assessment without fever after the dose; not where there was none, nor where it stayed."""
    made = courses(3, toci_t=[2.0, 2.0, 2.0])
    changes = log(
        CHANGE,
        [
            {"row": 0, "t": 1.0, "fever": 1},
            {"row": 0, "t": 3.25, "fever": 0},
            {"row": 0, "t": 5.0, "fever": 1},
            {"row": 0, "t": 6.0, "fever": 0},
            {"row": 1, "t": 1.0, "fever": 1},
            {"row": 1, "t": 1.5, "fever": 0},
            {"row": 2, "t": 1.0, "fever": 1},
        ],
    )
    found = to_defervescence(made, changes)
    assert found[0] == 1.25 and np.isnan(found[1:]).all()


def test_columns_of_the_course_by_hand() -> None:
    made = courses(
        4,
        peak_crs=[0, 3, 4, 2],
        peak_neuro=[3, 3, 0, 0],
        steroid_doses=[5, 0, 2, 1],
        toci_doses=[0, 1, 3, 2],
        toci_prophylactic_doses=[0, 1, 0, 0],
        ward_days=[0.0, 7.0, 10.0, 4.5],
        icu_days=[0.0, 0.0, 5.0, 0.0],
        admit_t=[np.inf, 0.0, 2.0, 3.0],
        end=[30.0, 30.0, 20.0, 30.0],
        dead=[0, 0, 1, 0],
        cause=[0, 0, Cause.CRS, 0],
    )
    found = {name: make() for name, make in course_columns(made).items()}
    assert found["severe_crs"].tolist() == [0, 1, 1, 0]
    assert found["severe_given_steroid"].tolist() == [0, 1, 2, 0]
    assert found["toci_reactive_doses"].tolist() == [0, 0, 3, 2]
    assert found["crs_icans_grade"].tolist() == [0, 3, 0, 0]
    assert found["admitted"].tolist() == [0, 1, 1, 1]
    assert found["days_alive_out"].tolist() == [30.0, 23.0, 5.0, 25.5]
    assert np.isnan(found["stay_d"][0]) and found["stay_d"][1:].tolist() == [7.0, 15.0, 4.5]


def test_days_out_while_watched_by_hand() -> None:
    """Home to day 3, hospital to day 6.5, home again; a death on day 9 ends the watch of 14 days."""
    changes = log(
        CHANGE,
        [
            {"row": 0, "t": 0.0, "setting": Setting.CLINIC},
            {"row": 0, "t": 3.0, "setting": Setting.WARD},
            {"row": 0, "t": 4.0, "setting": Setting.ICU},
            {"row": 0, "t": 6.5, "setting": Setting.HOME},
            {"row": 1, "t": 0.0, "setting": Setting.CLINIC},
        ],
    )
    made = courses(2, end=[30.0, 9.0], dead=[0, 1])
    assert watched_days(made, changes, 14.0).tolist() == [3.0 + 7.5, 9.0]


def test_grades_by_day_by_hand() -> None:
    """The highest grade of the day, whatever it is at midnight; 5 from the day of death."""
    changes = log(
        CHANGE,
        [
            {"row": 0, "t": 1.25, "crs": 2},
            {"row": 0, "t": 1.5, "crs": 1, "icans": 3},
            {"row": 0, "t": 3.0, "crs": 0, "icans": 0},
            {"row": 1, "t": 0.5, "crs": 4},
        ],
    )
    made = courses(2, end=[6.0, 2.5], dead=[0, 1])
    found = day_grades(made, changes, 6)
    assert found[Syndrome.CRS].tolist() == [[0, 2, 1, 0, 0, 0], [4, 4, 5, 5, 5, 5]]
    assert found[Syndrome.ICANS].tolist() == [[0, 3, 3, 0, 0, 0], [0, 0, 5, 5, 5, 5]]


def test_quality_lost_by_hand() -> None:
    """0.5 d at CRS 2, 1 d at CRS 1 with ICANS 3; a death on day 20 loses ten days of 0.73."""
    changes = log(
        CHANGE,
        [
            {"row": 0, "t": 1.0, "crs": 2},
            {"row": 0, "t": 1.5, "crs": 1, "icans": 3},
            {"row": 0, "t": 2.5, "crs": 0, "icans": 0},
        ],
    )
    made = courses(2, end=[30.0, 20.0], dead=[0, 1])
    decrements = {"crs": {"1": 0.01, "2": 0.05}, "icans": {"3": 0.18}}
    lived = 0.5 * 0.05 + 1.0 * (0.01 + 0.18)
    assert quality_lost(made, changes, decrements, None, 30.0) == pytest.approx([lived, 0.0])
    assert quality_lost(made, changes, decrements, 0.73, 30.0) == pytest.approx([lived, 7.3])
    assert quality_lost(made, changes, decrements, 0.1, 30.0)[0] == pytest.approx(0.5 * 0.05 + 0.1)


def test_log_and_course_agree(probe: Probe) -> None:
    """Days in hospital are booked by the course and can be read off its log; a day out is one that is not in."""
    scenario = load_scenario(
        probe(
            300,
            monitoring={"start": "outpatient"},
            outputs={"tables": [], "endpoints": FURTHER},
        )
    )
    points = Points(scenario)
    for ran in run_arms(scenario, points.arms(0), Span(0, 0, 300)):
        made = ran.block.courses
        out = watched_days(made, ran.block.changes, 30.0)
        assert out == pytest.approx(made["end"] - made["ward_days"] - made["icu_days"], abs=1e-9)
        assert out == pytest.approx(course_columns(made)["days_alive_out"](), abs=1e-9)


def test_shares_among_some_have_their_own_denominator(probe: Probe) -> None:
    study = run(probe(400, outputs={"tables": ["adsl"], "endpoints": [*FURTHER, "crs_any"]}))
    adsl, rows = study.table("adsl"), study.outcomes
    asco = adsl[adsl.arm_id == "asco"]
    treated = asco[asco.t_toci_d.notna()]
    found = rows[(rows.arm_id == "asco")].set_index("endpoint")
    second = found.loc["toci_second_dose"]
    reactive = treated.toci_doses - treated.toci_prophylactic_doses
    assert (second.n_units, second.n_events) == (len(treated), (reactive >= 2).sum())
    assert second.value == (reactive >= 2).mean()
    severe = asco[asco.crs_max_grade >= 3]
    steroid = found.loc["severe_given_steroid"]
    assert (steroid.n_units, steroid.n_events) == (len(severe), (severe.steroid_doses > 0).sum())
    both = found.loc["crs_icans_ge3"]
    assert both.n_units == 400
    assert both.n_events == ((asco.crs_max_grade >= 3) & (asco.icans_max_grade >= 3)).sum()
    response_row = found.loc["toci_response"]
    assert response_row.n_units <= len(treated) and 0 < response_row.value < 1
    assert "descriptive" in response_row.conditioning
    none = rows[(rows.arm_id == "none") & (rows.endpoint == "toci_response")].iloc[0]
    assert none.n_units == 0 and np.isnan(none.value)


def test_what_describes_the_treated_is_not_contrasted(probe: Probe) -> None:
    study = run(probe(60, outputs={"tables": [], "endpoints": FURTHER}))
    described = {e.id for e in further_endpoints() if e.conditioning}
    assert {"toci_response", "toci_to_resolution", "length_of_stay"} <= described
    assert set(study.contrasts.endpoint) == set(FURTHER) - described


def test_further_endpoints_are_asked_for_by_name(probe: Probe) -> None:
    """None of them is in a standard run; a misspelt one gets its nearest; logs are kept only where they are read."""
    assert not {e.id for e in standard_endpoints()} & set(FURTHER)
    assert [e.id for e in select_endpoints(["admission"], "penn", further_endpoints("penn"))] == ["admission"]
    assert logs_of(["crs_max_grade", "admitted"]) == frozenset()
    assert logs_of(["toci_response"]) == {"episodes", "doses"}
    with pytest.raises(InvalidInput, match="toci_respons") as caught:
        run(probe(5, outputs={"tables": [], "endpoints": ["toci_respons"]}))
    assert caught.value.mend == "toci_response"


def test_occupancy_adds_up(probe: Probe) -> None:
    """Shares of a day add up to 1; no more than ever had a grade have it on a day."""
    study = run(probe(300, outputs={"tables": ["adsl", "occupancy"]}))
    rows, adsl = study.table("occupancy"), study.table("adsl")
    sums = rows.groupby(["arm_id", "syndrome", "day"], observed=True)
    assert (sums["count"].sum() == 300).all() and np.allclose(sums["share"].sum(), 1.0)
    assert set(rows.day) == set(range(30)) and set(rows.grade) == set(range(6))
    for arm in ("asco", "none"):
        ever = (adsl[adsl.arm_id == arm].crs_max_grade >= 3).sum()
        mine = rows[(rows.arm_id == arm) & (rows.syndrome == "CRS")]
        assert 0 < mine[mine.grade.isin([3, 4])].groupby("day")["count"].sum().max() <= ever
        dead = adsl[(adsl.arm_id == arm) & adsl.t_death_d.notna()]
        assert mine[(mine.grade == 5) & (mine.day == 29)]["count"].item() == len(dead)
