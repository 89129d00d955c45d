"""Masks as COCO run-length encoding: encode, decode, measure (pycocotools does the work)."""

from collections.abc import Sequence

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
    mask: Mask = coco.decode(as_coco(rle)).view(np.bool_)
    return mask


def unpack(masks: Sequence[Rle | None], size: tuple[int, int]) -> Mask:
    """Give the masks of several frames as bool [T, H, W]; None is an empty one, `size` is (height, width)."""
    blank = np.zeros(size, np.bool_)
    return np.stack([blank if mask is None else decode(mask) for mask in masks])


def union(rles: Sequence[Rle]) -> Rle:
    """Give the mask of all pixels that one of several masks of equal size covers; of a single one, itself."""
    if len(rles) == 1:
        return rles[0]
    merged = coco.merge([as_coco(rle) for rle in rles])
    return Rle(rles[0].size, merged["counts"].decode("ascii"))


def area_px(rle: Rle) -> int:
    """Number of pixels on the object."""
    return int(coco.area(as_coco(rle)))


def checked_area_px(rle: Rle) -> int:
    """Number of pixels on the object, after making sure that the encoding is whole.

    pycocotools reads past the end of a string that is cut short, so nothing from a file reaches it unchecked.

    Raises:
        ValueError: If `counts` is no run-length encoding of exactly height × width pixels.
    """
    characters = np.frombuffer(rle.counts.encode("utf-8", "replace"), dtype=np.uint8).astype(np.int64) - 48
    if not rle.counts.isascii() or characters.size == 0 or characters.min() < 0 or characters.max() > 63:
        raise ValueError("counts hold a character that run-length encoding does not use")
    last_of_run = (characters & 32) == 0
    if not last_of_run[-1]:
        raise ValueError("counts are cut short")
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
    """Give back a mask that comes from a file, for a picture of (height, width); None is an empty one.

    Raises:
        ValueError: If the mask has another size, or its encoding is not whole.
    """
    if rle is None:
        return np.zeros(size, np.bool_)
    if rle.size != size:
        raise ValueError(f"the mask is {rle.size[0]}x{rle.size[1]}, the picture {size[0]}x{size[1]} (height x width)")
    checked_area_px(rle)
    return decode(rle)


def box(rle: Rle) -> tuple[int, int, int, int]:
    """Smallest box around the object, half-open: (x0, y0, x1, y1) in pixels; all 0 for an empty mask."""
    x, y, width, height = (int(value) for value in coco.toBbox(as_coco(rle)))
    return x, y, x + width, y + height


def as_coco(rle: Rle) -> dict[str, object]:
    """Give the mask as pycocotools takes it."""
    return {"size": list(rle.size), "counts": rle.counts.encode("ascii")}
