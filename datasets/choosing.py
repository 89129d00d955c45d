"""What is taken of a video or an image that has more than an example holds: some objects, some frames."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

Random = np.random.Generator


def choose_objects(count: int, most: int, random: Random) -> list[int]:
    """Take up to `most` of `count` objects, in any order, none of them twice.

    Sa2VA's own code draws them with replacement, so that a video with one object asks five times for the same.
    """
    return [int(index) for index in random.permutation(count)[:most]]


def choose_frames(shown: Sequence[bool], most: int, random: Random) -> list[int]:
    """Take up to `most` frames, in order, none of them twice, and one at least that shows something, if any does.

    Args:
        shown: For every frame of a video, whether an object that is asked for can be seen in it.
        most: Of frames; a video that has fewer gives all.
        random: Decides.
    """
    showing = np.flatnonzero(np.asarray(shown, dtype=np.bool_))
    chosen = random.choice(len(shown), min(most, len(shown)), replace=False)
    if len(showing) and not np.isin(chosen, showing).any():
        chosen[0] = random.choice(showing)
    return [int(index) for index in np.sort(chosen)]


def spread_frames(count: int, most: int, random: Random) -> list[int]:
    """Take one frame at random out of each of `most` equal parts of a video; all frames if it has no more."""
    if count <= most:
        return list(range(count))
    borders = np.linspace(0, count, most + 1).astype(np.int64)
    return [int(random.integers(begin, end)) for begin, end in pairwise(borders)]
