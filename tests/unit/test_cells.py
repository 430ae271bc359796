"""Cells are pieces that fit together: several at once are what each is alone, in measures, tables and logs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from clinic_builder import same_bits

from cartsim.cells import EVENT_SAMPLE, Ran, Span, build_tables, can_join, join, measure, run_arms, spans
from cartsim.scenario.load import load_scenario
from cartsim.sweep.points import Points

LOGS = ("episodes", "doses", "changes")
#: (design point, replicate, first subject, subjects): unequal, an empty one, and one that goes on where another ended.
CELLS = ((0, 0, 0, 70), (0, 1, 0, 1), (1, 0, 0, 0), (1, 0, 33, 120), (1, 0, 153, 9))


@pytest.fixture(scope="module")
def points(probe: Callable[..., dict[str, Any]]) -> Points:
    """Two design points that differ in how often somebody looks."""
    sweep = {"method": "grid", "axes": {"monitoring.ward_h": [4.0, 12.0]}}
    outputs = {"events": "all"}
    ill = {"base": "axi-cel", "overrides": {"crs_mu": 1.2}}
    return Points(load_scenario(probe(200, sweep=sweep, outputs=outputs, product=ill)))


@pytest.fixture(scope="module")
def pieces(points: Points) -> list[list[Ran]]:
    """What both arms did in every cell."""
    return [
        run_arms(points.scenario(design), points.arms(design), Span(replicate, first, count))
        for design, replicate, first, count in CELLS
    ]


@pytest.mark.parametrize("arm", [0, 1])
def test_joined_cells_give_the_tables_of_each(points: Points, pieces: list, differing, arm: int) -> None:
    """Every table, every row in its order, ids of study and subject included."""
    scenario = points.base
    parts = [piece[arm] for piece in pieces]
    together = build_tables(scenario, join(parts))
    alone = [build_tables(scenario, part) for part in parts]
    assert set(together) == {"adsl", "adae", "adcm", "adex", "adtte", "grade_intervals", "events"}
    for name, table in together.items():
        expected = pa.concat_tables([tables[name] for tables in alone]).unify_dictionaries()
        assert differing(table, expected) == [], name
    assert together["adsl"].num_rows == 200
    assert together["adsl"]["design_id"].to_pylist() == [0] * 71 + [1] * 129
    assert together["adcm"].num_rows > 50 or arm == 1
    assert "SIM-probe-D1-R0-" in together["adsl"]["USUBJID"].to_pylist()[-1]


def test_joined_cells_give_the_measures_of_each(pieces: list) -> None:
    parts = [piece[0] for piece in pieces]
    together = measure(join(parts), None)
    alone = [measure(part, None) for part in parts]
    assert len(together) > 60
    for name, values in together.items():
        expected = np.concatenate([found[name] for found in alone])
        assert values.dtype == expected.dtype and values.tobytes() == expected.tobytes(), name


def test_log_rows_are_numbered_through(pieces: list) -> None:
    """A row of a log names its subject among all, and nothing else of it changes."""
    parts = [piece[0] for piece in pieces]
    joined = join(parts)
    starts = np.cumsum([0, *(part.count for part in parts)])
    for name in LOGS:
        log = getattr(joined.block, name)
        assert len(log) == sum(len(getattr(part.block, name)) for part in parts) > 0
        assert np.array_equal(np.sort(log["row"]), log["row"])
        for start, part in zip(starts, parts, strict=False):
            own = getattr(part.block, name)
            mine = log[(log["row"] >= start) & (log["row"] < start + part.count)].copy()
            mine["row"] -= start
            assert same_bits(mine, own) == []
    subjects = joined.cohort["subject"][joined.block.episodes["row"]]
    assert set(subjects.tolist()) <= {*range(70), *range(33, 162)}


def test_one_piece_is_itself_and_joined_pieces_are_not_joined_again(pieces: list) -> None:
    one = pieces[0][0]
    assert join([one]) is one
    with pytest.raises(ValueError, match="once only"):
        join([join([pieces[0][0], pieces[1][0]]), pieces[3][0]])


@pytest.mark.parametrize(
    ("changed", "fits"),
    [
        ({"design_id": 7, "replicate": 3}, True),
        ({"arm_label": "another"}, False),
        ({"arm_no": 2}, False),
        ({"rule_names": ("x",)}, False),
        ({"crs_scale": 3}, False),
        ({"dose_unit": "10^6 CELLS/kg/d"}, False),
    ],
)
def test_only_rows_of_the_same_names_and_grading_are_joined(pieces: list, changed: dict, fits: bool) -> None:
    who = pieces[0][0].who
    assert can_join(who, replace(who, **changed)) is fits


def test_another_grading_is_not_joined(pieces: list) -> None:
    who = pieces[0][0].who
    assert can_join(who, replace(who, scale=who.scale.copy()))
    for name in ("scale", "fever_grade", "needs_fever"):
        other = getattr(who, name).copy()
        other.flat[0] += 1
        assert not can_join(who, replace(who, **{name: other})), name


def test_the_sampled_event_log_is_that_of_the_first_subjects(points: Points) -> None:
    """Whatever the span, by number of the subject and not by row."""
    scenario = points.base
    outputs = scenario.outputs.model_copy(update={"events": "sample"})
    sampled = replace(scenario, outputs=outputs)
    first = EVENT_SAMPLE - 20
    [ran, _] = run_arms(points.scenario(0), points.arms(0), Span(0, first, 60))
    logged = build_tables(sampled, ran)["events"]
    whole = build_tables(scenario, ran)["events"]
    assert set(logged["subject"].to_pylist()) == set(range(first, EVENT_SAMPLE))
    kept = np.asarray(whole["subject"].to_numpy() < EVENT_SAMPLE)
    assert logged.equals(whole.filter(kept))


def test_spans_cover_a_cohort_once() -> None:
    """An empty cohort is an empty span of every replicate, so that it is told and not forgotten."""
    found = list(spans(9_000, 2))
    assert [(s.replicate, s.first, s.count) for s in found] == [
        (0, 0, 4096), (0, 4096, 4096), (0, 8192, 808), (1, 0, 4096), (1, 4096, 4096), (1, 8192, 808),
    ]  # fmt: skip
    assert list(spans(0, 2)) == [Span(0, 0, 0), Span(1, 0, 0)]
    assert sum(s.count for s in spans(1000, 3, 7)) == 3000
