"""Reactions from hand-made doses and courses: the rates that were asked for, one dose more only adds, and every
reaction is traced to what was given."""

from dataclasses import replace

import numpy as np
import pytest
from harms_builder import LEVEL, affected, doses, expect, found, make, numbers
from scipy.stats import kstest

from cartsim.harms import Harms, find_harms
from cartsim.harms.exposure import days_of, doses_by_source
from cartsim.model.state import DOSE
from cartsim.terms import Drug, HarmSource, Reaction


@pytest.mark.parametrize(
    ("reaction", "drug", "source"),
    [
        (Reaction.INFUSION_REACTION, Drug.TOCILIZUMAB, HarmSource.TOCILIZUMAB),
        (Reaction.HYPERSENSITIVITY, Drug.TOCILIZUMAB, HarmSource.TOCILIZUMAB),
        (Reaction.NEUTROPENIA, Drug.TOCILIZUMAB, HarmSource.TOCILIZUMAB),
        (Reaction.HEPATOTOXICITY, Drug.TOCILIZUMAB, HarmSource.TOCILIZUMAB),
        (Reaction.INJECTION_SITE, Drug.ANAKINRA, HarmSource.ANAKINRA),
    ],
)
def test_each_dose_brings_a_reaction_as_often_as_the_registry_says(
    reaction: Reaction, drug: Drug, source: HarmSource
) -> None:
    """One dose, and four: 1 - (1 - p)^4. Shares of the severe form, and onset in its window, evenly."""
    n, how = 60_000, numbers()
    p = how.chance[source, reaction]
    for times in ([1.0], [1.0, 1.4, 1.8, 2.2]):
        harms = found(how, n, doses(n, drug, times))
        expect(int(affected(harms, reaction, source, n).sum()), n, 1 - (1 - p) ** len(times))
    one = found(
        numbers(**{f"{source.name.lower()}.{reaction.name.lower()}_per_dose": 0.5}), n, doses(n, drug, [1.0])
    )
    rows, form = one.rows[one.rows["reaction"] == reaction], how.forms[reaction]
    assert set(rows["grade"].tolist()) == set(form.grades)
    expect(int((rows["grade"] == form.grades[1]).sum()), len(rows), form.severe_share)
    soonest, latest = form.latency_d
    assert kstest((rows["t_start"] - 1.0 - soonest) / (latest - soonest), "uniform").pvalue > LEVEL
    assert np.allclose(rows["t_end"] - rows["t_start"], form.duration_d)
    assert (rows["serious"] == (rows["grade"] >= form.serious_grade)).all()
    assert (rows["cmseq"] == 1).all() and (rows["drug"] == drug).all()


@pytest.mark.parametrize(
    ("reaction", "drug", "source", "mg", "counts"),
    [
        (Reaction.HYPERGLYCAEMIA, Drug.DEXAMETHASONE, HarmSource.STEROID, 2.0, True),
        (Reaction.HYPERGLYCAEMIA, Drug.DEXAMETHASONE, HarmSource.STEROID, 1.9, False),
        (Reaction.PSYCHIATRIC, Drug.DEXAMETHASONE, HarmSource.STEROID, 5.0, True),
        (Reaction.PSYCHIATRIC, Drug.METHYLPREDNISOLONE, HarmSource.STEROID, 27.0, True),
        (Reaction.PSYCHIATRIC, Drug.METHYLPREDNISOLONE, HarmSource.STEROID, 26.0, False),
        (Reaction.NEUTROPENIA, Drug.ANAKINRA, HarmSource.ANAKINRA, 0.1, True),
    ],
)
def test_each_day_of_exposure_counts_once_and_from_its_amount_on(
    reaction: Reaction, drug: Drug, source: HarmSource, mg: float, counts: bool
) -> None:
    """Two doses a day on three days; methylprednisolone in equivalents."""
    n, how = 60_000, numbers()
    times = [2.1, 2.6, 3.1, 3.6, 7.1, 7.6]
    harms = found(how, n, doses(n, drug, times, mg))
    p = how.chance[source, reaction]
    expect(int(affected(harms, reaction, source, n).sum()), n, 1 - (1 - p) ** 3 if counts else 0.0)


def test_small_bodies_are_exposed_to_more() -> None:
    """mg count as in the course: times `steroid_scale`."""
    n, how = 20_000, numbers()
    subjects, courses = make(n)
    given = doses(n, Drug.DEXAMETHASONE, [1.0], 3.0)
    assert not affected(found(how, n, given), Reaction.HYPERGLYCAEMIA, HarmSource.STEROID, n).any()
    subjects["steroid_scale"] = 2.0
    harms = find_harms(how, subjects, courses, given, np.arange(n))
    hits = affected(harms, Reaction.HYPERGLYCAEMIA, HarmSource.STEROID, n)
    expect(int(hits.sum()), n, how.chance[HarmSource.STEROID, Reaction.HYPERGLYCAEMIA])


def test_psychiatric_reactions_are_mistaken_as_often_as_the_registry_says() -> None:
    n, how = 60_000, numbers(**{"steroid.psychiatric_per_d": 0.5})
    rows = found(how, n, doses(n, Drug.DEXAMETHASONE, [1.0], 10.0)).rows
    psychiatric = rows["reaction"] == Reaction.PSYCHIATRIC
    expect(int(rows["mistaken"][psychiatric].sum()), int(psychiatric.sum()), how.mistaken_share)
    assert not rows["mistaken"][~psychiatric].any()


@pytest.fixture(scope="module")
def mixed() -> np.ndarray:
    """Doses of all drugs at random times for 4,000 subjects, none for some."""
    rng = np.random.default_rng(9)
    n = 40_000
    made = np.zeros(n, DOSE)
    made["row"] = np.sort(rng.integers(0, 4_000, n))
    made["drug"] = rng.integers(0, len(Drug), n)
    made["mg"] = rng.choice([2.0, 10.0, 40.0], n)
    made["t_start"] = rng.uniform(-1.0, 28.0, n)
    made["t_end"] = made["t_start"]
    return made


#: Many reactions, so that a broken rule shows.
OFTEN = {f"{s.name.lower()}.{r.name.lower()}_per_{w}": 0.3
         for s, r, w in ((HarmSource.TOCILIZUMAB, Reaction.INFUSION_REACTION, "dose"),
                         (HarmSource.TOCILIZUMAB, Reaction.HYPERSENSITIVITY, "dose"),
                         (HarmSource.TOCILIZUMAB, Reaction.NEUTROPENIA, "dose"),
                         (HarmSource.TOCILIZUMAB, Reaction.HEPATOTOXICITY, "dose"),
                         (HarmSource.STEROID, Reaction.HYPERGLYCAEMIA, "d"),
                         (HarmSource.STEROID, Reaction.PSYCHIATRIC, "d"),
                         (HarmSource.ANAKINRA, Reaction.INJECTION_SITE, "dose"),
                         (HarmSource.ANAKINRA, Reaction.NEUTROPENIA, "d"))}  # fmt: skip


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_dose_more_can_only_add(mixed: np.ndarray, share: float) -> None:
    """The same subjects with some doses and with all of them: whoever had a reaction to a drug has it still, as bad or
    worse; what came from nobody is where it was."""
    n, how = 4_000, numbers(per_dose=True, **OFTEN)
    how = replace(
        how, anakinra_infection=20.0, steroid_infection=replace(how.steroid_infection, days=3, ratio=9.0)
    )
    some = mixed[np.random.default_rng(int(share * 100)).random(len(mixed)) < share]
    # follow-up without end: what an earlier dose brings sooner must not count as new
    fewer, more = (found(how, n, given, crs=2.0, end=1e9) for given in (some, mixed))
    compared = 0
    for source in HarmSource:
        for reaction in Reaction:
            before, after = (worst(one, reaction, source, n) for one in (fewer, more))
            assert (after >= before).all(), (source, reaction)
            compared += int((before > 0).sum())
    background = [one.rows[one.rows["source"] == HarmSource.BACKGROUND] for one in (fewer, more)]
    assert (background[0] == background[1]).all()
    print(f"{compared} kinds of reaction kept, {len(fewer.rows)} rows became {len(more.rows)}")
    assert compared > 4_000


def worst(harms: Harms, reaction: Reaction, source: HarmSource, n: int) -> np.ndarray:
    grades = np.zeros(n, "i1")
    rows = harms.rows[(harms.rows["reaction"] == reaction) & (harms.rows["source"] == source)]
    np.maximum.at(grades, rows["row"], rows["grade"])
    return grades


def test_every_reaction_goes_back_to_a_dose_of_its_drug(mixed: np.ndarray) -> None:
    """`cmseq` counts all doses of the subject by time; a reaction begins after the dose, within follow-up, in order."""
    harms = found(numbers(per_dose=True, **OFTEN), 4_000, mixed, crs=2.0, end=29.0)
    rows = harms.rows
    ordered = mixed[np.lexsort((mixed["t_start"], mixed["row"]))]
    first = np.searchsorted(ordered["row"], np.arange(4_000))
    related = rows[rows["source"] != HarmSource.BACKGROUND]
    cause = ordered[first[related["row"]] + related["cmseq"] - 1]
    assert (cause["row"] == related["row"]).all() and (cause["drug"] == related["drug"]).all()
    assert (cause["t_start"] <= related["t_start"]).all()
    by = {Drug.TOCILIZUMAB: 1, Drug.DEXAMETHASONE: 2, Drug.METHYLPREDNISOLONE: 2, Drug.ANAKINRA: 3}
    assert [by[Drug(drug)] for drug in related["drug"].tolist()] == related["source"].tolist()
    other = rows[rows["source"] == HarmSource.BACKGROUND]
    assert (other["drug"] == -1).all() and (other["cmseq"] == 0).all()
    assert (rows["t_start"] <= 29.0).all()
    assert (np.lexsort((rows["t_start"], rows["row"])) == np.arange(len(rows))).all()
    assert len(related) > 5_000


def test_one_event_ends_before_the_next_of_its_kind_begins(mixed: np.ndarray) -> None:
    rows = found(numbers(**OFTEN), 4_000, mixed, crs=2.0).rows
    rows = rows[np.lexsort((rows["t_start"], rows["source"], rows["reaction"], rows["row"]))]
    same = np.ones(len(rows) - 1, bool)
    for name in ("row", "reaction", "source"):
        same &= rows[name][1:] == rows[name][:-1]
    assert same.sum() > 1_000
    assert (rows["t_start"][1:][same] > rows["t_end"][:-1][same]).all()


def test_what_is_not_followed_changes_nothing_else(mixed: np.ndarray) -> None:
    """Each drug alone gives the rows that it has among the others."""
    together = found(numbers(), 4_000, mixed, crs=2.0).rows
    for drug, source in (("tocilizumab", 1), ("steroid", 2), ("anakinra", 3)):
        alone = found(numbers((drug,)), 4_000, mixed, crs=2.0)
        assert alone.drugs == (drug,)
        kept = together[np.isin(together["source"], [0, source])]
        assert (alone.rows == kept).all() and len(kept) > 100


def test_a_subject_alone_is_who_it_was_among_others(mixed: np.ndarray) -> None:
    how, (subjects, courses) = numbers(**OFTEN), make(4_000, 2.0)
    whole = find_harms(how, subjects, courses, mixed, np.arange(100, 4_100))
    for row in (0, 7, 3_999):
        own = mixed[mixed["row"] == row].copy()
        own["row"] = 0
        alone = find_harms(how, subjects[:1], courses[:1], own, np.array([100 + row]))
        assert (alone.rows == whole.of_row(row).rows).all() and len(alone.rows)


def test_nobody_and_nothing_given() -> None:
    subjects, courses = make(0)
    assert len(find_harms(numbers(), subjects, courses, np.zeros(0, DOSE), np.zeros(0, int)).rows) == 0
    rows = found(numbers(), 2_000, np.zeros(0, DOSE)).rows
    assert set(rows["reaction"].tolist()) == {Reaction.INFECTION}
    assert set(rows["source"].tolist()) == {HarmSource.BACKGROUND}


def test_doses_are_numbered_by_drug_and_days_by_calendar() -> None:
    made = np.concatenate(
        [doses(1, Drug.ANAKINRA, [-0.04, 1.0, 1.5, 3.0]), doses(1, Drug.TOCILIZUMAB, [1.2])]
    )
    doses_of = doses_by_source(made, made["mg"])
    anakinra = doses_of(HarmSource.ANAKINRA)
    assert anakinra.number.tolist() == [1, 2, 3, 4] and anakinra.cmseq.tolist() == [1, 2, 4, 5]
    days = days_of(anakinra)
    assert days.day.tolist() == [-1, 1, 3] and days.mg.tolist() == [10, 20, 10]
    assert days_of(anakinra, 15.0).cmseq.tolist() == [2]
    assert len(doses_of(HarmSource.STEROID).row) == 0
