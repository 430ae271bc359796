"""Addressed random numbers: the same address gives the same number, here, in NumPy and next year."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from cartsim.draws import (
    block,
    fill_baseline,
    normal_cdf,
    normal_quantile,
    philox,
    sobol_baseline,
    study_key,
    to_unit,
    uniform,
    uniforms,
)
from cartsim.terms import BASELINE_DECISIONS, Decision

WORDS = st.integers(0, 2**64 - 1)
PLACES = st.integers(0, 2**63 - 1)
KEY = study_key(20261122)
REJECT = 1e-6

#: Frozen: a number given to a decision is never given away again.
CODES = {
    "CRS_AMPLITUDE": 0, "ICANS_AMPLITUDE": 1, "CRS_PEAK_TIME": 2, "ICANS_LAG": 3, "CRS_DECLINE": 4,
    "ICANS_DECLINE": 5, "BP_OFFSET": 6, "OXYGEN_OFFSET": 7, "TOCILIZUMAB_RESPONSE": 8, "TOCILIZUMAB_SIZE": 9,
    "STEROID_SIZE": 10, "ADHERENCE": 11, "CRS_ASCENT": 12, "DEATH": 13, "LIVER_OFFSET": 14, "KIDNEY_OFFSET": 15,
    "OTHER_FEVER": 16, "OTHER_FEVER_ONSET": 17, "OTHER_FEVER_LENGTH": 18, "IV_FEVER": 19, "COMORBIDITY": 20,
    "ORDER_DELAY": 21, "SEIZURE": 22, "DEATH_CAUSE": 23, "AGE": 32, "WEIGHT": 33, "SEX": 34, "BURDEN": 35,
    "LDH": 36, "FERRITIN": 37, "CRP": 38, "PLATELETS": 39, "CREATININE": 40, "PRIOR_NEURO": 41, "CELL_DOSE": 42,
    "ICE_ERROR": 64, "ARRIVAL": 65, "BOOTSTRAP": 66,
}  # fmt: skip


def key_of(low: int, high: int) -> tuple[np.uint64, np.uint64]:
    return np.uint64(low), np.uint64(high)


def numpy_words(key: tuple[int, int], counter: list[int]) -> list[int]:
    generator = np.random.Philox(
        key=np.array([int(word) for word in key], np.uint64), counter=np.array(counter, np.uint64)
    )
    return [int(word) for word in generator.random_raw(4)]


def test_codes_of_decisions_are_frozen() -> None:
    known = {name: int(Decision[name]) for name in CODES}
    assert known == CODES
    added = {code.name: int(code) for code in Decision if code.name not in CODES}
    assert not set(added.values()) & set(CODES.values())


def test_baseline_decisions_fit_the_sobol_points() -> None:
    assert BASELINE_DECISIONS == 64
    assert all(code != BASELINE_DECISIONS - 1 for code in Decision), "room for another one is left"


@given(key=st.tuples(WORDS, WORDS), group=st.integers(0, 2**20), subject=PLACES, occurrence=PLACES)
def test_blocks_are_numpys_philox(key: tuple[int, int], group: int, subject: int, occurrence: int) -> None:
    words = block(*key_of(*key), subject, group, occurrence)
    assert [int(word) for word in words] == numpy_words(key, [group, subject, occurrence, 0])


@given(key=st.tuples(WORDS, WORDS), counter=st.lists(WORDS, min_size=4, max_size=4))
def test_philox_takes_any_counter(key: tuple[int, int], counter: list[int]) -> None:
    """NumPy steps its counter before the first block: ours is one ahead of the counter it is given."""
    ahead = sum(word << (64 * place) for place, word in enumerate(counter)) + 1
    stepped = [np.uint64(ahead >> (64 * place) & (2**64 - 1)) for place in range(4)]
    words = philox(*key_of(*key), *stepped)
    assert [int(word) for word in words] == numpy_words(key, counter)


@given(key=st.tuples(WORDS, WORDS), subject=PLACES, decision=st.integers(0, 10_000), occurrence=PLACES)
def test_a_number_is_one_word_of_its_block(
    key: tuple[int, int], subject: int, decision: int, occurrence: int
) -> None:
    word = numpy_words(key, [decision // 4, subject, occurrence, 0])[decision % 4]
    assert uniform(*key_of(*key), subject, decision, occurrence) == ((word >> 12) + 0.5) * 2.0**-52


@given(WORDS)
def test_numbers_are_strictly_between_0_and_1(word: int) -> None:
    assert 0.0 < to_unit(np.uint64(word)) < 1.0


def test_the_ends_are_never_reached() -> None:
    assert to_unit(np.uint64(0)) == 2.0**-53
    assert to_unit(np.uint64(2**64 - 1)) == 1.0 - 2.0**-53


@given(key=st.tuples(WORDS, WORDS), subject=PLACES)
def test_a_subjects_baseline_is_its_single_numbers(key: tuple[int, int], subject: int) -> None:
    out = np.empty(BASELINE_DECISIONS)
    fill_baseline(*key_of(*key), subject, out)
    single = [uniform(*key_of(*key), subject, decision, 0) for decision in range(BASELINE_DECISIONS)]
    assert out.tolist() == single


@given(
    subjects=st.lists(PLACES, min_size=1, max_size=30),
    cut=st.integers(0, 30),
    decision=st.sampled_from(list(Decision)),
    occurrence=st.integers(0, 2**40),
)
def test_neither_order_nor_company_matters(
    subjects: list[int], cut: int, decision: Decision, occurrence: int
) -> None:
    whole = uniforms(KEY, np.array(subjects), decision, occurrence)
    parts = [
        uniforms(KEY, np.array(part, np.int64), decision, occurrence)
        for part in (subjects[:cut], subjects[cut:])
    ]
    assert np.array_equal(whole, np.concatenate(parts))
    assert np.array_equal(whole[::-1], uniforms(KEY, np.array(subjects[::-1]), decision, occurrence))


def test_every_address_has_its_own_number() -> None:
    """Over 40 subjects, 80 decisions and 20 occurrences no two are the same."""
    found = {
        uniform(*KEY, subject, decision, occurrence)
        for subject in range(40)
        for decision in range(80)
        for occurrence in range(20)
    }
    assert len(found) == 40 * 80 * 20


@pytest.mark.parametrize(
    ("seed", "replicate", "words"),
    [
        (0, 0, (0xBCF22B41415A809D, 0xDF0A523143625515)),
        (20261122, 0, (0xE0E0D4B7F100D1F4, 0x8717966BBB6F21C3)),
        (20261122, 1, (0x3A1D88EFFA3033B4, 0xFA1EA855F4AFF34A)),
        (-1, 2**40, (0x760D10FBFD67DD1F, 0x7B8B4D0F283BD0AB)),
    ],
)
def test_study_keys_are_frozen(seed: int, replicate: int, words: tuple[int, int]) -> None:
    assert tuple(int(word) for word in study_key(seed, replicate)) == words


@pytest.mark.parametrize(
    ("address", "number"),
    [
        ((0, 0, 0), 0.6438330387159997),
        ((1, 5, 0), 0.12096582798137179),
        ((2**40, 64, 3), 0.4461406563407885),
        ((12345, 63, 0), 0.3235558103071189),
        ((0, 0, 1), 0.758008310593549),
        ((0, 0, 2**40), 0.7783438037016169),
    ],
)
def test_numbers_of_a_study_are_frozen(address: tuple[int, int, int], number: float) -> None:
    """(subject, decision, occurrence) of seed 20261122: stored runs can be run again."""
    assert uniform(*KEY, *address) == number


def test_numbers_are_uniform_and_decisions_unrelated() -> None:
    n = 100_000
    subjects = np.arange(n)
    drawn = [uniforms(KEY, subjects, decision) for decision in (0, 1, 2, 3, 13, 64)]
    drawn.append(uniforms(KEY, subjects, 64, 1))
    for u in drawn:
        assert stats.kstest(u, "uniform").pvalue > REJECT
    related = np.corrcoef(np.array(drawn))[np.triu_indices(len(drawn), 1)]
    assert stats.chi2.sf(n * float((related**2).sum()), related.size) > REJECT


def test_normal_quantile_against_scipy() -> None:
    tail = 10.0 ** np.linspace(-15.95, -1, 3000)
    u = np.concatenate([tail, np.linspace(0.0005, 0.9995, 20_001), 1.0 - tail, [2.0**-53, 1.0 - 2.0**-53]])
    got = np.array([normal_quantile(x) for x in u.tolist()])
    assert np.allclose(got, special.ndtri(u), rtol=1e-14, atol=0.0)


def test_normal_quantile_in_the_far_tail() -> None:
    u = 10.0 ** np.linspace(-300, -16, 500)
    got = np.array([normal_quantile(x) for x in u.tolist()])
    assert np.allclose(got, special.ndtri(u), rtol=1e-14, atol=0.0)


@given(WORDS, WORDS)
def test_a_larger_number_is_never_a_smaller_score(one: int, other: int) -> None:
    low, high = sorted((to_unit(np.uint64(one)), to_unit(np.uint64(other))))
    assert normal_quantile(low) <= normal_quantile(high)


@pytest.mark.parametrize("place", [0.075, 0.925, math.exp(-25.0), 0.5, 2.0**-53, 1.0 - 2.0**-52])
def test_scores_rise_across_the_seams_of_the_approximation(place: float) -> None:
    """Neighbouring numbers that `to_unit` can give, on both sides of each change of formula."""
    first = max(0, round(place * 2.0**52) - 200)
    u = (np.arange(first, min(first + 400, 2**52)) + 0.5) * 2.0**-52
    scores = [normal_quantile(x) for x in u.tolist()]
    assert all(a <= b for a, b in pairwise(scores))


def test_normal_cdf_against_scipy() -> None:
    x = np.linspace(-8.0, 8.0, 2001)
    assert np.allclose([normal_cdf(v) for v in x.tolist()], special.ndtr(x), rtol=1e-13, atol=0.0)


@given(first=st.integers(0, 500), count=st.integers(0, 200))
def test_sobol_points_may_be_cut_anywhere(first: int, count: int) -> None:
    whole = sobol_baseline(3, 1, 0, 700)
    assert np.array_equal(sobol_baseline(3, 1, first, count), whole[first : first + count])


def test_sobol_points_are_another_scramble_in_each_replicate_and_study() -> None:
    points = [sobol_baseline(seed, replicate, 0, 64) for seed, replicate in ((3, 0), (3, 1), (4, 0))]
    assert all(p.shape == (64, BASELINE_DECISIONS) for p in points)
    assert len({p.tobytes() for p in points}) == 3


def test_sobol_points_fill_the_square_evenly() -> None:
    """Each of 1024 equal slices of every dimension holds one of 1024 points; Philox would leave a third empty."""
    points = sobol_baseline(20261122, 0, 0, 1024)
    assert points.min() > 0.0 and points.max() < 1.0
    slices = np.sort(np.floor(points * 1024), axis=0)
    assert np.array_equal(slices, np.repeat(np.arange(1024.0)[:, None], BASELINE_DECISIONS, axis=1))
