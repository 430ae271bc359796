"""Infections: the cohort of the source is infected as it was, and what drugs add stands on the subject's own hazard."""

import numpy as np
import pytest
from harms_builder import REGISTRY, affected, doses, expect, found, make, numbers

from cartsim.errors import InvalidInput
from cartsim.harms import find_harms
from cartsim.harms.infection import InfectionClock
from cartsim.harms.numbers import hazard_without_crs
from cartsim.model.state import DOSE
from cartsim.terms import Drug, HarmSource, Reaction


def test_the_cohort_of_the_source_is_infected_as_it_was() -> None:
    """CRS in the shares of that cohort, on the days that were assumed: 23 % by day 28, half of those without CRS by
    day 6, and 40 % of them severe."""
    n, how = 120_000, numbers()
    subjects, courses = make(n, end=28.0)
    steps = np.random.default_rng(4).choice(3, n, p=REGISTRY["harms.infection.reference_shares"])
    first, second = REGISTRY["harms.infection.reference_step_d"]
    courses["crs_ge_t"][steps >= 1, 0] = first
    courses["crs_ge_t"][steps == 2, 3] = second
    harms = find_harms(how, subjects, courses, np.zeros(0, DOSE), np.arange(n))
    hit = affected(harms, Reaction.INFECTION, HarmSource.BACKGROUND, n)
    expect(int(hit.sum()), n, 0.23)
    severe = harms.rows["grade"] == 3
    expect(int(severe.sum()), len(severe), how.infection.severe_share)
    alone = harms.rows["t_start"][steps[harms.rows["row"]] == 0]
    spared = np.exp(-how.infection.hazard)
    early = np.exp(-how.infection.hazard * 0.5)
    expect(int((alone <= 6.0).sum()), len(alone), (1 - early) / (1 - spared))


@pytest.mark.parametrize(
    ("crs", "crs4"), [(np.inf, np.inf), (1.5, np.inf), (1.5, 4.0), (0.0, 0.0), (3.0, 3.0), (-1.0, 2.0)]
)
def test_hazard_is_followed_and_inverted_exactly(crs: float, crs4: float) -> None:
    """Against the same hazard added up in small steps; `when` undoes `cumulative`."""
    how = numbers().infection
    clock = InfectionClock(how, make(1, crs, crs4)[1])
    t = np.linspace(0.0, 40.0, 400_001)
    row = np.zeros(len(t), int)
    base = how.hazard * (t / how.window_d) ** how.shape
    ratio = np.where(t[:-1] >= crs4, how.step_hr**2, np.where(t[:-1] >= crs, how.step_hr, 1.0))
    slow = np.concatenate([[0.0], np.cumsum(np.diff(base) * ratio)])
    exact = clock.cumulative(row, t)
    assert np.abs(exact - slow).max() < 1e-9
    assert np.allclose(clock.when(row, exact), t, rtol=1e-9, atol=1e-12)
    assert clock.cumulative(np.zeros(1, int), np.array([-3.0]))[0] == 0.0


@pytest.mark.parametrize("share", [1e-6, 0.05, 0.23, 0.9, 1.0])
def test_hazard_without_crs_gives_the_share_back(share: float) -> None:
    shares, steps, ratio = (0.3, 0.625, 0.075), (0.3, 0.4), 3.38
    hazard = hazard_without_crs(share, ratio, shares, steps)
    weights = (1, 0.3 + ratio * 0.7, 0.3 + ratio * 0.1 + ratio**2 * 0.6)
    back = 1 - sum(s * np.exp(-hazard * w) for s, w in zip(shares, weights, strict=True))
    assert back == pytest.approx(share, abs=1e-6)


def steroid_days(days: int, first: int = 1) -> list[float]:
    return [first + day + 0.25 for day in range(days)]


def test_long_steroids_bring_severe_infections_beyond_the_background() -> None:
    """After 9 days, not after 8, nor where the ninth lies beyond day 21; the hazard of severe ones times 1.08."""
    n, how = 60_000, numbers()
    for days, first in ((8, 1), (9, 14)):
        harms = found(how, n, doses(n, Drug.DEXAMETHASONE, steroid_days(days, first)))
        assert not affected(harms, Reaction.INFECTION, HarmSource.STEROID, n).any()
    harms = found(how, n, doses(n, Drug.DEXAMETHASONE, steroid_days(11)), crs=1.0)
    hit = affected(harms, Reaction.INFECTION, HarmSource.STEROID, n)
    clock = InfectionClock(how.infection, make(1, 1.0)[1])
    at = clock.cumulative(np.zeros(2, int), np.array([10.0, 30.0]))
    expect(int(hit.sum()), n, 1 - np.exp(-0.4 * 1.08 * (at[1] - at[0])))
    rows = harms.rows[harms.rows["source"] == HarmSource.STEROID]
    rows = rows[rows["reaction"] == Reaction.INFECTION]
    assert (rows["grade"] == 3).all() and (rows["cmseq"] == 9).all() and rows["t_start"].min() >= 10.0


def test_days_of_anakinra_bring_severe_infections_beyond_the_background() -> None:
    n, how = 60_000, numbers(**{"anakinra.infection_hr": 12.0})
    harms = found(how, n, doses(n, Drug.ANAKINRA, [-0.5, 2.2, 2.7, 3.2, 5.2]), crs=1.0)
    clock = InfectionClock(how.infection, make(1, 1.0)[1])
    at = clock.cumulative(np.zeros(4, int), np.array([2.0, 4.0, 5.0, 6.0]))
    hazard = 0.4 * 11.0 * (at[1] - at[0] + at[3] - at[2])
    expect(int(affected(harms, Reaction.INFECTION, HarmSource.ANAKINRA, n).sum()), n, 1 - np.exp(-hazard))


@pytest.mark.parametrize("ratio", [0.5, 1.0])
def test_a_ratio_of_one_or_less_adds_nothing(ratio: float) -> None:
    how = numbers(**{"anakinra.infection_hr": ratio, "steroid.infection_hr": ratio})
    given = np.concatenate(
        [doses(500, drug, steroid_days(12)) for drug in (Drug.ANAKINRA, Drug.DEXAMETHASONE)]
    )
    rows = found(how, 500, given, crs=1.0).rows
    assert (rows["source"][rows["reaction"] == Reaction.INFECTION] == HarmSource.BACKGROUND).all()


def test_tocilizumab_infects_nobody_unless_it_is_asked_for() -> None:
    n, times = 60_000, [3.0, 3.5, 4.0]
    given = doses(n, Drug.TOCILIZUMAB, times)
    plain, asked = found(numbers(), n, given, crs=2.0), found(numbers(per_dose=True), n, given, crs=2.0)
    assert not affected(plain, Reaction.INFECTION, HarmSource.TOCILIZUMAB, n).any()
    by_drug = affected(asked, Reaction.INFECTION, HarmSource.TOCILIZUMAB, n)
    rows = asked.rows[
        (asked.rows["reaction"] == Reaction.INFECTION) & (asked.rows["source"] == HarmSource.TOCILIZUMAB)
    ]
    assert set(rows["cmseq"].tolist()) == {1, 2, 3}
    # of background and excess together the odds are 1.52^3 times those of the background, by the end of the window
    clock = InfectionClock(numbers().infection, make(1, 2.0)[1])
    p = 1 - np.exp(-clock.cumulative(np.zeros(1, int), np.array([28.0]))[0])
    odds = p / (1 - p) * 1.52**3
    background = asked.rows[(asked.rows["source"] == HarmSource.BACKGROUND) & (asked.rows["t_start"] <= 28.0)]
    either = by_drug.copy()
    either[background["row"]] = True
    expect(int(either.sum()), n, odds / (1 + odds))


def test_numbers_that_contradict_are_refused() -> None:
    with pytest.raises(InvalidInput, match="median") as refused:
        numbers(**{"infection.median_d": 30.0})
    assert refused.value.where == "harms.infection.median_d"
