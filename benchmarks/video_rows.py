"""One expression of a video, asked and compared with the truth: what a benchmark keeps of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from refsav.benchmarks.asking import Answer
from refsav.benchmarks.rows import row_kind
from refsav.benchmarks.video_metrics import FrameScores, Protocol, VideoScore, frame_scores
from refsav.datasets.expression_masks import FrameMasks
from refsav.datasets.expression_videos import ExpressionVideo, ReferringExpression
from refsav.datasets.masks import Mask, decode
from refsav.datasets.records import Rle

FRAMES_AT_ONCE = 32
"""Masks that are unpacked together to be compared: 130 MB of a video of 1920x1080."""

NOT_SCORED = math.nan


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpressionRow:
    """How one expression was answered."""

    number: int
    """Place among the expressions of its video."""
    video_id: str
    exp_id: str
    kind: str
    expression: str
    answer: str
    has_mask: bool
    """Whether the answer has a `[SEG]`; without one, all masks are empty."""
    j: float
    """Mean over all frames, fraction 0-1; NaN where only a test server knows the truth. Likewise those below."""
    f: float
    j_davis: float
    """Without the first and the last frame; NaN, too, if the first does not show the object (davis2017-evaluation)."""
    f_davis: float
    height: int
    width: int
    frame_names: tuple[str, ...]
    masks: tuple[str | None, ...]
    """`counts` of the COCO RLE of each frame, None where nothing was found."""

    def score(self, protocol: Protocol) -> VideoScore | None:
        """J and F by a protocol, "all" or "davis"; None if it does not score this expression."""
        j, f = (self.j_davis, self.f_davis) if protocol == "davis" else (self.j, self.f)
        return None if math.isnan(j) else VideoScore(j=j, f=f, frames=len(self.frame_names))


EXPRESSION_ROWS = row_kind(ExpressionRow)


def expression_rows(video: ExpressionVideo, answers: list[Answer], size: tuple[int, int]) -> list[ExpressionRow]:
    """Compare what was answered about a video with what is true.

    Args:
        video: With an expression for every answer.
        answers: In the same order; the first mask of each counts.
        size: (height, width) of the frames, which found masks have.
    """
    return [
        _row(number, video, one, answer, size)
        for number, (one, answer) in enumerate(zip(video.expressions, answers, strict=True))
    ]


def _row(
    number: int, video: ExpressionVideo, one: ReferringExpression, answer: Answer, size: tuple[int, int]
) -> ExpressionRow:
    found = answer.masks[0] if answer.masks else (None,) * len(video.frames)
    scores = None if one.truth is None else compare(one.truth, found, size)
    whole = scores and scores.score("all")
    davis = scores.score("davis") if scores and scores.in_truth[0] else None
    return ExpressionRow(
        number=number,
        video_id=video.video_id,
        exp_id=one.exp_id,
        kind=one.kind,
        expression=one.text,
        answer=answer.text,
        has_mask=bool(answer.masks),
        j=whole.j if whole else NOT_SCORED,
        f=whole.f if whole else NOT_SCORED,
        j_davis=davis.j if davis else NOT_SCORED,
        f_davis=davis.f if davis else NOT_SCORED,
        height=size[0],
        width=size[1],
        frame_names=tuple(path.stem for path in video.frames),
        masks=tuple(None if mask is None else mask.counts for mask in found),
    )


def compare(truth: FrameMasks, found: FrameMasks, size: tuple[int, int]) -> FrameScores:
    """J and F of every frame; None is an empty mask, `size` is (height, width)."""
    parts = [
        frame_scores(_unpacked(truth[at : at + FRAMES_AT_ONCE], size), _unpacked(found[at : at + FRAMES_AT_ONCE], size))
        for at in range(0, len(truth), FRAMES_AT_ONCE)
    ]
    return FrameScores(
        **{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(FrameScores)}
    )


def _unpacked(masks: FrameMasks, size: tuple[int, int]) -> Mask:
    return np.stack([np.zeros(size, np.bool_) if mask is None else decode(mask) for mask in masks])


def masks_of(row: Mapping[str, Any]) -> list[Rle | None]:
    """The masks of a row as it lies in a part."""
    size = (row["height"], row["width"])
    return [None if counts is None else Rle(size, counts) for counts in row["masks"]]
