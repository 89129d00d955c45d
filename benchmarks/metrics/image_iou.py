"""cIoU and gIoU of referring segmentation in images (RefCOCO, RefCOCO+, RefCOCOg), from rows of one sentence each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from refsav.datasets.masks import Mask


@dataclass(frozen=True, kw_only=True, slots=True)
class SentenceScore:
    """How well one sentence's mask agrees with the truth."""

    intersection_px: int
    union_px: int

    @property
    def iou(self) -> float:
        """Intersection over union, 1 where both masks are empty."""
        return self.intersection_px / self.union_px if self.union_px else 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageScore:
    """A split's two figures, fractions from 0 to 1."""

    ciou: float
    """Sum of intersections over sum of unions: large objects weigh more. Papers' "cIoU"; 1 if all masks are empty."""
    giou: float
    """Mean of the sentences' IoU."""
    sentences: int


def sentence_score(truth: Mask, found: Mask) -> SentenceScore:
    """Compare two masks, bool [h, w]. An answer without a mask is an empty one.

    Raises:
        ValueError: If they are not bool masks of one size.
    """
    if truth.shape != found.shape or truth.ndim != 2:
        raise ValueError(f"truth is {truth.shape}, found {found.shape}: both must be [h, w], of one size")
    if truth.dtype != np.bool_ or found.dtype != np.bool_:
        raise ValueError(f"truth is {truth.dtype}, found {found.dtype}: masks are bool, True on the object")
    return SentenceScore(
        intersection_px=int(np.count_nonzero(truth & found)), union_px=int(np.count_nonzero(truth | found))
    )


def image_score(sentences: Sequence[SentenceScore]) -> ImageScore:
    """Take all sentences of a split together; an object that several sentences mean counts once for each.

    Raises:
        ValueError: If there is none.
    """
    if not sentences:
        raise ValueError("no sentence to score")
    union_px = sum(sentence.union_px for sentence in sentences)
    return ImageScore(
        ciou=sum(sentence.intersection_px for sentence in sentences) / union_px if union_px else 1.0,
        giou=float(np.mean([sentence.iou for sentence in sentences])),
        sentences=len(sentences),
    )
