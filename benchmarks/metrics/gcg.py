"""AP50, mIoU and recall of grounded captions, as the official script of GLaMM and Sa2VA computes them.

Source: groundingLMM, eval/gcg/evaluate.py; Sa2VA's metrics_gcg.py computes the same. captions.py scores the
text of the captions. Peculiarities of these scores: docs/metrics.md.
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
"""Semantic similarity of two phrases, at most 1. Official: text_similarity.BertSimilarity."""

Matching = Literal["official", "greedy"]
"""How recall matches pairs, best overlap first: "official" stops at the first that fails, "greedy" continues."""

MATCHES_FROM = 0.5
"""Threshold of both IoU and similarity for recall."""

MOST_DETECTIONS = 100
"""Masks per image that COCO's AP evaluates."""

Overlaps = npt.NDArray[np.float64]
"""float64 [truth masks, found masks]: IoU of every pair; NaN where both masks are empty, as in the script."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroundedCaption:
    """A caption of an image whose phrases have masks."""

    caption: str
    phrases: tuple[str, ...]
    """As in the caption; the n-th belongs to the n-th mask."""
    masks: tuple[Rle, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class GroundedImage:
    """One image with its true and its predicted grounded caption."""

    image_id: str | int
    """As in the annotations: AP50 depends on the order of the ids, because all scores are equal."""
    truth: GroundedCaption
    found: GroundedCaption


@dataclass(frozen=True, kw_only=True, slots=True)
class GroundedImageScore:
    """Contribution of one image to mIoU and recall."""

    image_id: str | int
    miou: float
    """Mean IoU of the overlapping pairs, matched one to one, best overlap first; 0 if there is none."""
    recalled: int
    """Number of true phrases that were found."""
    phrases: int
    """Number of true phrases."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GcgScore:
    """Scores of a split, fractions 0-1."""

    ap50: float
    miou: float
    """Mean over images."""
    recall: float
    """Over all true phrases."""
    images: tuple[GroundedImageScore, ...]


def gcg_score(images: Sequence[GroundedImage], similarity: Similarity, matching: Matching = "official") -> GcgScore:
    """Score a split.

    Args:
        images: True and predicted captions.
        similarity: Compares two phrases.
        matching: How recall matches pairs.

    Returns:
        AP50, mIoU and recall.

    Raises:
        ValueError: If there is no true phrase or no true mask, an image is listed twice, or masks differ in size.
    """
    scores = tuple(image_score(image, similarity, matching) for image in images)
    phrases = sum(score.phrases for score in scores)
    if phrases == 0:
        raise ValueError("no image has a true phrase")
    return GcgScore(
        ap50=average_precision_50(images),
        miou=float(np.mean([score.miou for score in scores])),
        recall=sum(score.recalled for score in scores) / phrases,
        images=scores,
    )


def image_score(image: GroundedImage, similarity: Similarity, matching: Matching) -> GroundedImageScore:
    """Compute mIoU and recall of one image; arguments are those of `gcg_score`."""
    overlaps = _overlaps(image.truth.masks, image.found.masks)
    return GroundedImageScore(
        image_id=image.image_id,
        miou=_mean_of_pairs(overlaps),
        recalled=_recalled(image, overlaps, similarity, matching),
        phrases=len(image.truth.phrases),
    )


def average_precision_50(images: Sequence[GroundedImage]) -> float:
    """Compute COCO's AP of masks at IoU 0.5. All masks have the score 1.0, so the result depends on their order.

    The order is that of image ids (sorted as text or as numbers, by their type), and of masks within an image.

    Raises:
        ValueError: If there is no true mask, or two images have the same id.
    """
    ids = [image.image_id for image in images]
    if len(set(ids)) != len(ids) or not any(image.truth.masks for image in images):
        raise ValueError("expected unique image ids and at least one true mask")
    found = _annotations(images, [image.found.masks for image in images])
    if not found:
        return 0.0
    truth = COCO()
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints every step
        truth.dataset = {
            "images": [{"id": image_id, "height": 0, "width": 0} for image_id in ids],  # masks have their own size
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
        raise ValueError(f"masks of one image have the sizes {sorted(sizes)}: they must be equal")
    overlaps = coco_mask.iou([as_coco(rle) for rle in truth], [as_coco(rle) for rle in found], [0] * len(found))
    empty_truth, empty_found = (np.array([area_px(rle) == 0 for rle in masks]) for masks in (truth, found))
    return np.where(empty_truth[:, None] & empty_found, np.nan, overlaps)


def _mean_of_pairs(overlaps: Overlaps) -> float:
    left = overlaps.T.copy()  # among equal overlaps, the script takes the first predicted mask
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
                return 0  # a mask without a phrase makes the script fail; it then counts no phrase of the image
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
    """Return the position of the largest overlap, or of the first NaN, which numpy treats as the largest."""
    row, column = np.unravel_index(int(overlaps.argmax()), overlaps.shape)
    return int(row), int(column)
