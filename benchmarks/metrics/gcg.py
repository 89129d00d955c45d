"""Masks and phrases of grounded captions: AP50, mIoU and recall, as the official script of GLaMM and Sa2VA.

Source: groundingLMM, eval/gcg/evaluate.py; Sa2VA's metrics_gcg.py computes the same. The captions themselves are
scored by captions.py. What is surprising about these figures: docs/metrics.md.
"""

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from refsav.datasets.masks import area_px, as_coco
from refsav.datasets.records import Rle

Similarity = Callable[[str, str], float]
"""How near two phrases are in meaning, at most 1. Official: text_similarity.BertSimilarity."""

Matching = Literal["official", "greedy"]
"""Recall's pairs, best overlap first: "official" ends at the first that fails, "greedy" goes on with the next."""

MATCHES_FROM = 0.5
"""What both IoU and similarity must reach for recall."""

MOST_DETECTIONS = 100
"""Of an image's masks, COCO's AP looks at so many."""

Overlaps = npt.NDArray[np.float64]
"""float64 [truth masks, found masks]: IoU of every pair; NaN where both masks are empty, as in the script."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroundedCaption:
    """What is said of an image, and where."""

    caption: str
    phrases: tuple[str, ...]
    """As they stand in the caption; the n-th belongs to the n-th mask."""
    masks: tuple[Rle, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class GroundedImage:
    """One image with the caption that it should get, and the one that it got."""

    image_id: str | int
    """As the annotations have it: with equal scores, the order of ids counts in AP50."""
    truth: GroundedCaption
    found: GroundedCaption


@dataclass(frozen=True, kw_only=True, slots=True)
class GroundedImageScore:
    """One image's part of mIoU and recall."""

    image_id: str | int
    miou: float
    """Mean IoU of the pairs that overlap, matched one to one by the best overlap; 0 without any."""
    recalled: int
    """Phrases of the truth that were found."""
    phrases: int
    """Phrases of the truth."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GcgScore:
    """A split's figures, fractions from 0 to 1."""

    ap50: float
    miou: float
    """Mean over images."""
    recall: float
    """Over all phrases of the truth."""
    images: tuple[GroundedImageScore, ...]


def gcg_score(images: Sequence[GroundedImage], similarity: Similarity, matching: Matching = "official") -> GcgScore:
    """Score a split.

    Raises:
        ValueError: If the truth has no phrase or no mask at all, an image comes twice, or masks differ in size.
    """
    scores = tuple(image_score(image, similarity, matching) for image in images)
    phrases = sum(score.phrases for score in scores)
    if phrases == 0:
        raise ValueError("no image has a phrase that should be found")
    return GcgScore(
        ap50=average_precision_50(images),
        miou=float(np.mean([score.miou for score in scores])),
        recall=sum(score.recalled for score in scores) / phrases,
        images=scores,
    )


def image_score(image: GroundedImage, similarity: Similarity, matching: Matching) -> GroundedImageScore:
    """Score one image."""
    overlaps = _overlaps(image.truth.masks, image.found.masks)
    return GroundedImageScore(
        image_id=image.image_id,
        miou=_mean_of_pairs(overlaps),
        recalled=_recalled(image, overlaps, similarity, matching),
        phrases=len(image.truth.phrases),
    )


def average_precision_50(images: Sequence[GroundedImage]) -> float:
    """COCO's AP of masks at IoU 0.5, every one with the score 1.0, which leaves their order to decide.

    That is the order of image ids (as text or as numbers, whatever the ids are), and of masks within an image.

    Raises:
        ValueError: If the truth has no mask, or two images have one id.
    """
    ids = [image.image_id for image in images]
    if len(set(ids)) != len(ids) or not any(image.truth.masks for image in images):
        raise ValueError("every image needs an id of its own, and one of them a mask in the truth")
    found = _annotations(images, [image.found.masks for image in images])
    if not found:
        return 0.0
    truth = COCO()
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools tells of every step
        truth.dataset = {
            "images": [{"id": image_id, "height": 0, "width": 0} for image_id in ids],  # masks bring their own size
            "categories": [{"id": 1}],
            "annotations": _annotations(images, [image.truth.masks for image in images]),
        }
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes([{**mask, "score": 1.0} for mask in found]), "segm")
        evaluation.params.iouThrs = np.array([MATCHES_FROM])
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [MOST_DETECTIONS]
        evaluation.evaluate()
        evaluation.accumulate()
    return float(np.mean(evaluation.eval["precision"]))


def _annotations(images: Sequence[GroundedImage], masks: Sequence[Sequence[Rle]]) -> list[dict[str, object]]:
    listed = [(image.image_id, mask) for image, of_image in zip(images, masks, strict=True) for mask in of_image]
    return [
        {
            "id": number,
            "image_id": image_id,
            "category_id": 1,
            "iscrowd": 0,
            "area": area_px(mask),
            "segmentation": as_coco(mask),
        }
        for number, (image_id, mask) in enumerate(listed, start=1)
    ]


def _overlaps(truth: Sequence[Rle], found: Sequence[Rle]) -> Overlaps:
    if not truth or not found:
        return np.zeros((len(truth), len(found)))
    sizes = {rle.size for rle in (*truth, *found)}
    if len(sizes) > 1:
        raise ValueError(f"masks of one image are {sorted(sizes)} pixels: they must be of one size")
    overlaps = coco_mask.iou([as_coco(rle) for rle in truth], [as_coco(rle) for rle in found], [0] * len(found))
    empty_truth, empty_found = (np.array([area_px(rle) == 0 for rle in masks]) for masks in (truth, found))
    return np.where(empty_truth[:, None] & empty_found, np.nan, overlaps)


def _mean_of_pairs(overlaps: Overlaps) -> float:
    left = overlaps.T.copy()  # of equal overlaps, the script takes that of the first mask found
    paired = []
    while left.size and left.max() > 0:  # NaN ends it
        pair = _best(left)
        paired.append(left[pair])
        left[pair[0], :] = left[:, pair[1]] = 0
    return float(np.mean(paired)) if paired else 0.0


def _recalled(image: GroundedImage, overlaps: Overlaps, similarity: Similarity, matching: Matching) -> int:
    left = overlaps.copy()
    wanted, found = image.truth.phrases, image.found.phrases
    recalled = 0
    while left.size:
        pair = _best(left)
        if left[pair] < MATCHES_FROM:
            break
        if pair[0] >= len(wanted) or pair[1] >= len(found):
            if matching == "official":
                return 0  # a mask without a phrase makes the script fail, and the image counts as not recalled at all
            left[pair] = 0
        elif similarity(wanted[pair[0]], found[pair[1]]) < MATCHES_FROM:
            if matching == "official":
                break
            left[pair] = 0
        else:
            recalled += 1
            left[pair[0], :] = left[:, pair[1]] = 0
    return recalled


def _best(overlaps: Overlaps) -> tuple[int, int]:
    """Where the largest overlap is, or the first NaN, which numpy takes for the largest."""
    row, column = np.unravel_index(int(overlaps.argmax()), overlaps.shape)
    return int(row), int(column)
