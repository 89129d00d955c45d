"""Image files: read into arrays, and encoded as JPEG and PNG bytes."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from refsav.datasets.frames import FETCH_AGAIN, Image
from refsav.datasets.masks import Mask
from refsav.errors import RecordError

AS_STORED = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
"""Masks refer to the stored pixels of a file, so its EXIF orientation is ignored."""

MASK_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
"""Masks are runs of equal pixels: stronger compression takes ten times as long and saves little."""


def read_image(path: Path) -> Image:
    """Read an image file.

    Returns:
        The stored pixels, uint8 RGB [H, W, 3]; the EXIF orientation is ignored.

    Raises:
        RecordError: If it is missing or cannot be decoded.
    """
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
        image = cv2.imdecode(content, AS_STORED) if len(content) else None
    except FileNotFoundError:
        raise RecordError(path, "", "the image is missing", "unpack all images of the dataset") from None
    except OSError as error:
        raise RecordError(path, "", f"cannot be read: {error.strerror}", FETCH_AGAIN) from error
    except cv2.error as error:
        raise RecordError(path, "", f"cannot be decoded: {error.err}", FETCH_AGAIN) from error
    if image is None:
        raise RecordError(path, "", "is not a readable image", FETCH_AGAIN)
    return image.astype(np.uint8, copy=False)


def encode_jpeg(image: Image, quality: int, *, full_colour: bool = False) -> bytes:
    """Encode an image as a JPEG file; the same image gives the same bytes.

    Args:
        image: uint8 RGB [H, W, 3].
        quality: JPEG quality, 1-100.
        full_colour: Keep chroma at full resolution (4:4:4), so that thin lines stay sharp; otherwise it is halved.

    Raises:
        ValueError: If the image is too large for JPEG.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    if full_colour:
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return _encode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)


def encode_png(image: Image) -> bytes:
    """Encode uint8 RGB [H, W, 3] as a PNG file."""
    return _encode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), ())


def encode_mask_png(mask: Mask) -> bytes:
    """Encode a mask, bool [H, W], as a PNG file with the values 0 and 255."""
    return _encode(".png", mask.view(np.uint8) * 255, MASK_PNG)


def _encode(suffix: str, image: cv2.typing.MatLike, options: Sequence[int]) -> bytes:
    # In memory, because cv2.imwrite reports no error when the disk is full.
    encoded, content = cv2.imencode(suffix, image, options)
    if not encoded:
        raise ValueError(f"an image of shape {image.shape} cannot be encoded as {suffix}")
    return content.tobytes()
