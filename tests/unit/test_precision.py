"""When a run has enough subjects: growth, bounds, several conditions, and the planning inverse of the intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cartsim.analysis.intervals import paired_risk_difference, t_interval, wilson
from cartsim.analysis.planning import Guess, planning_table, subjects_for
from cartsim.analysis.precision import Plan, Stop, next_sizes
from cartsim.analysis.targets import Condition
from cartsim.analysis.widths import FLOORS, SUBJECTS_DIFFERING, Seen, smallest_whole, units_for
from cartsim.commands.until import planning_lines
from cartsim.errors import InvalidInput

ARMS = ("standard", "early")
RISK, MEAN, SHARE = (
    "contrast.crs_ge3.early-standard",
    "contrast.hospital_days.early-standard",
    "outcome.crs_ge3.early",
)
quick = settings(deadline=None, max_examples=40)


def condition(text: str) -> Condition:
    return Condition.parse(text, ARMS, reference="standard")


def plan(*texts: str, **more) -> Plan:
    return Plan(tuple(condition(text) for text in texts), **more)


def half(lower, upper) -> float:
    return 0.5 * float(upper - lower)


def row(summary: str, n: int, method: str, lower, upper, **more) -> dict[str, object]:
    held = {
        "summary": summary,
        "design_id": 0,
        "replication_unit": "subject",
        "interval_method": method,
        "n_units": n,
    }
    held |= dict.fromkeys(("n_events", "n01", "n10", "value", "sd_subject", "mcse"))
    interval = {
        name: None if x is None or np.isnan(x) else float(x)
        for name, x in (("lower", lower), ("upper", upper))
    }
    return held | interval | more


def risk(n: int, n01: float, n10: float, **more) -> dict[str, object]:
    (lower, upper), _ = paired_risk_difference(n01, n10, n)
    mcse = ((n01 + n10) / n / n) ** 0.5
    return row("risk difference", n, "paired Wald", lower, upper, n01=n01, n10=n10, mcse=mcse) | more


def mean(n: int, sd: float, value: float = 1.0, **more) -> dict[str, object]:
    lower, upper = t_interval(value, sd, n) if sd else (None, None)
    method = "paired t" if sd else "none"
    return (
        row("mean difference", n, method, lower, upper, sd_subject=sd, value=value, mcse=sd / n**0.5) | more
    )


def share(n: int, events: float) -> dict[str, object]:
    return row("proportion", n, "Wilson", *wilson(events, n), n_events=events, value=events / n)


def grow(rule: Plan, rows_at, looks: int = 400) -> tuple[list[int], Stop]:
    """Sizes of a run whose rows at `n` subjects are `rows_at(n)`, and why it stopped."""
    sizes: list[int] = []
    following: int | Stop = rule.next_size(0, [])
    while isinstance(following, int):
        sizes.append(following)
        assert len(sizes) < looks
        following = rule.next_size(sizes[-1], rows_at(sizes[-1]))
    return sizes, following


def test_a_run_grows_to_what_it_needs_and_stops():
    """5 % discordant, a hundredth of a point: four looks, each larger, the last just beyond the fixed-n answer."""
    rule = plan(f"{RISK} <= 0.002")
    sizes, stop = grow(rule, lambda n: [risk(n, 0.02 * n, 0.03 * n)])
    fixed = subjects_for(rule.conditions[0], Guess(discordant=0.05, difference=-0.01))
    assert sizes == sorted(set(sizes)) and sizes[0] == rule.floor
    assert stop.reached and fixed <= sizes[-1] <= 1.03 * fixed
    assert len(sizes) <= 6
    assert stop.reason.startswith(
        "precision reached: contrast.crs_ge3.early-standard.halfwidth <= 0.002 (0.00"
    )


def test_never_stops_below_the_floor():
    """Not even on a width that is met; at the floor it stops at once."""
    rule = plan(f"{RISK} <= 0.9", floor=3_000)
    assert rule.next_size(2_999, [risk(2_999, 1, 1)]) == 3_000
    stop = rule.next_size(3_000, [risk(3_000, 1, 1)])
    assert isinstance(stop, Stop) and stop.reached


def test_the_ceiling_ends_it():
    rule = plan(f"{RISK} <= 1e-6", ceiling=50_000)
    sizes, stop = grow(rule, lambda n: [risk(n, 0.1 * n, 0.1 * n)])
    assert sizes[-1] == 50_000 and not stop.reached
    assert stop.kind == "ceiling" and stop.reason.startswith(
        "ceiling of 50,000 subjects: not reached: contrast.crs_ge3"
    )


def test_the_time_budget_ends_it():
    """No batch is begun that would outlast it; without a budget time does not matter."""
    rule, held = plan(f"{RISK} <= 0.001", budget_s=10), [risk(2_000, 40, 60)]
    assert rule.next_size(2_000, held, 0.0) == plan(f"{RISK} <= 0.001").next_size(2_000, held, 1e9) == 8_000
    assert rule.next_size(2_000, held, 4.0) == 5_000
    for elapsed in (9.9, 10.0, 700.0):
        stop = rule.next_size(2_000, held, elapsed)
        assert (
            isinstance(stop, Stop)
            and stop.kind == "time"
            and stop.reason.startswith("time budget of 10 s: not reached")
        )
    before = rule.next_size(0, [], 11.0)
    assert isinstance(before, Stop) and "floor" in before.reason


def test_all_conditions_must_hold():
    """The slower one decides, and only what is missing is named at the end."""
    rule = plan(f"{RISK} <= 0.002", f"{SHARE} <= 0.02", ceiling=3_000)
    sizes, stop = grow(rule, lambda n: [risk(n, 0.02 * n, 0.03 * n), share(n, 0.1 * n)])
    assert sizes == [2_000, 3_000] and stop.kind == "ceiling"
    assert "crs_ge3.early-standard" in stop.reason and "outcome" not in stop.reason
    wide = plan(f"{RISK} <= 0.002", f"{SHARE} <= 0.02")
    alone = plan(f"{RISK} <= 0.002")
    both, stop = grow(wide, lambda n: [risk(n, 0.02 * n, 0.03 * n), share(n, 0.1 * n)])
    assert both == grow(alone, lambda n: [risk(n, 0.02 * n, 0.03 * n)])[0]
    assert "outcome.crs_ge3.early.halfwidth <= 0.02" in stop.reason


def test_the_widest_design_point_decides():
    rule = plan(f"{RISK} <= 0.002")
    points = [risk(2_000, 1, k, design_id=k) for k in (1, 80, 4)]
    assert rule.next_size(2_000, [points]) == rule.next_size(2_000, [points[1]])
    assert "at design point 80, the widest of 3" in str(rule.read(2_000, [points])[0])


def test_units_of_several_replicates_are_counted_as_subjects():
    """Ten replicates of 2,000 subjects are 20,000 units, and the next size is again one replicate's."""
    rule = plan(f"{RISK} <= 0.001")
    once, ten = (
        rule.next_size(2_000, [risk(2_000 * k, 1_000 * k * 0.01, 1_000 * k * 0.01)]) for k in (1, 10)
    )
    assert isinstance(once, int) and isinstance(ten, int) and once == 8_000 and ten < once


def test_identical_arms_are_as_narrow_as_no_discordant_pair_allows():
    """A width of 0 over 2,000 subjects says little about a difference of one in ten thousand."""
    same = {"interval_method": "identical rows", "lower": 0.0, "upper": 0.0}
    rule = plan(f"{RISK} <= 0.0001")
    sizes, stop = grow(rule, lambda n: [risk(n, 0, 0) | same])
    (lower, upper), _ = paired_risk_difference(0, 0, sizes[-1])
    assert stop.reached and half(lower, upper) <= 1e-4 and sizes[-1] > 30_000
    sizes, stop = grow(plan(f"{MEAN} <= 0.1"), lambda n: [mean(n, 0.0, 0.0) | same])
    assert stop.reached and sizes[-1] >= FLOORS * 2_000


def test_a_standard_error_of_nothing_is_not_believed():
    """No discordant pair gives a standard error of 0; the score interval still has a width."""
    rule = plan(f"{RISK}.mcse <= 0.0001")
    following = rule.next_size(2_000, [risk(2_000, 0, 0)])
    assert isinstance(following, int) and following > 2_000


def test_a_mean_that_rests_on_few_subjects_is_not_believed():
    """Narrow enough with 40 subjects that differ: more are needed, unless the width is far below the limit."""
    few = {"n01": 10, "n10": 30}
    narrow = mean(2_000, 1.0, **few)
    limit = half(narrow["lower"], narrow["upper"])  # type: ignore[operator]
    following = plan(f"{MEAN} <= {1.01 * limit}").next_size(2_000, [narrow])
    assert following == pytest.approx(0.7 * 2_000 * SUBJECTS_DIFFERING / 40, abs=1)
    for held, factor in ((narrow, 5.01), (mean(2_000, 1.0, n01=60, n10=90), 1.01)):
        stop = plan(f"{MEAN} <= {factor * limit}").next_size(2_000, [held])
        assert isinstance(stop, Stop) and stop.reached
    uncounted = mean(2_000, 1.0, 0.0)
    assert plan(f"{MEAN} <= {1.01 * limit}").next_size(2_000, [uncounted]) == 0.7 * FLOORS * 2_000
    dense = mean(2_000, 1.0, 2.0)
    assert isinstance(plan(f"{MEAN} <= {1.01 * limit}").next_size(2_000, [dense]), Stop)


@pytest.mark.parametrize(
    ("held", "why"),
    [
        (risk(2_000, 3, 4, replication_unit="replicate"), "more replicates are needed"),
        (
            risk(2_000, 3, 4, interval_method="none: censored before the day", lower=None),
            "censored before the day",
        ),
        (mean(10_000, 0.0), "nothing differed in 10,000 subjects"),
    ],
)
def test_what_subjects_cannot_bring_is_said(held, why):
    target = RISK if held["summary"] == "risk difference" else MEAN
    stop = plan(f"{target} <= 0.001").next_size(int(held["n_units"]), [held])
    assert isinstance(stop, Stop) and stop.kind == "impossible" and not stop.reached and why in stop.reason


def test_no_interval_yet_asks_for_more():
    assert plan(f"{MEAN} <= 0.001").next_size(2_000, [mean(2_000, 0.0)]) == 8_000
    assert plan(f"{MEAN} <= 0.001").next_size(2_000, [mean(2_000, 0.0) | {"n_units": 0}]) == 8_000


@quick
@given(
    st.integers(1, 10**6), st.floats(1e-12, 1e12) | st.just(np.inf), st.integers(2_000, 2 * 10**6),
)  # fmt: skip
def test_sizes_rise_within_bounds(n, needed, ceiling):
    """Any data: one more subject at least, four times as many at most; twice the need, never fewer."""
    after = int(next_sizes(np.array([n]), np.array([needed]), max(ceiling, n + 1))[0])
    assert n < after <= max(ceiling, n + 1)
    assert after <= 4 * n + 1
    more = int(next_sizes(np.array([n]), np.array([2 * needed]), max(ceiling, n + 1))[0])
    assert more >= after or needed <= n


@quick
@given(st.data())
def test_every_run_ends(data):
    """Rows without rhyme or reason at every look: sizes rise, and within 400 looks there is a reason to stop."""
    rule = plan(f"{RISK} <= 0.0007", f"{MEAN}.mcse < 0.01", ceiling=200_000)

    def rows(n):
        n01 = data.draw(st.integers(0, n // 2))
        sd = data.draw(st.sampled_from([0.0, 1e-9, 1.0, 1e9]))
        return [
            risk(n, n01, data.draw(st.integers(0, n - n01))),
            mean(n, sd, data.draw(st.floats(-1e3, 1e3))),
        ]

    sizes, stop = grow(rule, rows)
    assert sizes == sorted(set(sizes)) and stop.reason and sizes[0] >= 2_000 and sizes[-1] <= 200_000


def test_the_same_data_give_the_same_decision():
    rule, held = plan(f"{RISK} <= 0.001"), [risk(5_000, 40, 60)]
    assert {rule.next_size(5_000, held, elapsed) for elapsed in (0.0, 5.0, 1e6)} == {
        rule.next_size(5_000, held)
    }


@pytest.mark.parametrize(
    ("texts", "more"),
    [
        ((), {}),
        ((f"{RISK}.value <= 0.1",), {}),
        ((f"{RISK}.lower <= 0.1",), {}),
        ((f"{RISK} <= 0",), {}),
        ((f"{RISK} <= -1",), {}),
        ((f"{RISK} <= 0.1",), {"floor": 1}),
        ((f"{RISK} <= 0.1",), {"floor": 10, "ceiling": 9}),
        ((f"{RISK} <= 0.1",), {"budget_s": 0.0}),
    ],
)
def test_plans_that_make_no_sense(texts, more):
    with pytest.raises(InvalidInput) as caught:
        plan(*texts, **more)
    assert caught.value.exit_code == 3


@quick
@given(st.floats(1e-4, 0.5), st.floats(-1, 1), st.floats(5e-4, 0.05))
def test_planned_risk_differences_invert_the_interval(discordant, lean, limit):
    """The smallest n: there the expected interval is as narrow as asked, one subject before it is not."""
    guess = Guess(discordant=discordant, difference=lean * discordant)
    n = subjects_for(condition(f"{RISK} <= {limit!r}"), guess, floor=2)
    more, fewer = ((discordant + sign * guess.difference) / 2 for sign in (1, -1))
    widths = [half(*paired_risk_difference(k * more, k * fewer, k)[0]) for k in (n, n - 1)]
    assert widths[0] <= limit
    assert widths[1] > limit or n == 2


@quick
@given(st.floats(0, 1), st.floats(1e-3, 0.2))
def test_planned_proportions_invert_wilson(p, limit):
    n = subjects_for(condition(f"{SHARE} <= {limit!r}"), Guess(share=p), floor=1)
    assert half(*wilson(p * n, n)) <= limit < half(*wilson(p * (n - 1), n - 1))


@quick
@given(st.floats(0.01, 30), st.floats(0.05, 1))
def test_planned_means_invert_t(sd, limit):
    n = subjects_for(condition(f"{MEAN} <= {limit!r}"), Guess(sd=sd), floor=2)
    assert half(*t_interval(0.0, sd, n)) <= limit
    assert n == 2 or not half(*t_interval(0.0, sd, n - 1)) <= limit


def test_planned_standard_errors_are_widths_too():
    n = subjects_for(condition(f"{MEAN}.mcse <= 0.05"), Guess(sd=5.0))
    assert 5.0 / n**0.5 <= 0.05 and n == pytest.approx(10_000, rel=1e-3)


def test_a_pilot_plans_as_its_own_numbers_say():
    pilot = risk(2_000, 20, 30)
    n = subjects_for(condition(f"{RISK} <= 0.003"), pilot)
    assert n == subjects_for(condition(f"{RISK} <= 0.003"), Guess(discordant=0.025, difference=-0.005))
    few = subjects_for(condition(f"{MEAN} <= 0.05"), mean(2_000, 1.0, n01=5, n10=5))
    assert few == 2_000 * SUBJECTS_DIFFERING / 10
    with pytest.raises(InvalidInput, match="no interval"):
        subjects_for(condition(f"{MEAN} <= 0.05"), mean(2_000, 0.0))


@pytest.mark.parametrize(
    ("p1", "p0", "correlation", "discordant"),
    [
        (0.1, 0.1, 1.0, 0.0),
        (0.1, 0.1, 0.0, 0.18),
        (0.08, 0.12, 1.0, 0.04),
        (0.1, 0.2, -1.0, 0.3),
        (0.0, 0.2, 0.5, 0.2),
    ],
)
def test_discordance_of_two_risks(p1, p0, correlation, discordant):
    """Perfectly paired risks differ only by their difference; independent ones in p(1-q) + q(1-p)."""
    guess = Guess.of_risks(p1, p0, correlation)
    assert guess.discordant == pytest.approx(discordant) and guess.difference == pytest.approx(p1 - p0)


def test_guesses_must_fit_the_target():
    with pytest.raises(InvalidInput, match="discordant subjects"):
        subjects_for(condition(f"{RISK} <= 0.01"), Guess(sd=2.0))
    with pytest.raises(InvalidInput, match="standard deviation"):
        subjects_for(condition(f"{MEAN} <= 0.01"), Guess(share=0.1))
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        Guess.of_risks(1.2, 0.1)


def test_the_table_without_a_pilot():
    words, sizes = planning_table(condition(f"{RISK} <= 0.005"))
    assert words.startswith("subjects whose outcome differs")
    assert [label for label, _ in sizes] == ["0.1 %", "0.5 %", "1 %", "2 %", "5 %"]
    assert dict(sizes)["5 %"] == subjects_for(condition(f"{RISK} <= 0.005"), Guess(discordant=0.05)) == 7_683
    assert [n for _, n in sizes] == sorted(n for _, n in sizes)


def test_lines_that_are_printed():
    rule = plan(f"{RISK} <= 0.001", f"{MEAN} <= 0.05", ceiling=100_000, budget_s=60)
    lines = list(planning_lines(rule, [None, mean(2_000, 3.0, n01=700, n10=100)]))
    assert lines[0] == "Until (from 2,000 to 100,000 subjects in each arm, at most 60 s):"
    assert any("0.1 %" in line for line in lines) and any("(above the ceiling)" in line for line in lines)
    assert lines[-1] == "    about 13,832 subjects, by 2,000 subjects already run"


@quick
@given(st.floats(0.5, 1.0), st.floats(1e-3, 1e3), st.floats(1, 1e6))
def test_the_search_finds_any_falling_width(power, scale, start):
    """Between the root law and the linear law, from any starting point."""

    def width(n):
        return scale / n**power

    found = float(units_for(width, np.array([start]), 0.01)[0])
    exact = max(1.0, (scale / 0.01) ** (1 / power))
    assert exact * (1 - 1e-9) <= found <= exact * 1.002 + 1e-9
    whole = smallest_whole(width, start, 0.01)
    assert width(whole) <= 0.01 and (whole == 1 or width(whole - 1) > 0.01)


def test_rows_tell_by_which_formula_they_were_made():
    seen = Seen.of("pairs", [risk(2_000, 20, 30), risk(500, 1, 2)], contrast=True)
    np.testing.assert_allclose(
        seen.half(seen.n),
        [half(*paired_risk_difference(20, 30, 2_000)[0]), half(*paired_risk_difference(1, 2, 500)[0])],
    )
