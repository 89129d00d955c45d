"""The standard protocol of Ref-DAVIS17: davis2017-evaluation, unsupervised task, once per annotator, as in ReferFormer.

All frames count. Void pixels, which the annotators left undecided, are cleared in both masks. The masks for one
annotator's expressions share one index image, so they cannot overlap: a pixel of several masks belongs to the lowest
number. The masks are then assigned to objects by the best total J&F, not by name.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from refsav.benchmarks.metrics.j_and_f import VideoScore, frame_scores
from refsav.benchmarks.metrics.packed_masks import Masks
from refsav.datasets.external.referring_videos import ExpressionVideo, ReferringExpression
from refsav.datasets.external.video_masks import FrameMasks
from refsav.datasets.masks import decode_all

Gains = npt.NDArray[np.float64]
"""float64 [predicted masks, objects]: J&F of each pair."""


def standard_scores(
    video: ExpressionVideo, found: Sequence[FrameMasks], size: tuple[int, int]
) -> list[VideoScore | None]:
    """Compute J and F of each expression of a video.

    Args:
        video: Has the true masks.
        found: Predicted masks, one per expression, in the same order.
        size: (height, width) of all masks in pixels.

    Returns:
        One score per expression; None if the evaluator does not count its object.
    """
    scores: list[VideoScore | None] = [None] * len(found)
    counted = _counted(video.expressions)
    for kind in dict.fromkeys(one.kind for one in video.expressions):
        places = [place for place, one in enumerate(video.expressions) if one.kind == kind and counted[place]]
        truth = [decode_all(video.expressions[place].truth or (), size) for place in places]
        void = decode_all(video.void, size) if video.void else np.zeros((len(video.frames), *size), np.bool_)
        assigned = _assigned(
            [masks & ~void for masks in truth], _apart([decode_all(found[place], size) & ~void for place in places])
        )
        for place, score in zip(places, assigned, strict=True):
            scores[place] = score
    return scores


def _counted(expressions: Sequence[ReferringExpression]) -> list[bool]:
    """Return which expressions count: objects up to the highest number visible in frame 0."""
    numbers = [int(one.object_ids[0]) if one.object_ids and one.object_ids[0].isdecimal() else 0 for one in expressions]
    shown = [number for number, one in zip(numbers, expressions, strict=True) if one.truth and one.truth[0] is not None]
    return [number <= max(shown, default=-1) for number in numbers]


def _apart(found: Sequence[Masks]) -> list[Masks]:
    apart: list[Masks] = []
    taken: Masks | None = None
    for masks in found:
        apart.append(masks if taken is None else masks & ~taken)
        taken = masks if taken is None else masks | taken
    return apart


def _assigned(truth: Sequence[Masks], found: Sequence[Masks]) -> list[VideoScore]:
    pairs = [[_score(its, masks) for its in truth] for masks in found]
    chosen = best_assignment(np.array([[score.jf for score in row] for row in pairs]))
    return [pairs[chosen[place]][place] for place in range(len(truth))]


def _score(truth: Masks, found: Masks) -> VideoScore:
    score = frame_scores(truth, found).score("all")
    if score is None:
        raise ValueError("a video needs at least one frame")
    return score


def best_assignment(gains: Gains) -> list[int]:
    """Return, for each column of a square matrix, the row assigned to it so that the sum is largest."""
    size = len(gains)

    @cache
    def best(column: int, taken: int) -> tuple[float, tuple[int, ...]]:
        if column == size:
            return 0.0, ()
        free = [row for row in range(size) if not taken >> row & 1]
        options = [(row, *best(column + 1, taken | 1 << row)) for row in free]
        row, rest, others = max(options, key=lambda option: gains[option[0], column] + option[1])
        return float(gains[row, column]) + rest, (row, *others)

    return list(best(0, 0)[1])
