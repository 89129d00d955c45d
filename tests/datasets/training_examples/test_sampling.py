"""What is taken of a video: in order, none twice, and something to be seen."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from refsav.datasets.training_examples.sampling import choose_frames, choose_objects, spread_frames

SEEDS = st.integers(0, 99).map(np.random.default_rng)


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 8), SEEDS)
def test_frames_increase_and_one_shows_something_if_any_does(shown, most, random):
    looked = []

    def look(rows):
        looked.append(len(rows))
        return [shown[row] for row in rows]

    frames = choose_frames(len(shown), most, random, look)
    assert frames == sorted(set(frames)) and len(frames) == min(most, len(shown))
    assert not any(shown) or any(shown[frame] for frame in frames)
    assert looked in ([len(frames)], [len(frames), len(shown)]), (
        "all frames are looked at only if those drawn show nothing"
    )


@given(st.integers(0, 12), st.integers(1, 8), SEEDS)
def test_no_object_is_taken_twice(count, most, random):
    chosen = choose_objects(count, most, random)
    assert len(set(chosen)) == len(chosen) == min(count, most) and set(chosen) <= set(range(count))


@given(st.integers(1, 50), st.integers(1, 8), SEEDS)
def test_spread_frames_come_from_equal_parts(count, most, random):
    frames = spread_frames(count, most, random)
    assert len(frames) == min(count, most) and frames == sorted(set(frames))
    if count > most:
        assert all(part * count // most <= frame < -(-(part + 1) * count // most) for part, frame in enumerate(frames))


def test_other_frames_are_drawn_each_time():
    random = np.random.default_rng(0)
    drawn = {tuple(choose_frames(100, 5, random, lambda rows: [True] * len(rows))) for _ in range(20)}
    assert len(drawn) == 20
