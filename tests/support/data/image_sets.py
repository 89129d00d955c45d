"""Small synthetic image sets in the published layouts: RefCOCO/+/g, GranD-f, region captions."""

import pickle
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as coco

from tests.support.data.expression_sets import write_json

HEIGHT, WIDTH = 48, 64

LEFT, RIGHT = (6, 10, 22, 30), (38, 14, 58, 40)
"""Two objects in each image: boxes (x0, y0, x1, y1) in pixels, half-open."""

Box = tuple[int, int, int, int]


def mask_of(*boxes: Box) -> np.ndarray:
    """bool [h, w] of some boxes."""
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask


def polygon(box: Box) -> list[float]:
    """A box as COCO draws it."""
    x0, y0, x1, y1 = box
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def rle(*boxes: Box) -> dict[str, object]:
    """Some boxes as JSON has a mask."""
    encoded = coco.encode(np.asfortranarray(mask_of(*boxes), np.uint8))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def write_images(folder: Path, names: Sequence[str]) -> Path:
    """Write pictures with both boxes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        picture[mask_of(LEFT)] = (0, 0, 220)
        picture[mask_of(RIGHT)] = (220, 0, 0)
        cv2.imwrite(str(folder / name), picture)
    return folder


def _coco_name(image_id: int) -> str:
    return f"COCO_train2014_{image_id:012d}.jpg"


def write_refcoco(folder: Path, name: str = "refcoco", by: str = "unc", *, protocol: int = 0) -> Path:
    """refcoco/refs(unc).p, instances.json, and train2014 next to the set's folder: one image per split.

    Each image has three sentences.

    The right object of each image is one mask with a hole for the sentence, the left one polygons.
    """
    splits = {"unc": ("train", "val", "testA", "testB"), "umd": ("train", "val", "test")}[by]
    refs, images, objects = [], [], []
    for number, split in enumerate(splits, 1):
        images.append({"id": number, "file_name": _coco_name(number), "height": HEIGHT, "width": WIDTH})
        sides = {"left": [polygon(LEFT)], "right": rle(RIGHT)}
        for place, (side, segmentation) in enumerate(sides.items()):
            ann_id = 10 * number + place
            objects.append({"id": ann_id, "image_id": number, "category_id": 1, "segmentation": segmentation})
            said = [f"{side} box", f"{side} one in {split}"][: 2 - place]
            sentences = [
                {"sent_id": 10 * ann_id + n, "sent": sent, "raw": sent, "tokens": sent.split()}
                for n, sent in enumerate(said)
            ]
            refs.append(
                {
                    "ref_id": ann_id,
                    "ann_id": ann_id,
                    "image_id": number,
                    "category_id": 1,
                    "file_name": f"COCO_train2014_{number:012d}_{ann_id}.jpg",
                    "split": split,
                    "sent_ids": [one["sent_id"] for one in sentences],
                    "sentences": sentences,
                }
            )
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / f"refs({by}).p").write_bytes(pickle.dumps(refs, protocol))
    write_json(
        folder / name / "instances.json",
        {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "box"}]},
    )
    write_images(folder / "train2014", [_coco_name(number) for number in range(1, len(splits) + 1)])
    return folder / name


def write_gcg(folder: Path) -> Path:
    """GranDf/: two captions of val, one of test, and their images."""
    for split, ids in {"val": ("sa_1", "sa_2"), "test": ("sa_3",)}.items():
        captions = [
            {"id": place, "image_id": one, "caption": "A red box beside a blue one.", "labels": ["red box", "blue one"]}
            for place, one in enumerate(ids)
        ]
        masks = [
            {"image_id": one, "category_id": 1, "segmentation": rle(box), "iscrowd": 0, "bbox": [0, 0, 1, 1]}
            for one in ids
            for box in (LEFT, RIGHT)
        ]
        for place, one in enumerate(masks):
            one |= {"id": place, "area": int(coco.area(one["segmentation"]))}
        images = [{"id": one, "height": HEIGHT, "width": WIDTH} for one in ids]
        place = folder / "GranDf/annotations/val_test"
        write_json(place / f"{split}_gcg_coco_caption_gt.json", {"images": images, "annotations": captions})
        categories = [{"id": 1, "name": "object"}]
        write_json(
            place / f"{split}_gcg_coco_mask_gt.json",
            {"images": images, "annotations": masks, "categories": categories},
        )
        write_images(folder / "GranDf_HA_images/val_test", [f"{one}.jpg" for one in ids])
    return folder


def write_region_captions(folder: Path) -> Path:
    """finetune_refcocog_val_with_mask.json: two regions of one image, each an "image" of its own."""
    regions = {7: ([polygon(LEFT)], "a red box"), 9: (rle(RIGHT), "the blue box on the right")}
    images = [
        {"id": one, "file_name": _coco_name(1), "height": HEIGHT, "width": WIDTH, "caption": caption}
        for one, (_, caption) in regions.items()
    ]
    drawn = [{"id": one, "image_id": one, "segmentation": mask} for one, (mask, _) in regions.items()]
    write_json(folder / "finetune_refcocog_val_with_mask.json", {"images": images, "annotations": drawn})
    write_images(folder / "train2014", [_coco_name(1)])
    return folder
