"""cIoU and gIoU of referring image segmentation (RefCOCO, RefCOCO+, RefCOCOg) from the scores of sentences."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from refsav.datasets.masks import Mask


@dataclass(frozen=True, kw_only=True, slots=True)
class SentenceScore:
    """Overlap of one sentence's mask with the truth."""

    intersection_px: int
    union_px: int

    @property
    def iou(self) -> float:
        """Intersection over union; 1 if both masks are empty."""
        return self.intersection_px / self.union_px if self.union_px else 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageScore:
    """Scores of a split, fractions 0-1."""

    ciou: float
    """Sum of intersections over sum of unions, so large objects weigh more; 1 if all masks are empty."""
    giou: float
    """Mean of the sentences' IoU."""
    sentences: int


def sentence_score(truth: Mask, found: Mask) -> SentenceScore:
    """Compare two masks. Pass an empty mask for an answer without one.

    Args:
        truth: bool [h, w].
        found: bool [h, w], at the size of the truth.

    Raises:
        ValueError: If the masks are not bool or differ in size.
    """
    if truth.shape != found.shape or truth.ndim != 2:
        raise ValueError(f"truth is {truth.shape}, found {found.shape}: both must be [h, w] of the same size")
    if truth.dtype != np.bool_ or found.dtype != np.bool_:
        raise ValueError(f"truth is {truth.dtype}, found {found.dtype}: masks are bool, True on the object")
    return SentenceScore(
        intersection_px=int(np.count_nonzero(truth & found)), union_px=int(np.count_nonzero(truth | found))
    )


def image_score(sentences: Sequence[SentenceScore]) -> ImageScore:
    """Compute cIoU and gIoU over the sentences of a split; an object counts once per sentence.

    Raises:
        ValueError: If there is no sentence.
    """
    if not sentences:
        raise ValueError("no sentence to score")
    union_px = sum(sentence.union_px for sentence in sentences)
    return ImageScore(
        ciou=sum(sentence.intersection_px for sentence in sentences) / union_px if union_px else 1.0,
        giou=float(np.mean([sentence.iou for sentence in sentences])),
        sentences=len(sentences),
    )
