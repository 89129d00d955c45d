"""J and F of a video's masks, as davis2017-evaluation computes them, and which frames each benchmark counts.

Docs: docs/metrics.md. How they come to be fast: packed_masks.py.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from refsav.benchmarks.metrics.packed_masks import Masks, PackedPair, contours, count, dilated, occupied, packed_pairs

TOLERANCE = 0.008
"""How far apart contours may be and still match, as a part of the frame's diagonal."""

Scores = npt.NDArray[np.float64]
"""float64 [T], fractions from 0 to 1."""

Flags = npt.NDArray[np.bool_]
"""bool [T]."""

Protocol = Literal["all", "davis", "sav"]


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoScore:
    """J and F of one object or expression: means over the frames that count, fractions from 0 to 1."""

    j: float
    f: float
    frames: int
    """How many counted."""

    @property
    def jf(self) -> float:
        """J&F: the mean of the two."""
        return (self.j + self.f) / 2


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameScores:
    """How well one object's masks agree with the truth, frame by frame."""

    j: Scores
    f: Scores
    in_truth: Flags
    """Where the truth has a pixel of the object."""
    in_found: Flags

    def score(self, protocol: Protocol) -> VideoScore | None:
        """Take the mean of the frames that a protocol counts; None if it counts none."""
        counted = PROTOCOLS[protocol](self)
        if not counted.any():
            return None
        return VideoScore(j=float(self.j[counted].mean()), f=float(self.f[counted].mean()), frames=int(counted.sum()))


def region_similarity(truth: Masks, found: Masks) -> Scores:
    """J: intersection over union in every frame, float64 [T]; 1 where both masks are empty.

    Args:
        truth: bool [T, h, w].
        found: bool [T, h, w], at the truth's size.

    Raises:
        ValueError: If the two do not fit together.
    """
    return np.array([_overlap(pair) for pair in packed_pairs(truth, found, 0)])


def boundary_measure(truth: Masks, found: Masks) -> Scores:
    """F: how well contours match within the tolerance, the harmonic mean of precision and recall; float64 [T].

    1 where neither mask has a contour, 0 where one has none. A mask that fills the frame has none, as an empty one.

    Args:
        truth: bool [T, h, w].
        found: bool [T, h, w], at the truth's size.

    Raises:
        ValueError: If the two do not fit together.
    """
    radius_px = tolerance_px(truth.shape[-2:])
    return np.array([_contour_match(pair, radius_px) for pair in packed_pairs(truth, found, radius_px)])


def frame_scores(truth: Masks, found: Masks) -> FrameScores:
    """J and F of every frame, from masks that are packed once for both; arguments and errors as above."""
    radius_px = tolerance_px(truth.shape[-2:])
    rows = [
        (_overlap(pair), _contour_match(pair, radius_px), count(pair.words[0]) > 0, count(pair.words[1]) > 0)
        for pair in packed_pairs(truth, found, radius_px)
    ]
    j, f, in_truth, in_found = zip(*rows, strict=True)
    return FrameScores(j=np.array(j), f=np.array(f), in_truth=np.array(in_truth), in_found=np.array(in_found))


def tolerance_px(size: Sequence[int]) -> int:
    """How far apart contours of a frame may be, in pixels, from its (height, width)."""
    return math.ceil(TOLERANCE * math.sqrt(sum(length**2 for length in size)))  # rounded as numpy's norm is


def every_frame(scores: FrameScores) -> Flags:
    """All frames: MeViS, ReVOS, Ref-SAV, and Sa2VA's own script for Ref-DAVIS17."""
    return np.ones(len(scores.j), dtype=np.bool_)


def without_ends(scores: FrameScores) -> Flags:
    """All but the first, which semi-supervised methods are given, and the last: davis2017-evaluation."""
    counted = every_frame(scores)
    counted[[0, -1]] = False
    return counted


def from_first_appearance(scores: FrameScores) -> Flags:
    """Without the ends, and of what is left only from the first frame where truth or prediction show the object.

    That is the evaluator of SA-V. An object that the truth shows in none of these frames is not scored at all.
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
"""Which frames each protocol counts."""


def _overlap(pair: PackedPair) -> float:
    truth, found = pair.words
    union = count(truth | found)
    return count(truth & found) / union if union else 1.0


def _contour_match(pair: PackedPair, radius_px: int) -> float:
    truth, found = edges = contours(occupied(pair))  # whatever can match lies within these rows
    truth_px, found_px = count(truth), count(found)
    if truth_px == 0 or found_px == 0:
        return float(truth_px == found_px)
    near_truth, near_found = dilated(edges, radius_px)
    recall, precision = count(truth & near_found) / truth_px, count(found & near_truth) / found_px
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
