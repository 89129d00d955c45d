"""J and F of a video's masks, as davis2017-evaluation computes them, and which frames each benchmark counts.

Docs: docs/metrics.md. packed_masks.py explains why this is fast.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from refsav.benchmarks.metrics.packed_masks import Masks, PackedPair, contours, count, dilated, occupied, packed_pairs

TOLERANCE = 0.008
"""Distance at which contours still match, as a fraction of the frame's diagonal."""

Scores = npt.NDArray[np.float64]
"""float64 [T], fractions from 0 to 1."""

Flags = npt.NDArray[np.bool_]
"""bool [T]."""

Protocol = Literal["all", "davis", "sav"]


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoScore:
    """J and F of one object or expression: means over the frames that count, fractions 0-1."""

    j: float
    f: float
    frames: int
    """Number of frames that count."""

    @property
    def jf(self) -> float:
        """J&F: the mean of the two."""
        return (self.j + self.f) / 2


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameScores:
    """J and F of one object's masks, frame by frame."""

    j: Scores
    f: Scores
    in_truth: Flags
    """Frames in which the true mask is not empty."""
    in_found: Flags

    def score(self, protocol: Protocol) -> VideoScore | None:
        """Average over the frames that a protocol counts; None if it counts no frame."""
        counted = PROTOCOLS[protocol](self)
        if not counted.any():
            return None
        return VideoScore(j=float(self.j[counted].mean()), f=float(self.f[counted].mean()), frames=int(counted.sum()))


def region_similarity(truth: Masks, found: Masks) -> Scores:
    """Compute J, the intersection over union of each frame (davis2017-evaluation, db_eval_iou).

    Args:
        truth: bool [T, h, w].
        found: bool [T, h, w], at the size of the truth.

    Returns:
        float64 [T], fractions 0-1; 1 if both masks are empty.

    Raises:
        ValueError: If the masks are not bool or their shapes differ.
    """
    return np.array([_overlap(pair) for pair in packed_pairs(truth, found, 0)])


def boundary_measure(truth: Masks, found: Masks) -> Scores:
    """Compute F, the agreement of contours within the tolerance (davis2017-evaluation, db_eval_boundary).

    F is the harmonic mean of precision and recall. A mask that fills the frame has no contour, like an empty one.

    Args:
        truth: bool [T, h, w].
        found: bool [T, h, w], at the size of the truth.

    Returns:
        float64 [T], fractions 0-1; 1 if neither mask has a contour, 0 if only one has.

    Raises:
        ValueError: If the masks are not bool or their shapes differ.
    """
    radius_px = tolerance_px(truth.shape[-2:])
    return np.array([_contour_match(pair, radius_px) for pair in packed_pairs(truth, found, radius_px)])


def frame_scores(truth: Masks, found: Masks) -> FrameScores:
    """Compute J and F of each frame; the masks are packed once for both.

    Args:
        truth: bool [T, h, w].
        found: bool [T, h, w], at the size of the truth.

    Raises:
        ValueError: If the masks are not bool or their shapes differ.
    """
    radius_px = tolerance_px(truth.shape[-2:])
    rows = [
        (_overlap(pair), _contour_match(pair, radius_px), count(pair.words[0]) > 0, count(pair.words[1]) > 0)
        for pair in packed_pairs(truth, found, radius_px)
    ]
    j, f, in_truth, in_found = zip(*rows, strict=True)
    return FrameScores(j=np.array(j), f=np.array(f), in_truth=np.array(in_truth), in_found=np.array(in_found))


def tolerance_px(size: Sequence[int]) -> int:
    """Return the distance in pixels at which contours still match, for a frame of (height, width)."""
    return math.ceil(TOLERANCE * math.sqrt(sum(length**2 for length in size)))  # rounded as numpy's norm is


def every_frame(scores: FrameScores) -> Flags:
    """Count all frames, as for MeViS, ReVOS, Ref-SAV, and in Sa2VA's own script for Ref-DAVIS17."""
    return np.ones(len(scores.j), dtype=np.bool_)


def without_ends(scores: FrameScores) -> Flags:
    """Count all frames but the first, which semi-supervised methods are given, and the last (davis2017-evaluation)."""
    counted = every_frame(scores)
    counted[[0, -1]] = False
    return counted


def from_first_appearance(scores: FrameScores) -> Flags:
    """Count frames from the first in which truth or prediction show the object, without the ends (SA-V's evaluator).

    An object that the truth shows in none of these frames is not scored.
    """
    counted = without_ends(scores)
    if not (scores.in_truth & counted).any():
        return np.zeros_like(counted)
    appeared: Flags = np.logical_or.accumulate((scores.in_truth | scores.in_found) & counted)
    return counted & appeared


PROTOCOLS: Mapping[Protocol, Callable[[FrameScores], Flags]] = {
    "all": every_frame,
    "davis": without_ends,
    "sav": from_first_appearance,
}
"""Functions that return the frames that each protocol counts."""


def _overlap(pair: PackedPair) -> float:
    truth, found = pair.words
    union = count(truth | found)
    return count(truth & found) / union if union else 1.0


def _contour_match(pair: PackedPair, radius_px: int) -> float:
    truth, found = edges = contours(occupied(pair))  # contours can only match within these rows
    truth_px, found_px = count(truth), count(found)
    if truth_px == 0 or found_px == 0:
        return float(truth_px == found_px)
    near_truth, near_found = dilated(edges, radius_px)
    recall, precision = count(truth & near_found) / truth_px, count(found & near_truth) / found_px
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
