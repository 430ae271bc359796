"""The driver of a search: who gets subjects, what is kept, what an interruption changes (nothing)."""

import numpy as np
import pytest

from cartsim.errors import Incomplete
from cartsim.search.run import Settings, batch_size, search
from cartsim.search.samples import Samples
from cartsim.store.place import Place
from cartsim.sweep.executors import make_executor


class Known:
    """Candidates with known probabilities and, as a second objective, means; counts what is asked of it."""

    def __init__(self, probabilities, means=None):
        self.probabilities = probabilities
        self.means = means
        self.calls = []

    def __call__(self, candidate, first, count):
        self.calls.append((candidate, first, count))
        rng = np.random.default_rng([first, count, 1])
        u, z = rng.random(count), rng.standard_normal(count)
        own = np.random.default_rng([first, count, 2 + candidate]).random(count)
        event = (0.7 * u + 0.3 * own < self.probabilities[candidate]).astype(float)
        if self.means is None:
            return event[:, None]
        return np.column_stack([event, self.means[candidate] + z + 0.3 * own])


def settings(**more):
    return Settings(**({"confidence": 0.95, "indifference": 0.02, "batch": 20, "first": 25} | more))


PROBABILITIES = [0.3, 0.28, 0.5, 0.35, 0.6]


def test_subjects_go_where_the_choice_is_close():
    sample = Known(PROBABILITIES)
    found = search(5, sample, settings())
    assert found.selection.best == 1
    spent = found.subjects
    assert spent[2] == spent[4] == 500
    assert spent[0] == spent[1] > 500
    assert spent.sum() == sum(count for _, _, count in sample.calls)
    # nobody was asked twice for the same subjects, and everybody from the first on
    for candidate in range(5):
        ranges = [(first, first + count) for c, first, count in sample.calls if c == candidate]
        assert [a for a, _ in ranges] == [0, *(b for _, b in ranges[:-1])]


def test_resumed_after_an_interruption_it_decides_the_same(tmp_path):
    whole = search(5, Known(PROBABILITIES), settings())
    store = Samples(Place.of(tmp_path), ["crs_ge3"])

    class Cut(Known):
        def __call__(self, candidate, first, count):
            if len(self.calls) == 12:
                raise KeyboardInterrupt
            return super().__call__(candidate, first, count)

    with pytest.raises(KeyboardInterrupt):
        search(5, Cut(PROBABILITIES), settings(), store=store)
    rest = Known(PROBABILITIES)
    again = search(5, rest, settings(), store=Samples(Place.of(tmp_path), ["crs_ge3"]))
    assert again.selection.history == whole.selection.history
    assert again.selection.best == whole.selection.best
    for one, other in zip(again.samples, whole.samples, strict=True):
        assert np.array_equal(one, other)
    done = sum(count for _, _, count in rest.calls)
    assert 0 < done < whole.subjects.sum()
    third = Known(PROBABILITIES)
    search(5, third, settings(), store=Samples(Place.of(tmp_path), ["crs_ge3"]))
    assert third.calls == []


def test_stored_samples_serve_another_confidence(tmp_path):
    store = Samples(Place.of(tmp_path), ["crs_ge3"])
    search(5, Known(PROBABILITIES), settings(), store=store)
    stricter = Known(PROBABILITIES)
    search(5, stricter, settings(confidence=0.99), store=store)
    assert all(first > 0 for _, first, _ in stricter.calls)


def test_a_broken_or_other_sample_is_drawn_again(tmp_path):
    place = Place.of(tmp_path)
    Samples(place, ["a"]).keep(3, 0, np.ones((40, 1)))
    assert Samples(place, ["a"]).find(3, 0, 40).tolist() == [[1.0]] * 40
    assert Samples(place, ["a", "b"]).find(3, 0, 40) is None
    assert Samples(place, ["a"]).find(3, 40, 40) is None
    (name,) = place.names("samples")
    data = bytearray(place.read_bytes(name))
    data[len(data) // 2] ^= 0xFF
    place.write_bytes(name, bytes(data))
    assert Samples(place, ["a"]).find(3, 0, 40) is None
    place.write_bytes(name, b"PAR1")
    assert Samples(place, ["a"]).find(3, 0, 40) is None


def test_an_executor_changes_nothing():
    alone = search(5, Known(PROBABILITIES), settings())
    executor = make_executor("threads", 2)
    try:
        together = search(5, Known(PROBABILITIES), settings(), executor=executor)
    finally:
        executor.close()
    assert together.selection.history == alone.selection.history
    assert all(np.array_equal(a, b) for a, b in zip(together.samples, alone.samples, strict=True))


def test_a_failed_sample_is_told_and_the_others_are_kept(tmp_path):
    class Failing(Known):
        def __call__(self, candidate, first, count):
            if candidate == 2:
                raise RuntimeError("no such drug")
            return super().__call__(candidate, first, count)

    place = Place.of(tmp_path)
    executor = make_executor("inline", 1)
    with pytest.raises(Incomplete, match="1 of 5 samples") as told:
        search(5, Failing(PROBABILITIES), settings(), store=Samples(place, ["a"]), executor=executor)
    assert "candidate 2, subjects 0 to 499" in str(told.value) and "no such drug" in str(told.value)
    assert len(place.names("samples")) == 4


def test_the_ceiling_is_kept():
    found = search(2, Known([0.3, 0.301]), settings(indifference=0.005, ceiling=1_030))
    assert found.selection.exhausted and found.subjects.tolist() == [1020, 1020]


def test_one_candidate_is_still_measured():
    found = search(1, Known([0.3]), settings())
    assert found.selection.best == 0 and found.subjects.tolist() == [500]


def front_settings(**more):
    return settings(reach=(1.0, None), sign=(1.0, 1.0), front=(0, 1), front_subjects=4000, **more)


def test_what_may_be_on_the_front_goes_on_after_the_choice():
    """Candidate 2 has the most events and the lowest cost; 3 is worse than 0 in both."""
    found = search(4, Known([0.3, 0.4, 0.55, 0.5], [5.0, 4.0, 2.0, 5.5]), front_settings())
    assert found.selection.best == 0
    assert found.on_front == (0, 1, 2)
    assert found.front.dominated.keys() == {3}
    assert found.subjects[:3].tolist() == [4000, 4000, 4000]
    assert found.subjects[3] < 4000


def test_an_objective_may_be_maximised():
    probabilities, means = [0.3, 0.4, 0.55], [5.0, 4.0, 2.0]
    found = search(3, Known(probabilities, means), front_settings())
    assert found.on_front == (0, 1, 2)
    maximised = settings(reach=(1.0, None), sign=(1.0, -1.0), front=(0, 1), front_subjects=4000)
    assert search(3, Known(probabilities, means), maximised).on_front == (0,)


def test_standing_is_told():
    told = []
    search(5, Known(PROBABILITIES), settings(), tell=told.append)
    assert told[0].left == 5 and told[0].subjects == 0
    assert told[-1].left == 1 and told[-1].open is None
    assert [t.left for t in told] == sorted((t.left for t in told), reverse=True)


@pytest.mark.parametrize(
    ("indifference", "reach", "batch"),
    [(0.005, 1.0, 60), (0.01, 1.0, 30), (0.2, 1.0, 10), (1e-5, 1.0, 400), (0.5, None, 10)],
)
def test_batches_show_what_matters(indifference, reach, batch):
    assert batch_size(indifference, reach) == batch
