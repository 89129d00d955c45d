"""Masks as COCO compressed run-length encoding (RLE): encode, decode, validate, measure; based on pycocotools."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from refsav.datasets.records import Rle

Mask = npt.NDArray[np.bool_]
"""bool [H, W], True on the object."""


def encode(mask: Mask) -> Rle:
    """Encode a mask, bool [H, W], as RLE."""
    encoded = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    height, width = mask.shape
    return Rle((height, width), encoded["counts"].decode("ascii"))


def decode(rle: Rle) -> Mask:
    """Decode an RLE to a mask, bool [H, W]."""
    mask: Mask = coco.decode(as_coco(rle)).view(np.bool_)
    return mask


def decode_all(masks: Sequence[Rle | None], size: tuple[int, int]) -> Mask:
    """Decode the masks of several frames.

    Args:
        masks: One per frame; None is an empty mask.
        size: (height, width) of every mask, in pixels.

    Returns:
        bool [T, H, W].
    """
    empty = np.zeros(size, np.bool_)
    return np.stack([empty if mask is None else decode(mask) for mask in masks])


def union(rles: Sequence[Rle]) -> Rle:
    """Merge one or more masks of the same size into one that covers every pixel of each."""
    if len(rles) == 1:
        return rles[0]
    merged = coco.merge([as_coco(rle) for rle in rles])
    return Rle(rles[0].size, merged["counts"].decode("ascii"))


def area_px(rle: Rle) -> int:
    """Number of pixels on the object."""
    return int(coco.area(as_coco(rle)))


def checked_area_px(rle: Rle) -> int:
    """Count the pixels on the object after validating the encoding.

    pycocotools reads past the end of a truncated string, so nothing from a file may reach it unchecked.

    Raises:
        ValueError: If `counts` is not a run-length encoding of exactly height × width pixels.
    """
    characters = np.frombuffer(rle.counts.encode("utf-8", "replace"), dtype=np.uint8).astype(np.int64) - 48
    if not rle.counts.isascii() or characters.size == 0 or characters.min() < 0 or characters.max() > 63:
        raise ValueError("counts hold a character that run-length encoding does not use")
    last_of_run = (characters & 32) == 0
    if not last_of_run[-1]:
        raise ValueError("counts are truncated")
    starts = np.concatenate(([0], np.flatnonzero(last_of_run)[:-1] + 1))
    lengths = np.flatnonzero(last_of_run) - starts + 1
    if lengths.max() > 6:
        raise ValueError("counts hold a run longer than any image")
    shifts = 5 * (np.arange(characters.size) - np.repeat(starts, lengths))
    runs = np.add.reduceat((characters & 31) << shifts, starts)
    ends = characters[last_of_run]
    runs -= np.where(ends & 16, np.int64(1) << (5 * lengths), 0)
    runs[1::2] = np.cumsum(runs[1::2])  # from the fourth run on, each is the difference to the run before last
    runs[2::2] = np.cumsum(runs[2::2])
    height, width = rle.size
    if runs.min() < 0 or runs.sum() != height * width:
        raise ValueError(f"runs add up to {runs.sum()} pixels, the mask has {height}x{width} = {height * width}")
    return int(runs[1::2].sum())


def decode_checked(rle: Rle | None, size: tuple[int, int]) -> Mask:
    """Validate and decode a mask that comes from a file.

    Args:
        rle: The mask; None is an empty one.
        size: (height, width) of the image that it belongs to, in pixels.

    Returns:
        bool [H, W].

    Raises:
        ValueError: If the mask has another size, or its encoding is damaged.
    """
    if rle is None:
        return np.zeros(size, np.bool_)
    if rle.size != size:
        raise ValueError(f"the mask is {rle.size[0]}x{rle.size[1]}, the image {size[0]}x{size[1]} (height x width)")
    checked_area_px(rle)
    return decode(rle)


def box(rle: Rle) -> tuple[int, int, int, int]:
    """Smallest box around the object, half-open: (x0, y0, x1, y1) in pixels; all 0 for an empty mask."""
    x, y, width, height = (int(value) for value in coco.toBbox(as_coco(rle)))
    return x, y, x + width, y + height


def as_coco(rle: Rle) -> dict[str, object]:
    """Convert a mask to the dictionary that pycocotools expects."""
    return {"size": list(rle.size), "counts": rle.counts.encode("ascii")}
