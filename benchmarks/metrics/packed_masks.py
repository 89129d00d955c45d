"""Masks packed as 64 pixels per word, so that contours, dilation and counts process 64 pixels per operation.

All results are exact. Rows and columns are treated alike, so a pair of masks may be transposed.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from refsav.datasets.masks import Mask

Masks = npt.NDArray[np.bool_]
"""bool [T, h, w]: one object in the frames of a video, True on the object."""

Packed = npt.NDArray[np.uint64]
"""uint64 [2, h, n], two masks of one size: bit x % 64 of word x // 64 is pixel x. Rows end with zero bits."""

WORD = 64


class PackedPair(NamedTuple):
    """Two masks of one frame."""

    words: Packed
    width_px: int
    """Number of bits of a row that are pixels."""


def packed_pairs(truth: Masks, found: Masks, margin_px: int) -> Iterator[PackedPair]:
    """Pack the masks of two videos, frame by frame; each row ends with at least max(`margin_px`, 1) zero bits.

    Raises:
        ValueError: If the masks are not bool [T, h, w] of the same shape.
    """
    if truth.shape != found.shape or truth.ndim != 3 or truth.size == 0:
        raise ValueError(
            f"truth is {_shape(truth)}, found {_shape(found)}: both must be [T, h, w] of the same shape; resizing a "
            "mask would change its score"
        )
    if truth.dtype != np.bool_ or found.dtype != np.bool_:
        raise ValueError(f"truth is {truth.dtype}, found {found.dtype}: masks are bool, True on the object")
    if truth.strides[1] < truth.strides[2]:  # pycocotools decodes by column; columns then pack faster
        truth, found = truth.swapaxes(1, 2), found.swapaxes(1, 2)
    for one, other in zip(truth, found, strict=True):
        yield PackedPair(_packed(one, other, margin_px), truth.shape[2])


def occupied(pair: PackedPair) -> PackedPair:
    """Keep only the rows that can have a contour: rows with pixels of an object, one row above and one below."""
    rows = np.flatnonzero((pair.words[0] | pair.words[1]).any(axis=1))
    first, last = (int(rows[0]), int(rows[-1])) if rows.size else (0, 0)
    return PackedPair(np.ascontiguousarray(pair.words[:, max(first - 1, 0) : last + 2]), pair.width_px)


def contours(pair: PackedPair) -> Packed:
    """Return pixels that differ from their right, lower or lower right neighbour; the frame's edge is repeated.

    Source: davis2017-evaluation, `seg2bmap`, at the size of the masks. A mask that fills the frame has no contour.
    """
    words = pair.words
    flat = words.reshape(-1)
    right = flat >> np.uint64(1)
    right[:-1] |= flat[1:] << np.uint64(WORD - 1)
    right = right.reshape(words.shape)
    last_word, last_bit = divmod(pair.width_px - 1, WORD)
    right[..., last_word] |= words[..., last_word] & np.uint64(1 << last_bit)
    found = words ^ right
    found[:, :-1] |= (words[:, :-1] ^ words[:, 1:]) | (words[:, :-1] ^ right[:, 1:])
    found[..., -1] &= np.uint64((1 << (WORD - 1)) - 1)  # the last bit of a row was compared with the next row
    return found


def dilated(words: Packed, radius_px: int) -> Packed:
    """Dilate by a disk, dx² + dy² <= radius². The rows need a margin of the radius.

    Rows of the disk get longer towards its middle, so each row reuses the widened mask of the one before.
    """
    reached = np.zeros_like(words)
    half_px = 0
    for dy in range(radius_px, 0, -1):
        words, half_px = _widened_to(words, half_px, math.isqrt(radius_px**2 - dy**2))
        reached[:, dy:] |= words[:, :-dy]
        reached[:, :-dy] |= words[:, dy:]
    return reached | _widened_to(words, half_px, radius_px)[0]


def count(words: Packed) -> int:
    """Count the pixels that are set."""
    return int(cv2.norm(words.view(np.uint8), cv2.NORM_HAMMING))


def _packed(one: Mask, other: Mask, margin_px: int) -> Packed:
    height, width = one.shape
    row_words = -(-(width + max(margin_px, 1)) // WORD)
    words = np.zeros((2, height, row_words), dtype="<u8")
    octets = words.view(np.uint8)[..., : -(-width // 8)]
    octets[0] = np.packbits(one, axis=1, bitorder="little")
    octets[1] = np.packbits(other, axis=1, bitorder="little")
    return words


def _widened_to(words: Packed, half_px: int, wanted_px: int) -> tuple[Packed, int]:
    """Widen runs from `half_px` to `wanted_px` on both sides; at most doubling at a time, to leave no gaps."""
    while half_px < wanted_px:
        step = min(2 * half_px + 1, wanted_px - half_px, WORD - 1)
        words, half_px = _widened(words, step), half_px + step
    return words, half_px


def _widened(words: Packed, step: int) -> Packed:
    flat = words.reshape(-1)
    step_bits, carried_bits = np.uint64(step), np.uint64(WORD - step)
    wide: Packed = flat | flat << step_bits | flat >> step_bits
    wide[1:] |= flat[:-1] >> carried_bits
    wide[:-1] |= flat[1:] << carried_bits
    return wide.reshape(words.shape)


def _shape(masks: Masks) -> str:
    return "x".join(str(length) for length in masks.shape)
