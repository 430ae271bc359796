"""From a design and values to findings: which method, what is left out and said, and the table that comes of it."""

import numpy as np
import pytest

from cartsim.errors import Incomplete, InvalidInput
from cartsim.record import check, schema
from cartsim.report.sensitivity_figures import draw_sensitivity, ranked, write_sensitivity
from cartsim.sensitivity.answer import answer
from cartsim.sensitivity.findings import WHOLE, TargetValues, findings_table
from cartsim.sensitivity.layout import Layout, morris_steps, saltelli_rows
from cartsim.sensitivity.ranks import rank_regression, reliability
from cartsim.sensitivity.tornado import base_settings, slices
from cartsim.terms import DISCLAIMER

NAMES = ("dose", "delay", "arms.early.policy.rules.g1_persist.when.for_h")


def uniform(n, k):
    return np.random.default_rng([12, k]).random(n)


def target(y, se=0.01, name="contrast.crs_ge3.early-standard"):
    y = np.atleast_2d(np.asarray(y, float))
    pooled = y.mean(axis=0)
    half = 1.96 * se
    return TargetValues(
        name,
        name.startswith("contrast"),
        pooled,
        pooled - half,
        pooled + half,
        y,
        np.full(len(pooled), se**2),
        True,
    )


def layout(x, method, roles=None, base=(), groups=None, names=NAMES):
    x = np.asarray(x, dtype=object)
    return Layout(
        method,
        tuple(range(len(x))),
        tuple(roles) if roles is not None else (None,) * len(x),
        {name: tuple(x[:, j]) for j, name in enumerate(names)},
        dict(zip(names, base, strict=False)),
        groups or {},
    )


def linear(x):
    return 0.05 * x[:, 0] - 0.02 * x[:, 1] - 0.01


def saltelli(rows=64):
    rng = np.random.default_rng(1)
    a, b = rng.random((2, rows, 3))
    points = [a, *(np.where(np.arange(3) == j, b, a) for j in range(3)), b]
    roles = ["A", *(f"AB:{name}" for name in NAMES), "B"] * rows
    return np.stack(points, axis=1).reshape(-1, 3), roles


def one_at_a_time(values=5):
    rows = [[0.5, 0.5, 0.5]]
    for j in range(3):
        for v in np.linspace(0, 1, values):
            row = [0.5, 0.5, 0.5]
            row[j] = v
            rows += [row] if v != 0.5 else []
    return np.array(rows)


def values_of(found, index):
    return {f.input: f.value for f in found.findings if f.index == index}


def test_saltelli_ranks_inputs_and_finds_where_the_answer_flips():
    x, roles = saltelli()
    found = answer(layout(x, "saltelli", roles, base=(0.5, 0.5, 0.5)), target([linear(x)] * 2), uniform)
    total = values_of(found, "ST")
    assert total["dose"] > total["delay"] > 0.05 and total[NAMES[2]] == pytest.approx(0, abs=1e-9)
    tips = values_of(found, "tipping")
    assert tips["dose"] == pytest.approx(0.4, abs=0.01) and tips[NAMES[2]] is None
    assert any("response" in f.method for f in found.findings if f.index == "tipping")
    assert any("read from a full quadratic response" in note for note in found.notes)


def test_a_lost_point_takes_its_base_row_and_is_told():
    x, roles = saltelli()
    y = np.stack([linear(x)] * 2)
    y[1, 7] = np.nan
    found = answer(layout(x, "saltelli", roles), target(y), uniform)
    assert "1 of 64 base rows are left out: a point of each has no value." in found.notes
    assert {f.n for f in found.findings if f.index == "ST"} == {63}
    y[:, 5:] = np.nan
    with pytest.raises(Incomplete, match="only 1 of 64 base rows are whole"):
        answer(layout(x, "saltelli", roles), target(y), uniform)


def test_one_replicate_says_what_it_takes_for_granted():
    x, roles = saltelli()
    found = answer(layout(x, "saltelli", roles), target(linear(x)), uniform)
    assert any(note.startswith("One replicate: the known Monte Carlo variance") for note in found.notes)


@pytest.mark.parametrize(
    "roles", [["B", "A"], ["A", "AB:dose", "AB:dose", "B"], [None, "A"], ["A", "B", "A", "AB:dose", "B"]]
)
def test_roles_that_are_no_saltelli_design_are_refused(roles):
    x = np.zeros((len(roles), 3))
    with pytest.raises(InvalidInput, match=r"role|whole number of base rows"):
        saltelli_rows(layout(x, "saltelli", roles))


def trajectory(order, start, step=2 / 3):
    points = [np.array(start, float)]
    for j, sign in order:
        after = points[-1].copy()
        after[list(j)] += sign * step
        points.append(after)
    return points


def test_morris_finds_which_step_moved_what():
    first = trajectory([((1,), 1), ((0,), -1), ((2,), 1)], (1, 0, 0))
    second = trajectory([((2,), -1), ((1,), 1), ((0,), 1)], (0, 1 / 3, 1))
    x = np.array(first + second)
    for roles in (["0"] * 4 + ["1"] * 4, [f"T{t}:{m}" for t in range(2) for m in range(4)]):
        steps = morris_steps(layout(x, "morris", roles))
        assert steps.names == NAMES and all(steps.single)
        assert steps.after[0].tolist() == [2, 1, 3] and steps.direction.tolist() == [[-1, 1, 1], [1, 1, -1]]


def test_morris_groups_and_steps_that_change_nothing():
    x = np.array(trajectory([((0, 1), 1), ((2,), 0)], (0, 0, 0)))
    steps = morris_steps(layout(x, "morris", ["0"] * 3, groups={"both": NAMES[:2]}))
    assert steps.names == ("both", NAMES[2]) and steps.single == (False, True)
    assert steps.before.tolist() == [[0, 1]]
    with pytest.raises(InvalidInput, match="does not move every input once"):
        morris_steps(layout(x, "morris", ["0"] * 3))


def test_morris_answers_and_drops_a_broken_trajectory():
    rng = np.random.default_rng(3)
    points, roles = [], []
    for t in range(12):
        order = [((int(j),), 1) for j in rng.permutation(3)]
        points += trajectory(order, rng.integers(0, 2, 3) / 3)
        roles += [str(t)] * 4
    x = np.array(points)
    y = np.stack([linear(x)] * 2)
    y[0, 5] = np.nan
    found = answer(layout(x, "morris", roles), target(y), uniform)
    assert values_of(found, "mu")["delay"] == pytest.approx(-0.02 * 2 / 3)
    assert values_of(found, "mu_star")["dose"] == pytest.approx(0.05 * 2 / 3)
    assert "1 of 12 trajectories are left out: a point of each has no value." in found.notes
    assert {f.n for f in found.findings} == {11}


def test_tornado_and_tipping_from_one_at_a_time():
    x = one_at_a_time()
    found = answer(layout(x, "one_at_a_time", base=(0.5, 0.5, 0.5)), target(linear(x), se=1e-4), uniform)
    assert values_of(found, "low")["dose"] == pytest.approx(-0.02)
    assert values_of(found, "swing") == pytest.approx({"dose": 0.05, "delay": -0.02, NAMES[2]: 0.0})
    assert values_of(found, "tipping")["dose"] == pytest.approx(0.4, abs=1e-3)
    assert values_of(found, "base") == pytest.approx({WHOLE: 0.005})
    none = next(f for f in found.findings if f.index == "tipping" and f.input == NAMES[2])
    assert none.value is None and none.note == "no flip between 0 and 1: the estimate stays above 0"


def test_an_outcome_has_no_sign_to_flip():
    x = one_at_a_time()
    found = answer(layout(x, "one_at_a_time"), target(linear(x), name="outcome.crs_ge3.early"), uniform)
    assert not values_of(found, "tipping")


def test_noise_over_the_whole_range_leaves_no_sign():
    x = one_at_a_time()
    found = answer(layout(x, "one_at_a_time"), target(linear(x) + 0.02, se=1.0), uniform)
    notes = {f.note for f in found.findings if f.index == "tipping"}
    assert notes == {"no certain sign between 0 and 1: the interval of the contrast holds 0 throughout"}


def test_lost_values_of_a_slice_are_told():
    x = one_at_a_time()
    y = linear(x)
    y[1] = np.nan
    found = answer(layout(x, "one_at_a_time"), target(y), uniform)
    assert "dose: 1 of 5 values have no result and are left out." in found.notes
    assert next(f for f in found.findings if f.input == "dose" and f.index == "low").setting == "0.25"
    with pytest.raises(Incomplete, match="nothing can be compared"):
        answer(layout(x, "one_at_a_time"), target(np.full(len(x), np.nan)), uniform)


def test_a_switch_is_shown_setting_by_setting():
    x = [["asco", 1.0, 1.0], ["nccn", 1.0, 1.0], ["label", 1.0, 1.0], ["asco", 2.0, 1.0]]
    found = answer(layout(x, "list", base=("asco", 1.0, 1.0)), target([0.1, 0.2, -0.1, 0.3]), uniform)
    at = {f.setting: (f.value, f.note) for f in found.findings if f.index == "at"}
    assert at == {
        "asco": (0.1, "as in the scenario"),
        "nccn": (0.2, None),
        "label": (-0.1, None),
    }
    assert not any(f.index == "tipping" and f.input == "dose" for f in found.findings)
    assert f"No two points differ only in: {NAMES[2]}." in found.notes


def test_base_is_the_scenarios_own_value_or_the_commonest_or_the_middle():
    columns = {"a": (1.0, 2.0, 2.0, 3.0), "b": (5.0, 6.0, 7.0, 7.0)}
    assert base_settings(columns, {"a": 3.0, "b": 9.0}) == {"a": 3.0, "b": 7.0}
    assert base_settings({"a": (1.0, 2.0, 3.0)}, {}) == {"a": 2.0}
    cut = slices(columns, {"a": 2.0, "b": 7.0})
    assert [(s.input, s.settings, s.points) for s in cut] == [
        ("a", (2.0, 3.0), (2, 3)),
        ("b", (6.0, 7.0), (1, 2)),
    ]


def test_rank_regression_is_least_squares_on_ranks():
    from scipy.stats import rankdata

    rng = np.random.default_rng(8)
    x = rng.random((150, 3))
    y = np.exp(3 * x[:, 0]) - x[:, 1] + 0.05 * rng.normal(size=(2, 150))
    found, explained = rank_regression(x, y, uniform)
    z = np.column_stack([rankdata(x, axis=0), rankdata(y.mean(axis=0))])
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    slopes, residual, *_ = np.linalg.lstsq(z[:, :3], z[:, 3], rcond=None)
    assert [e.value for e in found] == pytest.approx(slopes)
    assert explained.value == pytest.approx(1 - residual[0] / 150)
    assert found[2].lower < 0 < found[2].upper and found[0].lower > 0.8
    with pytest.raises(ValueError, match="cannot rank"):
        rank_regression(x[:5], y[:, :5], uniform)
    with pytest.raises(ValueError, match="move together"):
        rank_regression(np.column_stack([x, x[:, 0]]), y, uniform)


def test_spread_designs_rank_and_warn_of_noise():
    rng = np.random.default_rng(8)
    x = rng.random((120, 3))
    y = linear(x) + rng.normal(size=(2, 120)) * 0.02
    found = answer(layout(x, "lhs", base=(0.5, 0.5, 0.5)), target(y, se=0.014), uniform)
    assert set(values_of(found, "SRRC")) == set(NAMES)
    assert any("shrunk" in note for note in found.notes)
    assert 0.3 < reliability(y) < 0.9
    text = np.column_stack([x[:, :2].astype(object), ["asco", "nccn"] * 60])
    found = answer(layout(text, "lhs"), target(y), uniform)
    assert f"Not numbers, therefore left out of the rank regression: {NAMES[2]}." in found.notes
    assert set(values_of(found, "tipping")) == {"dose", "delay"}
    assert f"They are averages over inputs that are not numbers: {NAMES[2]}." in found.notes


@pytest.fixture(scope="module")
def table():
    x, roles = saltelli()
    one = answer(layout(x, "saltelli", roles), target([linear(x)] * 2), uniform)
    spots = one_at_a_time()
    two = answer(
        layout(spots, "one_at_a_time"), target(linear(spots), name="contrast.icu_any.early-standard"), uniform
    )
    return findings_table([one, two], "probe")


def test_findings_are_a_valid_table(table):
    check("sensitivity", table.cast(schema("sensitivity")))


def test_figure_carries_its_disclaimer_and_the_same_bytes(table, tmp_path):
    first = write_sensitivity(
        table, tmp_path / "a", shares=["contrast.icu_any.early-standard"], title="What if"
    )
    second = write_sensitivity(
        table, tmp_path / "b", shares=["contrast.icu_any.early-standard"], title="What if"
    )
    assert [p.name for p in first] == ["sensitivity.png", "sensitivity.svg"]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    figure = draw_sensitivity(table)
    assert DISCLAIMER in figure.texts[-1].get_text()
    assert len(figure.axes) == 2
    assert figure.axes[1].get_xlabel().startswith("Target at the low")


def test_figure_texts_stay_on_the_page(table):
    figure = draw_sensitivity(table)
    figure.draw_without_rendering()
    boxes = [t.get_window_extent() for t in figure.texts]
    boxes += [t.get_window_extent() for a in figure.axes for t in (*a.get_yticklabels(), a.xaxis.label)]
    assert all(b.x0 >= 0 and b.x1 <= figure.bbox.x1 and b.y0 >= 0 and b.y1 <= figure.bbox.y1 for b in boxes)


def test_inputs_stand_by_strength_and_an_empty_table_has_no_figure(table):
    rows = [row for row in table.to_pylist() if row["target"].startswith("contrast.crs")]
    assert ranked(rows)[:2] == ["dose", "delay"]
    assert draw_sensitivity(table.slice(0, 0)) is None
