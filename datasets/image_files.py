"""Image files: read as arrays, and written as JPEG and PNG bytes."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from refsav.datasets.frames import FETCH_AGAIN, Image
from refsav.datasets.masks import Mask
from refsav.errors import RecordError

AS_STORED = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
"""Masks belong to the pixels of a file: its EXIF orientation is ignored."""

MASK_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
"""Masks are runs of equal pixels: a more thorough search takes ten times as long and saves little."""


def read_picture(path: Path) -> Image:
    """Read a picture as uint8 RGB [H, W, 3].

    Raises:
        RecordError: If it is missing or cannot be read.
    """
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
        picture = cv2.imdecode(content, AS_STORED) if len(content) else None
    except FileNotFoundError:
        raise RecordError(path, "", "the picture is missing", "unpack the dataset's images, all of them") from None
    except OSError as error:
        raise RecordError(path, "", f"cannot be read: {error.strerror}", FETCH_AGAIN) from error
    except cv2.error as error:
        raise RecordError(path, "", f"cannot be decoded: {error.err}", FETCH_AGAIN) from error
    if picture is None:
        raise RecordError(path, "", "is not a readable picture", FETCH_AGAIN)
    return picture.astype(np.uint8, copy=False)


def encode_jpeg(image: Image, quality: int, *, full_colour: bool = False) -> bytes:
    """Encode uint8 RGB [H, W, 3] as a JPEG file; the same image gives the same bytes.

    Args:
        image: The image.
        quality: JPEG quality, 1-100.
        full_colour: Keep colour at full resolution (4:4:4), so that thin lines stay as drawn. Otherwise it is halved.

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


def _encode(ending: str, image: cv2.typing.MatLike, options: Sequence[int]) -> bytes:
    # In memory: cv2.imwrite reports nothing when the disk is full.
    done, content = cv2.imencode(ending, image, options)
    if not done:
        raise ValueError(f"an image of shape {image.shape} cannot be encoded as {ending}")
    return content.tobytes()
