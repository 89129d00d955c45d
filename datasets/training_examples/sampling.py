"""Sample the objects and frames of an example from a video or image that has more."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

Random = np.random.Generator


def choose_objects(count: int, most: int, random: Random) -> list[int]:
    """Sample up to `most` of `count` objects without replacement, in random order.

    Sa2VA's released code samples with replacement: for a video with one object, it asks five times for the same one.
    """
    return [int(index) for index in random.permutation(count)[:most]]


def choose_frames(count: int, most: int, random: Random, shown: Callable[[Sequence[int]], Sequence[bool]]) -> list[int]:
    """Sample up to `most` frames without replacement; at least one shows an object, if any frame does.

    Args:
        count: Frames of the video.
        most: Frames to sample; a shorter video gives all of its frames.
        random: Generator of the sample.
        shown: Returns for each of some frames whether one of the chosen objects is visible. It is called with the
            sampled frames, and with all frames only if none of those shows an object.

    Returns:
        Indexes of frames, increasing.
    """
    chosen = [int(index) for index in random.choice(count, min(most, count), replace=False)]
    if not any(shown(chosen)):
        showing = np.flatnonzero(np.asarray(shown(range(count)), dtype=np.bool_))
        if len(showing):
            chosen[0] = int(random.choice(showing))
    return sorted(chosen)


def spread_frames(count: int, most: int, random: Random) -> list[int]:
    """Sample one frame from each of `most` equal segments of a video; a shorter video gives all of its frames."""
    if count <= most:
        return list(range(count))
    borders = np.linspace(0, count, most + 1).astype(np.int64)
    return [int(random.integers(start, end)) for start, end in pairwise(borders)]
