"""What is taken of a video or an image that has more than an example holds: some objects, some frames."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

Random = np.random.Generator


def choose_objects(count: int, most: int, random: Random) -> list[int]:
    """Take up to `most` of `count` objects, in any order, none of them twice.

    Sa2VA's own code draws them with replacement, so that a video with one object asks five times for the same.
    """
    return [int(index) for index in random.permutation(count)[:most]]


def choose_frames(count: int, most: int, random: Random, shown: Callable[[Sequence[int]], Sequence[bool]]) -> list[int]:
    """Take up to `most` frames, in order, none of them twice, and one at least that shows something, if any does.

    Args:
        count: Frames of the video.
        most: Of frames; a video that has fewer gives all.
        random: Decides.
        shown: Tells of some frames whether an object that is asked for can be seen in them. It is asked about the
            frames that are drawn, and about all only if none of those shows any.
    """
    chosen = [int(index) for index in random.choice(count, min(most, count), replace=False)]
    if not any(shown(chosen)):
        showing = np.flatnonzero(np.asarray(shown(range(count)), dtype=np.bool_))
        if len(showing):
            chosen[0] = int(random.choice(showing))
    return sorted(chosen)


def spread_frames(count: int, most: int, random: Random) -> list[int]:
    """Take one frame at random out of each of `most` equal parts of a video; all frames if it has no more."""
    if count <= most:
        return list(range(count))
    borders = np.linspace(0, count, most + 1).astype(np.int64)
    return [int(random.integers(begin, end)) for begin, end in pairwise(borders)]
