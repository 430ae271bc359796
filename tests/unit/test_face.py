"""Checks of face validity: their arithmetic on hand-made courses, their rows, and that they repeat."""

import dataclasses
import json
import math
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from cartsim.cells import Ran
from cartsim.claims import face_measures as measures
from cartsim.claims.face import CHECKS, Check, FaceRow, _row, check_face
from cartsim.claims.face_settings import TAPER_H, contents, make_setting, taper_doses
from cartsim.claims.figures import Figure
from cartsim.claims.settings import Arms
from cartsim.errors import InvalidInput
from cartsim.model.state import CHANGE, COURSE, EPISODE, SAMPLE, SUBJECT
from cartsim.terms import Axis, Cause, Change, Marker, Syndrome

END = 30.0


def ran(n: int, changes: list[dict[str, Any]] = [], **course: list[float]) -> Ran:  # noqa: B006
    """`n` finished courses with a log of changes; fields of COURSE by name, never-came times as infinity."""
    courses = np.zeros(n, COURSE)
    for name in ("crs_ge_t", "icans_ge_t", "ne_ge_t"):
        courses[name] = np.inf
    for name in ("toci_t", "crs_peak_t", "icans_peak_t"):
        courses[name] = np.inf
    courses["end"] = END
    for name, values in course.items():
        field = courses[name]
        (field if field.ndim == 1 else field[:, 0])[:] = values
    log = np.zeros(len(changes), CHANGE)
    for row, change in zip(log, changes, strict=True):
        row["kind"] = Change.SIGNS
        for name, value in change.items():
            if name == "bp":
                row["level"][Axis.BP_SUPPORT] = value
            else:
                row[name] = value
    subjects = np.zeros(n, SUBJECT)
    subjects["toci_response"] = 1.0
    block = SimpleNamespace(
        courses=courses, changes=log, episodes=np.zeros(0, EPISODE), samples=np.zeros(0, SAMPLE)
    )
    return cast(Ran, SimpleNamespace(block=block, subjects=subjects, count=n))


def test_defervescence_counts_from_the_dose() -> None:
    one = ran(
        2,
        [
            {"row": 0, "t": 1.0, "fever": 1},
            {"row": 0, "t": 2.5, "fever": 0},
            {"row": 1, "t": 1.0, "fever": 1},
        ],
        toci_t=[2.0, 2.0],
    )
    figure, by = measures.hours_to_defervescence(one)
    # 12 h and never: half way between them is never
    assert (figure.value, figure.n) == (math.inf, 2)
    assert by == "50% by 12 h, 50% by 24 h, 50% by 48 h"
    assert measures.share_afebrile(one, 12.0)[0].value == 0.5
    assert measures.share_afebrile(one, 6.0)[0].value == 0.0


def test_defervescence_leaves_out_the_afebrile_and_the_non_responder() -> None:
    one = ran(2, [{"row": 1, "t": 1.0, "fever": 1}, {"row": 1, "t": 2.25, "fever": 0}], toci_t=[2.0, 2.0])
    assert measures.hours_to_defervescence(one)[0].n == 1
    one.subjects["toci_response"][1] = 0.2
    assert measures.hours_to_defervescence(one)[0].n == 0


def test_off_support_is_about_those_on_a_vasopressor() -> None:
    one = ran(
        2,
        [
            {"row": 0, "t": 1.0, "bp": 3},
            {"row": 0, "t": 2.25, "bp": 1},
            {"row": 0, "t": 3.0, "bp": 0},
            {"row": 1, "t": 1.0, "bp": 1},
            {"row": 1, "t": 2.25, "bp": 0},
        ],
        toci_t=[2.0, 2.0],
    )
    figure, note = measures.hours_off_support(one)
    assert (figure.value, figure.n) == (24.0, 1)
    assert note.endswith("off vasopressors at 6 h")


def test_lags_need_both_ends() -> None:
    one = ran(
        3,
        [
            {"row": 0, "t": 1.0, "fever": 1, "crs": 1},
            {"row": 0, "t": 3.5, "bp": 1, "crs": 2},
            {"row": 0, "t": 5.5, "crs": 0},
        ],
        peak_crs=[2, 0, 0],
        crs_ge_t=[1.0, 2.0, np.inf],
        crs_peak_t=[2.0, 2.0, np.inf],
        icans_ge_t=[4.0, np.inf, 3.0],
        icans_peak_t=[5.0, np.inf, 3.0],
    )
    assert measures.fever_to_hypotension(one)[0].value == 2.5
    # at grade 2 from day 3.5 to 5.5
    peak, beside = measures.fever_to_peak(one)
    assert (peak.value, peak.n) == (3.5, 1)
    assert beside.endswith("to its first day 0.5 d")
    assert measures.crs_to_icans(one)[0].value == 3.0
    assert measures.icans_to_peak(one)[0].value == 0.5


def test_icans_without_crs_is_of_those_with_icans() -> None:
    one = ran(4, peak_neuro=[1, 2, 0, 3], peak_crs=[0, 1, 0, 2])
    figure = measures.icans_without_crs(one)[0]
    assert (figure.value, figure.n) == (pytest.approx(1 / 3), 3)


def test_late_onset_is_of_everybody() -> None:
    pair = [ran(2, icans_ge_t=[14.0, 14.5]), ran(2, icans_ge_t=[np.inf, 3.0])]
    assert measures.late_onset(pair, "icans_ge_t")[0].value == 0.25


def test_deaths_by_cause_and_day() -> None:
    one = ran(4, dead=[1, 1, 1, 0], cause=[Cause.CRS, Cause.CRS, Cause.ICANS, 0], end=[9.0, 31.0, 9.0, 60.0])
    assert measures.deaths(one, Cause.CRS, 30.0)[0].value == 0.25
    assert measures.deaths(one, Cause.ICANS, 28.0)[0].value == 0.25


def test_icans_duration_is_in_calendar_days() -> None:
    one = ran(1)
    one.block.episodes = np.zeros(1, EPISODE)
    one.block.episodes["syndrome"], one.block.episodes["t_start"] = Syndrome.ICANS, 4.9
    one.block.episodes["t_end"] = 6.1
    assert measures.icans_duration(one)[0].value == 3.0


def tapered(slow_grade: int) -> Arms:
    stop = TAPER_H / 24
    at_stop = {"row": 0, "t": stop - 1, "crs": 1}
    later = {"none": 3, "rapid": 2, "slow": slow_grade}
    return {name: ran(1, [at_stop, {"row": 0, "t": stop + 1, "crs": g}]) for name, g in later.items()}


def test_a_slower_taper_that_rebounds_more_is_found() -> None:
    rise = measures.rebounds(tapered(2), "crs")
    assert {name: values.tolist() for name, values in rise.items()} == {
        "none": [2],
        "rapid": [1],
        "slow": [1],
    }
    assert measures.taper_order(tapered(2), "crs")[0].value == 0.0
    assert measures.taper_order(tapered(3), "crs")[0].value == 1.0


def test_the_dead_are_left_out_of_rebounds() -> None:
    arms = tapered(3)
    arms["slow"].block.courses["dead"] = 1
    assert measures.taper_order(arms, "crs")[0].n == 0


def test_marker_ratio_compares_with_the_sample_before_the_dose() -> None:
    one = ran(1, toci_t=[1.1])
    samples = np.zeros(12, SAMPLE)
    samples["hour"] = 6 * np.arange(12)
    samples["value"][:, Marker.IL6] = 10.0 * np.arange(1, 13)
    one.block.samples = samples
    # the dose at 26.4 h follows the sample of hour 24 (50), the next day is read at hour 48 (90)
    assert measures.marker_ratio(one, Marker.IL6, 24.0)[0].value == pytest.approx(90 / 50)
    arms: Arms = {"one": one, "untreated": one}
    assert measures.marker_beside_untreated(arms, Marker.IL6, 24.0)[0].value == 1.0


def test_tapers_only_add_doses() -> None:
    none, rapid, slow = (set(taper_doses(name)) for name in ("none", "rapid", "slow"))
    assert none < rapid < slow
    assert min(hour for hour, _ in rapid - none) == TAPER_H


def test_every_setting_is_a_scenario_that_some_check_needs() -> None:
    needed = {name for check in CHECKS for name in check.settings}
    assert needed == contents().keys()
    for name in needed:
        assert make_setting(name, 3).arms


def made(check: Check, value: float) -> FaceRow:
    return _row(check, (Figure(value), ""))


def test_bands_hold_their_ends_and_a_missing_figure_passes_nothing() -> None:
    check = dataclasses.replace(CHECKS[0], low=0, high=24, keep=(0, 48))
    assert [made(check, value).passed for value in (24.0, 24.1)] == [True, False]
    assert [made(check, value).kept for value in (48.0, 49.0, math.inf)] == [True, False, False]
    silent = made(check, math.nan)
    assert (silent.passed, silent.kept, silent.value) == (None, None, None)
    assert made(dataclasses.replace(check, keep=None), 1.0).kept is None


def test_never_is_said_in_words() -> None:
    row = made(CHECKS[0], math.inf)
    assert row.value is None and "more than half never" in row.note


@pytest.fixture(scope="module")
def rows() -> list[FaceRow]:
    return check_face(300, 5, workers=2)


def test_rows_are_plain_data_in_the_order_of_the_checks(rows: list[FaceRow]) -> None:
    assert [row.id for row in rows] == [check.id for check in CHECKS]
    assert len({row.id for row in rows}) == len(rows)
    for row in rows:
        json.dumps(row.as_dict(), allow_nan=False)


def test_workers_change_nothing(rows: list[FaceRow]) -> None:
    assert check_face(300, 5, workers=1) == rows


def test_numbers_move_what_they_are_about(rows: list[FaceRow]) -> None:
    """Later ICANS peaks lengthen the lag from CRS to ICANS."""
    key = "product.axi-cel.icans_lag_d"
    moved = {row.id: row for row in check_face(300, 5, workers=2, numbers={key: 4.0})}
    before = {row.id: row for row in rows}
    assert (moved["crs_to_icans"].value or 0) > (before["crs_to_icans"].value or 0) + 1
    assert moved["juliet_lee"] == before["juliet_lee"]


def test_an_unknown_number_is_refused() -> None:
    with pytest.raises(InvalidInput):
        check_face(50, 5, numbers={"disease.no_such_number": 1.0})
