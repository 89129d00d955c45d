"""Rows of video suites: one expression of a video with the model's answer and its scores."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from refsav.benchmarks.metrics.j_and_f import FrameScores, VideoScore, frame_scores
from refsav.benchmarks.suites.answerer import PromptAnswer
from refsav.benchmarks.suites.row_schema import row_kind
from refsav.datasets.external.referring_videos import ExpressionVideo
from refsav.datasets.external.video_masks import FrameMasks
from refsav.datasets.masks import decode_all
from refsav.datasets.records import Rle

FRAMES_AT_ONCE = 32
"""Number of frames whose masks are decoded at a time: 130 MB for a video of 1920x1080."""

NOT_SCORED = math.nan


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpressionRow:
    """One expression with the model's answer and its scores."""

    number: int
    """Position among the expressions of the video."""
    video_id: str
    exp_id: str
    kind: str
    expression: str
    answer: str
    has_mask: bool
    """Whether the answer has a `[SEG]`; without one, all masks are empty."""
    j: float
    """J, mean over all frames, fraction 0-1. Scores are NaN if only a test server has the truth, or the video has no
    other expression for the control."""
    f: float
    j_standard: float
    """J by the standard protocol of Ref-DAVIS17 (davis.py); NaN for all other datasets."""
    f_standard: float
    height: int
    width: int
    frame_names: tuple[str, ...]
    masks: tuple[str | None, ...]
    """`counts` of the COCO RLE of each frame; None for an empty mask."""

    @property
    def score(self) -> VideoScore | None:
        """J and F over all frames; None if it is not scored."""
        return self._score(self.j, self.f)

    @property
    def standard_score(self) -> VideoScore | None:
        """J and F by the standard protocol of Ref-DAVIS17; None if it does not score the expression."""
        return self._score(self.j_standard, self.f_standard)

    def _score(self, j: float, f: float) -> VideoScore | None:
        return None if math.isnan(j) else VideoScore(j=j, f=f, frames=len(self.frame_names))


EXPRESSION_ROWS = row_kind(ExpressionRow)


def expression_rows(
    video: ExpressionVideo,
    answers: Sequence[PromptAnswer],
    size: tuple[int, int],
    standard: Sequence[VideoScore | None],
) -> list[ExpressionRow]:
    """Compare the answers about a video with the true masks.

    Args:
        video: Has one expression per answer.
        answers: In the same order; the first mask of each counts.
        size: (height, width) of all masks.
        standard: Scores by the standard protocol of Ref-DAVIS17; all None for other datasets.
    """
    return [_row(number, video, answer, size, standard[number]) for number, answer in enumerate(answers)]


def not_scored(row: ExpressionRow) -> ExpressionRow:
    """Return the row without scores, so that no overall score includes it."""
    return replace(row, j=NOT_SCORED, f=NOT_SCORED, j_standard=NOT_SCORED, f_standard=NOT_SCORED)


def found_masks(video: ExpressionVideo, answer: PromptAnswer) -> FrameMasks:
    """Return the first mask of an answer; an answer without a mask gets an empty one."""
    return answer.masks[0] if answer.masks else (None,) * len(video.frames)


def _row(
    number: int, video: ExpressionVideo, answer: PromptAnswer, size: tuple[int, int], standard: VideoScore | None
) -> ExpressionRow:
    one, found = video.expressions[number], found_masks(video, answer)
    score = None if one.truth is None else compare(one.truth, found, size).score("all")
    return ExpressionRow(
        number=number,
        video_id=video.video_id,
        exp_id=one.exp_id,
        kind=one.kind,
        expression=one.text,
        answer=answer.text,
        has_mask=bool(answer.masks),
        j=score.j if score else NOT_SCORED,
        f=score.f if score else NOT_SCORED,
        j_standard=standard.j if standard else NOT_SCORED,
        f_standard=standard.f if standard else NOT_SCORED,
        height=size[0],
        width=size[1],
        frame_names=tuple(path.stem for path in video.frames),
        masks=tuple(None if mask is None else mask.counts for mask in found),
    )


def compare(truth: FrameMasks, found: FrameMasks, size: tuple[int, int]) -> FrameScores:
    """Compute J and F of every frame; None is an empty mask, `size` is (height, width)."""
    parts = [
        frame_scores(
            decode_all(truth[at : at + FRAMES_AT_ONCE], size), decode_all(found[at : at + FRAMES_AT_ONCE], size)
        )
        for at in range(0, len(truth), FRAMES_AT_ONCE)
    ]
    return FrameScores(
        **{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(FrameScores)}
    )


def masks_of(row: Mapping[str, Any]) -> list[Rle | None]:
    """Return the masks of a row as read from a part."""
    size = (row["height"], row["width"])
    return [None if counts is None else Rle(size, counts) for counts in row["masks"]]
