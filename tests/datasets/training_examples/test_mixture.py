"""Mixtures: what an epoch holds follows from the seed, an example from its place; bad ones are replaced and counted."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refsav.datasets.training_examples.length_grouping import group_by_length
from refsav.datasets.training_examples.mixture import Mixture, TooManyBadError
from refsav.datasets.training_examples.skipped_examples import A_FEW, BadExamples
from refsav.datasets.training_examples.weighted_source import WeightedSource
from refsav.errors import ConfigError, RecordError
from tests.support.data.made_source import MadeSource


def mixed(*repeats: float, count: int = 10, seed: int = 3) -> Mixture:
    return Mixture([WeightedSource(MadeSource(f"s{n}", count), times) for n, times in enumerate(repeats)], seed)


def test_an_epoch_has_each_source_as_often_as_its_repeats_say():
    order = mixed(4, 1, 2.5).order(0)
    assert order.shape == (75, 2) and order.dtype == np.int64
    for number, fewest, most in ((0, 4, 4), (1, 1, 1), (2, 2, 3)):
        times = np.bincount(order[order[:, 0] == number, 1], minlength=10)
        assert (times.min(), times.max()) == (fewest, most)


def test_a_half_is_another_one_in_each_epoch():
    mixture = mixed(0.5, count=100)
    halves = [set(mixture.order(epoch)[:, 1]) for epoch in range(3)]
    assert [len(half) for half in halves] == [50, 50, 50] and len(mixture) == 50
    assert halves[0] != halves[1] != halves[2]


def test_the_order_follows_from_seed_and_epoch():
    first, again, other = mixed(2, 1), mixed(2, 1), mixed(2, 1, seed=4)
    assert np.array_equal(first.order(5), again.order(5))
    assert not np.array_equal(first.order(5), first.order(6))
    assert not np.array_equal(first.order(5), other.order(5))
    assert not np.array_equal(first.order(0)[:, 1], np.sort(first.order(0)[:, 1]))


def test_an_example_follows_from_its_place_alone():
    mixture = mixed(1, 1)
    forwards = [mixture.read(1, position).turns[0].answer for position in range(20)]
    copied = pickle.loads(pickle.dumps(mixture))  # noqa: S301 - what another process gets
    backwards = [copied.read(1, position).turns[0].answer for position in reversed(range(20))]
    assert forwards == backwards[::-1]
    assert len(set(forwards)) == 20
    assert forwards[0] != mixture.read(2, 0).turns[0].answer


def test_weights_are_those_of_the_examples_in_order():
    mixture = mixed(1, 2)
    assert np.array_equal(mixture.lengths(3), 10 * mixture.order(3)[:, 1])


@given(st.lists(st.integers(0, 9), min_size=0, max_size=300), st.integers(1, 9), st.integers(0, 5))
def test_groups_hold_every_position_once(weights, batch, seed):
    positions = group_by_length(np.array(weights, np.int64), batch, np.random.default_rng(seed))
    assert sorted(positions) == list(range(len(weights)))


def test_the_examples_of_a_batch_weigh_much_the_same():
    mixture = mixed(1, count=4000)
    positions, weights = mixture.grouped(0, 8), mixture.lengths(0)
    batches = weights[positions].reshape(-1, 8)
    spread = batches.max(1) - batches.min(1)
    assert np.median(spread) < np.ptp(weights) / 20
    assert not np.array_equal(batches.mean(1), np.sort(batches.mean(1)))
    assert np.array_equal(positions, mixed(1, count=4000).grouped(0, 8))
    assert not np.array_equal(positions, mixture.grouped(1, 8))


def test_nothing_to_train_on_is_reported():
    with pytest.raises(ConfigError, match="the data has no examples"):
        mixed(0.01)


def test_what_comes_next_stands_in_for_an_example_that_cannot_be_used():
    mixture = Mixture([WeightedSource(MadeSource("s", 10, bad={4}))], 0)
    position = int(np.flatnonzero(mixture.order(0)[:, 1] == 4)[0])
    with pytest.raises(RecordError, match="s:4: is broken"):
        mixture.read(0, position)
    drawn = mixture.draw(0, position)
    assert drawn.example.name == f"s {mixture.order(0)[(position + 1) % 10, 1]}"
    assert drawn.example.turns != mixture.read(0, (position + 1) % 10).turns, "the same example twice in an epoch"
    assert [(bad.source, bad.line) for bad in drawn.bad] == [("s", "s:4: is broken; fix: mend it")]
    assert mixture.draw(0, position).example.turns == drawn.example.turns


def test_a_source_of_which_nothing_can_be_used_is_reported():
    mixture = Mixture([WeightedSource(MadeSource("s", 100, bad=set(range(100))))], 0)
    with pytest.raises(TooManyBadError, match=r"20 consecutive examples cannot be used[^$]*\n  fix: correct"):
        mixture.draw(0, 0)


def test_bad_examples_are_counted_up_to_their_share():
    mixture = Mixture(
        [WeightedSource(MadeSource("whole", 500)), WeightedSource(MadeSource("torn", 500, bad=set(range(0, 500, 50))))],
        0,
    )
    bad = BadExamples(0.02)
    for position in range(1000):
        bad.note(mixture.draw(0, position))
    assert (bad.read, bad.count, dict(bad.by_source)) == (1000, 10, {"torn": 10})
    assert bad.first.keys() == {"torn"} and bad.first["torn"].endswith("0: is broken; fix: mend it")


def test_more_bad_examples_than_allowed_end_it_and_the_worst_source_is_named():
    shares = [WeightedSource(MadeSource("whole", 90)), WeightedSource(MadeSource("torn", 90, bad=set(range(45))))]
    mixture, bad = Mixture(shares, 0), BadExamples(0.05)
    with pytest.raises(TooManyBadError) as raised:
        for position in range(180):
            bad.note(mixture.draw(0, position))
    assert bad.count == A_FEW + 1
    assert "data.bad_share = 0.05" in str(raised.value) and "torn: 11, the first: torn:" in str(raised.value)


def test_none_may_be_allowed():
    mixture, bad = Mixture([WeightedSource(MadeSource("s", 3, bad={1}))], 0), BadExamples(0)
    with pytest.raises(TooManyBadError, match="1 examples cannot be used"):
        for position in range(3):
            bad.note(mixture.draw(0, position))


def test_an_example_that_lacks_something_is_used_and_counted():
    mixture, bad = Mixture([WeightedSource(MadeSource("s", 3, lacking={1}))], 0), BadExamples(0.01)
    for position in range(3):
        bad.note(mixture.draw(0, position))
    assert bad.count == 1 and bad.first == {"s": "an object has no expression"}
