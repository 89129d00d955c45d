"""Time to compute J and F, compared with the steps of davis2017-evaluation on complete frames, on one core."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from refsav.benchmarks.metrics.j_and_f import Scores, frame_scores, tolerance_px
from refsav.benchmarks.metrics.packed_masks import Masks
from refsav.benchmarks.speed.ratios import Bar, Measurement, Quantity, Ratio, in_turns
from refsav.benchmarks.speed.views import VIDEO_ID, example, milliseconds, one_core
from refsav.datasets.masks import Mask, decode
from refsav.datasets.records import ObjectTrack

SHIFT_PX = 5
"""Predictions are the truth shifted to the right by this distance."""

EVERY_NTH = 4
"""Every fourth annotated frame is used."""

Compared = tuple[Masks, Masks]
"""Truth and prediction."""


def measure_metrics(sav_data: Path, rounds: int = 5) -> Measurement:
    """Measure on the masks of SA-V's example video, and on a synthetic object that nearly fills the frame.

    Raises:
        RecordError: If the folder lacks the video.
    """
    _, tracks = example(sav_data)
    height, width = tracks[0].size
    real = [moved(masks_of(track)) for track in tracks]
    works: Mapping[str, Sequence[Compared]] = {
        f"{len(tracks)} objects of {VIDEO_ID}": real,
        "an object that fills the frame": [moved(ellipses(height, width))],
    }
    quantities: list[Quantity] = []
    ratios: list[Ratio] = []
    with one_core():
        for (name, videos), bar in zip(works.items(), (Bar("at least", 10.0), None), strict=True):
            plain, ours = _times(name, videos, rounds)
            quantities += [plain, ours]
            ratios.append(Ratio.of(f"J and F, {name}: the reference's steps / ours", plain, ours, bar))
    return Measurement(
        title=f"metrics: J and F of masks of {height}x{width}, one core",
        quantities=tuple(quantities),
        ratios=tuple(ratios),
        notes=(
            f"every prediction is the truth moved by {SHIFT_PX} pixels; both ways give the same numbers",
            "processor time of the one core, so that other programs on it do not count",
        ),
    )


def plain_scores(truth: Masks, found: Masks) -> tuple[Scores, Scores]:
    """Compute J and F by the steps of the reference on complete frames: contours, dilation by a disk, counting.

    Args:
        truth: bool [T, h, w].
        found: bool [T, h, w].
    """
    radius = tolerance_px(truth.shape[1:])
    offsets = np.arange(-radius, radius + 1)
    disk = (offsets[:, None] ** 2 + offsets**2 <= radius**2).astype(np.uint8)
    union = (truth | found).sum(axis=(1, 2))
    overlap = (truth & found).sum(axis=(1, 2))
    j = np.where(union == 0, 1.0, overlap / np.maximum(union, 1))
    f = np.array([_plain_match(one, other, disk) for one, other in zip(truth, found, strict=True)])
    return j, f


def ellipses(height: int, width: int, frames: int = 11) -> Masks:
    """Return masks, bool [T, h, w], of an object that covers two thirds of a frame and moves a little."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack(
        [
            ((rows - height / 2) / (0.46 * height)) ** 2 + ((columns - width / 2 - shift) / (0.46 * width)) ** 2 < 1
            for shift in 3 * np.sin(np.arange(frames))
        ]
    )


def masks_of(track: ObjectTrack) -> Masks:
    """Return the masks of every fourth annotated frame, bool [T, h, w]."""
    encoded = track.masks[::EVERY_NTH]
    masks = np.zeros((len(encoded), *track.size), dtype=np.bool_)
    for mask, rle in zip(masks, encoded, strict=True):
        if rle is not None:
            mask |= decode(rle)
    return masks


def moved(masks: Masks) -> Compared:
    """Return the masks, and the masks shifted by SHIFT_PX as a prediction."""
    return masks, np.roll(masks, SHIFT_PX, axis=2)


def _times(name: str, videos: Sequence[Compared], rounds: int) -> tuple[Quantity, Quantity]:
    """Time both ways, in milliseconds per frame."""
    for truth, found in videos:
        (j, f), ours = plain_scores(truth, found), frame_scores(truth, found)
        if not (np.array_equal(j, ours.j) and np.array_equal(f, ours.f)):
            raise AssertionError("both ways give different scores: these times compare different things")
    taken = in_turns(
        {
            "the reference's steps": milliseconds(lambda: [plain_scores(*video) for video in videos]),
            "ours": milliseconds(lambda: [frame_scores(*video) for video in videos]),
        },
        rounds,
    )
    frames = sum(len(truth) for truth, _ in videos)
    plain, ours_ms = (
        Quantity(name=f"{name}: {way}", unit="ms a frame", rounds=tuple(ms / frames for ms in figures))
        for way, figures in taken.items()
    )
    return plain, ours_ms


def _plain_match(truth: Mask, found: Mask, disk: npt.NDArray[np.uint8]) -> float:
    edges = [_plain_contour(mask) for mask in (truth, found)]
    near = [cv2.dilate(edge.astype(np.uint8), disk).astype(np.bool_) for edge in edges]
    totals = [int(edge.sum()) for edge in edges]
    if 0 in totals:
        return float(totals[0] == totals[1])
    recall, precision = int((edges[0] & near[1]).sum()) / totals[0], int((edges[1] & near[0]).sum()) / totals[1]
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _plain_contour(mask: Mask) -> Mask:
    beyond = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    contour: Mask = (mask ^ beyond[:-1, 1:]) | (mask ^ beyond[1:, :-1]) | (mask ^ beyond[1:, 1:])
    return contour
