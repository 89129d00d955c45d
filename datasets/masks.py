"""Masks as COCO run-length encoding: encode, decode, measure (pycocotools does the work)."""

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from refsav.datasets.records import Rle

Mask = npt.NDArray[np.bool_]
"""bool [H, W], True on the object."""


def encode(mask: Mask) -> Rle:
    """Compress a bool [H, W] mask."""
    encoded = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    height, width = mask.shape
    return Rle((height, width), encoded["counts"].decode("ascii"))


def decode(rle: Rle) -> Mask:
    """Give back the bool [H, W] mask."""
    mask: Mask = coco.decode(_as_coco(rle)).view(np.bool_)
    return mask


def area_px(rle: Rle) -> int:
    """Number of pixels on the object."""
    return int(coco.area(_as_coco(rle)))


def box(rle: Rle) -> tuple[int, int, int, int]:
    """Smallest box around the object, half-open: (x0, y0, x1, y1) in pixels; all 0 for an empty mask."""
    x, y, width, height = (int(value) for value in coco.toBbox(_as_coco(rle)))
    return x, y, x + width, y + height


def _as_coco(rle: Rle) -> dict[str, object]:
    return {"size": list(rle.size), "counts": rle.counts.encode("ascii")}
